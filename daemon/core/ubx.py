"""u-blox's binary frames: made, and found in a stream however it is chunked. Pure and bounded.

UBX: 0xB5 0x62, class, id, length (little-endian), payload, and two octets of checksum by Fletcher's algorithm over all
but the first two (u-blox M10 SPG 5.10 interface description, UBX frame structure). What frames say is receivers'
business.
"""

SYNC = b"\xb5\x62"
MAX_PAYLOAD = 512
"""More than any answer that is waited for: the longest is MON-VER, 40 octets and 30 for each extension."""
_AROUND = 8
"""Octets of a frame that are not its payload."""


def frame(kind: tuple[int, int], payload: bytes = b"") -> bytes:
    """One frame; `kind` is class and id."""
    body = bytes(kind) + len(payload).to_bytes(2, "little") + payload
    return SYNC + body + _checksum(body)


class FrameSplitter:
    """Feed octets, get whole frames with the right checksum; everything else is passed over."""

    def __init__(self) -> None:
        self._begun = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that `data` completes, in order."""
        data, frames, at = self._begun + data, [], 0
        while (at := data.find(SYNC, at)) >= 0:
            length = int.from_bytes(data[at + 4 : at + 6], "little")
            end = at + _AROUND + length
            if len(data) < at + 6 or (length <= MAX_PAYLOAD and len(data) < end):
                break
            if length <= MAX_PAYLOAD and data[end - 2 : end] == _checksum(data[at + 2 : end - 2]):
                frames.append(data[at:end])
                at = end
            else:
                at += 1
        # half a sync may be the last octet
        self._begun = data[at:] if at >= 0 else data[-1:] if data.endswith(SYNC[:1]) else b""
        return frames


def _checksum(body: bytes) -> bytes:
    first = second = 0
    for octet in body:
        first = (first + octet) & 0xFF
        second = (second + first) & 0xFF
    return bytes((first, second))
