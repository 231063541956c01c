import contextlib
import itertools
import os
import re
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial
from pyubx2 import POLL, SET, SET_LAYER_RAM, TXN_NONE, UBX_PROTOCOL, UBXMessage, UBXReader

from bondmate_sim.process import wait_until
from tests.sim.conftest import Launch

EPOCH_A = b"$GPGGA,120000.00,3843.33500,N,00908.36040,W,1,09,0.9,12.3,M,53.4,M,,*55\r\n$GPRMC,120000.00,A*00\r\n"
EPOCH_B = b"$GPGGA,120000.50,3843.33600,N,00908.36040,W,1,09,0.9,12.3,M,53.4,M,,*55\r\n\xb5b\x01\x07\x00\n\xff"
EPOCH_C = b"$GPGGA,120001.50,3843.33700,N,00908.36040,W,1,09,0.9,12.3,M,53.4,M,,*55\r\n"
LOG = b"# a comment\n" + EPOCH_A + EPOCH_B + b"\n# another\n" + EPOCH_C
PLAYED = EPOCH_A + EPOCH_B + b"\n" + EPOCH_C


class Listener:
    """Reads a port in a thread until it is unplugged, and notes when each octet came."""

    def __init__(self, path: Path) -> None:
        self.data = b""
        self.came: list[tuple[float, int]] = []
        self._fd = os.open(path, os.O_RDONLY | os.O_NOCTTY)
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._fd, 4096)
            except OSError:  # EIO: unplugged
                return
            if not data:
                return
            self.came.append((time.monotonic(), len(data)))
            self.data += data

    def join(self) -> None:
        self._thread.join(20)
        assert not self._thread.is_alive()
        os.close(self._fd)

    def at(self, octet: int) -> float:
        """When this octet had come."""
        total = 0
        for when, count in self.came:
            total += count
            if total > octet:
                return when
        raise AssertionError(f"octet {octet} never came")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    file = tmp_path / "recorded.log"
    file.write_bytes(LOG)
    return file


@pytest.mark.parametrize("chunk", ["whole", "byte"])
def test_a_log_arrives_octet_for_octet_and_then_the_port_goes(run: Path, launch: Launch, log: Path, chunk: str) -> None:
    link = run / "gnss"
    process = launch("gnss", "--nmea", log, "--speed", "2", "--link", link, "--chunk", chunk)
    listener = Listener(link)
    listener.join()
    assert listener.data == PLAYED
    assert wait_until(lambda: process.pid is None, 30, "the end")
    assert not link.is_symlink()


def test_epochs_keep_the_log_s_rhythm(run: Path, launch: Launch, log: Path) -> None:
    link = run / "gnss"
    launch("gnss", "--nmea", log, "--speed", "2", "--link", link)
    listener = Listener(link)
    listener.join()
    second, third = len(EPOCH_A), len(EPOCH_A + EPOCH_B) + 1
    # 0.5 s and 1 s in the log, at twice its speed; a reader may be late, but an epoch is never early.
    assert listener.at(third) - listener.came[0][0] >= 0.5
    assert listener.at(second - 1) < listener.at(second) < listener.at(third)


def test_a_loop_begins_again(run: Path, launch: Launch, log: Path) -> None:
    process = launch("gnss", "--nmea", log, "--speed", "50", "--loop", "--link", run / "gnss")
    listener = Listener(run / "gnss")
    wait_until(lambda: listener.data.count(EPOCH_A) >= 2, 30, "the second pass")
    assert process.stop() == 0
    listener.join()
    assert (PLAYED + PLAYED).startswith(listener.data[: len(PLAYED) + len(EPOCH_A)])
    assert not (run / "gnss").is_symlink()


