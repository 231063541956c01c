"""The store's file: opened, given up when it is damaged, and closed; and the way of every call to it.

Every call runs in the one thread that owns the connection; nothing here touches the event loop's time, or says what is
stored.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import apsw

from bondmate.errors import StoreError, StoreTrouble
from bondmate.records import Moment, Opened
from bondmate.store import rows
from bondmate.store.database import DATABASE_FILE, abandon, open_database, set_aside
from bondmate.store.reserve import Reserve
from bondmate.store.salvage import Salvage
from bondmate.store.troubles import store_error
from bondmate.store.worker import Worker

log = logging.getLogger(__name__)

T = TypeVar("T")


class StoreFile:
    """One file in a directory. What its methods promise stands in ports.Outbox."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / DATABASE_FILE
        self._worker = Worker()
        self._reserve = Reserve(directory)
        self._salvage = Salvage(directory, self._reserve)
        self._connection: apsw.Connection | None = None
        self._to_sweep = True
        """Something was deleted, perhaps by an earlier session, and copies of it may be left in the file."""
        self._changed: dict[bytes, int] = {}
        """The places of alerts that the disk has changed, by the digests under which they were handed out."""

    async def open(self) -> Opened:
        """See ports.Outbox. The reserve of a full disk may be used."""

        def run() -> Opened:
            if self._connection is not None:
                return Opened.ALREADY
            self._connection, opened = self._reserve.spend(lambda: open_database(self._directory))
            return opened

        return await self._run(run)

    async def salvage(self) -> int:
        """See ports.Outbox. In many small steps: what else is to be done goes between them."""
        saved = 0
        try:
            while (step := await self._write(self._salvage.step)) is not None:
                saved += step
        except StoreError:
            if not saved:
                raise
        if saved:
            log.warning("%d records that wait to be delivered were saved from what was set aside", saved)
        return saved

    async def close(self) -> None:
        """Close the file and end the thread; for good. Raises nothing: what was committed is in the log."""

        def run() -> None:
            self._salvage.close()
            connection, self._connection = self._connection, None
            if connection is None:
                return
            try:
                if self._reserve.spent:
                    # deleting the log would give its room to whoever filled the disk
                    abandon(connection)
                else:
                    connection.close()
            except Exception as error:  # noqa: BLE001 - nobody can do anything about it
                log.warning("%s could not be closed: %s", self._path, error)

        await self._worker.close(run)

    async def _read(self, run: Callable[[apsw.Connection], T]) -> T:
        return await self._run(lambda: self._guarded(run))

    async def _write(
        self, run: Callable[[apsw.Connection], T], moment: Moment | None = None, *, spends: bool = False
    ) -> T:
        def transaction(connection: apsw.Connection) -> T:
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = run(connection)
                if moment is not None:
                    rows.keep_clock(connection, moment)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            return result

        def call() -> T:
            return self._guarded(transaction)

        return await self._run((lambda: self._reserve.spend(call)) if spends else call)

    async def _run(self, call: Callable[[], T]) -> T:
        """What the call raises that nobody has thought of is an error of the store too: it must not end the process."""
        try:
            return await self._worker.run(call)
        except StoreError:
            raise
        except Exception as error:
            raise StoreError(f"{self._path} failed: {type(error).__name__}: {error}") from error

    def _guarded(self, run: Callable[[apsw.Connection], T]) -> T:
        connection = self._connection
        if connection is None:
            raise StoreError("the outbox is not open")
        try:
            return run(connection)
        except (apsw.Error, OSError, UnicodeDecodeError) as error:
            failure = store_error(f"{self._path} failed", error, connection.system_errno)
            if failure.trouble is StoreTrouble.DAMAGED:
                failure = StoreError(f"{self._path} is damaged ({error}): {self._give_up(connection)}", failure.trouble)
            elif connection.in_transaction:
                # it could not even be rolled back, so all that follows would fail too: the next `open` begins afresh
                self._connection = None
                abandon(connection)
            raise failure from error

    def _give_up(self, connection: apsw.Connection) -> str:
        """Set the damaged file aside, so that the next `open` makes a fresh one; says what was done."""
        self._connection = None
        try:
            abandon(connection)
            text = f"set aside as {set_aside(self._directory)}"
        except (apsw.Error, OSError) as error:
            text = f"and cannot be set aside: {error}"
        log.critical("%s is damaged: %s", self._path, text)
        return text
