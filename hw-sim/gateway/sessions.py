"""Sessions of a kid in the database: which may begin, which are open, their replay windows and sender numbers.

It holds the rules of docs/protocol.md, section 2, for the start counter and the last 16 sessions. It does no OSCORE.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass

from bondmate_sim.gateway.database import Database

KEPT = 16
"""So many sessions of a kid stay open, and a new one may begin so far behind the highest start counter."""

_COUNTER_OCTETS = 2
_COUNTERS = 1 << 8 * _COUNTER_OCTETS
_WINDOW_OCTETS = 8


@dataclass(frozen=True, slots=True)
class Window:
    """A replay window 64 wide: bit n of `bits` says that number `index` + n was seen; all below `index` were."""

    index: int
    bits: int


@dataclass(frozen=True, slots=True)
class Session:
    """A session that verified before. The gateway may have used any of its sender numbers below `sender_reserved`."""

    open: bool
    window: Window
    sender_reserved: int


def counter(session: bytes) -> int:
    """Return the start counter in a session id."""
    return int.from_bytes(session[:_COUNTER_OCTETS], "big")


def behind(value: int, highest: int) -> int:
    """Return how far a start counter lies behind another, negative if ahead (RFC 1982, 16 bits).

    At half the circle, where the RFC leaves it open, it counts as behind.
    """
    distance = (highest - value) % _COUNTERS
    return distance if distance <= _COUNTERS // 2 else distance - _COUNTERS


def may_begin(session: bytes, highest: int | None) -> bool:
    """Say whether a session not seen before may begin, by the highest start counter that verified."""
    return highest is None or behind(counter(session), highest) <= KEPT


def in_order(arrived: Mapping[bytes, int]) -> list[bytes]:
    """Return sessions in the device's own order: by start counter (RFC 1982), and those of one counter by arrival."""

    def compare(one: bytes, other: bytes) -> int:
        return behind(counter(other), counter(one)) or arrived[one] - arrived[other]

    return sorted(arrived, key=functools.cmp_to_key(compare))


def find(database: Database, kid: bytes, session: bytes) -> Session | None:
    """Return what is kept of a session, or None if it never verified."""
    found = database.rows(
        "SELECT open, window_index, window_bits, sender_reserved FROM session WHERE kid = ? AND id = ?", (kid, session)
    )
    if not found:
        return None
    is_open, index, bits, reserved = found[0]
    return Session(bool(is_open), Window(index, int.from_bytes(bits, "big")), reserved)


def present(database: Database, device: bytes) -> tuple[bytes, int] | None:
    """Return the newest session of a device, over whatever bearer it was heard, and when it was last (UTC in ms)."""
    seen = dict(
        database.rows(
            "SELECT session.id, max(seen_ms) FROM session JOIN bearer ON bearer.kid = session.kid"
            " WHERE bearer.device = ? AND open GROUP BY session.id",
            (device,),
        )
    )
    return (in_order(seen)[-1], seen[in_order(seen)[-1]]) if seen else None


def save(
    database: Database, kid: bytes, session: bytes, window: Window, sender_reserved: int, now_ms: int
) -> list[bytes]:
    """Write a session after a message verified under it; call it inside a transaction.

    Returns the sessions that this one pushed out of the last 16. They are closed, and their rows stay, so that none of
    their datagrams can open them again.
    """
    database.rows(
        "INSERT INTO session (kid, id, open, touched, seen_ms, window_index, window_bits, sender_reserved)"
        " VALUES (:kid, :id, 1, (SELECT coalesce(max(touched), 0) + 1 FROM session WHERE kid = :kid AND open),"
        "  :now, :index, :bits, :reserved)"
        " ON CONFLICT (kid, id) DO UPDATE SET touched = excluded.touched, seen_ms = excluded.seen_ms,"
        "  window_index = excluded.window_index, window_bits = excluded.window_bits,"
        "  sender_reserved = excluded.sender_reserved",
        {
            "kid": kid,
            "id": session,
            "now": now_ms,
            "index": window.index,
            "bits": window.bits.to_bytes(_WINDOW_OCTETS, "big"),
            "reserved": sender_reserved,
        },
    )
    # The kid of an enrolment has no bearer: no counter is kept for it.
    kept = database.rows("SELECT highest_counter FROM bearer WHERE kid = ?", (kid,))
    if kept and (kept[0][0] is None or behind(counter(session), kept[0][0]) < 0):
        database.rows("UPDATE bearer SET highest_counter = ? WHERE kid = ?", (counter(session), kid))
    return [
        closed
        for (closed,) in database.rows(
            "UPDATE session SET open = 0 WHERE kid = ?1 AND id IN"
            " (SELECT id FROM session WHERE kid = ?1 AND open ORDER BY touched DESC LIMIT -1 OFFSET ?2) RETURNING id",
            (kid, KEPT),
        )
    ]
