"""A disk on which the power may go at any moment: what was asked of it, and what it may hold afterwards.

Pure. The pessimist's reading of POSIX: a write, a new length, a name is durable once its file or its directory was
synced, and until then the disk may have done it, or not, or later than what was asked after it. Two things it may not:
tear a sector of 512 octets, and do half of a rename.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

SECTOR = 512


@dataclass(frozen=True, slots=True)
class Create:
    """A new, empty file; `file` is its number, for ever."""

    name: str
    file: int


@dataclass(frozen=True, slots=True)
class Write:
    """Octets at an offset of a file."""

    file: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    """A file's length."""

    file: int
    length: int


@dataclass(frozen=True, slots=True)
class Sync:
    """All that was asked of a file is durable."""

    file: int


@dataclass(frozen=True, slots=True)
class Rename:
    """A file takes another name, from whatever had that."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Delete:
    """A name goes."""

    name: str


@dataclass(frozen=True, slots=True)
class SyncDirectory:
    """All that was asked of the names is durable."""


Change = Create | Rename | Delete
"""Of the names."""
Operation = Write | Truncate | Sync | Change | SyncDirectory


class Fate(Enum):
    """What becomes of that which is not durable."""

    LOST = "nothing of it is there"
    KEPT = "all of it is there"
    CUT = "it is there up to some moment"
    SOME = "some of it is there, in whatever order the disk chose"
    TORN = "as SOME, sector by sector; a length may be there without its octets"


@dataclass(slots=True)
class _File:
    durable: bytes = b""
    pending: list[Write | Truncate] = field(default_factory=list)


class Disk:
    """One directory. Take it through the operations in their order, and ask at any point what a power cut leaves."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        """`files` are there and durable; the number of each is its place in the sorted names."""
        self._files = {number: _File(files[name]) for number, name in enumerate(sorted(files))}
        self._durable: dict[str, int] = {name: number for number, name in enumerate(sorted(files))}
        """The numbers of the files that the names are sure to stand for."""
        self._changes: list[Change] = []
        """What became of the names since."""

    def do(self, operation: Operation) -> None:
        """Take up the next operation."""
        match operation:
            case Write(file, _, _) | Truncate(file, _):
                self._files[file].pending.append(operation)
            case Sync(file):
                self._files[file] = _File(_done(self._files[file].durable, self._files[file].pending))
            case Create(_, file):
                self._files[file] = _File()
                self._changes.append(operation)
            case Rename() | Delete():
                self._changes.append(operation)
            case SyncDirectory():
                self._durable = _renamed(self._durable, self._changes)
                self._changes.clear()

    def after_cut(self, names: Fate, contents: Fate, rng: random.Random) -> dict[str, bytes]:
        """The files that a power cut leaves now."""
        found = _renamed(self._durable, _left_of(self._changes, names, rng))
        return {name: _content(self._files[file], contents, rng) for name, file in sorted(found.items())}


def _left_of(changes: Sequence[Change], fate: Fate, rng: random.Random) -> Sequence[Change]:
    match fate:
        case Fate.LOST:
            return ()
        case Fate.KEPT:
            return changes
        case Fate.CUT:
            return changes[: rng.randint(0, len(changes))]
        case Fate.SOME | Fate.TORN:
            return list(_some(changes, rng))


def _some(changes: Sequence[Change], rng: random.Random) -> Iterator[Change]:
    lost: set[str] = set()
    for change in changes:
        touched = {change.old, change.new} if isinstance(change, Rename) else {change.name}
        # no file system does to a name what was asked later, and not what was asked of it before
        if touched & lost or rng.random() < 0.5:
            lost |= touched
        else:
            yield change


def _renamed(names: Mapping[str, int], changes: Sequence[Change]) -> dict[str, int]:
    after = dict(names)
    for change in changes:
        match change:
            case Create(name, file):
                after[name] = file
            case Rename(old, new):
                after[new] = after.pop(old)
            case Delete(name):
                del after[name]
    return after


def _content(file: _File, fate: Fate, rng: random.Random) -> bytes:
    match fate:
        case Fate.LOST:
            return file.durable
        case Fate.KEPT:
            return _done(file.durable, file.pending)
        case Fate.CUT:
            return _done(file.durable, file.pending[: rng.randint(0, len(file.pending))])
        case Fate.SOME:
            return _done(file.durable, [operation for operation in file.pending if rng.random() < 0.5])
        case Fate.TORN:
            return _done(file.durable, list(_torn(file.pending, rng)))


def _torn(pending: list[Write | Truncate], rng: random.Random) -> Iterator[Write | Truncate]:
    share = rng.choice((0.1, 0.5, 0.9))
    """How much of it is there: near both ends are the states that differ from a good one by little."""
    for operation in pending:
        if isinstance(operation, Truncate):
            if rng.random() < share:
                yield operation
            continue
        end = operation.offset + len(operation.data)
        if rng.random() < 0.1:
            yield Write(operation.file, end, b"")
        at = operation.offset
        while at < end:
            sector_end = min(end, (at // SECTOR + 1) * SECTOR)
            if rng.random() < share:
                yield Write(operation.file, at, operation.data[at - operation.offset : sector_end - operation.offset])
            at = sector_end


def _done(before: bytes, operations: Sequence[Write | Truncate]) -> bytes:
    if not operations:
        return before
    content = bytearray(before)
    for operation in operations:
        end = operation.length if isinstance(operation, Truncate) else operation.offset
        if len(content) < end:
            content.extend(bytes(end - len(content)))
        if isinstance(operation, Truncate):
            del content[end:]
        else:
            content[end : end + len(operation.data)] = operation.data
    return bytes(content)
