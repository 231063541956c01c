"""What an update makes of the file of the version before."""

import asyncio
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from bondmate.errors import StoreError
from bondmate.records import Felt, Head, History, Kind, Moment, Opened, SessionId, SignedRecord, StoredRecord, Stream
from bondmate.store import database
from bondmate.store.database import APPLICATION_ID, DATABASE_FILE, open_database
from bondmate.store.outbox import SqliteOutbox
from bondmate.store.schema import MIGRATIONS
from tests.desk import EARLIER, left_in, receipt, recorder, running
from tests.store.disk import power_cut_disk
from tests.store.samples import DEVICE, NOON, SECOND, added, all_pending, raw, record, used
from tests.virtual import run

DELIVERED, WAITING = record(Kind.PANIC, 1), record(Kind.PANIC, 1, SECOND)
TRACK, UNKNOWN_TIME = record(Kind.POSITION, 1), record(Kind.POSITION, 2, made_at=None)


def first_version(directory: Path) -> None:
    """A file as version 1 made and filled it: an alert with its receipt, and one without."""
    directory.mkdir(exist_ok=True)
    with closing(apsw.Connection(str(directory / DATABASE_FILE))) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}; {MIGRATIONS[0]} PRAGMA user_version = 1")
        for one, stored_ms, delivered_ms, receipt in (
            (DELIVERED, 10, 20, b"receipt"),
            (TRACK, 11, None, b"another"),
            (WAITING, 12, None, None),
            (UNKNOWN_TIME, None, None, None),
        ):
            connection.execute(
                "INSERT INTO record (session, stream, sequence, kind, data, digest, made_at_ms, made_at_source,"
                " made_at_uncertainty_ms, stored_at_ms, delivered_at_ms, receipt) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
                (
                    one.id.session.octets,
                    int(one.id.stream),
                    one.id.sequence,
                    int(one.kind),
                    one.data,
                    one.digest,
                    one.made_at and NOON.unix_ms,
                    one.made_at and int(NOON.source),
                    one.made_at and NOON.uncertainty_ms,
                    stored_ms,
                    delivered_ms,
                    receipt,
                ),
            )
        connection.execute("INSERT INTO head VALUES (0, ?, 1, ?)", (SECOND.octets, WAITING.digest))


def kept(one: SignedRecord, place: int, utc_ms: int | None, felt: Felt) -> StoredRecord:
    return StoredRecord(one, place, Moment(0.0, utc_ms), None, felt)


def test_everything_is_kept_and_nobody_is_shaken_for_what_he_felt_already(tmp_path: Path) -> None:
    first_version(tmp_path)

    async def main() -> None:
        outbox = SqliteOutbox(tmp_path, DEVICE)
        assert await outbox.open() is Opened.AS_IT_WAS
        assert await outbox.history() == History({Stream.ALERT: Head(SECOND, 1, WAITING.digest)})
        assert await outbox.clock() is None
        assert await all_pending(outbox) == [
            kept(WAITING, 3, 12, Felt.STORED),
            kept(UNKNOWN_TIME, 4, None, Felt.NOTHING),
        ]
        newest = await outbox.latest_alert()
        assert newest is not None
        assert (newest.alert, newest.cancelled) == (kept(WAITING, 3, 12, Felt.STORED), False)
        assert newest.position == kept(UNKNOWN_TIME, 4, None, Felt.NOTHING)
        assert await outbox.duty() is None, "off duty"
        await outbox.close()

    asyncio.run(main())
    assert raw(
        tmp_path,
        "SELECT digest, felt, delivered_lifetime_s, delivered_at_ms, receipt FROM record WHERE receipt NOTNULL",
    ) == [(DELIVERED.digest, int(Felt.DELIVERED), 0.0, 20, b"receipt"), (TRACK.digest, 0, 0.0, None, b"another")]


def test_what_was_delivered_before_the_update_is_erased_in_its_time(tmp_path: Path) -> None:
    first_version(tmp_path)

    async def use(outbox: SqliteOutbox) -> None:
        await outbox.upkeep(Moment(99.0, None), 100.0)
        assert await outbox.clock() == Moment(99.0, None)

    used(tmp_path, use)
    assert raw(tmp_path, "SELECT position FROM record ORDER BY position") == [(1,), (3,), (4,)], "but for the position"

    async def later(outbox: SqliteOutbox) -> None:
        await outbox.upkeep(Moment(101.0, None), 100.0)

    used(tmp_path, later)
    assert raw(tmp_path, "SELECT position FROM record ORDER BY position") == [(3,), (4,)]


def test_the_outbox_of_an_updated_file_works_as_a_fresh_one_does(tmp_path: Path) -> None:
    first_version(tmp_path / "updated")
    (tmp_path / "fresh").mkdir()
    added(tmp_path / "fresh", record(Kind.PANIC, 1))

    def tables(name: str) -> list[tuple[object, ...]]:
        added(tmp_path / name, record(Kind.PANIC, 9))
        return raw(tmp_path / name, "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name")

    assert tables("updated") == tables("fresh")


