"""The GSM 7 bit default alphabet, and septets packed into octets. Pure.

Source: 3GPP TS 23.038, clauses 6.1.2.1, 6.2.1 and 6.2.1.1.
"""

BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
ESCAPE = 0x1B
EXTENSION = {
    0x0A: "\f", 0x14: "^", 0x28: "{", 0x29: "}", 0x2F: "\\", 0x3C: "[", 0x3D: "~", 0x3E: "]", 0x40: "|", 0x65: "€",
}  # fmt: skip
UNKNOWN = BASIC.index("?")


def septets(text: str) -> list[int]:
    """The septets of a text; a question mark for a letter that the alphabet lacks."""
    extended = {letter: septet for septet, letter in EXTENSION.items()}
    found: list[int] = []
    for letter in text:
        if letter in extended:
            found += [ESCAPE, extended[letter]]
        else:
            found.append(BASIC.index(letter) if letter in BASIC and letter != "\x1b" else UNKNOWN)
    return found


def text(values: list[int]) -> str:
    """The text of septets; an escape that leads nowhere is a blank."""
    letters, escaped = "", False
    for value in values:
        if escaped:
            letters += EXTENSION.get(value, BASIC[value])
        elif value != ESCAPE:
            letters += BASIC[value]
        escaped = value == ESCAPE and not escaped
    return letters


def pack(values: list[int]) -> bytes:
    """Septets as octets, the first in the lowest bits."""
    number = sum(value << 7 * place for place, value in enumerate(values))
    return number.to_bytes((len(values) * 7 + 7) // 8, "little")


def unpack(octets: bytes, count: int) -> list[int]:
    """So many septets of the octets."""
    number = int.from_bytes(octets, "little")
    return [number >> 7 * place & 0x7F for place in range(count)]
