"""UTC from fixes: believed after they agreed, held without them."""

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate.core.clock import (
    AGREEMENT_S,
    FIX_UNCERTAINTY_MS,
    MAX_HDOP,
    MIN_SATELLITES,
    TOLERANCE_MS,
    GnssClock,
)
from bondmate.records import ClockSource, Fix, Suspicion, UtcTime

START = dt.datetime(2026, 11, 20, 15, tzinfo=dt.UTC)
START_MS = 1_795_186_800_000
"""`date -u -d 2026-11-20T15:00Z +%s`"""


def fix(at_s: float, utc_s: float | None = None, **more: Any) -> Fix:
    """A fix at the monotonic time `at_s` that says START plus `utc_s` seconds, by default the same number."""
    time = START + dt.timedelta(seconds=at_s if utc_s is None else utc_s)
    values: dict[str, Any] = {"time": time, "satellites": 9, "hdop": 1.0} | more
    return Fix(taken_s=at_s, lat=0.0, lon=0.0, mode=3, **values)


def clock(*fixes: Fix) -> GnssClock:
    told = GnssClock()
    for each in fixes:
        told.on_fix(each)
    return told


def test_utc_is_unknown_until_fixes_agreed_for_long_enough() -> None:
    told = GnssClock()
    for second in range(int(AGREEMENT_S)):
        told.on_fix(fix(second))
        assert told.utc(second) is None
    told.on_fix(fix(AGREEMENT_S))
    assert told.utc(AGREEMENT_S) == UtcTime(START_MS + 3000, ClockSource.GNSS, FIX_UNCERTAINTY_MS)


@pytest.mark.parametrize(
    "poor",
    [
        {"time": None},
        {"satellites": MIN_SATELLITES - 1},
        {"satellites": None},
        {"hdop": MAX_HDOP + 0.1},
        {"hdop": None},
        {"suspect": (Suspicion.JUMP,)},
    ],
)
def test_poor_fixes_are_passed_over(poor: dict[str, Any]) -> None:
    assert clock(*(fix(second, **poor) for second in range(60))).utc(60) is None
    just = [fix(second, satellites=MIN_SATELLITES, hdop=MAX_HDOP) for second in range(60)]
    assert clock(*just).utc(60) is not None


def test_it_is_held_without_fixes_and_says_how_far_it_may_have_drifted() -> None:
    told = clock(*(fix(second) for second in range(11)))
    later = told.utc(10 + 86_400)
    assert later is not None
    assert later.unix_ms == START_MS + (10 + 86_400) * 1000
    assert later.uncertainty_ms == FIX_UNCERTAINTY_MS + 4320, "50 parts in a million of a day"


def test_a_jump_is_believed_only_after_it_lasted() -> None:
    told = clock(*(fix(second) for second in range(11)))
    for second in range(11, 11 + int(AGREEMENT_S)):
        told.on_fix(fix(second, second + 3600))
        held = told.utc(second)
        assert held is not None
        assert held.unix_ms == START_MS + second * 1000, "still the old one"
    told.on_fix(fix(14, 14 + 3600))
    moved = told.utc(14)
    assert moved is not None
    assert moved.unix_ms == START_MS + (14 + 3600) * 1000


def test_it_tells_which_fixes_bear_out_what_is_believed() -> None:
    told = GnssClock()
    assert [told.on_fix(fix(second)) for second in range(5)] == [False, False, False, True, True]
    assert not told.on_fix(fix(5, suspect=(Suspicion.JUMP,)))
    assert [told.on_fix(fix(second, second + 3600)) for second in range(6, 10)] == [False, False, False, True], "a jump"


def test_fixes_that_never_agree_are_never_believed() -> None:
    assert clock(*(fix(second, second * 2) for second in range(100))).utc(100) is None


@given(st.integers(1, 25))
def test_a_standing_clock_is_not_believed_at_any_rate(rate_hz: int) -> None:
    """A frozen receiver says the same time again and again; at 25 Hz each fix differs by only 40 ms from the last."""
    assert clock(*(fix(index / rate_hz, 0.0) for index in range(30 * rate_hz))).utc(30) is None


def test_a_clock_that_compares_with_its_moving_average_believes_a_standing_one() -> None:
    average: float | None = None
    agreed = 0
    for index in range(30 * 25):
        offset_ms = -index * 40.0
        if average is None or abs(offset_ms - average) > TOLERANCE_MS:
            average, agreed = offset_ms, 0
        average += (offset_ms - average) / 8
        agreed += 1
    assert agreed > AGREEMENT_S * 25


@given(st.lists(st.integers(-200, 200), min_size=20, max_size=60), st.floats(0, 1e6))
def test_it_stays_within_the_uncertainty_that_it_states(jitter_ms: list[int], booted_s: float) -> None:
    """Fixes whose times scatter, at any reading of the monotonic clock."""
    told = GnssClock()
    for second, late_ms in enumerate(jitter_ms):
        told.on_fix(fix(booted_s + second, second + late_ms / 1000))
        known = told.utc(booted_s + second)
        if second > AGREEMENT_S:
            assert known is not None
            assert known.uncertainty_ms is not None
            assert abs(known.unix_ms - (START_MS + second * 1000)) <= known.uncertainty_ms


def test_a_long_walk_with_a_drifting_crystal_is_followed() -> None:
    """A crystal 100 parts in a million fast loses its first reference after 5,000 s, and finds the next."""
    told = clock(*(fix(second * 1.0001, second) for second in range(0, 20_000, 2)))
    known = told.utc(20_000 * 1.0001)
    assert known is not None
    assert abs(known.unix_ms - (START_MS + 20_000_000)) <= FIX_UNCERTAINTY_MS
