"""NMEA 0183 as octets: how a sentence is framed, and how commands are found in what arrives. Pure.

What a sentence says is decided elsewhere.
"""

MAX_OCTETS = 255
"""A command is not longer (MediaTek: "the maximum length of each packet is restricted to 255 bytes"); NMEA 0183 allows
82, Quectel's own commands more."""


def frame(body: str) -> bytes:
    """`$body*hh` and CR LF; the checksum is the exclusive or of all octets of the body."""
    return f"${body}*{_checksum(body.encode('ascii')):02X}\r\n".encode("ascii")


class Commands:
    """Finds commands in a stream, octet by octet; holds at most `MAX_OCTETS`."""

    def __init__(self) -> None:
        self._held: bytearray | None = None
        """The sentence since its `$`; None between sentences."""

    def push(self, octet: int) -> str | None:
        """The body of the command that this octet ends; None while there is none, or when its checksum is wrong."""
        if octet == ord("$"):
            self._held = bytearray()
        elif self._held is not None:
            if octet == ord("\n"):  # not the CR before it: what comes after a command may wake whom it sent to sleep
                held, self._held = bytes(self._held), None
                return _body(held.removesuffix(b"\r"))
            self._held.append(octet)
            if len(self._held) > MAX_OCTETS:
                self._held = None
        return None


def _body(held: bytes) -> str | None:
    body, star, checksum = held.rpartition(b"*")
    if not star or not body.isascii() or checksum.upper() != b"%02X" % _checksum(body):
        return None
    return body.decode("ascii")


def _checksum(body: bytes) -> int:
    checksum = 0
    for octet in body:
        checksum ^= octet
    return checksum
