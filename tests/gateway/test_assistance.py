"""Who is asked for help, with what, and that nobody is asked twice or about nothing."""

from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from bondmate_sim.gateway import assistance, devices, exercises, messages, records
from bondmate_sim.gateway.assistance import RADIUS_M, SEEN_WITHIN_MS, Seen
from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.desk import Desk
from tests.gateway import twin
from tests.gateway.cddl import validate_message
from tests.gateway.device import Device, fix_at

KEY = ec.generate_private_key(ec.SECP256R1())
HERE = 387_223_000
KM = 89_932
"""One kilometre along a meridian, in 1e-7 degrees."""
NOW_MS = 1_795_186_800_000


def seen(lat: float, lon: float = 0.0, at_ms: int = NOW_MS) -> Seen:
    return Seen(b"they", lat, lon, None, at_ms)


def ask(device: Device) -> list[bytes]:
    """Ask about the record that was taken last."""
    assert device.outcome is not None
    if device.outcome.call is None:
        return []
    call = device.outcome.call
    with device.database.transaction():
        return assistance.ask(device.database, device.made.device, call.alert, call.record, KEY, device.now_ms)


@pytest.fixture
def caller(database: Database) -> Device:
    return Device(database, "north", "night")


@pytest.fixture
def colleague(caller: Device) -> Device:
    """Return one of the same group who is a kilometre away."""
    made = Device(caller.database, "night", "south")
    made.send(records.PRESENCE, 1000, fix=fix_at(HERE + KM, flags=0b100_0001))
    return made


# --- Who ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "metres"),
    [
        # Checked with GeographicLib on a sphere of that radius.
        ((0.0, 0.0), (0.0, 1.0), 111_195.08),
        ((0.0, 179.5), (0.0, -179.5), 111_195.08),
        ((90.0, 0.0), (-90.0, 0.0), 20_015_114.44),
        ((38.7223, -9.1394), (38.7223, -9.1394), 0.0),
    ],
)
def test_distances_are_great_circles(one: tuple[float, float], other: tuple[float, float], metres: float) -> None:
    assert assistance._distance_m(seen(*one), seen(*other)) == pytest.approx(metres, abs=0.01)


def test_who_is_near_and_was_seen_lately_is_asked() -> None:
    colleagues = [
        Seen(b"near", 38.74, 0.0, 500.0, NOW_MS),
        Seen(b"far", 38.75, 0.0, None, NOW_MS),
        Seen(b"once", 38.74, 0.0, None, NOW_MS - SEEN_WITHIN_MS - 1),
        Seen(b"then", 38.74, 0.0, None, NOW_MS - SEEN_WITHIN_MS),
    ]
    assert assistance.near(seen(38.7223), colleagues, NOW_MS) == [b"near", b"then"]


PLACES = st.tuples(st.floats(-90, 90), st.floats(-180, 180))


@given(PLACES, PLACES)
def test_whoever_is_asked_would_ask_back(one: tuple[float, float], other: tuple[float, float]) -> None:
    there, back = assistance._distance_m(seen(*one), seen(*other)), assistance._distance_m(seen(*other), seen(*one))
    assert there == pytest.approx(back)
    assert assistance.near(seen(*one), [seen(*one)], NOW_MS) == [b"they"]
    assert bool(assistance.near(seen(*one), [seen(*other)], NOW_MS)) == (there <= RADIUS_M)


# --- What ---------------------------------------------------------------------------------------


def test_a_colleague_is_asked_once_with_place_and_kind(caller: Device, colleague: Device) -> None:
    alert = caller.send(records.PANIC, 1000, fix=fix_at(HERE))
    assert ask(caller) == [colleague.made.device]
    ((tagged, about),) = caller.database.rows("SELECT tagged, about FROM message")
    validate_message(tagged)
    now_s = caller.now_ms // 1000
    assert messages.content(tagged) == [
        *(1, 1, 3, now_s, now_s + 1800, 1, "control room"),
        [f"{caller.name} calls for help: panic", ["I am going", "I cannot"], [HERE, 0, 28], records.PANIC],
    ]
    assert about == twin.digest(alert)
    caller.follow(alert, records.ESCALATION, 2000, fix=fix_at(HERE))
    assert ask(caller) == []
    assert colleague.database.rows("SELECT count(*) FROM message") == [(1,)]


@pytest.mark.parametrize("kind", range(1, 12))
def test_a_call_of_somebody_who_may_need_a_person_asks(caller: Device, colleague: Device, kind: int) -> None:
    body: Any = {records.CANCELLATION: bytes(8), records.CHECK_IN: [1, 60]}.get(kind)
    caller.send(kind, 1000, fix=fix_at(HERE), body=body)
    assert bool(ask(caller)) == (kind in {1, 2, 3, 4, 5, 7, 8})


