"""Records to store, and an outbox used as one run of the daemon does."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import apsw

from bondmate.records import (
    ClockSource,
    DeviceId,
    Kind,
    Moment,
    RecordId,
    SessionId,
    SignedRecord,
    StoredRecord,
    Stream,
    UtcTime,
)
from bondmate.store.database import DATABASE_FILE
from bondmate.store.outbox import SqliteOutbox

T = TypeVar("T")

DEVICE = DeviceId(bytes.fromhex("7f3a09c1"))
FIRST, SECOND = SessionId(bytes.fromhex("00125be2aa10")), SessionId(bytes.fromhex("0013ffffffff"))
NOON = UtcTime(1_795_176_000_120, ClockSource.GNSS, 12)
START = Moment(0.0, None)


def record(
    kind: Kind, sequence: int, session: SessionId = FIRST, made_at: UtcTime | None = NOON, data: bytes = b""
) -> SignedRecord:
    identity = RecordId(DEVICE, session, kind.stream, sequence)
    octets = data or f"{identity} {kind}".encode()
    return SignedRecord(identity, kind, octets, hashlib.sha256(octets).digest()[:16], made_at)


def alert_of_usual_size(sequence: int) -> SignedRecord:
    """That no one has seen before, as a signature is."""
    return record(Kind.PANIC, sequence, data=hashlib.shake_128(str(sequence).encode()).digest(170))


def used(directory: Path, use: Callable[[SqliteOutbox], Awaitable[T]]) -> T:
    """Do that with the outbox in the directory, opened before, as the daemon does, and closed behind it."""

    async def main() -> T:
        outbox = SqliteOutbox(directory, DEVICE)
        await outbox.open()
        await outbox.salvage()
        try:
            return await use(outbox)
        finally:
            await outbox.close()

    return asyncio.run(main())


def added(directory: Path, *records: SignedRecord) -> None:
    async def add(outbox: SqliteOutbox) -> None:
        for one in records:
            await outbox.add(one, START)

    used(directory, add)


async def all_pending(outbox: SqliteOutbox) -> list[StoredRecord]:
    """Of every stream, in the order of the commits."""
    found = [stored for stream in Stream for stored in await outbox.pending(stream, 1_000_000)]
    return sorted(found, key=lambda stored: stored.place)


def left(directory: Path) -> list[SignedRecord]:
    """The records without a receipt, in the order of the commits."""
    return [stored.record for stored in used(directory, all_pending)]


def raw(directory: Path, sql: str) -> list[tuple[object, ...]]:
    """What another reader of SQLite sees, while nobody has it open."""
    with closing(apsw.Connection(str(directory / DATABASE_FILE))) as connection:
        return list(connection.execute(sql))
