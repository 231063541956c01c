"""A countdown, by moving `now`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate.core.countdown import FELT_EVERY_S, Countdown, Tick


def ticks(countdown: Countdown) -> list[tuple[float, Tick]]:
    """What it says when it is asked exactly when it wants to be."""
    found = []
    while (due := countdown.next_due()) is not None:
        tick = countdown.poll(due)
        assert tick is not None, "it asked for nothing"
        found.append((due, tick))
    return found


def test_at_rest_it_says_nothing() -> None:
    countdown = Countdown()
    assert (countdown.ends_s, countdown.next_due(), countdown.poll(1e9)) == (None, None, None)
    countdown.stop()
    assert countdown.poll(1e9) is None


def test_it_is_felt_from_the_start_each_ten_seconds_and_is_over_once() -> None:
    countdown = Countdown()
    countdown.start(100.0, 30.0)
    assert (countdown.ends_s, countdown.next_due()) == (130.0, 100.0)
    assert ticks(countdown) == [(100.0, Tick.FELT), (110.0, Tick.FELT), (120.0, Tick.FELT), (130.0, Tick.OVER)]
    assert (countdown.ends_s, countdown.poll(1e9)) == (None, None)


def test_whoever_lets_its_start_be_felt_has_it_felt_from_then_on() -> None:
    countdown = Countdown()
    countdown.start(100.0, 15.0, felt=False)
    assert countdown.poll(100.0) is None
    assert ticks(countdown) == [(110.0, Tick.FELT), (115.0, Tick.OVER)]


def test_stopped_it_is_never_over_and_begun_anew_it_lasts_its_whole_time() -> None:
    countdown = Countdown()
    countdown.start(100.0, 30.0)
    countdown.stop()
    assert ticks(countdown) == []
    countdown.start(200.0, 30.0)
    countdown.start(220.0, 30.0)
    assert ticks(countdown)[-1] == (250.0, Tick.OVER)


@given(st.floats(0, 1e7), st.floats(1, 120), st.lists(st.floats(0, 200), max_size=40))
def test_however_seldom_it_is_asked_it_is_over_once_and_felt_no_oftener_than_it_should(
    began_s: float, seconds: float, after_s: list[float]
) -> None:
    countdown = Countdown()
    countdown.start(began_s, seconds)
    found = [(now, tick) for now in sorted(began_s + each for each in after_s) if (tick := countdown.poll(now))]
    over = [now for now, tick in found if tick is Tick.OVER]
    felt = [now for now, tick in found if tick is Tick.FELT]
    assert len(over) == any(began_s + each >= began_s + seconds for each in after_s)
    assert all(now < began_s + seconds for now in felt)
    assert len(felt) <= seconds // FELT_EVERY_S + 1
    assert found == sorted(found, key=lambda each: each[0])


def test_a_countdown_that_is_felt_at_each_poll_would_be_noticed() -> None:
    class Nervous(Countdown):
        def poll(self, now: float) -> Tick | None:
            return super().poll(now) or Tick.FELT

    countdown = Nervous()
    countdown.start(100.0, 30.0)
    with pytest.raises(AssertionError):
        assert [countdown.poll(101.0), countdown.poll(102.0)] == [Tick.FELT, None]
