import asyncio
import errno
from pathlib import Path

import apsw
import pytest

from bondmate.errors import StoreError, StoreTrouble
from bondmate.records import Kind, Moment
from bondmate.store.database import DATABASE_FILE
from bondmate.store.outbox import SqliteOutbox
from bondmate.store.troubles import trouble_of
from tests.rights import as_nobody
from tests.store.samples import DEVICE, START, added, all_pending, left, record, used
from tests.store.syscalls import failing


@pytest.mark.parametrize(
    ("error", "system_errno", "trouble"),
    [
        (apsw.FullError(), 0, StoreTrouble.FULL),
        (apsw.IOError(), errno.ENOSPC, StoreTrouble.FULL),
        (apsw.IOError(), errno.EDQUOT, StoreTrouble.FULL),
        (OSError(errno.ENOSPC, ""), 0, StoreTrouble.FULL),
        (apsw.ReadOnlyError(), 0, StoreTrouble.READ_ONLY),
        (apsw.CantOpenError(), errno.EROFS, StoreTrouble.READ_ONLY),
        (apsw.CantOpenError(), errno.EACCES, StoreTrouble.READ_ONLY),
        (apsw.IOError(), errno.EROFS, StoreTrouble.READ_ONLY),
        (PermissionError(errno.EACCES, ""), 0, StoreTrouble.READ_ONLY),
        (apsw.IOError(), errno.EIO, StoreTrouble.IO),
        (apsw.IOError(), 0, StoreTrouble.IO),
        (OSError(errno.EIO, ""), 0, StoreTrouble.IO),
        (apsw.NotADBError(), 0, StoreTrouble.DAMAGED),
        (apsw.CorruptError(), errno.EIO, StoreTrouble.DAMAGED),
        (apsw.CantOpenError(), 0, StoreTrouble.OTHER),
        (apsw.BusyError(), errno.ENOSPC, StoreTrouble.OTHER),
        (apsw.SQLError(), 0, StoreTrouble.DAMAGED),
        (apsw.ConstraintError(), errno.EIO, StoreTrouble.OTHER),
        (FileNotFoundError(errno.ENOENT, ""), 0, StoreTrouble.OTHER),
    ],
)
def test_which_trouble_an_exception_tells_of(error: Exception, system_errno: int, trouble: StoreTrouble) -> None:
    assert trouble_of(error, system_errno) is trouble


@pytest.mark.parametrize(
    ("number", "trouble"),
    [
        (errno.EIO, StoreTrouble.IO),
        (errno.ENOSPC, StoreTrouble.FULL),
        (errno.EDQUOT, StoreTrouble.FULL),
        (errno.EROFS, StoreTrouble.READ_ONLY),
    ],
)
def test_writes_that_fail_are_told_apart_change_nothing_and_poison_nothing(
    number: int, trouble: StoreTrouble, tmp_path: Path
) -> None:
    before, during = record(Kind.PANIC, 1), record(Kind.PANIC, 2)

    async def use(outbox: SqliteOutbox) -> None:
        await outbox.add(before, START)
        with failing(number):
            for call in (
                outbox.add(during, Moment(9.0, 9)),
                outbox.mark_delivered(before.digest, b"receipt", Moment(9.0, 9)),
            ):
                with pytest.raises(StoreError, match=rf"{DATABASE_FILE} failed: ") as caught:
                    await call
                assert caught.value.trouble is trouble
            assert [stored.record for stored in await all_pending(outbox)] == [before], "what is there can be read"
            assert await outbox.clock() == START
        await outbox.add(during, START)

    used(tmp_path, use)
    assert left(tmp_path) == [before, during]


class _Unsynced(apsw.VFS):
    """A card that does not sync the log, while `fails`."""

    def __init__(self) -> None:
        self.fails = False
        super().__init__("unsynced", "unix", makedefault=True)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's
        return _UnsyncedFile(name, flags, self)


class _UnsyncedFile(apsw.VFSFile):
    def __init__(self, name: str | apsw.URIFilename | None, flags: list[int], card: _Unsynced) -> None:
        self._card = card
        self._is_log = isinstance(name, str) and name.endswith("-wal")
        super().__init__("unix", name, flags)

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's
        if self._card.fails and self._is_log:
            raise apsw.IOError("the card does not answer")
        super().xSync(flags)


def test_a_commit_that_was_not_synced_is_an_error_and_the_next_one_is_taken(tmp_path: Path) -> None:
    before, during = record(Kind.PANIC, 1), record(Kind.PANIC, 2)

    async def use(outbox: SqliteOutbox) -> None:
        await outbox.add(before, START)
        card.fails = True
        for _ in range(3):
            with pytest.raises(StoreError, match=r"outbox\.db failed: ") as caught:
                await outbox.add(during, START)
            assert caught.value.trouble is StoreTrouble.IO
            assert [stored.record for stored in await all_pending(outbox)] == [before]
        card.fails = False
        await outbox.add(during, START)

    card = _Unsynced()
    try:
        used(tmp_path, use)
    finally:
        card.unregister()
    assert left(tmp_path) == [before, during]


def test_an_error_of_the_card_while_opening_is_told_and_opening_again_goes_on(tmp_path: Path) -> None:
    async def main() -> None:
        outbox = SqliteOutbox(tmp_path, DEVICE)
        with failing(errno.EIO), pytest.raises(StoreError, match="cannot be opened") as caught:
            await outbox.open()
        assert caught.value.trouble is StoreTrouble.IO
        await outbox.open()
        await outbox.add(record(Kind.PANIC, 1), START)
        await outbox.close()

    asyncio.run(main())
    assert left(tmp_path) == [record(Kind.PANIC, 1)]


def test_a_directory_without_rights_is_read_only(run: Path) -> None:
    added(run, record(Kind.PANIC, 1))
    run.chmod(0o555)

    async def main() -> None:
        outbox = SqliteOutbox(run, DEVICE)
        with pytest.raises(StoreError, match="Permission denied") as caught:
            await outbox.open()
        assert caught.value.trouble is StoreTrouble.READ_ONLY

    with as_nobody():
        asyncio.run(main())
    run.chmod(0o700)
    assert left(run) == [record(Kind.PANIC, 1)]
