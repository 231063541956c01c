"""The ladder, by a clock that the test moves."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate.core.ladder import PAUSES_S, RELAPSE_S, RUNGS, TIMEOUTS, Ladder, Rung, Step

ALL = frozenset(Step)


def silent(ladder: Ladder, now: float) -> None:
    for _ in range(TIMEOUTS):
        ladder.timed_out(now)


def climb(ladder: Ladder, until_s: float) -> list[tuple[float, Step]]:
    """Polled when it asks for it, and at no other time; the modem stays silent."""
    taken, now = [], 0.0
    while (due := ladder.next_due()) is not None and due <= until_s:
        assert due >= now
        now = due
        step = ladder.poll(now)
        assert step is not None
        taken.append((now, step))
        assert ladder.poll(now) is None, "once"
    return taken


def test_the_whole_ladder_is_as_it_is_specified() -> None:
    ladder = Ladder(ALL)
    silent(ladder, 0.0)
    assert climb(ladder, 600) == [
        (0, Step.REOPEN), (10, Step.RESET), (50, Step.PULSE), (90, Step.PULSE), (130, Step.CYCLE),
        # 60 s of budget, and a pause of 60 s
        (250, Step.REOPEN), (260, Step.RESET), (300, Step.PULSE), (340, Step.PULSE), (380, Step.CYCLE),
        (560, Step.REOPEN), (570, Step.RESET),
    ]  # fmt: skip


def test_two_timeouts_are_weather() -> None:
    ladder = Ladder(ALL)
    ladder.timed_out(1.0)
    ladder.timed_out(2.0)
    assert ladder.next_due() is None
    assert ladder.poll(100.0) is None
    ladder.succeeded(2.5)
    ladder.timed_out(3.0)
    ladder.timed_out(4.0)
    assert ladder.next_due() is None, "in a row"
    ladder.timed_out(5.0)
    assert ladder.poll(5.0) is Step.REOPEN


def test_what_the_board_cannot_do_is_left_out() -> None:
    ladder = Ladder()
    silent(ladder, 0.0)
    assert [step for _, step in climb(ladder, 400)] == [Step.REOPEN, Step.RESET] * 3


def test_success_resets_it() -> None:
    ladder = Ladder(ALL)
    silent(ladder, 0.0)
    climb(ladder, 300)
    before = (ladder.round, ladder.step)
    assert before == (2, Step.PULSE)
    ladder.succeeded(310.0)
    after = (ladder.next_due(), ladder.step)
    assert after == (None, None)
    silent(ladder, 310.0 + RELAPSE_S + 1)
    assert ladder.poll(1000.0) is Step.REOPEN
    assert ladder.round == 1


def test_a_relapse_goes_on_where_the_climb_was() -> None:
    """A modem that answers after each reopening, and never sends anything, is restarted in the end."""
    ladder = Ladder()
    now, taken = 0.0, []
    for _ in range(4):
        silent(ladder, now)
        due = ladder.next_due()
        assert due is not None
        taken.append((due - now, ladder.poll(due)))
        ladder.succeeded(due + 1)
        now = due + 1 + RELAPSE_S
    assert taken == [(0, Step.REOPEN), (0, Step.RESET), (PAUSES_S[1], Step.REOPEN), (0, Step.RESET)]


def test_timeouts_while_it_climbs_hurry_nothing() -> None:
    ladder = Ladder(ALL)
    silent(ladder, 0.0)
    ladder.poll(0.0)
    for second in range(10):
        ladder.timed_out(float(second))
        assert ladder.next_due() == RUNGS[0].budget_s


def test_pauses_grow_and_are_bounded() -> None:
    ladder = Ladder(ALL)
    silent(ladder, 0.0)
    tops = [at_s for at_s, step in climb(ladder, 20_000) if step is Step.REOPEN]
    round_s = sum(rung.budget_s for rung in RUNGS)
    pauses = [after - before - round_s for before, after in pairwise(tops)]
    assert pauses[:4] == list(PAUSES_S[1:])
    assert set(pauses[4:]) == {PAUSES_S[-1]}


@given(st.sets(st.sampled_from(Step)), st.lists(st.tuples(st.floats(0, 100), st.sampled_from("tps")), max_size=60))
def test_steps_come_in_order_and_never_before_their_time(available: set[Step], events: list[tuple[float, str]]) -> None:
    rungs = [rung for rung in RUNGS if rung.step in available]
    ladder, now, expected = Ladder(available), 0.0, 0
    earliest = 0.0
    for after_s, what in events:
        now += after_s
        if what == "t":
            ladder.timed_out(now)
        elif what == "s":
            now += RELAPSE_S + 1
            ladder.succeeded(now)
            now += RELAPSE_S + 1
            expected, earliest = 0, now
            assert ladder.next_due() is None
        elif (step := ladder.poll(now)) is not None:
            rung = rungs[expected % len(rungs)]
            assert step is rung.step
            assert now >= earliest
            expected, earliest = expected + 1, now + rung.budget_s


@pytest.mark.parametrize("available", [frozenset[Step](), frozenset({Step.CYCLE})])
def test_a_board_that_can_do_little(available: frozenset[Step]) -> None:
    ladder = Ladder(available, rungs=(Rung(Step.REOPEN, 1), Rung(Step.CYCLE, 2)), pauses_s=(0, 5))
    silent(ladder, 0.0)
    assert [step for _, step in climb(ladder, 8)] == [Step.CYCLE] * (2 if available else 0)