def test_a_port_that_nobody_opens_does_not_stop_the_clock(run: Path, launch: Launch, tmp_path: Path) -> None:
    many = tmp_path / "many.log"
    many.write_bytes(b"".join(b"$GPRMC,12%02d%02d,A,%s*00\n" % (n // 60, n % 60, b"x" * 400) for n in range(300)))
    process = launch("gnss", "--nmea", many, "--speed", "300", "--link", run / "gnss")
    assert wait_until(lambda: process.pid is None, 30, "the end of the log")
    assert process.stop() == 0


def test_a_walker_speaks_every_second_with_the_present_time(run: Path, launch: Launch) -> None:
    launch("gnss", "--link", run / "gnss", "--route", "-33.9249,18.4241", "-33.9260,18.4250")
    with serial.Serial(str(run / "gnss"), 9600, timeout=10) as port:
        lines = [port.readline().decode("ascii") for _ in range(30)]
    gga = [line.split(",") for line in lines if line.startswith("$GNGGA")]
    assert len(gga) >= 2
    assert gga[0][2:6] == ["3355.49400", "S", "01825.44600", "E"] or gga[0][2].startswith("3355.4")
    seconds = [int(one[1][:2]) * 3600 + int(one[1][2:4]) * 60 + float(one[1][4:]) for one in gga]
    assert 0.5 < (seconds[1] - seconds[0]) % 86_400 < 5
    now = time.gmtime()
    assert (now.tm_hour * 3600 + now.tm_min * 60 + now.tm_sec - seconds[0]) % 86_400 < 60


@contextlib.contextmanager
def opened(link: Path, baud: int = 9600) -> Iterator[serial.Serial]:
    with serial.Serial(str(link), baud, timeout=10) as port:
        yield port


def read_until(port: serial.Serial, wanted: bytes) -> bytes:
    """What comes, up to and with these octets."""
    data: bytes = port.read_until(wanted)
    assert data.endswith(wanted), f"waited for {wanted!r} and got {data!r}"
    return data


def epochs(port: serial.Serial, count: int) -> list[bytes]:
    """So many whole epochs: each begins with a GGA."""
    read_until(port, b"GGA,")
    return [read_until(port, b"GGA,") for _ in range(count)]


def answer_of(port: serial.Serial) -> UBXMessage:
    """The next UBX message, whatever sentences come before it."""
    _, message = UBXReader(port, protfilter=UBX_PROTOCOL).read()
    assert message is not None
    return message


SPOKEN_S = 10.0


def test_a_route_is_walked_by_a_talker_that_obeys_nobody(run: Path, launch: Launch) -> None:
    process = launch("gnss", "--link", run / "gnss", "--route", "38.7,-9.1", "38.8,-9.1")
    with opened(run / "gnss") as port:
        # More than a line keeps: a writer that nobody reads would stand still here.
        port.write_timeout = 10
        port.write(UBXMessage("MON", "MON-VER", POLL).serialize() * 2_000)
        port.write(b"$PMTK161,0*28\r\n$PQTMGNSSSTOP*09\r\n")
        [epoch] = epochs(port, 1)
    assert set(re.findall(rb"\$..([A-Z]{3}),", epoch)) == {b"RMC", b"GSA", b"GSV", b"GST", b"VTG", b"GGA"}
    assert process.log.read_text().splitlines() == [f"receiver on {run / 'gnss'}"]


def test_an_m10_is_polled_configured_put_to_sleep_and_woken(run: Path, launch: Launch) -> None:
    process = launch("gnss", "--link", run / "gnss", "--route", "38.7,-9.1", "38.8,-9.1", "--receiver", "ublox")
    with opened(run / "gnss") as port:
        port.write(UBXMessage("MON", "MON-VER", POLL).serialize())
        assert answer_of(port).identity == "MON-VER"
        values = [("CFG_RATE_MEAS", 100), ("CFG_MSGOUT_NMEA_ID_GSV_UART1", 0), ("CFG_SIGNAL_GLO_ENA", 1)]
        port.write(UBXMessage.config_set(SET_LAYER_RAM, TXN_NONE, values).serialize())
        assert answer_of(port).identity == "ACK-ACK"
        for news in ("obeyed rate 100 ms", "obeyed GSV off", "obeyed GLONASS on"):
            process.wait_for_line(news, SPOKEN_S)
        heard = b"".join(epochs(port, 5))
        assert b"GSV" not in heard
        assert re.search(rb"GSA,[^*]*,2\*", heard), "a GSA of GLONASS"

        port.write(UBXMessage("RXM", "RXM-PMREQ", SET, version=0, backup=1, force=1, uartrx=1).serialize())
        process.wait_for_line("asleep", SPOKEN_S)
        port.timeout = 0.5
        while port.read(4096):  # until five epochs of silence
            pass
        port.timeout = 10
        port.write(UBXMessage("MON", "MON-VER", POLL).serialize())
        process.wait_for_line("awake", SPOKEN_S)
        assert b"GSV" in b"".join(epochs(port, 1)), "the factory's sentences again"
        port.write(UBXMessage("MON", "MON-VER", POLL).serialize())
        assert answer_of(port).identity == "MON-VER"


@pytest.mark.parametrize("chunk", ["whole", "byte"])
def test_ten_hertz_are_ten_hertz(run: Path, launch: Launch, chunk: str) -> None:
    launch(
        "gnss", "--link", run / "gnss", "--route", "38.7,-9.1", "38.8,-9.1", "--receiver", "ublox-m8", "--chunk", chunk
    )
    with opened(run / "gnss") as port:
        for identifier in (0x01, 0x02, 0x03, 0x04, 0x05):
            port.write(UBXMessage("CFG", "CFG-MSG", SET, payload=bytes([0xF0, identifier, 0])).serialize())
            assert answer_of(port).identity == "ACK-ACK"
        port.write(UBXMessage("CFG", "CFG-RATE", SET, measRate=100, navRate=1, timeRef=1).serialize())
        assert answer_of(port).identity == "ACK-ACK"
        seconds = [float(epoch[4:9]) for epoch in epochs(port, 11)]
    gaps = [(after - before) % 60 for before, after in itertools.pairwise(seconds)]
    assert statistics.median(gaps) == pytest.approx(0.1, abs=0.05)
    assert sum(gaps) < 5, "not at one hertz"


def test_an_l76_is_asked_configured_and_put_into_standby(run: Path, launch: Launch) -> None:
    process = launch("gnss", "--link", run / "gnss", "--route", "38.7,-9.1", "--receiver", "quectel-pmtk")
    with opened(run / "gnss") as port:
        port.write(b"$PMTK605*31\r\n")
        read_until(port, b"Quectel-L76L,1.0*53\r\n")
        port.write(b"$PMTK220,200*2C\r\n$PMTK314,0,1,0,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0*28\r\n")
        read_until(port, b"$PMTK001,220,3*30\r\n$PMTK001,314,3*36\r\n")
        process.wait_for_line("obeyed rate 200 ms", SPOKEN_S)
        assert {line[2:5] for line in b"$".join(epochs(port, 2)).split(b"$") if line} >= {b"RMC"}
        port.write(b"$PMTK161,0*28\r\n")
        read_until(port, b"$PMTK001,161,3*36\r\n")
        process.wait_for_line("asleep", SPOKEN_S)
        port.timeout = 0.5
        assert port.read(1) == b""
        port.timeout = 10
        port.write(b"\xff")
        assert port.read(17) == b"$PMTK010,002*2D\r\n"
        process.wait_for_line("awake", SPOKEN_S)
        assert not {line[2:5] for line in b"$".join(epochs(port, 2)).split(b"$") if line} & {b"GSV", b"GSA"}


def test_an_lg290p_is_configured_and_starts_again(run: Path, launch: Launch) -> None:
    process = launch("gnss", "--link", run / "gnss", "--route", "38.7,-9.1", "--receiver", "quectel-pqtm")
    with opened(run / "gnss") as port:
        port.write(b"$PQTMVERNO*58\r\n")
        read_until(port, b"$PQTMVERNO,LG290P")
        port.write(b"$PQTMCFGFIXRATE,W,1000*59\r\n$PQTMCFGCNST,W,1,0,0,0,0,0*2A\r\n$PQTMSAVEPAR*5A\r\n")
        read_until(port, b"$PQTMCFGFIXRATE,OK*27\r\n$PQTMCFGCNST,OK*78\r\n$PQTMSAVEPAR,OK*72\r\n")
        port.write(b"$PQTMSRR*4B\r\n")
        read_until(port, b"$PQTMVER,1,MODULE,LG290P")
        process.wait_for_line("obeyed rate 1000 ms", SPOKEN_S)
        read_until(port, b"$GPGGA,")
        assert b"$GLGSV" not in read_until(port, b"$GPGGA,")
        port.write(b"$PQTMGNSSSTOP*09\r\n")
        read_until(port, b"$PQTMGNSSSTOP,OK*21\r\n")
        process.wait_for_line("asleep", SPOKEN_S)
        port.write(b"$PQTMVERNO*58\r\n")
        assert port.read(11) == b"$PQTMVERNO,", "nothing but the answer"


@pytest.mark.parametrize("kind", ["nmea", "ublox"])
def test_a_reader_at_another_speed_reads_garbage_and_tells_nothing(run: Path, launch: Launch, kind: str) -> None:
    process = launch("gnss", "--link", run / "gnss", "--route", "38.7,-9.1", "--receiver", kind, "--baud", "9600")
    with opened(run / "gnss", 38_400) as port:
        port.write(UBXMessage.config_set(SET_LAYER_RAM, TXN_NONE, [("CFG_RATE_MEAS", 200)]).serialize())
        garbage = port.read(1_000)
        assert len(garbage) == 1_000
        assert not re.search(rb"\$G[A-Z]{4},", garbage)
        # some of it may have been there before: what comes in the next epoch comes after the command was heard
        port.reset_input_buffer()
        assert port.read(1)
        port.baudrate = 9_600
        read_until(port, b"GGA,")
        if kind == "ublox":
            port.write(UBXMessage("MON", "MON-VER", POLL).serialize())
            assert answer_of(port).identity == "MON-VER"
    assert "obeyed" not in process.log.read_text()


def test_a_log_has_a_speed_too(run: Path, launch: Launch, log: Path) -> None:
    launch("gnss", "--nmea", log, "--speed", "2", "--loop", "--link", run / "gnss", "--baud", "4800")
    with opened(run / "gnss", 9_600) as port:
        assert b"$GPGGA" not in port.read(400)
        port.baudrate = 4_800
        read_until(port, EPOCH_A)
