"""A dying card: what is read is what was written, or the loss is told."""

import asyncio
import os
import random
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

import apsw
import pytest

from bondmate.errors import StoreError, StoreTrouble
from bondmate.records import Felt, Head, History, Kind, Moment, Opened, SignedRecord, Stream
from bondmate.store.database import DATABASE_FILE
from bondmate.store.outbox import SqliteOutbox
from bondmate.wire import digest
from tests.store.samples import DEVICE, FIRST, START, added, alert_of_usual_size, all_pending, left, raw, record, used

LOG_FILE = f"{DATABASE_FILE}-wal"
ASIDE = f"{DATABASE_FILE}.damaged-1"


async def opened(directory: Path) -> tuple[SqliteOutbox, Opened]:
    outbox = SqliteOutbox(directory, DEVICE)
    return outbox, await outbox.open()


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def cut_short(directory: Path, *records: SignedRecord) -> None:
    """What a power cut leaves: a log that was never moved into the file."""

    async def main() -> None:
        outbox, _ = await opened(directory)
        for one in records:
            await outbox.add(one, START)
        files.update(contents(directory))
        await outbox.close()

    files: dict[str, bytes] = {}
    asyncio.run(main())
    for name, octets in files.items():
        (directory / name).write_bytes(octets)
    assert (directory / LOG_FILE).stat().st_size > 0


def spoil(directory: Path, table: str) -> bytes:
    """Damage the root page of a table; the file as it is then."""
    [[page]] = raw(directory, f"SELECT rootpage FROM sqlite_schema WHERE name = '{table}'")
    assert isinstance(page, int)
    with (directory / DATABASE_FILE).open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    return (directory / DATABASE_FILE).read_bytes()


