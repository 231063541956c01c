"""Taking up what damaged files still have to be delivered, page by page, into the file that took their place.

The table `salvage` says how far that came, in the same commit: so neither a power cut nor a full disk skips anything,
and nothing comes back that was let go of since.
"""

from itertools import takewhile
from pathlib import Path
from typing import Any

import apsw

from bondmate.errors import StoreError, StoreTrouble
from bondmate.records import Stream
from bondmate.store.database import PLACES, damaged_path
from bondmate.store.reserve import Reserve
from bondmate.store.wreck import COLUMNS, Saved, Wreck

PATIENCE = 30
"""So often a disk that fails to read a damaged file is given another chance, a minute in all."""
PAGE = 100
"""Records in one step: an alert that comes then waits for no more than that."""

INSERT = (
    f"INSERT INTO record ({COLUMNS}, stored_lifetime_s, felt, position)"  # noqa: S608 - constants
    f" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


class Salvage:
    """Used by the store's thread alone."""

    def __init__(self, directory: Path, reserve: Reserve) -> None:
        self._directory = directory
        self._reserve = reserve
        self._wreck: tuple[int, Wreck] | None = None
        self._failures = 0
        """How often the disk failed to read a damaged file in this session."""

    def step(self, connection: apsw.Connection) -> int | None:
        """Do a little, in a transaction of `connection`; how many records that took up, None if nothing was left to do.

        Where the reserve was spent, it is filled before other streams than that of alerts: StoreError (FULL).
        """
        mark: Any = connection.execute(
            "SELECT damaged, stream, position FROM salvage ORDER BY damaged DESC LIMIT 1"
        ).fetchone()
        if mark is None:
            self.close()
            return None
        try:
            return self._step(connection, *mark)
        except StoreError as error:
            if error.trouble is not StoreTrouble.FULL:
                self._failures += 1
                self.close()
            raise

    def _step(self, connection: apsw.Connection, number: int, *last: int) -> int:
        wreck = self._wreck_of(number)
        places = wreck.behind((last[0], last[1]), PAGE)
        if places is None:
            return 0
        if not places:
            connection.execute("DELETE FROM salvage WHERE damaged = ?", (number,))
            return 0
        stream = places[0][0]
        if stream != Stream.ALERT and self._reserve.spent:
            self._reserve.fill()
        page = list(takewhile(lambda place: place[0] == stream, places))
        connection.execute("UPDATE salvage SET stream = ?, position = ? WHERE damaged = ?", (*page[-1], number))
        last_place = number * PLACES
        return sum(
            _insert(connection, row, position if 0 < position <= last_place else None)
            for _, position in page
            if (row := wreck.row(position)) is not None
        )

    def close(self) -> None:
        """Let go of the damaged file."""
        if self._wreck is not None:
            self._wreck[1].close()
            self._wreck = None

    def _wreck_of(self, number: int) -> Wreck:
        if self._wreck is None or self._wreck[0] != number:
            self.close()
            self._wreck = number, Wreck(damaged_path(self._directory, number), patient=self._failures < PATIENCE)
        return self._wreck[1]


def _insert(connection: apsw.Connection, row: Saved, position: int | None) -> bool:
    """At its old place, or behind all where that cannot be; False where the record is there, or makes no sense."""
    for place in (position, None):
        try:
            connection.execute(INSERT, (*row.values, row.lifetime_s, row.felt, place))
        except apsw.ConstraintError:
            continue
        return True
    return False
