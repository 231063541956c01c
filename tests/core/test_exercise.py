"""An exercise, by moving `now`: it must not swallow a real call."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate.core.exercise import LONGEST_S, Exercise


def test_at_first_every_call_is_real() -> None:
    exercise = Exercise()
    assert (exercise.version, exercise.ends_s) == (0, None)
    assert not exercise.active(0.0)
    assert not exercise.active(1e9)


def test_it_ends_by_itself() -> None:
    exercise = Exercise()
    assert exercise.take(1, 600.0, 100.0)
    assert exercise.active(100.0)
    assert (exercise.version, exercise.ends_s) == (1, 700.0)
    assert exercise.active(699.9)
    assert not exercise.active(700.0), "by the time, whether anybody asked or not"
    exercise.end()
    assert (exercise.ends_s, exercise.version) == (None, 1)
    assert not exercise.active(699.9)


def test_it_is_ended_by_an_order_too() -> None:
    exercise = Exercise()
    exercise.take(1, 600.0, 100.0)
    assert exercise.take(2, 0, 200.0)
    assert not exercise.active(200.0)
    assert exercise.ends_s is None, "it is not over by itself"


@pytest.mark.parametrize("version", [4, 5])
def test_an_order_that_is_repeated_or_old_changes_nothing(version: int) -> None:
    exercise = Exercise()
    exercise.take(5, 600.0, 100.0)
    exercise.end()
    assert not exercise.take(version, 600.0, 1000.0)
    assert not exercise.active(1000.0)
    exercise.take(6, 600.0, 1000.0)
    assert not exercise.take(version, 0, 1001.0), "nor does it end a newer one"
    assert exercise.active(1001.0)


@pytest.mark.parametrize("seconds", [-1.0, LONGEST_S + 1, float("inf"), float("nan")])
def test_an_order_for_a_time_that_cannot_be_meant_is_not_taken(seconds: float) -> None:
    exercise = Exercise()
    assert not exercise.take(1, seconds, 100.0)
    assert (exercise.version, exercise.active(100.0)) == (0, False)


def test_after_a_restart_none_goes_on_and_its_order_begins_none_again() -> None:
    exercise = Exercise()
    exercise.resume(7)
    assert (exercise.version, exercise.ends_s) == (7, None)
    assert not exercise.take(7, 600.0, 10.0)
    assert not exercise.active(10.0)
    assert exercise.take(8, 600.0, 10.0)


def test_what_was_kept_does_not_undo_an_order_that_came_before_it_was_read() -> None:
    exercise = Exercise()
    exercise.take(8, 0, 1.0)
    exercise.resume(7)
    assert (exercise.version, exercise.active(2.0)) == (8, False)
    exercise.take(9, 600.0, 2.0)
    exercise.resume(8)
    assert (exercise.version, exercise.active(3.0)) == (9, True)


_ORDERS = st.lists(st.tuples(st.integers(1, 8), st.sampled_from([0.0, 1.0, 60.0, LONGEST_S]), st.floats(0, 3600)))


@given(_ORDERS)
def test_calls_are_exercises_only_while_the_highest_order_says_so(orders: list[tuple[int, float, float]]) -> None:
    exercise = Exercise()
    now, highest, ends_s = 0.0, 0, 0.0
    for version, seconds, pause_s in orders:
        assert exercise.take(version, seconds, now) is (version > highest)
        if version > highest:
            highest, ends_s = version, now + seconds
        assert exercise.active(now) is (now < ends_s)
        now += pause_s
        assert exercise.active(now) is (now < ends_s)
