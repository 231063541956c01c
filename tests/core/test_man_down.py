"""An input that says that the officer lies still, by moving `now`."""

from hypothesis import given
from hypothesis import strategies as st

from bondmate.core.man_down import ManDown, ManDownEvent

MAN_DOWN_S, COUNTDOWN_S = 15.0, 30.0
COUNTDOWN, FELT, DOWN = ManDownEvent


def events(core: ManDown, until_s: float = float("inf")) -> list[tuple[float, ManDownEvent]]:
    """What happens when it is asked exactly when it wants to be."""
    found = []
    while (due := core.next_due()) is not None and due <= until_s:
        event = core.poll(due)
        assert event is not None, "it asked for nothing"
        found.append((due, event))
    return found


def lying(since_s: float = 100.0) -> ManDown:
    core = ManDown(MAN_DOWN_S, COUNTDOWN_S)
    core.on_input(True, since_s)
    return core


def test_upright_nothing_happens() -> None:
    core = ManDown(MAN_DOWN_S, COUNTDOWN_S)
    core.on_input(False, 1.0)
    assert (core.next_due(), core.poll(1e9), core.ends_s) == (None, None, None)


def test_who_stays_down_is_called_for_once_behind_a_countdown() -> None:
    core = lying()
    assert events(core, 120.0) == [(115.0, COUNTDOWN)]
    assert (core.ends_s, core.next_due()) == (145.0, 125.0)
    assert events(core) == [(125.0, FELT), (135.0, FELT), (145.0, DOWN)]
    core.on_input(True, 150.0)
    assert (core.ends_s, core.next_due(), core.poll(1e9)) == (None, None, None), "read again, it is no other fall"
    core.on_input(False, 200.0)
    core.on_input(True, 201.0)
    assert events(core)[-1] == (201.0 + MAN_DOWN_S + COUNTDOWN_S, DOWN), "but got up and fell again, it is"


def test_who_gets_up_is_not_called_for() -> None:
    for up_s in (110.0, 115.0, 144.9):
        core = lying()
        events(core, up_s)
        core.on_input(False, up_s)
        assert (core.ends_s, events(core), core.poll(1e9)) == (None, [], None)


def test_a_break_begins_it_anew_and_reading_it_again_does_not() -> None:
    core = lying(100.0)
    core.on_input(True, 110.0)
    assert core.next_due() == 115.0
    core.on_input(False, 112.0)
    core.on_input(True, 112.1)
    assert core.next_due() == 112.1 + MAN_DOWN_S


@given(st.lists(st.tuples(st.floats(0, 300), st.sampled_from(["up", "down", "poll"])), max_size=60))
def test_nobody_is_called_for_who_was_not_down_for_so_long_and_felt_the_countdown(
    given: list[tuple[float, str]],
) -> None:
    core = ManDown(MAN_DOWN_S, COUNTDOWN_S)
    down_since: float | None = None
    counted_since: float | None = None
    called = False
    for now, what in sorted(given):
        if what != "poll":
            core.on_input(what == "down", now)
            if what == "up":
                down_since, counted_since, called = None, None, False
            elif down_since is None:
                down_since = now
        event = core.poll(now)
        if event is COUNTDOWN:
            assert down_since is not None
            assert now >= down_since + MAN_DOWN_S
            assert counted_since is None
            counted_since = now
        elif event is not None:
            assert counted_since is not None
            assert (now >= counted_since + COUNTDOWN_S) is (event is DOWN)
            assert not called
            called = event is DOWN
