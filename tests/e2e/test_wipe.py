"""The end of a device's life, and new keys in its middle: the device against the reference gateway, each a process."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bondmate import credentials, erasing
from bondmate.network import NETWORK_FILE
from bondmate_sim.process import wait_until
from bondmate_sim.world import World
from tests.e2e.conftest import alerts, ctl, make_world, press, wait_for_alerts, wait_for_state
from tests.e2e.not_armed import SAID_S, wait_until_armed, wait_until_it_says
from tests.e2e.test_enrolment_gateway import Card, prepared

__all__ = ["make_world"]

MakeWorld = Callable[..., World]

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def card(make_world: MakeWorld) -> Card:
    """A device that was enrolled, is armed, and is heard by its gateway."""
    world = make_world(on_duty=False)
    made = prepared(world)
    world.start_daemon()
    wait_until_armed(world)
    wait_until(lambda: made.state() == "enrolled", SAID_S, "the gateway to have heard the new keys")
    return made


def another_file(card: Card) -> Card:
    """A technician puts another file on the card."""
    world = card.world
    address = f"coap://127.0.0.1:{world.relay_port}"
    [made] = world.at_gateway("enrol", "--count", "1", "--cards", "--address", address)
    part = card.file.with_suffix(".part")
    part.write_bytes(base64.b64decode(made["file"]))
    part.rename(card.file)
    return Card(world, made["device"])


def stored(world: World) -> list[str]:
    """What is on the device's disk."""
    folders: tuple[Path, ...] = (world.directory / "credentials", world.directory / "state")
    return sorted(path.name for folder in folders for path in folder.iterdir())


def test_what_was_pressed_is_delivered_then_it_is_wiped_and_becomes_another_device(card: Card) -> None:
    world = card.world
    world.gateway.kill()
    press(world)
    wait_for_state(world, "stored")
    world.at_gateway("wipe", card.device, "--by", "Ann")
    assert alerts(world) == []
    world.start_gateway()
    [alert] = wait_for_alerts(world, 1)
    assert (alert["device"], alert["verdict"]) == (card.device, "held")
    wait_until(lambda: faults(world).get("wipe"), SAID_S, "the device to know that it is to be wiped")
    assert "Ann" in faults(world)["wipe"]
    assert card.state() == "wiping", "its alert is open"
    assert (card.folder / credentials.CREDENTIALS_FILE).exists()
    world.at_gateway("close", str(alert["alert_id"]))
    wait_until(lambda: card.state() == "wiped", SAID_S, "the gateway to hear that it is wiped")
    wait_until_it_says(world, "wiped: enrol it anew (not enrolled yet: no enrolment file on the boot partition")
    assert not erasing.is_marked(card.folder)
    assert stored(world) == [NETWORK_FILE]

    following = another_file(card)
    assert following.device != card.device
    assert wait_until_armed(world)["device"] == following.device
    wait_until(lambda: following.state() == "enrolled", SAID_S, "the gateway to have heard its keys")
    press(world)
    wait_for_state(world, "delivered")
    assert {row["device"] for row in wait_for_alerts(world, 2)} == {card.device, following.device}
    assert card.state() == "wiped"


def test_a_device_that_is_killed_while_it_is_erased_goes_on_at_its_next_start(card: Card) -> None:
    world = card.world
    assert world.daemon.stop() == 0
    (world.directory / "state" / "outbox.db.damaged-7").mkdir()  # nothing that can be erased as a file
    world.start_daemon()
    wait_until_armed(world)
    world.at_gateway("wipe", card.device)
    ctl(world, "duty", "on")  # off duty nobody fetches a mailbox
    wait_until(lambda: card.state() == "wiped", SAID_S, "the gateway to hear that it is wiped")
    wait_until_it_says(world, "outbox.db.damaged-7 cannot be erased")
    world.daemon.kill()
    assert erasing.is_marked(card.folder)
    assert not (card.folder / credentials.CREDENTIALS_FILE).exists()
    world.start_daemon()
    wait_until_it_says(world, "outbox.db.damaged-7 cannot be erased")
    (world.directory / "state" / "outbox.db.damaged-7").rmdir()
    wait_until_it_says(world, "wiped: enrol it anew")
    assert stored(world) == [NETWORK_FILE]


def test_a_stolen_device_is_wiped_though_it_is_revoked_and_somebody_presses_it(card: Card) -> None:
    world = card.world
    world.at_gateway("revoke", card.device)
    press(world)
    wait_until(lambda: faults(world).get("refused"), SAID_S, "the gateway to refuse it")
    world.at_gateway("wipe", card.device)
    wait_until(lambda: card.state() == "wiped", SAID_S, "the gateway to hear that it is wiped")
    wait_until_it_says(world, "wiped: enrol it anew")
    assert stored(world) == [NETWORK_FILE]


def test_new_keys_are_ordered_used_and_told(card: Card) -> None:
    world = card.world
    before = keys(card)
    ctl(world, "duty", "on")
    world.at_gateway("rekey", card.device)
    wait_until(lambda: keys(card) != before, SAID_S, "the device to have other keys")

    def state() -> Any:
        [row] = [row for row in world.at_gateway("messages") if row["type"] == "rekey"]
        return row["state"]

    wait_until(lambda: state() == "carried-out", SAID_S, "the gateway to be told under the new keys")
    status = wait_until_armed(world)
    assert (status["device"], status["duty"]) == (card.device, "on"), "the shift goes on"
    press(world)
    wait_for_state(world, "delivered")
    [alert] = wait_for_alerts(world, 1)
    assert alert["device"] == card.device


@pytest.mark.long
@pytest.mark.timeout(900)
def test_new_keys_leave_nothing_in_memory(card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each begins another run in the same process, which finds the room of the one before."""
    world = card.world
    assert world.daemon.stop() == 0
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")  # as its unit has it
    world.start_daemon()
    ctl(world, "duty", "on")
    anonymous_kb = []
    for count in range(1, 11):
        before = keys(card)
        world.at_gateway("rekey", card.device)
        wait_until(lambda before=before: keys(card) != before, SAID_S, "the device to have other keys")  # type: ignore[misc]

        def told(count: int = count) -> bool:
            states = [row["state"] for row in world.at_gateway("messages") if row["type"] == "rekey"]
            return states == ["carried-out"] * count

        wait_until(told, SAID_S, "the gateway to be told under the new keys")
        wait_until_armed(world)
        lines = Path(f"/proc/{world.daemon.pid}/status").read_text(encoding="ascii").splitlines()
        anonymous_kb += [int(line.split()[1]) for line in lines if line.startswith("RssAnon:")]
    assert anonymous_kb[-1] - anonymous_kb[3] < 500, anonymous_kb


def keys(card: Card) -> tuple[Any, ...]:
    document = json.loads((card.folder / credentials.CREDENTIALS_FILE).read_text())
    return document["channel_secret"], document["bearers"]


def faults(world: World) -> dict[str, str]:
    """What the device's status says is wrong, by code."""
    return {each["code"]: each["text"] for each in ctl(world, "status")["faults"]}
