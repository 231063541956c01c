"""How an update goes through devices: arithmetic, and stories in any order."""

import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bondmate_sim.gateway import rollout
from bondmate_sim.gateway.rollout import DeviceState, Member, Plan, Step

DAY_MS = 24 * 3600 * 1000
PLAN = Plan(batch=4, overdue_ms=7 * DAY_MS, tolerated_percent=5)


def members(count: int) -> list[Member]:
    return [Member(number.to_bytes(4, "big")) for number in range(count)]


def told(member: Member, now_ms: int = 0, *, done: bool = False, failed: bool = False) -> Member:
    return dataclasses.replace(member, sent_ms=now_ms, done=done, failed=failed)


def test_a_batch_begins_when_the_one_before_has_ended() -> None:
    fleet = members(6)
    assert rollout.step(PLAN, fleet, 0).send == tuple(each.device for each in fleet[:4])
    under_way = [*(told(each, done=True) for each in fleet[:3]), told(fleet[3]), *fleet[4:]]
    assert rollout.step(PLAN, under_way, 1) == Step()
    ended = [*(told(each, done=True) for each in fleet[:4]), *fleet[4:]]
    assert rollout.step(PLAN, ended, 1).send == tuple(each.device for each in fleet[4:])


def test_a_device_with_another_update_under_way_is_told_later() -> None:
    fleet = members(6)
    fleet[1] = dataclasses.replace(fleet[1], busy=True)
    assert fleet[1].device not in rollout.step(PLAN, fleet, 0).send
    assert len(rollout.step(PLAN, fleet, 0).send) == 4


def test_one_that_says_nothing_in_time_is_overdue_and_may_still_be_done() -> None:
    (member,) = members(1)
    sent = told(member, 5)
    assert rollout.state(PLAN, sent, 5 + PLAN.overdue_ms - 1) is DeviceState.SENT
    assert rollout.state(PLAN, sent, 5 + PLAN.overdue_ms) is DeviceState.OVERDUE
    assert rollout.state(PLAN, dataclasses.replace(sent, done=True), 5 + PLAN.overdue_ms) is DeviceState.DONE
    assert rollout.is_over(PLAN, [sent], 5 + PLAN.overdue_ms)
    assert not rollout.is_over(PLAN, [sent], 5)


def stops(failed: int, done: int, plan: Plan = PLAN, waiting: int = 10) -> str | None:
    fleet = members(failed + done + waiting)
    return rollout.step(
        plan,
        [
            *(told(each, failed=True) for each in fleet[:failed]),
            *(told(each, done=True) for each in fleet[failed : failed + done]),
            *fleet[failed + done :],
        ],
        1,
    ).stop


def test_one_failure_stops_nothing_and_two_of_the_first_few_do() -> None:
    assert stops(1, 0) is None
    assert stops(2, 0) == "2 of 2 devices that were told failed or are overdue; more than 5 % is too many"
    assert stops(2, 37) is not None
    assert stops(2, 38) is None, "5 of a hundred is not more than that"
    assert stops(3, 38) is not None
    assert stops(1, 99, dataclasses.replace(PLAN, tolerated_percent=0)) is not None
    assert stops(100, 0, dataclasses.replace(PLAN, tolerated_percent=100)) is None


def test_silence_stops_it_as_failures_do() -> None:
    fleet = [*(told(each) for each in members(6)[:4]), *members(6)[4:]]
    assert rollout.step(PLAN, fleet, PLAN.overdue_ms - 1) == Step()
    assert rollout.step(PLAN, fleet, PLAN.overdue_ms).stop is not None


def test_what_failed_before_somebody_let_it_go_on_counts_no_more() -> None:
    fleet = [told(each, failed=True) for each in members(4)]
    pardoned = [dataclasses.replace(each, pardoned=True) for each in fleet]
    late = members(6)[4:]
    assert rollout.step(PLAN, [*pardoned, *late], 1).send == tuple(each.device for each in late)
    again = [told(each, failed=True) for each in late]
    assert rollout.step(PLAN, [*pardoned, *again], 1).stop is not None


