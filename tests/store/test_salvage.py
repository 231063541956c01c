import asyncio
import random
import shutil
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bondmate.errors import StoreError, StoreTrouble
from bondmate.records import Felt, History, Kind, Moment, Opened, SignedRecord, Stream
from bondmate.store import wreck as wreck_module
from bondmate.store.database import DATABASE_FILE, damaged_path, open_database
from bondmate.store.outbox import SqliteOutbox
from bondmate.store.reserve import RESERVE_FILE, RESERVE_OCTETS
from bondmate.store.salvage import PAGE, PATIENCE
from bondmate.store.schema import MIGRATIONS
from bondmate.store.wreck import Saved, Wreck
from tests.store.samples import DEVICE, SECOND, START, added, all_pending, left, raw, record, used
from tests.store.syscalls import quota_on

PAGE_OCTETS = 4096
ASIDE = f"{DATABASE_FILE}.damaged-1"


def some(count: int) -> list[SignedRecord]:
    rng = random.Random(count)
    return [record(Kind.PANIC, number, data=rng.randbytes(160)) for number in range(1, count + 1)]


def page_of(octets: bytes, one: SignedRecord) -> int:
    place = octets.find(one.data)
    assert place > 0
    return place // PAGE_OCTETS


def with_page_spoiled(octets: bytes, page: int) -> bytes:
    spoiled = bytearray(octets)
    spoiled[page * PAGE_OCTETS : (page + 1) * PAGE_OCTETS] = random.Random(page).randbytes(PAGE_OCTETS)
    return bytes(spoiled)


async def found_damaged(outbox: SqliteOutbox) -> None:
    """As when SQLite meets the damaged page by itself."""
    assert outbox._connection is not None
    outbox._give_up(outbox._connection)


def test_all_but_what_stood_on_the_damaged_page_is_in_the_fresh_file(tmp_path: Path) -> None:
    records = some(200)
    added(tmp_path, *records)
    file = tmp_path / DATABASE_FILE
    whole = file.read_bytes()
    gone = page_of(whole, records[100])
    file.write_bytes(with_page_spoiled(whole, gone))
    expected = [one for one in records if page_of(whole, one) != gone]
    assert 150 < len(expected) < 200
    used(tmp_path, found_damaged)
    before = (tmp_path / ASIDE).read_bytes()

    async def look(outbox: SqliteOutbox) -> History:
        return await outbox.history()

    assert used(tmp_path, look) == History.lost(), "the break in the chains is known all the same"
    assert left(tmp_path) == expected
    assert (tmp_path / ASIDE).read_bytes() == before, "not one octet of it is changed"


def test_of_what_was_delivered_alerts_alone_are_taken_up_again(tmp_path: Path) -> None:
    """One that is open would be forgotten; the gateway takes each once."""
    records = some(3)
    added(tmp_path, *records)

    async def deliver(outbox: SqliteOutbox) -> None:
        await outbox.mark_delivered(records[1].digest, b"receipt", START)
        await found_damaged(outbox)

    used(tmp_path, deliver)
    assert left(tmp_path) == records


def test_what_stands_in_the_log_alone_is_saved_too(tmp_path: Path) -> None:
    records = some(5)
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()

    async def copied_in_use(outbox: SqliteOutbox) -> None:
        for each in records:
            await outbox.add(each, START)
        shutil.copyfile(one / DATABASE_FILE, other / ASIDE)
        shutil.copyfile(one / f"{DATABASE_FILE}-wal", other / f"{ASIDE}-wal")

    used(one, copied_in_use)
    log = (other / f"{ASIDE}-wal").read_bytes()
    assert records[4].data in log
    connection, came_to = open_database(other)
    connection.close()
    assert came_to is Opened.REPLACED
    assert left(other) == records
    assert (other / f"{ASIDE}-wal").read_bytes() == log


def undelivered(path: Path) -> list[Saved]:
    """All that can be read."""
    with closing(Wreck(path, patient=False)) as wreck:
        while (places := wreck.behind((-1, 0), 1_000_000)) is None:
            pass
        return [row for _, position in places if (row := wreck.row(position)) is not None]


