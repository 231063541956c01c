"""What of the fixes is recorded, and as what: by moving the time of the fixes."""

import math
import struct
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bondmate import wire
from bondmate.core.geo import distance_m
from bondmate.core.tracking import EARLIER, LATE_S, LEAST_S, MOVED_M, Record, Tracking, TrackingPolicy
from bondmate.records import Fix, Suspicion

LAT, LON = 38.7222525, -9.1393375


def fix(at_s: float, north_m: float = 0.0, **more: object) -> Fix:
    values: dict[str, object] = {
        "mode": 3,
        "accuracy_m": 3.0,
        "speed_mps": 1.4,
        "track_deg": 10.0,
        "alt_m": 12.0,
    } | more
    return Fix(taken_s=at_s, lat=LAT + north_m / 111_195, lon=LON, **values)  # type: ignore[arg-type]


def at_work(**policy: float) -> Tracking:
    tracking = Tracking(TrackingPolicy(**policy))  # type: ignore[arg-type]
    tracking.set_duty(True)
    return tracking


# --- off duty ----------------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 1e6), max_size=20), st.booleans())
def test_off_duty_nothing_is_recorded_and_nothing_known(times: list[float], dated: bool) -> None:
    tracking = Tracking(TrackingPolicy())
    assert not tracking.wants_receiver
    for at_s in times:
        assert tracking.on_fix(fix(at_s), dated=dated) is None
    assert tracking.fix is None
    assert tracking.open_alert() == ()


@given(st.lists(st.sampled_from(["on", "off", "raise", "close", "fix"]), max_size=40))
def test_whatever_happens_a_position_is_recorded_in_an_alert_alone_and_a_presence_on_duty_alone(
    acts: list[str],
) -> None:
    tracking, on_duty, is_open = Tracking(TrackingPolicy(presence_interval_s=1.0)), False, False
    for number, act in enumerate(acts):
        match act:
            case "on" | "off":
                on_duty = act == "on"
                tracking.set_duty(on_duty)
            case "raise":
                is_open = True
                tracking.open_alert()
            case "close":
                is_open = False
                tracking.close_alert()
            case _:
                recorded = tracking.on_fix(fix(number * 10.0), dated=True)
                assert recorded is (Record.POSITION if is_open else Record.PRESENCE if on_duty else None)
        assert tracking.wants_receiver is (on_duty or is_open)
        if not tracking.wants_receiver:
            assert tracking.fix is None


# --- presence ----------------------------------------------------------------------------------------


def test_presence_keeps_its_interval_whatever_the_rhythm_of_the_fixes() -> None:
    tracking = at_work(presence_interval_s=300.0)
    recorded = [second for second in range(1501) if tracking.on_fix(fix(second + second % 3 / 20), dated=True)]
    assert recorded == [0, 300, 600, 900, 1200, 1500]


def test_after_a_long_silence_presences_do_not_come_in_a_burst() -> None:
    tracking = at_work(presence_interval_s=300.0)
    assert tracking.on_fix(fix(0), dated=True)
    recorded = [second for second in range(10_000, 10_700) if tracking.on_fix(fix(second), dated=True)]
    assert recorded == [10_000, 10_300, 10_600]


def test_without_utc_there_is_no_presence_but_the_fix_is_known_for_a_press() -> None:
    tracking = at_work()
    assert [tracking.on_fix(fix(second), dated=False) for second in range(3)] == [None] * 3
    assert tracking.fix == fix(2)
    assert tracking.on_fix(fix(3), dated=True) is Record.PRESENCE


@pytest.mark.parametrize(("bits", "cell_m"), [(13, 91.1), (16, 728.7), (20, 11_659.6)])
def test_the_side_of_a_cell_by_hand(bits: int, cell_m: float) -> None:
    """2^16 units of 1e-7 degrees are 0.0065536 degrees, and a degree is 111,195 m."""
    assert TrackingPolicy(presence_bits=bits).cell_m == pytest.approx(cell_m, rel=1e-3)
    assert TrackingPolicy(presence_bits=bits).cell_m == pytest.approx(2**bits * 1e-7 * 111_194.9, rel=1e-5)


def packed(told: Fix) -> bytes:
    return wire.pack_fix(told, told.taken_s, coarse=True)


@given(
    st.floats(-90, 90), st.floats(-180, 180), st.floats(-90, 90), st.floats(-180, 180), st.integers(13, 20),
    st.floats(0, 1e5),
)  # fmt: skip
@example(90.0, 180.0, 89.9999, 179.9999, 16, 1.0)
@example(-90.0, -180.0, -89.9999, -179.9999, 20, 1.0)
def test_a_presence_tells_the_cell_and_nothing_else(
    lat: float, lon: float, other_lat: float, other_lon: float, bits: int, other_accuracy_m: float
) -> None:
    """Two fixes give the same octets if and only if they are in one cell; by the layout of docs/protocol.md."""
    tracking = at_work(presence_bits=bits)
    one = replace(fix(0.0), lat=lat, lon=lon)
    other = Fix(taken_s=0.0, lat=other_lat, lon=other_lon, mode=2, accuracy_m=other_accuracy_m, satellites=4)
    cells = [(round(each.lat * 1e7) >> bits, round(each.lon * 1e7) >> bits) for each in (one, other)]
    assert (packed(tracking.coarse(one)) == packed(tracking.coarse(other))) is (cells[0] == cells[1])
    units = struct.unpack(">ii", packed(tracking.coarse(one))[:8])
    half = 1 << bits >> 1
    for unit, limit, true in zip(units, (900_000_000, 1_800_000_000), (lat, lon), strict=True):
        assert unit % (1 << bits) == half or abs(unit) == limit
        assert abs(unit - round(true * 1e7)) <= half
        assert abs(unit) <= limit


