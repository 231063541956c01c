"""What an officer meets: no fix, a broken card, a button held at start, a slip of the finger, a bad configuration."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from bondmate.running import END_S
from bondmate_sim.board_client import BoardClient
from bondmate_sim.palm import Pattern, felt, pulses
from bondmate_sim.process import Process, wait_until
from bondmate_sim.world import BUTTON_PIN, VIBRATION_PIN, World
from tests.e2e.conftest import HOLD_S, alerts, ctl, press, wait_for_alerts, wait_for_state

BONDMATED = Path(sys.executable).with_name("bondmated")


def prepared(make_world: Callable[..., World]) -> World:
    """A world in which everything but receiver and daemon runs."""
    world = make_world()
    world.start_gateway()
    world.start_network()
    world.enrol()
    world.start_board()
    return world


def patterns(world: World, number: int) -> list[Pattern]:
    """The patterns felt so far, as soon as there are so many."""

    def look() -> list[Pattern] | None:
        seen = [one.pattern for one in felt(pulses(world.edges(VIBRATION_PIN)), time.monotonic_ns())]
        return seen if len(seen) >= number else None

    return wait_until(look, 30, f"{number} patterns")


def test_an_alert_without_a_fix_goes_at_once_and_a_position_follows(make_world: Callable[..., World]) -> None:
    world = prepared(make_world)
    world.start_daemon()
    press(world)
    wait_for_state(world, "delivered")
    [alert] = alerts(world)
    assert alert["fix"] is None
    assert alert["positions"] == 0
    world.start_receiver()

    def located() -> dict[str, object] | None:
        [now] = alerts(world)
        return now if now["positions"] else None

    alert = wait_until(located, 30, "a position behind the alert")
    fix = alert["fix"]
    assert isinstance(fix, dict)
    assert abs(fix["lat"] - 38.722) < 0.01


def test_a_tap_raises_nothing_and_one_hold_raises_one_alert(world: World) -> None:
    world.press(HOLD_S / 4)
    world.press(HOLD_S * 5)
    wait_for_state(world, "delivered")
    assert len(wait_for_alerts(world, 1)) == 1


def test_a_button_that_is_down_at_start_counts_from_then(make_world: Callable[..., World]) -> None:
    world = prepared(make_world)
    world.start_receiver()
    with BoardClient(world.board_socket) as board:
        board.request("drive", pin=BUTTON_PIN, level=0)
        world.start_daemon()
        wait_for_alerts(world, 1)
    assert len(alerts(world)) == 1


def test_stored_and_delivered_are_felt_in_that_order(world: World) -> None:
    press(world)
    assert patterns(world, 3) == ["stored", "stored", "delivered"], "at first it is felt that the device is armed"


def test_a_store_that_cannot_be_opened_is_felt_and_the_alert_goes_all_the_same(
    make_world: Callable[..., World],
) -> None:
    world = prepared(make_world)
    (world.directory / "state" / "outbox.db").mkdir()
    world.start_receiver()
    world.start_daemon()
    press(world)
    wait_for_alerts(world, 1)
    assert patterns(world, 2) == ["not stored", "delivered"]
    status = ctl(world, "status")
    assert status["store"] == {"ok": False}
    assert "store" in [fault["code"] for fault in status["faults"]]
    assert world.daemon.pid is not None


def test_a_bad_configuration_never_takes_the_button_away(world: World) -> None:
    world.config_file.write_text(world.config_file.read_text().replace("hold_s", "hold_seconds"))
    world.daemon.stop()
    world.start_daemon()
    press(world)
    wait_for_state(world, "delivered")
    status = ctl(world, "status")
    [fault] = [fault for fault in status["faults"] if fault["code"] == "configuration"]
    assert "hold_seconds" in fault["text"]


@pytest.mark.parametrize(
    ("good", "bad", "said"),
    [
        ('factory = "bondmate_sim"', 'factory = "lgpoi"', "no pin factory is called 'lgpoi'"),
        ("button_pin = 17", "button_pin = 63", "the button at pin 63 does not work"),
        ("/credentials", "/elsewhere", "credentials.json: No such file"),
    ],
)
def test_a_configuration_that_reads_well_but_does_not_work_gives_way_to_the_last_good_one(
    world: World, good: str, bad: str, said: str
) -> None:
    wait_until((world.directory / "state" / "last-good.toml").exists, 30, "the last good configuration")
    world.daemon.stop()
    text = world.config_file.read_text()
    assert good in text
    world.config_file.write_text(text.replace(good, bad))
    world.start_daemon()
    [fault] = [fault for fault in ctl(world, "status")["faults"] if fault["code"] == "configuration"]
    assert said in fault["text"]
    press(world)
    wait_for_state(world, "delivered")


def test_the_fall_back_outlives_the_end_of_what_failed_before_it(world: World) -> None:
    wait_until((world.directory / "state" / "last-good.toml").exists, 30, "the last good configuration")
    world.daemon.stop()
    world.config_file.write_text(world.config_file.read_text().replace("button_pin = 17", "button_pin = 63"))
    world.start_daemon()
    wait_until(lambda: ctl(world, "status")["uptime_s"] > END_S + 0.5, 30, "the daemon to live on")


def test_a_second_daemon_on_the_same_state_is_refused_and_the_first_goes_on(world: World) -> None:
    done = subprocess.run(
        [BONDMATED, "--config", world.config_file],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env=os.environ | {"BONDMATE_SIM_BOARD": str(world.board_socket)},
    )
    assert done.returncode == 1
    assert "in use by another bondmated" in done.stderr
    press(world)
    wait_for_state(world, "delivered")


def test_when_the_pins_are_gone_the_daemon_ends_for_systemd_to_start_it_again(world: World) -> None:
    world.board.kill()
    ended = wait_until(lambda: world.daemon.pid is None, 30, "the daemon to end")
    assert ended
    assert world.daemon.stop() == 1
    said = world.daemon.log.read_text()
    assert "the button at pin 17 does not work" in said or "went away; start it again" in said


def test_a_wiped_state_directory_is_a_visible_loss(world: World) -> None:
    press(world)
    wait_for_state(world, "delivered")
    world.daemon.kill()
    for kept in (world.directory / "state").iterdir():
        kept.unlink()
    world.start_daemon()
    press(world)
    wait_for_state(world, "delivered")
    assert sorted(str(alert["chain"]) for alert in alerts(world)) == ["broken", "whole"]


def test_the_daemon_ends_on_request_and_cleans_up(world: World) -> None:
    assert world.daemon.stop() == 0
    assert world.notify.notices("STOPPING")
    assert not world.api_socket.exists()


def test_a_cancelled_alert_is_shown_with_its_cancellation(world: World) -> None:
    press(world)
    wait_for_state(world, "delivered")
    assert ctl(world, "alert", "cancel")["state"] == "cancelled"
    cancelled = wait_until(lambda: [one for one in alerts(world) if one["state"] == "cancelled"], 30, "cancelled")
    assert len(cancelled) == 1
    with pytest.raises(Exception, match="no alert is open"):
        ctl(world, "alert", "cancel")


def test_the_daemon_stays_within_its_memory(make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> None:
    # the measuring of coverage takes memory of its own, in every process that inherits these
    for variable in ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"):
        monkeypatch.delenv(variable, raising=False)
    world = make_world()
    world.start()
    for _ in range(5):
        press(world)
        wait_for_state(world, "delivered")
    status = Path(f"/proc/{world.daemon.pid}/status").read_text()
    [peak_kib] = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")]
    assert peak_kib < 64 * 1024


def test_the_watchdog_is_fed_as_often_as_asked(make_world: Callable[..., World]) -> None:
    world = prepared(make_world)
    world.start_receiver()
    environment = {"BONDMATE_SIM_BOARD": str(world.board_socket), "NOTIFY_SOCKET": str(world.notify.path)}
    world.daemon = Process(
        "bondmated", world.daemon.command, world.daemon.log, environment | {"WATCHDOG_USEC": "400000"}
    )
    world.start_daemon()
    wait_until(lambda: len(world.notify.notices("WATCHDOG")) >= 3 or None, 30, "the watchdog to be fed")
    times = [notice.t_ns for notice in world.notify.notices("WATCHDOG")]
    assert min(later - earlier for earlier, later in pairwise(times)) > 0.1e9, "fed by a timer, not in a busy loop"
