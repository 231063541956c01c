"""What a board wrote to its card, write by write, and what the card holds if the power is cut behind any of them.

QEMU's blklogwrites keeps them in the form of the kernel's dm-log-writes (Documentation/admin-guide/device-mapper).
What a card promises is that everything before a flush which it answered stays, and a write with FUA. Of the others
anything may be there.
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

BLOCK = 4096
"""A block of the file system, and the least that flash is written in: it is there whole or not at all.

Of a slot state's sector that was torn all the same, test_slots.py tells.
"""


@dataclass(frozen=True, slots=True)
class Write:
    """One write: where it is on the card and in the log, in octets; of a flush alone, or what is discarded, none."""

    at: int
    octets: int
    kept_at: int
    flushes: bool
    """What was written before it stays."""
    is_sure: bool
    """It stays itself."""


def count(log: Path) -> int:
    """Return how many are kept by now: no fewer than up to the last flush that was answered."""
    with log.open("rb") as file:
        return _super(file.read(_SUPER.size))[0]


def read(log: Path) -> list[Write]:
    """Return them, in order, up to the last flush at least."""
    with log.open("rb") as file:
        number, sector = _super(file.read(_SUPER.size))
        place, found = sector, []
        for _ in range(number):
            file.seek(place)
            at, sectors, flags, _ = _ENTRY.unpack(file.read(_ENTRY.size))
            place += sector
            # what is discarded has no data here
            octets = 0 if flags & _DISCARD else sectors * sector
            found.append(Write(at * sector, octets, place, bool(flags & _FLUSH), bool(flags & _FUA)))
            place += octets
    return found


def replay(log: Path, number: int, card: Path) -> None:
    """Do the first so many of them again, on the card as it was before."""
    with log.open("rb") as file, card.open("r+b") as target:
        _, _, _, sector = _SUPER.unpack(file.read(_SUPER.size))
        place = sector
        for _ in range(number):
            file.seek(place)
            at, sectors, flags, _ = _ENTRY.unpack(file.read(_ENTRY.size))
            octets = 0 if flags & _DISCARD else sectors * sector
            file.seek(place + sector)
            target.seek(at * sector)
            target.write(file.read(octets))
            place += sector + octets


def elsewhere(writes: Sequence[Write], *places: tuple[int, int]) -> list[Write]:
    """Return the writes that are not within any of the places, each from its first octet to behind its last one."""
    return [
        each
        for each in writes
        if each.octets and not any(start <= each.at and each.at + each.octets <= end for start, end in places)
    ]


def forgetful(writes: Sequence[Write]) -> list[Write]:
    """Return them as a card has them that answers a flush and does nothing."""
    return [replace(each, flushes=False, is_sure=False) for each in writes]


def cut(log: Path, card: Path, writes: Sequence[Write], cuts: Sequence[int], seed: int) -> Iterator[int]:
    """Cut the power behind so many of the writes, once for each number in `cuts`, which ascend.

    `card` is the card before the first of them. With each number that comes it is what it may be after that cut; it is
    not to be changed then.
    """
    chosen = random.Random(seed)
    with log.open("rb") as kept, card.open("r+b", buffering=0) as file:

        def put(write: Write) -> None:
            os.pwrite(file.fileno(), os.pread(kept.fileno(), write.octets, write.kept_at), write.at)

        done, pending = 0, list[Write]()
        for number in cuts:
            for write in writes[done:number]:
                if write.flushes:
                    for earlier in pending:
                        put(earlier)
                    pending = []
                pending.append(write)
            done = number
            covered = []
            # in their order: of two at one place the later one counts
            for write in [each if each.is_sure else _part(each, chosen) for each in pending]:
                covered.append((write.at, os.pread(file.fileno(), write.octets, write.at)))
                put(write)
            yield number
            for at, octets in reversed(covered):
                os.pwrite(file.fileno(), octets, at)


def _part(write: Write, chosen: random.Random) -> Write:
    """What of a write is there that was not flushed: nothing, all, or some of its blocks behind one another."""
    blocks = -(-write.octets // BLOCK)
    some = sorted(chosen.choices(range(blocks + 1), k=2))
    first, last = chosen.choice([(0, 0), (0, blocks), (some[0], some[1])])
    skipped, end = first * BLOCK, min(last * BLOCK, write.octets)
    return replace(write, at=write.at + skipped, octets=max(end - skipped, 0), kept_at=write.kept_at + skipped)


def _super(octets: bytes) -> tuple[int, int]:
    """Return how many entries there are, and the size of a sector."""
    magic, _, number, sector = _SUPER.unpack(octets)
    assert magic == _MAGIC, "this is no log of writes"
    return number, sector


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
