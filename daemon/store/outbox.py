"""The outbox: records from their commit to their verified receipt, in SQLite.

Every call runs in the one thread that owns the connection; nothing here touches the event loop's time.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import apsw

from bondmate.errors import StoreError
from bondmate.records import (
    ALERT_KINDS,
    CHAINED,
    ClockSource,
    DeviceId,
    Head,
    History,
    Kind,
    RecordId,
    SessionId,
    SignedRecord,
    StoredRecord,
    Stream,
    UtcTime,
)
from bondmate.store.database import open_database, set_aside

log = logging.getLogger(__name__)

T = TypeVar("T")

_COLUMNS = (
    "session, stream, sequence, kind, data, digest, made_at_ms, made_at_source, made_at_uncertainty_ms,"
    " stored_at_ms, receipt IS NOT NULL, delivered_at_ms"
)


class SqliteOutbox:
    """Implements ports.Outbox on a file in a directory."""

    def __init__(self, directory: Path, device: DeviceId) -> None:
        self._directory = directory
        self._device = device
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._connection: apsw.Connection | None = None

    async def open(self) -> bool:
        """See ports.Outbox. While it is not open, every other call raises StoreError."""

        def run() -> bool:
            if self._connection is not None:
                return False
            self._connection = open_database(self._directory)
            return True

        return await asyncio.get_running_loop().run_in_executor(self._thread, run)

    async def close(self) -> None:
        """Close the file and end the thread."""

        def run() -> None:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

        await asyncio.get_running_loop().run_in_executor(self._thread, run)
        self._thread.shutdown()

    async def history(self) -> History:
        """See ports.Outbox."""

        def run(connection: apsw.Connection) -> History:
            rows: list[Any] = connection.execute("SELECT stream, session, sequence, digest FROM head").fetchall()
            return History({Stream(row[0]): Head(SessionId(row[1]), row[2], row[3]) for row in rows})

        return await self._run(run)

    async def add(self, record: SignedRecord, stored_at_ms: int | None) -> None:
        """See ports.Outbox."""
        identity, made = record.id, record.made_at
        values = (
            identity.session.octets,
            int(identity.stream),
            identity.sequence,
            int(record.kind),
            record.data,
            record.digest,
            made and made.unix_ms,
            made and int(made.source),
            made and made.uncertainty_ms,
            stored_at_ms,
        )

        def run(connection: apsw.Connection) -> None:
            connection.execute(
                "INSERT INTO record (session, stream, sequence, kind, data, digest,"
                " made_at_ms, made_at_source, made_at_uncertainty_ms, stored_at_ms)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (digest) DO NOTHING",
                values,
            )
            # a record that was there already is no head any more, if others came behind it
            if identity.stream in CHAINED and connection.changes():
                connection.execute(
                    "INSERT OR REPLACE INTO head VALUES (?, ?, ?, ?)",
                    (int(identity.stream), identity.session.octets, identity.sequence, record.digest),
                )

        await self._write(run)

    async def mark_delivered(self, digest: bytes, receipt: bytes, delivered_at_ms: int | None) -> None:
        """See ports.Outbox."""

        def run(connection: apsw.Connection) -> None:
            connection.execute(
                "UPDATE record SET receipt = ?, delivered_at_ms = ? WHERE digest = ? AND receipt IS NULL",
                (receipt, delivered_at_ms, digest),
            )

        await self._write(run)

    async def pending(self) -> list[StoredRecord]:
        """See ports.Outbox."""

        def run(connection: apsw.Connection) -> list[StoredRecord]:
            rows = connection.execute(f"SELECT {_COLUMNS} FROM record WHERE receipt IS NULL ORDER BY position")  # noqa: S608 - a constant
            return list(self._readable(rows))

        return await self._run(run)

    async def latest_alert(self) -> list[StoredRecord]:
        """See ports.Outbox."""
        kinds = ", ".join(str(int(kind)) for kind in sorted(ALERT_KINDS))

        def run(connection: apsw.Connection) -> list[StoredRecord]:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM record WHERE stream IN ({int(Stream.ALERT)}, {int(Stream.POSITION)})"  # noqa: S608 - constants
                " AND position >="
                f" (SELECT max(position) FROM record WHERE stream = {int(Stream.ALERT)} AND kind IN ({kinds}))"
                " ORDER BY position"
            )
            found = list(self._readable(rows))
            return found if found and found[0].record.kind in ALERT_KINDS else []

        return await self._run(run)

    async def _write(self, run: Callable[[apsw.Connection], None]) -> None:
        def transaction(connection: apsw.Connection) -> None:
            connection.execute("BEGIN IMMEDIATE")
            try:
                run(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

        await self._run(transaction)

    async def _run(self, run: Callable[[apsw.Connection], T]) -> T:
        def guarded() -> T:
            if self._connection is None:
                raise StoreError("the outbox is not open")
            try:
                return run(self._connection)
            except (apsw.NotADBError, apsw.CorruptError) as error:
                raise StoreError(f"the outbox is damaged ({error}): {self._give_up(self._connection)}") from error
            except (apsw.Error, OSError, ValueError) as error:
                raise StoreError(f"the outbox failed: {error}") from error

        try:
            done = asyncio.get_running_loop().run_in_executor(self._thread, guarded)
        except RuntimeError as error:
            raise StoreError("the outbox is closed") from error
        return await done

    def _give_up(self, connection: apsw.Connection) -> str:
        """Set the damaged file aside, so that the next `open` makes a fresh one; says what was done."""
        self._connection = None
        try:
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            connection.close()
            text = f"set aside as {set_aside(self._directory)}"
        except (apsw.Error, OSError) as error:
            text = f"and cannot be set aside: {error}"
        log.critical("the outbox is damaged: %s", text)
        return text

    def _readable(self, rows: Iterable[tuple[Any, ...]]) -> Iterator[StoredRecord]:
        """Without the rows that a newer daemon wrote and this one does not know: they must not stop the others."""
        for row in rows:
            try:
                yield self._stored(row)
            except ValueError as error:
                log.warning("a record stays in the outbox, for this daemon cannot read it (%s): start the newer", error)

    def _stored(self, row: tuple[Any, ...]) -> StoredRecord:
        session, stream, sequence, kind, data, digest, made_ms, source, uncertainty_ms, *fate = row
        made_at = None if made_ms is None else UtcTime(made_ms, ClockSource(source), uncertainty_ms)
        identity = RecordId(self._device, SessionId(session), Stream(stream), sequence)
        stored_ms, delivered, delivered_ms = fate
        return StoredRecord(
            SignedRecord(identity, Kind(kind), data, digest, made_at), stored_ms, bool(delivered), delivered_ms
        )
