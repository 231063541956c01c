"""A disk that is full or that fails: SQLite's own calls of the operating system, answered as the kernel would.

No VFS in Python can do that: what it raises comes out of the call although SQLite goes on, as it does when only the
log could not be moved.
"""

import ctypes
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest import mock

import apsw

_PWRITE = ctypes.CFUNCTYPE(
    ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64, use_errno=True
)


class _Unix(apsw.VFS):
    """To get at the calls of the VFS below it."""

    def __init__(self) -> None:
        super().__init__("syscalls", "unix", makedefault=False)


def _replace_writes(stack: ExitStack, function: Callable[[int, int, int, int], int]) -> None:
    unix = _Unix()
    stack.callback(unix.unregister)
    pointer = _PWRITE(function)
    stack.callback(lambda: pointer)  # it lives as long as SQLite may call it
    replaced = []
    for name in ("pwrite", "pwrite64"):
        before = unix.xGetSystemCall(name)
        if before and unix.xSetSystemCall(name, ctypes.cast(pointer, ctypes.c_void_p).value or 0):
            stack.callback(unix.xSetSystemCall, name, before)
            replaced.append(name)
    assert replaced, "SQLite writes by some other call"


@contextmanager
def failing(number: int) -> Iterator[None]:
    """In the block every write of SQLite fails with that errno."""

    def pwrite(_descriptor: int, _data: int, _count: int, _offset: int) -> int:
        ctypes.set_errno(number)
        return -1

    with ExitStack() as stack:
        _replace_writes(stack, pwrite)
        yield


class Quota:
    """A directory with so many octets, and not one more; `octets` may be changed at any time, None is no bound."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.octets: int | None = None

    @property
    def used(self) -> int:
        return sum(path.stat().st_size for path in self._directory.iterdir())

    def take_all_but(self, octets: int) -> None:
        """Somebody else fills the disk."""
        self.octets = self.used + octets

    def room(self, descriptor: int, offset: int) -> int:
        """How many octets may be written there."""
        if self.octets is None:
            return 1 << 62
        return max(0, os.fstat(descriptor).st_size + max(0, self.octets - self.used) - offset)

    def allocate(self, descriptor: int, offset: int, length: int) -> None:
        """In the place of os.posix_fallocate."""
        if self.room(descriptor, offset) < length:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.truncate(descriptor, offset + length)


@contextmanager
def quota_on(directory: Path) -> Iterator[Quota]:
    """SQLite and the reserve have no more than a quota, in the block; without a bound until one is set."""
    quota = Quota(directory)

    def pwrite(descriptor: int, data: int, count: int, offset: int) -> int:
        fits = min(count, quota.room(descriptor, offset))
        if not fits:
            ctypes.set_errno(errno.ENOSPC)
            return -1
        return os.pwrite(descriptor, ctypes.string_at(data, fits), offset)

    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(os, "posix_fallocate", quota.allocate))
        _replace_writes(stack, pwrite)
        yield quota
