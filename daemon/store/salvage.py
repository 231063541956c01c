"""What can still be read of a damaged file: the records that no receipt was kept for.

Reads alone: the damaged file and its log stay as they are, for somebody who knows more about it.
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw

from bondmate.wire import digest

log = logging.getLogger(__name__)

COLUMNS = (
    "session, stream, sequence, kind, data, digest, made_at_ms, made_at_source, made_at_uncertainty_ms, stored_at_ms"
)
"""As in the first version of the schema, so of a file of any version."""
_DATA, _DIGEST = 4, 5

PLACES = (
    "SELECT position FROM record INDEXED BY record_pending WHERE receipt IS NULL ORDER BY stream, position",
    "SELECT position FROM record INDEXED BY record_pending WHERE receipt IS NULL ORDER BY stream DESC, position DESC",
    "SELECT position FROM record NOT INDEXED WHERE receipt IS NULL ORDER BY position",
    "SELECT position FROM record NOT INDEXED WHERE receipt IS NULL ORDER BY position DESC",
)
"""By the index and by the table, from both ends: a damaged page ends a walk, and another way leads around it."""


def undelivered(path: Path) -> Iterator[tuple[Any, ...]]:
    """The COLUMNS of each record in the file at `path` that has no receipt and is whole, by its digest.

    Raises nothing: what cannot be read is not there.
    """
    try:
        if path.stat().st_size == 0:
            return  # beside an empty file SQLite would delete the log
        # read-only it would not read the log; what is not written needs no checkpoint
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    except (apsw.Error, OSError) as error:
        log.warning("nothing of %s can be read: %s", path, error)
        return
    try:
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        for place in sorted({place for walk in PLACES for (place,) in _as_far_as_possible(connection, walk)}):
            for row in _as_far_as_possible(connection, f"SELECT {COLUMNS} FROM record WHERE position = {place}"):  # noqa: S608 - a number
                if isinstance(row[_DATA], bytes) and digest(row[_DATA]) == row[_DIGEST]:
                    yield row
    finally:
        connection.close()


def _as_far_as_possible(connection: apsw.Connection, sql: str) -> Iterator[tuple[Any, ...]]:
    try:
        yield from connection.execute(sql)
    except apsw.Error as error:
        log.info("%s: %s", connection.filename, error)
