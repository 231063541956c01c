"""Marks on calls: that a human saw one, or that it is over, as rows of the table `mark`. Knows nothing of messages.

A mark is kept by the digest of the record that it is on, and beside it: the record may still wait to be committed.
"""

import math
from collections.abc import Iterable
from enum import IntEnum
from typing import Any

import apsw

from bondmate.records import Moment
from bondmate.wire import DIGEST_OCTETS


class Mark(IntEnum):
    """What a dispatcher said of a call."""

    ACKNOWLEDGED = 1
    CLOSED = 2


Row = tuple[bytes, int, float, int | None, str]
"""Digest, what, when by lifetime and UTC, and who said it."""

_FOUND = (
    "SELECT CAST(lifetime_s AS REAL), CAST(at_ms AS INTEGER), CAST(operator AS BLOB) FROM mark"
    " WHERE what = ?1 AND digest = (SELECT digest FROM record WHERE position = ?2)"
)
READ = (
    "SELECT CAST(digest AS BLOB), CAST(what AS INTEGER), CAST(lifetime_s AS REAL), CAST(at_ms AS INTEGER),"
    " CAST(operator AS BLOB) FROM mark"
)
"""All of them, also where the disk has changed them."""


def find(connection: apsw.Connection, what: Mark, position: int) -> tuple[Moment, str] | None:
    """When the record there was marked, and by whom; None where it was not."""
    row: Any = connection.execute(_FOUND, (int(what), position)).fetchone()
    return None if row is None else (Moment(_age_s(row[0]), row[1]), _name(row[2]))


def put(connection: apsw.Connection, row: Row) -> None:
    """Mark a call; of marks that say the same the first one stays."""
    connection.execute(
        "INSERT OR IGNORE INTO mark (digest, what, lifetime_s, at_ms, operator) VALUES (?, ?, ?, ?, ?)", row
    )


def take_up(connection: apsw.Connection, rows: Iterable[tuple[Any, ...]]) -> None:
    """Keep the marks of a damaged file, as READ has them: without its mark a call that is over would come back open."""
    for digest, what, lifetime_s, at_ms, operator in rows:
        if digest is not None and len(digest) == DIGEST_OCTETS and what in set(Mark):
            put(connection, (digest, what, _age_s(lifetime_s), at_ms, _name(operator)))


def erase(connection: apsw.Connection, older_s: float) -> int:
    """Erase old marks on what is not there any more; how many. What is still to be salvaged may be marked already."""
    connection.execute(
        "DELETE FROM mark WHERE lifetime_s < ? AND NOT EXISTS (SELECT 1 FROM salvage)"
        " AND NOT EXISTS (SELECT 1 FROM record WHERE record.digest = mark.digest)",
        (older_s,),
    )
    return connection.changes()


def _age_s(lifetime_s: float | None) -> float:
    return lifetime_s if lifetime_s is not None and 0 <= lifetime_s < math.inf else 0.0


def _name(octets: bytes | None) -> str:
    return (octets or b"").decode("utf-8", "replace")
