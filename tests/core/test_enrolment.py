"""When a device asks for its keys, whatever the gateway and the network do."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate.core.enrolment import APPROVAL_S, FIRST_RETRY_S, RETRY_CAP_S, Enrolment, Phase, Step, Verdict

START_S = 1000.0
ENDS = (Verdict.OTHER_KEY, Verdict.VOID)


class Highest(Random):
    """Waits as long as may be."""

    def uniform(self, a: float, b: float) -> float:
        return b


def fresh() -> Enrolment:
    return Enrolment(Highest(), START_S)


def test_it_asks_at_once_then_exchanges_keys_and_is_enrolled() -> None:
    core = fresh()
    assert core.begin(START_S) is Step.ASK
    assert core.next_due() is None
    core.answered(Verdict.TAKEN, START_S + 1)
    assert core.begin(START_S + 1) is Step.REKEY
    core.rekeyed()
    assert core.phase is Phase.ENROLLED
    assert core.next_due() is None


def test_while_a_human_compares_it_asks_every_ten_seconds() -> None:
    core, now = fresh(), START_S
    for _ in range(500):
        assert core.begin(now) is Step.ASK
        core.answered(Verdict.WAITING, now)
        assert core.phase is Phase.WAITING
        assert core.begin(now + APPROVAL_S - 0.1) is None
        now += APPROVAL_S
    assert core.begin(now) is Step.ASK
    core.answered(Verdict.TAKEN, now)
    assert core.begin(now) is Step.REKEY


@pytest.mark.parametrize("verdict", ENDS)
def test_a_refusal_ends_it(verdict: Verdict) -> None:
    core = fresh()
    core.begin(START_S)
    core.answered(verdict, START_S)
    assert core.phase is Phase.REFUSED
    assert core.next_due() is None
    assert core.begin(START_S + 1e6) is None


def test_waits_grow_to_a_minute_and_no_further() -> None:
    core, now, waits = fresh(), START_S, []
    for _ in range(2000):
        assert core.begin(now) is Step.ASK
        core.failed(now)
        due = core.next_due()
        assert due is not None
        waits.append(due - now)
        now = due
    assert waits[:6] == [FIRST_RETRY_S, 4, 8, 16, 32, RETRY_CAP_S]
    assert set(waits[5:]) == {RETRY_CAP_S}


def test_an_exchange_that_always_fails_is_not_tried_at_full_speed_though_the_key_is_taken_each_time() -> None:
    core, now, wait_s = fresh(), START_S, 0.0
    for _ in range(6):
        assert core.begin(now) is Step.ASK
        core.answered(Verdict.TAKEN, now)
        assert core.begin(now) is Step.REKEY
        core.failed(now)
        due = core.next_due()
        assert due is not None
        wait_s, now = due - now, due
    assert wait_s == RETRY_CAP_S


def test_devices_that_were_switched_on_at_once_do_not_ask_at_once() -> None:
    dues = set()
    for seed in range(40):
        core = Enrolment(Random(seed), START_S)
        core.begin(START_S)
        core.failed(START_S)
        dues.add(core.next_due())
    assert len(dues) == 40


EVENTS = st.lists(st.one_of(st.sampled_from(Verdict), st.sampled_from(["failed", "rekeyed"])), max_size=60)


@given(seed=st.integers(0, 2**32), events=EVENTS, lasts_s=st.lists(st.floats(0, 100), min_size=60, max_size=60))
def test_whatever_happens_something_is_due_within_a_minute_or_it_has_ended(
    seed: int, events: list[Verdict | str], lasts_s: list[float]
) -> None:
    core, now = Enrolment(Random(seed), START_S), START_S
    for event, s in zip(events, lasts_s, strict=False):
        due = core.next_due()
        if core.phase in (Phase.REFUSED, Phase.ENROLLED):
            assert due is None
            assert core.begin(now + 1e9) is None
            return
        assert due is not None
        assert due <= now + RETRY_CAP_S
        now = max(now, due)
        step = core.begin(now)
        assert step is not None
        assert core.begin(now + 1e9) is None, "one step at a time"
        now += s
        if event == "failed":
            core.failed(now)
            assert core.next_due() is not None
        elif step is Step.REKEY:
            core.rekeyed() if event == "rekeyed" else core.failed(now)
        elif isinstance(event, Verdict):
            core.answered(event, now)
        else:
            core.failed(now)
        # the device is enrolled by a key exchange alone, and that follows a key that was taken
        is_enrolled: bool = getattr(core, "phase") is Phase.ENROLLED  # noqa: B009 - for mypy it is what it was above
        assert is_enrolled == (step is Step.REKEY and event == "rekeyed")
