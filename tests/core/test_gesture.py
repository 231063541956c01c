"""Random contacts against the recogniser of a hold, and naive recognisers against the same contacts."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate.core.gesture import REARM_S, HoldRecognizer

HOLD_MS = 1000
END_MS = 60_000
Edges = list[tuple[bool, int]]


@dataclass(frozen=True)
class Press:
    """A finger on a bouncing button, in milliseconds: at rest, then down with bounces, glitches and bounces again."""

    rest_ms: int
    held_ms: int
    bounces_ms: tuple[int, ...]
    glitches_ms: tuple[int, ...]
    """Openings while it is held, each shorter than the 30 ms of a release."""

    def edges(self, start_ms: int) -> Edges:
        at = start_ms
        edges: Edges = []
        for bounce_ms in self.bounces_ms:
            edges += [(True, at), (False, at + 1)]
            at += 1 + bounce_ms
        edges.append((True, at))
        step_ms = self.held_ms // (len(self.glitches_ms) + 1)
        for number, glitch_ms in enumerate(self.glitches_ms, start=1):
            edges += [(False, at + number * step_ms), (True, at + number * step_ms + glitch_ms)]
        at = max(at, edges[-1][1]) + self.held_ms
        for bounce_ms in self.bounces_ms:
            edges += [(False, at), (True, at + bounce_ms)]
            at += bounce_ms + 1
        return [*edges, (False, at)]


_BOUNCES = st.lists(st.integers(1, 6), max_size=5).map(tuple)
_GLITCHES = st.lists(st.integers(1, 29), max_size=3).map(tuple)
_RESTS = st.integers(31, 400)
HOLDS = st.builds(Press, _RESTS, st.integers(HOLD_MS + 1, 3000), _BOUNCES, _GLITCHES)
TAPS = st.builds(Press, _RESTS, st.just(10), _BOUNCES, st.just(()))


def contacts(presses: Sequence[Press]) -> Edges:
    edges: Edges = []
    at = 5_000
    for press in presses:
        edges += press.edges(at + press.rest_ms)
        at = edges[-1][1]
    return edges


def counts(recognizer: HoldRecognizer, edges: Edges, polls_ms: Sequence[int]) -> list[int]:
    """How many holds were recognised by the end of each edge, and at the very end, when also polled at these times."""
    total = 0
    so_far: list[int] = []
    waiting = sorted(polls_ms)
    for down, at_ms in edges:
        while waiting and waiting[0] <= at_ms:
            total += recognizer.poll(waiting.pop(0) / 1000)
        total += recognizer.edge(down, at_ms / 1000)
        so_far.append(total)
    for at_ms in (*waiting, END_MS):
        total += recognizer.poll(at_ms / 1000)
    return [*so_far, total]


def holds(edges: Edges) -> int:
    return counts(HoldRecognizer(HOLD_MS / 1000), edges, ())[-1]


@given(st.lists(st.one_of(HOLDS, TAPS), max_size=6))
def test_each_hold_is_recognised_once_and_taps_never(presses: list[Press]) -> None:
    assert holds(contacts(presses)) == sum(press.held_ms >= HOLD_MS for press in presses)


@given(st.lists(TAPS, min_size=1, max_size=100))
def test_no_number_of_taps_is_a_hold(taps: list[Press]) -> None:
    assert holds(contacts(taps)) == 0


class RestartsOnEveryEdge(HoldRecognizer):
    """Naive: a bounce begins the hold anew. What a hold timer that a release cancels would do."""

    def edge(self, down: bool, now: float) -> bool:
        recognized = super().edge(down, now)
        if down:
            self._pressed_at = now
        return recognized


class Latches(HoldRecognizer):
    """Naive: no edge after the first counts."""

    def edge(self, down: bool, now: float) -> bool:
        return super().edge(down, now) if down else self.poll(now)


def test_naive_recognisers_fail_on_such_contacts() -> None:
    glitched = [(True, 0), (False, 500), (True, 520), (False, 1010)]
    tapped = [(True, 0), (False, 10), (True, 2000), (False, 2010)]
    assert (holds(glitched), holds(tapped)) == (1, 0)
    assert counts(RestartsOnEveryEdge(HOLD_MS / 1000), glitched, ())[-1] == 0
    assert counts(Latches(HOLD_MS / 1000), tapped, ())[-1] == 1


_ANY_EDGES = st.lists(st.tuples(st.booleans(), st.integers(0, 4000)), max_size=25).map(
    lambda edges: sorted(edges, key=lambda edge: edge[1])
)


@given(_ANY_EDGES, st.lists(st.integers(0, 5000), max_size=60))
def test_the_decision_does_not_depend_on_how_often_it_is_polled(edges: Edges, polls_ms: list[int]) -> None:
    hold_s = 0.2
    assert counts(HoldRecognizer(hold_s), edges, polls_ms) == counts(HoldRecognizer(hold_s), edges, ())


def test_a_recogniser_that_only_looks_when_polled_depends_on_it() -> None:
    class Sampled(HoldRecognizer):
        def edge(self, down: bool, now: float) -> bool:
            self._pressed_at = now if down else None
            return False

    edges = [(True, 0), (False, 300)]
    assert counts(Sampled(0.2), edges, [250]) != counts(Sampled(0.2), edges, ())


@given(_ANY_EDGES, st.floats(0, 1e7))
def test_polled_when_due_it_always_gets_on(edges: Edges, since_boot_s: float) -> None:
    """A hold is recognised at the very time that next_due named, at any reading of the clock; it never asks in vain."""
    recognizer = HoldRecognizer(0.2)
    for index, (down, at_ms) in enumerate(edges):
        recognizer.edge(down, since_boot_s + at_ms / 1000)
        until_s = since_boot_s + (edges[index + 1][1] if index + 1 < len(edges) else END_MS) / 1000
        for _ in range(4):
            due = recognizer.next_due()
            if due is None or due > until_s:
                break
            recognizer.poll(due)
        else:
            pytest.fail("it asked four times between two edges")


def test_a_hold_is_recognised_when_it_is_due_and_not_before() -> None:
    recognizer = HoldRecognizer(1.0)
    assert recognizer.next_due() is None
    assert recognizer.edge(True, 10.0) is False
    assert recognizer.next_due() == 11.0
    assert recognizer.poll(10.999) is False
    assert recognizer.poll(11.0) is True
    assert recognizer.poll(11.5) is False
    assert recognizer.next_due() is None
    assert recognizer.edge(False, 12.0) is False
    assert recognizer.next_due() == 12.0 + REARM_S
    assert recognizer.poll(12.0 + REARM_S) is False
    assert recognizer.next_due() is None


def test_the_release_that_ends_a_hold_shows_it_when_nothing_polled() -> None:
    recognizer = HoldRecognizer(1.0)
    recognizer.edge(True, 10.0)
    assert recognizer.edge(False, 11.01) is True


def test_a_release_before_the_hold_does_not_count_until_its_re_arming_has_passed() -> None:
    recognizer = HoldRecognizer(1.0)
    recognizer.edge(True, 10.0)
    recognizer.edge(False, 10.985)
    assert recognizer.poll(11.005) is False, "open at that time, and perhaps released"
    recognizer.edge(True, 11.010)
    assert recognizer.poll(11.010) is True, "it was a bounce: the hold goes on from its first edge"


def test_an_open_contact_at_rest_means_nothing() -> None:
    recognizer = HoldRecognizer(1.0)
    assert recognizer.edge(False, 10.0) is False
    assert recognizer.next_due() is None
