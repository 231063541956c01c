"""Presses out of edges, and five in a row: random fingers, and what the recogniser of gestures makes of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate.core.gesture import GAP_S, REARM_S, TAP_S, Gesture, GestureRecognizer
from bondmate.core.tapping import APART_S, KNOCKS, WINDOW_S, Knock, Press, Presses

HOLD_S = 1.0
ARMED_S = 1000.0


@dataclass(frozen=True)
class Finger:
    """At rest for so long, then down for so long; the contact bounces at both ends."""

    rest_s: float
    held_s: float
    bounces: int = 0


def edges(fingers: Sequence[Finger], begin_s: float = ARMED_S) -> list[tuple[bool, float]]:
    found: list[tuple[bool, float]] = []
    now = begin_s
    for finger in fingers:
        now += finger.rest_s
        found.append((True, now))
        for number in range(finger.bounces):
            found += [(False, now + 0.002 * number + 0.001), (True, now + 0.002 * number + 0.002)]
        now += finger.held_s
        found.append((False, now))
        for number in range(finger.bounces):
            found += [(True, now + 0.002 * number + 0.001), (False, now + 0.002 * number + 0.002)]
        now += 0.002 * finger.bounces
    return found


def presses_of(fingers: Sequence[Finger]) -> list[Press]:
    presses, found = Presses(), []
    last_s = ARMED_S
    for down, at in edges(fingers):
        found.append(presses.edge(down, at))
        last_s = at
    found.append(presses.poll(last_s + REARM_S))
    return [each for each in found if each is not None]


def knocks(fingers: Sequence[Finger], armed_s: float = ARMED_S) -> int:
    knock = Knock(armed_s)
    return sum(knock.take(press) for press in presses_of(fingers))


SLOWLY = Finger(0.8, 0.15)

fingers = st.builds(
    Finger,
    st.floats(0.05, 4.0),
    st.one_of(st.floats(0.05, TAP_S - 0.02), st.floats(0.05, 2.0)),
    st.integers(0, 3),
)


@given(st.lists(fingers, max_size=12))
def test_a_press_is_told_once_bounces_or_not(given_: list[Finger]) -> None:
    found = presses_of(given_)
    assert len(found) == len(given_)
    for press, finger in zip(found, given_, strict=True):
        assert finger.held_s - 0.001 <= press.ended_s - press.began_s <= finger.held_s + 0.01


def test_a_press_is_told_when_it_says_and_not_before() -> None:
    presses = Presses()
    presses.edge(True, 1.0)
    assert presses.next_due() is None
    presses.edge(False, 1.2)
    due = presses.next_due()
    assert due is not None
    assert due == pytest.approx(1.2 + REARM_S)
    assert presses.poll(due - 0.001) is None
    assert presses.poll(due) == Press(1.0, 1.2, False)
    assert presses.poll(due + 1) is None


def test_five_slow_short_presses_are_a_wish_and_a_sixth_begins_anew() -> None:
    assert knocks([SLOWLY] * 4) == 0
    assert knocks([SLOWLY] * 5) == 1
    assert knocks([SLOWLY] * 9) == 1
    assert knocks([SLOWLY] * 10) == 2


@pytest.mark.parametrize(
    "odd",
    [Finger(0.8, 0.6), Finger(0.8, 1.5), Finger(0.2, 0.15), Finger(APART_S + 0.2, 0.15)],
    ids=["a grip", "a hold", "a double tap", "a long rest"],
)
@pytest.mark.parametrize("place", range(1, 5))
def test_anything_else_in_between_is_no_wish(odd: Finger, place: int) -> None:
    given_ = [SLOWLY] * KNOCKS
    given_[place] = odd
    assert knocks(given_) == 0


def test_only_soon_after_it_was_armed() -> None:
    soon = [Finger(WINDOW_S - 6, 0.1), *[SLOWLY] * 4]
    late = [Finger(WINDOW_S - 1, 0.1), *[SLOWLY] * 4]
    assert (knocks(soon), knocks(late)) == (1, 0)


def test_a_press_that_was_under_way_at_the_start_does_not_count() -> None:
    presses, knock = Presses(), Knock(ARMED_S)
    presses.edge(True, ARMED_S, from_start=True)
    presses.edge(False, ARMED_S + 0.1)
    first = presses.poll(ARMED_S + 0.2)
    assert first is not None
    assert first.from_start
    assert not knock.take(first)
    taken = [knock.take(Press(ARMED_S + each, ARMED_S + each + 0.1, False)) for each in range(1, 6)]
    assert taken == [False] * 4 + [True]


@given(st.lists(fingers, min_size=KNOCKS, max_size=12))
def test_presses_that_are_a_wish_are_no_call_whatever_is_configured(given_: list[Finger]) -> None:
    """The last five before each wish, to the recogniser with every gesture: it finds none."""
    knock, seen = Knock(ARMED_S), list[Press]()
    for press in presses_of(given_):
        seen.append(press)
        if not knock.take(press):
            continue
        recognizer = GestureRecognizer(HOLD_S, frozenset(Gesture))
        found: list[Gesture] = []
        for each in seen[-KNOCKS:]:
            found += recognizer.edge(True, each.began_s)
            found += recognizer.edge(False, each.ended_s)
        found += recognizer.poll(seen[-1].ended_s + GAP_S)
        assert found == []


def test_the_control_a_recogniser_of_such_presses_does_find_gestures() -> None:
    recognizer = GestureRecognizer(HOLD_S, frozenset(Gesture))
    found: list[Gesture] = []
    for down, at in edges([Finger(0.2, 0.15)] * 2):
        found += recognizer.edge(down, at)
    assert [*found, *recognizer.poll(ARMED_S + 10)] == [Gesture.DOUBLE]
