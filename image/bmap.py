"""The block map beside an image: which of its octets matter, and what they have to be. Pure.

Version 2.0 of the format, as bmaptool (Yocto) writes it, with SHA-256.
"""

import hashlib
import re
from dataclasses import dataclass
from xml.etree import ElementTree as ET

MAX_OCTETS = 16 << 20
"""At about 90 octets a range, an image in more than 180,000 scattered parts: such a map would save nothing."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_NUMBER = re.compile(r"[0-9]{1,18}")


class BmapError(Exception):
    """The map cannot be used with this image; the text says why."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Octets of an image that matter, from `offset` on; `sha256` as the map has it, or None where there is no map."""

    offset: int
    length: int
    sha256: bytes | None


def whole(image_size: int) -> tuple[Extent, ...]:
    """Return what is written of an image of so many octets that has no map: all."""
    return (Extent(0, image_size, None),)


def parse(data: bytes, image_size: int) -> tuple[Extent, ...]:
    """Return what a map names of an image of `image_size` octets, by offset. BmapError when it is not a map of it."""
    root = _root(data)
    version = root.get("version", "")
    if root.tag != "bmap" or version.partition(".")[0] != "2":
        raise BmapError(f"it is of version {version or 'unknown'}, and not 2.0")
    if _text(root, "ChecksumType") != "sha256":
        raise BmapError("its checksums are not SHA-256")
    _check_itself(data, _text(root, "BmapFileChecksum"))
    said_size, block_size = _number(root, "ImageSize"), _number(root, "BlockSize")
    if said_size != image_size:
        raise BmapError(f"it belongs to an image of {said_size} octets, and this one has {image_size}")
    if block_size == 0 or _number(root, "BlocksCount") != -(-image_size // block_size):
        raise BmapError("its numbers of blocks contradict one another")
    extents = _extents(root, block_size, image_size)
    if not extents or sum(-(-each.length // block_size) for each in extents) != _number(root, "MappedBlocksCount"):
        raise BmapError("its ranges contradict its number of blocks")
    return extents


def _root(data: bytes) -> ET.Element:
    if len(data) > MAX_OCTETS:
        raise BmapError(f"it has more than {MAX_OCTETS >> 20} MiB")
    # A map needs no document type, and entities are declared in one alone: without it, XML is harmless to read.
    if b"<!DOCTYPE" in data:
        raise BmapError("it has a document type, which a map has not")
    try:
        return ET.fromstring(data)  # noqa: S314 - see above
    except (ET.ParseError, ValueError, LookupError) as error:
        raise BmapError(f"it is not XML: {error}") from error


def _check_itself(data: bytes, digest: str) -> None:
    # The digest is over the file with zeros in the digest's own place.
    calculated = hashlib.sha256(data.replace(digest.encode(), b"0" * len(digest), 1)).hexdigest()
    if calculated != digest:
        raise BmapError("its own checksum does not fit: it was damaged, or changed by hand")


def _extents(root: ET.Element, block_size: int, image_size: int) -> tuple[Extent, ...]:
    extents = []
    end = 0
    for each in root.iterfind("BlockMap/Range"):
        words = (each.text or "").strip().split("-")
        digest = each.get("chksum", "")
        if not (len(words) in {1, 2} and all(map(_NUMBER.fullmatch, words)) and _DIGEST.fullmatch(digest)):
            raise BmapError(f"this is no range of blocks with a checksum: {ET.tostring(each, 'unicode').strip()[:120]}")
        offset, stop = int(words[0]) * block_size, min((int(words[-1]) + 1) * block_size, image_size)
        if not end <= offset < stop:
            raise BmapError(f"the range {'-'.join(words)} is out of order, or beyond the image")
        extents.append(Extent(offset, stop - offset, bytes.fromhex(digest)))
        end = stop
    return tuple(extents)


def _text(root: ET.Element, tag: str) -> str:
    return (root.findtext(tag) or "").strip()


def _number(root: ET.Element, tag: str) -> int:
    text = _text(root, tag)
    if not _NUMBER.fullmatch(text):
        raise BmapError(f"its {tag} is no number")
    return int(text)
