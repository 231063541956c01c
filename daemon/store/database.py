"""The SQLite file: opened so that what was committed survives a power cut (docs/decisions/0003-store.md).

One connection, used by one thread. Says nothing about what is stored; see schema and outbox.
"""

import logging
import os
from pathlib import Path

import apsw

from bondmate.durable import sync_directory
from bondmate.errors import StoreError, StoreTrouble
from bondmate.records import CHAINED, Opened
from bondmate.store.marks import take_up
from bondmate.store.rows import keep_clock
from bondmate.store.schema import MIGRATIONS
from bondmate.store.troubles import store_error, trouble_of
from bondmate.store.wreck import Wreck

log = logging.getLogger(__name__)

DATABASE_FILE = "outbox.db"
APPLICATION_ID = 0x424D4F58
"""`BMOX`: file(1) and a careful opener can tell whose file this is."""

PLACES = 1 << 40
"""So many places has each file that takes the place of another: what it takes up from that keeps its own."""

LOG_HEADER_OCTETS = 32
"""A log of that length holds nothing (sqlite.org/walformat.html)."""

SETTINGS: dict[str, str | int] = {
    "locking_mode": "exclusive",
    "journal_mode": "wal",
    "synchronous": 2,
    "secure_delete": 1,
    "wal_autocheckpoint": 256,
    "temp_store": 2,
}
"""PRAGMAs as they are set, and read back; synchronous 2 is FULL, and 1 loses what was committed.

The log is moved into the file at a MiB, so that it fits the reserve; temporary tables stay in memory, for other
directories may be full or closed.
"""


def open_database(directory: Path) -> tuple[apsw.Connection, Opened]:
    """Open or make the database in `directory` and bring it to the newest version. Raises StoreError.

    A file that is no database any more is set aside, never deleted, and a fresh one is made, whose chains begin as
    lost. Only what opening reads is looked at: a check of the whole would take longer the older the device is.
    """
    path = directory / DATABASE_FILE
    try:
        return _open(path)
    except (apsw.Error, OSError, UnicodeDecodeError) as error:
        if trouble_of(error) is not StoreTrouble.DAMAGED:
            raise store_error(f"{path} cannot be opened", error) from error
        damage = str(error)
    try:
        log.critical(
            "%s is damaged (%s): set aside as %s, going on with a fresh one", path, damage, set_aside(directory)
        )
        return _open(path)
    except (apsw.Error, OSError, UnicodeDecodeError) as error:
        raise store_error(f"{path} cannot be opened afresh", error) from error


def abandon(connection: apsw.Connection) -> None:
    """Close it and leave the files as they are: closing would write the log into the file. apsw.Error."""
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.close()


def damaged_path(directory: Path, number: int) -> Path:
    """Where a damaged file was put; its log is beside it."""
    return directory / f"{DATABASE_FILE}.damaged-{number}"


def set_aside(directory: Path) -> Path:
    """Rename the file and its companions to the next free name: somebody may still read what they hold. OSError."""
    path, newest = directory / DATABASE_FILE, max(_damaged(directory), default=0)
    # a log that is left alone is that of the newest one: the power went between the two renames
    orphan = not path.exists() and damaged_path(directory, newest).exists() and not _log(directory, newest).exists()
    number = newest if orphan else newest + 1
    # the file first, and for certain: without its log it could pass for whole, an older state of it
    for before, after in (
        (path, damaged_path(directory, number)),
        (path.with_name(path.name + "-wal"), _log(directory, number)),
    ):
        if before.exists():
            before.rename(after)
            sync_directory(directory)
    return damaged_path(directory, number)


def _log(directory: Path, number: int) -> Path:
    path = damaged_path(directory, number)
    return path.with_name(path.name + "-wal")


def _damaged(directory: Path) -> set[int]:
    """The numbers of the files that were set aside."""
    names = (name.name.removesuffix("-wal") for name in directory.glob(f"{DATABASE_FILE}.damaged-*"))
    return {int(number) for name in names if (number := name.rpartition("-")[2]).isdecimal()}


