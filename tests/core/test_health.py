"""Which faults are reported: those that last, each time that they change, and within the bounds of a record."""

import string
from collections.abc import Iterable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate.core.health import LASTS_S, MAX_CODE_LENGTH, MAX_CODES, HealthWatch

_CODES = st.sampled_from(["bearer-ip", "gnss", "reserve", "store"])
_STEPS = st.lists(st.tuples(st.integers(1, 45), st.sets(_CODES)), max_size=40)
"""Seconds since the look before, and the faults of that moment."""


def reports(watch: HealthWatch, steps: Iterable[tuple[int, Iterable[str]]]) -> list[tuple[int, tuple[str, ...] | None]]:
    """What the watch says at each look, and when that was."""
    now, said = 0, []
    for after_s, present in steps:
        now += after_s
        said.append((now, watch.step(sorted(present), float(now))))
    return said


def judge(watch: HealthWatch, steps: Sequence[tuple[int, set[str]]]) -> None:
    """At each look, the last report names the faults that were there at every look of a minute or longer."""
    said = reports(watch, steps)
    last: tuple[str, ...] = ()
    for at, (now, report) in enumerate(said):
        assert report != last, "never the same twice in a row; the first is not of nothing"
        last = last if report is None else report
        lasting = set()
        for code in steps[at][1]:
            absent = [number for number in range(at) if code not in steps[number][1]]
            since_s, _ = said[absent[-1] + 1 if absent else 0]
            if now - since_s >= 60:
                lasting.add(code)
        assert last == tuple(sorted(lasting))


@given(_STEPS)
def test_what_is_reported_are_the_faults_that_lasted_a_minute(steps: list[tuple[int, set[str]]]) -> None:
    judge(HealthWatch(), steps)


class Hasty(HealthWatch):
    """Does not wait."""

    def step(self, present: Sequence[str], now: float) -> tuple[str, ...] | None:
        self._since_s = dict.fromkeys(present, now - LASTS_S)
        return super().step(present, now)


class Grudging(HealthWatch):
    """Remembers what was there before, though it went."""

    def step(self, present: Sequence[str], now: float) -> tuple[str, ...] | None:
        before = dict(self._since_s)
        said = super().step(present, now)
        self._since_s = before | self._since_s
        return said


class Babbling(HealthWatch):
    """Says the same again and again."""

    def step(self, present: Sequence[str], now: float) -> tuple[str, ...] | None:
        super().step(present, now)
        return self._reported


class Silent(HealthWatch):
    """Does not say when the last fault has gone."""

    def step(self, present: Sequence[str], now: float) -> tuple[str, ...] | None:
        return super().step(present, now) or None


@pytest.mark.parametrize("broken", [Hasty, Grudging, Babbling, Silent])
def test_a_watch_that_reports_wrongly_is_seen(broken: type[HealthWatch]) -> None:
    """What the property above is worth."""
    steps: list[tuple[int, set[str]]] = [
        (1, {"gnss"}), (30, {"gnss"}), (30, set()), (30, {"gnss"}), (60, {"gnss"}), (1, {"gnss"}), (1, set()),
    ]  # fmt: skip
    judge(HealthWatch(), steps)
    with pytest.raises(AssertionError):
        judge(broken(), steps)


@given(st.lists(st.tuples(st.integers(1, 59), st.integers(1, 59)), max_size=40))
def test_a_fault_that_comes_and_goes_within_a_minute_is_never_reported(visits: list[tuple[int, int]]) -> None:
    steps: list[tuple[int, set[str]]] = []
    for away_s, there_s in visits:
        steps += [(away_s, {"gnss"}), (there_s, {"gnss"}), (1, set())]
    assert all(report is None for _, report in reports(HealthWatch(), steps))


def test_coming_and_going_are_reported_once_each() -> None:
    watch = HealthWatch()
    watch.step(["store", "gnss"], 100.0)
    assert watch.step(["store", "gnss"], 159.9) is None
    assert watch.step(["store", "gnss"], 160.0) == ("gnss", "store")
    assert watch.step(["gnss", "store"], 161.0) is None, "in whatever order they come"
    assert watch.step(["gnss"], 162.0) == ("gnss",)
    assert watch.step([], 163.0) == (), "the last of them went"
    assert watch.step([], 164.0) is None


_LONG = st.text(string.ascii_lowercase + "-", min_size=1, max_size=2 * MAX_CODE_LENGTH)
_MANY = st.lists(_LONG | st.integers(0, 40).map("{:040}".format), max_size=2 * MAX_CODES, unique=True)


@given(st.lists(_MANY, max_size=8))
def test_however_many_faults_there_are_a_report_keeps_the_bounds_and_is_not_repeated(looks: list[list[str]]) -> None:
    watch = HealthWatch()
    steps = [(seconds, present) for present in looks for seconds in (1, 60)]
    said: list[tuple[str, ...]] = [(), *(report for _, report in reports(watch, steps) if report is not None)]
    for report in said:
        assert len(report) <= 16
        assert all(1 <= len(code.encode()) <= 32 for code in report)
        assert len(set(report)) == len(report)
    assert all(before != after for before, after in pairwise(said))


def test_what_the_bounds_cut_off_does_not_repeat_a_report() -> None:
    many = [f"{number:02}" for number in range(MAX_CODES)]
    watch = HealthWatch()
    watch.step([*many, "behind"], 0.0)
    assert watch.step([*many, "behind"], 60.0) == tuple(many)
    assert watch.step(many, 61.0) is None, "the one that nobody was told of went"
    assert watch.step(many[1:], 62.0) == tuple(many[1:])