@settings(max_examples=60)
@given(damage=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=64)), min_size=1))
def test_whatever_the_damage_only_true_records_come_out_and_nothing_is_raised(
    damage: list[tuple[float, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("salvage")
    records = some(60)
    added(directory, *records)
    file = directory / DATABASE_FILE
    octets = bytearray(file.read_bytes())
    for where, what in damage:
        place = int(where * len(octets))
        octets[place : place + len(what)] = what[: len(octets) - place]
    file.write_bytes(octets)
    true = {(one.data, one.digest) for one in records}
    assert {(row.values[4], row.values[5]) for row in undelivered(file)} <= true
    assert file.read_bytes() == octets


@pytest.mark.parametrize("octets", [b"", b"garbage", bytes(8192)])
def test_where_nothing_can_be_read_nothing_is_there_and_nothing_changes(octets: bytes, tmp_path: Path) -> None:
    file, log = tmp_path / ASIDE, tmp_path / f"{ASIDE}-wal"
    file.write_bytes(octets)
    log.write_bytes(b"frames")
    assert undelivered(file) == []
    assert (file.read_bytes(), log.read_bytes()) == (octets, b"frames")
    assert undelivered(tmp_path / "nowhere") == []


def test_a_file_of_the_first_version_is_read_too(tmp_path: Path) -> None:
    one = some(1)[0]
    connection = apsw.Connection(str(tmp_path / ASIDE))
    connection.execute(MIGRATIONS[0])
    connection.execute(
        "INSERT INTO record (session, stream, sequence, kind, data, digest) VALUES (?, 0, 1, 1, ?, ?)",
        (one.id.session.octets, one.data, one.digest),
    )
    connection.close()
    fresh, came_to = open_database(tmp_path)
    fresh.close()
    assert came_to is Opened.REPLACED
    [kept] = used(tmp_path, all_pending)
    assert (kept.record.data, kept.stored, kept.felt) == (one.data, START, Felt.STORED)


async def opened(directory: Path, expected: Opened) -> SqliteOutbox:
    outbox = SqliteOutbox(directory, DEVICE)
    assert await outbox.open() is expected
    return outbox


def damage(directory: Path) -> None:
    """Found in use, by whoever reads the file next."""

    async def main() -> None:
        outbox = SqliteOutbox(directory, DEVICE)
        await outbox.open()
        await found_damaged(outbox)
        await outbox.close()

    asyncio.run(main())


def test_ages_and_what_was_felt_and_the_device_s_own_age_are_saved_with_the_records(tmp_path: Path) -> None:
    alert, health = record(Kind.PANIC, 1), record(Kind.HEALTH, 1)

    async def first(outbox: SqliteOutbox) -> None:
        await outbox.add(alert, Moment(100.0, 7))
        await outbox.mark_felt(alert.digest, Felt.DELIVERED)
        await outbox.add(health, Moment(200.0, 8))

    used(tmp_path, first)
    damage(tmp_path)
    assert used(tmp_path, SqliteOutbox.clock) == Moment(200.0, 8)
    found = {kept.record: (kept.stored, kept.felt) for kept in used(tmp_path, all_pending)}
    assert found == {alert: (Moment(100.0, 7), Felt.DELIVERED), health: (Moment(200.0, 8), Felt.NOTHING)}


@pytest.mark.parametrize("lifetime", ["-1", "1e300", "9e999"])
def test_an_age_that_cannot_be_is_the_device_s(lifetime: str, tmp_path: Path) -> None:
    added(tmp_path, record(Kind.PANIC, 1))
    raw(tmp_path, f"UPDATE record SET stored_lifetime_s = {lifetime}; UPDATE clock SET lifetime_s = 50")
    damage(tmp_path)
    assert [kept.stored.lifetime_s for kept in used(tmp_path, all_pending)] == [50.0]


def test_what_is_saved_keeps_its_place_before_all_that_came_since(tmp_path: Path) -> None:
    """Else an alert from before would pass for the newest one, and its cancellation for that one's."""
    old, cancelled, new = record(Kind.PANIC, 1), record(Kind.CANCELLATION, 2), record(Kind.PANIC, 1, SECOND)
    added(tmp_path, old, cancelled)
    damage(tmp_path)

    async def main() -> None:
        outbox = await opened(tmp_path, Opened.REPLACED)
        await outbox.restore([new], History.lost(), START)
        assert await outbox.salvage() == 2
        assert [kept.record for kept in await all_pending(outbox)] == [old, cancelled, new]
        newest = await outbox.latest_alert()
        assert newest is not None
        assert (newest.alert.record, newest.cancelled) == (new, False)
        await outbox.close()

    asyncio.run(main())


def test_a_row_at_a_place_that_cannot_be_goes_behind_all(tmp_path: Path) -> None:
    """The last place there is would leave no other for any record."""
    added(tmp_path, record(Kind.PANIC, 1), record(Kind.PANIC, 2))
    raw(tmp_path, f"UPDATE record SET position = {2**63 - 1} WHERE sequence = 1")
    damage(tmp_path)
    added(tmp_path, record(Kind.PANIC, 3))
    assert left(tmp_path) == [record(Kind.PANIC, number) for number in (2, 1, 3)]


def test_it_is_still_to_be_done_after_a_restart_and_once_alone(tmp_path: Path) -> None:
    records = some(3 * PAGE)
    added(tmp_path, *records)
    damage(tmp_path)

    async def main() -> None:
        for expected in (Opened.REPLACED, Opened.AS_IT_WAS):
            await (await opened(tmp_path, expected)).close()
        outbox = await opened(tmp_path, Opened.AS_IT_WAS)
        assert await all_pending(outbox) == []
        while not await outbox._write(outbox._salvage.step):
            pass
        assert [kept.record for kept in await all_pending(outbox)] == records[:PAGE], "the first page"
        await outbox.close()
        raw(tmp_path, "DELETE FROM record WHERE sequence = 1")
        outbox = await opened(tmp_path, Opened.AS_IT_WAS)
        assert await outbox.salvage() == 2 * PAGE
        assert [kept.record for kept in await all_pending(outbox)] == records[1:], "what was let go of is gone"
        assert await outbox.salvage() == 0
        await outbox.close()

    asyncio.run(main())
    assert raw(tmp_path, "SELECT * FROM salvage") == []


def test_a_file_that_is_damaged_before_it_has_taken_up_all_hands_that_on(tmp_path: Path) -> None:
    first, second = some(2 * PAGE), [record(Kind.PANIC, number, SECOND) for number in (1, 2)]
    added(tmp_path, *first)
    damage(tmp_path)

    async def main() -> None:
        outbox = await opened(tmp_path, Opened.REPLACED)
        while not await outbox._write(outbox._salvage.step):
            pass
        for one in second:
            await outbox.add(one, START)
        await found_damaged(outbox)
        await outbox.close()

    asyncio.run(main())
    assert left(tmp_path) == [*first, *second]
    assert damaged_path(tmp_path, 2).exists()


def test_an_alert_goes_between_its_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for a few hundred records, not for all."""
    monkeypatch.setattr(wreck_module, "LOOKED_AT", PAGE)
    pages = 8
    added(tmp_path, *some(pages * PAGE))
    damage(tmp_path)

    async def main() -> None:
        outbox = await opened(tmp_path, Opened.REPLACED)
        salvage = asyncio.ensure_future(outbox.salvage())
        there: list[int] = []
        while not salvage.done():
            await outbox.add(record(Kind.PANIC, len(there), SECOND), START)
            there.append((await outbox.waiting())[Stream.ALERT] - len(there) - 1)
        assert await salvage == pages * PAGE
        assert len(there) > pages
        assert all(after - before <= 2 * PAGE for before, after in pairwise(there))
        await outbox.close()

    asyncio.run(main())


def test_without_room_for_all_the_fresh_file_is_there_and_the_reserve_stays_for_alerts(tmp_path: Path) -> None:
    alert = record(Kind.PANIC, 1)
    positions = [record(Kind.POSITION, number, data=random.Random(number).randbytes(200)) for number in range(9000)]

    async def first(outbox: SqliteOutbox) -> None:
        await outbox.upkeep(START, 1e12)
        await outbox.restore([*positions, alert], History({}), START)

    async def main() -> None:
        outbox = await opened(tmp_path, Opened.REPLACED)
        assert await outbox.salvage() > 1, "what was saved can be sent at once"
        for _ in range(2):
            with pytest.raises(StoreError) as caught:
                await outbox.salvage()
            assert caught.value.trouble is StoreTrouble.FULL
            assert (tmp_path / RESERVE_FILE).stat().st_size == RESERVE_OCTETS
        waiting = await outbox.waiting()
        assert waiting[Stream.ALERT] == 1, "alerts first"
        assert 0 < waiting[Stream.POSITION] < 9000
        for number in range(2, 92):
            await outbox.add(record(Kind.PANIC, number), START)
        spent = (tmp_path / RESERVE_FILE).stat().st_size
        assert spent < RESERVE_OCTETS
        quota.take_all_but(0)
        with pytest.raises(StoreError, match="kept free for alerts"):
            await outbox.salvage()
        assert (tmp_path / RESERVE_FILE).stat().st_size >= spent
        quota.octets = None
        assert await outbox.salvage() > 0
        waiting = await outbox.waiting()
        assert (waiting[Stream.ALERT], waiting[Stream.POSITION]) == (91, 9000)
        await outbox.close()

    with quota_on(tmp_path) as quota:
        used(tmp_path, first)
        damage(tmp_path)
        quota.take_all_but(1 << 20)
        asyncio.run(main())


def test_what_is_not_a_record_any_more_is_passed_over(tmp_path: Path) -> None:
    """Values that no row of ours may have, as one bit makes them."""
    records = some(5)
    added(tmp_path, *records)
    connection = apsw.Connection(str(tmp_path / DATABASE_FILE))
    connection.execute("PRAGMA ignore_check_constraints = 1; PRAGMA writable_schema = 1")
    connection.execute(
        "UPDATE sqlite_schema SET sql = replace(replace(sql, 'STRICT', ''), 'NOT NULL', '') WHERE type = 'table'"
    )
    connection.execute("PRAGMA writable_schema = RESET")
    connection.close()
    raw(
        tmp_path,
        "PRAGMA ignore_check_constraints = 1; UPDATE record SET session = CAST(session AS TEXT) WHERE sequence = 1;"
        " UPDATE record SET session = x'00' WHERE sequence = 2; UPDATE record SET kind = NULL WHERE sequence = 3;"
        " UPDATE record SET made_at_ms = CAST(x'ff' AS TEXT) WHERE sequence = 4",
    )
    damage(tmp_path)
    found = [kept.data for kept in left(tmp_path)]
    assert found == [records[0].data, records[3].data, records[4].data]


def test_a_power_cut_between_the_two_renames_hides_no_log(tmp_path: Path) -> None:
    records = some(5)

    async def main() -> None:
        outbox = await opened(tmp_path, Opened.AS_IT_WAS)
        for one in records:
            await outbox.add(one, START)
        await found_damaged(outbox)
        await outbox.close()

    asyncio.run(main())
    log = damaged_path(tmp_path, 1).with_name(f"{ASIDE}-wal")
    octets = log.read_bytes()
    log.rename(tmp_path / f"{DATABASE_FILE}-wal")
    assert left(tmp_path) == records
    assert log.read_bytes() == octets


def test_a_disk_that_fails_to_read_for_a_while_skips_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = some(5)
    added(tmp_path, *records)
    used(tmp_path, found_damaged)
    failures = [apsw.IOError("the card does not answer"), apsw.IOError("not yet")]
    row = Wreck._as_far_as_possible

    def failing(self: Wreck, sql: str) -> Iterator[tuple[Any, ...]]:
        if failures and "data" in sql:
            self._bear(failures.pop(), sql)
        yield from row(self, sql)

    async def main() -> list[SignedRecord]:
        outbox = SqliteOutbox(tmp_path, DEVICE)
        await outbox.open()
        monkeypatch.setattr(Wreck, "_as_far_as_possible", failing)
        for _ in range(2):
            with pytest.raises(StoreError) as caught:
                await outbox.salvage()
            assert caught.value.trouble is StoreTrouble.IO
        assert await outbox.salvage() == 5
        found = [kept.record for kept in await all_pending(outbox)]
        await outbox.close()
        return found

    assert asyncio.run(main()) == records


def test_a_disk_that_never_reads_a_damaged_file_does_not_keep_the_store_busy_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added(tmp_path, *some(5))
    used(tmp_path, found_damaged)

    def failing(self: Wreck, sql: str) -> Iterator[tuple[Any, ...]]:
        self._bear(apsw.IOError("the card does not answer"), sql)
        yield from ()

    async def main() -> int:
        outbox = SqliteOutbox(tmp_path, DEVICE)
        await outbox.open()
        monkeypatch.setattr(Wreck, "_as_far_as_possible", failing)
        tries = 0
        while True:
            try:
                assert await outbox.salvage() == 0
            except StoreError:
                tries += 1
            else:
                await outbox.close()
                return tries

    assert asyncio.run(main()) == PATIENCE


def test_what_closed_an_alert_is_taken_up_with_it(tmp_path: Path) -> None:
    """Though it was delivered: else an alert that was closed would be open again, and the officer be tracked."""
    alert, cancellation, other = record(Kind.PANIC, 1), record(Kind.CANCELLATION, 2), record(Kind.OPENING, 1)
    added(tmp_path, alert, cancellation, other)

    async def deliver(outbox: SqliteOutbox) -> None:
        for one in (cancellation, other):
            await outbox.mark_delivered(one.digest, b"receipt", START)
        await found_damaged(outbox)

    used(tmp_path, deliver)
    assert left(tmp_path) == [alert, cancellation]
    newest = used(tmp_path, SqliteOutbox.latest_alert)
    assert newest is not None
    assert newest.cancelled
