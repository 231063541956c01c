"""What a board wrote to its card, write by write, and what the card holds if the power is cut at any of them.

QEMU's blklogwrites keeps them in the form of the kernel's dm-log-writes (Documentation/admin-guide/device-mapper).
What a card promises: everything before a flush that it answered is kept, and a write with FUA; of the others any.
"""

import os
import random
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

_SUPER = struct.Struct("<QQQI")
_ENTRY = struct.Struct("<QQQQ")
_MAGIC = 0x6A736677736872
_FLUSH, _FUA, _DISCARD = 1, 2, 4


@dataclass(frozen=True, slots=True)
class Write:
    """One write, or a flush without one. Places in octets: `at` on the card, `kept_at` in the log."""

    at: int
    octets: int
    kept_at: int
    flushes: bool
    is_sure: bool


def count(log: Path) -> int:
    """Return how many entries are kept: up to the last flush at least."""
    with log.open("rb") as file:
        magic, _, number, _ = _SUPER.unpack(file.read(_SUPER.size))
    assert magic == _MAGIC, f"{log} is no log of writes"
    return int(number)


def read(log: Path) -> list[Write]:
    """Return them, in order."""
    with log.open("rb") as file:
        _, _, number, sector = _SUPER.unpack(file.read(_SUPER.size))
        place, found = sector, []
        for _ in range(number):
            file.seek(place)
            at, sectors, flags, _ = _ENTRY.unpack(file.read(_ENTRY.size))
            place += sector
            # what is discarded is not counted on, and has no data here
            octets = 0 if flags & _DISCARD else sectors * sector
            found.append(Write(at * sector, octets, place, bool(flags & _FLUSH), bool(flags & _FUA)))
            place += octets
    return found


def moved(writes: Sequence[Write], since: int) -> list[Write]:
    """Return them as a file has them that begins at `since` on the card; one before that writes nothing there."""
    return [replace(each, at=each.at - since, octets=each.octets if each.at >= since else 0) for each in writes]


def elsewhere(writes: Sequence[Write], *places: tuple[int, int]) -> list[Write]:
    """Return the writes that are not within any of the places, each from its first octet to behind its last one."""
    return [
        each
        for each in writes
        if each.octets and not any(start <= each.at and each.at + each.octets <= end for start, end in places)
    ]


def cut(log: Path, before: Path, writes: Sequence[Write], cuts: Sequence[int], seed: int) -> Iterator[tuple[int, Path]]:
    """For each number of entries in `cuts` (ascending): that number, and the card when the power went after so many.

    `before` is the card before the first of them; it is changed. The path is of a file that goes when the next comes.
    """
    chosen = random.Random(seed)
    made = before.with_suffix(".cut")
    with log.open("rb") as kept, before.open("r+b") as card:
        unsure: list[Write] = []

        def put(write: Write, into: int) -> None:
            os.pwrite(into, os.pread(kept.fileno(), write.octets, write.kept_at), write.at)

        done = 0
        for number in cuts:
            for write in writes[done:number]:
                if write.flushes:
                    for earlier in unsure:
                        put(earlier, card.fileno())
                    unsure = []
                if write.octets and write.is_sure:
                    put(write, card.fileno())
                elif write.octets:
                    unsure.append(write)
            done = number
            copy(before, made)
            with made.open("r+b") as cut_card:
                for write in unsure:
                    if chosen.random() < 0.5:
                        put(write, cut_card.fileno())
            yield number, made
    made.unlink(missing_ok=True)


def copy(source: Path, target: Path, since: int = 0) -> None:
    """Copy a file of which most is holes, from an octet on, and keep them. It is synced by nobody: it is for tests."""
    size = source.stat().st_size
    with source.open("rb") as given, target.open("wb") as taken:
        os.truncate(taken.fileno(), size - since)
        at = since
        while at < size:
            try:
                at = os.lseek(given.fileno(), at, os.SEEK_DATA)
            except OSError:  # nothing but a hole is left
                break
            end = os.lseek(given.fileno(), at, os.SEEK_HOLE)
            while at < end:
                at += os.copy_file_range(given.fileno(), taken.fileno(), end - at, at, at - since)
