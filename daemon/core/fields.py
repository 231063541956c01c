"""The fields of NMEA 0183 sentences: text to values, or an error. Pure and strict.

An empty field says nothing: None.
"""

import datetime as dt
import math
import re
from collections.abc import Sequence

_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")
_TIME = re.compile(r"([01][0-9]|2[0-3])([0-5][0-9])([0-5][0-9]|60)(?:\.([0-9]*))?")
_COORDINATE = re.compile(r"([0-9]{0,3})([0-5][0-9](?:\.[0-9]*)?)")
"""ddmm.mmmm and dddmm.mmmm; some receivers leave leading zeros out."""
_DATE = re.compile(r"([0-9]{2})([0-9]{2})([0-9]{2})")
# What lies outside is a fault of the receiver or of the line, whatever the checksum says. Wide: unusual is not wrong
ALTITUDE_M = (-100_000.0, 100_000.0)
SPEED_MPS = (0.0, 10_000.0)
DEVIATION_M = (0.0, 10_000_000.0)
_DOP = (0.01, 89.99)
"""What lies outside says "unknown": receivers send 0.00, 99.0 and 99.99 for that."""
FIRST_YEAR, END_YEAR = 1980, 2100
"""GPS began in 1980; years of two digits are those from 1980 to 2079."""


class SentenceError(ValueError):
    """Octets that are no sentence, or one that cannot be believed. `kind` is one of a handful of words, to count by."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


def least(said: Sequence[str], wanted: int) -> None:
    """A sentence has so many fields, the first of them its name, or is refused."""
    if len(said) < wanted:
        raise SentenceError("too short")


def number(text: str, bounds: tuple[float, float], factor: float = 1.0) -> float | None:
    """A decimal number times `factor`, within bounds."""
    if not text:
        return None
    if _NUMBER.fullmatch(text) is None:
        raise SentenceError("malformed")
    value = float(text) * factor
    if not bounds[0] <= value <= bounds[1]:
        raise SentenceError("out of range")
    return value


def dop(text: str) -> float | None:
    """A dilution of precision; one that receivers send for "unknown" is None."""
    value = number(text, (0.0, math.inf))
    return value if value is not None and _DOP[0] <= value <= _DOP[1] else None


def track(text: str) -> float | None:
    """A direction in degrees from true north."""
    return number(text, (0.0, 360.0))


def angle(text: str) -> int | None:
    """Whole degrees; some receivers send a sign, or a point."""
    if len(text) < 3 and text.isdigit():
        return int(text)
    value = number(text, (-90.0, 360.0))
    return None if value is None else round(value)


def count(text: str) -> int | None:
    """A whole number of at most three digits."""
    if not text:
        return None
    if len(text) > 3 or not text.isdigit():
        raise SentenceError("malformed")
    return int(text)


def time(text: str) -> int | None:
    """hhmmss.sss to milliseconds of the day; 23:59:60 is a leap second."""
    if not text:
        return None
    found = _TIME.fullmatch(text)
    if found is None:
        raise SentenceError("malformed")
    hours, minutes, seconds, fraction = found.groups()
    if seconds == "60" and (hours, minutes) != ("23", "59"):
        raise SentenceError("out of range")
    return ((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) * 1000 + int((fraction or "")[:3].ljust(3, "0"))


def date(text: str) -> dt.date | None:
    """ddmmyy."""
    if not text:
        return None
    found = _DATE.fullmatch(text)
    if found is None:
        raise SentenceError("malformed")
    year = int(found[3])
    return calendar(year + (1900 if year >= FIRST_YEAR % 100 else 2000), int(found[2]), int(found[1]))


def calendar(year: int, month: int, day: int) -> dt.date:
    """A date that there was, or will be."""
    if not FIRST_YEAR <= year < END_YEAR:
        raise SentenceError("out of range")
    try:
        return dt.date(year, month, day)
    except ValueError:
        raise SentenceError("out of range") from None


def coordinates(said: list[str], first: int) -> tuple[float | None, float | None]:
    """Latitude and longitude in signed degrees, of four fields; None for both where both numbers are empty."""
    lat, north, lon, east = said[first : first + 4]
    if not (lat or lon):
        return None, None
    return _degrees(lat, north, "NS", 90), _degrees(lon, east, "EW", 180)


def _degrees(text: str, hemisphere: str, allowed: str, most: int) -> float:
    found = _COORDINATE.fullmatch(text)
    if found is None or hemisphere not in (allowed[0], allowed[1]):
        raise SentenceError("malformed")
    value = int(found[1] or "0") + float(found[2]) / 60
    if value > most:
        raise SentenceError("out of range")
    return -value if hemisphere == allowed[1] else value
