"""A shift's end, by moving `now`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate.core.shift import WARNING_S, Shift, ShiftEvent

MAX_S = 14 * 3600.0


def events(shift: Shift, until_s: float) -> list[tuple[float, ShiftEvent]]:
    """What happens when it is asked exactly when it wants to be."""
    found = []
    while (due := shift.next_due()) is not None and due <= until_s:
        event = shift.step(due)
        assert event is not None, "it asked for nothing"
        found.append((due, event))
    return found


def test_off_duty_nothing_happens() -> None:
    shift = Shift(MAX_S)
    assert (shift.is_on, shift.ends_s(), shift.next_due(), shift.step(1e9)) == (False, None, None, None)
    shift.correct(5.0)
    assert not shift.is_on


@given(st.floats(0, 1e6))
def test_it_warns_a_quarter_of_an_hour_before_and_ends(began_s: float) -> None:
    shift = Shift(MAX_S)
    shift.begin(began_s)
    ends_s = began_s + MAX_S
    assert shift.is_on
    assert events(shift, ends_s + 1) == [(ends_s - WARNING_S, ShiftEvent.ENDING), (ends_s, ShiftEvent.ENDED)]
    assert not shift.is_on


@given(st.lists(st.floats(0, 2 * MAX_S), max_size=50))
def test_however_seldom_it_is_asked_it_warns_at_most_once_and_never_behind_its_end(times: list[float]) -> None:
    shift = Shift(MAX_S)
    shift.begin(0.0)
    found = [(now, event) for now in sorted(times) if (event := shift.step(now))]
    assert [event for _, event in found] in (
        [],
        [ShiftEvent.ENDING],
        [ShiftEvent.ENDED],
        [ShiftEvent.ENDING, ShiftEvent.ENDED],
    )
    assert all((now >= MAX_S) is (event is ShiftEvent.ENDED) for now, event in found)
    assert shift.is_on is not any(now >= MAX_S for now in times)


def test_begun_anew_it_lasts_its_whole_time_and_warns_again() -> None:
    shift = Shift(MAX_S)
    shift.begin(0.0)
    assert shift.step(MAX_S - 60) is ShiftEvent.ENDING
    shift.begin(MAX_S - 60)
    assert shift.step(MAX_S + 60) is None
    assert shift.step(2 * MAX_S - 120) is ShiftEvent.ENDING


@pytest.mark.parametrize(
    ("began_s", "event"), [(-MAX_S - 1, ShiftEvent.ENDED), (-MAX_S + 60, ShiftEvent.ENDING), (-5.0, None)]
)
def test_a_shift_that_turns_out_to_be_older_is_as_old_as_that(began_s: float, event: ShiftEvent | None) -> None:
    shift = Shift(MAX_S)
    shift.begin(0.0)
    shift.correct(began_s)
    assert shift.step(0.0) is event
    assert shift.is_on is (event is not ShiftEvent.ENDED)


def test_ended_by_the_officer_it_does_not_end_again() -> None:
    shift = Shift(MAX_S)
    shift.begin(0.0)
    shift.end()
    assert events(shift, 1e9) == []
