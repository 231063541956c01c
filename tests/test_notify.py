import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bondmate.notify import ServiceManager
from bondmate_sim.notify import NotifySocket
from bondmate_sim.process import wait_until
from tests.sim.conftest import run

__all__ = ["run"]


@pytest.fixture
def listener(run: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NotifySocket]:
    """The other end, in systemd's place."""
    socket = NotifySocket(run / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", str(socket.path))
    yield socket
    socket.close()


def heard(listener: NotifySocket, last: str) -> list[tuple[str, str]]:
    """All that was said, as soon as `last` was."""
    wait_until(lambda: listener.notices(last), 5, last)
    return [(notice.name, notice.value) for notice in listener._notices]


def test_each_message_is_what_systemd_expects(listener: NotifySocket) -> None:
    manager = ServiceManager()
    manager.ready("armed, BM-7f3a09c1")
    manager.status("no fix")
    manager.alive()
    manager.stopping()
    assert heard(listener, "STOPPING") == [
        ("READY", "1"),
        ("STATUS", "armed, BM-7f3a09c1"),
        ("STATUS", "no fix"),
        ("WATCHDOG", "1"),
        ("STOPPING", "1"),
    ]


def test_without_a_manager_nothing_is_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    manager = ServiceManager()
    with caplog.at_level(logging.DEBUG):
        manager.ready("armed")
        manager.alive()
    assert not caplog.records


def test_a_manager_that_has_gone_is_reported_once_and_stops_nothing(
    listener: NotifySocket, caplog: pytest.LogCaptureFixture
) -> None:
    manager = ServiceManager()
    listener.close()
    for _ in range(3):
        manager.alive()
    manager.stopping()
    [record] = caplog.records
    assert "the service manager at NOTIFY_SOCKET does not answer" in record.getMessage()


def test_a_manager_that_is_back_is_told_again(listener: NotifySocket, run: Path) -> None:
    manager = ServiceManager()
    listener.close()
    manager.alive()
    again = NotifySocket(run / "notify")
    manager.ready("armed")
    assert heard(again, "STATUS") == [("READY", "1"), ("STATUS", "armed")]
    again.close()


@pytest.mark.parametrize(
    ("usec", "pid", "expected_s"),
    [
        ("30000000", None, 30.0),
        ("500000", "ours", 0.5),
        ("30000000", "1", None),
        ("0", None, None),
        ("soon", None, None),
        ("-1", None, None),
        ("", None, None),
        (None, None, None),
    ],
)
def test_the_watchdog_is_fed_only_where_it_was_asked_for_of_us(
    usec: str | None, pid: str | None, expected_s: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in sd_watchdog_enabled(3): a value of 0 is none, and another process's is not ours."""
    for name, value in (("WATCHDOG_USEC", usec), ("WATCHDOG_PID", str(os.getpid()) if pid == "ours" else pid)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert ServiceManager().watchdog_s == expected_s
