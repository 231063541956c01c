"""Alerts and devices as the objects of the command line's `--json`: read from the database, decoded afresh.

It writes nothing and formats no text for people.
"""

import datetime
import functools
from dataclasses import dataclass
from typing import Any

from bondmate_sim.gateway import cose, receipts, records, sessions
from bondmate_sim.gateway.chain import Chain
from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.receipts import Verdict


@dataclass(frozen=True, slots=True)
class _Stored:
    row: int
    session: bytes
    session_row: int
    digest: bytes
    chain: Chain
    verdict: Verdict
    bearer: str
    received_ms: int
    tagged: bytes
    record: records.Record


def alerts(database: Database) -> list[dict[str, Any]]:
    """Return what stands before a dispatcher, in the order of arrival: alerts, and what could not be read."""
    found: list[tuple[int, dict[str, Any]]] = []
    with database.snapshot():
        for (device,) in database.rows("SELECT id FROM device"):
            found += _alerts_of(database, device)
            found += _quarantined(database, device)
    return [each for _, each in sorted(found, key=lambda pair: pair[0])]


def devices(database: Database) -> list[dict[str, Any]]:
    """Return every enrolled device, the oldest first."""
    with database.snapshot():
        rows = database.rows("SELECT id, public_key_pem, enrolled_ms, revoked_ms FROM device ORDER BY enrolled_ms, id")
        return [_device(database, *row) for row in rows]


def utc_text(utc_ms: int | None) -> str | None:
    """Return milliseconds since 1970 in RFC 3339, or None."""
    if utc_ms is None:
        return None
    moment = datetime.datetime.fromtimestamp(utc_ms // 1000, datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{utc_ms % 1000:03d}Z"


def _alerts_of(database: Database, device: bytes) -> list[tuple[int, dict[str, Any]]]:
    stored = _stored(database, device, records.ALERT)
    cancellations = [each for each in stored if each.record.kind == records.CANCELLATION]
    identities: dict[tuple[bytes, int], list[_Stored]] = {}
    for each in stored:
        identities.setdefault((each.session, each.record.sequence), []).append(each)
    raised = {identity: same for identity, same in identities.items() if same[0].record.kind != records.CANCELLATION}
    closed_by = {
        identity: [end for end in cancellations if any(each.digest[:8] == end.record.cancels for each in same)]
        for identity, same in raised.items()
    }
    positions = _attach(list(raised.values()), closed_by, _stored(database, device, records.POSITIONS))
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
    raised: list[list[_Stored]], closed_by: dict[tuple[bytes, int], list[_Stored]], positions: list[_Stored]
) -> dict[tuple[bytes, int], list[_Stored]]:
    """Give each position to the newest alert that was open when it was taken."""
    attached: dict[tuple[bytes, int], list[_Stored]] = {_identity(same[0]): [] for same in raised}
    newest_first = sorted((same[0] for same in raised), key=_DEVICE_ORDER, reverse=True)
    for position in positions:
        for alert in newest_first:
            ends = closed_by[_identity(alert)]
            if _compare(alert, position) <= 0 and not any(_compare(end, position) <= 0 for end in ends):
                attached[_identity(alert)].append(position)
                break
    return attached


