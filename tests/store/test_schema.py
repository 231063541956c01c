"""What an update makes of the file of the version before."""

import asyncio
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from bondmate.errors import StoreError
from bondmate.records import Felt, Head, History, Kind, Moment, Opened, SignedRecord, StoredRecord, Stream
from bondmate.store import database
from bondmate.store.database import APPLICATION_ID, DATABASE_FILE, open_database
from bondmate.store.outbox import SqliteOutbox
from bondmate.store.schema import MIGRATIONS
from tests.store.disk import power_cut_disk
from tests.store.samples import DEVICE, NOON, SECOND, added, all_pending, raw, record, used

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
