"""Fields as NMEA 0183 writes them, and what only looks like one: a value, nothing, or an error that says its kind."""

import datetime as dt
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pynmeagps import dmm2ddd

from bondmate.core import fields
from bondmate.core.fields import ALTITUDE_M, SPEED_MPS, SentenceError

METRES = (-1000.0, 1000.0)
KNOT_MPS = 1852 / 3600
"""A nautical mile an hour."""
PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=12)
DIGITS = st.text("0123456789.+-", max_size=12)


def metres(text: str) -> float | None:
    return fields.number(text, METRES)


def position(*said: str) -> tuple[float | None, float | None]:
    return fields.coordinates(["GLL", *said], 1)


def refusal(reader: Callable[[str], object], text: str) -> str:
    """Why a field is refused; empty where it is not."""
    try:
        reader(text)
    except SentenceError as error:
        return error.kind
    return ""


READ = {
    "a whole number": (metres, "12", 12.0),
    "a number with a point": (metres, "12.5", 12.5),
    "nothing before the point": (metres, ".5", 0.5),
    "nothing behind the point": (metres, "5.", 5.0),
    "leading zeros and a sign": (metres, "-0028", -28.0),
    "a plus": (metres, "+1.0", 1.0),
    "the highest": (metres, "1000", 1000.0),
    "the lowest": (metres, "-1000.0", -1000.0),
    "no number": (metres, "", None),
    "a dilution": (fields.dop, "0.9", 0.9),
    "a great dilution": (fields.dop, "50.0", 50.0),
    "no dilution": (fields.dop, "", None),
    "no dilution, told as 0.00": (fields.dop, "0.00", None),
    "no dilution, told as 99.0": (fields.dop, "99.0", None),
    "no dilution, told as 99.99": (fields.dop, "99.99", None),
    "north": (fields.track, "0.0", 0.0),
    "north again": (fields.track, "360.0", 360.0),
    "no track": (fields.track, "", None),
    "an angle": (fields.angle, "083", 83),
    "an angle below the horizon": (fields.angle, "-05", -5),
    "an angle with a point": (fields.angle, "39.8", 40),
    "no angle": (fields.angle, "", None),
    "a count": (fields.count, "08", 8),
    "the greatest count": (fields.count, "999", 999),
    "no count": (fields.count, "", None),
    "midnight": (fields.time, "000000", 0),
    # 12 h are 43,200 s, 35 min 2,100 s, and 19 s
    "a time": (fields.time, "123519", 45_319_000),
    "a time with a point and nothing behind": (fields.time, "123519.", 45_319_000),
    "a tenth": (fields.time, "123519.4", 45_319_400),
    "less than a millisecond is cut off": (fields.time, "123519.4567", 45_319_456),
    "the last millisecond": (fields.time, "235959.999", 86_399_999),
    # a day has 86,400 s, and one more with a leap second
    "a leap second": (fields.time, "235960", 86_400_000),
    "its end": (fields.time, "235960.999", 86_400_999),
    "no time": (fields.time, "", None),
    "a date": (fields.date, "230394", dt.date(1994, 3, 23)),
    "the first year": (fields.date, "060180", dt.date(1980, 1, 6)),
    "the last year of two digits": (fields.date, "311279", dt.date(2079, 12, 31)),
    "a leap day": (fields.date, "290200", dt.date(2000, 2, 29)),
    "no date": (fields.date, "", None),
}


@pytest.mark.parametrize(("reader", "text", "value"), READ.values(), ids=READ.keys())
def test_a_field_is_read(reader: Callable[[str], Any], text: str, value: object) -> None:
    assert reader(text) == value
    assert type(reader(text)) is type(value)


REFUSED = {
    "an exponent": (metres, "1e2", "malformed"),
    "an infinite number": (metres, "inf", "malformed"),
    "no number at all": (metres, "nan", "malformed"),
    "an underscore": (metres, "1_0", "malformed"),
    "a space before": (metres, " 1", "malformed"),
    "a space behind": (metres, "1 ", "malformed"),
    "two signs": (metres, "--1", "malformed"),
    "a sign alone": (metres, "-", "malformed"),
    "a point alone": (metres, ".", "malformed"),
    "two points": (metres, "1.2.3", "malformed"),
    "hexadecimal": (metres, "0x10", "malformed"),
    "a letter": (metres, "12M", "malformed"),
    "too much": (metres, "1000.01", "out of range"),
    "too little": (metres, "-1000.01", "out of range"),
    "far too much": (metres, "9" * 100, "out of range"),
    "a negative dilution": (fields.dop, "-0.9", "out of range"),
    "a dilution in words": (fields.dop, "good", "malformed"),
    "a track beyond the circle": (fields.track, "360.1", "out of range"),
    "a negative track": (fields.track, "-0.1", "out of range"),
    "an angle below the ground": (fields.angle, "-91", "out of range"),
    "an angle beyond the circle": (fields.angle, "361.0", "out of range"),
    "an angle beyond the circle, in whole degrees": (fields.angle, "361", "out of range"),
    "an angle of twenty digits": (fields.angle, "9" * 20, "out of range"),
    "a negative count": (fields.count, "-1", "malformed"),
    "a count of four digits": (fields.count, "1000", "malformed"),
    "half a satellite": (fields.count, "7.5", "malformed"),
    "the hour 24": (fields.time, "240000", "malformed"),
    "the minute 60": (fields.time, "126000", "malformed"),
    "the second 61": (fields.time, "235961", "malformed"),
    "a leap second at noon": (fields.time, "115960", "out of range"),
    "a leap second one minute early": (fields.time, "235860", "out of range"),
    "a time of five digits": (fields.time, "12351", "malformed"),
    "a time with a sign": (fields.time, "-23519", "malformed"),
    "a time with colons": (fields.time, "12:35:19", "malformed"),
    "the 30th of February": (fields.date, "300294", "out of range"),
    "the leap day of a year without": (fields.date, "290201", "out of range"),
    "the month 13": (fields.date, "011394", "out of range"),
    "the month 0": (fields.date, "010094", "out of range"),
    "the day 0": (fields.date, "000194", "out of range"),
    "a date of seven digits": (fields.date, "2303994", "malformed"),
    "a date with dashes": (fields.date, "23-3-9", "malformed"),
}


