"""Honest fixes against trust, and those of receivers that are deceived, or deceive."""

import datetime as dt
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate.core import trust
from bondmate.core.geo import distance_m
from bondmate.core.trust import Told, Trust
from bondmate.records import Fix, Suspicion

START = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
LAT, LON = 38.722252, -9.139337
DEGREE_M = 111_195
"""A degree of a meridian, by the mean radius: 6,371,008.8 m times 2π / 360."""
HONEST = (44, 38, 21, 47, 30, 33)
"""C/N0 of satellites high and low."""
FROZEN, JUMP, BACKWARDS = Suspicion.FROZEN, Suspicion.JUMP, Suspicion.TIME_BACKWARDS


def fix(second: float, north_m: float = 0.0, *, east_m: float = 0.0, time_s: float | None = None, **other: Any) -> Fix:
    """A fix so long after the start and so far from it; `time_s` is what the receiver thinks it is."""
    made = Fix(
        taken_s=1000.0 + second,
        time=START + dt.timedelta(seconds=second if time_s is None else time_s),
        lat=LAT + north_m / DEGREE_M,
        lon=LON + east_m / DEGREE_M / math.cos(math.radians(LAT)),
        mode=3,
    )
    return replace(made, **other)


def judged(
    fixes: Iterable[Fix], strengths: Sequence[int] = HONEST, antenna: str | None = None, judge: Trust | None = None
) -> list[tuple[Suspicion, ...]]:
    """What is suspect about each, each being there still."""
    judge = Trust() if judge is None else judge
    found = []
    for each in fixes:
        told = judge.judge(each, Told(strengths, antenna))
        assert replace(told, suspect=()) == each, "suspect or not, it is the receiver's own"
        found.append(told.suspect)
    return found


def ride(seconds: int, *, speed_mps: float, since: int = 0, from_m: float = 0.0) -> list[Fix]:
    """Northward, a fix a second."""
    return [
        fix(second, from_m + speed_mps * (second - since), speed_mps=speed_mps)
        for second in range(since, since + seconds)
    ]


# --- jumps -----------------------------------------------------------------------------------------------------------

# 150 m for each second, and 50 m, and what the receiver says of its accuracy
JUMPS = {
    "within a second": (fix(0), fix(1, 199.0), fix(1, 201.0)),
    "within a tenth": (fix(0), fix(0.1, 64.0), fix(0.1, 66.0)),
    "within ten seconds": (fix(0), fix(10, 1549.0), fix(10, 1551.0)),
    "with accuracies of 10 m and 20 m": (
        fix(0, accuracy_m=10.0), fix(1, 229.0, accuracy_m=20.0), fix(1, 231.0, accuracy_m=20.0),
    ),
    "without UTC": (fix(0), fix(1, 199.0, time=None), fix(1, 201.0, time=None)),
    "two epochs that a slow line delivers at once": (fix(0), fix(0.001, 199.0, time_s=1), fix(0.001, 201.0, time_s=1)),
    "to the east": (fix(0), fix(1, east_m=199.0), fix(1, east_m=201.0)),
}  # fmt: skip


@pytest.mark.parametrize(("before", "near", "far"), JUMPS.values(), ids=JUMPS.keys())
def test_what_is_faster_than_anything_on_duty_is_a_jump(before: Fix, near: Fix, far: Fix) -> None:
    assert judged([before, near]) == [(), ()]
    assert judged([before, far]) == [(), (JUMP,)]


@pytest.mark.parametrize("speed_mps", [0.0, 1.4, 36.0, 89.0, 130.0])
def test_who_walks_drives_or_flies_is_believed(speed_mps: float) -> None:
    assert set(judged(ride(120, speed_mps=speed_mps))) == {()}


def test_one_false_position_is_suspect_and_none_of_the_true_ones_around_it() -> None:
    found = judged([*ride(5, speed_mps=1.0), fix(5, 5000.0), *ride(5, speed_mps=1.0, since=6, from_m=6.0)])
    assert found == [(), (), (), (), (), (JUMP,), (), (), (), (), ()]


def test_of_positions_that_take_turns_those_far_away_are_suspect() -> None:
    """Whoever drowns the true signal does not always succeed."""
    found = judged([fix(second, 10_000.0 * (second % 2)) for second in range(200)])
    assert found == [(), (JUMP,)] * 100


def settling(judge: Trust | None = None) -> list[tuple[Suspicion, ...]]:
    """Ten seconds here, and for a minute 10 km away."""
    return judged([*ride(10, speed_mps=0.0), *ride(60, speed_mps=1.0, since=10, from_m=10_000.0)], judge=judge)