def test_who_calls_again_and_again_asks_once_in_ten_minutes(caller: Device, colleague: Device) -> None:
    begin_ms, asked = caller.now_ms, []
    caller.step_ms = 30_000
    for number in range(1, 12):
        alert = caller.send(records.PANIC, 10_000 * number, fix=fix_at(HERE))
        asked += [(caller.now_ms - begin_ms) // 1000 for _ in ask(caller)]
        colleague.now_ms = caller.now_ms
        colleague.send(records.PRESENCE, 1000 + number, fix=fix_at(HERE + KM, flags=0b100_0001))
        caller.cancel(alert, 10_000 * number + 1, how=1)
    assert asked == [30, 630]
    assert messages.newest(caller.database, colleague.made.device) == 2


def test_one_caller_does_not_keep_another_from_being_helped(caller: Device, colleague: Device) -> None:
    caller.send(records.PANIC, 1000, fix=fix_at(HERE))
    assert ask(caller) == [colleague.made.device]
    other = Device(caller.database, "night")
    other.send(records.PANIC, 1000, fix=fix_at(HERE))
    assert set(ask(other)) == {colleague.made.device}


def test_an_exercise_that_nobody_ordered_asks_and_says_so(caller: Device, colleague: Device) -> None:
    caller.send(records.EXERCISE, 1000, fix=fix_at(HERE))
    assert ask(caller) == [colleague.made.device]
    ((tagged,),) = caller.database.rows("SELECT tagged FROM message")
    text = f"{caller.name} calls for help: exercise that nobody ordered"
    assert messages.content(tagged)[7][0::3] == [text, records.EXERCISE]


def test_an_exercise_asks_nobody_and_what_escalates_it_does(caller: Device, colleague: Device) -> None:
    with caller.database.transaction():
        exercises.begin(caller.database, caller.made.device, 600, "Ann", caller.now_ms)
    exercise = caller.send(records.EXERCISE, 1000, fix=fix_at(HERE))
    assert ask(caller) == []
    caller.follow(exercise, records.ESCALATION, 2000, fix=fix_at(HERE))
    assert ask(caller) == [colleague.made.device]


def test_without_a_fix_the_last_known_position_counts_and_none_asks_nobody(caller: Device, colleague: Device) -> None:
    caller.send(records.PANIC, 1000)
    assert ask(caller) == []
    caller.send(records.PRESENCE, 2000, fix=fix_at(HERE, flags=0b100_0001))
    caller.send(records.PANIC, 3000)
    assert ask(caller) == [colleague.made.device]


def test_an_alert_that_is_over_asks_nobody(caller: Device, colleague: Device) -> None:
    late = caller.signed(records.PANIC, 1000, sequence=1, fix=fix_at(HERE))
    caller.cancel(late, 2000, sequence=2)
    caller.send(records.PANIC, 1000, sequence=1, fix=fix_at(HERE))
    assert ask(caller) == []


def test_one_that_was_taken_back_under_duress_does(caller: Device, colleague: Device) -> None:
    late = caller.signed(records.PANIC, 1000, sequence=1, fix=fix_at(HERE))
    caller.cancel(late, 2000, sequence=2, how=3)
    caller.send(records.PANIC, 1000, sequence=1, fix=fix_at(HERE))
    assert ask(caller) == [colleague.made.device]


def test_others_are_not_asked(caller: Device, colleague: Device) -> None:
    database = caller.database
    stranger, revoked, silent, far, old = (
        Device(database, *groups) for groups in ((), ("north",), ("north",), ("north",), ("north",))
    )
    for each in (stranger, revoked):
        each.send(records.PRESENCE, 1000, fix=fix_at(HERE))
    devices.revoke(database, revoked.made.device, NOW_MS)
    far.send(records.POSITION, 1000, fix=fix_at(HERE + 4 * KM))
    made_s = caller.now_ms // 1000 - 3600
    old.send(records.PRESENCE, 1000, fix=fix_at(HERE), clock=made_s.to_bytes(4, "big") + b"\0\x40")
    caller.send(records.PANIC, 1000, fix=fix_at(HERE))
    assert ask(caller) == [colleague.made.device]
    assert silent.made.device != colleague.made.device


def test_the_newest_position_counts_also_when_older_ones_come_late(caller: Device, colleague: Device) -> None:
    now_s = colleague.now_ms // 1000
    colleague.send(records.POSITION, 9000, fix=fix_at(HERE + KM), clock=now_s.to_bytes(4, "big") + b"\0\x40")
    colleague.send(
        records.PRESENCE, 3000, fix=fix_at(HERE + 9 * KM), clock=(now_s - 600).to_bytes(4, "big") + b"\0\x40"
    )
    caller.send(records.PANIC, 1000, fix=fix_at(HERE))
    assert ask(caller) == [colleague.made.device]


def test_a_clock_that_is_ahead_makes_no_old_position_new(caller: Device, colleague: Device) -> None:
    ahead = (colleague.now_ms // 1000 + 86_400).to_bytes(4, "big") + b"\0\x40"
    colleague.send(records.PRESENCE, 2000, fix=fix_at(HERE), clock=ahead)
    caller.now_ms = colleague.now_ms + SEEN_WITHIN_MS + 1
    caller.send(records.PANIC, 1000, fix=fix_at(HERE))
    assert ask(caller) == []


def test_a_closed_alert_is_not_asked_about_when_a_part_of_it_comes_late(caller: Device, colleague: Device) -> None:
    first = caller.send(records.PANIC, 1000)
    second = caller.signed(records.ESCALATION, 2000, sequence=2, previous=twin.digest(first)[:4], fix=fix_at(HERE))
    caller.follow(second, records.ESCALATION, 3000, sequence=3)
    desk = Desk(caller.database, KEY, "Ann", caller.now_ms)
    for sequence in (1, 3):
        desk.handle(f"{caller.name}/0001-00000001/alert/{sequence}", close=True)
    caller.follow(first, records.ESCALATION, 2000, sequence=2, fix=fix_at(HERE))
    assert ask(caller) == []


def test_a_mailbox_that_takes_no_more_keeps_no_call_from_being_held(caller: Device, colleague: Device) -> None:
    with caller.database.transaction():
        messages.answer(caller.database, colleague.made.device, messages.MAX_NUMBER, KEY)
    caller.send(records.PANIC, 1000, fix=fix_at(HERE))
    assert ask(caller) == []
    assert cbor2.loads(caller.database.rows("SELECT tagged FROM record WHERE stream = 0")[0][0]).tag == 18
