import os
import termios
from pathlib import Path

import pytest
import serial

from bondmate_sim.errors import SimulatorError
from bondmate_sim.process import wait_until
from bondmate_sim.serial_end import SerialEnd
from bondmate_sim.uart import resample

SENTENCE = b"$GNGGA,120000.00,3843.33500,N,00908.36040,W,1,11,0.9,12.3,M,53.4,M,,*4B\r\n"


def test_every_octet_passes_unchanged() -> None:
    octets = bytes(range(256))
    with SerialEnd(None) as line, serial.Serial(str(line.path), timeout=5) as port:
        assert line.send(octets) == 256
        assert port.read(256) == octets


def test_the_link_replaces_an_old_one_and_goes_with_the_line(tmp_path: Path) -> None:
    link = tmp_path / "gnss"
    link.symlink_to("/dev/nowhere")
    with SerialEnd(link) as line:
        assert line.path == link
        with serial.Serial(str(link), timeout=5) as port:
            line.send(b"$")
            assert port.read(1) == b"$"
        assert [one.name for one in tmp_path.iterdir()] == ["gnss"], "nothing temporary is left beside it"
    assert not link.is_symlink()


def test_a_link_that_another_receiver_took_over_stays(tmp_path: Path) -> None:
    link = tmp_path / "gnss"
    with SerialEnd(link) as newer:
        with SerialEnd(link):
            link.unlink()
            link.symlink_to(os.ttyname(newer._slave))
        assert link.is_symlink()


def test_a_file_in_the_way_is_not_removed(tmp_path: Path) -> None:
    precious = tmp_path / "gnss"
    precious.write_text("mine")
    with pytest.raises(SimulatorError, match="is no symbolic link"):
        SerialEnd(precious)
    assert precious.read_text() == "mine"


def test_a_directory_that_is_not_there_is_an_error_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(SimulatorError, match=r"cannot make the link .*nowhere/gnss"):
        SerialEnd(tmp_path / "nowhere" / "gnss")


def test_nobody_reading_never_blocks() -> None:
    with SerialEnd(None) as line:
        taken = sum(line.send(b"." * 100) for _ in range(2_000))
    assert taken <= 200_000, "the rest is lost, and nobody waited for it"


def test_a_late_reader_gets_recent_octets_only() -> None:
    with SerialEnd(None) as line:
        for number in range(100):  # more than twice what the line keeps
            before = line.unread()
            line.send(b"%06d" % number + b"." * 94)
            wait_for_other_count(line, before)
        fd = os.open(line.path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            late = os.read(fd, 65_536)
        finally:
            os.close(fd)
    assert late.endswith(b"000099" + b"." * 94)
    assert b"000000" not in late, "what was sent to a closed port is lost, as on a wire"


def test_what_the_reader_sends_is_received() -> None:
    with SerialEnd(None) as line, serial.Serial(str(line.path), timeout=5) as port:
        assert line.receive() == b""
        port.write(bytes(range(256)))
        assert received(line, 256) == bytes(range(256))


@pytest.mark.parametrize("baud", [4_800, 9_600, 115_200, 921_600])
def test_at_its_own_speed_everything_passes_both_ways(baud: int) -> None:
    with SerialEnd(None, baud) as line, serial.Serial(str(line.path), baud, timeout=5) as port:
        line.send(SENTENCE)
        assert port.read(len(SENTENCE)) == SENTENCE
        port.write(SENTENCE)
        assert received(line, len(SENTENCE)) == SENTENCE


@pytest.mark.parametrize(("baud", "read_baud"), [(9_600, 38_400), (38_400, 9_600), (115_200, 9_600)])
def test_at_another_speed_garbage_passes_both_ways(baud: int, read_baud: int) -> None:
    with SerialEnd(None, baud) as line, serial.Serial(str(line.path), read_baud, timeout=5) as port:
        there, back = resample(SENTENCE, baud, read_baud), resample(SENTENCE, read_baud, baud)
        assert line.send(SENTENCE) == len(there)
        assert port.read(len(there)) == there != SENTENCE
        port.write(SENTENCE)
        assert received(line, len(back)) == back != SENTENCE


def test_a_reader_that_finds_the_speed_understands_from_then_on() -> None:
    with SerialEnd(None, 9_600) as line, serial.Serial(str(line.path), 115_200, timeout=5) as port:
        port.read(line.send(SENTENCE))
        port.baudrate = 9_600
        line.send(SENTENCE)
        assert port.read(len(SENTENCE)) == SENTENCE


def test_a_reader_that_sets_no_speed_has_that_of_a_new_terminal() -> None:
    with SerialEnd(None, 9_600) as line:
        fd = os.open(line.path, os.O_RDONLY | os.O_NOCTTY)
        try:
            assert termios.tcgetattr(fd)[5] == termios.B38400
            line.send(SENTENCE)
            assert os.read(fd, 4096) == resample(SENTENCE, 9_600, 38_400)
        finally:
            os.close(fd)


def received(line: SerialEnd, count: int) -> bytes:
    """So many octets of the reader's."""
    data = bytearray()

    def all_came() -> bool:
        data.extend(line.receive())
        return len(data) >= count

    wait_until(all_came, 30, "what the reader sent")
    return bytes(data)


def wait_for_other_count(line: SerialEnd, before: int) -> None:
    """The kernel moves octets to the reader's side a moment after they were written."""
    wait_until(lambda: line.unread() != before, 30, "the octets to cross the line")
