"""The life of an alert: the table, and an alert as `bondmatectl alert show --json` tells it."""

import random
from collections.abc import Sequence
from itertools import permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate.core.alert import CANCEL_AFTER_S, NO_WAY_OUT_S, OVER, TRANSITIONS, Alert, Event, State
from bondmate.records import (
    ClockSource,
    DeviceId,
    EarlierAlert,
    Felt,
    How,
    Kind,
    Moment,
    RecordId,
    SessionId,
    SignedRecord,
    StoredRecord,
    UtcTime,
)

NOON_MS = 1_795_176_000_000
"""2026-11-20T12:00:00Z"""


def record(kind: Kind = Kind.PANIC, sequence: int = 1, *, made_at: UtcTime | None = None) -> SignedRecord:
    identity = RecordId(
        DeviceId(bytes.fromhex("7f3a09c1")), SessionId(bytes.fromhex("00125be2aa10")), kind.stream, sequence
    )
    return SignedRecord(identity, kind, b"", sequence.to_bytes(16), made_at)


# --- the table ------------------------------------------------------------------------------------------

_EVENTS = st.lists(st.sampled_from(Event), max_size=12)


def after(events: Sequence[Event], state: State = State.RAISED) -> State:
    for event in events:
        state = TRANSITIONS[state][event]
    return state


def test_the_table_has_an_answer_to_every_event_in_every_state() -> None:
    assert set(TRANSITIONS) == set(State)
    assert all(set(row) == set(Event) for row in TRANSITIONS.values())


@given(_EVENTS, st.randoms(use_true_random=False))
def test_where_an_alert_stands_depends_neither_on_the_order_nor_on_repeats(
    events: list[Event], chance: random.Random
) -> None:
    shuffled = [*events, *events]
    chance.shuffle(shuffled)
    assert after(shuffled) is after(events)


def test_of_all_that_happened_the_last_word_counts() -> None:
    for events in permutations(Event):
        assert after([*events]) is State.CLOSED
        assert after([event for event in events if event is not Event.CLOSED]) is State.CANCELLED
        told = [event for event in events if event not in (Event.CLOSED, Event.CANCELLED)]
        assert after(told) is State.ACKNOWLEDGED
        assert after([event for event in told if event is not Event.ACKNOWLEDGED]) is State.DELIVERED


def test_nothing_ends_an_alert_but_the_officer_and_a_close_and_nothing_opens_it_again() -> None:
    for state, event in product(State, Event):
        was_open, is_open = state not in OVER, TRANSITIONS[state][event] not in OVER
        if was_open:
            assert is_open is (event not in (Event.CLOSED, Event.CANCELLED))
        else:
            assert not is_open


# --- one alert ------------------------------------------------------------------------------------------


def test_an_alert_goes_from_raised_to_closed() -> None:
    alert = Alert(record(made_at=UtcTime(NOON_MS, ClockSource.GNSS, 500)), raised_s=100.0)
    assert alert.to_json(101.0) == {
        "alert_id": "BM-7f3a09c1/0012-5be2aa10/alert/1",
        "kind": "panic",
        "state": "raised",
        "raised_at": "2026-11-20T12:00:00.000Z",
        "stored_at": None,
        "delivered_at": None,
        "acknowledged_at": None,
        "acknowledged_by": None,
        "closed_at": None,
        "exercise": False,
        "escalates": None,
        "resumed": False,
        "cancellable_in_s": 9.0,
        "stored_after_ms": None,
        "delivered_after_ms": None,
    }
    assert alert.stored(100.0035, NOON_MS + 4)
    told = alert.to_json(101.0)
    assert (told["state"], told["stored_at"]) == ("stored", "2026-11-20T12:00:00.004Z")
    assert told["stored_after_ms"] == pytest.approx(3.5)
    assert alert.delivered(100.25, NOON_MS + 250)
    told = alert.to_json(101.0)
    assert (told["state"], told["delivered_at"]) == ("delivered", "2026-11-20T12:00:00.250Z")
    assert told["delivered_after_ms"] == pytest.approx(250)
    assert alert.acknowledged(105.0, NOON_MS + 5000, "Ana")
    told = alert.to_json(101.0)
    assert (told["state"], told["acknowledged_by"]) == ("acknowledged", "Ana")
    assert told["acknowledged_at"] == "2026-11-20T12:00:05.000Z"
    assert alert.is_open
    assert alert.closed(160.0, NOON_MS + 60_000)
    told = alert.to_json(161.0)
    assert (told["state"], told["closed_at"]) == ("closed", "2026-11-20T12:01:00.000Z")
    assert told["cancellable_in_s"] is None
    assert not alert.is_open