def _open(path: Path) -> tuple[apsw.Connection, Opened]:
    if _size(path) == 0 and _size(path.with_name(path.name + "-wal")) > LOG_HEADER_OCTETS:
        # SQLite would take the log for an earlier file's, and delete it with what was committed
        raise apsw.CorruptError("its log is there, but the file is empty or gone")
    # SQLite would make it readable for others; its companion files take the mode of this one
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = apsw.Connection(str(path))
    try:
        _configure(connection)
        opened = _migrate(connection, path.parent)
        # always: a start that was cut short may have made the file, and no more
        sync_directory(path.parent)
    except BaseException:
        # a file that is damaged, or a newer daemon's, stays as it was found
        abandon(connection)
        raise
    return connection, opened


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _configure(connection: apsw.Connection) -> None:
    for name, value in SETTINGS.items():
        connection.execute(f"PRAGMA {name} = {value}")
    # a build of SQLite or a file system may refuse without an error, so what was set is read back
    found = {name: connection.execute(f"PRAGMA {name}").get for name in SETTINGS}
    if found != SETTINGS:
        wrong = ", ".join(f"{name} {found[name]}" for name in SETTINGS if found[name] != SETTINGS[name])
        raise StoreError(f"{connection.filename} runs with {wrong}: not as it was told, so not durable")


def _migrate(connection: apsw.Connection, directory: Path) -> Opened:
    """Apply what is missing, all of it or nothing. A newer file is used as it is, if it says that it may be."""
    version = connection.execute("PRAGMA user_version").get
    if version > len(MIGRATIONS):
        oldest = _oldest_reader(connection)
        if oldest is None or oldest > len(MIGRATIONS):
            raise StoreError(
                f"{connection.filename} has schema {version}, this daemon knows {len(MIGRATIONS)}:"
                " start the newer daemon"
            )
        log.warning("%s is of a newer daemon (schema %d): used as it is", connection.filename, version)
        return Opened.AS_IT_WAS
    damaged = _damaged(directory) if version == 0 else set()
    if version < len(MIGRATIONS):
        with connection:
            for script in MIGRATIONS[version:]:
                connection.execute(script)
            if damaged:
                # with the tables, or a power cut here would make a device that never had an alert
                _go_on_from(connection, directory, max(damaged))
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    return Opened.REPLACED if damaged else Opened.AS_IT_WAS


def _oldest_reader(connection: apsw.Connection) -> int | None:
    """Of a newer file; None where it does not say."""
    try:
        found: int | None = connection.execute("SELECT CAST(oldest_reader AS INTEGER) FROM format").get
    except apsw.SQLError:
        return None
    return found


def _go_on_from(connection: apsw.Connection, directory: Path, number: int) -> None:
    """Begin the file that takes the place of a damaged one: the chains are lost, and the rest is to be salvaged.

    That takes long and needs room, so it has to wait (see salvage). What a file that cannot be read had still to take
    up from an earlier one stays in that.
    """
    connection.executemany("INSERT INTO head (stream) VALUES (?)", [(int(stream),) for stream in CHAINED])
    connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('record', ?)", (number * PLACES,))
    wreck = Wreck(damaged_path(directory, number), patient=False)
    try:
        clock = wreck.clock()
        if clock is not None:
            keep_clock(connection, clock)
        take_up(connection, wreck.marks())
        connection.executemany("INSERT OR IGNORE INTO small (name, value) VALUES (?, ?)", wreck.small())
        connection.executemany(
            "INSERT OR IGNORE INTO salvage (damaged, stream, position) VALUES (?, ?, ?)", wreck.salvage()
        )
        connection.execute("INSERT OR REPLACE INTO salvage (damaged) VALUES (?)", (number,))
    finally:
        wreck.close()
