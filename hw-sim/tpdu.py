"""Short messages as a modem and its host write them in PDU mode: SMS-SUBMIT comes in, SMS-DELIVER goes out. Pure.

Source: 3GPP TS 23.040, clauses 9.1.2.5 (addresses), 9.2.2.1, 9.2.2.2 and 9.2.3. The service centre's address before a
TPDU counts octets and not digits (3GPP TS 24.011, clause 8.2.5.1).
"""

import datetime
from dataclasses import dataclass

from bondmate_sim import gsm_alphabet
from bondmate_sim.short_message import Delivery, MessageError, UserData, octet_count

INTERNATIONAL, UNKNOWN_TYPE, ALPHANUMERIC = 0x91, 0x81, 0x50
MESSAGE_TYPE, SUBMIT, DELIVER = 0b11, 0b01, 0b00
NO_MORE_MESSAGES, USER_DATA_HEADER = 0x04, 0x40
VALIDITY_OCTETS = {0b00: 0, 0b10: 1, 0b01: 7, 0b11: 7}
"""By the validity period format: none, relative, enhanced, absolute (clause 9.2.3.3)."""
MAX_DIGITS = 20
DIGITS = "0123456789*#abc"


@dataclass(frozen=True, slots=True)
class Submission:
    """An SMS-SUBMIT: to whom, and what."""

    to: str
    data: UserData


class _Octets:
    """Octets that are taken from the front."""

    def __init__(self, octets: bytes) -> None:
        self._rest = octets

    def take(self, count: int) -> bytes:
        if count > len(self._rest):
            raise MessageError("the TPDU ends too early")
        taken, self._rest = self._rest[:count], self._rest[count:]
        return taken

    def octet(self) -> int:
        return self.take(1)[0]

    def rest(self) -> bytes:
        return self.take(len(self._rest))


def split_centre(octets: bytes) -> tuple[str, bytes]:
    """The service centre's number, empty for the default one, and the TPDU. Raises MessageError."""
    reader = _Octets(octets)
    length = reader.octet()
    if length == 0:
        return "", reader.rest()
    address = reader.take(length)
    return _number(address[0], address[1:], 2 * (length - 1)), reader.rest()


def submission(tpdu: bytes) -> Submission:
    """Read an SMS-SUBMIT. Raises MessageError."""
    reader = _Octets(tpdu)
    first = reader.octet()
    if first & MESSAGE_TYPE != SUBMIT:
        raise MessageError("the TPDU is no SMS-SUBMIT")
    reader.octet()  # the message reference: the modem makes its own
    digits = reader.octet()
    if digits > MAX_DIGITS:
        raise MessageError(f"a destination of {digits} digits")
    kind = reader.octet()
    to = _number(kind, reader.take((digits + 1) // 2), digits)
    reader.octet()  # the protocol identifier
    coding = reader.octet()
    reader.take(VALIDITY_OCTETS[first >> 3 & 0b11])
    length = reader.octet()
    octets = reader.rest()
    if len(octets) != octet_count(coding, length):
        raise MessageError(f"a user data length of {length} does not fit {len(octets)} octets")
    return Submission(to, UserData(coding, bool(first & USER_DATA_HEADER), length, octets))


def deliver(delivery: Delivery) -> bytes:
    """Write an SMS-DELIVER."""
    data = delivery.data
    first = DELIVER | NO_MORE_MESSAGES | (USER_DATA_HEADER if data.header else 0)
    digits = len(delivery.sender.removeprefix("+"))
    head = bytes([first, digits]) + _address(delivery.sender)
    return head + bytes([0, data.coding]) + _timestamp(delivery.time) + bytes([data.length]) + data.octets


def centre(number: str) -> bytes:
    """A service centre's number as it stands before a TPDU."""
    address = _address(number)
    return bytes([len(address)]) + address


def _address(number: str) -> bytes:
    digits = number.removeprefix("+")
    swapped = _swap(digits + "f" * (len(digits) % 2))
    return bytes([INTERNATIONAL if number.startswith("+") else UNKNOWN_TYPE]) + bytes.fromhex(swapped)


def _number(kind: int, octets: bytes, digits: int) -> str:
    if kind & 0x70 == ALPHANUMERIC:
        return gsm_alphabet.text(gsm_alphabet.unpack(octets, digits * 4 // 7))
    semi = _swap(octets.hex())[:digits].removesuffix("f")
    if not semi or not all(int(one, 16) < len(DIGITS) for one in semi):
        raise MessageError("an address has a digit that is none")
    return ("+" if kind & 0x70 == INTERNATIONAL & 0x70 else "") + "".join(DIGITS[int(one, 16)] for one in semi)


def _timestamp(time: datetime.datetime) -> bytes:
    # Clause 9.2.3.11: semi-octets, swapped; in the zone 0, which is UTC.
    return bytes.fromhex(_swap(time.astimezone(datetime.UTC).strftime("%y%m%d%H%M%S") + "00"))


def _swap(digits: str) -> str:
    return "".join(digits[at + 1] + digits[at] for at in range(0, len(digits), 2))