def test_an_escalation_names_the_call_before_it_and_an_exercise_says_that_it_is_one() -> None:
    first = Alert(record(Kind.EXERCISE), 100.0)
    second = Alert(record(Kind.ESCALATION, 2), 105.0, escalates=first.record.id)
    assert first.to_json(105.0)["exercise"] is True
    told = second.to_json(105.0)
    assert (told["kind"], told["exercise"], told["escalates"]) == ("escalation", False, str(first.record.id))


def test_an_alert_may_be_delivered_without_ever_being_stored() -> None:
    alert = Alert(record(), raised_s=100.0)
    alert.delivered(101.0, None)
    told = alert.to_json(101.0)
    assert (alert.state, told["stored_at"], told["delivered_at"]) == ("delivered", None, None)
    assert told["delivered_after_ms"] == 1000.0, "by the monotonic clock, which is always known"


def test_a_late_commit_does_not_undo_delivered() -> None:
    alert = Alert(record(), raised_s=100.0)
    alert.delivered(101.0, None)
    assert alert.stored(102.0, None)
    assert (alert.state, alert.is_stored) == ("delivered", True)


def test_a_repeat_is_no_news_and_changes_no_time() -> None:
    alert = Alert(record(), raised_s=100.0)
    assert alert.stored(101.0, NOON_MS)
    assert alert.delivered(102.0, NOON_MS)
    assert alert.acknowledged(103.0, NOON_MS, "Ana")
    told = alert.to_json(104.0)
    assert not alert.stored(200.0, NOON_MS + 1)
    assert not alert.delivered(200.0, NOON_MS + 1)
    assert not alert.acknowledged(200.0, NOON_MS + 1, "Rui")
    assert alert.to_json(104.0) == told


def test_what_comes_when_it_is_over_is_kept_and_is_no_news() -> None:
    alert = Alert(record(), raised_s=100.0)
    assert alert.cancelled(100.05, NOON_MS, How.PIN)
    assert not alert.stored(100.1, NOON_MS)
    assert not alert.delivered(100.2, NOON_MS)
    assert (alert.state, alert.is_stored, alert.is_delivered) == ("cancelled", True, True)
    assert not alert.closed(160.0, NOON_MS), "the officer was told that it is over"
    assert alert.state == "closed"


def test_only_an_open_alert_can_be_cancelled_and_once() -> None:
    alert = Alert(record(), raised_s=100.0)
    assert alert.cancelled(101.0, None, How.GESTURE)
    assert not alert.cancelled(102.0, None, How.PIN)
    assert alert.how_cancelled is How.GESTURE
    other = Alert(record(), raised_s=100.0)
    other.closed(101.0, None)
    assert not other.cancelled(102.0, None, How.PIN)
    assert (other.state, other.how_cancelled) == ("closed", None)


def test_nobody_who_looks_can_tell_that_the_officer_was_forced() -> None:
    told = []
    for how in (How.PIN, How.DURESS):
        alert = Alert(record(), raised_s=100.0)
        alert.cancelled(120.0, NOON_MS, how)
        told.append(alert.to_json(121.0))
    assert told[0] == told[1]


def test_a_message_is_about_it_when_it_names_the_whole_digest_of_this_very_call() -> None:
    first, second = Alert(record(sequence=1)), Alert(record(Kind.ESCALATION, 2))
    assert second.is_named([first.record.digest, second.record.digest])
    assert not second.is_named([first.record.digest]), "what was called later, nobody saw"
    assert not second.is_named([second.record.digest[:8]])
    assert not second.is_named([])


# --- what time does -------------------------------------------------------------------------------------


def test_a_gesture_cannot_cancel_in_the_first_seconds() -> None:
    alert = Alert(record(), raised_s=100.1)
    assert not alert.cancellable(100.1)
    assert not alert.cancellable(100.0 + CANCEL_AFTER_S)
    assert alert.to_json(105.1)["cancellable_in_s"] == pytest.approx(5.0)
    assert alert.cancellable(100.1 + CANCEL_AFTER_S)
    assert alert.to_json(1e6)["cancellable_in_s"] == 0.0
    alert.cancelled(120.0, None)
    assert not alert.cancellable(130.0), "it is over"


@given(st.floats(0, 1e7))
def test_what_is_still_undelivered_after_a_minute_is_felt_once(raised_s: float) -> None:
    alert = Alert(record(), raised_s)
    due_s = alert.no_way_out_due()
    assert due_s == raised_s + NO_WAY_OUT_S
    assert not alert.no_way_out(raised_s + NO_WAY_OUT_S - 0.1)
    alert.stored(raised_s + 1, None)
    assert alert.no_way_out(due_s)
    assert not alert.no_way_out(due_s)
    assert alert.no_way_out_due() is None


@pytest.mark.parametrize("event", ["delivered", "acknowledged", "closed", "cancelled"])
def test_it_is_not_felt_once_the_gateway_has_it_or_it_is_over(event: str) -> None:
    alert = Alert(record(), 100.0)
    getattr(alert, event)(101.0, None)
    assert alert.no_way_out_due() is None
    assert not alert.no_way_out(1e6)


