"""Wrong PINs in a row, by moving `now`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate.core.lockout import FIRST_S, FREE, LONGEST_S, Lockout


def test_four_wrong_pins_cost_nothing_and_each_is_counted() -> None:
    lockout = Lockout()
    left = [lockout.tries_left]
    for _ in range(FREE):
        lockout.failed(10.0)
        left.append(lockout.tries_left)
        assert lockout.locked_s(10.0) == 0.0
    assert left == [5, 4, 3, 2, 1]


def test_from_the_fifth_on_each_locks_for_twice_as_long_up_to_an_hour() -> None:
    lockout, now, waits = Lockout(), 100.0, []
    for _ in range(FREE):
        lockout.failed(now)
    for _ in range(9):
        lockout.failed(now)
        waits.append(lockout.locked_s(now))
        now += waits[-1]
        assert lockout.locked_s(now) == 0.0
        assert lockout.tries_left == 1
    assert waits == [60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 3600.0, 3600.0, 3600.0]


def locked(failures: int = 5, now: float = 100.0) -> Lockout:
    lockout = Lockout()
    for _ in range(failures):
        lockout.failed(now)
    return lockout


def test_while_it_is_locked_nothing_is_looked_at_and_nothing_counts() -> None:
    lockout = locked()
    lockout.failed(130.0)
    assert (lockout.failures, lockout.locked_s(130.0)) == (5, 30.0)


def test_a_right_pin_clears_the_count() -> None:
    lockout = locked()
    lockout.succeeded()
    assert (lockout.failures, lockout.until_s, lockout.tries_left, lockout.locked_s(100.0)) == (0, None, 5, 0.0)


def test_a_restart_changes_nothing() -> None:
    before, behind = locked(), Lockout()
    behind.resume(before.failures, before.until_s)
    assert behind.locked_s(101.0) == before.locked_s(101.0) == FIRST_S - 1
    behind.failed(160.0)
    assert behind.locked_s(160.0) == 2 * FIRST_S


def test_a_clock_that_jumped_over_the_restart_locks_nobody_out_for_longer_than_an_hour() -> None:
    lockout = Lockout()
    lockout.resume(5, 1e9)
    assert lockout.locked_s(10.0) == LONGEST_S
    assert lockout.locked_s(10.0 + LONGEST_S) == 0.0


def test_however_often_it_fails_the_wait_is_an_hour() -> None:
    lockout = Lockout()
    lockout.resume(10**6, None)
    lockout.failed(0.0)
    assert lockout.locked_s(0.0) == LONGEST_S


def looked_at(lockout: Lockout, pauses_s: list[float]) -> list[float]:
    """When each wrong PIN was looked at, of a thief who enters one behind each of these pauses."""
    now, found = 0.0, []
    for pause_s in pauses_s:
        now += pause_s
        if lockout.locked_s(now) == 0.0:
            found.append(now)
        lockout.failed(now)
    return found


@given(st.lists(st.floats(0, 2000), max_size=60))
def test_a_thief_has_few_tries_however_he_times_them(pauses_s: list[float]) -> None:
    found = looked_at(Lockout(), pauses_s)
    allowed = FREE + 1 + (0 if not found else 7 + sum(pauses_s) / LONGEST_S)
    assert len(found) <= allowed


def test_a_lock_out_that_forgets_over_each_wait_would_be_noticed() -> None:
    class Forgiving(Lockout):
        def failed(self, now: float) -> None:
            super().failed(now)
            self._failures = min(self._failures, FREE)

    with pytest.raises(AssertionError):
        assert len(looked_at(Forgiving(), [61.0] * 60)) <= FREE + 8 + 61 * 60 / LONGEST_S
