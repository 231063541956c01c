"""Distances against those that geodesists publish, and against another implementation."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pynmeagps import haversine

from bondmate.core.geo import bearing_deg, distance_m
from bondmate.records import Fix

HALF_A_PER_CENT = 0.005
HALF_ROUND_M = 20_015_116
"""From pole to pole: half of the circle of the mean radius, 6,371,008.8 m."""


def at(lat: float, lon: float) -> Fix:
    return Fix(taken_s=0.0, lat=lat, lon=lon, mode=3)


def degrees(whole: int, minutes: int, seconds: float) -> float:
    return whole + minutes / 60 + seconds / 3600


PUBLISHED = {
    # the radius of the equator is 6,378,137 m in WGS 84
    "a degree of the equator": (at(0, 0), at(0, 1), 111_319.491),
    "a degree of the equator, over the date line": (at(0, 179.5), at(0, -179.5), 111_319.491),
    # WGS 84: the quarter meridian
    "from the equator to the pole": (at(0, 20), at(90, -60), 10_001_965.729),
    # Geoscience Australia's test line for Vincenty's formula, on GRS 80
    "Flinders Peak to Buninyong": (
        at(-degrees(37, 57, 3.72030), degrees(144, 25, 29.52440)),
        at(-degrees(37, 39, 10.15610), degrees(143, 55, 35.38390)),
        54_972.271,
    ),
    # the example of GeographicLib's documentation
    "Wellington to Salamanca": (at(-41.32, 174.81), at(40.96, -5.50), 19_959_679.267),
    # a ten-thousandth of a minute, the last digit of many receivers, is 0.1855 m of the equator
    "the last digit": (at(0, 10), at(0, 10 + 0.0001 / 60), 0.185532),
}


@pytest.mark.parametrize(("one", "other", "metres"), PUBLISHED.values(), ids=PUBLISHED.keys())
def test_a_distance_is_right_within_half_a_per_cent(one: Fix, other: Fix, metres: float) -> None:
    assert distance_m(one, other) == pytest.approx(metres, rel=HALF_A_PER_CENT)


@pytest.mark.parametrize("here", [at(0, 0), at(90, 0), at(-90, 17), at(48.1173, -179.9999)])
def test_where_one_is_there_is_no_way_to_go(here: Fix) -> None:
    assert distance_m(here, here) == 0


def test_at_a_pole_every_longitude_is_one_place() -> None:
    assert distance_m(at(90, 0), at(90, 123)) == pytest.approx(0, abs=1e-6)


_PLACES = st.builds(at, st.floats(-90, 90), st.floats(-180, 180))


@given(_PLACES, _PLACES)
def test_it_is_what_another_decoder_s_formula_gives(one: Fix, other: Fix) -> None:
    ours_m = distance_m(one, other)
    assume(100 < ours_m < HALF_ROUND_M - 100_000)  # theirs is for greater distances, and fails on the other side
    theirs_km = haversine(one.lat, one.lon, other.lat, other.lon, radius=6371.0088)
    assert ours_m == pytest.approx(theirs_km * 1000, rel=1e-5, abs=0.1)


@given(_PLACES, _PLACES, _PLACES)
def test_there_and_back_are_the_same_and_a_detour_is_never_shorter(one: Fix, other: Fix, third: Fix) -> None:
    direct = distance_m(one, other)
    assert direct == pytest.approx(distance_m(other, one), abs=1e-3)
    assert 0 <= direct <= HALF_ROUND_M
    assert direct <= distance_m(one, third) + distance_m(third, other) + 1.0


def test_degrees_as_if_all_were_as_long_would_be_noticed() -> None:
    """In Lisbon a degree of longitude is a fifth shorter than one of latitude."""
    one, other = PUBLISHED["Flinders Peak to Buninyong"][:2]
    flat_m = ((one.lat - other.lat) ** 2 + (one.lon - other.lon) ** 2) ** 0.5 * 111_319.491
    assert flat_m != pytest.approx(54_972.271, rel=HALF_A_PER_CENT)


@pytest.mark.parametrize(
    ("one", "other", "direction_deg"),
    [
        (at(38, -9), at(39, -9), 0),
        (at(0, 0), at(0, 1), 90),
        (at(38, -9), at(37, -9), 180),
        (at(0, 0), at(0, -1), 270),
        (at(0, 179.5), at(0, -179.5), 90),
        (at(50, 0), at(50, 0), 0),
        # Geoscience Australia: 306°52'05.37" on the ellipsoid
        (at(-37.95103, 144.42487), at(-37.65282, 143.92650), 306.868),
    ],
)
def test_the_direction_is_that_of_the_compass(one: Fix, other: Fix, direction_deg: float) -> None:
    assert bearing_deg(one, other) == pytest.approx(direction_deg, abs=0.2)


@given(st.floats(-89, 89), st.floats(-180, 180), st.floats(-89, 89), st.floats(-180, 180))
def test_every_direction_is_from_0_up_to_360(lat: float, lon: float, to_lat: float, to_lon: float) -> None:
    assert 0 <= bearing_deg(at(lat, lon), at(to_lat, to_lon)) < 360