@pytest.mark.parametrize(("reader", "text", "kind"), REFUSED.values(), ids=REFUSED.keys())
def test_what_only_looks_like_a_field_is_refused(reader: Callable[[str], object], text: str, kind: str) -> None:
    assert refusal(reader, text) == kind


def test_a_number_is_bounded_in_the_unit_that_it_becomes() -> None:
    # 10,000 m/s are 19,438.44 knots
    assert fields.number("19438.4", SPEED_MPS, KNOT_MPS) == pytest.approx(9_999.98, abs=0.01)
    assert refusal(lambda text: fields.number(text, SPEED_MPS, KNOT_MPS), "19438.5") == "out of range"
    assert fields.number("100000", ALTITUDE_M) == 100_000.0
    assert refusal(lambda text: fields.number(text, ALTITUDE_M), "100000.1") == "out of range"


def test_a_sentence_has_the_fields_that_it_needs() -> None:
    fields.least(["GPGLL", "1", "2"], 3)
    with pytest.raises(SentenceError) as caught:
        fields.least(["GPGLL", "1", "2"], 4)
    assert caught.value.kind == "too short"


@pytest.mark.parametrize("year", [1979, 2100, 0, 9999])
def test_a_year_that_no_receiver_can_mean_is_refused(year: int) -> None:
    with pytest.raises(SentenceError, match="out of range"):
        fields.calendar(year, 1, 1)


@given(st.dates(dt.date(1980, 1, 1), dt.date(2079, 12, 31)))
def test_every_date_from_1980_to_2079_comes_back(date: dt.date) -> None:
    assert fields.date(f"{date:%d%m%y}") == date
    assert fields.calendar(date.year, date.month, date.day) == date


@given(st.times())
@example(dt.time(23, 59, 59, 999_999))
def test_every_time_of_day_comes_back_to_the_millisecond(time: dt.time) -> None:
    since_midnight = dt.datetime.combine(dt.date(2026, 1, 1), time) - dt.datetime(2026, 1, 1)  # noqa: DTZ001
    assert fields.time(f"{time:%H%M%S.%f}") == since_midnight // dt.timedelta(milliseconds=1)


# --- coordinates ---------------------------------------------------------------------------------------------------


# by hand: 48 + 7.038 / 60 = 48.1173, 11 + 31 / 60 = 11.51666…
@pytest.mark.parametrize(
    ("north", "east", "where"),
    [
        ("N", "E", (48.1173, 11.5166666667)),
        ("N", "W", (48.1173, -11.5166666667)),
        ("S", "E", (-48.1173, 11.5166666667)),
        ("S", "W", (-48.1173, -11.5166666667)),
    ],
)
def test_the_hemisphere_is_the_sign(north: str, east: str, where: tuple[float, float]) -> None:
    assert position("4807.038", north, "01131.000", east) == pytest.approx(where, abs=1e-10)


ON_EARTH = {
    "the poles and the date line": (("9000.0000", "S", "18000.0000", "W"), (-90.0, -180.0)),
    "the origin": (("0000.000", "N", "00000.000", "E"), (0.0, 0.0)),
    # triton400.log, oncore.log and others leave zeros or the point out
    "without leading zeros": (("807.038", "N", "31.0", "E"), (8.1173, 0.5166666667)),
    "without a fraction": (("4807", "N", "01131", "E"), (48.1166666667, 11.5166666667)),
    # ublox-f9p-hpnmea.log: seven decimals
    "high precision": (("4404.1270012", "N", "12118.8441432", "W"), (44.0687833533, -121.3140690533)),
    "unknown": (("", "", "", ""), (None, None)),
    "unknown, with hemispheres": (("", "N", "", "E"), (None, None)),
}


