"""What a person at the gateway does, and what the devices are told of it."""

from typing import Any

import apsw
import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from bondmate_sim.gateway import devices, exercises, messages, records, view
from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.desk import Desk, DeskError
from bondmate_sim.gateway.messages import MessageError, Place
from tests.gateway import twin
from tests.gateway.cddl import validate_message
from tests.gateway.device import Device

KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def device(database: Database) -> Device:
    return Device(database, "north")


def desk(device: Device, by: str = "Ann") -> Desk:
    return Desk(device.database, KEY, by, device.now_ms)


def sent(device: Device) -> list[list[Any]]:
    """Return what lies in a mailbox: type, by, body of each message."""
    rows = device.database.rows("SELECT tagged FROM message WHERE device = ? ORDER BY number", (device.made.device,))
    for (tagged,) in rows:
        validate_message(tagged)
    found = [messages.content(tagged) for (tagged,) in rows]
    assert [each[1] for each in found] == list(range(1, len(found) + 1))
    return [[each[2], each[6], each[7]] for each in found]


def short(*tagged: bytes) -> list[bytes]:
    return [twin.digest(each)[:16] for each in tagged]


def alert_id(device: Device, sequence: int = 1) -> str:
    return f"{device.name}/0001-00000001/alert/{sequence}"


def state(device: Device) -> list[str]:
    return [each["state"] for each in view.alerts(device.database)]


def test_acknowledging_names_the_alert_and_all_that_escalated_it(device: Device) -> None:
    first = device.send(records.PANIC, 1000)
    second = device.follow(first, records.ESCALATION, 2000)
    done = desk(device).handle(alert_id(device, 2), close=False)
    assert done == {
        "device": device.name,
        "number": 1,
        "type": "acknowledge",
        "at": view.utc_text(device.now_ms),
        "by": "Ann",
        "alert_id": alert_id(device),
        "already": False,
        "later": 0,
        "duress": False,
    }
    assert sent(device) == [[4, "Ann", [short(first, second)]]]
    (shown,) = view.alerts(device.database)
    assert (shown["state"], shown["acknowledged"]) == ("acknowledged", [{"by": "Ann", "at": done["at"]}])


def test_closing_after_acknowledging_and_both_again_change_what_is_new_alone(device: Device) -> None:
    first = device.send(records.PANIC, 1000)
    for close in (False, False, True, True):
        desk(device).handle(alert_id(device), close=close)
    again = desk(device, "Bob").handle(alert_id(device), close=False)
    assert (again["already"], again["type"], again["number"], again["by"]) == (True, "close", 2, "Ann")
    assert sent(device) == [[4, "Ann", [short(first)]], [5, "Ann", [short(first)]]]
    (shown,) = view.alerts(device.database)
    assert (shown["state"], shown["closed"]["by"]) == ("closed", "Ann")


def test_a_second_call_is_acknowledged_anew(device: Device) -> None:
    first = device.send(records.PANIC, 1000)
    desk(device).handle(alert_id(device), close=False)
    second = device.follow(first, records.ESCALATION, 2000)
    assert state(device) == ["delivered"]
    assert not desk(device, "Bob").handle(alert_id(device, 2), close=False)["already"]
    assert sent(device)[1] == [4, "Bob", [short(first, second)]]
    (shown,) = view.alerts(device.database)
    assert [each["by"] for each in shown["acknowledged"]] == ["Ann", "Bob"]


def test_of_very_many_calls_the_newest_are_named(device: Device) -> None:
    made = [device.send(records.PANIC, 1000)]
    for number in range(2, 22):
        made.append(device.follow(made[-1], records.ESCALATION, 1000 * number))
    desk(device).handle(alert_id(device, 21), close=True)
    assert sent(device) == [[5, "Ann", [short(*made[-16:])]]]
    assert state(device) == ["closed"]


@pytest.mark.parametrize("close", [False, True])
def test_what_came_after_the_call_that_was_named_stays_open(device: Device, close: bool) -> None:
    first = device.send(records.PANIC, 1000)
    second = device.follow(first, records.ESCALATION, 2000)
    device.follow(second, records.ESCALATION, 3000)
    done = desk(device).handle(alert_id(device), close=close)
    assert (done["already"], done["later"], state(device)) == (False, 2, ["delivered"])
    assert sent(device) == [[5 if close else 4, "Ann", [short(first)]]]
    again = desk(device, "Bob").handle(alert_id(device), close=close)
    assert (again["already"], again["later"], again["by"], again["number"]) == (True, 2, "Ann", 1)
    device.now_ms += 1000
    assert desk(device, "Bob").handle(alert_id(device, 3), close=close)["later"] == 0
    assert state(device) == ["closed" if close else "acknowledged"]
    # By whom the one in the middle was seen is told with the message that named it, which is about the newest.
    middle = desk(device).handle(alert_id(device, 2), close=close)
    assert (middle["already"], middle["later"], middle["by"], middle["number"]) == (True, 1, "Bob", 2)


