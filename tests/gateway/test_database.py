import contextlib
import stat
import threading
from pathlib import Path

import apsw
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from bondmate_sim.gateway import database as schema
from bondmate_sim.gateway import enrolments, inventory, messages, records, sent, sessions, unfetched, view
from bondmate_sim.gateway.database import SCHEMA_VERSION, Database, DatabaseError
from bondmate_sim.gateway.desk import Desk
from tests.gateway.device import Device, fix_at


def test_a_new_database_is_private_durable_and_of_this_version(tmp_path: Path) -> None:
    with contextlib.closing(Database(tmp_path / "data", create=True)) as database:
        assert database.rows("PRAGMA journal_mode") == [("wal",)]
        assert database.rows("PRAGMA synchronous") == [(2,)]
        assert database.rows("PRAGMA user_version") == [(SCHEMA_VERSION,)]
        modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in (tmp_path / "data").iterdir()}
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    assert modes == {"gateway.db": 0o600, "gateway.db-wal": 0o600, "gateway.db-shm": 0o600}


def test_a_database_that_is_not_there_is_said_so_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="no gateway database"):
        Database(tmp_path, create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    Database(tmp_path, create=True).close()
    with contextlib.closing(apsw.Connection(str(tmp_path / "gateway.db"))) as other:
        other.pragma("user_version", SCHEMA_VERSION + 1)
    before = (tmp_path / "gateway.db").read_bytes()
    with pytest.raises(DatabaseError, match=f"schema version {SCHEMA_VERSION + 1}.*knows {SCHEMA_VERSION}"):
        Database(tmp_path, create=False)
    assert (tmp_path / "gateway.db").read_bytes() == before


def of_version(version: int, place: Path, held: Database) -> None:
    """Write what a gateway of an earlier version left: what is held elsewhere, in the tables that it had."""
    place.mkdir(mode=0o700)
    with contextlib.closing(apsw.Connection(str(place / "gateway.db"))) as old:
        for step in schema._STEPS[:version]:
            old.execute(step)
        old.pragma("user_version", version)
        for (table,) in list(old.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY rowid")):
            for row in held.rows(f"SELECT * FROM {table}"):
                old.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)


def test_a_database_of_version_1_is_brought_here_with_all_it_holds(tmp_path: Path) -> None:
    with contextlib.closing(Database(tmp_path / "held", create=True)) as held:
        device = Device(held)
        device.send(records.OPENING, 0, body=[])
        alert = device.send(records.PANIC, 1000)
        device.send(records.POSITION, 2000, fix=fix_at(10_000_000))
        device.send(records.PANIC, 3000, clock=b"short")
        shown = view.alerts(held)
        assert len(shown) == 2
        of_version(1, tmp_path / "old", held)
    for _ in range(2):
        with contextlib.closing(Database(tmp_path / "old", create=False)) as migrated:
            assert migrated.rows("PRAGMA user_version") == [(SCHEMA_VERSION,)]
            assert migrated.rows("PRAGMA foreign_key_check") == []
            assert view.alerts(migrated) == shown
            assert migrated.rows("SELECT tagged FROM record WHERE kind = 1") == [(alert,)]
            (listed,) = inventory.devices(migrated, 0)
            assert (listed["groups"], listed["mailbox"]) == ([], {"newest": 0, "fetched": 0})
    with contextlib.closing(Database(tmp_path / "old", create=False)) as migrated:
        device.database = migrated
        desk = Desk(migrated, ec.generate_private_key(ec.SECP256R1()), "Ann", device.now_ms)
        assert desk.handle(shown[0]["alert_id"], close=False)["number"] == 1
        assert view.alerts(migrated)[0]["state"] == "acknowledged"


def test_sessions_with_their_windows_come_through_a_migration(tmp_path: Path) -> None:
    with contextlib.closing(Database(tmp_path / "held", create=True)) as held:
        device = Device(held)
        for number in range(3):
            with held.transaction():
                session = bytes([0, number, 0, 0, 0, 1])
                sessions.save(held, device.made.kids["ip"], session, sessions.Window(number, 5), 32, now_ms=7)
        before = held.rows("SELECT * FROM session ORDER BY id")
        of_version(1, tmp_path / "old", held)
    with contextlib.closing(Database(tmp_path / "old", create=False)) as migrated:
        assert migrated.rows("SELECT * FROM session ORDER BY id") == before
        assert len(before) == 3


def test_a_database_of_version_3_is_brought_here_with_its_mailboxes_and_enrolments(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    with contextlib.closing(Database(tmp_path / "held", create=True)) as held:
        device = Device(held, "north")
        enrolments.offer(held, 2, 0, 1, ["south"])
        Desk(held, key, "Ann", device.now_ms).message(device.made.device, "come in", ["yes"], urgent=True)
        with held.transaction():
            messages.answer(held, device.made.device, 0, key)
        device.send(records.MESSAGE_STATE, 1000, body=[[1, 3, "yes"]])
        of_version(3, tmp_path / "old", held)
        before = sent.sent(held, None), inventory.devices(held, 0), held.rows("SELECT * FROM enrolment")
    with contextlib.closing(Database(tmp_path / "old", create=False)) as migrated:
        assert migrated.rows("PRAGMA foreign_key_check") == []
        assert (sent.sent(migrated, None), inventory.devices(migrated, 0)) == before[:2]
        assert migrated.rows("SELECT * FROM enrolment") == before[2]
        assert [each.newest for each in unfetched.waiting(migrated, device.now_ms)] == [1]
        Desk(migrated, key, "Ann", device.now_ms).wipe(device.made.device)
        assert [each.newest for each in unfetched.waiting(migrated, device.now_ms)] == [2]


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION))
def test_a_migrated_database_has_the_schema_of_a_new_one(tmp_path: Path, version: int) -> None:
    with contextlib.closing(Database(tmp_path / "new", create=True)) as new:
        of_version(version, tmp_path / "old", new)
        expected = new.rows("SELECT type, name, sql FROM sqlite_schema ORDER BY name")
    with contextlib.closing(Database(tmp_path / "old", create=False)) as migrated:
        assert migrated.rows("SELECT type, name, sql FROM sqlite_schema ORDER BY name") == expected


