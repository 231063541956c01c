"""What the gateway does by itself: rollouts go on, and the keys of wiped devices are forgotten."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

import cbor2
import pytest

from bondmate_sim.gateway import bundles, inventory, keys, messages, rollouts, wipes
from bondmate_sim.gateway.chores import Chores
from bondmate_sim.gateway.desk import Desk
from bondmate_sim.gateway.pushes import Pushes
from bondmate_sim.gateway.rollouts import Order
from tests.gateway import twin
from tests.gateway.recruit import Keys, Office, Recruit

NOW_MS = 1_795_186_800_000


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path / "data")
    with contextlib.closing(made.database):
        yield made


def chores(office: Office, base_url: str | None = "https://gateway.example") -> Chores:
    return Chores(office.database, office.inbox, Pushes(), keys.load_or_create(office.place), base_url)


def say(recruit: Recruit, own: Keys, sequence: int, *states: list[object]) -> bytes | None:
    """Submit a message-state under a device's own keys, and return the receipt."""
    context = recruit.context(own)
    payload = cbor2.dumps([1, 20, sequence, None, 1000, twin.CLOCK, None, list(states)])
    tagged = twin.sign(payload, ["bondmate record 1", recruit.file.device, context.id_context], recruit.key)
    return recruit.post(context, "r", tagged)


def fetch(office: Office, device: bytes) -> None:
    with office.database.transaction():
        messages.answer(office.database, device, 0, keys.load_or_create(office.place))


def test_a_rollout_is_stepped_and_told_of(office: Office, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.INFO)
    recruit, own = office.enrolled()
    (tmp_path / "made").write_bytes(b"bundle")
    bundles.add(office.database, office.place, tmp_path / "made", "1.3.0", NOW_MS)
    order = Order("Ann", at_once=False, tolerated_percent=0, overdue_ms=1000)
    rollouts.start(office.database, "1.3.0", [], lambda count: count, order, NOW_MS)
    nowhere = chores(office, None)
    for _ in range(2):
        nowhere.look(NOW_MS)
    assert caplog.text.count("rollout 1 of 1.3.0 waits: start 'bondmate-gateway run' with --bundles") == 1
    chores(office).look(NOW_MS)
    assert f"rollout 1 of 1.3.0: told {recruit.file.name}" in caplog.text
    fetch(office, recruit.file.device)
    assert say(recruit, own, 1, [1, 6, "no space"]) is not None
    chores(office).look(NOW_MS + 1)
    assert "STOPPED rollout 1 of 1.3.0: 1 of 1 devices that were told failed" in caplog.text


def test_a_wiped_devices_keys_open_nothing_a_week_later_and_are_not_on_the_disk(office: Office) -> None:
    recruit, own = office.enrolled()
    Desk(office.database, keys.load_or_create(office.place), "Ann", NOW_MS).wipe(recruit.file.device)
    fetch(office, recruit.file.device)
    assert say(recruit, own, 1, [1, 5, ""]) is not None
    (shown,) = inventory.devices(office.database, NOW_MS)
    assert shown["state"] == "wiped"
    office.database.rows("UPDATE message_state SET received_ms = ?", (NOW_MS,))
    look = chores(office).look
    look(NOW_MS + wipes.ANSWERED_MS - 1)
    assert say(recruit, own, 1, [1, 5, ""]) is not None, "the receipt was lost, and is had again"
    assert own.secret in on_disk(office)
    look(NOW_MS + wipes.ANSWERED_MS)
    assert say(recruit, own, 1, [1, 5, ""]) is None
    assert own.secret not in on_disk(office)
    office.restart()
    assert say(recruit, own, 1, [1, 5, ""]) is None
    (shown,) = inventory.devices(office.database, NOW_MS)
    assert (shown["state"], shown["sessions"]) == ("wiped", [])


def on_disk(office: Office) -> bytes:
    return b"".join(each.read_bytes() for each in office.place.iterdir() if each.is_file())