def test_a_receiver_that_contradicts_what_was_believed_is_believed_anew_after_half_a_minute() -> None:
    """The first position after a cold start may have been the false one."""
    assert settling() == [()] * 10 + [(JUMP,)] * 30 + [()] * 30


def test_a_receiver_that_contradicts_itself_is_never_believed() -> None:
    found = judged([fix(0), *(fix(second, 10_000.0 * second) for second in range(1, 200))])
    assert found == [()] + [(JUMP,)] * 199


def test_half_a_minute_begins_again_with_each_contradiction() -> None:
    there = [*ride(20, speed_mps=0.0, since=1, from_m=10_000.0), *ride(40, speed_mps=0.0, since=21, from_m=30_000.0)]
    assert judged([fix(0), *there]) == [()] + [(JUMP,)] * 50 + [()] * 10


def test_where_it_settled_is_what_the_next_is_compared_with() -> None:
    there = ride(40, speed_mps=0.0, since=1, from_m=10_000.0)
    assert judged([fix(0), *there, fix(41, 0.0), fix(42, 10_000.0)])[-2:] == [(JUMP,), ()]


def test_after_a_long_silence_any_place_within_reach_is_believed() -> None:
    # an hour at 150 m/s is 540 km
    assert judged([fix(0), fix(3600, 500_000.0)]) == [(), ()]
    assert judged([fix(0), fix(3600, 600_000.0)]) == [(), (JUMP,)]


# Whoever simulates satellites gives a receiver another time together with another place
def test_a_clock_that_jumps_ahead_hides_no_jump() -> None:
    # an hour at 150 m/s is 540 km
    there = [fix(second, 500_000.0, time_s=second + 3600) for second in range(10, 20)]
    assert all(judged([*ride(10, speed_mps=0.0), *there])[10:])


# --- time ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("back_s", "suspect"),
    [
        (0.04, ()),
        (0.999, ()),
        (1.0, ()),
        (1.001, (BACKWARDS,)),
        (3600, (BACKWARDS,)),
        (1024 * 7 * 86_400, (BACKWARDS,)),
    ],
)
def test_time_that_runs_back_is_suspect(back_s: float, suspect: tuple[Suspicion, ...]) -> None:
    assert judged([fix(0), fix(1, time_s=-back_s)]) == [(), suspect]


def test_a_clock_that_went_back_is_believed_anew_after_half_a_minute() -> None:
    """A receiver that was reset has another time, and then it runs as ever."""
    back = [fix(second, time_s=second - 7200.0) for second in range(10, 60)]
    assert judged([*ride(10, speed_mps=0.0), *back]) == [()] * 10 + [(BACKWARDS,)] * 30 + [()] * 20


def test_a_clock_that_runs_backwards_is_never_believed() -> None:
    assert judged([fix(second, time_s=-2.0 * second) for second in range(100)]) == [()] + [(BACKWARDS,)] * 99


def leap_second(rate_hz: int) -> list[Fix]:
    """Two seconds before, the second 23:59:60, and two behind: as epoch has it, who says 00:00:00 twice."""
    midnight = dt.datetime(2017, 1, 1, tzinfo=dt.UTC)
    told = [number / rate_hz for number in range(-2 * rate_hz, rate_hz)] + [n / rate_hz for n in range(2 * rate_hz)]
    return [fix(number / rate_hz, time=midnight + dt.timedelta(seconds=second)) for number, second in enumerate(told)]


# 23:59:60 is told as 00:00:00, so that at 1 Hz the same UTC comes twice
@pytest.mark.parametrize("rate_hz", [1, 2, 5, 10, 20, 25])
def test_a_leap_second_is_not_suspect(rate_hz: int) -> None:
    assert set(judged(leap_second(rate_hz))) == {()}


def test_without_utc_there_is_nothing_to_run_back() -> None:
    assert judged([fix(0), fix(1, time=None), fix(2, time_s=0.5), fix(3, time=None)]) == [(), (), (), ()]


# --- receivers that stand still --------------------------------------------------------------------------------------


def test_a_receiver_that_says_it_moves_and_does_not_is_frozen() -> None:
    """After three seconds it may be the last digit's; after 75 m of a way that it did not go it is not."""
    found = judged([fix(second, speed_mps=5.0) for second in range(20)])
    assert set(found[:4]) == {()}
    assert set(found[15:]) == {(FROZEN,)}
    assert found == sorted(found), "from one fix on"


