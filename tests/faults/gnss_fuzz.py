"""Octets as a receiver might send them when it, its line or a stranger is at fault; and what must hold of any octets.

What tests/faults/test_gnss_fuzz.py and the fuzzer that it starts have in common.
"""

import json
import math
import random
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import reduce
from itertools import pairwise
from operator import xor
from pathlib import Path
from typing import NamedTuple

from bondmate.core.navigation import Navigation
from bondmate.core.reception import MAX_KINDS, Reception
from bondmate.core.ubx import MAX_PAYLOAD, FrameSplitter
from bondmate.decode import fixes
from bondmate.records import Fix

LINES = 50
"""In one stream."""
BUILT_IN = tuple(
    b"$%s*%02X\r\n" % (body, reduce(xor, body, 0))
    for body in (
        b"GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,",
        b"GNGGA,235959.80,4332.69262,S,17235.48549,W,4,12,0.55,25.6,M,11.2,M,1.0,0001",
        b"GPGGA,,,,,,0,00,99.99,,,,,,",
        b"GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W",
        b"GNRMC,235960.00,A,4807.038,N,01131.000,E,0.02,,311216,,,D,V",
        b"GPRMC,,V,,,,,,,,,,N",
        b"GPGLL,4916.45,N,12311.12,W,225444,A,A",
        b"GNGNS,014035.00,4332.69262,S,17235.48549,E,RRN,13,0.9,25.63,11.24,,",
        b"GPGSA,A,3,04,05,,09,12,,,24,,,,,2.5,1.3,2.1",
        b"GNGSA,A,1,,,,,,,,,,,,,99.9,99.9,99.9,3",
        b"GPGSV,2,1,08,01,40,083,46,02,17,308,41,12,07,344,39,14,22,228,45",
        b"GPGSV,2,2,08,15,,,,16,10,020,,17,05,300,18,18,,,21",
        b"GAGSV,1,1,01,36,19,156,51,7",
        b"GPGST,024603.00,3.2,6.6,4.7,47.3,5.8,5.6,22.0",
        b"GPVTG,054.7,T,034.4,M,005.5,N,010.2,K,A",
        b"GPVTG,054.7,034.4,005.5,010.2",
        b"GPZDA,160012.71,11,03,2004,-1,00",
        b"GNTXT,01,01,01,ANTENNA OPEN",
        b"PQTMANTENNASTATUS,3,2,1,0",
        b"PMTK001,314,3",
        b"PUBX,00,123519.00,4807.038,N,01131.000,E,546.589,G3,2.1,2.0,0.007,77.52,0.007,,0.92,1.19,0.77,9,0,0",
    )
)
FOREIGN = (
    bytes.fromhex("b5 62 0a 04 00 00 0e 34"),
    bytes.fromhex("b5 62 05 01 02 00 06 01 0f 38"),
    b"!AIVDM,1,1,,A,15MgK45P3@G?fl0E`JbR0OwT0@MS,0*4E\r\n",
    b"\xd3\x00\x13\x3e\xd0\x00" + bytes(18),
    b"+CSQ: 20,99\r\n",
)
NASTY = (
    *b" -1 -0 0 00 +1 1e9 nan inf 0.0.0 . - 60 61 99 100 360 361 999 1000 9999 3.14159265358979323846 0x10 1_0".split(
        b" "
    ),
    *b"235960 235959.999 240000 290200 311299 010180 99999999999999999999 .9999999999 N S E W A V D R T M K".split(),
    *b"9000.0000 9000.0001 18000.0000 18000.0001 4860.0 * $ ,,,, \xff\xfe".split(),
)
"""What stands in no field, or at the edge of what may."""
_LINE = re.compile(rb"\$([^\r\n*$]*)(?:\*[0-9A-Fa-f]{0,2})?")


