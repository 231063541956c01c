"""What a UART reads from a line on which another speed is spoken. Pure.

The line is 8N1: a start bit of 0, eight bits, the lowest first, and a stop bit of 1; it rests at 1. A UART waits for
the line to fall, and then looks at the middle of each bit by its own clock. As a tty in raw mode does, it takes what it
sees, even if the stop bit is missing.
"""

BITS = 10
START, DATA, STOP = 0, range(1, 9), 9


def resample(data: bytes, sent_baud: int, read_baud: int) -> bytes:
    """The octets that one end reads when the other has sent `data` in one go; the same, if the speeds are equal."""
    if sent_baud == read_baud:
        return data
    line = [bit for octet in data for bit in _bits(octet)]
    read = bytearray()
    # Times are counted in bits of both clocks multiplied, so that no rounding adds up.
    sent_bit, read_bit = read_baud, sent_baud
    at = 0
    while at < len(line):
        if line[at] or (at and not line[at - 1]):
            at += 1
            continue
        fell = at * sent_bit
        looks = [(fell + read_bit * bit + read_bit // 2) // sent_bit for bit in range(BITS)]
        if _level(line, looks[START]):
            at = looks[START] + 1  # no start bit: too short
            continue
        read.append(sum(_level(line, looks[bit]) << place for place, bit in enumerate(DATA)))
        at = looks[STOP] + 1
    return bytes(read)


def _bits(octet: int) -> list[int]:
    return [0, *(octet >> place & 1 for place in range(8)), 1]


def _level(line: list[int], at: int) -> int:
    return line[at] if at < len(line) else 1
