"""Bytes of a serial line to NMEA sentences, however the bytes are chunked. Pure and bounded.

NMEA 0183 glued behind binary frames or noise is found again at the last `$` of a line.
"""

MAX_SENTENCE_OCTETS = 120
"""NMEA 0183 allows 82; receivers go beyond it, but not this far."""


class SentenceSplitter:
    """Feed bytes, get complete sentences (text from `$` on, without the line's end).

    `dropped` counts lines that held no sentence or were longer than MAX_SENTENCE_OCTETS.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._noise = False
        """Whether the line under way already had bytes that are no part of a sentence."""
        self.dropped = 0

    def feed(self, data: bytes) -> list[str]:
        """The sentences that `data` completes, in order."""
        sentences: list[str] = []
        self._buffer += data
        *lines, rest = self._buffer.replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            self._take(line, sentences)
        # of an endless line only what may still become a sentence is kept
        start = rest.rfind(b"$")
        self._noise = self._noise or (bool(rest) and start < 0)
        self._buffer = rest[start:] if start >= 0 else bytearray()
        if len(self._buffer) > MAX_SENTENCE_OCTETS:
            self._buffer.clear()
            self._noise = True
        return sentences

    def _take(self, line: bytearray, sentences: list[str]) -> None:
        start = line.rfind(b"$")
        sentence = line[start:]
        if start >= 0 and len(sentence) <= MAX_SENTENCE_OCTETS and sentence.isascii():
            sentences.append(sentence.decode("ascii"))
        elif line or self._noise:
            self.dropped += 1
        self._noise = False
