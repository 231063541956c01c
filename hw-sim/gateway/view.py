"""Alerts as the objects of the command line's `--json`: read from the database, decoded afresh.

It writes nothing and formats no text for people.
"""

import datetime
from collections.abc import Iterable, Sequence
from typing import Any

from bondmate_sim.gateway import bodies, calls, elements, receipts, records
from bondmate_sim.gateway.calls import Alert, Stored
from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.receipts import Verdict

_BROKEN = "the chain is broken before this record"
_WITHOUT_ORDER = "marked as exercise, but none was ordered"


def alerts(database: Database) -> list[dict[str, Any]]:
    """Return what stands before a dispatcher, in the order of arrival: alerts, and what could not be read."""
    found: list[tuple[int, dict[str, Any]]] = []
    with database.snapshot():
        for (device,) in database.rows("SELECT id FROM device"):
            found += _alerts_of(database, device)
            found += _quarantined(database, device)
    return [each for _, each in sorted(found, key=lambda pair: pair[0])]


def utc_text(utc_ms: int | None) -> str | None:
    """Return milliseconds since 1970 in RFC 3339, or None."""
    if utc_ms is None:
        return None
    moment = datetime.datetime.fromtimestamp(utc_ms // 1000, datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{utc_ms % 1000:03d}Z"


def digest_text(digest: bytes) -> str:
    """Return a digest as it stands in a receipt, in hexadecimal."""
    return digest[: receipts.DIGEST_OCTETS].hex()


def _alerts_of(database: Database, device: bytes) -> list[tuple[int, dict[str, Any]]]:
    history = calls.history(database, device)
    positions = _attach(history.alerts, _positions(database, device, history.alerts))
    shown = [
        (alert.first.received_ms, _alert(device, alert, positions[alert.first.identity])) for alert in history.alerts
    ]
    # A cancellation whose alert has not come yet would otherwise be seen by nobody.
    return shown + [(alert.first.received_ms, _alert(device, alert, [])) for alert in history.loose]


def _positions(database: Database, device: bytes, alerts: Sequence[Alert]) -> list[Stored]:
    positions = calls.stored(database, device, records.POSITIONS)
    forced = min((alert.duress.moment for alert in alerts if alert.duress), default=None)
    if forced is None:
        return positions
    # From then on the device sends what it sends when an alert is over, but not coarse: nobody beside it can tell.
    presences = calls.stored(database, device, records.PRESENCE_STREAM)
    return positions + [
        each
        for each in presences
        if each.record.kind == records.PRESENCE
        and each.moment >= forced
        and each.record.fix is not None
        and not each.record.fix.coarse
    ]


def _attach(alerts: Sequence[Alert], positions: Iterable[Stored]) -> dict[calls.Identity, list[Stored]]:
    """Give each position to the newest alert that was open when it was taken."""
    attached: dict[calls.Identity, list[Stored]] = {alert.first.identity: [] for alert in alerts}
    ended = {alert.first.identity: min(end.moment for end in alert.cancelled) for alert in alerts if alert.cancelled}
    to_open = sorted((alert.first for alert in alerts), key=lambda each: (each.moment, each.record.sequence))
    to_open.reverse()
    opened: list[Stored] = []
    for position in sorted(positions, key=lambda each: each.moment):
        while to_open and to_open[-1].moment <= position.moment:
            opened.append(to_open.pop())
        # Time only goes on here: an alert that is ended at one position is ended at all that follow.
        while opened and opened[-1].identity in ended and ended[opened[-1].identity] <= position.moment:
            opened.pop()
        if opened:
            attached[opened[-1].identity].append(position)
    return attached


def _alert(device: bytes, alert: Alert, positions: list[Stored]) -> dict[str, Any]:
    first = alert.first
    escalations = [same[0] for same in alert.calls[1:]]
    with_fix = [each for each in (first, *escalations, *positions) if each.record.fix is not None]
    live = [each for each in positions if each.record.kind != records.POSITIONS_BEFORE]
    before = [each.record for each in positions if each.record.kind == records.POSITIONS_BEFORE]
    newest = max(with_fix, key=lambda each: each.moment, default=None)
    taken_back = alert.cancelled or [each for each in (alert.duress,) if each]
    how = next((calls.how(each) for each in taken_back), calls.how(first))
    why = [] if first.verdict is Verdict.HELD else [_BROKEN]
    if alert.marked and not alert.ordered:
        why.append(_WITHOUT_ORDER)
    return _entry(device, first.session, first.digest, first.bearer, first.received_ms, first.tagged) | {
        **_call(device, first),
        "state": _state(alert),
        "cancelled_at": utc_text(min(each.received_ms for each in taken_back)) if taken_back else None,
        "cancelled_how": None if how is None else how.name.lower(),
        "duress": how is bodies.How.DURESS,
        "fix": fix(newest.record) if newest else None,
        "positions": len(live),
        "before": [_of(each, record.clock) for record in before for each in record.before],
        "escalations": [_call(device, each) for each in escalations],
        "exercise": alert.exercise,
        "cap_status": "Exercise" if alert.exercise else "Actual",
        "why": "; ".join(why) or None,
        "acknowledged": [{"by": each.by, "at": utc_text(each.at_ms)} for each in alert.acknowledgements],
        "closed": {"by": alert.closed.by, "at": utc_text(alert.closed.at_ms)} if alert.closed else None,
        "check_in": _check_in(alert),
        "forks": [
            {
                "digest": digest_text(each.digest),
                "received_at": utc_text(each.received_ms),
                "record_hex": each.tagged.hex(),
            }
            for same in alert.calls
            for each in same[1:]
        ],
    }


def _call(device: bytes, call: Stored) -> dict[str, Any]:
    """Return what is said of one call by itself, with all that verifies it anywhere."""
    record, held = call.record, call.verdict is Verdict.HELD
    return {
        "alert_id": identity(device, call),
        "kind": records.kind_name(record.kind),
        "raised_at": utc_text(record.clock.utc_ms) if record.clock else None,
        "received_at": utc_text(call.received_ms),
        "bearer": call.bearer,
        "verdict": "held" if held else "unreadable",
        "why": None if held else _BROKEN,
        "chain": str(call.chain),
        "store_lost": record.previous == b"",
        "digest": digest_text(call.digest),
        "record_hex": call.tagged.hex(),
        "external_aad_hex": records.external_aad(device, call.session).hex(),
    }


def _state(alert: Alert) -> str:
    if alert.closed is not None:
        return "closed"
    if alert.cancelled:
        return "cancelled"
    return "acknowledged" if alert.acknowledged else "delivered"


def _check_in(alert: Alert) -> dict[str, Any] | None:
    """Return the check-in that was missed: when it began, what was noted, when it was due in the end."""
    due, begun, note = None, None, None
    for stored in alert.check_ins:
        told = stored.record.check_in
        if told is None or told.action is bodies.Action.END:
            break
        made_ms = stored.record.clock.utc_ms if stored.record.clock else None
        due = due or (None if made_ms is None else made_ms + told.seconds * 1000,)
        note = note or told.note
        if told.action is bodies.Action.BEGIN:
            begun = made_ms
            break
    return None if due is None else {"note": note, "due_at": utc_text(due[0]), "began_at": utc_text(begun)}


def _quarantined(database: Database, device: bytes) -> list[tuple[int, dict[str, Any]]]:
    rows = database.rows(
        "SELECT session, stream, sequence, digest, why, bearer, received_ms, tagged FROM quarantine"
        " WHERE device = ? ORDER BY row",
        (device,),
    )
    acts = calls.handlings(database, device) if rows else []
    shown = []
    for session, stream, sequence, digest, why, bearer, received_ms, tagged in rows:
        known = stream is not None and sequence is not None
        handled = [each for each in acts if each.digest == digest]
        closed = next((each for each in handled if each.closed), None)
        entry = _entry(device, session, digest, bearer, received_ms, tagged) | {
            "alert_id": records.record_text(device, session, stream, sequence) if known else None,
            "verdict": "unreadable",
            "why": why,
            "state": "closed" if closed else "acknowledged" if handled else "delivered",
            "acknowledged": [{"by": each.by, "at": utc_text(each.at_ms)} for each in handled if not each.closed],
            "closed": {"by": closed.by, "at": utc_text(closed.at_ms)} if closed else None,
        }
        shown.append((received_ms, entry))
    return shown


def identity(device: bytes, stored: Stored) -> str:
    """Return the id of a record as text."""
    return records.record_text(device, stored.session, stored.record.stream, stored.record.sequence)


def _entry(
    device: bytes, session: bytes, digest: bytes, bearer: str, received_ms: int, tagged: bytes
) -> dict[str, Any]:
    """Return every key of an alert, as far as it is known without reading the record."""
    return {
        "alert_id": None,
        "device": records.device_text(device),
        "kind": None,
        "state": "delivered",
        "raised_at": None,
        "received_at": utc_text(received_ms),
        "cancelled_at": None,
        "cancelled_how": None,
        "duress": False,
        "bearer": bearer,
        "fix": None,
        "positions": 0,
        "before": [],
        "escalations": [],
        "exercise": False,
        "cap_status": "Actual",
        "verdict": "held",
        "why": None,
        "acknowledged": [],
        "closed": None,
        "check_in": None,
        "digest": digest_text(digest),
        "record_hex": tagged.hex(),
        "external_aad_hex": records.external_aad(device, session).hex(),
        "chain": None,
        "store_lost": False,
        "forks": [],
    }


def fix(record: records.Record) -> dict[str, Any] | None:
    """Return where a record says that the device was, or None."""
    return None if record.fix is None else _of(record.fix, record.clock)


def _of(fix: elements.Fix, clock: elements.Clock | None) -> dict[str, Any]:
    time_ms = clock.utc_ms - round(fix.age_s * 1000) if clock and not fix.age_open else None
    return {
        "time": utc_text(time_ms),
        "lat": fix.lat,
        "lon": fix.lon,
        "alt_m": fix.alt_m,
        "speed_mps": fix.speed_mps,
        "track_deg": fix.track_deg,
        "mode": 3 if fix.three_dimensional else 2,
        "hdop": fix.hdop,
        "accuracy_m": None if fix.accuracy_m is None else round(fix.accuracy_m, 1),
        "satellites": fix.satellites,
        "age_s": round(fix.age_s, 3),
        "source": "gnss",
        "coarse": fix.coarse,
        "suspect": list(fix.suspect),
    }
