"""The SQLite file: opened so that what was committed survives a power cut (docs/decisions/0003-store.md).

One connection, used by one thread. Says nothing about what is stored; see outbox.
"""

import logging
import os
from itertools import count
from pathlib import Path

import apsw

from bondmate.durable import sync_directory
from bondmate.errors import StoreError

log = logging.getLogger(__name__)

DATABASE_FILE = "outbox.db"
APPLICATION_ID = 0x424D4F58
"""`BMOX`: file(1) and a careful opener can tell whose file this is."""

MIGRATIONS = (
    """
    CREATE TABLE record (
        session   BLOB NOT NULL CHECK (length(session) = 6),
        stream    INTEGER NOT NULL,
        sequence  INTEGER NOT NULL,
        kind      INTEGER NOT NULL,
        data      BLOB NOT NULL,
        digest    BLOB NOT NULL CHECK (length(digest) = 16),
        made_at_ms      INTEGER,
        made_at_source  INTEGER,
        made_at_uncertainty_ms INTEGER,
        stored_at_ms    INTEGER,
        delivered_at_ms INTEGER,
        receipt   BLOB,
        position  INTEGER PRIMARY KEY AUTOINCREMENT,
        UNIQUE (session, stream, sequence)
    ) STRICT;
    CREATE UNIQUE INDEX record_digest ON record (digest);
    CREATE INDEX record_pending ON record (position) WHERE receipt IS NULL;
    CREATE INDEX record_stream ON record (stream, position);
    CREATE TABLE head (
        stream    INTEGER PRIMARY KEY,
        session   BLOB NOT NULL,
        sequence  INTEGER NOT NULL,
        digest    BLOB NOT NULL
    ) STRICT;
    """,
)
"""Each entry brings the schema from version i to i + 1; `user_version` says how many were applied."""


def open_database(directory: Path) -> apsw.Connection:
    """Open or make the database in `directory` and bring it to the newest version. Raises StoreError.

    A file that is no database any more is set aside, never deleted, and a fresh one is made. Only what opening reads
    is looked at: a check of the whole would take longer the older the device is.
    """
    path = directory / DATABASE_FILE
    try:
        return _open(path)
    except (apsw.NotADBError, apsw.CorruptError) as error:
        damage = str(error)
    except (apsw.Error, OSError) as error:
        raise StoreError(f"{path} cannot be opened: {error}") from error
    try:
        log.critical(
            "%s is damaged (%s): set aside as %s, going on with a fresh one", path, damage, set_aside(directory)
        )
        return _open(path)
    except (apsw.Error, OSError) as error:
        raise StoreError(f"{path} cannot be opened afresh: {error}") from error


def _open(path: Path) -> apsw.Connection:
    # SQLite would make it readable for others; its companion files take the mode of this one
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = apsw.Connection(str(path))
    try:
        _configure(connection)
        _migrate(connection)
        # always: a start that was cut short may have made the file, and no more
        sync_directory(path.parent)
    except BaseException:
        # or closing would write the log into a file that is damaged, or a newer daemon's: it stays as it was found
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.close()
        raise
    return connection


def set_aside(directory: Path) -> Path:
    """Rename the file and its companions to the first free name: somebody may still read what they hold. OSError."""
    path = directory / DATABASE_FILE
    number = next(number for number in count(1) if not path.with_name(f"{path.name}.damaged-{number}").exists())
    for suffix in ("-wal", "-shm", ""):
        companion = path.with_name(path.name + suffix)
        if companion.exists():
            companion.rename(path.with_name(f"{path.name}.damaged-{number}{suffix}"))
    sync_directory(path.parent)
    return path.with_name(f"{path.name}.damaged-{number}")


def _configure(connection: apsw.Connection) -> None:
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    # a build of SQLite or a file system may refuse without an error, so what was set is read back
    mode = connection.execute("PRAGMA journal_mode").get
    level = connection.execute("PRAGMA synchronous").get
    if (mode, level) != ("wal", 2):
        raise StoreError(f"{connection.filename} runs with journal_mode {mode}, synchronous {level}: not durable")


def _migrate(connection: apsw.Connection) -> None:
    version = connection.execute("PRAGMA user_version").get
    if version > len(MIGRATIONS):
        raise StoreError(
            f"{connection.filename} has schema {version}, this daemon knows {len(MIGRATIONS)}: start the newer daemon"
        )
    for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
        with connection:
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(script)
            connection.execute(f"PRAGMA user_version = {number}")