def test_an_update_is_done_or_not_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first_version(tmp_path)
    broken = "CREATE TABLE half (x CONSTRAINT never CHECK (0)); INSERT INTO half VALUES (1);"
    monkeypatch.setattr(database, "MIGRATIONS", (*MIGRATIONS, broken))
    with pytest.raises(StoreError, match="never"):
        open_database(tmp_path)
    assert raw(tmp_path, "PRAGMA user_version") == [(1,)]
    names = [row[0] for row in raw(tmp_path, "SELECT name FROM sqlite_schema WHERE type = 'table'")]
    assert names == ["record", "sqlite_sequence", "head"], "nothing of the step before either"
    monkeypatch.setattr(database, "MIGRATIONS", (*MIGRATIONS, "CREATE TABLE third (x);"))
    open_database(tmp_path)[0].close()
    monkeypatch.setattr(database, "MIGRATIONS", (*MIGRATIONS, "never again", "CREATE TABLE fourth (x);"))
    open_database(tmp_path)[0].close()
    assert raw(tmp_path, "PRAGMA user_version") == [(len(MIGRATIONS) + 2,)], "only what was missing was applied"


def test_a_power_cut_at_any_sync_of_an_update_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    live, synced, states = tmp_path / "live", tmp_path / "synced", list[dict[str, bytes]]()
    first_version(live)

    def state() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in synced.iterdir()}

    with power_cut_disk(synced, watcher=lambda: states.append(state())):
        for path in live.iterdir():
            (synced / path.name).write_bytes(path.read_bytes())
        open_database(live)[0].close()
    versions = set()
    for number, files in enumerate(states):
        place = tmp_path / f"cut{number}"
        place.mkdir()
        for name, octets in files.items():
            (place / name).write_bytes(octets)
        versions |= set(raw(place, "PRAGMA user_version"))
        assert [stored.record for stored in used(place, all_pending)] == [WAITING, UNKNOWN_TIME]
    assert versions == {(1,), (len(MIGRATIONS),)}


# --- forwards and back by one version -------------------------------------------------------------------

FRESH_SESSION = SessionId(b"\0\x13next")