def test_a_migration_that_fails_leaves_the_old_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with contextlib.closing(Database(tmp_path / "new", create=True)) as new:
        of_version(1, tmp_path / "old", new)
    monkeypatch.setattr(schema, "_STEPS", (*schema._STEPS[:-1], schema._STEPS[-1] + "CREATE nonsense"))
    with pytest.raises(apsw.SQLError):
        Database(tmp_path / "old", create=False)
    with contextlib.closing(apsw.Connection(str(tmp_path / "old" / "gateway.db"))) as old:
        assert old.pragma("user_version") == 1
        assert list(old.execute("SELECT name FROM sqlite_schema WHERE name = 'message'")) == []


def test_what_is_written_anywhere_is_a_change_and_reading_is_none(tmp_path: Path) -> None:
    with (
        contextlib.closing(Database(tmp_path, create=True)) as one,
        contextlib.closing(Database(tmp_path, create=False)) as other,
    ):
        seen = [one.changes()]
        for writer in (one, other):
            with writer.transaction():
                writer.rows("INSERT INTO device VALUES (?, 'pem', ?, 0, NULL)", (bytes([len(seen)] * 4), bytes(32)))
            seen.append(one.changes())
            assert one.rows("SELECT count(*) FROM device") == other.rows("SELECT count(*) FROM device")
            assert one.changes() == seen[-1]
        assert len(set(seen)) == 3


def test_an_exception_undoes_the_whole_transaction(database: Database) -> None:
    def insert(times: int) -> None:
        with database.transaction():
            for _ in range(times):
                database.rows("INSERT INTO device VALUES (?, 'pem', ?, 0, NULL)", (bytes(4), bytes(32)))

    with pytest.raises(apsw.ConstraintError):
        insert(2)
    assert database.rows("SELECT * FROM device") == []
    insert(1)
    assert len(database.rows("SELECT * FROM device")) == 1


@pytest.mark.parametrize("attempt", range(10))
def test_commands_can_make_the_database_at_the_same_moment(tmp_path: Path, attempt: int) -> None:
    failed: list[BaseException] = []
    gate = threading.Barrier(4)

    def make() -> None:
        try:
            gate.wait()
            Database(tmp_path / "data", create=True).close()
        except (apsw.Error, DatabaseError, OSError) as error:
            failed.append(error)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
