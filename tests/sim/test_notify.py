import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bondmate_sim.notify import Notice, NotifySocket
from bondmate_sim.process import wait_until


@pytest.fixture
def listening(run: Path) -> Iterator[NotifySocket]:
    with contextlib.closing(NotifySocket(run / "notify.sock")) as made:
        yield made


def tell(listening: NotifySocket, message: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as service:
        service.sendto(message, str(listening.path))


def test_assignments_are_kept_with_their_time(listening: NotifySocket) -> None:
    before = time.monotonic_ns()
    tell(listening, b"READY=1\nSTATUS=armed, a=b\n")
    (status,) = wait_until(lambda: listening.notices("STATUS"), 30, "the message")
    assert isinstance(status, Notice)
    assert status.value == "armed, a=b"
    assert before <= status.t_ns <= time.monotonic_ns()
    assert [one.value for one in listening.notices("READY")] == ["1"]
    assert listening.notices("READY", since_ns=time.monotonic_ns()) == []


def test_a_service_that_talks_a_lot_is_never_blocked(listening: NotifySocket) -> None:
    for _ in range(500):  # the kernel queues 10 to 512
        tell(listening, b"WATCHDOG=1")
    assert wait_until(lambda: len(listening.notices("WATCHDOG")) == 500, 30, "all of them")


def test_closing_removes_the_socket(run: Path) -> None:
    made = NotifySocket(run / "notify.sock")
    made.close()
    assert not made.path.exists()
