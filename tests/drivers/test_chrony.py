"""What chrony is told: by a socket that a real chronyd reads, and by ones that are not there, not ours, or full."""

import logging
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bondmate.drivers.chrony import ChronySocket, sample
from bondmate_sim.process import Process, wait_until

UTC_MS = 1_795_186_800_250


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    """A socket in chronyd's place."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(tmp_path / "sock"))
        yield bound


def test_a_sample_is_chronys_structure() -> None:
    octets = sample(1_795_186_800_123_456_789, UTC_MS)
    assert len(octets) == 40
    assert struct.unpack("@ll", octets[:16]) == (1_795_186_800, 123_456)
    assert struct.unpack("@d", octets[16:24])[0] == pytest.approx(0.126543211)
    assert struct.unpack("@iiii", octets[24:]) == (0, 0, 0, 0x534F434B)


def test_a_clock_that_is_ahead_or_in_1970_has_an_offset_too() -> None:
    assert struct.unpack("@lld", sample(1_500_000_000, UTC_MS)[:24]) == pytest.approx((1, 500_000, UTC_MS / 1000 - 1.5))
    assert struct.unpack("@d", sample((UTC_MS + 2000) * 1_000_000, UTC_MS)[16:24]) == (-2.0,)


def test_it_is_told_by_the_systems_clock(listener: socket.socket, tmp_path: Path) -> None:
    with closing(ChronySocket(tmp_path / "sock", lambda: 7_000_000_000)) as chrony:
        chrony.tell(UTC_MS)
    assert listener.recv(100) == sample(7_000_000_000, UTC_MS)


def test_a_socket_that_does_not_work_is_told_once_and_used_again_when_it_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "sock"
    with closing(ChronySocket(path)) as chrony, caplog.at_level(logging.WARNING):
        for _ in range(3):
            chrony.tell(UTC_MS)
        [record] = caplog.records
        assert record.getMessage() == f"chrony is not told the time at {path}: [Errno 2] No such file or directory"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
            bound.bind(str(path))
            chrony.tell(UTC_MS)
            assert len(bound.recv(100)) == 40
        chrony.tell(UTC_MS)  # nobody holds it any more
        assert "Connection refused" in caplog.messages[-1]


def test_one_that_nobody_reads_is_not_waited_for(listener: socket.socket, tmp_path: Path) -> None:
    queue = int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text())
    with closing(ChronySocket(tmp_path / "sock")) as chrony:
        for _ in range(queue + 100):
            chrony.tell(UTC_MS)
    listener.setblocking(False)
    held = list(iter(lambda: take(listener), b""))
    assert 0 < len(held) < queue + 100, "the rest was dropped"


def take(listener: socket.socket) -> bytes:
    """What is there; nothing when nothing is."""
    try:
        return listener.recv(100)
    except BlockingIOError:
        return b""


# --- the real one --------------------------------------------------------------------------------


@pytest.fixture
def chronyd() -> Iterator[Path]:
    """A chronyd that lets the clock alone; the directory where it has its sockets, `samples` and `commands`."""
    program = shutil.which("chronyd", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None or os.geteuid() != 0:
        pytest.skip("no chronyd here, or nobody is root: it is Debian's package chrony")
    # its user cannot enter pytest's directories
    run = Path(tempfile.mkdtemp(prefix="bondmate-"))
    shutil.chown(run, "_chrony", "_chrony")
    configuration = run / "chrony.conf"
    configuration.write_text(
        f"refclock SOCK {run}/samples refid GNSS poll 0 filter 1 delay 1.0\nauthselectmode require\n"
        f"bindcmdaddress {run}/commands\npidfile {run}/pid\nport 0\ncmdport 0\n"
    )
    # -x: it sets no clock
    running = Process("chronyd", [program, "-x", "-d", "-f", str(configuration)], run / "log")
    running.start()
    try:
        running.wait_until(lambda: (run / "samples").exists() and (run / "commands").exists(), 30, "to listen")
        yield run
    finally:
        running.stop()
        shutil.rmtree(run)


def test_a_real_chronyd_takes_the_samples_and_hears_how_far_the_clock_is_off(chronyd: Path) -> None:
    def source() -> list[str] | None:
        chrony.tell(time.time_ns() // 1_000_000 + 3000)
        time.sleep(0.1)  # not to wait, but because fixes come one after the other
        shown = subprocess.run(
            ["chronyc", "-h", chronyd / "commands", "-n", "-c", "sources"],
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        ).stdout.split(",")
        return shown if len(shown) > 5 and int(shown[5], 8) > 1 else None

    with closing(ChronySocket(chronyd / "samples")) as chrony:
        fields = wait_until(source, 50, "chronyd to have heard it more than once")
    assert fields[:3] == ["#", fields[1], "GNSS"]
    assert float(fields[8]) == pytest.approx(-3.0, abs=0.25), "how far the clock is ahead of what it was told"
