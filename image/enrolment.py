"""The enrolment file as the technician's tool sees it: whose it is, and since when. Pure.

It verifies no signature: the device does that, by the force's key in its image (docs/protocol.md, section 9).
"""

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Any

import cbor2

from bondmate_image.errors import ImageError

NAME = "bondmate-enrol.cose"
"""On the card's boot partition."""

MAX_OCTETS = 16 << 10

DEVICE = re.compile(r"BM-[0-9a-f]{8}")
"""A device's name."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """One device's file. It holds a secret that works once."""

    device: str
    issued_s: int
    """UTC, seconds since 1970."""

    file: bytes = field(repr=False)


def read(file: bytes) -> Enrolment | None:
    """Return what a file says of itself; None when it is no enrolment file."""
    if len(file) > MAX_OCTETS:
        return None
    match _decoded(file):
        case cbor2.CBORTag(tag=18, value=[bytes(), _, bytes() as payload, bytes()]):  # RFC 9052, section 2: COSE_Sign1
            pass
        case _:
            return None
    match _decoded(payload):
        case [1, bytes(device), bytes(), bytes(), _, int(issued_s), *_] if len(device) == 4 and 0 <= issued_s < 1 << 32:
            return Enrolment(f"BM-{device.hex()}", issued_s, file)
        case _:
            return None


def _decoded(octets: bytes) -> Any:
    """What CBOR says; None, which neither a file nor its payload is, for what is none."""
    try:
        return cbor2.loads(octets)
    except (cbor2.CBORError, ValueError, RecursionError, MemoryError):
        return None


def answered(answer: Any, count: int) -> list[Enrolment]:
    """Return the files that a gateway made. ImageError when it answered anything but `count` of them."""
    made = [_one(each) for each in answer] if isinstance(answer, list) else []
    if len({each.device for each in made}) != count or len(made) != count:
        raise ImageError(f"the gateway made {len(made)} enrolment files, and {count} were asked for")
    return made


def _one(answer: Any) -> Enrolment:
    match answer:
        case {"device": str(device), "file": str(text)} if DEVICE.fullmatch(device):
            try:
                found = read(base64.b64decode(text, validate=True))
            except binascii.Error:
                found = None
            if found is not None and found.device == device:
                return found
    raise ImageError("the gateway answered with something that is no enrolment file. Its version has to be this tool's")