@pytest.mark.parametrize("before", [[], [False], [False, True]])
def test_an_alert_under_duress_is_closed_after_it_was_acknowledged_anew_alone(
    device: Device, before: list[bool]
) -> None:
    alert = device.send(records.PANIC, 1000)
    for close in before:
        desk(device).handle(alert_id(device), close=close)
    device.cancel(alert, 2000, how=3)
    assert state(device) == ["delivered"]
    with pytest.raises(DeskError, match=r"DURESS: .* acknowledge it before you close it"):
        desk(device).handle(alert_id(device), close=True)
    assert (state(device), len(sent(device))) == (["delivered"], len(before))
    done = desk(device).handle(alert_id(device), close=False)
    assert (done["already"], done["duress"]) == (False, True)
    done = desk(device).handle(alert_id(device), close=True)
    assert (done["already"], done["duress"], state(device)) == (False, False, ["closed"])


def test_duress_once_more_opens_an_alert_once_more(device: Device) -> None:
    alert = device.send(records.PANIC, 1000)
    device.cancel(alert, 2000, how=3)
    for close in (False, True):
        desk(device).handle(alert_id(device), close=close)
    device.cancel(alert, 3000, how=3)
    assert state(device) == ["delivered"]
    assert desk(device).handle(alert_id(device), close=False)["duress"]
    desk(device).handle(alert_id(device), close=True)
    assert state(device) == ["closed"]


def test_what_could_not_be_read_can_be_handled_too(device: Device) -> None:
    unread = device.send(records.PANIC, 1000, clock=b"short")
    assert not desk(device).handle(alert_id(device), close=False)["already"]
    assert state(device) == ["acknowledged"]
    assert desk(device).handle(alert_id(device), close=False)["already"]
    whole = device.send(records.PANIC, 1000, sequence=1)
    assert not desk(device).handle(alert_id(device), close=True)["already"]
    assert state(device) == ["closed", "closed"]
    assert sent(device)[1] == [5, "Ann", [short(unread, whole)]]


def test_a_cancellation_whose_alert_has_not_come_can_be_handled(device: Device) -> None:
    device.cancel(b"another", 1000, how=3)
    desk(device).handle(alert_id(device), close=True)
    assert state(device) == ["closed"]


@pytest.mark.parametrize(
    "unknown",
    [
        "",
        "BM-7f3a09c1",
        "BM-7f3a09c1/0001-00000001/alert/1",
        "{name}/0001-00000001/alert/2",
        "{name}/0001-00000001/alert/0",
        "{name}/0001-00000001/position/1",
        "{name}/0001-00000001/nothing/1",
        "{name}/0001-00000001/alert/1\n",
        "{name}/0001-00000001/alert/\uff11",
    ],
)
def test_what_is_no_alert_is_said(device: Device, unknown: str) -> None:
    device.send(records.PANIC, 1000)
    device.send(records.POSITION, 1000)
    with pytest.raises(DeskError, match="is held here; 'bondmate-gateway alerts' lists"):
        desk(device).handle(unknown.format(name=device.name), close=False)
    assert sent(device) == []


def test_a_message_reaches_one_device(device: Device) -> None:
    other = Device(device.database, "north")
    done = desk(device).message(device.made.device, "come in", ["yes"], urgent=True)
    assert (done["number"], done["type"], done["alert_id"]) == (1, "message", None)
    assert (sent(device), sent(other)) == ([[1, "Ann", ["come in", ["yes"]]]], [])
    assert device.database.rows("SELECT urgent FROM message") == [(1,)]


def test_an_alert_reaches_the_devices_of_a_group_that_are_not_revoked(device: Device) -> None:
    second, revoked, other = (Device(device.database, name) for name in ("north", "north", "south"))
    devices.revoke(device.database, revoked.made.device, 1)
    done = desk(device).alert("north", "look out", [], Place(-38.7223, 9.1393, 500), urgent=False)
    assert {each["device"] for each in done} == {device.name, second.name}
    assert sent(device) == sent(second) == [[2, "Ann", ["look out", [], [-387_223_000, 91_393_000, 500]]]]
    assert sent(revoked) == sent(other) == []
    desk(device).alert("south", "you too", [], None, urgent=False)
    assert sent(other) == [[2, "Ann", ["you too", [], None]]]


