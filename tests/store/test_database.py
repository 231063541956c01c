import os
import signal
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from bondmate.errors import StoreError
from bondmate.records import Opened
from bondmate.store.database import APPLICATION_ID, DATABASE_FILE, SETTINGS, open_database
from bondmate.store.schema import MIGRATIONS
from tests.rights import as_nobody
from tests.store.disk import power_cut_disk


def opened(directory: Path) -> apsw.Connection:
    return open_database(directory)[0]


def pragma(connection: apsw.Connection, name: str) -> object:
    return connection.execute(f"PRAGMA {name}").get


def test_a_new_database_is_durable_ours_and_of_the_newest_schema(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as connection:
        assert pragma(connection, "journal_mode") == "wal"
        assert pragma(connection, "synchronous") == 2, "FULL (sqlite.org/pragma.html)"
        assert pragma(connection, "locking_mode") == "exclusive"
        assert pragma(connection, "secure_delete") == 1
        assert pragma(connection, "wal_autocheckpoint") == 256
        assert pragma(connection, "application_id") == APPLICATION_ID == int.from_bytes(b"BMOX")
        assert pragma(connection, "user_version") == len(MIGRATIONS)


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_nobody_else_can_read_it_whatever_the_umask(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        with closing(opened(tmp_path)) as connection:
            connection.execute("CREATE TABLE probe (x)")
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert modes == {DATABASE_FILE: 0o600, f"{DATABASE_FILE}-wal": 0o600}


def test_what_is_there_stays(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as connection:
        connection.execute("CREATE TABLE probe (x); INSERT INTO probe VALUES (7)")
    with closing(opened(tmp_path)) as connection:
        assert connection.execute("SELECT x FROM probe").get == 7


@pytest.mark.parametrize("there", [False, True])
def test_its_name_is_durable_before_it_is_used(there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of a file that is there: the start that made it may have been cut short before it synced the directory."""
    if there:
        (tmp_path / DATABASE_FILE).touch(0o600)
    synced: list[set[str]] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        fsync(descriptor)
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            synced.append({path.name for path in Path(f"/proc/self/fd/{descriptor}").iterdir()})

    monkeypatch.setattr(os, "fsync", watched)
    with closing(opened(tmp_path)):
        [names] = synced
        assert DATABASE_FILE in names


def test_what_was_committed_survives_a_power_cut(tmp_path: Path) -> None:
    live, synced = tmp_path / "live", tmp_path / "synced"
    live.mkdir()
    with power_cut_disk(synced), closing(opened(live)) as connection:
        for number in range(3):
            connection.execute("CREATE TABLE IF NOT EXISTS probe (x)")
            connection.execute("INSERT INTO probe VALUES (?)", (number,))
            assert rows_after_the_cut(synced, tmp_path / f"cut{number}") == number + 1


def test_the_power_cut_takes_what_is_not_synced(tmp_path: Path) -> None:
    """The control: with synchronous=NORMAL, SQLite's usual choice for WAL, a committed row is gone."""
    live, synced = tmp_path / "live", tmp_path / "synced"
    live.mkdir()
    with power_cut_disk(synced), closing(opened(live)) as connection:
        connection.execute("CREATE TABLE probe (x)")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("INSERT INTO probe VALUES (1)")
        assert connection.execute("SELECT count(*) FROM probe").get == 1
        assert rows_after_the_cut(synced, tmp_path / "cut") == 0


def rows_after_the_cut(synced: Path, place: Path) -> object:
    """Open a copy of what was synced, as the next start would."""
    place.mkdir()
    for path in synced.iterdir():
        (place / path.name).write_bytes(path.read_bytes())
    # by SQLite's own VFS: what this start syncs is no part of the test
    connection = apsw.Connection(str(place / DATABASE_FILE), vfs="unix")
    with closing(connection):
        return connection.execute("SELECT count(*) FROM probe").get


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    newer = len(MIGRATIONS) + 1
    with closing(apsw.Connection(str(tmp_path / DATABASE_FILE))) as connection:
        connection.execute(f"CREATE TABLE later (x); PRAGMA user_version = {newer}")
    with pytest.raises(StoreError, match=rf"has schema {newer}, this daemon knows {newer - 1}: start the newer daemon"):
        open_database(tmp_path)
    with closing(apsw.Connection(str(tmp_path / DATABASE_FILE))) as connection:
        assert connection.execute("SELECT group_concat(name) FROM sqlite_schema").get == "later"
        assert pragma(connection, "user_version") == newer


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_that_was_not_taken_is_noticed(name: str, tmp_path: Path) -> None:
    """SQLite, or the layer below it, may leave a setting as it is and say nothing."""

    class Stubborn(apsw.VFS):
        def __init__(self) -> None:
            super().__init__("stubborn", "unix", makedefault=True)

        def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's
            return StubbornFile("unix", name, flags)

    class StubbornFile(apsw.VFSFile):
        def xFileControl(self, op: int, ptr: int) -> bool:  # noqa: N802 - SQLite's
            if op == apsw.SQLITE_FCNTL_PRAGMA:
                pragma = apsw.VFSFcntlPragma(ptr)
                if pragma.name == name:
                    pragma.result = "as before"
                    return True
            return super().xFileControl(op, ptr)

    vfs = Stubborn()
    try:
        with pytest.raises(StoreError, match=f"runs with {name} as before: not as it was told"):
            open_database(tmp_path)
    finally:
        vfs.unregister()


KILLED = """
import os, signal, sys
from pathlib import Path
from bondmate.store.database import open_database

connection, _ = open_database(Path(sys.argv[1]))
connection.execute("INSERT INTO head VALUES (0, zeroblob(6), 1, x'4d41524b4d41524b')")
os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(directory: Path) -> None:
    """A daemon that had committed something, and whose log of it was never moved into the file."""
    opened(directory).close()
    ended = subprocess.run([sys.executable, "-c", KILLED, str(directory)], check=False, timeout=30)
    assert ended.returncode == -signal.SIGKILL
    assert b"MARKMARK" in (directory / f"{DATABASE_FILE}-wal").read_bytes()


@pytest.mark.parametrize("begin", [0, 20, 100], ids=["its magic", "its header", "its first page"])
def test_a_damaged_file_is_set_aside_with_its_companions_as_it_was_found_and_a_fresh_one_made(
    begin: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    killed(tmp_path)
    with (tmp_path / DATABASE_FILE).open("r+b") as file:
        file.seek(begin)
        file.write(b"garbage!" * 6)
    found = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(found) == {DATABASE_FILE, f"{DATABASE_FILE}-wal"}
    connection, came_to = open_database(tmp_path)
    with closing(connection):
        assert came_to is Opened.REPLACED
        assert pragma(connection, "user_version") == len(MIGRATIONS)
        assert connection.execute("SELECT * FROM head").fetchall() == [(0, None, None, None), (1, None, None, None)]
    aside = f"{DATABASE_FILE}.damaged-1"
    assert (tmp_path / aside).read_bytes() == found[DATABASE_FILE]
    assert (tmp_path / f"{aside}-wal").read_bytes() == found[f"{DATABASE_FILE}-wal"]
    entry, *_ = caplog.records
    assert entry.levelname == "CRITICAL"
    assert entry.getMessage().endswith(f"set aside as {tmp_path / aside}, going on with a fresh one")


def test_a_log_of_an_undamaged_file_is_taken_up(tmp_path: Path) -> None:
    """The control of the test above."""
    killed(tmp_path)
    connection, came_to = open_database(tmp_path)
    with closing(connection):
        assert came_to is Opened.AS_IT_WAS
        assert connection.execute("SELECT digest FROM head").get == b"MARKMARK"
    assert [path.name for path in tmp_path.iterdir()] == [DATABASE_FILE]


def test_the_second_damage_takes_the_next_free_name(tmp_path: Path) -> None:
    for garbage in (b"first" * 300, b"second" * 300):
        (tmp_path / DATABASE_FILE).write_bytes(garbage)
        opened(tmp_path).close()
    assert (tmp_path / f"{DATABASE_FILE}.damaged-1").read_bytes() == b"first" * 300
    assert (tmp_path / f"{DATABASE_FILE}.damaged-2").read_bytes() == b"second" * 300
    opened(tmp_path).close()
    assert len(list(tmp_path.iterdir())) == 3, "and what is whole stays"


def test_a_file_that_was_cut_to_nothing_is_simply_new(tmp_path: Path) -> None:
    opened(tmp_path).close()
    os.truncate(tmp_path / DATABASE_FILE, 0)
    with closing(opened(tmp_path)) as connection:
        assert pragma(connection, "user_version") == len(MIGRATIONS)
    assert [path.name for path in tmp_path.iterdir()] == [DATABASE_FILE]


def test_a_damaged_file_that_cannot_be_set_aside_is_an_error_and_stays(run: Path) -> None:
    garbage = b"a card that is dying" * 300
    (run / DATABASE_FILE).write_bytes(garbage)
    (run / DATABASE_FILE).chmod(0o666)
    run.chmod(0o555)
    with as_nobody(), pytest.raises(StoreError, match=r"outbox.db cannot be opened.*: .*(Permission denied|unable)"):
        open_database(run)
    assert (run / DATABASE_FILE).read_bytes() == garbage
    assert [path.name for path in run.iterdir()] == [DATABASE_FILE]


def test_a_directory_that_is_not_there_is_an_error_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"nowhere/outbox.db cannot be opened: .*No such file"):
        open_database(tmp_path / "nowhere")


def test_a_directory_that_cannot_be_written_is_an_error_with_its_name(run: Path) -> None:
    run.chmod(0o555)
    with as_nobody(), pytest.raises(StoreError, match=r"outbox.db cannot be opened: .*Permission denied"):
        open_database(run)
    assert not list(run.iterdir())


def test_two_daemons_do_not_share_it(tmp_path: Path) -> None:
    with closing(opened(tmp_path)), pytest.raises(StoreError, match=r"outbox.db cannot be opened: .*locked"):
        open_database(tmp_path)
    opened(tmp_path).close()
