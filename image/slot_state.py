"""Which slot to boot, and how often each may still be tried: two copies in raw sectors of the card.

The form is the redundant environment of U-Boot's tools (libubootenv), so that `fw_setenv`, and with it RAUC, writes
what `recipe/boot/boot.cmd` reads: CRC-32 of the strings (little endian), a counter of 8 bits, then NAME=value strings,
each ended by a zero octet. The copy that is valid and newer counts; a write goes to the other one.
"""

import zlib
from collections.abc import Mapping, Sequence

OCTETS = 512
"""One sector, which a card writes whole or not at all. Where that does not hold, the CRC fails: the other counts."""

OFFSETS = (8 << 20, 16 << 20)
"""Where the copies are. Each has 8 MiB to itself, more than a card's erase block: no other write can hurt it."""

FRESH = {"BOOT_ORDER": "A B", "BOOT_A_LEFT": "3", "BOOT_B_LEFT": "3"}
"""The state of a card that was just flashed; the names are RAUC's."""

_HEADER = 5


def encode(values: Mapping[str, str], count: int) -> bytes:
    """Return one copy with the counter `count`, 0 to 255; ValueError if it is too long."""
    text = b"".join(f"{name}={value}\0".encode("ascii") for name, value in values.items()) + b"\0"
    if len(text) > OCTETS - _HEADER:
        raise ValueError(f"the slot state is {len(text)} octets long, and {OCTETS - _HEADER} is the most")
    data = text.ljust(OCTETS - _HEADER, b"\0")
    return zlib.crc32(data).to_bytes(4, "little") + bytes([count]) + data


def decode(copy: bytes) -> dict[str, str] | None:
    """Return what a copy says; None if it is not valid."""
    data = copy[_HEADER:OCTETS]
    if len(copy) < OCTETS or zlib.crc32(data) != int.from_bytes(copy[:4], "little"):
        return None
    strings = data.split(b"\0\0", 1)[0].split(b"\0")
    pairs = (string.decode("ascii", "replace").partition("=") for string in strings)
    return {name: value for name, equals, value in pairs if equals}


def newest(copies: Sequence[bytes]) -> dict[str, str] | None:
    """Return what the newer valid one of two copies says; None if neither is valid. After 255 comes 0."""
    first, second = (decode(copy) for copy in copies)
    if first is None or second is None:
        return second if first is None else first
    counts = copies[0][4], copies[1][4]
    if set(counts) == {0, 255}:
        return first if counts[0] == 0 else second
    return second if counts[1] > counts[0] else first