@pytest.mark.parametrize("speed_mps", [None, 0.0, 0.9, 1.4])
def test_a_receiver_that_holds_its_position_at_rest_is_believed(speed_mps: float | None) -> None:
    """Static navigation: below walking speed the position stays."""
    assert set(judged([fix(second, speed_mps=speed_mps) for second in range(100)])) == {()}


def test_who_moves_on_is_believed_at_once() -> None:
    stood = [fix(second, speed_mps=5.0) for second in range(20)]
    found = judged([*stood, *ride(5, speed_mps=5.0, since=20, from_m=1.0)])
    assert found[19:] == [(FROZEN,)] + [()] * 5


def test_a_height_that_changes_is_a_receiver_that_works() -> None:
    """A lift: the place is the same."""
    assert set(judged([fix(second, speed_mps=2.0, alt_m=10.0 + second) for second in range(30)])) == {()}


def test_a_clock_that_stands_still_is_frozen_and_one_that_goes_on_is_not() -> None:
    stood = [fix(second, time_s=1) for second in range(2, 8)]
    found = judged([fix(0), fix(1), *stood, fix(8), fix(9)])
    assert set(found[4:8]) == {(FROZEN,)}, "once may be a leap second"
    assert found[:2] + found[8:] == [(), (), (), ()]


@pytest.mark.parametrize("speed_mps", [1.6, 2.0, 20.0])
def test_a_receiver_that_says_it_walks_and_does_not_is_frozen_after_a_while(speed_mps: float) -> None:
    assert judged([fix(second, speed_mps=speed_mps) for second in range(60)])[-1] == (FROZEN,)


def test_a_frozen_fix_is_not_what_the_next_is_compared_with() -> None:
    """It stood still for a minute on a fast road: where it wakes again is no jump."""
    stood = [fix(second, 30.0, speed_mps=30.0) for second in range(2, 60)]
    assert judged([fix(0), fix(1, 30.0), *stood, fix(60, 1800.0)])[-2:] == [(FROZEN,), ()]


# Whoever walks or cycles moves less in ten epochs at 10 Hz than the last digit of a receiver with three decimals of a
# minute (1.85 m)
@pytest.mark.parametrize("rate_hz", [1, 5, 10, 20, 25])
@pytest.mark.parametrize("decimals", [3, 4, 5])
@pytest.mark.parametrize("speed_mps", [1.5, 3.0, 6.0])
def test_who_moves_less_than_the_last_digit_is_believed(rate_hz: int, decimals: int, speed_mps: float) -> None:
    digit = 10**-decimals / 60
    fixes = [fix(number / rate_hz, speed_mps * number / rate_hz, speed_mps=speed_mps) for number in range(10 * rate_hz)]
    assert set(judged(replace(each, lat=round(each.lat / digit) * digit) for each in fixes)) == {()}


# --- signals and antenna ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strengths", "suspect"),
    [
        ((40, 40, 40, 40, 40), True),
        ((40, 41, 40, 41, 40, 41, 41, 40), True),
        ((40, 40, 40, 40), False),
        ((40, 42, 40, 41, 40), False),
        (HONEST, False),
        ((), False),
    ],
    ids=["all the same", "within one dB", "only four", "within two dB", "high and low", "none is told"],
)
def test_satellites_of_one_strength_come_from_one_transmitter(strengths: tuple[int, ...], suspect: bool) -> None:
    assert judged([fix(0)], strengths) == [(Suspicion.EQUAL_SIGNAL,) if suspect else ()]


@pytest.mark.parametrize(("antenna", "suspect"), [("open", True), ("ok", False), ("short", False), (None, False)])
def test_who_has_no_antenna_has_no_position_of_its_own(antenna: str | None, suspect: bool) -> None:
    assert judged([fix(0)], HONEST, antenna) == [(Suspicion.ANTENNA_OPEN,) if suspect else ()]


def test_all_that_is_suspect_is_told_in_one_order() -> None:
    found = judged([fix(0), fix(1, 10_000.0, time_s=-10)], (40,) * 6, "open")
    assert found[1] == (JUMP, BACKWARDS, Suspicion.EQUAL_SIGNAL, Suspicion.ANTENNA_OPEN)
    frozen = judged([fix(second, speed_mps=5.0) for second in range(20)], (40,) * 6)
    assert frozen[-1] == (FROZEN, Suspicion.EQUAL_SIGNAL)


def test_equal_signals_and_the_antenna_are_suspect_only_while_they_are_so() -> None:
    judge = Trust()
    assert judge.judge(fix(0), Told((40,) * 6, "open")).suspect
    assert not judge.judge(fix(1), Told(HONEST, "ok")).suspect


