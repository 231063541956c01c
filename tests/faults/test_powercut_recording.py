import asyncio
import random
from contextlib import closing
from pathlib import Path

from bondmate.store.database import DATABASE_FILE, open_database
from bondmate.store.outbox import SqliteOutbox
from tests.faults.powercut_device import Life
from tests.faults.powercut_disk import Create, Disk, Fate, Sync, SyncDirectory
from tests.faults.powercut_model import Add, Begun, Returned
from tests.faults.powercut_recording import Recording, recording


def lived(directory: Path) -> Recording:
    with recording(directory) as recorded:
        asyncio.run(Life(directory, random.Random(1), recorded.events, SqliteOutbox).run())
    return recorded


def test_a_recording_has_all_that_became_of_the_files(memory: Path) -> None:
    """What is not recorded would be taken for safe: done again, it makes the same files."""
    disk = Disk({})
    for event in lived(memory).events:
        if not isinstance(event, Begun | Returned):
            disk.do(event)
    assert disk.after_cut(Fate.KEPT, Fate.KEPT, random.Random(0)) == {
        path.name: path.read_bytes() for path in memory.iterdir()
    }


def test_the_directory_that_sqlite_syncs_by_itself_is_seen(memory: Path) -> None:
    with recording(memory) as recorded:
        connection, _ = open_database(memory)
        connection.close()
    [log] = [event.file for event in recorded.events if isinstance(event, Create) and event.name.endswith("-wal")]
    first = recorded.events.index(Sync(log))
    assert recorded.events[first + 1] == SyncDirectory()


def test_the_calls_are_marked_around_what_they_do(memory: Path) -> None:
    events = lived(memory).events
    adds = [event.call for event in events if isinstance(event, Begun) and isinstance(event.call, Add)]
    for add in adds:
        between = events[events.index(Begun(add)) : events.index(Returned(add))]
        assert any(isinstance(event, Sync) for event in between), "a commit"
    assert adds


def test_it_ends_with_the_block(memory: Path) -> None:
    with recording(memory) as recorded:
        pass
    connection, _ = open_database(memory)
    with closing(connection):
        assert (memory / DATABASE_FILE).exists()
    assert not recorded.events
