"""The outbox: records from their commit to their verified receipt, in SQLite.

Every call runs in the one thread that owns the connection; nothing here touches the event loop's time.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import Any

import apsw

from bondmate.records import (
    DeviceId,
    Duty,
    EarlierAlert,
    Felt,
    History,
    Moment,
    SessionId,
    SignedRecord,
    StoredRecord,
    Stream,
)
from bondmate.store import mail, queries, rows
from bondmate.store.marks import Mark, find
from bondmate.wire import is_under_duress

REWRITTEN_OCTETS = 4 << 20
"""A file up to this size is written anew where something was erased: it takes milliseconds, and as much memory. One
that is larger holds the records of an outage, and is swept when they are delivered."""


class SqliteOutbox(mail.MailStore):
    """Implements ports.Outbox on a file in a directory. What its methods promise stands there."""

    def __init__(self, directory: Path, device: DeviceId) -> None:
        super().__init__(directory)
        self._device = device

    async def history(self) -> History:
        """See ports.Outbox."""
        return await self._read(rows.history)

    async def clock(self) -> Moment | None:
        """See ports.Outbox."""
        return await self._read(rows.clock)

    async def add(self, record: SignedRecord, moment: Moment) -> None:
        """See ports.Outbox. Where the reserve was spent, other streams fill it first, or are refused (FULL)."""
        alert = record.id.stream is Stream.ALERT

        def run(connection: apsw.Connection) -> None:
            if not alert and self._reserve.spent:
                self._reserve.fill()
            if rows.insert(connection, record, moment):
                rows.advance_head(connection, record)

        await self._write(run, moment, spends=alert)

    async def restore(self, records: Sequence[SignedRecord], history: History, moment: Moment) -> None:
        """See ports.Outbox. The reserve of a full disk may be used: without this, no alert could be stored."""

        def run(connection: apsw.Connection) -> None:
            for record in records:
                rows.insert(connection, record, moment)
            rows.set_heads(connection, history)

        await self._write(run, moment, spends=True)

    async def shift(self, session: SessionId, since_s: float, until_s: float, by_s: float) -> None:
        """See ports.Outbox. By indexes, for the file may be large and the card cold."""

        def run(connection: apsw.Connection) -> None:
            connection.execute(
                "UPDATE record SET stored_lifetime_s = stored_lifetime_s + ?"
                " WHERE session = ? AND stored_lifetime_s > ? AND stored_lifetime_s <= ?",
                (by_s, session.octets, since_s, until_s),
            )
            connection.execute(
                "UPDATE record INDEXED BY record_delivered SET delivered_lifetime_s = delivered_lifetime_s + ?"
                " WHERE receipt IS NOT NULL AND delivered_lifetime_s > ? AND delivered_lifetime_s <= ?",
                (by_s, since_s, until_s),
            )
            connection.execute(
                "UPDATE duty SET began_lifetime_s = began_lifetime_s + ?"
                " WHERE session = ? AND began_lifetime_s > ? AND began_lifetime_s <= ?",
                (by_s, session.octets, since_s, until_s),
            )
            mail.shift(connection, since_s, until_s, by_s)

        await self._write(run)

    async def mark_delivered(self, digest: bytes, receipt: bytes, moment: Moment) -> None:
        """See ports.Outbox. Does not use the reserve: at worst the record is sent again, and taken once."""

        def run(connection: apsw.Connection) -> None:
            connection.execute(
                "UPDATE record SET receipt = ?, delivered_lifetime_s = ?, delivered_at_ms = ?"
                " WHERE (digest = ? OR position = ?) AND receipt IS NULL",
                (receipt, moment.lifetime_s, moment.utc_ms, digest, self._changed.get(digest)),
            )

        await self._write(run, moment)

    async def mark_felt(self, digest: bytes, felt: Felt) -> None:
        """See ports.Outbox. What was felt once stays felt."""

        def run(connection: apsw.Connection) -> None:
            connection.execute(
                "UPDATE record SET felt = max(felt, ?) WHERE digest = ? OR position = ?",
                (int(felt), digest, self._changed.get(digest)),
            )

        await self._write(run)

    async def thin(self, gap: SignedRecord, digests: Sequence[bytes], moment: Moment) -> None:
        """See ports.Outbox. Never forgets a record of a chained stream, whoever names it."""

        def run(connection: apsw.Connection) -> None:
            if rows.insert(connection, gap, moment):
                rows.advance_head(connection, gap)
            connection.executemany(
                "DELETE FROM record WHERE digest = ? AND receipt IS NULL"  # noqa: S608 - a constant
                f" AND stream NOT IN ({rows.CHAINED_STREAMS})",
                [(digest,) for digest in digests],
            )
            self._to_sweep = True

        await self._write(run, moment)

    async def waiting(self) -> Mapping[Stream, int]:
        """See ports.Outbox: for every stream. Counts also those that this daemon cannot read."""

        def run(connection: apsw.Connection) -> Mapping[Stream, int]:
            found: dict[Any, Any] = dict(connection.execute(queries.WAITING))
            return {stream: found.get(int(stream), 0) for stream in Stream}

        return await self._read(run)

    async def pending(self, stream: Stream, limit: int, before: int | None = None) -> list[StoredRecord]:
        """See ports.Outbox. Fewer than `limit` only at the end."""

        def run(connection: apsw.Connection) -> list[StoredRecord]:
            place = queries.LAST_PLACE if before is None else before
            with closing(connection.execute(queries.PENDING, (int(stream), place))) as found:
                return list(islice(rows.readable(self._device, found, self._changed), limit))

        return await self._read(run)

    async def latest_alert(self) -> EarlierAlert | None:
        """See ports.Outbox."""

        def run(connection: apsw.Connection) -> EarlierAlert | None:
            newest: Any = connection.execute(queries.NEWEST_ALERT).fetchone()
            if newest is None:
                return None
            for alert in self._at(connection, newest[0]):
                last = connection.execute(queries.NEWEST_POSITION, newest[:1]).get
                acknowledged = find(connection, Mark.ACKNOWLEDGED, newest[0])
                closed = find(connection, Mark.CLOSED, newest[0])
                return EarlierAlert(
                    alert,
                    cancelled=bool(connection.execute(queries.CANCELLED, newest).get),
                    position=next(iter(self._at(connection, last)), None),
                    acknowledged=acknowledged and acknowledged[0],
                    closed=closed and closed[0],
                    duress=self._under_duress(connection, newest),
                    acknowledged_by=acknowledged and acknowledged[1],
                    closed_by=closed and closed[1],
                )
            return None

        return await self._read(run)

    def _at(self, connection: apsw.Connection, place: int | None) -> list[StoredRecord]:
        """The record there, if it can be read."""
        found = connection.execute(f"SELECT {rows.COLUMNS} FROM record WHERE position = ?", (place,)).fetchall()  # noqa: S608 - a constant
        return list(rows.readable(self._device, found, self._changed))

    def _under_duress(self, connection: apsw.Connection, newest: tuple[Any, ...]) -> bool:
        for end in self._at(connection, connection.execute(queries.LAST_CANCELLATION, newest).get):
            with suppress(ValueError):
                return is_under_duress(end.record.data)
        return False

    async def duty(self) -> Duty | None:
        """See ports.Outbox. One that cannot be read counts as none: then the device is off duty."""
        return await self._read(rows.duty)

    async def keep_duty(self, duty: Duty | None, moment: Moment) -> None:
        """See ports.Outbox. That there is none may use the reserve: else a restart would go on with a shift."""
        await self._write(lambda connection: rows.keep_duty(connection, duty), moment, spends=duty is None)

    async def upkeep(self, moment: Moment, keep_delivered_s: float) -> None:
        """See ports.Outbox. In many small steps: what else is to be done goes between them.

        Also what an erased record held is overwritten in the file, and the log that held it cut to nothing. Raises
        StoreError also when all else is done, but the disk has no room for the reserve (FULL).
        """
        older_s = moment.lifetime_s - keep_delivered_s
        while await self._write(lambda connection: _erase(connection, older_s), moment):
            self._to_sweep = True
        if await self._write(lambda connection: mail.erase(connection, moment, older_s), moment):
            self._to_sweep = True
        self._to_sweep = not await self._read(lambda connection: _sweep(connection, rewrite=self._to_sweep))
        await self._run(self._reserve.fill)


def _erase(connection: apsw.Connection, older_s: float) -> int:
    """Erase a little of what is not needed any more; how many records. Delivered before `older_s` is long ago."""
    newest: Any = connection.execute(queries.NEWEST_ALERT).fetchone() or queries.NO_ALERT
    position = connection.execute(queries.NEWEST_POSITION, newest[:1]).get
    steps: list[tuple[str, tuple[Any, ...]]] = [(queries.ERASABLE, (*newest, older_s, position))]
    if connection.execute(queries.CANCELLED, newest).get or find(connection, Mark.CLOSED, newest[0]):
        position = None
        if not connection.execute(queries.NEEDED_YET, (*newest, older_s)).get:
            steps.insert(0, ("?", newest[:1]))
    steps.insert(0, (queries.ERASABLE_POSITIONS, (position,)))
    steps += [("?", (place,)) for place in rows.changed(connection, (Stream.POSITION, Stream.PRESENCE))]
    for erasable, bindings in steps:
        connection.execute(f"DELETE FROM record WHERE position IN ({erasable})", bindings)  # noqa: S608 - constants
        if connection.changes() > 0:
            return connection.changes()
    return 0


def _sweep(connection: apsw.Connection, *, rewrite: bool) -> bool:
    """Leave nothing of what was erased; whether that was possible.

    SQLite overwrites what is deleted, but not the copies that it made when it moved rows from page to page.
    """
    octets: Any = connection.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").get
    possible: bool = octets <= REWRITTEN_OCTETS
    if rewrite and possible:
        connection.execute("VACUUM")
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    return possible
