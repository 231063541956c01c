"""What an answer to a fetch comes to: repeats, gaps, expiry, exercises."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate import messages
from bondmate.core.inbox import Take, is_expired, judge
from bondmate.errors import RemoteError
from bondmate.mail import ExerciseOrder, Message, MessageState
from tests.letters import ACKNOWLEDGE, CLOSE, DIGEST, EXERCISE, NOW_S, OTHER, TEXT, message


def made(number: int, type_: int = TEXT, body: Any = None, **changed: Any) -> Message:
    return messages.read(message(number, type_, body, **changed))


LINE = [made(number) for number in range(1, 9)]


def numbers(takes: list[Take]) -> list[int]:
    return [take.message.number for take in takes]


def state(take: Message, utc_s: float | None = NOW_S, version: int = 0) -> MessageState:
    [only] = judge(take.number - 1, [take], utc_s, version)
    return only.state


def test_what_is_behind_the_cursor_is_taken_in_order() -> None:
    assert numbers(judge(2, LINE[2:5], None, 0)) == [3, 4, 5]
    assert judge(2, [], None, 0) == []


def test_repeats_change_nothing() -> None:
    assert judge(8, LINE, None, 0) == []
    assert numbers(judge(2, [*LINE[:4], *LINE[:4]], None, 0)) == [3, 4]


@pytest.mark.parametrize("behind", [[LINE[1]], [LINE[0], LINE[2]], [LINE[1], LINE[0]], [LINE[7], *LINE]])
def test_nothing_of_an_answer_with_a_gap_is_taken(behind: list[Message]) -> None:
    with pytest.raises(RemoteError, match="what is between them never came"):
        judge(0, behind, None, 0)


@given(cursor=st.integers(0, 8), order=st.lists(st.integers(0, 7), max_size=12))
def test_whatever_comes_the_numbers_that_are_taken_have_no_gap(cursor: int, order: list[int]) -> None:
    try:
        taken = numbers(judge(cursor, [LINE[place] for place in order], NOW_S, 0))
    except RemoteError:
        return
    assert taken == list(range(cursor + 1, cursor + 1 + len(taken)))


def test_acknowledge_and_close_name_their_calls_and_never_expire() -> None:
    late = NOW_S + 10.0
    [seen] = judge(0, [made(1, ACKNOWLEDGE, expires_s=NOW_S)], late, 0)
    assert (seen.acknowledges, seen.closes, seen.state) == ((DIGEST,), (), MessageState.TAKEN)
    [over] = judge(0, [made(1, CLOSE, expires_s=NOW_S)], late, 0)
    assert (over.acknowledges, over.closes, over.state) == ((), (DIGEST, OTHER), MessageState.TAKEN)


def test_a_text_that_has_expired_is_taken_without_effect_and_only_utc_tells() -> None:
    text = made(1, expires_s=NOW_S + 5)
    assert state(text, NOW_S + 4.9) is MessageState.TAKEN
    assert state(text, NOW_S + 5.0) is MessageState.WITHOUT_EFFECT
    assert state(text, None) is MessageState.TAKEN
    assert not is_expired(None, 1e12)


def test_what_only_a_later_daemon_understands_is_without_effect() -> None:
    [take] = judge(0, [made(1, 77)], NOW_S, 0)
    assert take == Take(take.message, MessageState.WITHOUT_EFFECT)


@pytest.mark.parametrize(
    ("version", "seconds", "expires_s", "utc_s", "begins"),
    [
        (3, 600, NOW_S + 600, NOW_S, True),
        (2, 600, NOW_S + 600, NOW_S, False),
        (1, 600, NOW_S + 600, NOW_S, False),
        (3, 600, NOW_S + 600, NOW_S + 600, False),
        (3, 600, NOW_S + 600, None, False),
        (3, 600, None, NOW_S, False),
        (3, 0, NOW_S, NOW_S + 9, True),
        (3, 0, None, None, True),
        (2, 0, None, NOW_S, False),
    ],
    ids=["newer", "same", "older", "expired", "no utc", "no expiry", "over late", "over, no utc", "over, same"],
)
def test_an_exercise_is_taken_only_in_its_time_and_with_a_newer_version(
    version: int, seconds: int, expires_s: int | None, utc_s: float | None, begins: bool
) -> None:
    [take] = judge(0, [made(1, EXERCISE, [version, seconds], expires_s=expires_s)], utc_s, 2)
    assert take.exercise == (ExerciseOrder(version, seconds) if begins else None)
    assert take.state is (MessageState.TAKEN if begins else MessageState.WITHOUT_EFFECT)


def test_in_one_answer_too_the_version_of_an_exercise_only_grows() -> None:
    orders = [made(number, EXERCISE, [version, 0]) for number, version in enumerate((5, 4, 6), 1)]
    assert [take.exercise for take in judge(0, orders, NOW_S, 0)] == [ExerciseOrder(5, 0), None, ExerciseOrder(6, 0)]
