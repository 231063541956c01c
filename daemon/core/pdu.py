"""Short messages as a modem has them in PDU mode: SMS-SUBMIT of octets, and what came. Pure, bounded, strict.

3GPP TS 23.040, clause 9.2, and TS 27.005, clause 4.3; the alphabets are TS 23.038. One message alone: those that are
parts of a longer one are recognised, and never put together.
"""

import datetime as dt
import re
from dataclasses import dataclass, field
from enum import Enum

from bondmate.core.alphabet import text_of, unpack

MAX_OCTETS = 140
"""Of user data (9.2.3.16)."""
MAX_DIGITS = 20
"""Of an address (9.1.2.5)."""
_MAX_PDU = 256
"""Octets; a SIM keeps 175 of a message, and the longest that can come is 12 of an address and 164."""
_NUMBER = re.compile(r"\+?[0-9]{1,20}")
_DIGITS = "0123456789*#abc"
"""Semi-octets of an address (9.1.2.3); the last is a filler."""
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")
_SUBMIT, _DELIVER, _STATUS_REPORT = 1, 0, 2
_HAS_HEADER = 0x40
_EIGHT_BIT = 0x04
_INTERNATIONAL, _UNKNOWN = 0x91, 0x81
_ALPHANUMERIC = 5
_CONCATENATED = {0x00: 3, 0x08: 4}
"""Information elements of a part of a longer message, by their lengths (9.2.3.24.1, 9.2.3.24.8)."""
_CENTURY = 90
"""Years of two digits from here on are those of the century in which the first message was sent (1992)."""


class PduError(ValueError):
    """Octets that are no message, or what cannot be made one."""


class Alphabet(Enum):
    """What user data are made of (TS 23.038, clause 4)."""

    SEPTETS = "GSM 7-bit"
    OCTETS = "8-bit data"
    UCS2 = "UCS-2"
    COMPRESSED = "compressed"


@dataclass(frozen=True, slots=True)
class Sms:
    """A message that was delivered. Neither it nor its sender belongs in a log."""

    sender: str = field(repr=False)
    """A number, with its `+` when it is an international one, or a name."""
    sent_at: dt.datetime | None
    """By the service centre's clock; None where that says nothing."""
    alphabet: Alphabet
    header: tuple[tuple[int, bytes], ...]
    """Information elements of the user data header."""
    octets: bytes = field(repr=False)
    """User data behind the header, as they came: packed septets where the alphabet is that."""
    text: str | None = field(repr=False)
    """What they say; None where they are octets."""

    @property
    def is_8_bit(self) -> bool:
        """Whether it is octets for a program, and not words."""
        return self.alphabet is Alphabet.OCTETS

    @property
    def is_concatenated(self) -> bool:
        """Whether it is a part of a longer message."""
        return any(_CONCATENATED.get(name) == len(data) for name, data in self.header)


@dataclass(frozen=True, slots=True)
class Other:
    """Something else that a modem keeps among its messages."""

    kind: str


def encode_submit(number: str, octets: bytes) -> tuple[str, int]:
    """An SMS-SUBMIT as AT+CMGS wants it: hexadecimal text, and the TPDU's length in octets. Raises PduError.

    By the SIM's own service centre, reference 0, no validity period, no report, 8-bit data without a class or a header.
    """
    if _NUMBER.fullmatch(number) is None:
        raise PduError(f"a number has 1 to {MAX_DIGITS} digits, and a + before them where it is an international one")
    if len(octets) > MAX_OCTETS:
        raise PduError(f"one message takes {MAX_OCTETS} octets, not {len(octets)}")
    digits = number.removeprefix("+")
    semi_octets = digits + "f" * (len(digits) % 2)
    swapped = bytes.fromhex("".join(semi_octets[at + 1] + semi_octets[at] for at in range(0, len(semi_octets), 2)))
    kind = _INTERNATIONAL if number.startswith("+") else _UNKNOWN
    address = bytes((len(digits), kind)) + swapped
    tpdu = bytes((_SUBMIT, 0)) + address + bytes((0, _EIGHT_BIT, len(octets))) + octets
    return (b"\0" + tpdu).hex().upper(), len(tpdu)


