"""The mailbox and the small states in SQLite: messages from their commit to their end, and named octets."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import apsw

from bondmate.mail import ORDERS, SHOWN, KeptMessage, MessageState
from bondmate.records import Moment
from bondmate.store import marks
from bondmate.store.file import StoreFile
from bondmate.wire import digest

log = logging.getLogger(__name__)

MESSAGES_MAX = 500
"""So many are kept. What nobody has to read or to do any more goes first, then the oldest; orders last."""
UNREAD_S = 30 * 86400.0
"""A message that nobody read is kept so long, or until it expires."""

_SHOWN = f"type IN ({', '.join(str(int(each)) for each in SHOWN)}) AND state <> {int(MessageState.WITHOUT_EFFECT)}"
_TO_READ = f"({_SHOWN} AND state = {int(MessageState.TAKEN)})"
_ORDER = f"type IN ({', '.join(str(int(each)) for each in ORDERS)})"
_TO_DO = f"({_ORDER} AND state = {int(MessageState.TAKEN)})"
_NOT_EXPIRED = "(expires_s IS NULL OR ?1 IS NULL OR expires_s > ?1)"

_COLUMNS = """
    number, CAST(type AS INTEGER), CAST(data AS BLOB), CAST(digest AS BLOB), CAST(expires_s AS INTEGER),
    CAST(taken_lifetime_s AS REAL), CAST(taken_at_ms AS INTEGER), CAST(state AS INTEGER), CAST(answer AS BLOB),
    CAST(felt AS INTEGER)
