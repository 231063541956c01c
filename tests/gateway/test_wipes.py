"""Wiping: how the message comes to a device that is revoked, whose word counts, and what is forgotten when."""

from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from bondmate_sim.gateway import devices, inventory, messages, records, sent, sessions, unfetched, wipes
from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.desk import Desk
from bondmate_sim.gateway.receipts import Verdict
from tests.gateway.cddl import validate_messages
from tests.gateway.device import FIRST, Device

KEY = ec.generate_private_key(ec.SECP256R1())
CARRIED_OUT, FAILED = 5, 6


@pytest.fixture
def device(database: Database) -> Device:
    return Device(database)


def desk(device: Device) -> Desk:
    return Desk(device.database, KEY, "Ann", device.now_ms)


def ask(device: Device, cursor: int) -> list[list[Any]]:
    """Return the number and type of each message that a device gets."""
    revoked = devices.device(device.database, device.made.device).revoked
    answering = messages.answer_revoked if revoked else messages.answer
    with device.database.transaction():
        answer = answering(device.database, device.made.device, cursor, KEY)
    return [messages.content(each)[1:3] for each in validate_messages(answer.payload)]


def revoke(device: Device) -> None:
    assert devices.revoke(device.database, device.made.device, device.now_ms)


def say(device: Device, *states: list[Any]) -> None:
    device.send(records.MESSAGE_STATE, 1000, body=list(states))


def state(device: Device) -> str:
    (shown,) = inventory.devices(device.database, device.now_ms)
    return str(shown["state"])


def types(device: Device) -> list[tuple[int, str, str]]:
    return [(each["number"], each["type"], each["state"]) for each in sent.sent(device.database, device.made.device)]


def test_a_device_is_wiping_until_it_says_that_it_is_wiped(device: Device) -> None:
    desk(device).wipe(device.made.device)
    assert state(device) == "wiping"
    assert ask(device, 0) == [[1, 9]]
    say(device, [1, 1])
    assert state(device) == "wiping"
    device.send(records.PANIC, 1500)
    assert device.outcome is not None
    assert device.outcome.entry.verdict is Verdict.HELD, "a call before it is wiped is a call"
    say(device, [1, CARRIED_OUT, ""])
    assert device.outcome.entry.reason is None, "it was not revoked when it said so"
    (shown,) = inventory.devices(device.database, 0)
    assert (shown["state"], shown["revoked"]) == ("wiped", True)
    assert shown["wiped_at"] == shown["revoked_at"] is not None
    assert [each[1:] for each in types(device)] == [("wipe", "carried-out")]
    assert any(alarm.startswith(f"WIPED: {device.name}") for alarm in device.outcome.alarms)


def test_one_that_is_wiped_gets_the_receipt_of_what_is_held_again_and_no_other(device: Device) -> None:
    desk(device).wipe(device.made.device)
    ask(device, 0)
    verdicts = []
    for _ in range(2):
        device.sequences.clear()
        say(device, [1, CARRIED_OUT, ""])
        verdicts.append(device.outcome and device.outcome.entry.verdict)
    device.send(records.PANIC, 9000)
    verdicts.append(device.outcome and device.outcome.entry.verdict)
    assert verdicts == [Verdict.HELD, Verdict.HELD, Verdict.REFUSED]
    (shown,) = inventory.devices(device.database, 0)
    assert len(shown["attempts"]) == 1


def test_asking_for_it_again_changes_nothing_before_or_after(device: Device) -> None:
    for _ in range(2):
        desk(device).wipe(device.made.device)
    ask(device, 0)
    say(device, [1, CARRIED_OUT, ""])
    desk(device).wipe(device.made.device)
    assert len(types(device)) == 1
    assert state(device) == "wiped"


@pytest.mark.parametrize("told", [[1, FAILED, "the card is broken"], [1, 4]])
def test_a_wipe_that_came_to_nothing_can_be_asked_for_again(device: Device, told: list[Any]) -> None:
    desk(device).wipe(device.made.device)
    ask(device, 0)
    say(device, told)
    assert state(device) == "enrolled"
    desk(device).wipe(device.made.device)
    assert (state(device), len(types(device))) == ("wiping", 2)


def test_a_revoked_device_gets_the_wipe_alone_behind_its_cursor(device: Device) -> None:
    for text in ("had", "not had", "nor this"):
        desk(device).message(device.made.device, text, [], urgent=False)
    desk(device).wipe(device.made.device)
    with device.database.transaction():
        messages._remember(device.database, device.made.device, fetched=1, served=1)
    revoke(device)
    assert ask(device, 1) == [[2, 9]]
    assert ask(device, 1) == [[2, 9]], "the answer was lost"
    assert ask(device, 2) == []
    shown = sent.sent(device.database, device.made.device)
    assert [(each["number"], each["text"], each["state"]) for each in shown] == [
        (1, "had", "fetched"),
        (2, None, "fetched"),
        (3, "not had", "waiting"),
        (4, "nor this", "waiting"),
    ]
    desk(device).wipe(device.made.device)
    assert len(types(device)) == 4


def test_a_wipe_that_it_fetched_before_it_was_revoked_is_not_sent_again(device: Device) -> None:
    desk(device).message(device.made.device, "come in", [], urgent=False)
    desk(device).wipe(device.made.device)
    assert ask(device, 0) == [[1, 1], [2, 9]]
    revoke(device)
    assert ask(device, 2) == []
    assert ask(device, 0) == [[1, 9]], "unless it lost its store"