def decode(text: str) -> Sms | Other:
    """What +CMGR, +CMGL or +CMT gave, its service centre's address before it. Raises PduError."""
    text = text.strip()
    if _HEX.fullmatch(text) is None or len(text) > 2 * _MAX_PDU:
        raise PduError("a message is an even number of hexadecimal digits, and not too many")
    reader = _Reader(bytes.fromhex(text))
    reader.take(reader.octet())
    first = reader.octet()
    match first & 3:
        case 0:
            return _deliver(reader, bool(first & _HAS_HEADER))
        case 1:
            return Other("a message that was to be sent")
        case 2:
            return Other("a status report")
        case _:
            raise PduError("a message of a kind that does not exist")


class _Reader:
    """Takes octets from the front."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._at = 0

    def octet(self) -> int:
        return self.take(1)[0]

    def take(self, count: int) -> bytes:
        taken = self._octets[self._at : self._at + count]
        if len(taken) < count:
            raise PduError("the message ends too early")
        self._at += count
        return taken


def _deliver(reader: _Reader, has_header: bool) -> Sms:
    sender = _address(reader)
    reader.octet()  # protocol identifier
    alphabet = _alphabet(reader.octet())
    sent_at = _time(reader.take(7))
    length = reader.octet()
    size = (7 * length + 7) // 8 if alphabet is Alphabet.SEPTETS else length
    if size > MAX_OCTETS:
        raise PduError(f"{size} octets of user data")
    data = reader.take(size)
    header, begin = _header(data) if has_header else ((), 0)
    return Sms(sender, sent_at, alphabet, header, data[begin:], _text(alphabet, data, begin, length))


def _address(reader: _Reader) -> str:
    """Clause 9.1.2.5: how many semi-octets, of which type, and they themselves."""
    length, kind = reader.octet(), reader.octet()
    if length > MAX_DIGITS:
        raise PduError(f"an address of {length} digits")
    octets = reader.take((length + 1) // 2)
    if kind >> 4 & 7 == _ALPHANUMERIC:
        return text_of(unpack(octets, 4 * length // 7))
    semi_octets = [half for octet in octets for half in (octet & 0x0F, octet >> 4)][:length]
    if any(one >= len(_DIGITS) for one in semi_octets):
        raise PduError("an address with a filler inside")
    return ("+" if kind >> 4 & 7 == 1 else "") + "".join(_DIGITS[one] for one in semi_octets)


def _alphabet(scheme: int) -> Alphabet:
    """Clause 4 of TS 23.038; reserved codings are read as the default alphabet, as it says."""
    group = scheme >> 4
    if group < 8:
        if group & 2:
            return Alphabet.COMPRESSED
        return (Alphabet.SEPTETS, Alphabet.OCTETS, Alphabet.UCS2, Alphabet.SEPTETS)[scheme >> 2 & 3]
    if group == 0xE:
        return Alphabet.UCS2
    return Alphabet.OCTETS if group == 0xF and scheme & 4 else Alphabet.SEPTETS


def _time(octets: bytes) -> dt.datetime | None:
    """Clause 9.2.3.11: year to second in swapped semi-octets, and quarters of an hour from UTC with a sign."""
    year, month, day, hour, minute, second = (10 * (octet & 0x0F) + (octet >> 4) for octet in octets[:6])
    quarters = 10 * (octets[6] & 0x07) + (octets[6] >> 4)
    zone = dt.timedelta(minutes=15 * (-quarters if octets[6] & 0x08 else quarters))
    try:
        said = dt.datetime(year + (1900 if year >= _CENTURY else 2000), month, day, hour, minute, second, tzinfo=dt.UTC)
        return said - zone
    except (ValueError, OverflowError):
        return None


def _header(data: bytes) -> tuple[tuple[tuple[int, bytes], ...], int]:
    """Clause 9.2.3.24: the information elements, and where the text begins."""
    reader = _Reader(data)
    inside = _Reader(reader.take(reader.octet()))
    elements, end = [], data[0]
    while end > 0:
        name, length = inside.octet(), inside.octet()
        elements.append((name, inside.take(length)))
        end -= 2 + length
    return tuple(elements), data[0] + 1


def _text(alphabet: Alphabet, data: bytes, begin: int, length: int) -> str | None:
    if alphabet is Alphabet.UCS2:
        return data[begin:].decode("utf-16-be", "replace")
    if alphabet is Alphabet.SEPTETS:
        # behind a header the septets begin at the next multiple of seven bits
        skipped = -(-8 * begin // 7)
        return text_of(unpack(data, length - skipped, 7 * skipped))
    return None
