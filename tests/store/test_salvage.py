import random
import shutil
from pathlib import Path

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bondmate.records import History, Kind, Opened, SignedRecord
from bondmate.store.database import DATABASE_FILE, open_database
from bondmate.store.outbox import SqliteOutbox
from bondmate.store.salvage import undelivered
from bondmate.store.schema import MIGRATIONS
from tests.store.samples import START, added, left, record, used

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


def test_what_was_delivered_is_not_taken_up_again(tmp_path: Path) -> None:
    records = some(3)
    added(tmp_path, *records)

    async def deliver(outbox: SqliteOutbox) -> None:
        await outbox.mark_delivered(records[1].digest, b"receipt", START)
        await found_damaged(outbox)

    used(tmp_path, deliver)
    assert left(tmp_path) == [records[0], records[2]]


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
    assert {(row[4], row[5]) for row in undelivered(file)} <= true
    assert file.read_bytes() == octets


@pytest.mark.parametrize("octets", [b"", b"garbage", bytes(8192)])
def test_where_nothing_can_be_read_nothing_is_there_and_nothing_changes(octets: bytes, tmp_path: Path) -> None:
    file, log = tmp_path / ASIDE, tmp_path / f"{ASIDE}-wal"
    file.write_bytes(octets)
    log.write_bytes(b"frames")
    assert list(undelivered(file)) == []
    assert (file.read_bytes(), log.read_bytes()) == (octets, b"frames")
    assert list(undelivered(tmp_path / "nowhere")) == []


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
    assert [kept.data for kept in left(tmp_path)] == [one.data]
