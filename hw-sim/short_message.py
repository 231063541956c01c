"""One short message as it crosses the air, and the lines in which a message centre and its clients speak of it. Pure.

What a message says is nobody's business here: its user data are octets, with their coding beside them.
"""

import datetime
import json
import re
from dataclasses import dataclass
from typing import Any

MAX_USER_DATA_OCTETS = 140
"""3GPP TS 23.040, clause 9.2.3.24."""
MAX_LINE_OCTETS = 4_096
"""Of one line of the protocol; the longest that is meant, a delivery, has about 600."""
NUMBER = re.compile(r"\+?[0-9]{1,20}")
"""A TP address has at most 20 digits (clause 9.1.2.5)."""
MAX_ID = 64


class MessageError(Exception):
    """What somebody sent is no message; the text says why."""


@dataclass(frozen=True, slots=True)
class UserData:
    """The end of a TPDU: data coding scheme (3GPP TS 23.038), header flag, length and octets of the user data.

    `length` counts septets in the GSM 7 bit default alphabet, and octets otherwise (3GPP TS 23.040, clause 9.2.3.16).
    """

    coding: int
    header: bool
    length: int
    octets: bytes

    def __post_init__(self) -> None:
        """Raise MessageError when the parts do not fit one another."""
        if not 0 <= self.coding <= 0xFF:
            raise MessageError(f"a data coding scheme is one octet, not {self.coding}")
        if len(self.octets) > MAX_USER_DATA_OCTETS:
            raise MessageError(f"user data has at most {MAX_USER_DATA_OCTETS} octets, not {len(self.octets)}")
        if len(self.octets) != octet_count(self.coding, self.length):
            raise MessageError(f"a user data length of {self.length} does not fit {len(self.octets)} octets")


def is_seven_bit(coding: int) -> bool:
    """Whether this data coding scheme means the GSM 7 bit default alphabet (3GPP TS 23.038, clause 4)."""
    group, alphabet = coding >> 4, coding >> 2 & 0b11
    if group < 0b1000:  # general data coding, or marked for deletion: a compressed one is octets
        return not coding & 0x20 and alphabet in (0b00, 0b11)
    if group == 0b1111:  # with a class: bit 2 says which alphabet
        return not coding & 0b100
    return group != 0b1110  # a message waiting, in UCS2; what is reserved counts as the default alphabet


def octet_count(coding: int, length: int) -> int:
    """How many octets a user data length means in this coding."""
    return (length * 7 + 7) // 8 if is_seven_bit(coding) else length


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message on its way to a number; `id` is the centre's name of this attempt."""

    id: str
    sender: str
    time: datetime.datetime
    data: UserData


def line(message: dict[str, Any]) -> bytes:
    """One message of the protocol as it is sent."""
    return json.dumps(message, ensure_ascii=False).encode() + b"\n"


def parse(octets: bytes) -> dict[str, Any]:
    """One line of the protocol as an object. Raises MessageError."""
    try:
        message = json.loads(octets)
    except (ValueError, RecursionError):
        raise MessageError("a line is one JSON object") from None
    if not isinstance(message, dict):
        raise MessageError("a line is one JSON object")
    return message


def described(data: UserData) -> dict[str, Any]:
    """Return the fields of the protocol that say what a message carries."""
    return {"dcs": data.coding, "udhi": data.header, "udl": data.length, "ud": data.octets.hex()}


def user_data(message: dict[str, Any]) -> UserData:
    """What a message of the protocol carries. Raises MessageError."""
    match message:
        case {"dcs": int(coding), "udhi": bool(header), "udl": int(length), "ud": str(octets)} if (
            re.fullmatch(r"(?:[0-9A-Fa-f]{2}){0,1024}", octets) and 0 <= length <= 0xFF
        ):
            return UserData(coding, header, length, bytes.fromhex(octets))
        case _:
            raise MessageError("dcs, udhi, udl and ud are a number, true or false, a number and hexadecimal octets")


def delivered(delivery: Delivery) -> dict[str, Any]:
    """Return a delivery as a message of the protocol."""
    time = delivery.time.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    head = {"type": "deliver", "id": delivery.id, "from": delivery.sender, "time": time}
    return head | described(delivery.data)


def delivery(message: dict[str, Any]) -> Delivery:
    """Return the delivery that a message of the protocol speaks of. Raises MessageError."""
    match message:
        case {"id": str(name), "from": str(sender), "time": str(text)} if 0 < len(name) <= MAX_ID and NUMBER.fullmatch(
            sender
        ):
            try:
                time = datetime.datetime.fromisoformat(text)
            except ValueError:
                raise MessageError("time is no RFC 3339 time") from None
            if time.tzinfo is None:
                raise MessageError("time has no zone")
            return Delivery(name, sender, time, user_data(message))
        case _:
            raise MessageError("a delivery has id, from and time")
