"""Watches what the store and its companions ask of the disk: SQLite through its VFS, the rest through the os module.

What is recorded is what powercut_disk takes. Octets that Python writes into a file count as written when it is synced
or renamed, for until then they may be anywhere. One directory, without others below it.
"""

import ctypes
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import apsw

from tests.faults.powercut_disk import Create, Delete, Rename, Sync, SyncDirectory, Truncate, Write
from tests.faults.powercut_model import Event

_OPEN_DIRECTORY = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p, ctypes.POINTER(ctypes.c_int))
_VFS = "powercut"


class Recording:
    """The operations so far, with the marks that whoever records puts between them."""

    def __init__(self, directory: Path, *, without_directories: bool) -> None:
        self._directory = directory
        self._without_directories = without_directories
        self.events: list[Event] = []
        names = sorted(path.name for path in directory.iterdir())
        self._names = {name: number for number, name in enumerate(names)}
        self._next = len(names)
        self._plain: dict[int, bytes] = {}
        """What Python wrote into a file, as far as it was recorded."""
        self.directory_opened = False
        """SQLite opened the directory, which it does to sync it, as the last thing of a call."""

    def file(self, name: str) -> int:
        """The number of the file with that name; a name that nobody has seen is a new file's."""
        if name not in self._names:
            self._names[name] = self._next
            self.events.append(Create(name, self._next))
            self._next += 1
        return self._names[name]

    def delete(self, name: str) -> None:
        """A name went; one that nobody has seen was never asked for."""
        if self._names.pop(name, None) is not None:
            self.events.append(Delete(name))

    def end_of_call(self) -> None:
        """SQLite's call ends: with a sync of the directory, if it opened that."""
        if self.directory_opened:
            self.directory_opened = False
            self.events.append(SyncDirectory())

    def open_directory(self, original: Callable[[bytes, Any], int]) -> Callable[[bytes, Any], int]:
        """What takes the place of the function by which SQLite opens directories."""

        def watched(path: bytes, descriptor: Any) -> int:
            if Path(os.fsdecode(path)).parent != self._directory:
                return original(path, descriptor)
            if self._without_directories:
                return int(apsw.SQLITE_CANTOPEN)
            self.directory_opened = True
            return original(path, descriptor)

        return watched

    # --- what Python asks ----------------------------------------------------------------------------

    def fsync(self, original: Callable[[Any], None], descriptor: Any) -> None:
        """os.fsync of a file or of the directory."""
        number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
        path = Path(f"/proc/self/fd/{number}").readlink()
        if path == self._directory:
            if not self._without_directories:
                original(descriptor)
                self.events.append(SyncDirectory())
        elif path.parent == self._directory and stat.S_ISREG(os.fstat(number).st_mode):
            self._written(path)
            original(descriptor)
            self.events.append(Sync(self.file(path.name)))
        else:
            original(descriptor)

    def rename(self, original: Callable[[Any, Any], None], old: Any, new: Any) -> None:
        """os.rename and os.replace."""
        before, after = Path(os.fspath(old)), Path(os.fspath(new))
        if before.parent == self._directory and before.name not in self._names:
            self._written(before)
        original(old, new)
        if before.parent == self._directory:
            self._names[after.name] = self._names.pop(before.name)
            self.events.append(Rename(before.name, after.name))

    def unlink(self, original: Callable[[Any], None], path: Any) -> None:
        """os.unlink."""
        original(path)
        gone = Path(os.fspath(path))
        if gone.parent == self._directory:
            self.delete(gone.name)

    def _written(self, path: Path) -> None:
        file, content = self.file(path.name), path.read_bytes()
        if content != self._plain.get(file, b""):
            self._plain[file] = content
            self.events += Truncate(file, 0), Write(file, 0, content)


class _Vfs(apsw.VFS):
    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        super().__init__(_VFS, "unix", makedefault=True)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's
        assert name is not None, "a temporary file: nothing in it is meant to last"
        return _File(name, flags, self._recording)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802 - SQLite's
        super().xDelete(filename, syncdir)
        self._recording.delete(Path(filename).name)
        self._recording.end_of_call()


class _File(apsw.VFSFile):
    def __init__(self, name: str | apsw.URIFilename, flags: list[int], recording: Recording) -> None:
        path = Path(name.filename() if isinstance(name, apsw.URIFilename) else name)
        super().__init__("unix", name, flags)
        self._file = recording.file(path.name)
        self._recording = recording

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's
        super().xWrite(data, offset)
        self._recording.events.append(Write(self._file, offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - SQLite's
        super().xTruncate(newsize)
        self._recording.events.append(Truncate(self._file, newsize))

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's
        super().xSync(flags)
        self._recording.events.append(Sync(self._file))
        self._recording.end_of_call()


@contextmanager
def recording(directory: Path, *, without_directories: bool = False) -> Iterator[Recording]:
    """Record what is asked of the files in `directory`; `without_directories`: nobody syncs that, whoever tries."""
    watched = Recording(directory, without_directories=without_directories)
    vfs = _Vfs(watched)
    address = vfs.xGetSystemCall("openDirectory")
    assert address is not None
    original = _OPEN_DIRECTORY(address)
    replacement = _OPEN_DIRECTORY(watched.open_directory(original))
    vfs.xSetSystemCall("openDirectory", ctypes.cast(replacement, ctypes.c_void_p).value or 0)
    fsync, rename, replace, unlink = os.fsync, os.rename, os.replace, os.unlink
    try:
        with (
            mock.patch("os.fsync", lambda descriptor: watched.fsync(fsync, descriptor)),
            mock.patch("os.rename", lambda old, new: watched.rename(rename, old, new)),
            mock.patch("os.replace", lambda old, new: watched.rename(replace, old, new)),
            mock.patch("os.unlink", lambda path: watched.unlink(unlink, path)),
        ):
            yield watched
    finally:
        vfs.xSetSystemCall("openDirectory", 0)
        vfs.unregister()
