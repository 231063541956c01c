"""What is written of an image: read once, before any card is touched, and held against its block map."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bondmate_image.bmap import MAX_OCTETS, BmapError, Extent, parse, whole
from bondmate_image.errors import ImageError

PIECE = 4 << 20
"""Octets that are read, written and compared at once: large enough for a card's own erase blocks."""

SECTOR = 512

HEAD = 4096
"""Octets of the first piece: the partition table, and no more than a card writes at once."""


@dataclass(frozen=True, slots=True)
class Piece:
    """So many octets of the image from `offset` on, and what they were when they were read."""

    offset: int
    length: int
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Plan:
    """An open image, and its pieces by offset; the first is its head alone."""

    image: Path
    descriptor: int
    size: int
    """Octets of the image: what a card must have."""

    pieces: tuple[Piece, ...]
    bmap: Path | None

    @property
    def octets(self) -> int:
        """How many are written."""
        return sum(piece.length for piece in self.pieces)


def read(image: Path, descriptor: int) -> Plan:
    """Read the open `image` whole where it matters. ImageError when it, or the map beside it, is not sound; OSError."""
    size = os.fstat(descriptor).st_size
    if size == 0 or size % SECTOR:
        raise ImageError(f"{image} has {size} octets, and is no image of a card: it has no whole sectors of {SECTOR}")
    bmap = _bmap_beside(image)
    extents = whole(size)
    if bmap is not None:
        with bmap.open("rb") as file:
            data = file.read(MAX_OCTETS + 1)
        try:
            extents = parse(data, size)
        except BmapError as error:
            raise ImageError(f"{bmap} does not belong to {image}: {error}. Take both from one build") from error
    pieces = tuple(piece for extent in extents for piece in _read(image, descriptor, extent))
    return Plan(image, descriptor, size, pieces, bmap)


def _bmap_beside(image: Path) -> Path | None:
    for path in (image.with_name(image.name + ".bmap"), image.with_suffix(".bmap")):
        if path.exists():
            return path
    return None


def _read(image: Path, descriptor: int, extent: Extent) -> Iterator[Piece]:
    whole_of_it = hashlib.sha256()
    offset, end = extent.offset, extent.offset + extent.length
    while offset < end:
        # The others end where a card's own blocks do.
        length = min(PIECE - offset % PIECE if offset else HEAD, end - offset)
        data = os.pread(descriptor, length, offset)
        if len(data) != length:
            raise ImageError(f"{image} became shorter while it was read. Fetch or build it anew")
        whole_of_it.update(data)
        yield Piece(offset, length, hashlib.sha256(data).digest())
        offset += length
    if extent.sha256 is not None and extent.sha256 != whole_of_it.digest():
        last = extent.offset + extent.length - 1
        raise ImageError(
            f"{image} is damaged, or its map is another image's: octets {extent.offset} to {last} are not those that"
            " the map beside it names. No card was touched. Fetch or build both anew"
        )
