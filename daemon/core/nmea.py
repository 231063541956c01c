"""One NMEA 0183 sentence: its octets to what it says. Pure, strict, and quick: a receiver sends hundreds a second.

Strict, for a checksum proves only that the octets are the receiver's: a coordinate without its hemisphere, sixty
minutes or a negative count of satellites are refused, and what is refused says why. Which sentences make a fix is
epoch's business.
"""

import datetime as dt
import math
import re
from collections.abc import Callable
from typing import NamedTuple

from bondmate.core import fields
from bondmate.core.fields import SentenceError
from bondmate.core.sky import Number, Satellite, View, number_of

KNOT_MPS = 1852 / 3600
KMH_MPS = 1 / 3.6
DAY_MS = 86_400_000
MAX_PARTS = 16
"""NMEA 0183 has groups of nine GSV at most, of four satellites each; with this, nobody fills the memory."""

_ANTENNA = re.compile(r"ANT(?:STATUS=|ENNA )(OK|OPEN|SHORT|INIT|DONTKNOW)")
"""u-blox (ANTSTATUS=OPEN; receiver description, TXT), and chips of AT6558's kind (ANTENNA OPEN; Quectel L76K)."""
_UNKNOWN = "unknown"
_MADE_UP_QUALITIES, _MADE_UP_MODES = frozenset("78"), frozenset("MS")
"""NMEA 0183: manual input, and simulator. What is estimated (6, E: dead reckoning) is a position like others."""
_QUECTEL_TALKER = frozenset({"PQGSV", "PQGSA"})
"""Quectel's modems say BeiDou and QZSS under PQ, though P begins what is proprietary."""
_QUECTEL_ANTENNA = {"0": _UNKNOWN, "1": "ok", "2": "open", "3": "short"}
"""PQTMANTENNASTATUS: the version of the message, then the status (Quectel LG290P protocol specification, 2.3)."""


class Sentence(NamedTuple):
    """What one sentence says; None where it says nothing.

    Times are in milliseconds of the UTC day, which has a second more when it ends with 23:59:60. A tuple, for it is
    made hundreds of times a second, and a frozen dataclass takes three times as long.
    """

    talker: str
    """GP, GL, GA, GB, GN, …; empty in a proprietary sentence."""
    type: str
    """GGA, RMC, …; of a proprietary one the whole first field, like PMTK001."""
    time_ms: int | None = None
    date: dt.date | None = None
    valid: bool | None = None
    """Whether it says that there is a fix; None where that is not its business."""
    lat: float | None = None
    lon: float | None = None
    alt_m: float | None = None
    geoid_m: float | None = None
    speed_mps: float | None = None
    track_deg: float | None = None
    mode: int | None = None
    hdop: float | None = None
    accuracy_m: float | None = None
    satellites: int | None = None
    used: tuple[Number, ...] = ()
    """The satellites of a GSA."""
    view: View | None = None
    """What a GSV says."""
    antenna: str | None = None
    """ok, open, short, or unknown where it says that it does not know."""
    made_up: bool = False
    """Whether it says that its position was entered by hand, or is simulated."""


def parse(line: bytes) -> Sentence:
    """What a line says, as SentenceSplitter gives it. Raises SentenceError.

    The checksum is the exclusive or of all octets between `$` and `*`.
    """
    if line[-3:-2] != b"*":
        raise SentenceError("no checksum")
    body = line[1:-3]
    if checksum(body) != int(line[-2:], 16):
        raise SentenceError("wrong checksum")
    said = body.decode("ascii").split(",")
    head = said[0]
    if head[:1] == "P" and head not in _QUECTEL_TALKER:
        return _proprietary(head, said)
    talker, kind = head[:2], head[2:]
    reader = _READERS.get(kind)
    return Sentence(talker, kind) if reader is None else reader(talker, said)


def checksum(body: bytes) -> int:
    """The exclusive or of all octets, of 128 at most. By halves of one long number: seven steps, not one an octet."""
    number = int.from_bytes(body)
    for bits in (512, 256, 128, 64, 32, 16, 8):
        number ^= number >> bits
    return number & 0xFF