def undated(times_s: Sequence[float]) -> list[tuple[Suspicion, ...]]:
    """A receiver that walks, and tells the time of day alone: one fix a second of ours."""
    judge, noon_ms = Trust(), 43_200_000
    return [
        judge.judge(
            fix(second, 1.4 * second, time=None), Told(HONEST, time_ms=(noon_ms + round(1000 * time_s)) % 86_400_000)
        ).suspect
        for second, time_s in enumerate(times_s)
    ]


def test_without_a_date_the_time_of_day_shows_a_clock_that_stands_or_runs_back() -> None:
    assert undated([0, 1, 2, 3]) == [(), (), (), ()]
    assert undated([0, 0, 0, 0]) == [(), (), (FROZEN,), (FROZEN,)]
    assert undated([0, 1, -100, 2]) == [(), (), (BACKWARDS,), ()]
    assert undated([43_198, 43_199, 43_200, 43_201]) == [(), (), (), ()], "midnight"


def test_what_the_receiver_says_that_it_made_up_is_suspect() -> None:
    judge = Trust()
    assert judge.judge(fix(0), Told(HONEST, made_up=True)).suspect == (Suspicion.MADE_UP,)
    assert judge.judge(fix(1), Told(HONEST)).suspect == ()


# --- anybody's way ---------------------------------------------------------------------------------------------------

_LEGS = st.lists(st.tuples(st.floats(0, 89), st.floats(0, 2 * math.pi), st.integers(1, 20)), min_size=1, max_size=8)
_SCATTER = st.tuples(st.floats(-20, 20), st.floats(-20, 20))


@given(_LEGS, st.sampled_from([1, 2, 5, 10, 25]), st.lists(_SCATTER, min_size=7, max_size=7), st.booleans())
def test_nobody_s_honest_way_is_suspect(
    legs: list[tuple[float, float, int]], rate_hz: int, scatter: list[tuple[float, float]], has_utc: bool
) -> None:
    """Up to 89 m/s in any direction, each position up to 28 m off, and a pause in each leg."""
    north_m = east_m = second = 0.0
    fixes: list[Fix] = []
    for speed_mps, direction, epochs in legs:
        for number in range(epochs):
            passed_s = (1 if number else 30) / rate_hz
            second += passed_s
            north_m += speed_mps * passed_s * math.cos(direction)
            east_m += speed_mps * passed_s * math.sin(direction)
            off = scatter[len(fixes) % len(scatter)]
            each = fix(second, north_m + off[0], east_m=east_m + off[1], speed_mps=speed_mps)
            # no two fixes are the same to the last digit, as from a receiver with an altitude of a decimetre
            each = replace(each, alt_m=len(fixes) / 10)
            fixes.append(each if has_utc else replace(each, time=None))
    assert set(judged(fixes)) == {()}


@given(st.floats(-80, 80), st.floats(-180, 180), st.floats(-80, 80), st.floats(-180, 180), st.floats(0.04, 3600))
def test_a_jump_is_told_by_distance_and_time_alone(
    lat: float, lon: float, other_lat: float, other_lon: float, second: float
) -> None:
    one = replace(fix(0), lat=lat, lon=lon)
    other = replace(fix(second), lat=other_lat, lon=other_lon)
    reach_m = 50 + 150 * second
    metres = distance_m(one, other)
    if metres < 0.99 * reach_m:
        assert judged([one, other]) == [(), ()]
    if metres > 1.01 * reach_m:
        assert judged([one, other]) == [(), (JUMP,)]


# --- that these tests notice -----------------------------------------------------------------------------------------


def test_a_trust_that_never_settles_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = settling()
    monkeypatch.setattr(trust, "SETTLED_S", math.inf)
    assert settling() == [()] * 10 + [(JUMP,)] * 60 != right


def test_a_trust_that_settles_at_once_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It compares each fix with the one before, and so believes a deceiver from his second fix on."""
    right = settling()
    monkeypatch.setattr(trust, "SETTLED_S", 0.0)
    assert settling() == [()] * 10 + [(JUMP,)] + [()] * 59 != right


def test_a_trust_that_knows_no_leap_second_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "BACKWARDS_S", 0.0)
    assert BACKWARDS in {each for found in judged(leap_second(5)) for each in found}


def test_a_trust_that_believes_everything_would_be_noticed() -> None:
    class Trusting(Trust):
        def judge(self, fix: Fix, told: Told) -> Fix:
            return fix

    assert judged([fix(0), fix(1, 201.0)], judge=Trusting()) != judged([fix(0), fix(1, 201.0)])
    assert settling(Trusting()) != settling()
