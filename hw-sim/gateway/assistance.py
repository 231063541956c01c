"""Which colleagues are asked for help when an officer calls, and what they are told (docs/protocol.md, section 8).

`near` decides; the rest reads what it decides by, and writes the messages.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec

from bondmate_sim.gateway import calls, devices, elements, messages, records
from bondmate_sim.gateway.calls import Alert
from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.messages import Draft, MessageError, Place, Type

RADIUS_M = 3000.0
"""Some ten minutes on foot at a run, a few by car: who is farther away is better sent by a human."""

SEEN_WITHIN_MS = 30 * 60_000
"""Who was there half an hour ago may be anywhere in that radius now; a device on duty says where it is more often."""

EXPIRES_S = 30 * 60
"""A colleague who reads it later than this would come to where nobody is."""

ONCE_IN_MS = 10 * 60_000
"""Who calls and takes it back, again and again, shall not wear out those who would come."""

BY = "control room"
REPLIES = ("I am going", "I cannot")

KINDS = (
    records.PANIC,
    records.ASSISTANCE,
    records.MEDICAL,
    records.CHECK_IN_MISSED,
    records.MAN_DOWN,
    records.ESCALATION,
    records.EXERCISE,
)
"""Calls of somebody who may need a person there; a case that was opened needs none. Of exercises it is those alone that
nobody ordered: they are real."""

_CALLS_LOOKED_BACK = 1000
"""Nobody calls so often in ten minutes: a press takes a second, and a cancellation is a record too."""

_LOOKED_BACK = 8
"""Among so many records that arrived last is the newest, though some were late."""

_EARTH_M = 6_371_008.8
"""The mean radius of the Earth (IUGG)."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Where a device was when (UTC in ms): degrees on WGS 84, and metres around it, or None when that is unknown."""

    device: bytes
    lat: float
    lon: float
    accuracy_m: float | None
    at_ms: int


def near(caller: Seen, colleagues: Iterable[Seen], now_ms: int) -> list[bytes]:
    """Return who is asked: whose last known position is near enough, and new enough to say anything."""
    return [
        each.device
        for each in colleagues
        if now_ms - each.at_ms <= SEEN_WITHIN_MS and _distance_m(caller, each) <= RADIUS_M
    ]


def ask(
    database: Database, device: bytes, alert: Alert, call: records.Record, key: ec.EllipticCurvePrivateKey, now_ms: int
) -> list[bytes]:
    """Ask colleagues for help with a call of an alert that was held just now; return whom.

    That is done once an alert, and once in a while for each caller. Call it inside a transaction. Raises apsw.Error.
    """
    if (
        call.kind not in KINDS
        or alert.exercise
        or not alert.open
        or _asked(database, alert)
        or _asked_lately(database, device, now_ms)
    ):
        return []
    fix = None if call.fix is None or call.fix.age_open else _seen(device, call.clock, call.fix, now_ms)
    caller = fix or _last_seen(database, device)
    if caller is None or now_ms - caller.at_ms > SEEN_WITHIN_MS:
        return []
    others = [_last_seen(database, each) for each in devices.colleagues(database, device)]
    asked = near(caller, [each for each in others if each is not None], now_ms)
    why = records.kind_name(call.kind) + (" that nobody ordered" if call.kind == records.EXERCISE else "")
    text = f"{records.device_text(device)} calls for help: {why}"
    place = Place(caller.lat, caller.lon, round(caller.accuracy_m or 0))
    body = [*messages.texts(text, REPLIES), place.encoded(), call.kind]
    draft = Draft(Type.ASSISTANCE, body, BY, True, now_ms // 1000 + EXPIRES_S, alert.first.digest)
    return list(_written(database, asked, draft, key, now_ms))


def _written(
    database: Database, asked: Iterable[bytes], draft: Draft, key: ec.EllipticCurvePrivateKey, now_ms: int
) -> Iterator[bytes]:
    for each in asked:
        try:
            messages.write(database, each, draft, key, now_ms)
        except MessageError:
            # One mailbox that takes no more shall not keep the call from being held.
            continue
        yield each


def _asked(database: Database, alert: Alert) -> bool:
    return any(
        database.rows("SELECT 1 FROM message WHERE about = ? AND type = ? LIMIT 1", (digest, Type.ASSISTANCE))
        for digest in alert.digests
    )


def _asked_lately(database: Database, device: bytes, now_ms: int) -> bool:
    # What was written in the future was so by a clock that has been set back since, and counts for nothing.
    found = database.rows(
        "SELECT 1 FROM (SELECT digest FROM record WHERE device = ? AND stream = ? AND stream IN (0, 2, 3)"
        " ORDER BY row DESC LIMIT ?) JOIN message ON about = digest"
        " WHERE type = ? AND written_ms > ? AND written_ms <= ? LIMIT 1",
        (device, records.ALERT, _CALLS_LOOKED_BACK, Type.ASSISTANCE, now_ms - ONCE_IN_MS, now_ms),
    )
    return bool(found)


def _last_seen(database: Database, device: bytes) -> Seen | None:
    seen = [
        _seen(device, each.record.clock, each.record.fix, each.received_ms)
        for stream in (records.POSITIONS, records.PRESENCE_STREAM)
        for each in calls.stored(database, device, stream, _LOOKED_BACK)
        if each.record.fix is not None and not each.record.fix.age_open
    ]
    return max(seen, key=lambda each: each.at_ms, default=None)


def _seen(device: bytes, clock: elements.Clock | None, fix: elements.Fix, received_ms: int) -> Seen:
    # Nothing was made after it came: a clock that is ahead shall not make an old position new.
    made_ms = received_ms if clock is None else min(clock.utc_ms, received_ms)
    return Seen(device, fix.lat, fix.lon, fix.accuracy_m, made_ms - round(fix.age_s * 1000))


def _distance_m(one: Seen, other: Seen) -> float:
    """Return the length of the great circle between two places, by the haversine formula."""
    lat_1, lat_2 = math.radians(one.lat), math.radians(other.lat)
    across = math.sin((lat_2 - lat_1) / 2) ** 2
    along = math.cos(lat_1) * math.cos(lat_2) * math.sin(math.radians(other.lon - one.lon) / 2) ** 2
    return 2 * _EARTH_M * math.asin(math.sqrt(min(1.0, across + along)))