def _gga(talker: str, said: list[str]) -> Sentence:
    """GGA: time, lat, N/S, lon, E/W, quality, satellites, HDOP, altitude, M, geoid, M, and more."""
    fields.least(said, 10)
    lat, lon = fields.coordinates(said, 2)
    if len(said[6]) > 1:
        raise SentenceError("malformed")
    return Sentence(
        talker,
        "GGA",
        time_ms=fields.time(said[1]),
        valid=(fields.count(said[6]) or 0) > 0,
        made_up=said[6] in _MADE_UP_QUALITIES,
        lat=lat,
        lon=lon,
        satellites=fields.count(said[7]),
        hdop=fields.dop(said[8]),
        alt_m=fields.number(said[9], fields.ALTITUDE_M),
        geoid_m=fields.number(said[11], fields.ALTITUDE_M) if len(said) > 11 else None,
    )


def _rmc(talker: str, said: list[str]) -> Sentence:
    """RMC: time, status, lat, N/S, lon, E/W, knots, track, date, variation, E/W, mode, navigation status."""
    fields.least(said, 10)
    lat, lon = fields.coordinates(said, 3)
    # the navigation status (NMEA 4.1) does not count: receivers that are not certified for safety say V, always
    valid = said[2] == "A" and said[12:13] != ["N"]
    return Sentence(
        talker,
        "RMC",
        time_ms=fields.time(said[1]),
        date=fields.date(said[9]),
        valid=valid,
        made_up=not _MADE_UP_MODES.isdisjoint(said[12:13]),
        lat=lat,
        lon=lon,
        speed_mps=fields.number(said[7], fields.SPEED_MPS, KNOT_MPS),
        track_deg=fields.track(said[8]),
    )


def _gll(talker: str, said: list[str]) -> Sentence:
    """GLL: lat, N/S, lon, E/W, time, status, mode."""
    fields.least(said, 7)
    lat, lon = fields.coordinates(said, 1)
    valid = said[6] == "A" and said[7:8] != ["N"]
    made_up = not _MADE_UP_MODES.isdisjoint(said[7:8])
    return Sentence(talker, "GLL", time_ms=fields.time(said[5]), valid=valid, lat=lat, lon=lon, made_up=made_up)


def _gns(talker: str, said: list[str]) -> Sentence:
    """GNS: time, lat, N/S, lon, E/W, a mode for each system, satellites, HDOP, altitude, geoid, and more."""
    fields.least(said, 11)
    lat, lon = fields.coordinates(said, 2)
    return Sentence(
        talker,
        "GNS",
        time_ms=fields.time(said[1]),
        valid=said[6].strip("N") != "",
        made_up=not _MADE_UP_MODES.isdisjoint(said[6]),
        lat=lat,
        lon=lon,
        satellites=fields.count(said[7]),
        hdop=fields.dop(said[8]),
        alt_m=fields.number(said[9], fields.ALTITUDE_M),
        geoid_m=fields.number(said[10], fields.ALTITUDE_M),
    )


def _gsa(talker: str, said: list[str]) -> Sentence:
    """GSA: M/A, mode, satellites (mostly 12), PDOP, HDOP, VDOP, and since NMEA 4.11 the system."""
    fields.least(said, 4)
    mode = fields.count(said[2])
    if mode not in (None, 1, 2, 3):
        raise SentenceError("out of range")
    # of 12 satellites or 24 (Navior CH-4701); the one further field is the system, or of SiRF a number with a point
    dops_end = len(said) - (len(said) in (19, 31))
    system = said[dops_end] if dops_end < len(said) else ""
    used = tuple(
        number_of(talker, number, system)
        for text in said[3 : dops_end - 3]
        if (number := fields.count(text)) is not None
    )
    hdop = fields.dop(said[dops_end - 2]) if dops_end >= 18 else None
    return Sentence(talker, "GSA", mode=mode, hdop=hdop, used=used)


