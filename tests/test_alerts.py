"""The open alert, as `bondmatectl alert show --json` tells it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate.alerts import AlertState
from bondmate.records import (
    ClockSource,
    DeviceId,
    EarlierAlert,
    Felt,
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
    return SignedRecord(identity, kind, b"", bytes(16), made_at)


def test_an_alert_goes_from_raised_to_stored_to_delivered() -> None:
    alert = AlertState(record(made_at=UtcTime(NOON_MS, ClockSource.GNSS, 500)), raised_s=100.0)
    assert alert.to_json() == {
        "alert_id": "BM-7f3a09c1/0012-5be2aa10/alert/1",
        "kind": "panic",
        "state": "raised",
        "raised_at": "2026-11-20T12:00:00.000Z",
        "stored_at": None,
        "delivered_at": None,
        "acknowledged_at": None,
        "closed_at": None,
        "exercise": False,
        "stored_after_ms": None,
        "delivered_after_ms": None,
    }
    alert.stored(100.0035, NOON_MS + 4)
    told = alert.to_json()
    assert (told["state"], told["stored_at"]) == ("stored", "2026-11-20T12:00:00.004Z")
    assert told["stored_after_ms"] == pytest.approx(3.5)
    alert.delivered(100.25, NOON_MS + 250)
    told = alert.to_json()
    assert (told["state"], told["delivered_at"]) == ("delivered", "2026-11-20T12:00:00.250Z")
    assert told["delivered_after_ms"] == pytest.approx(250)


def test_an_alert_may_be_delivered_without_ever_being_stored() -> None:
    alert = AlertState(record(), raised_s=100.0)
    alert.delivered(101.0, None)
    told = alert.to_json()
    assert (alert.state, told["stored_at"], told["delivered_at"]) == ("delivered", None, None)
    assert told["delivered_after_ms"] == 1000.0, "by the monotonic clock, which is always known"


def test_a_late_commit_does_not_undo_delivered() -> None:
    alert = AlertState(record(), raised_s=100.0)
    alert.delivered(101.0, None)
    alert.stored(102.0, None)
    assert alert.state == "delivered"


def test_a_cancelled_alert_says_so_whatever_became_of_it() -> None:
    alert = AlertState(record(), raised_s=100.0, cancelled=True)
    alert.stored(100.1, None)
    alert.delivered(100.2, None)
    assert alert.state == "cancelled"


MINUTE = Moment(60.0, NOON_MS)
LATER = Moment(120.0, NOON_MS + 60_000)
UNKNOWN = Moment(120.0, None)


def earlier(stored: Moment, delivered: Moment | None, *, cancelled: bool = False) -> EarlierAlert:
    kept = StoredRecord(record(sequence=3), place=7, stored=stored, delivered=delivered, felt=Felt.NOTHING)
    return EarlierAlert(kept, cancelled, None)


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
    alert = AlertState.restored(kept)
    assert alert.record == kept.alert.record
    told = alert.to_json()
    assert (alert.state, told["stored_at"], told["delivered_at"]) == (state, stored_at, delivered_at)
    assert (told["stored_after_ms"], told["delivered_after_ms"]) == (None, None), "of another session's clock"


@given(
    stored=st.sampled_from([MINUTE, UNKNOWN]),
    delivered=st.sampled_from([None, LATER, UNKNOWN]),
    cancelled=st.booleans(),
    felt=st.sampled_from(Felt),
)
def test_what_is_restored_is_stored_and_as_delivered_and_cancelled_as_it_was(
    stored: Moment, delivered: Moment | None, cancelled: bool, felt: Felt
) -> None:
    """Whether UTC was known, and what was felt, make no difference to that."""
    kept = StoredRecord(record(), 1, stored, delivered, felt)
    alert = AlertState.restored(EarlierAlert(kept, cancelled, None))
    assert (alert.is_stored, alert.is_delivered, alert.cancelled) == (True, delivered is not None, cancelled)


def test_a_receipt_that_comes_after_a_restart_still_delivers() -> None:
    alert = AlertState.restored(earlier(MINUTE, None))
    alert.delivered(5.0, LATER.utc_ms)
    told = alert.to_json()
    assert (alert.state, told["delivered_at"]) == ("delivered", "2026-11-20T12:01:00.000Z")
    assert told["delivered_after_ms"] is None, "it was raised on another session's clock"