def test_what_became_of_messages_goes_with_them_when_a_wipe_takes_their_place(device: Device) -> None:
    for text in ("one", "two"):
        desk(device).message(device.made.device, text, ["yes"], urgent=False)
    ask(device, 0)
    say(device, [1, 3, "yes"], [2, 2])
    desk(device).wipe(device.made.device)
    revoke(device)
    assert ask(device, 0) == [[1, 9]]
    assert types(device) == [(1, "wipe", "waiting"), (2, "message", "answered"), (3, "message", "read")]


def test_a_revoked_device_with_a_cursor_ahead_of_a_restored_database_is_wiped_too(device: Device) -> None:
    desk(device).wipe(device.made.device)
    revoke(device)
    assert ask(device, 7) == [[8, 9]]
    assert ask(device, 8) == []
    say(device, [8, CARRIED_OUT, ""])
    assert state(device) == "wiped"


def test_of_a_revoked_device_the_word_about_wipes_alone_counts(device: Device) -> None:
    desk(device).message(device.made.device, "come in", [], urgent=False)
    desk(device).wipe(device.made.device)
    ask(device, 0)
    revoke(device)
    say(device, [1, 2], [2, CARRIED_OUT, ""])
    assert device.outcome is not None
    assert (device.outcome.entry.verdict, device.outcome.entry.reason) == (Verdict.REFUSED, 1)
    assert device.outcome.alarms
    assert types(device) == [(1, "message", "waiting"), (2, "wipe", "carried-out")]
    (shown,) = inventory.devices(device.database, 0)
    assert (shown["state"], len(shown["attempts"])) == ("wiped", 1)
    assert ask(device, 0) == []


def test_a_device_cannot_be_wiped_by_a_wipe_that_it_never_got(device: Device) -> None:
    desk(device).wipe(device.made.device)
    say(device, [1, CARRIED_OUT, ""])
    assert state(device) == "wiping"


def test_carrying_out_something_else_wipes_nothing(device: Device) -> None:
    with device.database.transaction():
        for kind in (messages.Type.REKEY, messages.Type.WIPE):
            messages.write(device.database, device.made.device, messages.Draft(kind, [], "Ann"), KEY, 0)
    ask(device, 0)
    say(device, [1, CARRIED_OUT, ""])
    assert state(device) == "wiping"


def test_devices_that_wait_for_a_wipe_are_woken_also_when_they_are_revoked(device: Device) -> None:
    def waiting() -> list[unfetched.Waiting]:
        return list(unfetched.waiting(device.database, device.now_ms))

    desk(device).message(device.made.device, "secret", [], urgent=True)
    revoke(device)
    assert waiting() == []
    desk(device).wipe(device.made.device)
    assert waiting() == [unfetched.Waiting(device.made.device, 2, ((2, device.now_ms),))]
    assert ask(device, 0) == [[1, 9]]
    say(device, [1, CARRIED_OUT, ""])
    assert waiting() == [], "it will never ask with the cursor behind it"


def test_keys_are_forgotten_a_week_after_and_records_stay(device: Device) -> None:
    session = sessions.Window(0, 5)
    with device.database.transaction():
        sessions.save(device.database, device.made.kids["ip"], FIRST, session, 32, device.now_ms)
    alert = device.send(records.PANIC, 500)
    desk(device).wipe(device.made.device)
    ask(device, 0)
    assert forget(device, device.now_ms + 2 * wipes.ANSWERED_MS) == {}, "not before it says so"
    say(device, [1, CARRIED_OUT, ""])
    assert forget(device, device.now_ms + wipes.ANSWERED_MS - 1) == {}, "its receipt may have been lost"
    assert devices.bearer(device.database, device.made.kids["ip"]) is not None
    forgotten = forget(device, device.now_ms + wipes.ANSWERED_MS)
    assert {each: sorted(kids) for each, kids in forgotten.items()} == {
        device.made.device: sorted(device.made.kids.values())
    }
    assert all(devices.bearer(device.database, kid) is None for kid in device.made.kids.values())
    assert device.database.rows("SELECT * FROM session") == []
    assert device.database.rows("SELECT channel_secret FROM device") == [(bytes(32),)]
    assert device.database.rows("SELECT tagged FROM record WHERE stream = 0") == [(alert,)]
    assert state(device) == "wiped"
    assert forget(device, device.now_ms + 2 * wipes.ANSWERED_MS) == {}


def test_no_other_device_is_forgotten(device: Device) -> None:
    other = Device(device.database)
    desk(device).wipe(other.made.device)
    desk(device).wipe(device.made.device)
    ask(device, 0)
    say(device, [1, CARRIED_OUT, ""])
    assert list(forget(device, device.now_ms + wipes.ANSWERED_MS)) == [device.made.device]


def forget(device: Device, now_ms: int) -> dict[bytes, list[bytes]]:
    with device.database.transaction():
        return wipes.forget(device.database, now_ms)


def test_an_empty_answer_is_an_empty_array(device: Device) -> None:
    revoke(device)
    with device.database.transaction():
        answer = messages.answer_revoked(device.database, device.made.device, 0, KEY)
    assert answer.payload == cbor2.dumps([])
