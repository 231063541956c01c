import asyncio
import hashlib
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate.errors import StoreError
from bondmate.records import (
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
from bondmate.store.database import DATABASE_FILE
from bondmate.store.outbox import SqliteOutbox
from tests.store.disk import power_cut_disk

T = TypeVar("T")

DEVICE = DeviceId(bytes.fromhex("7f3a09c1"))
FIRST, SECOND = SessionId(bytes.fromhex("00125be2aa10")), SessionId(bytes.fromhex("0013ffffffff"))
NOON = UtcTime(1_795_176_000_120, ClockSource.GNSS, 12)


def record(
    kind: Kind, sequence: int, session: SessionId = FIRST, made_at: UtcTime | None = NOON, data: bytes = b""
) -> SignedRecord:
    identity = RecordId(DEVICE, session, kind.stream, sequence)
    octets = data or f"{identity} {kind}".encode()
    return SignedRecord(identity, kind, octets, hashlib.sha256(octets).digest()[:16], made_at)


def used(directory: Path, use: Callable[[SqliteOutbox], Awaitable[T]]) -> T:
    """Do that with the outbox in the directory, opened before and closed behind it, as one run of the daemon does."""

    async def main() -> T:
        outbox = SqliteOutbox(directory, DEVICE)
        await outbox.open()
        try:
            return await use(outbox)
        finally:
            await outbox.close()

    return asyncio.run(main())


def waiting(directory: Path) -> list[SignedRecord]:
    """The records without a receipt."""
    return [stored.record for stored in used(directory, SqliteOutbox.pending)]


def added(directory: Path, *records: SignedRecord) -> None:
    async def add(outbox: SqliteOutbox) -> None:
        for one in records:
            await outbox.add(one, None)

    used(directory, add)


def raw(directory: Path, sql: str) -> list[tuple[object, ...]]:
    """What another reader of SQLite sees, while nobody has it open."""
    with closing(apsw.Connection(str(directory / DATABASE_FILE))) as connection:
        return list(connection.execute(sql))


def test_a_record_comes_back_as_it_was_after_a_restart(tmp_path: Path) -> None:
    records = [
        record(Kind.PANIC, 1),
        record(Kind.POSITION, 1, made_at=None),
        record(Kind.ANCHOR, 2, made_at=UtcTime(0, ClockSource.SYSTEM, None)),
        record(Kind.PANIC, 2**32 - 1, data=bytes(range(256)) * 4),
    ]
    added(tmp_path, *records)
    assert waiting(tmp_path) == records


@given(
    made_at=st.none()
    | st.builds(UtcTime, st.integers(-(2**62), 2**62), st.sampled_from(ClockSource), st.none() | st.integers(0, 2**31)),
    data=st.binary(min_size=1, max_size=1024),
    stored_at_ms=st.none() | st.integers(-(2**62), 2**62),
)
def test_any_record_comes_back_as_it_was(
    made_at: UtcTime | None, data: bytes, stored_at_ms: int | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    given_record = record(Kind.PANIC, 1, made_at=made_at, data=data)

    async def use(outbox: SqliteOutbox) -> list[StoredRecord]:
        await outbox.add(given_record, stored_at_ms)
        return await outbox.latest_alert()

    found = used(tmp_path_factory.mktemp("outbox"), use)
    assert found == [StoredRecord(given_record, stored_at_ms, delivered=False, delivered_at_ms=None)]


def test_an_empty_outbox_knows_nothing(tmp_path: Path) -> None:
    async def use(outbox: SqliteOutbox) -> None:
        assert await outbox.history() == History({})
        assert await outbox.pending() == []
        assert await outbox.latest_alert() == []

    used(tmp_path, use)
    used(tmp_path, use)


def test_pending_is_in_the_order_of_the_commits(tmp_path: Path) -> None:
    records = [record(Kind.POSITION, 9), record(Kind.PANIC, 1), record(Kind.OPENING, 1, SECOND), record(Kind.PANIC, 2)]

    async def at_once(outbox: SqliteOutbox) -> None:
        await asyncio.gather(*(outbox.add(one, None) for one in records))

    used(tmp_path, at_once)
    assert waiting(tmp_path) == records


def test_history_is_the_last_of_each_chained_stream_across_sessions(tmp_path: Path) -> None:
    last = {Stream.ALERT: record(Kind.CANCELLATION, 2), Stream.STATE: record(Kind.OPENING, 1, SECOND)}
    added(
        tmp_path,
        record(Kind.OPENING, 1),
        record(Kind.PANIC, 1),
        record(Kind.ANCHOR, 2),
        record(Kind.POSITION, 1),
        last[Stream.ALERT],
        last[Stream.STATE],
        record(Kind.POSITION, 1, SECOND),
    )
    assert used(tmp_path, SqliteOutbox.history) == History(
        {stream: Head(one.id.session, one.id.sequence, one.digest) for stream, one in last.items()}
    )


def test_history_outlives_the_records_themselves(tmp_path: Path) -> None:
    """A record that was delivered may be thrown away one day; the chain goes on from it all the same."""
    panic = record(Kind.PANIC, 7)
    added(tmp_path, panic)
    raw(tmp_path, "DELETE FROM record")
    assert used(tmp_path, SqliteOutbox.history).heads == {Stream.ALERT: Head(FIRST, 7, panic.digest)}


def test_a_receipt_ends_the_waiting_of_its_record_alone(tmp_path: Path) -> None:
    first, second = record(Kind.PANIC, 1), record(Kind.PANIC, 2)
    added(tmp_path, first, second)

    async def use(outbox: SqliteOutbox) -> None:
        await outbox.mark_delivered(first.digest, b"receipt", 1234)
        await outbox.mark_delivered(b"unknown digest16", b"of nobody", 1)

    used(tmp_path, use)
    assert waiting(tmp_path) == [second]
    assert raw(tmp_path, "SELECT sequence, receipt, delivered_at_ms FROM record ORDER BY position") == [
        (1, b"receipt", 1234),
        (2, None, None),
    ]


def test_the_first_receipt_stays(tmp_path: Path) -> None:
    panic = record(Kind.PANIC, 1)
    added(tmp_path, panic)

    async def use(outbox: SqliteOutbox) -> None:
        await outbox.mark_delivered(panic.digest, b"first", None)
        await outbox.mark_delivered(panic.digest, b"second", 99)

    used(tmp_path, use)
    assert raw(tmp_path, "SELECT receipt, delivered_at_ms FROM record") == [(b"first", None)]
    [stored] = used(tmp_path, SqliteOutbox.latest_alert)
    assert (stored.delivered, stored.delivered_at_ms) == (True, None), "delivered at a time that nobody knows"


def test_the_latest_alert_comes_with_the_positions_and_the_cancellation_behind_it(tmp_path: Path) -> None:
    old, new = record(Kind.PANIC, 1), record(Kind.PANIC, 1, SECOND)
    old_end, new_end = record(Kind.CANCELLATION, 2), record(Kind.CANCELLATION, 2, SECOND)
    before, after, later = record(Kind.POSITION, 1), record(Kind.POSITION, 2), record(Kind.POSITION, 1, SECOND)

    def alert() -> list[SignedRecord]:
        return [stored.record for stored in used(tmp_path, SqliteOutbox.latest_alert)]

    added(tmp_path, before)
    assert alert() == []
    added(tmp_path, record(Kind.OPENING, 1), old)
    assert alert() == [old], "a position from before says nothing of it"
    added(tmp_path, after, record(Kind.ANCHOR, 2), old_end)
    assert alert() == [old, after, old_end]
    added(tmp_path, new, record(Kind.OPENING, 1, SECOND))
    assert alert() == [new]
    added(tmp_path, new_end, later)
    assert alert() == [new, new_end, later]


def test_a_record_that_is_there_already_is_left_as_it_is(tmp_path: Path) -> None:
    """After a commit that came back too late, it is tried again."""
    panic, cancellation = record(Kind.PANIC, 1), record(Kind.CANCELLATION, 2)

    async def use(outbox: SqliteOutbox) -> None:
        await outbox.add(panic, 42)
        await outbox.add(cancellation, 43)
        await outbox.mark_delivered(panic.digest, b"receipt", 44)
        await outbox.add(panic, 99)
        assert await outbox.pending() == [StoredRecord(cancellation, 43, delivered=False, delivered_at_ms=None)]
        assert (await outbox.latest_alert())[0] == StoredRecord(panic, 42, delivered=True, delivered_at_ms=44)
        head = (await outbox.history()).heads[Stream.ALERT]
        assert head == Head(FIRST, 2, cancellation.digest), "what came behind it is the head, and stays it"

    used(tmp_path, use)


def test_another_record_under_the_same_identity_is_refused(tmp_path: Path) -> None:
    panic = record(Kind.PANIC, 1)

    async def use(outbox: SqliteOutbox) -> None:
        await outbox.add(panic, None)
        with pytest.raises(StoreError, match="UNIQUE"):
            await outbox.add(record(Kind.PANIC, 1, data=b"other octets"), None)
        assert [stored.record for stored in await outbox.pending()] == [panic]
        assert (await outbox.history()).heads == {Stream.ALERT: Head(FIRST, 1, panic.digest)}, "nothing half done"
        await outbox.add(record(Kind.PANIC, 3), None)

    used(tmp_path, use)
    assert len(waiting(tmp_path)) == 2


def test_pending_says_when_each_was_stored(tmp_path: Path) -> None:
    known, unknown = record(Kind.PANIC, 1), record(Kind.PANIC, 2)

    async def use(outbox: SqliteOutbox) -> list[StoredRecord]:
        await outbox.add(known, 42)
        await outbox.add(unknown, None)
        return await outbox.pending()

    assert [(stored.stored_at_ms, stored.delivered) for stored in used(tmp_path, use)] == [(42, False), (None, False)]


def test_the_same_sequence_in_another_session_or_stream_is_another_record(tmp_path: Path) -> None:
    records = [record(Kind.PANIC, 1), record(Kind.PANIC, 1, SECOND), record(Kind.OPENING, 1), record(Kind.POSITION, 1)]
    added(tmp_path, *records)
    assert waiting(tmp_path) == records


async def every_call(outbox: SqliteOutbox) -> list[object]:
    return [
        *await asyncio.gather(
            outbox.history(),
            outbox.add(record(Kind.PANIC, 1), None),
            outbox.mark_delivered(bytes(16), b"", None),
            outbox.pending(),
            outbox.latest_alert(),
            return_exceptions=True,
        )
    ]


def test_an_outbox_that_is_not_open_says_so_in_every_call(tmp_path: Path) -> None:
    async def main() -> None:
        outbox = SqliteOutbox(tmp_path / "nowhere", DEVICE)
        with pytest.raises(StoreError, match="cannot be opened"):
            await outbox.open()
        assert [str(error) for error in await every_call(outbox)] == ["the outbox is not open"] * 5
        await outbox.close()
        answers = await every_call(outbox)
        assert [str(error) for error in answers] == ["the outbox is closed"] * 5
        assert {type(error) for error in answers} == {StoreError}

    asyncio.run(main())


def test_a_call_before_the_end_of_a_slow_opening_waits_for_it(tmp_path: Path) -> None:
    async def main() -> None:
        outbox = SqliteOutbox(tmp_path, DEVICE)
        _, pending = await asyncio.gather(outbox.open(), outbox.pending())
        assert pending == []
        await outbox.close()

    asyncio.run(main())


def test_a_full_disk_is_an_error_that_passes(tmp_path: Path) -> None:
    small, large = record(Kind.PANIC, 1), record(Kind.PANIC, 2, data=bytes(200_000))

    async def use(outbox: SqliteOutbox) -> None:
        connection = outbox._connection
        assert connection is not None
        pages = connection.execute("PRAGMA page_count").get
        connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreError, match=r"the outbox failed: .*full"):
            await outbox.add(large, None)
        await outbox.add(small, None)
        assert [stored.record for stored in await outbox.pending()] == [small], (
            "the failed one left nothing behind, and the next one is taken"
        )
        connection.execute(f"PRAGMA max_page_count = {pages + 1000}")
        await outbox.add(large, None)

    used(tmp_path, use)
    assert waiting(tmp_path) == [small, large]


def spoil(directory: Path, table: str) -> bytes:
    """Damage the root page of a table, as a dying card does; the file as it is then."""
    [[page]] = raw(directory, f"SELECT rootpage FROM sqlite_schema WHERE name = '{table}'")
    assert isinstance(page, int)
    with (directory / DATABASE_FILE).open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    return (directory / DATABASE_FILE).read_bytes()


@pytest.mark.parametrize(("table", "call"), [("record", SqliteOutbox.pending), ("head", SqliteOutbox.history)])
def test_a_damaged_page_is_an_error_once_and_the_next_opening_makes_a_fresh_file(
    table: str,
    call: Callable[[SqliteOutbox], Awaitable[object]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Else every alert from now on would be one that is not stored."""
    added(tmp_path, *(record(Kind.PANIC, number) for number in range(1, 200)))
    found = spoil(tmp_path, table)
    aside = tmp_path / f"{DATABASE_FILE}.damaged-1"
    fresh = record(Kind.PANIC, 500)

    async def use(outbox: SqliteOutbox) -> None:
        with pytest.raises(StoreError, match=rf"the outbox is damaged \(.*malformed\): set aside as {aside}"):
            await call(outbox)
        with pytest.raises(StoreError, match="not open"):
            await outbox.add(fresh, None)
        await outbox.open()
        await outbox.add(fresh, None)
        assert (await outbox.history()).heads == {Stream.ALERT: Head(FIRST, 500, fresh.digest)}

    used(tmp_path, use)
    assert waiting(tmp_path) == [fresh]
    assert aside.read_bytes() == found, "not one octet of it is lost"
    assert [entry.levelname for entry in caplog.records] == ["CRITICAL"]


def test_opening_what_is_open_changes_nothing(tmp_path: Path) -> None:
    panic = record(Kind.PANIC, 1)

    async def use(outbox: SqliteOutbox) -> None:
        await outbox.add(panic, None)
        connection = outbox._connection
        await outbox.open()
        assert outbox._connection is connection
        assert [stored.record for stored in await outbox.pending()] == [panic]

    used(tmp_path, use)


def test_an_opening_that_failed_can_be_tried_again(tmp_path: Path) -> None:
    place = tmp_path / "later"

    async def main() -> None:
        outbox = SqliteOutbox(place, DEVICE)
        with pytest.raises(StoreError, match="cannot be opened"):
            await outbox.open()
        place.mkdir()
        await outbox.open()
        assert await outbox.pending() == []
        await outbox.close()

    asyncio.run(main())


@pytest.mark.parametrize("change", ["kind = 2", "stream = 14", "made_at_source = 9"])
def test_a_record_of_a_newer_daemon_stays_and_holds_nothing_up(
    change: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """After a fall-back to the older slot: its outbox may have kinds that this daemon has never heard of."""
    strange, known = record(Kind.PANIC, 1), record(Kind.POSITION, 1)
    added(tmp_path, strange, known)
    raw(tmp_path, f"UPDATE record SET {change} WHERE sequence = 1 AND kind = {int(Kind.PANIC)}")
    assert waiting(tmp_path) == [known]
    assert "a record stays in the outbox" in caplog.text
    assert used(tmp_path, SqliteOutbox.latest_alert) == []
    assert raw(tmp_path, "SELECT count(*) FROM record") == [(2,)]


def test_a_history_that_cannot_be_read_is_an_error_of_the_store(tmp_path: Path) -> None:
    added(tmp_path, record(Kind.PANIC, 1))
    raw(tmp_path, "UPDATE head SET session = x'00'")
    with pytest.raises(StoreError, match="a session id has 6 octets"):
        used(tmp_path, SqliteOutbox.history)


def test_add_returns_after_the_disk_has_it(tmp_path: Path) -> None:
    """What the officer then feels is true: the power may go at that moment."""
    live, synced = tmp_path / "live", tmp_path / "synced"
    live.mkdir()
    panic = record(Kind.PANIC, 1)
    at_the_cut: list[dict[str, bytes]] = []

    async def use(outbox: SqliteOutbox) -> None:
        for step in (outbox.add(panic, None), outbox.mark_delivered(panic.digest, b"receipt", 5)):
            await step
            at_the_cut.append({path.name: path.read_bytes() for path in synced.iterdir()})

    with power_cut_disk(synced):
        used(live, use)
    for number, files in enumerate(at_the_cut):
        place = tmp_path / f"cut{number}"
        place.mkdir()
        for name, octets in files.items():
            (place / name).write_bytes(octets)
        [stored] = used(place, SqliteOutbox.latest_alert)
        assert stored.record == panic
        assert stored.delivered == (number == 1)


KILLED = """
import asyncio, os, sys
from pathlib import Path
from bondmate.store.outbox import SqliteOutbox
from tests.store.test_outbox import DEVICE, record, Kind

async def main():
    outbox = SqliteOutbox(Path(sys.argv[1]), DEVICE)
    await outbox.open()
    await outbox.add(record(Kind.PANIC, 1), 42)
    connection = outbox._connection
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE record SET receipt = x'00'")
    connection.execute("DELETE FROM head")
    print("stored", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def test_a_killed_daemon_keeps_what_was_committed_and_nothing_else(tmp_path: Path) -> None:
    """The open transaction behind it is the control: the kill came before its commit, and it is gone."""
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "stored\n"
        process.kill()
        assert process.wait(10) == -signal.SIGKILL
    panic = record(Kind.PANIC, 1)
    assert waiting(tmp_path) == [panic]
    assert used(tmp_path, SqliteOutbox.latest_alert) == [StoredRecord(panic, 42, delivered=False, delivered_at_ms=None)]
    assert used(tmp_path, SqliteOutbox.history).heads == {Stream.ALERT: Head(FIRST, 1, panic.digest)}


def test_a_slow_disk_does_not_hold_up_the_event_loop(tmp_path: Path) -> None:
    async def use(outbox: SqliteOutbox) -> None:
        loop = asyncio.get_running_loop()
        turns = 0

        def hang() -> None:
            # in the store's thread, until the loop has turned a thousand times
            asyncio.run_coroutine_threadsafe(turned.wait(), loop).result(10)

        turned = asyncio.Event()
        outbox._thread.submit(hang)
        write = asyncio.ensure_future(outbox.add(record(Kind.PANIC, 1), None))
        while turns < 1000:
            await asyncio.sleep(0)
            turns += 1
        assert not write.done()
        turned.set()
        await write

    used(tmp_path, use)
