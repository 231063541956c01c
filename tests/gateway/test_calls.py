"""Which calls are one alert, what took it back, who was done with it, and when an exercise is one."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from bondmate_sim.gateway import calls, exercises, records
from bondmate_sim.gateway.bodies import How
from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.desk import Desk
from tests.gateway import twin
from tests.gateway.device import FIRST, SECOND, Device

KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def device(database: Database) -> Device:
    return Device(database)


def alerts(device: Device) -> list[calls.Alert]:
    return calls.history(device.database, device.made.device).alerts


def kinds(device: Device) -> list[list[int]]:
    return [[same[0].record.kind for same in alert.calls] for alert in alerts(device)]


def handle(device: Device, *, close: bool = False) -> None:
    """Have somebody see, or close, the only alert with all of its calls that are held now."""
    (alert,) = alerts(device)
    desk = Desk(device.database, KEY, "Ann", device.now_ms)
    session, sequence = alert.calls[-1][0].identity
    desk.handle(records.record_text(device.made.device, session, records.ALERT, sequence), close=close)


# --- Escalations ---------------------------------------------------------------------------------


def test_an_escalation_belongs_to_the_newest_call_before_it(device: Device) -> None:
    first = device.send(records.PANIC, 1000)
    cancelled = device.cancel(first, 2000, previous=twin.digest(first)[:4])
    second = device.follow(cancelled, records.MEDICAL, 3000)
    note = device.follow(second, records.CHECK_IN, 4000, body=[3, 0])
    third = device.follow(note, records.ESCALATION, 5000)
    device.follow(third, records.ESCALATION, 6000)
    assert kinds(device) == [[records.PANIC], [records.MEDICAL, records.ESCALATION, records.ESCALATION]]


def test_an_escalation_in_the_next_session_belongs_to_the_call_before_it(device: Device) -> None:
    first = device.send(records.PANIC, 90_000)
    device.follow(first, records.ESCALATION, 1000, session=SECOND)
    assert kinds(device) == [[records.PANIC, records.ESCALATION]]


@pytest.mark.parametrize("previous", [None, b"", b"\0\0\0\0"])
def test_an_escalation_whose_alert_is_not_held_stands_for_itself(device: Device, previous: bytes | None) -> None:
    device.send(records.PANIC, 1000)
    device.send(records.ESCALATION, 2000, sequence=4, previous=previous)
    assert kinds(device) == [[records.PANIC], [records.ESCALATION]]


def test_an_escalation_is_put_to_its_alert_when_what_lay_between_has_come(device: Device) -> None:
    """It could otherwise be taken for one of an alert that was over before."""
    first = device.send(records.PANIC, 1000)
    second = device.signed(records.MEDICAL, 2000, sequence=2, previous=twin.digest(first)[:4])
    device.follow(second, records.ESCALATION, 3000, sequence=3)
    assert kinds(device) == [[records.PANIC], [records.ESCALATION]]
    device.follow(first, records.MEDICAL, 2000, sequence=2)
    assert kinds(device) == [[records.PANIC], [records.MEDICAL, records.ESCALATION]]


@given(st.permutations(range(5)))
def test_in_whatever_order_they_come_the_alert_is_the_same(one_database: Database, order: list[int]) -> None:
    device, made = Device(one_database), []
    before: bytes | None = None
    for sequence, (kind, body) in enumerate(
        [(records.PANIC, None), (records.ESCALATION, None), (records.CHECK_IN, [1, 60]), (records.ESCALATION, None)], 1
    ):
        options: dict[str, Any] = {"body": body, "sequence": sequence, "previous": before}
        tagged = device.signed(kind, sequence * 1000, **options)
        made.append((kind, sequence * 1000, options))
        before = twin.digest(tagged)[:4]
    newest = device.signed(*made[3][:2], **made[3][2])
    options = {"body": twin.digest(newest)[:8] + b"\1", "sequence": 5, "previous": before}
    made.append((records.CANCELLATION, 5000, options))
    for each in order:
        kind, elapsed_ms, options = made[each]
        device.send(kind, elapsed_ms, **options)
    (alert,) = alerts(device)
    assert [same[0].record.sequence for same in alert.calls] == [1, 2, 4]
    assert ([calls.how(each) for each in alert.cancelled], alert.open) == ([How.PIN], False)


# --- Ends ----------------------------------------------------------------------------------------


def test_a_cancellation_of_an_older_call_does_not_end_what_escalated_it(device: Device) -> None:
    first = device.send(records.PANIC, 1000)
    second = device.follow(first, records.ESCALATION, 2000)
    device.cancel(first, 3000, how=1)
    assert alerts(device)[0].open
    device.cancel(second, 4000, how=1)
    assert not alerts(device)[0].open


def test_who_saw_an_alert_did_not_see_what_escalated_it_later(device: Device) -> None:
    first = device.send(records.PANIC, 1000)
    handle(device)
    assert alerts(device)[0].acknowledged is not None
    device.follow(first, records.ESCALATION, 2000)
    (alert,) = alerts(device)
    assert (alert.acknowledged, [each.by for each in alert.acknowledgements]) == (None, ["Ann"])
    handle(device)
    assert alerts(device)[0].acknowledged is not None


def test_an_alert_that_was_closed_is_open_again_when_the_officer_called_meanwhile(device: Device) -> None:
    first = device.send(records.PANIC, 1000)
    handle(device, close=True)
    assert not alerts(device)[0].open
    device.follow(first, records.ESCALATION, 2000)
    assert alerts(device)[0].open


def test_a_fork_of_an_alert_that_was_closed_was_seen_by_nobody(device: Device) -> None:
    device.send(records.PANIC, 1000)
    handle(device, close=True)
    device.send(records.PANIC, 1001, sequence=1)
    assert alerts(device)[0].open
    handle(device, close=True)
    assert not alerts(device)[0].open


@pytest.mark.parametrize("close", [False, True])
def test_duress_opens_again_what_somebody_was_done_with(device: Device, close: bool) -> None:
    first = device.send(records.PANIC, 1000)
    handle(device, close=close)
    device.cancel(first, 2000, how=3)
    (alert,) = alerts(device)
    assert (alert.open, alert.acknowledged, alert.closed, alert.cancelled) == (True, None, None, [])
    assert alert.duress_unseen
    handle(device)
    assert not alerts(device)[0].duress_unseen
    handle(device, close=True)
    assert not alerts(device)[0].open


def test_a_true_cancellation_beside_one_under_duress_ends_nothing(device: Device) -> None:
    first = device.send(records.PANIC, 1000)
    device.cancel(first, 2000, how=3)
    device.cancel(first, 3000, how=1)
    assert alerts(device)[0].open


def test_a_cancellation_of_what_is_not_held_is_loose_until_it_comes(device: Device) -> None:
    alert = device.signed(records.PANIC, 1000, sequence=1)
    device.cancel(alert, 2000, how=3, sequence=2)
    history = calls.history(device.database, device.made.device)
    assert (history.alerts, len(history.loose)) == ([], 1)
    device.send(records.PANIC, 1000, sequence=1)
    history = calls.history(device.database, device.made.device)
    assert (len(history.alerts), history.loose) == (1, [])


# --- Exercises -----------------------------------------------------------------------------------


def order(device: Device, from_ms: int, seconds: int) -> None:
    with device.database.transaction():
        exercises.begin(device.database, device.made.device, seconds, "Ann", from_ms)


def test_an_exercise_is_one_when_it_was_ordered_and_nothing_real_came_of_it(device: Device) -> None:
    device.send(records.EXERCISE, 1000)
    assert not alerts(device)[0].exercise
    order(device, device.now_ms, 600)
    (alert,) = alerts(device)
    assert (alert.exercise, alert.marked) == (True, True)
    device.follow(alert.first.tagged, records.ESCALATION, 2000)
    assert not alerts(device)[0].exercise


def test_an_order_makes_nothing_else_an_exercise(device: Device) -> None:
    order(device, device.now_ms, 600)
    device.send(records.PANIC, 1000)
    device.send(records.ESCALATION, 2000)
    assert [alert.exercise for alert in alerts(device)] == [False, False]


def test_duress_in_an_exercise_is_real(device: Device) -> None:
    order(device, device.now_ms, 600)
    exercise = device.send(records.EXERCISE, 1000)
    device.cancel(exercise, 2000, how=3)
    assert not alerts(device)[0].exercise


def test_an_exercise_of_another_device_is_none(device: Device) -> None:
    order(Device(device.database), device.now_ms, 600)
    device.send(records.EXERCISE, 1000)
    assert not alerts(device)[0].exercise


def test_the_last_records_tell_the_same_as_all(device: Device) -> None:
    before = device.send(records.PANIC, 1000)
    for number in range(2, 12):
        before = device.follow(before, records.ESCALATION, 1000 * number, session=FIRST if number < 9 else SECOND)
    whole = calls.history(device.database, device.made.device)
    assert calls.history(device.database, device.made.device, 11) == whole
    part = calls.history(device.database, device.made.device, 4)
    assert [each[0].record.kind for each in part.alerts[0].calls] == [records.ESCALATION] * 4