def _alert(device: bytes, same: list[_Stored], ends: list[_Stored], positions: list[_Stored]) -> dict[str, Any]:
    first = same[0]
    record = first.record
    with_fix = [each for each in (first, *positions) if each.record.fix is not None]
    newest = max(with_fix, key=_DEVICE_ORDER, default=None)
    held = first.verdict is Verdict.HELD
    return _entry(device, first.session, first.digest, first.bearer, first.received_ms, first.tagged) | {
        "alert_id": records.record_text(device, first.session, record.stream, record.sequence),
        "kind": records.kind_name(record.kind),
        "state": "cancelled" if ends else "delivered",
        "raised_at": utc_text(record.clock.utc_ms) if record.clock else None,
        "cancelled_at": utc_text(min(end.received_ms for end in ends)) if ends else None,
        "fix": _fix(newest.record) if newest else None,
        "positions": len(positions),
        "verdict": "held" if held else "unreadable",
        "why": None if held else "the chain is broken before this record",
        "chain": str(first.chain),
        "store_lost": record.previous == b"",
        "forks": [
            {
                "digest": _digest_text(each.digest),
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
        "exercise": False,
        "verdict": "held",
        "why": None,
        "acknowledged": [],
        "digest": _digest_text(digest),
        "record_hex": tagged.hex(),
        "external_aad_hex": records.external_aad(device, session).hex(),
        "chain": None,
        "store_lost": False,
        "forks": [],
    }


def _digest_text(digest: bytes) -> str:
    return digest[: receipts.DIGEST_OCTETS].hex()


def _fix(record: records.Record) -> dict[str, Any] | None:
    fix = record.fix
    if fix is None:
        return None
    time_ms = record.clock.utc_ms - round(fix.age_s * 1000) if record.clock and not fix.age_open else None
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


def _device(
    database: Database, device: bytes, public_key_pem: str, enrolled_ms: int, revoked_ms: int | None
) -> dict[str, Any]:
    open_sessions = database.rows(
        "SELECT session.id, max(seen_ms) FROM session JOIN bearer ON bearer.kid = session.kid"
        " WHERE bearer.device = ? AND open GROUP BY session.id ORDER BY max(seen_ms)",
        (device,),
    )
    forked = database.rows(
        "SELECT session, stream, sequence FROM record WHERE device = ? GROUP BY session, stream, sequence"
        " HAVING count(*) > 1 ORDER BY min(row)",
        (device,),
    )
    attempts = database.rows("SELECT received_ms, bearer, digest FROM attempt WHERE device = ? ORDER BY row", (device,))
    return {
        "device": records.device_text(device),
        "enrolled_at": utc_text(enrolled_ms),
        "public_key_pem": public_key_pem,
        "last_seen_at": utc_text(max((seen_ms for _, seen_ms in open_sessions), default=None)),
        "sessions": [records.session_text(session) for session, _ in open_sessions],
        "revoked": revoked_ms is not None,
        "revoked_at": utc_text(revoked_ms),
        "forks": [records.record_text(device, *identity) for identity in forked],
        "attempts": [
            {
                "received_at": utc_text(received_ms),
                "bearer": bearer,
                "digest": _digest_text(digest),
            }
            for received_ms, bearer, digest in attempts
        ],
    }


def _stored(database: Database, device: bytes, stream: int) -> list[_Stored]:
    rows = database.rows(
        "SELECT row, session, first, digest, chain, verdict, bearer, received_ms, tagged FROM record"
        " JOIN (SELECT session, min(row) AS first FROM record WHERE device = ?1 GROUP BY session) USING (session)"
        " WHERE device = ?1 AND stream = ?2 ORDER BY row",
        (device, stream),
    )
    return [
        _Stored(
            row,
            session,
            session_row,
            digest,
            Chain(chain),
            Verdict(verdict),
            bearer,
            received_ms,
            tagged,
            records.payload(cose.parse(tagged).payload),
        )
        for row, session, session_row, digest, chain, verdict, bearer, received_ms, tagged in rows
    ]


def _identity(stored: _Stored) -> tuple[bytes, int]:
    return stored.session, stored.record.sequence


def _compare(one: _Stored, other: _Stored) -> int:
    """Order records of a device: by start counter (RFC 1982), then by arrival of the session, then by elapsed time."""
    if one.session == other.session:
        return _sign(one.record.elapsed_ms - other.record.elapsed_ms)
    distance = sessions.behind(sessions.counter(other.session), sessions.counter(one.session))
    return _sign(distance) or _sign(one.session_row - other.session_row)


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)


_DEVICE_ORDER = functools.cmp_to_key(_compare)
