"""What can still be read of a damaged file: records that no receipt was kept for, and all of alerts, bit by bit.

Reads alone: the damaged file and its log stay as they are, for somebody who knows more about it. What is damaged is not
there; whether a disk that fails to read is given another chance is the caller's choice. See salvage.
"""

import logging
import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import apsw

from bondmate.errors import StoreTrouble
from bondmate.records import Felt, Moment, Stream
from bondmate.store import marks, rows
from bondmate.store.troubles import store_error, trouble_of
from bondmate.wire import digest

log = logging.getLogger(__name__)

PASSING = frozenset({StoreTrouble.IO, StoreTrouble.READ_ONLY, StoreTrouble.FULL})
"""Troubles of the disk, and not of the file."""

LOOKED_AT = 1000
"""Places in one step; it reads some dozens of pages for them."""

_BY_INDEX = "SELECT CAST(stream AS INTEGER), position, 1 FROM record INDEXED BY record_pending WHERE receipt IS NULL"
_BY_TABLE = (
    "SELECT CAST(stream AS INTEGER), position, receipt IS NULL"  # noqa: S608 - a constant
    f" OR stream = {int(Stream.ALERT)} FROM record NOT INDEXED"
)
"""Of the alerts' stream also what has a receipt: an alert that is open must not be forgotten, and without cancellations
what they closed would look open. The gateway takes them once."""
WALKS = (
    f"{_BY_INDEX} ORDER BY stream, position",
    f"{_BY_INDEX} ORDER BY stream DESC, position DESC",
    f"{_BY_TABLE} ORDER BY position",
    f"{_BY_TABLE} ORDER BY position DESC",
)
"""By the index and by the table, from both ends: a damaged page ends a walk, and another way leads around it."""

_COLUMNS = (
    "CAST(session AS BLOB), CAST(stream AS INTEGER), CAST(sequence AS INTEGER), CAST(kind AS INTEGER),"
    " CAST(data AS BLOB), CAST(digest AS BLOB), CAST(made_at_ms AS INTEGER), CAST(made_at_source AS INTEGER),"
    " CAST(made_at_uncertainty_ms AS INTEGER), CAST(stored_at_ms AS INTEGER)"
)
"""As in the first version of the schema, so of a file of any version."""
_FATE = "CAST(stored_lifetime_s AS REAL), CAST(felt AS INTEGER)"
"""Since the second version."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A row that is whole, by its digest, to be delivered, perhaps again. `values` are those of COLUMNS."""

    values: tuple[Any, ...]
    lifetime_s: float
    felt: int


COLUMNS = (
    "session, stream, sequence, kind, data, digest, made_at_ms, made_at_source, made_at_uncertainty_ms, stored_at_ms"
)
_STREAM, _DATA, _DIGEST = 1, 4, 5

Place = tuple[int, int]
"""A stream, and a position in it."""


class Wreck:
    """A damaged file. To be closed."""

    def __init__(self, path: Path, *, patient: bool) -> None:
        """`patient`: its methods raise StoreError where the disk fails, which may pass; else that counts as damage."""
        self._path = path
        self._patient = patient
        self._connection = self._opened()
        self._walk = (row for sql in WALKS for row in self._as_far_as_possible(sql))
        self._found: set[Place] = set()
        self._places: Sequence[Place] | None = None
        """Sorted, once all were found: alerts first, and the oldest first."""
        clock = self.clock()
        self._age_s = 0.0 if clock is None else clock.lifetime_s

    def close(self) -> None:
        """Leaves the files as they are."""
        if self._connection is not None:
            with suppress(apsw.Error):
                self._connection.close()

    def clock(self) -> Moment | None:
        """The moment of the last write."""
        if self._connection is None:
            return None
        try:
            return rows.clock(self._connection)
        except Exception as error:  # noqa: BLE001 - whatever it is, there is no clock
            self._bear(error, "the clock")
            return None

    def salvage(self) -> list[tuple[int, int, int]]:
        """What the file itself still had to take up from earlier ones, as rows of its table."""
        sql = "SELECT damaged, CAST(stream AS INTEGER), CAST(position AS INTEGER) FROM salvage"
        return [
            (number, stream, place)
            for number, stream, place in self._as_far_as_possible(sql)
            if None not in (stream, place)
        ]

    def marks(self) -> list[tuple[Any, ...]]:
        """What a human said of calls, as rows of its table; a file of an earlier version has none."""
        return list(self._as_far_as_possible(marks.READ))

    def small(self) -> list[tuple[Any, ...]]:
        """Small states, by name; whoever reads one looks whether it makes sense."""
        found = self._as_far_as_possible("SELECT CAST(name AS TEXT), CAST(value AS BLOB) FROM small")
        return [(name, value) for name, value in found if None not in (name, value)]

    def behind(self, place: Place, limit: int) -> Sequence[Place] | None:
        """The places behind one, alerts first, then the oldest; None while some are still to be found: ask again."""
        if self._places is None:
            seen = list(islice(self._walk, LOOKED_AT))
            self._found.update(
                (stream, at) for stream, at, waits in seen if waits and stream is not None and stream >= 0
            )
            if seen:
                return None
            self._places = sorted(self._found)
            self._found.clear()
        begin = bisect_right(self._places, place)
        return self._places[begin : begin + limit]

    def row(self, position: int) -> Saved | None:
        """The row there, if it is whole."""
        where = f"FROM record WHERE position = {position}"
        for values in self._as_far_as_possible(f"SELECT {_COLUMNS} {where}"):
            if values[_DATA] is None or digest(values[_DATA]) != values[_DIGEST]:
                return None
            # what an earlier version kept: its palm felt what was stored
            fate = next(self._as_far_as_possible(f"SELECT {_FATE} {where}"), (None, None))
            return Saved(values, self._age(fate[0]), _felt(fate[1], alert=values[_STREAM] == 0))
        return None

    def _age(self, lifetime_s: float | None) -> float:
        """How old the device was; as old as it became, where that cannot be."""
        if lifetime_s is None or not 0 <= lifetime_s <= (self._age_s or math.inf):
            return self._age_s
        return lifetime_s

    def _as_far_as_possible(self, sql: str) -> Iterator[tuple[Any, ...]]:
        if self._connection is None:
            return
        try:
            yield from self._connection.execute(sql)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next way may lead around it
            self._bear(error, sql)

    def _opened(self) -> apsw.Connection | None:
        try:
            if self._path.stat().st_size == 0:
                return None  # beside an empty file SQLite would delete the log
            # read-only it would not read the log; what is not written needs no checkpoint
            connection = apsw.Connection(str(self._path), flags=apsw.SQLITE_OPEN_READWRITE)
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        except Exception as error:  # noqa: BLE001 - whatever it is
            self._bear(error, "all")
            return None
        return connection

    def _bear(self, error: Exception, what: str) -> None:
        """What could not be read is not there, unless it may be another time."""
        log.info("%s of %s cannot be read: %s", what, self._path, error)
        if self._patient and trouble_of(error) in PASSING:
            raise store_error(f"{self._path} cannot be read", error) from error


def _felt(felt: int | None, *, alert: bool) -> int:
    if felt in set(Felt):
        return felt
    return int(Felt.STORED if alert else Felt.NOTHING)
