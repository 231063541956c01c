"""Readings of a battery, and what they mean."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate.core.battery import (
    CRITICAL_PERCENT,
    HYSTERESIS_PERCENT,
    LOW_PERCENT,
    BatteryEvent,
    BatteryWatch,
    Level,
    Reading,
)

LOW, CRITICAL, RECOVERED, CHARGING, DISCHARGING = BatteryEvent


def told(*readings: tuple[int | None, bool | None]) -> list[BatteryEvent]:
    watch = BatteryWatch()
    return [event for percent, charging in readings for event in watch.on_reading(Reading(percent, charging))]


@pytest.mark.parametrize(
    ("percents", "expected"),
    [
        ([100, 50, 16], []),
        ([16, 15, 14], [LOW]),
        ([16, 5, 4], [CRITICAL]),
        ([15, 5, 0], [LOW, CRITICAL]),
        ([15, 16, 15, 18, 15], [LOW]),
        ([15, 19, 15], [LOW, RECOVERED, LOW]),
        ([5, 6, 5, 9, 5], [CRITICAL]),
        ([5, 12], [CRITICAL]),
        ([5, 19], [CRITICAL, RECOVERED]),
    ],
)
def test_a_level_is_told_once_however_the_readings_waver(percents: list[int], expected: list[BatteryEvent]) -> None:
    assert told(*((percent, False) for percent in percents)) == expected


def test_a_charger_clears_it_and_its_going_tells_it_again() -> None:
    assert told((4, False), (4, True), (6, True), (7, False)) == [CRITICAL, CHARGING, RECOVERED, DISCHARGING, LOW]


def test_a_charger_that_is_there_from_the_beginning_is_no_change() -> None:
    assert told((3, True), (3, True)) == []
    assert told((50, False), (50, True), (60, True), (60, False)) == [CHARGING, DISCHARGING]


def test_what_is_unknown_changes_nothing() -> None:
    assert told((None, None), (None, False)) == []
    assert told((14, False), (None, None), (14, None)) == [LOW]
    assert told((14, None), (3, None)) == [LOW, CRITICAL], "low is low, whatever else is unknown"


def test_the_level_is_that_of_the_last_readings() -> None:
    watch = BatteryWatch()
    levels = []
    for reading in (Reading(None, None), Reading(15, False), Reading(5, False), Reading(None, None), Reading(5, True)):
        watch.on_reading(reading)
        levels.append(watch.level)
    assert levels == [Level.NORMAL, Level.LOW, Level.CRITICAL, Level.CRITICAL, Level.NORMAL]


_READINGS = st.lists(st.builds(Reading, st.none() | st.integers(0, 100), st.none() | st.booleans()), max_size=40)


@given(_READINGS)
def test_events_follow_each_other_as_they_must(readings: list[Reading]) -> None:
    watch = BatteryWatch()
    all_events: list[BatteryEvent] = []
    for reading in readings:
        events = watch.on_reading(reading)
        all_events += events
        if LOW in events or CRITICAL in events:
            assert reading.percent is not None
            assert reading.percent <= (CRITICAL_PERCENT if CRITICAL in events else LOW_PERCENT)
        if reading.percent is not None and reading.percent <= CRITICAL_PERCENT and reading.charging is False:
            assert watch.level is Level.CRITICAL, "it is never missed"
        if reading.percent is not None and reading.percent > LOW_PERCENT + HYSTERESIS_PERCENT:
            assert watch.level is Level.NORMAL
    levels = [event for event in all_events if event in (LOW, CRITICAL, RECOVERED)]
    for before, after in pairwise([RECOVERED, *levels]):
        assert after is not before
        assert (before, after) != (CRITICAL, LOW)
    chargers = [event for event in all_events if event in (CHARGING, DISCHARGING)]
    assert all(after is not before for before, after in pairwise(chargers))