@pytest.mark.parametrize(("table", "call", "saved"), [("record", all_pending, 0), ("head", SqliteOutbox.history, 199)])
def test_a_damaged_page_is_an_error_once_and_the_next_opening_makes_a_fresh_file(
    table: str,
    call: Callable[[SqliteOutbox], Awaitable[object]],
    saved: int,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Else every alert from now on would be one that is not stored."""
    records = [record(Kind.PANIC, number) for number in range(1, 200)]
    added(tmp_path, *records)
    found = spoil(tmp_path, table)
    fresh = record(Kind.PANIC, 500)

    async def main() -> None:
        outbox, came_to = await opened(tmp_path)
        assert came_to is Opened.AS_IT_WAS, "only what opening reads is looked at"
        with pytest.raises(StoreError, match=rf"is damaged \(.*malformed\): set aside as .*{ASIDE}") as caught:
            await call(outbox)
        assert caught.value.trouble is StoreTrouble.DAMAGED
        with pytest.raises(StoreError, match="not open"):
            await outbox.add(fresh, START)
        assert await outbox.open() is Opened.REPLACED
        assert await outbox.history() == History.lost()
        await outbox.add(fresh, START)
        head = Head(FIRST, 500, fresh.digest)
        assert await outbox.history() == History({Stream.ALERT: head, Stream.STATE: None})
        assert await outbox.open() is Opened.ALREADY
        assert await outbox.salvage() == saved
        await outbox.close()

    asyncio.run(main())
    assert left(tmp_path) == [*records[:saved], fresh]
    assert (tmp_path / ASIDE).read_bytes() == found, "not one octet of it is lost"
    levels = [entry.levelname for entry in caplog.records]
    assert levels == ["CRITICAL", "WARNING"] if saved else levels == ["CRITICAL"]


def test_the_loss_is_told_also_when_the_power_goes_before_the_fresh_file_is_made(tmp_path: Path) -> None:
    added(tmp_path, record(Kind.PANIC, 1))
    spoil(tmp_path, "head")

    async def until_it_is_set_aside() -> None:
        outbox, _ = await opened(tmp_path)
        with pytest.raises(StoreError, match="is damaged"):
            await outbox.history()
        await outbox.close()

    asyncio.run(until_it_is_set_aside())
    assert not (tmp_path / DATABASE_FILE).exists()

    async def next_start() -> None:
        outbox, came_to = await opened(tmp_path)
        assert came_to is Opened.REPLACED
        await outbox.close()
        # the power goes again before anybody did something about it
        outbox, came_to = await opened(tmp_path)
        assert came_to is Opened.AS_IT_WAS
        assert await outbox.history() == History.lost()
        await outbox.close()

    asyncio.run(next_start())


@pytest.mark.parametrize("gone", [True, False], ids=["deleted", "cut to nothing"])
def test_a_log_without_its_file_is_set_aside_and_told(gone: bool, tmp_path: Path) -> None:
    """SQLite would delete the log without a word, and with it what was committed."""
    cut_short(tmp_path, record(Kind.PANIC, 1))
    log = (tmp_path / LOG_FILE).read_bytes()
    if gone:
        (tmp_path / DATABASE_FILE).unlink()
    else:
        os.truncate(tmp_path / DATABASE_FILE, 0)

    async def main() -> None:
        outbox, came_to = await opened(tmp_path)
        assert came_to is Opened.REPLACED
        assert await outbox.history() == History.lost()
        await outbox.close()

    asyncio.run(main())
    assert (tmp_path / f"{ASIDE}-wal").read_bytes() == log


def test_sqlite_alone_deletes_a_log_without_its_file(tmp_path: Path) -> None:
    """The control of the test above."""
    cut_short(tmp_path, record(Kind.PANIC, 1))
    os.truncate(tmp_path / DATABASE_FILE, 0)
    assert raw(tmp_path, "SELECT count(*) FROM sqlite_schema") == [(0,)]
    assert not (tmp_path / LOG_FILE).exists()


def test_what_is_set_aside_never_takes_the_place_of_what_was(tmp_path: Path) -> None:
    """Also when of an earlier one only the log is there."""
    earlier = tmp_path / f"{ASIDE}-wal"
    earlier.write_bytes(b"somebody's alerts")
    added(tmp_path, record(Kind.PANIC, 1))
    cut_short(tmp_path, record(Kind.PANIC, 2))
    (tmp_path / DATABASE_FILE).write_bytes(b"garbage!" * 1000)
    used(tmp_path, SqliteOutbox.history)
    assert earlier.read_bytes() == b"somebody's alerts"
    assert (tmp_path / f"{DATABASE_FILE}.damaged-2").exists()
    assert (tmp_path / f"{DATABASE_FILE}.damaged-2-wal").exists()


@pytest.mark.parametrize("pages", [1, 2, 5, 9])
def test_a_truncated_file_is_set_aside_and_told(pages: int, tmp_path: Path) -> None:
    added(tmp_path, *(record(Kind.PANIC, number) for number in range(1, 100)))
    os.truncate(tmp_path / DATABASE_FILE, pages * 4096 + 100)
    found = (tmp_path / DATABASE_FILE).read_bytes()

    async def main() -> None:
        outbox, came_to = await opened(tmp_path)
        assert came_to is Opened.REPLACED
        assert await outbox.history() == History.lost()
        await outbox.close()

    asyncio.run(main())
    assert (tmp_path / ASIDE).read_bytes() == found


def change(directory: Path, what: bytes, offset: int = 0) -> None:
    """An octet of that becomes another."""
    octets = bytearray((directory / DATABASE_FILE).read_bytes())
    octets[octets.index(what) + offset] ^= 0xFF
    (directory / DATABASE_FILE).write_bytes(octets)


def test_a_record_that_the_disk_has_changed_is_not_sent_and_holds_nothing_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    added(tmp_path, *(record(Kind.HEALTH, number) for number in (1, 2, 3)))
    change(tmp_path, record(Kind.HEALTH, 2).data)
    assert left(tmp_path) == [record(Kind.HEALTH, 1), record(Kind.HEALTH, 3)]
    assert "its digest is not that of its octets: the disk has changed it" in caplog.text
    assert raw(tmp_path, "SELECT count(*) FROM record") == [(3,)], "it stays, for somebody to look at"


@pytest.mark.parametrize("offset", [0, 50], ids=["its octets", "its digest"])
def test_an_alert_that_the_disk_has_changed_is_sent_as_it_is_for_a_human_to_look_at_and_can_be_delivered(
    offset: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    alert, other = record(Kind.PANIC, 1, data=bytes(range(50))), record(Kind.PANIC, 2)
    added(tmp_path, alert, other)
    change(tmp_path, alert.data + alert.digest, offset)

    async def use(outbox: SqliteOutbox) -> None:
        changed, whole = await all_pending(outbox)
        assert (changed.record.id, whole.record) == (alert.id, other)
        assert (changed.record.data == alert.data) is (offset == 50)
        assert changed.record.digest == digest(changed.record.data)
        await outbox.mark_felt(changed.record.digest, Felt.STORED)
        await outbox.mark_delivered(changed.record.digest, b"receipt", START)

    used(tmp_path, use)
    assert f"{alert.id} is sent as it is now" in caplog.text
    assert left(tmp_path) == [other], "it is not sent for ever"
    assert raw(tmp_path, "SELECT felt, receipt FROM record WHERE sequence = 1") == [(1, b"receipt")]


async def live_on(directory: Path) -> list[SignedRecord]:
    """What a device asks of its store, over and over: it has a store to the end. What is pending then."""
    outbox, _ = await opened(directory)
    calls: list[Callable[[], Awaitable[object]]] = [
        outbox.salvage,
        outbox.clock,
        outbox.history,
        outbox.latest_alert,
        lambda: all_pending(outbox),
        outbox.waiting,
        lambda: outbox.shift(FIRST, 0.0, 1.0, 5.0),
        lambda: outbox.mark_delivered(record(Kind.PANIC, 1).digest, b"receipt", START),
        lambda: outbox.upkeep(START, 1e12),
        lambda: outbox.add(record(Kind.PANIC, 9), START),
    ]
    try:
        for call in calls:
            try:
                await call()
            except StoreError as error:
                if error.trouble is not StoreTrouble.DAMAGED:
                    raise
                assert await outbox.open() is Opened.REPLACED
                await outbox.salvage()
                await call()
        return [kept.record for kept in await all_pending(outbox)]
    finally:
        await outbox.close()


HEADER_OCTETS = 26
"""Before the octets of a row: their lengths and kinds, one octet a column here."""


@pytest.mark.parametrize(
    "row",
    [
        FIRST.octets + record(Kind.PANIC, 1).data,
        FIRST.octets + record(Kind.PANIC, 1).digest,
        struct.pack(">d", 1234.5) + (99).to_bytes(),
    ],
    ids=["record", "head", "clock"],
)
def test_no_single_bit_of_what_a_row_says_of_itself_ends_the_store(row: bytes, run: Path) -> None:
    """One of them makes of octets a text that is none, which Python refuses to read."""

    async def fill(outbox: SqliteOutbox) -> None:
        await outbox.add(record(Kind.PANIC, 1), Moment(1234.5, 99))

    used(run, fill)
    octets = (run / DATABASE_FILE).read_bytes()
    end = octets.index(row)
    for bit in range((end - HEADER_OCTETS) * 8, end * 8):
        for path in run.iterdir():
            path.unlink()
        changed = bytearray(octets)
        changed[bit // 8] ^= 1 << bit % 8
        (run / DATABASE_FILE).write_bytes(changed)
        assert record(Kind.PANIC, 9) in asyncio.run(live_on(run))


def test_octets_that_one_bit_makes_a_text_are_read_as_octets(tmp_path: Path) -> None:
    alert = record(Kind.PANIC, 1)
    added(tmp_path, alert)
    octets = bytearray((tmp_path / DATABASE_FILE).read_bytes())
    # the kinds of its first columns: six octets, 0 (the stream), 1 and 1
    kind = octets.rindex(bytes([12 + 2 * 6, 8, 9, 9]), 0, octets.index(FIRST.octets + alert.data))
    octets[kind] |= 1  # sqlite.org/fileformat.html: 12 + 2 n are n octets, 13 + 2 n are text
    (tmp_path / DATABASE_FILE).write_bytes(octets)
    assert raw(tmp_path, "SELECT typeof(session) FROM record NOT INDEXED") == [("text",)]
    with pytest.raises(UnicodeDecodeError):
        raw(tmp_path, "SELECT session FROM record NOT INDEXED")
    assert left(tmp_path) == [alert]
    assert not (tmp_path / ASIDE).exists()


@pytest.mark.parametrize(
    ("place", "octets"),
    [(103, bytes(2)), (44, bytes([0, 0, 0, 9])), (56, bytes([0, 0, 0, 2]))],
    ids=["no tables", "a format of tables that nobody knows", "another encoding of text"],
)
def test_a_file_that_lost_its_tables_is_damaged(place: int, octets: bytes, tmp_path: Path) -> None:
    """SQLite calls that an error of the statement."""
    added(tmp_path, record(Kind.PANIC, 1))
    with (tmp_path / DATABASE_FILE).open("r+b") as file:
        file.seek(place)
        file.write(octets)
    assert asyncio.run(live_on(tmp_path))[-1] == record(Kind.PANIC, 9)
    assert (tmp_path / ASIDE).exists()


@pytest.mark.parametrize("seed", range(40))
def test_whatever_the_card_returns_nothing_false_comes_out_and_every_loss_is_told(
    seed: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Pages, sectors or single octets anywhere in the file and its log become something else."""
    rng = random.Random(seed)
    alerts = [alert_of_usual_size(number) for number in range(1, 60)]
    added(tmp_path, *alerts[:30])
    cut_short(tmp_path, *alerts[30:])
    path = tmp_path / rng.choice([DATABASE_FILE, DATABASE_FILE, LOG_FILE])
    octets = bytearray(path.read_bytes())
    for _ in range(rng.randint(1, 3)):
        size = rng.choice([1, 512, 4096])
        begin = rng.randrange(len(octets)) // size * size
        octets[begin : begin + size] = rng.choice([bytes(size), b"\xff" * size, rng.randbytes(size)])
    path.write_bytes(octets)

    async def main() -> tuple[list[SignedRecord], bool]:
        """What comes out, and whether a loss was told."""
        outbox, came_to = await opened(tmp_path)
        told = came_to is Opened.REPLACED
        found: list[SignedRecord] = []
        calls: list[Callable[[], Awaitable[object]]] = [
            outbox.history,
            outbox.clock,
            outbox.waiting,
            outbox.latest_alert,
            lambda: outbox.add(alert_of_usual_size(100), START),
            lambda: outbox.mark_delivered(alerts[0].digest, b"receipt", START),
            lambda: outbox.upkeep(START, 1e12),
        ]
        rng.shuffle(calls)
        for call in (lambda: all_pending(outbox), *calls):
            try:
                result = await call()
            except StoreError as error:
                if error.trouble is StoreTrouble.DAMAGED:
                    assert await outbox.open() is Opened.REPLACED
                    told = True
            else:
                if isinstance(result, list):
                    found = [stored.record for stored in result]
        fresh = record(Kind.PANIC, 101)
        await outbox.add(fresh, START)
        assert fresh in [stored.record for stored in await all_pending(outbox)], "it works all the same"
        await outbox.close()
        return found, told

    found, told = asyncio.run(main())
    by_digest = {one.digest: one.data for one in alerts}
    changed = [one for one in found if one.digest not in by_digest]
    assert all(one.digest == digest(one.data) for one in found)
    assert not changed or "is sent as it is now" in caplog.text
    if path.name == DATABASE_FILE and len(found) - len(changed) < len(alerts):
        assert told or changed or "cannot be read" in caplog.text


def test_what_a_damaged_log_holds_behind_the_damage_is_lost_as_if_it_never_was_committed(tmp_path: Path) -> None:
    """What SQLite does: it ends a log at the first frame whose checksum is wrong, for that is how a power cut looks."""
    first, second = record(Kind.PANIC, 1), record(Kind.PANIC, 2)
    cut_short(tmp_path, first)
    before = (tmp_path / LOG_FILE).stat().st_size
    (tmp_path / DATABASE_FILE).unlink()
    (tmp_path / LOG_FILE).unlink()
    cut_short(tmp_path, first, second)
    octets = bytearray((tmp_path / LOG_FILE).read_bytes())
    octets[before + 100] ^= 0xFF
    (tmp_path / LOG_FILE).write_bytes(octets)
    assert left(tmp_path) == [first]
    assert used(tmp_path, SqliteOutbox.history).heads == {Stream.ALERT: Head(FIRST, 1, first.digest)}


def test_a_file_that_somebody_else_locks_is_no_damage(tmp_path: Path) -> None:
    added(tmp_path, record(Kind.PANIC, 1))
    other = apsw.Connection(str(tmp_path / DATABASE_FILE))
    other.execute("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").fetchall()

    async def main() -> None:
        outbox = SqliteOutbox(tmp_path, DEVICE)
        with pytest.raises(StoreError, match="locked") as caught:
            await outbox.open()
        assert caught.value.trouble is StoreTrouble.OTHER
        other.close()
        assert await outbox.open() is Opened.AS_IT_WAS
        await outbox.close()

    asyncio.run(main())
    assert left(tmp_path) == [record(Kind.PANIC, 1)]
