"""Patterns as the motor plays them, driven only at the times that the player asks for."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate.core.feedback import MAX_WAITING, PAUSE_S, FeedbackPlayer, Pattern


def levels(player: FeedbackPlayer, now: float) -> list[tuple[float, bool]]:
    """What the motor does and from when on, until nothing plays; asked at no other time than `next_due`."""
    seen = [(now, player.level(now))]
    while (due := player.next_due(now)) is not None:
        assert due > now, "it asked again for a time that has come"
        now = due
        seen.append((now, player.level(now)))
    return seen


def pulses(seen: list[tuple[float, bool]]) -> list[float]:
    """How long the motor ran, each time."""
    return [ends - begins for (begins, on), (ends, _) in pairwise(seen) if on]


def test_the_patterns_are_told_apart_by_number_and_length() -> None:
    shapes = {pattern: (len(pattern.value[::2]), pattern.value[0]) for pattern in Pattern}
    assert shapes[Pattern.STORED] == (1, 0.4)
    assert shapes[Pattern.DELIVERED] == (2, 0.12)
    assert shapes[Pattern.NO_WAY_OUT] == (5, 0.08)
    assert len(set(shapes.values())) == len(Pattern)
    assert all(len(pattern.value) % 2 == 1 for pattern in Pattern), "each ends with the motor at rest"


def test_nothing_plays_at_rest() -> None:
    player = FeedbackPlayer()
    assert player.level(5.0) is False
    assert player.next_due(5.0) is None


@given(st.sampled_from(Pattern), st.floats(0, 1e7))
def test_a_pattern_plays_as_it_is_written_at_any_reading_of_the_clock(pattern: Pattern, now: float) -> None:
    player = FeedbackPlayer()
    player.play(pattern, now)
    seen = levels(player, now)
    assert pulses(seen) == pytest.approx(pattern.value[::2], abs=1e-6)
    assert [on for _, on in seen] == [index % 2 == 0 for index in range(len(pattern.value))] + [False, False]
    assert seen[-1][0] - now == pytest.approx(sum(pattern.value) + PAUSE_S, abs=1e-6)


@given(st.lists(st.sampled_from(Pattern), min_size=1, max_size=MAX_WAITING), st.floats(0, 1e6))
def test_none_is_played_over_another_and_a_pause_parts_them(patterns: list[Pattern], now: float) -> None:
    player = FeedbackPlayer()
    for pattern in patterns:
        player.play(pattern, now)
    seen = levels(player, now)
    first, *others = patterns
    presses = [pattern for pattern in others if pattern is not Pattern.DELIVERED]
    receipts = [pattern for pattern in others if pattern is Pattern.DELIVERED]
    in_order = [length for pattern in [first, *presses, *receipts] for length in pattern.value[::2]]
    assert pulses(seen) == pytest.approx(in_order, abs=1e-6)
    rests = [after - before for (before, on), (after, _) in pairwise(seen) if not on]
    assert sum(rest == pytest.approx(PAUSE_S, abs=1e-6) for rest in rests) == len(patterns)


def test_one_that_comes_while_another_plays_waits_its_turn() -> None:
    player = FeedbackPlayer()
    player.play(Pattern.STORED, 10.0)
    player.play(Pattern.DELIVERED, 10.1)
    assert player.level(10.3) is True, "still stored's one long pulse"
    assert player.level(10.45) is False
    assert player.level(10.75) is False, "the pause"
    assert player.level(10.81) is True, "delivered's first"
    assert player.level(10.95) is False
    assert player.level(11.10) is True, "delivered's second"


@pytest.mark.parametrize("outcome", [Pattern.STORED, Pattern.NO_WAY_OUT])
def test_what_became_of_a_press_is_felt_before_the_receipts_that_wait(outcome: Pattern) -> None:
    player = FeedbackPlayer()
    for pattern in (Pattern.DELIVERED, Pattern.DELIVERED, Pattern.DELIVERED, outcome):
        player.play(pattern, 10.0)
    felt = pytest.approx([0.12, 0.12, *outcome.value[::2], 0.12, 0.12, 0.12, 0.12])
    assert pulses(levels(player, 10.0)) == felt, "behind the one that plays"


def test_of_two_presses_the_later_one_has_the_last_word() -> None:
    player = FeedbackPlayer()
    for pattern in (Pattern.DELIVERED, Pattern.NO_WAY_OUT, Pattern.STORED):
        player.play(pattern, 10.0)
    assert pulses(levels(player, 10.0)) == pytest.approx([0.12, 0.12] + [0.08] * 5 + [0.4])


def test_a_late_caller_still_plays_the_whole_pattern() -> None:
    player = FeedbackPlayer()
    player.play(Pattern.STORED, 10.0)
    player.play(Pattern.DELIVERED, 10.0)
    assert pulses(levels(player, 60.0)) == pytest.approx([0.12, 0.12])


def test_of_too_many_that_wait_receipts_give_way_and_neither_a_press_nor_the_one_that_plays() -> None:
    player = FeedbackPlayer()
    player.play(Pattern.STORED, 10.0)
    player.play(Pattern.NO_WAY_OUT, 10.0)
    for _ in range(MAX_WAITING):
        player.play(Pattern.DELIVERED, 10.0)
    felt = [0.4] + [0.08] * 5 + [0.12, 0.12] * (MAX_WAITING - 1)
    assert pulses(levels(player, 10.0)) == pytest.approx(felt)


def test_of_too_many_presses_the_oldest_that_waits_gives_way() -> None:
    player = FeedbackPlayer()
    player.play(Pattern.STORED, 10.0)
    player.play(Pattern.NO_WAY_OUT, 10.0)
    for _ in range(MAX_WAITING):
        player.play(Pattern.STORED, 10.0)
    assert pulses(levels(player, 10.0)) == pytest.approx([0.4] * (1 + MAX_WAITING))
