"""What a board wrote to its card, write by write.

QEMU's blklogwrites keeps them in the form of the kernel's dm-log-writes (Documentation/admin-guide/device-mapper).
"""

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_SUPER = struct.Struct("<QQQI")
_ENTRY = struct.Struct("<QQQQ")
_MAGIC = 0x6A736677736872
_DISCARD = 4


@dataclass(frozen=True, slots=True)
class Write:
    """One write, in octets; of a flush without one, or what is discarded, none."""

    at: int
    octets: int


def read(log: Path) -> list[Write]:
    """Return them, in order, up to the last flush at least."""
    with log.open("rb") as file:
        magic, _, number, sector = _SUPER.unpack(file.read(_SUPER.size))
        assert magic == _MAGIC, f"{log} is no log of writes"
        place, found = sector, []
        for _ in range(number):
            file.seek(place)
            at, sectors, flags, _ = _ENTRY.unpack(file.read(_ENTRY.size))
            # what is discarded has no data here
            octets = 0 if flags & _DISCARD else sectors * sector
            found.append(Write(at * sector, octets))
            place += sector + octets
    return found


def elsewhere(writes: Sequence[Write], *places: tuple[int, int]) -> list[Write]:
    """Return the writes that are not within any of the places, each from its first octet to behind its last one."""
    return [
        each
        for each in writes
        if each.octets and not any(start <= each.at and each.at + each.octets <= end for start, end in places)
    ]


def copy(source: Path, target: Path) -> None:
    """Copy a file of which most is holes, and keep them. It is synced by nobody: it is for tests."""
    size = source.stat().st_size
    with source.open("rb") as given, target.open("wb") as taken:
        os.truncate(taken.fileno(), size)
        at = 0
        while at < size:
            try:
                at = os.lseek(given.fileno(), at, os.SEEK_DATA)
            except OSError:  # nothing but a hole is left
                break
            end = os.lseek(given.fileno(), at, os.SEEK_HOLE)
            while at < end:
                at += os.copy_file_range(given.fileno(), taken.fileno(), end - at, at, at)
