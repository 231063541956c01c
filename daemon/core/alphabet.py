"""The GSM 7-bit default alphabet of short messages, with its extension table (3GPP TS 23.038, clause 6.2.1). Pure."""

_DEFAULT = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_ESCAPE = 0x1B
_EXTENSION = {
    0x0A: "\f", 0x14: "^", 0x1B: " ", 0x28: "{", 0x29: "}", 0x2F: "\\",
    0x3C: "[", 0x3D: "~", 0x3E: "]", 0x40: "|", 0x65: "€",
}  # fmt: skip
"""Behind an escape; a second escape is a table that does not exist yet, and shown as a space."""


def unpack(octets: bytes, count: int, skip: int = 0) -> list[int]:
    """Septets of packed octets, `count` of them, from the `skip`th bit on; fewer where the octets end before."""
    bits = int.from_bytes(octets, "little") >> skip
    return [bits >> 7 * place & 0x7F for place in range(min(count, (8 * len(octets) - skip) // 7))]


def text_of(septets: list[int]) -> str:
    """What they say. An escape with nothing behind it that exists is left out, as the specification has it."""
    said, escaped = [], False
    for septet in septets:
        if escaped:
            said.append(_EXTENSION.get(septet, _DEFAULT[septet]))
            escaped = False
        elif septet == _ESCAPE:
            escaped = True
        else:
            said.append(_DEFAULT[septet])
    return "".join(said)
