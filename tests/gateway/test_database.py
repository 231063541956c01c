import contextlib
import stat
import threading
from pathlib import Path

import apsw
import pytest

from bondmate_sim.gateway.database import SCHEMA_VERSION, Database, DatabaseError


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
