"""When the mailbox is fetched, by moving `now`."""

import math

from hypothesis import given
from hypothesis import strategies as st

from bondmate.core.fetching import OFF_DUTY_S, ON_DUTY_S, RETRY_CAP_S, SEEN_S, WAITING_S, Fetching


def fetched(fetching: Fetching, now: float, *, more: bool = False) -> None:
    fetching.begin()
    fetching.fetched(now, more=more)


def regime(fetching: Fetching, now: float, *, duty: bool = False, alert: bool = False, seen: bool = False) -> None:
    fetching.regime(on_duty=duty, alert_open=alert, acknowledged=seen, now=now)


def at_rest(now: float = 100.0) -> Fetching:
    """Off duty, fetched just now."""
    fetching = Fetching()
    fetched(fetching, now)
    return fetching


def on_duty(now: float = 100.0) -> Fetching:
    """On duty, fetched just now."""
    fetching = Fetching()
    regime(fetching, now, duty=True)
    fetched(fetching, now)
    return fetching


def test_off_duty_nothing_is_fetched_and_at_the_beginning_of_a_shift_at_once() -> None:
    fetching = Fetching()
    assert fetching.next_due() == math.inf
    regime(fetching, 100.0, duty=True)
    assert fetching.next_due() == 100
    fetched(fetching, 101.0)
    assert fetching.next_due() == 101 + ON_DUTY_S
    regime(fetching, 102.0)
    assert fetching.next_due() == math.inf


def test_while_there_is_more_it_goes_on_at_once() -> None:
    fetching = Fetching()
    fetched(fetching, 100.0, more=True)
    assert fetching.next_due() == 100
    fetched(fetching, 101.0)
    assert fetching.next_due() == 101 + OFF_DUTY_S


def test_how_soon_news_is_needed() -> None:
    for interval_s, given_ in (
        (ON_DUTY_S, {"duty": True}),
        (WAITING_S, {"alert": True}),
        (WAITING_S, {"alert": True, "duty": True}),
        (SEEN_S, {"alert": True, "seen": True}),
        (OFF_DUTY_S, {}),
        (OFF_DUTY_S, {"seen": True}),
    ):
        fetching = at_rest(100.0)
        regime(fetching, 100.0, **given_)
        fetched(fetching, 100.0)
        assert fetching.next_due() == 100 + interval_s


def test_a_call_waits_one_interval_and_never_longer_than_what_was_due_already() -> None:
    fetching = on_duty(100.0)
    regime(fetching, 130.0, duty=True, alert=True)
    assert fetching.next_due() == 130 + WAITING_S
    soon = on_duty(100.0)
    regime(soon, 100 + ON_DUTY_S - 1, duty=True, alert=True)
    assert soon.next_due() == 100 + ON_DUTY_S


def test_a_wake_is_at_once_also_behind_a_fetch_that_is_under_way() -> None:
    fetching = at_rest(100.0)
    fetching.wake(130.0)
    fetching.wake(131.0)
    assert fetching.next_due() == 130
    fetching.begin()
    fetching.wake(132.0)
    fetching.fetched(133.0, more=False)
    assert fetching.next_due() == 132
    fetched(fetching, 134.0)
    assert fetching.next_due() == 134 + OFF_DUTY_S


def waits(fetching: Fetching, count: int) -> list[float]:
    found = []
    now = 1000.0
    for _ in range(count):
        fetching.begin()
        fetching.failed(now)
        found.append(fetching.next_due() - now)
        now = fetching.next_due()
    return found


def test_after_failures_the_waits_double_up_to_the_interval_or_a_minute() -> None:
    assert waits(on_duty(), 6) == [5, 10, 20, 40, ON_DUTY_S, ON_DUTY_S]
    alert = on_duty()
    regime(alert, 100.0, alert=True)
    assert waits(alert, 7) == [5, 10, 20, 40, RETRY_CAP_S, RETRY_CAP_S, RETRY_CAP_S]
    assert waits(alert, 3000)[-1] == RETRY_CAP_S, "days without a network"


def test_a_success_and_a_call_end_the_long_waits() -> None:
    fetching = on_duty()
    waits(fetching, 9)
    fetched(fetching, 5000.0)
    assert fetching.next_due() == 5000 + ON_DUTY_S
    assert waits(fetching, 9)[-1] == RETRY_CAP_S
    regime(fetching, 6000.0, alert=True)
    assert fetching.next_due() <= 6000 + WAITING_S


def test_a_failure_does_not_forget_a_wake_in_between() -> None:
    fetching = at_rest()
    fetching.begin()
    fetching.wake(101.0)
    fetching.failed(110.0)
    assert fetching.next_due() == 101


@given(
    st.lists(
        st.tuples(
            st.floats(0, 1000),
            st.sampled_from(["ok", "more", "failed", "wake", "regime"]),
            st.booleans(),
            st.booleans(),
        ),
        max_size=40,
    )
)
def test_it_is_always_due_within_the_longest_wait(steps: list[tuple[float, str, bool, bool]]) -> None:
    fetching, now = Fetching(), 0.0
    interval_s = OFF_DUTY_S
    for pause_s, step, one, other in steps:
        now += pause_s
        match step:
            case "wake":
                fetching.wake(now)
                assert fetching.next_due() <= now
            case "regime":
                regime(fetching, now, alert=one, seen=other)
                interval_s = (SEEN_S if other else WAITING_S) if one else OFF_DUTY_S
            case _:
                fetching.begin()
                if step == "failed":
                    fetching.failed(now)
                else:
                    fetching.fetched(now, more=step == "more")
        assert fetching.next_due() <= now + max(interval_s, RETRY_CAP_S)