@pytest.mark.parametrize(("said", "where"), ON_EARTH.values(), ids=ON_EARTH.keys())
def test_a_position_is_read(said: tuple[str, str, str, str], where: tuple[float | None, float | None]) -> None:
    assert position(*said) == pytest.approx(where, abs=1e-10)


NOT_ON_EARTH = {
    "beyond the pole": ("9000.0001", "N", "01131.000", "E", "out of range"),
    "beyond the date line": ("4807.038", "N", "18000.0001", "E", "out of range"),
    "latitude and longitude in the wrong order": ("11131.000", "N", "04807.038", "E", "out of range"),
    "sixty minutes": ("4860.000", "N", "01131.000", "E", "malformed"),
    "no hemisphere": ("4807.038", "", "01131.000", "E", "malformed"),
    "no hemisphere of the longitude": ("4807.038", "N", "01131.000", "", "malformed"),
    "a hemisphere of the other axis": ("4807.038", "E", "01131.000", "N", "malformed"),
    "both hemispheres": ("4807.038", "NS", "01131.000", "E", "malformed"),
    "a small hemisphere": ("4807.038", "n", "01131.000", "E", "malformed"),
    "no latitude": ("", "N", "01131.000", "E", "malformed"),
    "no longitude": ("4807.038", "N", "", "E", "malformed"),
    "a sign": ("-807.038", "N", "01131.000", "E", "malformed"),
    "one digit": ("7", "N", "01131.000", "E", "malformed"),
    "six digits": ("004807.038", "N", "01131.000", "E", "malformed"),
    "an exponent": ("48e1", "N", "01131.000", "E", "malformed"),
}


@pytest.mark.parametrize(("lat", "north", "lon", "east", "kind"), NOT_ON_EARTH.values(), ids=NOT_ON_EARTH.keys())
def test_a_position_that_cannot_be_is_refused(lat: str, north: str, lon: str, east: str, kind: str) -> None:
    assert refusal(lambda _: position(lat, north, lon, east), "") == kind


_MINUTES = st.integers(0, 599_999_999)
"""In ten-millionths."""


@given(st.integers(0, 89), _MINUTES, st.sampled_from("NS"), st.integers(0, 179), _MINUTES, st.sampled_from("EW"))
def test_every_position_is_read_as_another_decoder_reads_it(
    lat: int, lat_minutes: int, north: str, lon: int, lon_minutes: int, east: str
) -> None:
    signs = 1 if north == "N" else -1, 1 if east == "E" else -1
    said = [
        f"{degrees}{minutes // 10**7:02}.{minutes % 10**7:07}"
        for degrees, minutes in ((f"{lat:02}", lat_minutes), (f"{lon:03}", lon_minutes))
    ]
    exact = [
        float(sign * (degrees + Fraction(minutes, 60 * 10**7)))
        for sign, degrees, minutes in zip(signs, (lat, lon), (lat_minutes, lon_minutes), strict=True)
    ]
    where = position(said[0], north, said[1], east)
    assert where == pytest.approx(exact, abs=1e-13)
    # pynmeagps rounds to ten decimals
    assert where == pytest.approx([sign * dmm2ddd(text) for sign, text in zip(signs, said, strict=True)], abs=1e-10)


def test_a_reader_that_forgets_the_hemisphere_or_the_minutes_would_be_noticed() -> None:
    """That the positions above tell the usual mistakes from the truth."""

    def is_right(reader: Callable[..., tuple[float | None, ...]]) -> bool:
        return reader("4807.038", "S", "01131.000", "W") == pytest.approx((-48.1173, -11.5166666667), abs=1e-10)

    def without_hemispheres(*said: str) -> tuple[float | None, ...]:
        return tuple(None if value is None else abs(value) for value in position(*said))

    def decimal_degrees(lat: str, _north: str, lon: str, _east: str) -> tuple[float | None, ...]:
        return -float(lat) / 100, -float(lon) / 100

    assert is_right(position)
    assert not is_right(without_hemispheres)
    assert not is_right(decimal_degrees)


# --- whatever comes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reader", [metres, fields.dop, fields.track, fields.angle, fields.count, fields.time])
@given(PRINTABLE | DIGITS)
def test_any_text_is_a_finite_value_or_nothing_or_an_error(reader: Callable[[str], float | None], text: str) -> None:
    kind = refusal(reader, text)
    if kind:
        assert kind in ("malformed", "out of range")
        return
    value = reader(text)
    assert (value is None) == (text == "") or reader is fields.dop
    assert value is None or math.isfinite(value)


@given(PRINTABLE | DIGITS, st.sampled_from(["N", "S", ""]), PRINTABLE | DIGITS, st.sampled_from(["E", "W", ""]))
def test_any_position_is_on_earth_or_unknown_or_an_error(lat: str, north: str, lon: str, east: str) -> None:
    try:
        where = position(lat, north, lon, east)
    except SentenceError:
        return
    if where == (None, None):
        assert lat + lon == ""
    else:
        assert where[0] is not None
        assert where[1] is not None
        assert -90 <= where[0] <= 90
        assert -180 <= where[1] <= 180
