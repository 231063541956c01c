"""A strict reader of deterministic CBOR (RFC 8949, section 4.2.1) for data from outside.

It cuts one data item into the octets of its elements and reads the few types that the wire uses. It builds no object
of a tag, follows no reference, and refuses what is not deterministic. It does not write CBOR.
"""

from dataclasses import dataclass

MAX_DEPTH = 8
"""Nesting of a record: array, body, opening entry; the rest is room for later versions."""

NULL = b"\xf6"
_FALSE, _TRUE = b"\xf4", b"\xf5"

_UINT, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_ARGUMENT_OCTETS = {24: 1, 25: 2, 26: 4, 27: 8}


class MalformedError(ValueError):
    """The octets are not deterministic CBOR, or not of the type that was asked for."""


@dataclass(frozen=True, slots=True)
class _Head:
    major: int
    short: int
    argument: int
    end: int


def items(data: bytes) -> list[bytes]:
    """Return the elements of an array, each as the octets of one data item.

    `data` must hold exactly one array. Raises MalformedError.
    """
    head = _head(data, 0)
    if head.major != _ARRAY:
        raise MalformedError("an array was expected")
    elements = []
    at = head.end
    for _ in range(head.argument):
        end = _skip(data, at, depth=1)
        elements.append(data[at:end])
        at = end
    if at != len(data):
        raise MalformedError(f"{len(data) - at} octets follow the array")
    return elements


def uint(item: bytes, low: int, high: int) -> int:
    """Read an unsigned integer between `low` and `high`, both included. Raises MalformedError."""
    head = _head(item, 0)
    if head.major != _UINT or head.end != len(item):
        raise MalformedError("an unsigned integer was expected")
    if not low <= head.argument <= high:
        raise MalformedError(f"{head.argument} is not between {low} and {high}")
    return head.argument


def octets(item: bytes) -> bytes:
    """Read a byte string. Raises MalformedError."""
    head = _head(item, 0)
    if head.major != _BYTES or head.end + head.argument != len(item):
        raise MalformedError("a byte string was expected")
    return item[head.end :]


def text(item: bytes) -> str:
    """Read a text string. Raises MalformedError."""
    head = _head(item, 0)
    if head.major != _TEXT or head.end + head.argument != len(item):
        raise MalformedError("a text string was expected")
    try:
        return item[head.end :].decode()
    except UnicodeDecodeError as error:
        raise MalformedError("a text string is not UTF-8") from error


def boolean(item: bytes) -> bool:
    """Read false or true. Raises MalformedError."""
    if item not in (_FALSE, _TRUE):
        raise MalformedError("false or true was expected")
    return item == _TRUE


def is_array(item: bytes) -> bool:
    """Say whether an item begins as an array."""
    return _head(item, 0).major == _ARRAY


def _head(data: bytes, at: int) -> _Head:
    if at >= len(data):
        raise MalformedError("the data ends in the middle of an item")
    major, short = data[at] >> 5, data[at] & 0x1F
    at += 1
    if short < 24:
        return _Head(major, short, short, at)
    length = _ARGUMENT_OCTETS.get(short)
    if length is None:
        raise MalformedError("an indefinite length or a reserved head is not deterministic CBOR")
    if at + length > len(data):
        raise MalformedError("the data ends in the middle of a head")
    argument = int.from_bytes(data[at : at + length], "big")
    if major == _SIMPLE:
        if short == 24 and argument < 32:
            raise MalformedError("a simple value below 32 in two octets")
    elif argument < (24 if length == 1 else 1 << 4 * length):
        raise MalformedError("a head is longer than its value needs")
    return _Head(major, short, argument, at + length)


def _skip(data: bytes, at: int, depth: int) -> int:
    if depth > MAX_DEPTH:
        raise MalformedError(f"items are nested more than {MAX_DEPTH} deep")
    head = _head(data, at)
    end = head.end
    match head.major:
        case 2 | 3:
            end += head.argument
            if end > len(data):
                raise MalformedError("the data ends in the middle of a string")
        case 4 | 5 | 6:
            # Each element takes an octet at least, so a huge count ends with the data and not with the memory.
            for _ in range({_ARRAY: head.argument, _MAP: 2 * head.argument, _TAG: 1}[head.major]):
                end = _skip(data, end, depth + 1)
        case _:
            pass
    return end