@given(st.floats(-89, 89), st.floats(-180, 180), st.integers(13, 20))
def test_the_accuracy_of_a_presence_covers_its_whole_cell(lat: float, lon: float, bits: int) -> None:
    tracking = at_work(presence_bits=bits)
    true = replace(fix(0.0), lat=lat, lon=lon)
    told = tracking.coarse(true)
    assert told.accuracy_m is not None
    assert distance_m(true, told) <= told.accuracy_m * 1.001


def test_a_presence_has_no_height_speed_or_direction_and_says_what_is_suspect() -> None:
    told = at_work().coarse(fix(0.0, suspect=(Suspicion.JUMP,)))
    assert (told.alt_m, told.speed_mps, told.track_deg, told.hdop, told.satellites, told.time) == (None,) * 6
    assert told.suspect == (Suspicion.JUMP,)


# --- an open alert -----------------------------------------------------------------------------------


@given(st.integers(1, 25), st.floats(1, 60), st.integers(0, 1000))
def test_positions_keep_their_interval_at_any_rate_of_fixes(rate_hz: int, interval_s: float, jitter_ms: int) -> None:
    tracking = Tracking(TrackingPolicy(alert_interval_s=interval_s))
    tracking.open_alert()
    times = [index / rate_hz + jitter_ms / 1000 * (index % 2) / rate_hz / 5 for index in range(rate_hz * 300)]
    recorded = [at_s for at_s in times if tracking.on_fix(fix(at_s), dated=False)]
    assert recorded[0] == times[0], "the first fix behind a press goes at once"
    for before, after in pairwise(recorded):
        assert after - before >= interval_s - LATE_S - 1e-9
        assert after - before <= interval_s + 1.3 / rate_hz


@given(st.floats(1, 300))
def test_large_movement_is_told_between_and_never_closer_than_a_second(speed_mps: float) -> None:
    tracking = Tracking(TrackingPolicy(alert_interval_s=60.0))
    tracking.open_alert()
    times = [index / 10 for index in range(1200)]
    recorded = [at_s for at_s in times if tracking.on_fix(fix(at_s, north_m=at_s * speed_mps), dated=False)]
    for before, after in pairwise(recorded):
        assert after - before >= LEAST_S - LATE_S - 1e-9
        assert (after - before - 0.1) * speed_mps <= MOVED_M * 1.01 or after - before <= LEAST_S + 0.1


def test_every_alert_begins_anew() -> None:
    tracking = Tracking(TrackingPolicy(alert_interval_s=60.0))
    tracking.open_alert()
    assert tracking.on_fix(fix(0.0), dated=False)
    assert not tracking.on_fix(fix(1.0), dated=False)
    tracking.open_alert()
    assert tracking.on_fix(fix(2.0), dated=False)


# --- before the press --------------------------------------------------------------------------------


@given(st.integers(0, 60), st.integers(1, 10), st.floats(1, 20))
def test_the_last_positions_before_a_press_are_apart_from_it_and_from_each_other(
    seconds: int, rate_hz: int, interval_s: float
) -> None:
    tracking = at_work(alert_interval_s=interval_s)
    for index in range(seconds * rate_hz + 1):
        tracking.on_fix(fix(index / rate_hz, north_m=index), dated=True)
    now = tracking.fix
    assert now is not None
    earlier = tracking.open_alert()
    assert len(earlier) <= EARLIER
    for newer, older in pairwise([now, *earlier]):
        assert newer.taken_s - older.taken_s >= interval_s - LATE_S
    if seconds >= 4 * interval_s + 2:
        assert len(earlier) == EARLIER
        assert now.taken_s - earlier[-1].taken_s <= 3 * interval_s + 2 / rate_hz


def test_of_a_shift_that_just_began_there_is_less() -> None:
    tracking = at_work()
    assert tracking.open_alert() == ()
    tracking.close_alert()
    tracking.on_fix(fix(0.0), dated=True)
    assert tracking.open_alert() == (), "the only fix goes with the alert itself"


# --- memory ------------------------------------------------------------------------------------------


def known(tracking: Tracking) -> Fix | None:
    return tracking.fix


def test_at_the_end_of_a_shift_everything_is_forgotten_but_in_an_alert() -> None:
    tracking = at_work()
    for second in range(30):
        tracking.on_fix(fix(second), dated=True)
    tracking.open_alert()
    tracking.set_duty(False)
    assert tracking.fix == fix(29)
    tracking.close_alert()
    assert known(tracking) is None
    tracking.set_duty(True)
    assert tracking.open_alert() == ()


def test_a_position_from_before_a_restart_is_known_until_there_is_a_newer_one() -> None:
    tracking, old = Tracking(TrackingPolicy()), fix(-math.inf)
    tracking.recall(old)
    assert known(tracking) is None, "no alert is open"
    tracking.open_alert()
    tracking.recall(old)
    assert tracking.fix == old
    tracking.on_fix(fix(5.0), dated=False)
    tracking.recall(old)
    assert tracking.fix == fix(5.0)
    assert tracking.open_alert() == (old,)
