"""Alerts as the objects of the command line's `--json`: read from the database, decoded afresh.

It writes nothing and formats no text for people.
"""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bondmate_sim.gateway import cose, elements, evidence, receipts, records, sessions
from bondmate_sim.gateway.chain import Chain
from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.receipts import Verdict

_Moment = tuple[int, int]
"""When a device made a record: the session's place in the device's own order, and elapsed milliseconds in it."""

_Identity = tuple[bytes, int]


@dataclass(frozen=True, slots=True)
class _Stored:
    row: int
    session: bytes
    moment: _Moment
    digest: bytes
    chain: Chain
    verdict: Verdict
    bearer: str
    received_ms: int
    tagged: bytes
    record: records.Record

    @property
    def identity(self) -> _Identity:
        return self.session, self.record.sequence


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
    order = {session: rank for rank, session in enumerate(sessions.in_order(evidence.arrivals(database, device)))}
    stored = _stored(database, device, records.ALERT, order)
    identities: dict[_Identity, list[_Stored]] = {}
    cancellations: dict[bytes | None, list[_Stored]] = {}
    for each in stored:
        identities.setdefault(each.identity, []).append(each)
        if each.record.kind == records.CANCELLATION:
            cancellations.setdefault(each.record.cancels, []).append(each)
    raised = {identity: same for identity, same in identities.items() if same[0].record.kind != records.CANCELLATION}
    closed_by = {
        identity: [end for each in same for end in cancellations.get(each.digest[:8], ())]
        for identity, same in raised.items()
    }
    positions = _attach(
        [same[0] for same in raised.values()],
        {identity: min(end.moment for end in ends) for identity, ends in closed_by.items() if ends},
        _stored(database, device, records.POSITIONS, order),
    )
    shown = [
        (same[0].received_ms, _alert(device, same, closed_by[identity], positions[identity]))
        for identity, same in raised.items()
    ]
    matched = {end.row for ends in closed_by.values() for end in ends}
    # A cancellation whose alert has not come yet would otherwise be seen by nobody.
    shown += [
        (same[0].received_ms, _alert(device, same, [], []))
        for identity, same in identities.items()
        if identity not in raised and same[0].row not in matched
    ]
    return shown


def _attach(
    alerts: Sequence[_Stored], closed_at: Mapping[_Identity, _Moment], positions: Iterable[_Stored]
) -> dict[_Identity, list[_Stored]]:
    """Give each position to the newest alert that was open when it was taken."""
    attached: dict[_Identity, list[_Stored]] = {alert.identity: [] for alert in alerts}
    to_open = sorted(alerts, key=lambda alert: (alert.moment, alert.record.sequence), reverse=True)
    opened: list[_Stored] = []
    for position in sorted(positions, key=lambda each: each.moment):
        while to_open and to_open[-1].moment <= position.moment:
            opened.append(to_open.pop())
        # Time only goes on here: an alert that is closed at one position is closed at all that follow.
        while opened and opened[-1].identity in closed_at and closed_at[opened[-1].identity] <= position.moment:
            opened.pop()
        if opened:
            attached[opened[-1].identity].append(position)
    return attached


def _alert(device: bytes, same: list[_Stored], ends: list[_Stored], positions: list[_Stored]) -> dict[str, Any]:
    first = same[0]
    record = first.record
    with_fix = [each for each in (first, *positions) if each.record.fix is not None]
    live = [each for each in positions if each.record.kind != records.POSITIONS_BEFORE]
    before = [each.record for each in positions if each.record.kind == records.POSITIONS_BEFORE]
    newest = max(with_fix, key=lambda each: each.moment, default=None)
    held = first.verdict is Verdict.HELD
    return _entry(device, first.session, first.digest, first.bearer, first.received_ms, first.tagged) | {
        "alert_id": records.record_text(device, first.session, record.stream, record.sequence),
        "kind": records.kind_name(record.kind),
        "state": "cancelled" if ends else "delivered",
        "raised_at": utc_text(record.clock.utc_ms) if record.clock else None,
        "cancelled_at": utc_text(min(end.received_ms for end in ends)) if ends else None,
        "fix": fix(newest.record) if newest else None,
        "positions": len(live),
        "before": [_of(each, record.clock) for record in before for each in record.before],
        "verdict": "held" if held else "unreadable",
        "why": None if held else "the chain is broken before this record",
        "chain": str(first.chain),
        "store_lost": record.previous == b"",
        "forks": [
            {
                "digest": digest_text(each.digest),
                "received_at": utc_text(each.received_ms),
                "record_hex": each.tagged.hex(),
            }
            for each in same[1:]
        ],
    }


def _quarantined(database: Database, device: bytes) -> list[tuple[int, dict[str, Any]]]:
    rows = database.rows(
        "SELECT session, stream, sequence, digest, why, bearer, received_ms, tagged FROM quarantine"
        " WHERE device = ? ORDER BY row",
        (device,),
    )
    shown = []
    for session, stream, sequence, digest, why, bearer, received_ms, tagged in rows:
        known = stream is not None and sequence is not None
        entry = _entry(device, session, digest, bearer, received_ms, tagged) | {
            "alert_id": records.record_text(device, session, stream, sequence) if known else None,
            "verdict": "unreadable",
            "why": why,
        }
        shown.append((received_ms, entry))
    return shown


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
        "bearer": bearer,
        "fix": None,
        "positions": 0,
        "before": [],
        "exercise": False,
        "verdict": "held",
        "why": None,
        "acknowledged": [],
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


def _stored(database: Database, device: bytes, stream: int, order: Mapping[bytes, int]) -> list[_Stored]:
    rows = database.rows(
        "SELECT row, session, digest, chain, verdict, bearer, received_ms, tagged FROM record"
        " WHERE device = ? AND stream = ? ORDER BY row",
        (device, stream),
    )
    stored = []
    for row, session, digest, chain, verdict, bearer, received_ms, tagged in rows:
        record = records.payload(cose.parse(tagged).payload)
        moment = order[session], record.elapsed_ms
        stored.append(
            _Stored(row, session, moment, digest, Chain(chain), Verdict(verdict), bearer, received_ms, tagged, record)
        )
    return stored
