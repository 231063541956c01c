import os
from pathlib import Path

import pytest
import serial

from bondmate_sim.errors import SimulatorError
from bondmate_sim.serial_end import SerialEnd


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


def test_nobody_reading_never_blocks_and_a_late_reader_gets_recent_octets() -> None:
    with SerialEnd(None) as line:
        for number in range(2_000):  # far more than the kernel keeps
            line.send(b"%06d" % number + b"." * 94)
        line.send(b"the end")
        fd = os.open(line.path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            late = os.read(fd, 65_536)
        finally:
            os.close(fd)
    assert late.endswith(b"the end")
    assert b"000000" not in late, "what was sent to a closed port is lost, as on a wire"