def _gst(talker: str, said: list[str]) -> Sentence:
    """GST: time, RMS of the ranges, error ellipse (3), deviations of latitude, longitude and altitude in metres."""
    fields.least(said, 8)
    lat_m, lon_m = fields.number(said[6], fields.DEVIATION_M), fields.number(said[7], fields.DEVIATION_M)
    # nobody is that good: a receiver that sends zeros does not know
    accuracy_m = None if not lat_m or not lon_m else math.hypot(lat_m, lon_m)
    return Sentence(talker, "GST", time_ms=fields.time(said[1]), accuracy_m=accuracy_m)


def _vtg(talker: str, said: list[str]) -> Sentence:
    """VTG: track, T, magnetic track, M, knots, N, km/h, K, mode. Up to NMEA 2.0 without the letters."""
    fields.least(said, 5)
    lettered = said[2] in ("T", "")
    if len(said) > 9 and said[9] in ("N", "E"):
        return Sentence(talker, "VTG")
    knots = said[5] if lettered and len(said) > 5 else said[3]
    kmh = said[7] if lettered and len(said) > 7 else said[4]
    speed_mps = fields.number(knots, fields.SPEED_MPS, KNOT_MPS)
    if speed_mps is None:
        speed_mps = fields.number(kmh, fields.SPEED_MPS, KMH_MPS)
    return Sentence(talker, "VTG", speed_mps=speed_mps, track_deg=fields.track(said[1]))


def _zda(talker: str, said: list[str]) -> Sentence:
    """ZDA: time, day, month, year of four digits, local zone."""
    fields.least(said, 5)
    time_ms = fields.time(said[1])
    if "" in said[2:5]:
        return Sentence(talker, "ZDA", time_ms=time_ms)
    day, month, year = said[2:5]
    if not (day.isdigit() and month.isdigit() and year.isdigit() and len(day + month + year) <= 8):
        raise SentenceError("malformed")
    return Sentence(talker, "ZDA", time_ms=time_ms, date=fields.calendar(int(year), int(month), int(day)))


def _gsv(talker: str, said: list[str]) -> Sentence:
    """GSV: sentences, this one's number, satellites in view; for up to 4 number, elevation, azimuth, C/N0; signal."""
    fields.least(said, 4)
    parts, part = fields.count(said[1]), fields.count(said[2])
    if parts is None or part is None or not 1 <= part <= parts <= MAX_PARTS:
        raise SentenceError("out of range")
    signal = said[-1] if len(said) % 4 == 1 else ""
    found = []
    for index in range(4, len(said) - 3, 4):
        number = fields.count(said[index])
        if number is not None:
            elevation, azimuth, cn0 = said[index + 1 : index + 4]
            found.append(
                Satellite(
                    number_of(talker, number, ""),
                    signal,
                    fields.angle(elevation),
                    fields.angle(azimuth),
                    fields.count(cn0),
                )
            )
    return Sentence(talker, "GSV", view=View(part, parts, signal, tuple(found)))


def _txt(talker: str, said: list[str]) -> Sentence:
    """TXT: what the receiver says in words; only what it says of its antenna is looked at."""
    found = _ANTENNA.match(said[4]) if len(said) > 4 else None
    if found is None:
        return Sentence(talker, "TXT")
    word = found[1].lower()
    return Sentence(talker, "TXT", antenna=word if word in ("ok", "open", "short") else _UNKNOWN)


_READERS: dict[str, Callable[[str, list[str]], Sentence]] = {
    "GGA": _gga,
    "RMC": _rmc,
    "GLL": _gll,
    "GNS": _gns,
    "GSA": _gsa,
    "GST": _gst,
    "VTG": _vtg,
    "ZDA": _zda,
    "GSV": _gsv,
    "TXT": _txt,
}


def _proprietary(head: str, said: list[str]) -> Sentence:
    """What manufacturers add; only what it says of the antenna is looked at."""
    if head == "PQTMANTENNASTATUS" and len(said) > 2:
        return Sentence("", head, antenna=_QUECTEL_ANTENNA.get(said[2]))
    return Sentence("", head)