# --- after a restart ------------------------------------------------------------------------------------

MINUTE = Moment(60.0, NOON_MS)
LATER = Moment(120.0, NOON_MS + 60_000)
UNKNOWN = Moment(120.0, None)


def earlier(
    stored: Moment,
    delivered: Moment | None,
    *,
    cancelled: bool = False,
    acknowledged: Moment | None = None,
    closed: Moment | None = None,
) -> EarlierAlert:
    kept = StoredRecord(record(sequence=3), place=7, stored=stored, delivered=delivered, felt=Felt.NOTHING)
    return EarlierAlert(kept, cancelled, None, acknowledged, closed)


@pytest.mark.parametrize(
    ("kept", "state", "stored_at", "delivered_at"),
    [
        (earlier(MINUTE, None), "stored", "2026-11-20T12:00:00.000Z", None),
        (earlier(UNKNOWN, None), "stored", None, None),
        (earlier(MINUTE, LATER), "delivered", "2026-11-20T12:00:00.000Z", "2026-11-20T12:01:00.000Z"),
        (earlier(MINUTE, UNKNOWN), "delivered", "2026-11-20T12:00:00.000Z", None),
        (earlier(MINUTE, None, cancelled=True), "cancelled", "2026-11-20T12:00:00.000Z", None),
        (earlier(MINUTE, LATER, cancelled=True), "cancelled", "2026-11-20T12:00:00.000Z", "2026-11-20T12:01:00.000Z"),
    ],
    ids=["stored", "stored without UTC", "delivered", "delivered without UTC", "cancelled", "cancelled and delivered"],
)
def test_after_a_restart_the_outbox_tells_what_became_of_it(
    kept: EarlierAlert, state: str, stored_at: str | None, delivered_at: str | None
) -> None:
    alert = Alert.restored(kept)
    assert alert.record == kept.alert.record
    told = alert.to_json(5.0)
    assert (alert.state, told["stored_at"], told["delivered_at"]) == (state, stored_at, delivered_at)
    assert (told["stored_after_ms"], told["delivered_after_ms"]) == (None, None), "of another session's clock"
    assert told["resumed"] is (state != "cancelled")


@given(
    stored=st.sampled_from([MINUTE, UNKNOWN]),
    delivered=st.sampled_from([None, LATER, UNKNOWN]),
    cancelled=st.booleans(),
    acknowledged=st.sampled_from([None, LATER, UNKNOWN]),
    closed=st.sampled_from([None, LATER, UNKNOWN]),
)
def test_what_is_restored_is_as_it_was(
    stored: Moment, delivered: Moment | None, cancelled: bool, acknowledged: Moment | None, closed: Moment | None
) -> None:
    """Whether UTC was known makes no difference to that."""
    kept = earlier(stored, delivered, cancelled=cancelled, acknowledged=acknowledged, closed=closed)
    alert = Alert.restored(kept)
    assert (alert.is_stored, alert.is_delivered) == (True, delivered is not None)
    assert alert.is_acknowledged is (acknowledged is not None)
    assert alert.is_open is (closed is None and not cancelled)
    if closed is not None:
        assert alert.state == "closed"
    elif not cancelled and acknowledged is not None:
        assert alert.state == "acknowledged"


def test_a_receipt_that_comes_after_a_restart_still_delivers() -> None:
    alert = Alert.restored(earlier(MINUTE, None))
    assert alert.delivered(5.0, LATER.utc_ms)
    told = alert.to_json(5.0)
    assert (alert.state, told["delivered_at"]) == ("delivered", "2026-11-20T12:01:00.000Z")
    assert told["delivered_after_ms"] is None, "it was raised on another session's clock"


def test_the_name_of_who_saw_it_may_be_told_again_after_a_restart() -> None:
    alert = Alert.restored(earlier(MINUTE, LATER, acknowledged=LATER))
    assert alert.acknowledged_by is None
    assert not alert.acknowledged(5.0, None, "Ana")
    told = alert.to_json(5.0)
    assert (told["acknowledged_by"], told["acknowledged_at"]) == ("Ana", "2026-11-20T12:01:00.000Z")


def test_after_a_restart_the_waiting_begins_anew_where_it_is_said_from_when() -> None:
    alert = Alert.restored(earlier(MINUTE, None), 5.0)
    assert not alert.cancellable(5.0)
    assert alert.cancellable(5.0 + CANCEL_AFTER_S)
    assert alert.no_way_out_due() == 5.0 + NO_WAY_OUT_S
    unsaid = Alert.restored(earlier(MINUTE, None))
    assert unsaid.cancellable(5.0)
    assert unsaid.no_way_out_due() is None
