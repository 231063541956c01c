"""Patterns as the motor plays them, driven only at the times that the player asks for; and which of them were felt."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate.core.feedback import MAX_WAITING, PAUSE_S, FeedbackPlayer, Felt, Pattern

ABOUT = bytes(16)
"""The digest of a record, where it does not matter which."""


def played(player: FeedbackPlayer, pattern: Pattern, now: float, about: bytes) -> None:
    """As the device does it: the motor is asked for right behind."""
    player.play(pattern, about)
    player.level(now)


def levels(player: FeedbackPlayer, now: float) -> list[tuple[float, bool]]:
    """What the motor does and from when on, until nothing plays; asked at no other time than `next_due`."""
    seen = [(now, player.level(now))]
    while (due := player.next_due()) is not None:
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
    assert shapes[Pattern.ACKNOWLEDGED] == (3, 0.22)
    assert shapes[Pattern.NO_WAY_OUT] == (5, 0.08)
    assert shapes[Pattern.ATTENTION] == (2, 0.8)
    assert shapes[Pattern.EXERCISE] == (1, 1.5)
    assert len(set(shapes.values())) == len(Pattern)
    assert len(Pattern) <= 6, "more than a hand tells apart"
    lengths = sorted(pattern.value[0] for pattern in Pattern)
    assert all(longer / shorter >= 1.45 for shorter, longer in pairwise(lengths)), "by the length of a pulse alone, too"
    assert all(len(set(pattern.value[::2])) == 1 for pattern in Pattern), "all pulses of one are equally long"
    assert all(len(pattern.value) % 2 == 1 for pattern in Pattern), "each ends with the motor at rest"


def test_nothing_plays_at_rest() -> None:
    player = FeedbackPlayer()
    assert player.level(5.0) is False
    assert player.next_due() is None


@given(st.sampled_from(Pattern), st.floats(0, 1e7))
def test_a_pattern_plays_as_it_is_written_at_any_reading_of_the_clock(pattern: Pattern, now: float) -> None:
    player = FeedbackPlayer()
    played(player, pattern, now, ABOUT)
    seen = levels(player, now)
    assert pulses(seen) == pytest.approx(pattern.value[::2], abs=1e-6)
    assert [on for _, on in seen] == [index % 2 == 0 for index in range(len(pattern.value))] + [False, False]
    assert seen[-1][0] - now == pytest.approx(sum(pattern.value) + PAUSE_S, abs=1e-6)


@given(st.lists(st.sampled_from(Pattern), min_size=1, max_size=MAX_WAITING), st.floats(0, 1e6))
def test_none_is_played_over_another_and_a_pause_parts_them(patterns: list[Pattern], now: float) -> None:
    player = FeedbackPlayer()
    for number, pattern in enumerate(patterns):
        played(player, pattern, now, bytes([number]))
    seen = levels(player, now)
    first, *others = patterns
    receipts, rest = (Pattern.DELIVERED, Pattern.ACKNOWLEDGED), (Pattern.ATTENTION,)
    presses = [pattern for pattern in others if pattern not in (*receipts, *rest)]
    then = [pattern for wanted in (receipts, rest) for pattern in others if pattern in wanted]
    in_order = [length for pattern in [first, *presses, *then] for length in pattern.value[::2]]
    assert pulses(seen) == pytest.approx(in_order, abs=1e-6)
    rests = [after - before for (before, on), (after, _) in pairwise(seen) if not on]
    assert sum(rest == pytest.approx(PAUSE_S, abs=1e-6) for rest in rests) == len(patterns)


def test_one_that_comes_while_another_plays_waits_its_turn() -> None:
    player = FeedbackPlayer()
    played(player, Pattern.STORED, 10.0, ABOUT)
    played(player, Pattern.DELIVERED, 10.1, ABOUT)
    assert player.level(10.3) is True, "still stored's one long pulse"
    assert player.level(10.45) is False
    assert player.level(10.75) is False, "the pause"
    assert player.level(10.86) is True, "delivered's first"
    assert player.level(11.0) is False
    assert player.level(11.15) is True, "delivered's second"


@given(st.sampled_from(Pattern), st.floats(0, 1e6), st.lists(st.floats(0, 3), min_size=12, max_size=12))
def test_a_motor_that_is_driven_late_leaves_no_pulse_and_no_rest_out(
    pattern: Pattern, now: float, late_s: list[float]
) -> None:
    player = FeedbackPlayer()
    played(player, pattern, now, ABOUT)
    seen = [(now, player.level(now))]
    for late in late_s:
        if (due := player.next_due()) is None:
            break
        seen.append((due + late, player.level(due + late)))
    assert player.take_felt() == [Felt(pattern, ABOUT)]
    lasted = [after - before for (before, _), (after, _) in pairwise(seen)]
    promised = (*pattern.value, PAUSE_S)
    assert [on for _, on in seen[:-1]] == [part % 2 == 0 for part in range(len(promised))]
    assert all(length >= part - 1e-6 for length, part in zip(lasted, promised, strict=True))


@pytest.mark.parametrize("outcome", [Pattern.STORED, Pattern.NO_WAY_OUT])
def test_what_became_of_a_press_is_felt_before_the_receipts_that_wait(outcome: Pattern) -> None:
    player = FeedbackPlayer()
    for pattern in (Pattern.DELIVERED, Pattern.DELIVERED, Pattern.DELIVERED, outcome):
        played(player, pattern, 10.0, ABOUT)
    felt = pytest.approx([0.12, 0.12, *outcome.value[::2], 0.12, 0.12, 0.12, 0.12])
    assert pulses(levels(player, 10.0)) == felt, "behind the one that plays"


def test_what_calls_for_attention_twice_is_felt_once_while_it_waits() -> None:
    player = FeedbackPlayer()
    played(player, Pattern.STORED, 10.0, ABOUT)
    for _ in range(20):
        player.play(Pattern.ATTENTION, b"mail")
    player.play(Pattern.ATTENTION, b"")
    assert pulses(levels(player, 10.0)) == pytest.approx([0.4, 0.8, 0.8, 0.8, 0.8])


def test_what_calls_for_attention_waits_for_all_else_and_a_new_press_does_not_end_it() -> None:
    player = FeedbackPlayer()
    played(player, Pattern.STORED, 10.0, b"older")
    player.play(Pattern.ATTENTION, b"")
    player.play(Pattern.DELIVERED, b"older")
    player.drop_all_but(ABOUT)
    player.play(Pattern.STORED, ABOUT)
    player.play(Pattern.DELIVERED, ABOUT)
    assert pulses(levels(player, 10.0)) == pytest.approx([0.4, 0.4, 0.12, 0.12, 0.8, 0.8])


def test_an_exercise_is_felt_to_be_one_before_it_is_stored_and_what_came_of_it_keeps_its_order() -> None:
    player = FeedbackPlayer()
    played(player, Pattern.STORED, 10.0, b"older")
    for pattern in (Pattern.ATTENTION, Pattern.DELIVERED, Pattern.ACKNOWLEDGED, Pattern.EXERCISE, Pattern.STORED):
        played(player, pattern, 10.0, ABOUT)
    felt = [0.4, 1.5, 0.4, 0.12, 0.12, 0.22, 0.22, 0.22, 0.8, 0.8]
    assert pulses(levels(player, 10.0)) == pytest.approx(felt)


def test_of_two_presses_the_later_one_has_the_last_word() -> None:
    player = FeedbackPlayer()
    for pattern in (Pattern.DELIVERED, Pattern.NO_WAY_OUT, Pattern.STORED):
        played(player, pattern, 10.0, ABOUT)
    assert pulses(levels(player, 10.0)) == pytest.approx([0.12, 0.12] + [0.08] * 5 + [0.4])


def test_a_late_caller_still_plays_the_whole_pattern() -> None:
    player = FeedbackPlayer()
    played(player, Pattern.STORED, 10.0, ABOUT)
    played(player, Pattern.DELIVERED, 10.0, ABOUT)
    assert pulses(levels(player, 60.0)) == pytest.approx([0.12, 0.12])


def test_of_too_many_that_wait_receipts_give_way_and_neither_a_press_nor_the_one_that_plays() -> None:
    player = FeedbackPlayer()
    played(player, Pattern.STORED, 10.0, ABOUT)
    played(player, Pattern.NO_WAY_OUT, 10.0, ABOUT)
    for _ in range(MAX_WAITING):
        played(player, Pattern.DELIVERED, 10.0, ABOUT)
    felt = [0.4] + [0.08] * 5 + [0.12, 0.12] * (MAX_WAITING - 1)
    assert pulses(levels(player, 10.0)) == pytest.approx(felt)


def test_of_too_many_presses_the_oldest_that_waits_gives_way() -> None:
    player = FeedbackPlayer()
    played(player, Pattern.STORED, 10.0, ABOUT)
    played(player, Pattern.NO_WAY_OUT, 10.0, ABOUT)
    for _ in range(MAX_WAITING):
        played(player, Pattern.STORED, 10.0, ABOUT)
    assert pulses(levels(player, 10.0)) == pytest.approx([0.4] * (1 + MAX_WAITING))


# --- what was felt ----------------------------------------------------------------------------------

_ASKED = st.lists(st.tuples(st.floats(0, 12), st.sampled_from(Pattern)), max_size=MAX_WAITING).map(
    lambda asked: sorted(asked, key=lambda each: each[0])
)
"""When a pattern is asked for, and which."""


def judge(player: FeedbackPlayer, asked: list[tuple[float, Pattern]], until_s: float) -> None:
    """Drive the player as the device does, and compare what it tells with the pulses that the motor made by then."""
    seen, told, now = [(0.0, False)], list[Felt](), 0.0

    def drive(end: float) -> None:
        nonlocal now
        while (due := player.next_due()) is not None and due <= end:
            now = due
            seen.append((now, player.level(now)))
            told.extend(player.take_felt())
        now = end

    for number, (at, pattern) in enumerate(asked):
        drive(at)
        played(player, pattern, now, bytes([number]))
        seen.append((now, player.level(now)))
    drive(until_s)
    told += player.take_felt()

    edges = [after for before, after in pairwise(seen) if before[1] != after[1]]
    made = pulses(edges)
    of_told = [length for felt in told for length in felt.pattern.value[::2]]
    assert made[: len(of_told)] == pytest.approx(of_told, abs=1e-6), "the motor did what was told, and in that order"
    begun = made[len(of_told) :]
    if player.next_due() is None:
        assert begun == [], "nothing that ended is left out"
        assert len(told) == len(asked)
    elif any(begun == pytest.approx(pattern.value[::2], abs=1e-6) for pattern in Pattern):
        assert now - edges[-1][0] < PAUSE_S, "at its end it is told"
    else:
        assert len(begun) < max(len(pattern.value[::2]) for pattern in Pattern)
    assert len({felt.about for felt in told}) == len(told), "none is told twice"
    assert all(felt.pattern is asked[felt.about[0]][1] for felt in told), "each with what it was about"


@given(_ASKED, st.floats(12, 20))
def test_what_was_felt_is_what_was_played_to_its_end(asked: list[tuple[float, Pattern]], until_s: float) -> None:
    judge(FeedbackPlayer(), asked, until_s)


class TellsAtTheBeginning(FeedbackPlayer):
    def take_felt(self) -> list[Felt]:
        return [] if self._playing is None or self._playing.what in self._felt else [self._playing.what]


class TellsWhenAsked(FeedbackPlayer):
    def play(self, pattern: Pattern, about: bytes) -> None:
        super().play(pattern, about)
        self._felt = [*self._waiting]


class TellsTwice(FeedbackPlayer):
    def take_felt(self) -> list[Felt]:
        return self._felt


class TellsNothing(FeedbackPlayer):
    def take_felt(self) -> list[Felt]:
        return []


class MixesUp(FeedbackPlayer):
    def take_felt(self) -> list[Felt]:
        return [Felt(felt.pattern, ABOUT[:1]) for felt in super().take_felt()]


@pytest.mark.parametrize("broken", [TellsAtTheBeginning, TellsWhenAsked, TellsTwice, TellsNothing, MixesUp])
def test_a_player_that_tells_it_wrongly_is_seen(broken: type[FeedbackPlayer]) -> None:
    """What the property above is worth."""
    asked = [(1.0, Pattern.STORED), (1.0, Pattern.NO_WAY_OUT), (1.5, Pattern.DELIVERED)]
    judge(FeedbackPlayer(), asked, 20.0)
    with pytest.raises(AssertionError):
        judge(broken(), asked, 20.0)


def test_what_was_cut_short_was_not_felt() -> None:
    player = FeedbackPlayer()
    played(player, Pattern.STORED, 10.0, b"alert")
    played(player, Pattern.DELIVERED, 10.0, b"alert")
    assert player.level(10.0) is True
    assert player.take_felt() == []
    assert player.level(10.41) is False
    assert player.level(10.79) is False, "the pause behind it: more might come"
    assert player.take_felt() == []
    assert player.level(10.82) is True
    assert player.take_felt() == [Felt(Pattern.STORED, b"alert")]
    assert player.take_felt() == [], "once"
    assert [player.level(10.82 + after) for after in (0.13, 0.26, 0.39)] == [False, True, False]
    assert player.level(10.82 + 0.78) is False, "its last pulse is over, the pause is not"
    assert player.take_felt() == []


def test_what_is_broken_off_was_not_felt_and_a_pause_parts_it_from_what_comes() -> None:
    player = FeedbackPlayer()
    player.play(Pattern.ATTENTION, b"a test")
    player.play(Pattern.ATTENTION, b"a message")
    assert player.level(100.0)
    player.play(Pattern.STORED, b"a test")
    player.break_off(b"a test", 100.3)
    player.play(Pattern.STORED, b"a call")
    assert not player.level(100.3)
    assert player.next_due() == pytest.approx(100.3 + PAUSE_S)
    seen = levels(player, 100.3 + PAUSE_S)
    assert pulses(seen) == pytest.approx([*Pattern.STORED.value, *Pattern.ATTENTION.value[::2]])
    assert player.take_felt() == [Felt(Pattern.STORED, b"a call"), Felt(Pattern.ATTENTION, b"a message")]


def test_what_gave_way_was_not_felt() -> None:
    player = FeedbackPlayer()
    for number in range(2 + MAX_WAITING):
        played(player, Pattern.DELIVERED, 10.0, bytes([number]))
    levels(player, 10.0)
    assert [felt.about[0] for felt in player.take_felt()] == list(range(1 + MAX_WAITING))


def test_a_pattern_that_nobody_drove_the_motor_for_is_not_felt_but_played() -> None:
    """The event loop may stall between the request and the motor, for longer than the pattern takes."""
    player = FeedbackPlayer()
    player.play(Pattern.STORED, b"alert")
    assert player.take_felt() == []
    assert pulses(levels(player, 60.0)) == pytest.approx([0.4])
    assert player.take_felt() == [Felt(Pattern.STORED, b"alert")]
