import os
import threading
import time
from pathlib import Path

import pytest
import serial

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
    assert wait_until(lambda: process.pid is None, 5, "the end")
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
    wait_until(lambda: listener.data.count(EPOCH_A) >= 2, 10, "the second pass")
    assert process.stop() == 0
    listener.join()
    assert (PLAYED + PLAYED).startswith(listener.data[: len(PLAYED) + len(EPOCH_A)])
    assert not (run / "gnss").is_symlink()


def test_a_port_that_nobody_opens_does_not_stop_the_clock(run: Path, launch: Launch, tmp_path: Path) -> None:
    many = tmp_path / "many.log"
    many.write_bytes(b"".join(b"$GPRMC,12%02d%02d,A,%s*00\n" % (n // 60, n % 60, b"x" * 400) for n in range(300)))
    process = launch("gnss", "--nmea", many, "--speed", "300", "--link", run / "gnss")
    assert wait_until(lambda: process.pid is None, 15, "the end of the log")
    assert process.stop() == 0


def test_a_walker_speaks_every_second_with_the_present_time(run: Path, launch: Launch) -> None:
    launch("gnss", "--link", run / "gnss", "--route", "-33.9249,18.4241", "-33.9260,18.4250")
    with serial.Serial(str(run / "gnss"), 9600, timeout=10) as port:
        lines = [port.readline().decode("ascii") for _ in range(12)]
    gga = [line.split(",") for line in lines if line.startswith("$GPGGA")]
    assert len(gga) >= 2
    assert gga[0][2:6] == ["3355.49400", "S", "01825.44600", "E"] or gga[0][2].startswith("3355.4")
    seconds = [int(one[1][:2]) * 3600 + int(one[1][2:4]) * 60 + float(one[1][4:]) for one in gga]
    assert 0.5 < (seconds[1] - seconds[0]) % 86_400 < 5
    now = time.gmtime()
    assert (now.tm_hour * 3600 + now.tm_min * 60 + now.tm_sec - seconds[0]) % 86_400 < 60
