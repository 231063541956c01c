"""What hangs is killed or starts anew, and an open alert goes on: the daemon, the manager, the kernel.

On the device of test_image.py, in this order; it is restarted three times. Runs with ./dev image-test --long.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from bondmate_sim.world import World
from tests.booted.conftest import READY_S, Bench, release
from tests.booted.machine import eventually
from tests.booted.qemu import ANSWER_S

pytestmark = pytest.mark.long

WATCHDOG, RESET = "WATCHDOG", "RESET"
"""QEMU's events: the board's watchdog has run out; the board starts anew, whoever had it do that."""


_WATCHDOG_OFF = (
    "busctl set-property org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager"
    " RuntimeWatchdogUSec t 0"
)


@pytest.fixture(scope="module")
def alert(bench: Bench) -> Iterator[dict[str, Any]]:
    """An alert that stays open over all of this, pressed while the gateway cannot be reached."""
    assert bench.alert() is None
    bench.world.gateway.stop()
    bench.press()
    yield eventually(lambda: _stored(bench), ANSWER_S, "the alert to be stored")
    bench.close()


def test_a_hung_daemon_is_killed_and_the_open_alert_goes_on(bench: Bench, world: World, alert: dict[str, Any]) -> None:
    """systemd hears nothing of it for ten seconds; the one that it starts then delivers what the first one stored."""
    pid = bench.machine.run("systemctl show bondmated --property=MainPID --value")
    bench.machine.run(f"kill -STOP {pid}")
    eventually(lambda: _running(bench) not in {pid, None}, READY_S, "systemd to start another one")
    assert "Watchdog timeout (limit 10s)!" in bench.machine.run("journalctl -b -u bondmated --no-pager")
    world.start_gateway()
    assert bench.delivered()["alert_id"] == alert["alert_id"]
    assert [held["alert_id"] for held in world.at_gateway("alerts")][-1] == alert["alert_id"]


def test_a_hung_kernel_is_reset_by_the_boards_watchdog(bench: Bench, alert: dict[str, Any]) -> None:
    """A kernel that crashed, and was told to stay so: no processor runs anything any more."""
    assert "panic=10" in bench.machine.run("cat /proc/cmdline")
    assert _restarted(bench, "echo 0 > /proc/sys/kernel/panic; echo c > /proc/sysrq-trigger") == [WATCHDOG, RESET]
    _armed_again(bench, alert)


def test_a_hung_manager_is_reset_by_the_boards_watchdog(bench: Bench, alert: dict[str, Any]) -> None:
    """PID 1 takes no SIGSTOP, but its control group can be frozen; all else goes on, and nobody would start it anew."""
    assert _restarted(bench, "echo 1 > /sys/fs/cgroup/init.scope/cgroup.freeze") == [WATCHDOG, RESET]
    _armed_again(bench, alert)


def test_a_kernel_that_panics_starts_anew_by_itself(bench: Bench, alert: dict[str, Any]) -> None:
    """Without a watchdog too, ten seconds later."""
    bench.machine.run(_WATCHDOG_OFF)
    assert _restarted(bench, "echo c > /proc/sysrq-trigger") == [RESET]
    _armed_again(bench, alert)


def _restarted(bench: Bench, command: str) -> list[str]:
    """Do what does not come back, and return what QEMU told of the board until it started anew."""
    with bench.machine.told() as until:
        bench.machine.run(f"(sleep 1; {command}) >/dev/null 2>&1 & true")
        events = until(RESET)
    release(bench.machine)
    return [event for event in events if event in {WATCHDOG, RESET}]


def _armed_again(bench: Bench, alert: dict[str, Any]) -> None:
    bench.machine.wait_for_shell()
    eventually(lambda: _running(bench), READY_S, "bondmated to say READY")
    now = eventually(bench.alert, ANSWER_S, "the alert")
    assert now["alert_id"] == alert["alert_id"]
    assert now["state"] != "closed"
    assert bench.machine.run("systemctl show --property=RuntimeWatchdogUSec --value") == "15s"


def _running(bench: Bench) -> str | None:
    """The process of a daemon that has said READY."""
    shown = bench.machine.run("systemctl show bondmated --property=ActiveState --property=MainPID")
    found = dict(line.split("=", 1) for line in shown.splitlines())
    return found["MainPID"] if found["ActiveState"] == "active" else None


def _stored(bench: Bench) -> dict[str, Any] | None:
    now = bench.alert()
    return now if now is not None and now["state"] == "stored" else None