"""


class MailStore(StoreFile):
    """The part of ports.Outbox that is about the mailbox. What its methods promise stands there."""

    async def cursor(self) -> int:
        """See ports.Outbox."""
        return await self._read(_cursor)

    async def take_message(
        self,
        message: KeptMessage,
        *,
        acknowledges: Sequence[bytes] = (),
        closes: Sequence[bytes] = (),
        by: str = "",
        kept: Mapping[str, bytes | None] = {},
    ) -> bool:
        """See ports.Outbox. What closes or acknowledges may use the reserve: else an alert would go on without end."""
        named = [(each, marks.Mark.ACKNOWLEDGED) for each in acknowledges]
        named += [(each, marks.Mark.CLOSED) for each in closes]

        def run(connection: apsw.Connection) -> bool:
            if message.number <= _cursor(connection):
                return False
            connection.execute("INSERT OR REPLACE INTO mailbox (id, cursor) VALUES (0, ?)", (message.number,))
            _insert(connection, message)
            for call, what in named:
                self._mark(connection, call, what, message.taken, by)
            for name, octets in kept.items():
                _keep(connection, name, octets)
            self._to_sweep = True
            return True

        return await self._write(run, message.taken, spends=bool(named) or bool(kept))

    def _mark(self, connection: apsw.Connection, named: bytes, what: marks.Mark, moment: Moment, by: str) -> None:
        """The first mark of a kind stays. An alert that the disk has changed is known by another digest outside."""
        changed: Any = connection.execute(
            "SELECT CAST(digest AS BLOB) FROM record WHERE position = ?", (self._changed.get(named),)
        ).get
        marks.put(connection, (changed or named, int(what), moment.lifetime_s, moment.utc_ms, by))

    async def messages(self, limit: int, utc_s: float | None) -> list[KeptMessage]:
        """See ports.Outbox."""
        sql = f"SELECT {_COLUMNS} FROM message WHERE {_SHOWN} AND {_NOT_EXPIRED} ORDER BY number DESC LIMIT ?2"  # noqa: S608 - constants
        return await self._read(lambda connection: _readable(connection.execute(sql, (utc_s, limit))))

    async def message(self, number: int) -> KeptMessage | None:
        """See ports.Outbox."""
        sql = f"SELECT {_COLUMNS} FROM message WHERE number = ? AND {_SHOWN}"  # noqa: S608 - constants
        found = await self._read(lambda connection: _readable(connection.execute(sql, (number,))))
        return found[0] if found else None

    async def unread(self, utc_s: float | None) -> int:
        """See ports.Outbox."""
        sql = f"SELECT count(*) FROM message WHERE {_TO_READ} AND {_NOT_EXPIRED}"  # noqa: S608 - constants
        return await self._read(lambda connection: int(connection.execute(sql, (utc_s,)).get))

    async def unfelt(self, utc_s: float | None) -> list[KeptMessage]:
        """See ports.Outbox."""
        sql = f"SELECT {_COLUMNS} FROM message WHERE {_TO_READ} AND felt = 0 AND {_NOT_EXPIRED} ORDER BY number"  # noqa: S608 - constants
        return await self._read(lambda connection: _readable(connection.execute(sql, (utc_s,))))

    async def mark_message(self, number: int, state: MessageState, answer: str | None, moment: Moment) -> None:
        """See ports.Outbox."""
        sql = f"UPDATE message SET state = ?, answer = ? WHERE number = ? AND state < ? AND {_SHOWN}"  # noqa: S608 - constants
        values = (int(state), answer, number, int(state))
        await self._write(lambda connection: _change(connection, sql, [values]), moment)

    async def mark_message_felt(self, number: int) -> None:
        """See ports.Outbox."""
        sql = "UPDATE message SET felt = 1 WHERE number = ?"
        await self._write(lambda connection: _change(connection, sql, [(number,)]))

    async def orders(self, utc_s: float | None) -> list[KeptMessage]:
        """See ports.Outbox."""
        sql = f"SELECT {_COLUMNS} FROM message WHERE {_TO_DO} AND {_NOT_EXPIRED} ORDER BY number"  # noqa: S608 - constants
        return await self._read(lambda connection: _readable(connection.execute(sql, (utc_s,))))

    async def mark_begun(self, number: int) -> None:
        """See ports.Outbox."""
        sql = f"UPDATE message SET expires_s = NULL WHERE number = ? AND {_TO_DO}"  # noqa: S608 - constants
        await self._write(lambda connection: _change(connection, sql, [(number,)]))

    async def mark_order(self, number: int, state: MessageState, text: str | None, moment: Moment) -> None:
        """See ports.Outbox."""
        sql = (
            f"UPDATE message SET state = ?1, answer = ?2 WHERE number = ?3 AND {_ORDER}"  # noqa: S608 - constants
            f" AND state < ?1 AND state <> {int(MessageState.WITHOUT_EFFECT)}"
        )
        values = (int(state), text, number)
        await self._write(lambda connection: _change(connection, sql, [values]), moment)

    async def untold(self) -> list[KeptMessage]:
        """See ports.Outbox."""
        sql = f"SELECT {_COLUMNS} FROM message WHERE told < state ORDER BY number"  # noqa: S608 - a constant
        return await self._read(lambda connection: _readable(connection.execute(sql)))

    async def mark_told(self, told: Mapping[int, MessageState]) -> None:
        """See ports.Outbox."""
        sql = "UPDATE message SET told = max(told, ?) WHERE number = ?"
        values = [(int(state), number) for number, state in told.items()]
        await self._write(lambda connection: _change(connection, sql, values))

    async def keep(self, name: str, octets: bytes | None, moment: Moment) -> None:
        """See ports.Outbox. That there is nothing any more may use the reserve: else a restart would go on with it."""
        await self._write(lambda connection: _keep(connection, name, octets), moment, spends=octets is None)

    async def kept(self, name: str) -> bytes | None:
        """See ports.Outbox."""

        def run(connection: apsw.Connection) -> bytes | None:
            found: Any = connection.execute("SELECT CAST(value AS BLOB) FROM small WHERE name = ?", (name,)).get
            return None if found is None else bytes(found)

        return await self._read(run)


def shift(connection: apsw.Connection, since_s: float, until_s: float, by_s: float) -> None:
    """See ports.Outbox."""
    for table, column in (("mark", "lifetime_s"), ("message", "taken_lifetime_s")):
        connection.execute(
            f"UPDATE {table} SET {column} = {column} + ? WHERE {column} > ? AND {column} <= ?",  # noqa: S608 - constants
            (by_s, since_s, until_s),
        )


def erase(connection: apsw.Connection, moment: Moment, older_s: float) -> int:
    """Erase messages that are not needed any more, and marks on what is not there; how many."""
    utc_s = None if moment.utc_ms is None else moment.utc_ms / 1000
    connection.execute(
        "DELETE FROM message WHERE expires_s <= ?2 OR NOT"  # noqa: S608 - constants
        f" ({_TO_DO} OR (taken_lifetime_s >= ?1 AND (taken_lifetime_s >= ?3 OR {_TO_READ})))",
        (moment.lifetime_s - UNREAD_S, utc_s, older_s),
    )
    erased = connection.changes()
    return erased + marks.erase(connection, older_s)


def _cursor(connection: apsw.Connection) -> int:
    """One that cannot be read is none: then all is fetched anew."""
    found: Any = connection.execute("SELECT CAST(cursor AS INTEGER) FROM mailbox").get
    return max(0, found or 0)


def _insert(connection: apsw.Connection, message: KeptMessage) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO message (number, type, data, digest, expires_s, taken_lifetime_s, taken_at_ms, state,"
        " answer, felt) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            message.number,
            message.type,
            message.data,
            digest(message.data),
            message.expires_s,
            message.taken.lifetime_s,
            message.taken.utc_ms,
            int(message.state),
            message.answer,
            int(message.felt),
        ),
    )
    connection.execute(
        "DELETE FROM message WHERE number NOT IN (SELECT number FROM message"  # noqa: S608 - constants
        f" ORDER BY number = ?1 DESC, {_TO_DO} DESC, {_TO_READ} DESC, number DESC LIMIT ?2)",
        (message.number, MESSAGES_MAX),
    )


def _keep(connection: apsw.Connection, name: str, octets: bytes | None) -> None:
    if octets is None:
        connection.execute("DELETE FROM small WHERE name = ?", (name,))
    else:
        connection.execute("INSERT OR REPLACE INTO small (name, value) VALUES (?, ?)", (name, octets))


def _change(connection: apsw.Connection, sql: str, values: Sequence[tuple[Any, ...]]) -> None:
    connection.executemany(sql, values)


def _readable(found: Iterable[tuple[Any, ...]]) -> list[KeptMessage]:
    """Without what the disk has changed."""
    messages = []
    for number, type_, data, digest_, expires_s, lifetime_s, at_ms, state, answer, felt in found:
        try:
            if digest(data) != digest_:
                raise ValueError("its digest is not that of its octets")  # noqa: TRY301 - as what cannot be read
            text = None if answer is None else answer.decode()
            kept = KeptMessage(
                number, type_, data, expires_s, Moment(lifetime_s, at_ms), MessageState(state), text, bool(felt)
            )
        except (TypeError, ValueError) as error:
            log.error("message %d is not shown, for the disk has changed it: %s", number, error)  # noqa: TRY400 - no bug of ours
        else:
            messages.append(kept)
    return messages
