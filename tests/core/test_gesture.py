"""Random contacts against the recogniser of gestures, and naive recognisers against the same contacts."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate.core.gesture import GAP_S, REARM_S, STUCK_S, TAP_S, Gesture, GestureRecognizer

HOLD_MS = 1000
GAP_MS = round(GAP_S * 1000)
TAP_MS = round(TAP_S * 1000)
END_MS = 300_000
HOLD, DOUBLE, TRIPLE = Gesture
ALL = frozenset(Gesture)
ONLY_HOLD = frozenset({HOLD})
WANTED = [ALL, ONLY_HOLD, frozenset({HOLD, DOUBLE}), frozenset({HOLD, TRIPLE}), frozenset({DOUBLE})]
Edges = list[tuple[bool, int]]


@dataclass(frozen=True)
class Press:
    """A finger on a bouncing button, in milliseconds: at rest, then down with bounces, glitches and bounces again."""

    rest_ms: int
    held_ms: int
    bounces_ms: tuple[int, ...]
    glitches_ms: tuple[int, ...]
    """Openings while it is held, each shorter than the 30 ms of a release."""

    @property
    def is_hold(self) -> bool:
        return self.held_ms >= HOLD_MS

    @property
    def is_tap(self) -> bool:
        """Any longer, and it is a grip, which says nothing."""
        (_, begin), *_, (_, end) = self.edges(0)
        return end - begin <= TAP_MS

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
        at += self.held_ms
        for bounce_ms in self.bounces_ms:
            edges += [(False, at), (True, at + bounce_ms)]
            at += bounce_ms + 1
        return [*edges, (False, at)]


_BOUNCES = st.lists(st.integers(1, 6), max_size=5).map(tuple)
_GLITCHES = st.lists(st.integers(1, 29), max_size=3).map(tuple)
_RESTS = st.integers(31, GAP_MS - 1) | st.integers(GAP_MS, 900)
HOLDS = st.builds(Press, _RESTS, st.integers(HOLD_MS + 1, 3000), _BOUNCES, _GLITCHES)
TAPS = st.builds(Press, _RESTS, st.just(10) | st.integers(11, 300), _BOUNCES, st.just(()))


def contacts(presses: Sequence[Press]) -> Edges:
    edges: Edges = []
    at = 5_000
    for press in presses:
        edges += press.edges(at + press.rest_ms)
        at = edges[-1][1]
    return edges


def recognized(recognizer: GestureRecognizer, edges: Edges, polls_ms: Sequence[int] = ()) -> list[list[Gesture]]:
    """What was recognised by the end of each edge, and at the very end, when also polled at these times."""
    total: list[Gesture] = []
    so_far: list[list[Gesture]] = []
    waiting = sorted(polls_ms)
    for down, at_ms in edges:
        while waiting and waiting[0] <= at_ms:
            total += recognizer.poll(waiting.pop(0) / 1000)
        total += recognizer.edge(down, at_ms / 1000)
        so_far.append([*total])
    for at_ms in (*waiting, END_MS):
        total += recognizer.poll(at_ms / 1000)
    return [*so_far, total]


def gestures(edges: Edges, wanted: frozenset[Gesture] = ALL) -> list[Gesture]:
    return recognized(GestureRecognizer(HOLD_MS / 1000, wanted), edges)[-1]


def meant(presses: Sequence[Press], wanted: frozenset[Gesture]) -> list[Gesture]:
    """What the officer meant: a hold each, and of each run of taps what its length says. Written from the rules."""
    runs: list[list[Press]] = []
    for press in presses:
        if runs and press.rest_ms < GAP_MS:
            runs[-1].append(press)
        else:
            runs.append([press])
    said: list[Gesture] = []
    for run in runs:
        kinds = [press.is_hold for press in run]
        are_taps = [press.is_tap for press in run]
        taps = are_taps.index(False) if False in are_taps else len(run)
        if TRIPLE in wanted and taps >= 3:
            said.append(TRIPLE)
        elif taps == len(run) == 2 or (TRIPLE not in wanted and taps >= 2):
            said.append(DOUBLE)
        said += [HOLD] * kinds.count(True)
    return [gesture for gesture in said if gesture in wanted]


# --- ten thousand sequences -----------------------------------------------------------------------------


def a_press(chance: random.Random) -> Press:
    bounces_ms = tuple(chance.randint(1, 6) for _ in range(chance.randint(0, 5)))
    rest_ms = chance.choice([chance.randint(31, GAP_MS - 1), chance.randint(GAP_MS, 2000)])
    if chance.random() < 0.5:
        return Press(rest_ms, chance.choice([10, chance.randint(10, 900)]), bounces_ms, ())
    glitches_ms = tuple(chance.randint(1, 29) for _ in range(chance.randint(0, 3)))
    return Press(rest_ms, chance.randint(HOLD_MS + 1, 3000), bounces_ms, glitches_ms)


def misread(make: type[GestureRecognizer], sequences: int) -> tuple[int, int]:
    """Of so many random sequences of presses, how many were read wrongly; and how many holds were in them."""
    chance = random.Random(6)
    wrong = holds = 0
    for number in range(sequences):
        presses = [a_press(chance) for _ in range(chance.randint(1, 6))]
        wanted = WANTED[number % len(WANTED)]
        found = recognized(make(HOLD_MS / 1000, wanted), contacts(presses))[-1]
        wrong += found != meant(presses, wanted)
        holds += sum(press.is_hold for press in presses)
    return wrong, holds


def test_ten_thousand_random_sequences_of_presses_are_read_as_they_were_meant() -> None:
    wrong, holds = misread(GestureRecognizer, 10_000)
    assert wrong == 0
    assert holds > 10_000


class RestartsOnEveryEdge(GestureRecognizer):
    """Naive: a bounce begins the hold anew. What a hold timer that a release cancels would do."""

    def edge(self, down: bool, now: float, *, from_start: bool = False) -> tuple[Gesture, ...]:
        found = super().edge(down, now, from_start=from_start)
        if down:
            self._pressed_at = now
        return found


class Latches(GestureRecognizer):
    """Naive: no edge after the first counts."""

    def edge(self, down: bool, now: float, *, from_start: bool = False) -> tuple[Gesture, ...]:
        return super().edge(down, now, from_start=from_start) if down else self.poll(now)


class CountsTheTail(GestureRecognizer):
    """Naive: behind a hold, taps count at once: a finger that slips twice has said something else."""

    def _release(self, now: float) -> list[Gesture]:
        held, found = self._is_hold, super()._release(now)
        if held and self._pressed_at is None:
            self._is_hold = self._is_spent = False
        return found


class CountsBounces(GestureRecognizer):
    """Naive: every opening is a release."""

    def edge(self, down: bool, now: float, *, from_start: bool = False) -> tuple[Gesture, ...]:
        found = super().edge(down, now, from_start=from_start)
        if not down and self._released_at is not None:
            found = (*found, *self.poll(self._released_at + REARM_S))
        return found


@pytest.mark.parametrize("naive", [RestartsOnEveryEdge, Latches, CountsTheTail, CountsBounces])
def test_naive_recognisers_misread_such_sequences(naive: type[GestureRecognizer]) -> None:
    assert misread(naive, 500)[0] > 0


@given(st.lists(HOLDS | TAPS, max_size=6), st.sampled_from(WANTED))
def test_each_press_is_read_as_it_was_meant(presses: list[Press], wanted: frozenset[Gesture]) -> None:
    """The same as above, but that a failure is made small."""
    assert gestures(contacts(presses), wanted) == meant(presses, wanted)


@given(st.lists(TAPS, min_size=1, max_size=100))
def test_no_number_of_taps_is_a_hold(taps: list[Press]) -> None:
    assert HOLD not in gestures(contacts(taps))


SLIPS = st.lists(st.builds(Press, st.integers(31, GAP_MS - 1), st.integers(10, 900), _BOUNCES, st.just(())), max_size=9)


@given(HOLDS, SLIPS, st.sampled_from(WANTED[:4]))
def test_no_continuation_of_a_hold_is_another_gesture(
    hold: Press, slips: list[Press], wanted: frozenset[Gesture]
) -> None:
    assert gestures(contacts([hold, *slips]), wanted) == [HOLD]


# --- whenever it is asked -------------------------------------------------------------------------------

_ANY_EDGES = st.lists(st.tuples(st.booleans(), st.integers(0, 4000)), max_size=25).map(
    lambda edges: sorted(edges, key=lambda edge: edge[1])
)


@given(_ANY_EDGES, st.lists(st.integers(0, 5000), max_size=60), st.sampled_from(WANTED))
def test_the_decision_does_not_depend_on_how_often_it_is_polled(
    edges: Edges, polls_ms: list[int], wanted: frozenset[Gesture]
) -> None:
    hold_s = 0.2
    often = recognized(GestureRecognizer(hold_s, wanted), edges, polls_ms)
    assert often == recognized(GestureRecognizer(hold_s, wanted), edges)


def test_a_recogniser_that_only_looks_when_polled_depends_on_it() -> None:
    class Sampled(GestureRecognizer):
        def edge(self, down: bool, now: float, *, from_start: bool = False) -> tuple[Gesture, ...]:
            self._pressed_at = now if down else None
            return ()

    edges = [(True, 0), (False, 300)]
    assert recognized(Sampled(0.2, ALL), edges, [250]) != recognized(Sampled(0.2, ALL), edges)


@given(_ANY_EDGES, st.floats(0, 1e7), st.sampled_from(WANTED))
def test_polled_when_due_it_always_gets_on(edges: Edges, since_boot_s: float, wanted: frozenset[Gesture]) -> None:
    """A gesture is recognised at the very time that next_due named, at any reading of the clock; never in vain."""
    recognizer = GestureRecognizer(0.2, wanted)
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


# --- by example -----------------------------------------------------------------------------------------


def tapped(*starts_ms: int, held_ms: int = 100) -> Edges:
    return [edge for start_ms in starts_ms for edge in ((True, start_ms), (False, start_ms + held_ms))]


def test_a_hold_is_recognised_when_it_is_due_and_not_before() -> None:
    recognizer = GestureRecognizer(1.0, ALL)
    assert recognizer.next_due() is None
    assert recognizer.edge(True, 10.0) == ()
    assert recognizer.next_due() == 11.0
    assert recognizer.poll(10.999) == ()
    assert recognizer.poll(11.0) == (HOLD,)
    assert recognizer.poll(11.5) == ()
    assert recognizer.next_due() == 10.0 + STUCK_S
    assert recognizer.edge(False, 12.0) == ()
    assert recognizer.next_due() == 12.0 + REARM_S
    assert recognizer.poll(12.0 + REARM_S) == ()
    assert recognizer.next_due() is None


def test_the_release_that_ends_a_hold_shows_it_when_nothing_polled() -> None:
    recognizer = GestureRecognizer(1.0, ALL)
    recognizer.edge(True, 10.0)
    assert recognizer.edge(False, 11.01) == (HOLD,)


def test_a_release_before_the_hold_does_not_count_until_its_re_arming_has_passed() -> None:
    recognizer = GestureRecognizer(1.0, ALL)
    recognizer.edge(True, 10.0)
    recognizer.edge(False, 10.985)
    assert recognizer.poll(11.005) == (), "open at that time, and perhaps released"
    recognizer.edge(True, 11.010)
    assert recognizer.poll(11.010) == (HOLD,), "it was a bounce: the hold goes on from its first edge"


def test_an_open_contact_at_rest_means_nothing() -> None:
    recognizer = GestureRecognizer(1.0, ALL)
    assert recognizer.edge(False, 10.0) == ()
    assert recognizer.next_due() is None


def test_a_double_tap_waits_only_where_a_third_tap_would_be_another_gesture() -> None:
    at_once = GestureRecognizer(1.0, frozenset({HOLD, DOUBLE}))
    waits = GestureRecognizer(1.0, ALL)
    for down, at_ms in tapped(10_000, 10_300):
        assert at_once.edge(down, at_ms / 1000) == waits.edge(down, at_ms / 1000) == ()
    assert at_once.poll(10.4 + REARM_S) == (DOUBLE,)
    assert at_once.next_due() is None
    assert waits.poll(10.4 + REARM_S) == ()
    assert waits.next_due() == 10.4 + GAP_S
    assert waits.poll(10.4 + GAP_S) == (DOUBLE,)
    assert waits.next_due() is None


@pytest.mark.parametrize(
    ("starts_ms", "wanted", "expected"),
    [
        ([0], ALL, []),
        ([0, 300], ALL, [DOUBLE]),
        ([0, 300, 600], ALL, [TRIPLE]),
        ([0, 300, 600, 900, 1200], ALL, [TRIPLE]),
        ([0, 300, 600, 900, 1200], frozenset({DOUBLE}), [DOUBLE]),
        ([0, 300], frozenset({TRIPLE}), []),
        ([0, 300, 600], ONLY_HOLD, []),
        ([0, 100 + GAP_MS, 2 * (100 + GAP_MS)], ALL, []),
        ([0, 300, 1000, 1300], ALL, [DOUBLE, DOUBLE]),
    ],
)
def test_a_run_of_taps_is_one_gesture_at_most(
    starts_ms: list[int], wanted: frozenset[Gesture], expected: list[Gesture]
) -> None:
    assert gestures(tapped(*starts_ms), wanted) == expected


def test_a_hold_at_the_end_of_a_run_of_taps_is_a_hold_alone() -> None:
    assert gestures([*tapped(0, 300), (True, 600), (False, 2000)]) == [HOLD]
    assert gestures([*tapped(0), (True, 300), (False, 2000)], frozenset({HOLD, DOUBLE})) == [HOLD]


def test_a_hold_that_is_not_wanted_is_no_tap_either() -> None:
    held_twice = [(True, 0), (False, 1500), (True, 1800), (False, 3500)]
    assert gestures(held_twice, frozenset({DOUBLE, TRIPLE})) == []


def test_taps_count_again_when_the_button_has_rested_behind_a_hold() -> None:
    hold = [(True, 0), (False, 1500)]
    assert gestures([*hold, *tapped(1600, 1900)]) == [HOLD]
    assert gestures([*hold, *tapped(1500 + GAP_MS, 1800 + GAP_MS)]) == [HOLD, DOUBLE]


def test_a_button_that_is_never_released_is_stuck_and_says_so_once() -> None:
    recognizer = GestureRecognizer(1.0, ALL)
    recognizer.edge(True, 10.0)
    assert recognizer.poll(11.0) == (HOLD,)
    assert not recognizer.is_stuck(9.999 + STUCK_S)
    due = recognizer.next_due()
    assert due == 10.0 + STUCK_S
    assert recognizer.poll(due) == (), "one hold, however long it lasts"
    assert recognizer.is_stuck(due)
    assert recognizer.next_due() is None
    recognizer.edge(False, 100.0)
    recognizer.edge(True, 100.01)
    assert recognizer.is_stuck(100.02), "a bounce is no release"
    recognizer.edge(False, 101.0)
    assert recognizer.poll(101.0 + REARM_S) == ()
    assert not recognizer.is_stuck(101.0 + REARM_S)


def test_a_button_that_is_down_when_it_is_wired_is_told_apart_until_it_is_released() -> None:
    recognizer = GestureRecognizer(1.0, ALL)
    recognizer.edge(True, 10.0, from_start=True)
    told = [recognizer.held_from_start]
    assert recognizer.poll(11.0) == (HOLD,)
    for down, now in ((False, 12.0), (True, 12.01), (False, 13.0)):
        recognizer.edge(down, now)
        told.append(recognizer.held_from_start)
    assert told == [True] * 4, "through a bounce, too"
    recognizer.poll(13.0 + REARM_S)
    told = [recognizer.held_from_start]
    recognizer.edge(True, 14.0)
    assert [*told, recognizer.held_from_start] == [False, False]


@pytest.mark.parametrize("wanted", [ALL, frozenset({HOLD, DOUBLE})])
@pytest.mark.parametrize("grips", [[(900, 60), (900, 60)], [(950, 300), (950, 300)], [(400, 100), (100, 100)]])
def test_no_way_of_gripping_the_button_is_a_run_of_taps(
    grips: list[tuple[int, int]], wanted: frozenset[Gesture]
) -> None:
    edges: Edges = []
    at = 5_000
    for held_ms, open_ms in grips:
        edges += [(True, at), (False, at + held_ms)]
        at += held_ms + open_ms
    assert gestures(edges, wanted) == []
