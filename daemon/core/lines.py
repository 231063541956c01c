"""Octets of a serial line to NMEA 0183 sentences, however they are chunked. Pure and bounded.

Finds sentences between binary frames and noise, and glued to one another. What they say is nmea's business.
"""

import re

MAX_OCTETS = 120
"""NMEA 0183 allows 82; receivers go beyond it, but not this far."""
SAMPLE_OCTETS = 512
"""So much of the newest noise is kept, to tell what else speaks on the line."""

_SAID = rb"[ -#%-)+-~]"
"""Printable ASCII, but for the two characters that begin a sentence and its checksum: so a sentence holds no other."""
_SENTENCE = re.compile(rb"\$" + _SAID + rb"{3,%d}(?:\*[0-9A-Fa-f]{2}|[\r\n])" % (MAX_OCTETS - 4))
_BEGUN = re.compile(rb"\$" + _SAID + rb"{0,%d}(?:\*[0-9A-Fa-f]?)?\Z" % (MAX_OCTETS - 4))
_LINE_ENDS = b"\r\n"


class SentenceSplitter:
    """Feed octets, get sentences: from `$` to the second digit of the checksum; without one, to the line's end."""

    def __init__(self) -> None:
        self._begun = b""
        """What may still become a sentence."""
        self.octets = 0
        """How many were fed."""
        self.noise = 0
        """How many of them were no part of a sentence, and no line's end."""
        self.sample = b""
        """The newest of those, SAMPLE_OCTETS at most."""

    def feed(self, data: bytes) -> list[bytes]:
        """The sentences that `data` completes, in order."""
        self.octets += len(data)
        data = self._begun + data
        sentences, end = [], 0
        for found in _SENTENCE.finditer(data):
            if found.start() > end:
                self._drop(data[end : found.start()])
            end = found.end()
            sentences.append(found[0].rstrip(_LINE_ENDS))
        begun = _BEGUN.match(data, max(end, data.rfind(b"$")))
        self._begun = b"" if begun is None else begun[0]
        self._drop(data[end : len(data) - len(self._begun)])
        return sentences

    def _drop(self, octets: bytes) -> None:
        noise = octets.translate(None, _LINE_ENDS)
        self.noise += len(noise)
        self.sample = (self.sample + noise[-SAMPLE_OCTETS:])[-SAMPLE_OCTETS:]
