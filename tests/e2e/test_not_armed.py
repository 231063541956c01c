"""A device that cannot be armed: its button is felt, why is shown, and it is armed as soon as it can be."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from bondmate.running import LAST_GOOD_FILE
from bondmate_sim.commands import CommandError
from bondmate_sim.process import wait_until
from bondmate_sim.world import LED_PIN, World
from tests.e2e.conftest import ctl, make_world, press, wait_for_alerts, wait_for_state
from tests.e2e.not_armed import start_without_credentials, wait_until_armed, wait_until_felt, wait_until_it_says

__all__ = ["make_world"]

MakeWorld = Callable[..., World]

pytestmark = pytest.mark.timeout(180)


def test_it_is_felt_and_shown_and_armed_in_the_same_process_when_the_credentials_are_there(
    make_world: MakeWorld,
) -> None:
    world = make_world(on_duty=False)
    content = start_without_credentials(world)
    world.start_daemon()  # it is ready, though not armed: whoever waits for that would end it
    assert world.notify.notices("STATUS")[0].value.startswith("not armed: ")
    fault = wait_until_it_says(world, "no credentials")
    assert "credentials.json" in fault["text"]
    wait_until_felt(world, "not stored")
    press(world)
    wait_until_felt(world, "not stored", "not stored")
    wait_until(lambda: len(world.edges(LED_PIN)) >= 4, 30, "the LED's double flash")
    status = ctl(world, "status")
    assert (status["device"], status["session"], status["store"]) == (None, None, {"ok": None})
    with pytest.raises(CommandError, match="not armed: no credentials"):
        ctl(world, "alert", "raise")

    pid = world.daemon.pid
    kept = world.directory / "credentials" / "credentials.json"
    kept.touch(mode=0o600)
    kept.write_bytes(content)
    armed = wait_until_armed(world)
    assert armed["device"] == world.device
    assert world.daemon.pid == pid
    assert not [each for each in armed["faults"] if each["code"] == "not-armed"]
    press(world)
    wait_for_state(world, "delivered")
    [alert] = wait_for_alerts(world, 1)
    assert alert["device"] == world.device
    wait_until_felt(world, "not stored", "not stored", "stored", "delivered")


def test_a_finger_that_holds_through_the_arming_raises_an_alert(make_world: MakeWorld) -> None:
    world = make_world(on_duty=False, hold_s=2.0)
    content = start_without_credentials(world)
    world.start_daemon()
    wait_until_it_says(world, "no credentials")
    world.set_contact(17, closed=True)
    wait_until_felt(world, "not stored", "not stored")  # the hold was felt as what it is
    (world.directory / "credentials" / "credentials.json").write_bytes(content)
    wait_until_armed(world)
    wait_for_state(world, "delivered")
    world.set_contact(17, closed=False)
    wait_until_felt(world, "not stored", "not stored", "stored", "delivered")


def test_damaged_credentials_are_no_silent_dead_button(make_world: MakeWorld) -> None:
    world = make_world(on_duty=False)
    start_without_credentials(world)
    (world.directory / "credentials" / "credentials.json").write_bytes(b"{")
    world.start_daemon()
    fault = wait_until_it_says(world, "the credentials cannot be used")
    assert "not JSON" in fault["text"]
    press(world)
    wait_until_felt(world, "not stored", "not stored")


def test_a_disk_that_is_not_mounted_is_told_and_taken_when_it_comes(make_world: MakeWorld) -> None:
    world = make_world(on_duty=False)
    content = start_without_credentials(world)
    credentials, state = world.directory / "credentials", world.directory / "state"
    away = {path: path.rename(path.with_name(f"{path.name}-away")) for path in (credentials, state) if path.exists()}
    world.start_daemon()
    wait_until_it_says(world, "is not there: the disk with the credentials is not mounted")
    press(world)
    wait_until_felt(world, "not stored", "not stored")
    for path, kept in away.items():
        kept.rename(path)
    (credentials / "credentials.json").write_bytes(content)
    wait_until_armed(world)


def test_a_state_directory_that_is_not_there_still_transmits(make_world: MakeWorld) -> None:
    world = make_world(on_duty=False)
    content = start_without_credentials(world)
    (world.directory / "credentials" / "credentials.json").write_bytes(content)
    state = world.directory / "state"
    if state.exists():
        state.rename(state.with_name("state-away"))
    world.start_daemon()
    assert ctl(world, "status")["state"] == "degraded"
    press(world)
    [alert] = wait_for_alerts(world, 1)
    assert alert["device"] == world.device
    wait_until_felt(world, "not stored", "delivered")


def test_with_a_broken_configuration_the_last_good_one_keeps_the_button_alive(make_world: MakeWorld) -> None:
    world = make_world(on_duty=False)
    start_without_credentials(world)
    text = world.config_file.read_text()
    state = world.directory / "state"
    state.mkdir(exist_ok=True)
    (state / LAST_GOOD_FILE).write_text(text)
    world.config_file.write_text(text.replace("led_pin = 27", 'led_pin = "x"'))
    world.start_daemon()
    wait_until_it_says(world, "no credentials")
    assert "configuration" in [fault["code"] for fault in ctl(world, "status")["faults"]]


def test_it_ends_when_it_is_told_to_and_feeds_the_watchdog_until_then(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(on_duty=False)
    start_without_credentials(world)
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    world.start_daemon()
    world.daemon.wait_until(lambda: len(world.notify.notices("WATCHDOG")) >= 4, 60, "to feed the watchdog")
    assert world.daemon.stop() == 0


OWN_MOUNTS = ("unshare", "--user", "--map-root-user", "--mount", "--")


def test_with_its_whole_disk_read_only_a_device_that_has_credentials_still_transmits(make_world: MakeWorld) -> None:
    possible = (
        shutil.which("unshare") is not None and subprocess.run([*OWN_MOUNTS, "true"], check=False).returncode == 0
    )
    if not possible:
        pytest.skip("needs a mount namespace of its own, which this machine does not allow")
    world = make_world(on_duty=False)
    content = start_without_credentials(world)
    (world.directory / "credentials" / "credentials.json").write_bytes(content)
    data = " && ".join(
        f'mount --bind "{path}" "{path}" && mount -o remount,ro,bind "{path}"'
        for path in (world.directory / "credentials", world.directory / "state")
    )
    world.daemon.command = [*OWN_MOUNTS, "sh", "-c", f'{data} && exec "$@"', "sh", *world.daemon.command]
    world.start_daemon()
    with pytest.raises(OSError, match="Read-only"):
        Path(f"/proc/{world.daemon.pid}/root{world.directory}/state/x").touch()
    wait_until(lambda: ctl(world, "status")["state"] == "degraded", 40, "the store's fault")
    press(world)
    [alert] = wait_for_alerts(world, 1)
    assert alert["device"] == world.device
    wait_until_felt(world, "not stored", "delivered")
