"""The open alert, as `bondmatectl alert show --json` tells it."""

import pytest

from bondmate.alerts import AlertState
from bondmate.records import ClockSource, DeviceId, Kind, RecordId, SessionId, SignedRecord, StoredRecord, UtcTime

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


def test_after_a_restart_the_outbox_tells_what_became_of_it() -> None:
    stored = StoredRecord(record(), NOON_MS, delivered=False, delivered_at_ms=None)
    delivered = StoredRecord(record(), NOON_MS, delivered=True, delivered_at_ms=None)
    cancellation = StoredRecord(record(Kind.CANCELLATION, 2), NOON_MS, delivered=False, delivered_at_ms=None)
    assert AlertState.restored([]) is None
    for rows, state in [
        ([stored], "stored"),
        ([delivered], "delivered"),
        ([stored, cancellation], "cancelled"),
    ]:
        alert = AlertState.restored(rows)
        assert alert is not None
        assert alert.state == state
        told = alert.to_json()
        assert told["stored_at"] == "2026-11-20T12:00:00.000Z"
        assert (told["stored_after_ms"], told["delivered_after_ms"]) == (None, None), "of another session's clock"


@pytest.mark.parametrize(
    ("behind", "located"),
    [([], False), ([Kind.CANCELLATION], False), ([Kind.POSITION], True), ([Kind.CANCELLATION, Kind.POSITION], True)],
    ids=["nothing", "a cancellation", "a position", "both"],
)
def test_after_a_restart_it_is_known_whether_a_position_went_behind_it(behind: list[Kind], located: bool) -> None:
    rows = [
        StoredRecord(record(kind, number), None, delivered=False, delivered_at_ms=None)
        for number, kind in enumerate([Kind.PANIC, *behind], start=1)
    ]
    alert = AlertState.restored(rows)
    assert alert is not None
    assert alert.located is located
    assert alert.cancelled is (Kind.CANCELLATION in behind)
    assert alert.record.kind is Kind.PANIC


def test_a_new_alert_has_no_position_behind_it() -> None:
    assert not AlertState(record(), raised_s=100.0).located