def tables_of(directory: Path) -> list[str]:
    found = raw(directory, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    return [str(name) for [name] in found]


def next_version(directory: Path) -> str:
    """A migration that adds all that one may add: to each table a column, and a table, an index and a view."""
    columns = "".join(
        f"ALTER TABLE {table} ADD COLUMN later INTEGER NOT NULL DEFAULT 7;" for table in tables_of(directory)
    )
    return (
        f"{columns} CREATE TABLE newer (id INTEGER PRIMARY KEY, note TEXT) STRICT;"
        " INSERT INTO newer VALUES (1, 'kept');"
        " CREATE INDEX record_later ON record (later); CREATE VIEW calls AS SELECT * FROM record WHERE stream = 0;"
    )


@pytest.fixture
def software(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes the daemon's store one of other migrations, and back."""

    def become(*migrations: str) -> None:
        monkeypatch.setattr(database, "MIGRATIONS", migrations)

    return become


def a_shift(directory: Path, *earlier: SignedRecord, press: bool, session: SessionId) -> list[SignedRecord]:
    """A whole device on that store, and a gateway; the calls that reached it, in their order, each attempt."""
    reached: list[SignedRecord] = []

    async def answer(call: SignedRecord) -> bytes:
        if call.id.stream is Stream.ALERT:
            reached.append(call)
        return receipt(call)

    async def story() -> None:
        async with running(directory, earlier=earlier, session=session, answer=answer) as desk:
            if press:
                await desk.press()
            await asyncio.sleep(120)
            assert desk.device.waiting()[Stream.ALERT] == 0
            assert "store" not in desk.faults.codes()

    run(story())
    return reached


def calls(count: int, session: SessionId) -> list[SignedRecord]:
    maker = recorder(session)
    return [maker.make(Kind.PANIC if not number else Kind.ESCALATION, 1.0, None) for number in range(count)]


def put(directory: Path, records: list[SignedRecord]) -> None:
    run(left_in(directory, *records))


def receipts_of(directory: Path) -> dict[object, bool]:
    return {
        digest: kept is not None
        for digest, kept in raw(directory, "SELECT digest, receipt FROM record WHERE stream = 0")
    }


def test_a_store_of_the_version_before_is_migrated_with_its_undelivered_alerts(
    tmp_path: Path, software: Callable[..., None]
) -> None:
    software(*MIGRATIONS[:-1])
    left = calls(3, EARLIER)
    put(tmp_path, left)
    assert raw(tmp_path, "PRAGMA user_version") == [(len(MIGRATIONS) - 1,)]
    software(*MIGRATIONS)
    reached = a_shift(tmp_path, *left, press=True, session=FRESH_SESSION)
    assert raw(tmp_path, "PRAGMA user_version") == [(len(MIGRATIONS),)]
    assert {call.digest for call in left} < {call.digest for call in reached}
    assert len(reached) == len({call.digest for call in reached}) == 4, "all of them, and none twice"
    assert set(receipts_of(tmp_path).values()) == {True}


def test_what_the_next_version_migrated_is_used_as_it_is_after_a_fall_back(
    tmp_path: Path, software: Callable[..., None]
) -> None:
    before, by_next, newer = calls(2, EARLIER), calls(2, SECOND), len(MIGRATIONS) + 1
    put(tmp_path, before)
    following = (*MIGRATIONS, next_version(tmp_path))
    software(*following)
    put(tmp_path, by_next)
    assert raw(tmp_path, "PRAGMA user_version") == [(newer,)]
    assert raw(tmp_path, "SELECT DISTINCT later FROM record") == [(7,)]

    software(*MIGRATIONS)  # fallen back
    reached = a_shift(tmp_path, *before, *by_next, press=True, session=FRESH_SESSION)
    assert {call.digest for call in (*before, *by_next)} < {call.digest for call in reached}
    assert len(reached) == len({call.digest for call in reached}) == 5, "all of them, and none twice"
    assert set(receipts_of(tmp_path).values()) == {True}
    assert raw(tmp_path, "PRAGMA user_version") == [(newer,)], "it is still the newer file"

    software(*following)  # updated once more
    left = [call for call in reached if call.id.session == FRESH_SESSION]
    assert a_shift(tmp_path, *left, press=False, session=SessionId(b"\0\x14last")) == [], "nothing is sent again"
    assert raw(tmp_path, "SELECT * FROM newer") == [
        (
            1,
            "kept",
        )
    ]
    assert len(receipts_of(tmp_path)) == 5


def test_a_newer_file_that_does_not_say_that_older_software_may_use_it_is_refused(
    tmp_path: Path, software: Callable[..., None]
) -> None:
    newer, left = len(MIGRATIONS) + 1, calls(1, EARLIER)
    put(tmp_path, left)
    software(*MIGRATIONS, f"DROP TABLE duty; CREATE TABLE duty (x); UPDATE format SET oldest_reader = {newer};")
    open_database(tmp_path)[0].close()
    software(*MIGRATIONS)
    with pytest.raises(StoreError, match=f"has schema {newer}, this daemon knows {newer - 1}: start the newer daemon"):
        open_database(tmp_path)
    with closing(apsw.Connection(str(tmp_path / DATABASE_FILE))) as connection:
        connection.execute("DROP TABLE format")
    with pytest.raises(StoreError, match="start the newer daemon"):
        open_database(tmp_path)
    assert receipts_of(tmp_path) == {left[0].digest: False}, "and left alone"


def shape(migrations: tuple[str, ...]) -> dict[tuple[str, str], tuple[object, ...]]:
    """Each column of each table: its type, whether it may be NULL, its default, and its place in the primary key."""
    with closing(apsw.Connection(":memory:")) as connection:
        for script in migrations:
            connection.execute(script)
        tables = [str(name) for [name] in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {
            (table, str(column[1])): tuple(column[2:])
            for table in tables
            for column in connection.execute(f"PRAGMA table_info({table})")
        }


def what_older_software_would_miss(migrations: tuple[str, ...], version: int) -> list[str]:
    """What of the tables of that version is not there any more, or is there and cannot be left out."""
    old, new = shape(migrations[:version]), shape(migrations)
    missed = [f"{'.'.join(column)} was {old[column]}" for column in old if new.get(column) != old[column]]
    old_tables = {table for table, _ in old}
    return missed + [
        f"{table}.{column} has no default"
        for (table, column), (_, not_null, default, _) in new.items()
        if table in old_tables and (table, column) not in old and not_null and default is None
    ]


def test_the_software_of_the_version_before_can_use_what_this_one_migrates() -> None:
    with closing(apsw.Connection(":memory:")) as connection:
        for script in MIGRATIONS:
            connection.execute(script)
        oldest = connection.execute("SELECT oldest_reader FROM format").get
    assert oldest <= max(len(MIGRATIONS) - 1, 5), "forwards and back by one version (store/schema)"
    assert what_older_software_would_miss(MIGRATIONS, oldest) == []


@pytest.mark.parametrize(
    "migration",
    [
        "ALTER TABLE record DROP COLUMN made_at_source;",
        "ALTER TABLE head RENAME COLUMN digest TO hash;",
        "DROP TABLE duty;",
        "CREATE TABLE d (id INTEGER PRIMARY KEY, x INTEGER NOT NULL); DROP TABLE duty; ALTER TABLE d RENAME TO duty;",
    ],
)
def test_a_migration_that_takes_something_away_is_found(migration: str) -> None:
    assert what_older_software_would_miss((*MIGRATIONS, migration), len(MIGRATIONS)) != []
