"""A disk that can lose its power: SQLite's VFS, with a copy of what each file held when it was last synced.

A file that was deleted is gone only after its directory was synced, by SQLite or by us. That new names need the same is
not modelled: SQLite syncs them where no VFS sees it.
"""

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw


class _Disk(apsw.VFS):
    def __init__(self, synced: Path, watcher: Callable[[], None]) -> None:
        self._synced = synced
        self._watcher = watcher
        self._deleted: set[str] = set()
        super().__init__("power-cut", "unix", makedefault=True)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's
        return _File(name, flags, self._synced, self._watcher)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802 - SQLite's
        super().xDelete(filename, syncdir)
        self._deleted.add(Path(filename).name)
        if syncdir:
            self.sync_directory()

    def sync_directory(self) -> None:
        for name in self._deleted:
            (self._synced / name).unlink(missing_ok=True)
        self._deleted.clear()


class _File(apsw.VFSFile):
    def __init__(
        self, name: str | apsw.URIFilename | None, flags: list[int], synced: Path, watcher: Callable[[], None]
    ) -> None:
        assert name is not None, "a temporary file: nothing in it is meant to last"
        self._path = Path(name.filename() if isinstance(name, apsw.URIFilename) else name)
        self._synced = synced
        self._watcher = watcher
        super().__init__("unix", name, flags)

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's
        self._watcher()
        super().xSync(flags)
        shutil.copyfile(self._path, self._synced / self._path.name)
        self._watcher()


@contextmanager
def power_cut_disk(synced: Path, watcher: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Keep in the new directory `synced` what a power cut would leave of the databases opened in the block.

    `watcher` is called before and after each sync of a file.
    """
    synced.mkdir()
    disk, fsync = _Disk(synced, watcher), os.fsync

    def watched(fd: Any) -> None:
        fsync(fd)
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            disk.sync_directory()

    os.fsync = watched
    try:
        yield
    finally:
        os.fsync = fsync
        disk.unregister()