class Story(RuleBasedStateMachine):
    """A force of devices that answer, fail, say nothing or are taken out, and a person who stops and goes on."""

    @initialize(count=st.integers(1, 12), batch=st.integers(1, 5), tolerated=st.sampled_from([0, 5, 20, 100]))
    def begin(self, count: int, batch: int, tolerated: int) -> None:
        self.plan = Plan(batch, overdue_ms=100, tolerated_percent=tolerated)
        self.fleet = members(count)
        self.order = [each.device for each in self.fleet]
        self.now_ms = 0
        self.stopped = False
        self.sent: list[bytes] = []

    def change(self, device: bytes, **changed: bool) -> None:
        self.fleet = [
            dataclasses.replace(each, **changed) if each.device == device else each  # type: ignore[arg-type]
            for each in self.fleet
        ]

    @rule()
    def step(self) -> None:
        if self.stopped:
            return
        what = rollout.step(self.plan, self.fleet, self.now_ms)
        if what.stop is not None:
            assert what.send == ()
            self.stopped = True
        assert len(what.send) <= self.plan.batch
        under_way = [each for each in self.fleet if self.state(each) is DeviceState.SENT]
        assert not (what.send and under_way), "a batch began before the one before had ended"
        for device in what.send:
            (member,) = (each for each in self.fleet if each.device == device)
            assert member.sent_ms is None, "nobody is told twice"
            assert not member.busy, "no device has two updates at once"
            self.sent.append(device)
        self.fleet = [
            dataclasses.replace(each, sent_ms=self.now_ms) if each.device in what.send else each for each in self.fleet
        ]

    @rule(data=st.data(), done=st.booleans())
    def answer(self, data: st.DataObject, done: bool) -> None:
        told_ones = [each.device for each in self.fleet if each.sent_ms is not None]
        if told_ones:
            self.change(data.draw(st.sampled_from(told_ones)), done=done, failed=not done)

    @rule(data=st.data(), busy=st.booleans())
    def meet_another_rollout(self, data: st.DataObject, busy: bool) -> None:
        if self.fleet:
            self.change(data.draw(st.sampled_from([each.device for each in self.fleet])), busy=busy)

    @rule(data=st.data())
    def revoke(self, data: st.DataObject) -> None:
        if self.fleet:
            gone = data.draw(st.sampled_from([each.device for each in self.fleet]))
            self.fleet = [each for each in self.fleet if each.device != gone]

    @rule(later_ms=st.integers(1, 150))
    def wait(self, later_ms: int) -> None:
        self.now_ms += later_ms

    @rule()
    def stop(self) -> None:
        self.stopped = True

    @precondition(lambda self: self.stopped)
    @rule()
    def resume(self) -> None:
        self.fleet = [
            dataclasses.replace(each, pardoned=each.pardoned or rollout.is_bad(self.plan, each, self.now_ms))
            for each in self.fleet
        ]
        self.stopped = False

    def state(self, member: Member) -> DeviceState:
        return rollout.state(self.plan, member, self.now_ms)

    @invariant()
    def each_was_told_once_and_in_order_of_its_place(self) -> None:
        assert len(set(self.sent)) == len(self.sent)

    def teardown(self) -> None:
        """With nobody who fails any more, each device that is left gets it in the end."""
        if not hasattr(self, "fleet"):
            return
        self.resume()
        for _ in range(4 * len(self.order)):
            self.now_ms += 1
            self.fleet = [
                dataclasses.replace(each, busy=False, done=each.done or each.sent_ms == self.now_ms - 1)
                for each in self.fleet
            ]
            self.step()
            if self.stopped:
                self.resume()
            self.now_ms += self.plan.overdue_ms if any(map(self.is_old, self.fleet)) else 0
        assert all(each.sent_ms is not None for each in self.fleet)

    def is_old(self, member: Member) -> bool:
        return self.state(member) is DeviceState.SENT and member.sent_ms != self.now_ms


Story.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestStory = Story.TestCase


@given(st.integers(1, 60), st.integers(1, 20))
def test_where_nobody_fails_each_device_gets_it_in_as_many_batches_as_it_takes(count: int, batch: int) -> None:
    plan, fleet, batches = Plan(batch, 100, 5), members(count), 0
    while not rollout.is_over(plan, fleet, batches):
        what = rollout.step(plan, fleet, batches)
        assert what.stop is None
        fleet = [told(each, batches, done=True) if each.device in what.send else each for each in fleet]
        batches += 1
    assert batches == -(-count // batch)