def seeds(corpus: Path | None, a_log: int = 40) -> list[bytes]:
    """Lines of all kinds, with their ends: from each log of the corpus some, and the built-in ones."""
    found = [*BUILT_IN, *FOREIGN]
    for log in sorted((corpus / "gnss").glob("*.log")) if corpus is not None else ():
        lines = [line for line in log.read_bytes().splitlines(keepends=True) if not line.startswith(b"#")]
        by_kind: dict[bytes, list[bytes]] = {}
        for line in lines:
            by_kind.setdefault(line[:6], []).append(line[:400])
        most = max(1, a_log // len(by_kind))
        found += [line for kind in by_kind.values() for line in kind[:: max(1, len(kind) // most)][:most]][: 2 * a_log]
    return found


def sealed(octets: bytes) -> bytes:
    """Every line with the checksum that it should have: else a fuzzer gets no further than that."""
    return _LINE.sub(lambda line: b"$%s*%02X" % (line[1], reduce(xor, line[1], 0)), octets)


class Mutator:
    """Spoils lines, by chance and yet always the same ones for one number."""

    def __init__(self, lines: Sequence[bytes], number: int) -> None:
        self._lines = lines
        self._chance = random.Random(number)

    def stream(self, lines: int = LINES) -> bytes:
        return b"".join(self._line() for _ in range(lines))

    def chunks(self, octets: bytes) -> list[bytes]:
        """The same octets in pieces."""
        count = self._chance.choice((1, 3, 20, 200))
        places = sorted(self._chance.randrange(len(octets) + 1) for _ in range(count))
        return [octets[begin:end] for begin, end in pairwise([0, *places, len(octets)])]

    def _line(self) -> bytes:
        line = self._chance.choice(self._lines)
        for _ in range(self._chance.randrange(4)):
            line = self._chance.choice((self._field, self._field, self._field, self._octet, self._cut, self._glue))(
                line
            )
        return sealed(line) if self._chance.random() < 0.7 else line

    def _field(self, line: bytes) -> bytes:
        """Another field in the place of one, or one more, or one fewer."""
        fields = line.split(b",")
        place = self._chance.randrange(len(fields))
        match self._chance.randrange(6):
            case 0:
                del fields[place]
            case 1:
                fields.insert(place, self._chance.choice(NASTY))
            case 2:
                fields[place] = self._chance.choice(self._chance.choice(self._lines).split(b","))
            case _:
                fields[place] = self._chance.choice(NASTY)
        return b",".join(fields)

    def _octet(self, line: bytes) -> bytes:
        place = self._chance.randrange(len(line) + 1)
        return line[:place] + self._chance.randbytes(self._chance.randrange(3)) + line[place + 1 :]

    def _cut(self, line: bytes) -> bytes:
        begin, end = sorted(self._chance.randrange(len(line) + 1) for _ in range(2))
        return line[:begin] + line[end:] if self._chance.random() < 0.5 else line[begin:end]

    def _glue(self, line: bytes) -> bytes:
        return line.rstrip(b"\r\n")[: self._chance.randrange(200)] + self._chance.choice(self._lines)


# --- what must hold --------------------------------------------------------------------------------------------------


class Outcome(NamedTuple):
    """What some octets came to."""

    fixes: list[Fix]
    counts: Counter[str]
    rejected: Counter[str]
    octets: int
    noise: int


def outcome(chunks: Iterable[bytes]) -> Outcome:
    """As decode has it."""
    reception = Reception(None)
    found = list(fixes(iter(chunks), reception))
    return Outcome(found, reception.counts, reception.rejected, reception.octets, reception.noise)


def octet_by_octet(octets: bytes) -> list[bytes]:
    return [octets[place : place + 1] for place in range(len(octets))]


def check(octets: bytes, *pieces: Iterable[bytes]) -> Outcome:
    """What they came to. For any octets: no error, nothing that cannot be, and the same in each of these pieces."""
    try:
        whole = outcome([octets])
        for each in pieces:
            assert outcome(each) == whole, "the pieces make a difference"
        _check_fixes(whole.fixes)
        _check_counts(octets, whole)
        _check_live(octets)
        FrameSplitter().feed(octets)
    except Exception as error:
        error.add_note(f"from {octets!r}")
        raise
    return whole


def _check_fixes(made: Iterable[Fix]) -> None:
    for fix in made:
        json.dumps(fix.to_json(fix.taken_s), allow_nan=False)
        assert -90 <= fix.lat <= 90
        assert -180 <= fix.lon <= 180
        assert fix.mode in (2, 3)
        assert fix.time is None or 1979 <= fix.time.year <= 2100, "as the receiver says, or a day further"
        assert fix.track_deg is None or 0 <= fix.track_deg <= 360
        assert fix.satellites is None or 0 <= fix.satellites <= 999
        for value in (fix.speed_mps, fix.hdop, fix.accuracy_m):
            assert value is None or 0 <= value < math.inf
        for value in (fix.alt_m, fix.geoid_m):
            assert value is None or math.isfinite(value)


def _check_counts(octets: bytes, whole: Outcome) -> None:
    assert whole.octets == len(octets)
    assert len(whole.counts) <= MAX_KINDS + 1
    assert set(whole.rejected) <= {"no checksum", "wrong checksum", "too short", "malformed", "out of range"}
    assert whole.noise <= len(octets)
    assert len(whole.fixes) <= whole.counts.total()


def _check_live(octets: bytes) -> None:
    """With a clock: each line a little later, and sometimes much; polled when it asks for it."""
    reception, navigation, frames, now = Reception(9600), Navigation(None), FrameSplitter(), 1000.0
    reception.opened(now)
    for number, line in enumerate(octets.splitlines(keepends=True)):
        now += (0.0, 0.02, 0.2, 1.0, 7.0)[number % 5]
        due = navigation.next_due()
        if due is not None and due <= now:
            epoch = navigation.poll(due)
            assert epoch is not None
            assert (epoch.fix is None) == bool(epoch.why_not)
        navigation.heard(now)
        for heard in reception.feed(line, now):
            navigation.feed(heard.sentence, now)
        for frame in frames.feed(line):
            assert len(frame) <= MAX_PAYLOAD + 8
        navigation.sky.satellites(now)
        reception.fault(now)
        reception.poll(now)
    navigation.finish(now)


def one_input(data: bytes) -> None:
    """For a fuzzer: as they are, and with the checksums that they should have."""
    for octets in (data, sealed(data)):
        check(octets, octet_by_octet(octets), [octets[:7], octets[7:]])
