"""UBX frames: 0xB5 0x62, class, id, length, payload, checksum. Pure.

Source: u-blox M10 interface description UBX-21035062 R02, sections 3.2 (frame) and 3.4 (checksum).
"""

from dataclasses import dataclass

SYNC = b"\xb5\x62"
HEADER_OCTETS = 6
CHECKSUM_OCTETS = 2
MAX_PAYLOAD_OCTETS = 1_024
"""More than any message that these receivers obey: 64 key-value pairs are at most 4 + 64 * 12 octets."""


@dataclass(frozen=True, slots=True)
class Message:
    """One UBX message."""

    name: tuple[int, int]
    """Class and id."""
    payload: bytes


def frame(message: Message) -> bytes:
    """The message with header and checksum."""
    body = bytes(message.name) + len(message.payload).to_bytes(2, "little") + message.payload
    return SYNC + body + _checksum(body)


class Frames:
    """Finds messages in a stream, octet by octet; holds at most one frame of `MAX_PAYLOAD_OCTETS`."""

    def __init__(self) -> None:
        self._held = bytearray()

    def push(self, octet: int) -> Message | None:
        """The message that this octet ends; None while there is none, or when its checksum is wrong."""
        held = self._held
        held.append(octet)
        if len(held) <= len(SYNC):
            if not SYNC.startswith(held):
                self._held = held[-1:] if SYNC.startswith(held[-1:]) else bytearray()
            return None
        if len(held) < HEADER_OCTETS:
            return None
        payload_octets = int.from_bytes(held[4:6], "little")
        if payload_octets > MAX_PAYLOAD_OCTETS:
            self._held = bytearray()
            return None
        if len(held) < HEADER_OCTETS + payload_octets + CHECKSUM_OCTETS:
            return None
        whole, self._held = bytes(held), bytearray()
        if _checksum(whole[2:-2]) != whole[-2:]:
            return None
        return Message((whole[2], whole[3]), whole[HEADER_OCTETS:-2])


def _checksum(body: bytes) -> bytes:
    """Fletcher's, over class, id, length and payload."""
    a = b = 0
    for octet in body:
        a = (a + octet) & 0xFF
        b = (b + a) & 0xFF
    return bytes([a, b])
