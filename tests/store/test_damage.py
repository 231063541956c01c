"""A dying card: what is read is what was written, or the loss is told."""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import apsw
import pytest

from bondmate.errors import StoreError, StoreTrouble
from bondmate.records import Head, History, Kind, Opened, SignedRecord, Stream
from bondmate.store.database import DATABASE_FILE
from bondmate.store.outbox import SqliteOutbox
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
        await outbox.close()

    asyncio.run(main())
    assert left(tmp_path) == [*records[:saved], fresh]
    assert (tmp_path / ASIDE).read_bytes() == found, "not one octet of it is lost"
    assert [entry.levelname for entry in caplog.records] == ["CRITICAL", "WARNING"]
    assert f"{saved} records" in caplog.text


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


def test_a_record_that_the_disk_has_changed_is_not_sent_and_holds_nothing_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    added(tmp_path, *(record(Kind.PANIC, number) for number in (1, 2, 3)))
    octets = (tmp_path / DATABASE_FILE).read_bytes()
    at = octets.index(record(Kind.PANIC, 2).data)
    (tmp_path / DATABASE_FILE).write_bytes(octets[:at] + b"\x00" + octets[at + 1 :])
    assert left(tmp_path) == [record(Kind.PANIC, 1), record(Kind.PANIC, 3)]
    assert "its digest is not that of its octets: the disk has changed it" in caplog.text
    assert raw(tmp_path, "SELECT count(*) FROM record") == [(3,)], "it stays, for somebody to look at"


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
    assert [one for one in found if by_digest.get(one.digest) != one.data] == []
    if path.name == DATABASE_FILE and len(found) < len(alerts):
        assert told or "cannot be read" in caplog.text


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
