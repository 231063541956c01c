"""Exercises that were ordered: from when to when a device's call may be one (docs/protocol.md, sections 3 and 8).

It keeps the orders. What a call is in the end, `calls` says.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.messages import Draft, Type

MAX_S = 14_400

TAKEN_WITHIN_S = 1200
"""A device that does not fetch its order within this has none. It counts from when it takes it, so that its exercise
ends so much later than here at most; off duty it asks every 15 minutes."""

TOLERANCE_MS = 60_000
"""So much may a device's clock differ from the gateway's, or an end be under way, before a call counts as real."""


@dataclass(frozen=True, slots=True)
class Order:
    """An exercise that was ordered, from when to when: UTC in ms."""

    version: int
    from_ms: int
    until_ms: int


def ordered(database: Database, device: bytes) -> list[Order]:
    """Return a device's orders, the oldest first. Raises apsw.Error."""
    rows = database.rows("SELECT version, from_ms, until_ms FROM exercise WHERE device = ? ORDER BY version", (device,))
    return [Order(*row) for row in rows]


def is_ordered(orders: Sequence[Order], made_ms: int) -> bool:
    """Say whether a call that was made then may be an exercise."""
    return any(
        each.from_ms - TOLERANCE_MS <= made_ms <= each.until_ms + TOLERANCE_MS
        for each in orders
        if each.from_ms < each.until_ms
    )


def begin(database: Database, device: bytes, seconds: int, by: str, now_ms: int) -> Draft:
    """Keep the order of an exercise of 1 to 14,400 s in place of one that goes on, and return its message.

    Raises apsw.Error.
    """
    version = _ended(database, device, now_ms)
    database.rows("INSERT INTO exercise VALUES (?, ?, ?, ?)", (device, version, now_ms, now_ms + seconds * 1000))
    expires_s = now_ms // 1000 + min(seconds, TAKEN_WITHIN_S)
    return Draft(Type.EXERCISE, [version, seconds], by, expires_s=expires_s)


def end(database: Database, device: bytes, by: str, now_ms: int) -> Draft:
    """End what goes on, and return the message that says so; harmless where nothing does. Raises apsw.Error."""
    last_ms = max([now_ms, *(each.until_ms for each in ordered(database, device))])
    version = _ended(database, device, now_ms)
    # A version of its own, so that no order after it can have the same; one without a length orders nothing.
    database.rows("INSERT INTO exercise VALUES (?, ?, ?, ?)", (device, version, now_ms, now_ms))
    return Draft(Type.EXERCISE, [version, 0], by, expires_s=last_ms // 1000 + TAKEN_WITHIN_S)


def _ended(database: Database, device: bytes, now_ms: int) -> int:
    """End what goes on, and return a version above all before, also above those that a restored database lost."""
    database.rows("UPDATE exercise SET until_ms = ?1 WHERE device = ?2 AND until_ms > ?1", (now_ms, device))
    before = max((each.version for each in ordered(database, device)), default=0)
    return max(before + 1, now_ms // 1000)