def test_an_alert_that_fails_for_one_reaches_nobody(device: Device) -> None:
    full = Device(device.database, "north")
    with device.database.transaction():
        messages.answer(device.database, full.made.device, messages.MAX_NUMBER, KEY)
    with pytest.raises(MessageError, match="used up"):
        desk(device).alert("north", "look out", [], None, urgent=False)
    assert sent(device) == []


def test_a_group_without_devices_is_said(device: Device) -> None:
    with pytest.raises(DeskError, match="in the group south; 'bondmate-gateway devices' shows"):
        desk(device).alert("south", "look out", [], None, urgent=False)


def test_an_exercise_is_ordered_and_ended(device: Device) -> None:
    begun = desk(device).exercise(device.made.device, 600)
    device.now_ms += 60_000
    ended = desk(device).exercise(device.made.device, 0)
    assert (begun["type"], begun["until"]) == ("exercise", view.utc_text(device.now_ms + 540_000))
    assert ended["until"] == view.utc_text(device.now_ms)
    (_, _, first), (_, _, second) = sent(device)
    assert (first[1], second[1], second[0] > first[0]) == (600, 0, True)
    orders = exercises.ordered(device.database, device.made.device)
    assert [each.until_ms for each in orders] == [device.now_ms, device.now_ms]


def test_devices_that_are_unknown_or_revoked_get_nothing(device: Device) -> None:
    devices.revoke(device.database, device.made.device, 1)
    for who, why in ((device.made.device, "is revoked"), (b"none", "no device BM-6e6f6e65 is enrolled")):
        with pytest.raises(DeskError, match=why):
            desk(device).message(who, "text", [], urgent=False)
        with pytest.raises(DeskError, match=why):
            desk(device).exercise(who, 60)
    assert sent(device) == []


def test_an_act_is_kept_with_its_message_or_not_at_all(device: Device) -> None:
    device.send(records.PANIC, 1000)
    device.database._connection.set_commit_hook(lambda: True)
    with pytest.raises(apsw.ConstraintError):
        desk(device).handle(alert_id(device), close=False)
    device.database._connection.set_commit_hook(None)
    with pytest.raises(MessageError):
        desk(device, "").handle(alert_id(device), close=False)
    assert (state(device), sent(device)) == (["delivered"], [])
    assert device.database.rows("SELECT * FROM handling") == []


def test_an_alert_of_a_revoked_device_can_be_closed_and_it_learns_nothing(device: Device) -> None:
    device.send(records.PANIC, 1000)
    devices.revoke(device.database, device.made.device, 1)
    desk(device).handle(alert_id(device), close=True)
    assert state(device) == ["closed"]
    with device.database.transaction():
        answer = messages.answer_revoked(device.database, device.made.device, 0, KEY)
        assert cbor2.loads(answer.payload) == []


def test_a_device_is_told_to_wipe_itself_at_once_and_one_that_is_unknown_is_not(device: Device) -> None:
    devices.revoke(device.database, device.made.device, 1)
    desk(device).wipe(device.made.device)
    assert sent(device) == [[9, "Ann", []]]
    assert device.database.rows("SELECT urgent, expires_ms FROM message") == [(1, None)]
    with pytest.raises(DeskError, match="no device BM-6e6f6e65 is enrolled"):
        desk(device).wipe(b"none")


def test_new_keys_are_for_devices_that_made_their_own(device: Device) -> None:
    with pytest.raises(DeskError, match="has no key to agree on new ones by"):
        desk(device).rekey(device.made.device)
    assert sent(device) == []


def test_new_keys_are_asked_for_once_until_the_device_has_them(device: Device) -> None:
    device.database.rows(
        "INSERT INTO enrolment (device, issued_ms, expires_ms, approval) VALUES (?, 0, 0, 0)", (device.made.device,)
    )
    asked = [desk(device).rekey(device.made.device) for _ in range(2)]
    assert [(each["type"], each["number"], each["already"]) for each in asked] == [
        ("rekey", 1, False),
        ("rekey", 1, True),
    ]
    with device.database.transaction():
        messages.answer(device.database, device.made.device, 0, KEY)
    device.send(records.MESSAGE_STATE, 1000, body=[[1, 5, ""]])
    assert desk(device).rekey(device.made.device)["number"] == 2
    assert sent(device) == [[11, "Ann", []]] * 2
    devices.revoke(device.database, device.made.device, 1)
    with pytest.raises(DeskError, match="is revoked"):
        desk(device).rekey(device.made.device)
