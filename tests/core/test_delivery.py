"""The queue against a model of it, under any order of records, answers, failures, hung bearers and time."""

import random
from dataclasses import dataclass
from itertools import count

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bondmate.core.delivery import PRIORITY, Channel, Delivery, DeliveryPolicy, Transmit, Waiting
from bondmate.records import DeviceId, Kind, RecordId, SessionId, SignedRecord, Stream

POLICY = DeliveryPolicy()
BEARERS = ("ip", "lte")
_SERIAL = count(1)


def record(stream: Stream = Stream.ALERT) -> SignedRecord:
    number = next(_SERIAL)
    identity = RecordId(DeviceId(bytes(4)), SessionId(bytes(6)), stream, number)
    return SignedRecord(identity, Kind.PANIC, b"", number.to_bytes(16), None)


def delivery(*bearers: str, seed: int = 0) -> Delivery:
    return Delivery(POLICY, bearers or ("ip",), random.Random(seed))


def channel_of(waiting: Waiting) -> Channel:
    return Channel.ALERT if waiting.record.id.stream is Stream.ALERT else Channel.ROUTINE


@dataclass(frozen=True)
class Flight:
    """A transmission that the bearer has not reported yet."""

    order: Transmit
    attempt: int

    @property
    def hung_s(self) -> float:
        return self.order.deadline_s + POLICY.hung_s


class DeliveryMachine(RuleBasedStateMachine):
    """Everything that device.py may do to the core, beside what it must then hold."""

    @initialize(bearers=st.integers(1, 2), seed=st.integers(0, 100))
    def begin(self, bearers: int, seed: int) -> None:
        self.bearers = BEARERS[:bearers]
        self.core = delivery(*self.bearers, seed=seed)
        self.now = 1000.0
        self.queued: dict[bytes, SignedRecord] = {}
        self.flights: dict[tuple[str, Channel], Flight] = {}

    @rule(stream=st.sampled_from(Stream))
    def submit(self, stream: Stream) -> None:
        new = record(stream)
        self.core.submit(new, self.now, stored=True)
        self.queued[new.digest] = new

    @rule()
    def submit_again(self) -> None:
        before = self.core.snapshot(self.now)
        for queued in self.queued.values():
            self.core.submit(queued, self.now, stored=False)
        assert self.core.snapshot(self.now) == before, "it had left the queue"

    @precondition(lambda self: self.queued)
    @rule(data=st.data())
    def receipt(self, data: st.DataObject) -> None:
        digest = data.draw(st.sampled_from(sorted(self.queued)))
        del self.queued[digest]
        self.core.remove(digest)

    @precondition(lambda self: self.flights)
    @rule(data=st.data())
    def bearer_reports(self, data: st.DataObject) -> None:
        place = data.draw(st.sampled_from(sorted(self.flights, key=str)))
        flight = self.flights.pop(place)
        digest = flight.order.record.digest
        self.core.failed(digest, place[0], "no answer", self.now)
        row = self.row(digest)
        assert (row is None) == (digest not in self.queued), "it left without a receipt"
        if row is not None:
            assert not row.in_flight
            self.check_wait(row, flight.attempt)

    @precondition(lambda self: self.queued)
    @rule(data=st.data(), bearer=st.sampled_from(BEARERS))
    def a_report_of_no_flight(self, data: st.DataObject, bearer: str) -> None:
        """A bearer that reports late, or twice, changes nothing."""
        digest = data.draw(st.sampled_from(sorted(self.queued)))
        if all(place[0] != bearer or flight.order.record.digest != digest for place, flight in self.flights.items()):
            before = self.core.snapshot(self.now)
            self.core.failed(digest, bearer, "late", self.now)
            assert self.core.snapshot(self.now) == before

    @rule(seconds=st.floats(0, 60))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.poll()

    @rule()
    def polled_when_due(self) -> None:
        """Never in vain: something is sent or given up, or there is another, later time."""
        due = self.core.next_due()
        assert (due is None) == (not self.queued and not self.flights), "it lost sight of something"
        if due is not None:
            self.now = max(self.now, due)
            flights = dict(self.flights)
            orders = self.poll()
            assert orders or self.flights != flights, "asked in vain"

    def poll(self) -> list[Transmit]:
        for place, flight in list(self.flights.items()):
            if self.now >= flight.hung_s:
                del self.flights[place]
        before = {row.record.digest: row for row in self.core.snapshot(self.now)}
        orders = self.core.poll(self.now)
        for order in orders:
            place = (order.bearer, order.channel)
            assert place not in self.flights, "one flight a bearer and channel"
            assert order.record.digest in self.queued
            assert order.channel is channel_of(before[order.record.digest])
            assert order.deadline_s == self.now + POLICY.attempt_s
            assert order.record.digest not in {flight.order.record.digest for flight in self.flights.values()}
            self.flights[place] = Flight(order, before[order.record.digest].attempts + 1)
        self.check_order(orders)
        due = self.core.next_due()
        assert due is None or due > self.now, "what is due was not done"
        return orders

    def check_order(self, orders: list[Transmit]) -> None:
        urgencies = [(PRIORITY[order.record.id.stream], order.record.id.sequence) for order in orders]
        assert urgencies == sorted(urgencies), "out of order"
        for channel in Channel:
            sent = [urgency for urgency, order in zip(urgencies, orders, strict=True) if order.channel is channel]
            left = [
                (row.priority, row.record.id.sequence)
                for row in self.core.snapshot(self.now)
                if channel_of(row) is channel and row.next_try_s == 0
            ]
            if left:
                assert all((bearer, channel) in self.flights for bearer in self.bearers), "idle with work to do"
                assert not sent or max(sent) < min(left), "a lesser record went first"

    def check_wait(self, row: Waiting, attempt: int) -> None:
        longest = min(POLICY.backoff_s * 2 ** (attempt - 1), POLICY.backoff_cap_s)
        assert row.next_try_s is not None
        assert row.next_try_s <= longest * (1 + POLICY.jitter) + 1e-9
        assert row.next_try_s >= longest * (1 - POLICY.jitter) - 1e-9

    def row(self, digest: bytes) -> Waiting | None:
        return next((row for row in self.core.snapshot(self.now) if row.record.digest == digest), None)

    @invariant()
    def nothing_leaves_without_a_receipt(self) -> None:
        rows = self.core.snapshot(self.now)
        assert {row.record.digest for row in rows} == set(self.queued), "it left without a receipt"
        assert all(self.core.find(digest) is queued for digest, queued in self.queued.items())
        assert all(
            row.next_try_s is None or row.next_try_s <= POLICY.backoff_cap_s * (1 + POLICY.jitter) for row in rows
        )

    @invariant()
    def the_queue_is_shown_with_the_most_urgent_first(self) -> None:
        rows = self.core.snapshot(self.now)
        assert rows == sorted(rows, key=lambda row: (row.priority, row.record.id.sequence)), "out of order"


DeliveryMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestDelivery = DeliveryMachine.TestCase


def test_an_alert_goes_before_all_else_and_beside_what_is_under_way() -> None:
    core = delivery()
    routine = [record(Stream.REPORT), record(Stream.STATE), record(Stream.POSITION)]
    for each in routine:
        core.submit(each, 0.0, stored=True)
    [order] = core.poll(0.0)
    assert order == Transmit(routine[2], "ip", Channel.ROUTINE, POLICY.attempt_s)
    alert = record()
    core.submit(alert, 1.0, stored=True)
    assert core.next_due() == 1.0
    assert core.poll(1.0) == [Transmit(alert, "ip", Channel.ALERT, 1.0 + POLICY.attempt_s)]


def test_a_second_alert_takes_the_second_bearer_and_a_third_waits() -> None:
    core = delivery("ip", "lte")
    alerts = [record(), record(), record()]
    for alert in alerts:
        core.submit(alert, 0.0, stored=True)
    assert [(order.record, order.bearer) for order in core.poll(0.0)] == [(alerts[0], "ip"), (alerts[1], "lte")]
    assert core.next_due() == POLICY.attempt_s + POLICY.hung_s


def test_waits_double_up_to_the_cap() -> None:
    core = Delivery(DeliveryPolicy(jitter=0.0), ("ip",), random.Random(0))
    alert = record()
    core.submit(alert, 0.0, stored=True)
    waits, now = [], 0.0
    for _ in range(8):
        assert core.poll(now) != []
        core.failed(alert.digest, "ip", "no answer", now)
        due = core.next_due()
        assert due is not None
        waits.append(due - now)
        now = due
    assert waits == pytest.approx([1, 2, 4, 8, 16, 30, 30, 30])


def test_ten_thousand_failures_overflow_nothing() -> None:
    core = delivery()
    alert = record()
    core.submit(alert, 0.0, stored=True)
    now = 0.0
    for _ in range(10_000):
        [_order] = core.poll(now)
        core.failed(alert.digest, "ip", "no answer", now)
        due = core.next_due()
        assert due is not None
        now = due
    [row] = core.snapshot(now)
    assert row.attempts == 10_000


@given(st.integers(0, 1000))
def test_devices_do_not_knock_in_step(seed: int) -> None:
    waits = []
    for each in (seed, seed + 1):
        core = delivery(seed=each)
        alert = record()
        core.submit(alert, 0.0, stored=True)
        core.poll(0.0)
        core.failed(alert.digest, "ip", "no answer", 0.0)
        waits.append(core.next_due())
    assert waits[0] != waits[1]


def test_a_hung_bearer_is_freed_and_its_record_goes_again() -> None:
    core = delivery()
    alert = record()
    core.submit(alert, 0.0, stored=True)
    core.poll(0.0)
    gives_up_s = POLICY.attempt_s + POLICY.hung_s
    assert core.next_due() == gives_up_s
    assert core.poll(gives_up_s - 0.001) == []
    assert core.poll(gives_up_s) == []
    [row] = core.snapshot(gives_up_s)
    assert (row.in_flight, row.why) == (False, "ip did not report in time")
    due = core.next_due()
    assert due is not None
    assert [order.record for order in core.poll(due)] == [alert]


def test_a_bearer_stays_busy_with_a_record_whose_receipt_came_another_way() -> None:
    """The exchange is still under way: a second one would wait behind it, unseen, in the bearer."""
    core = delivery()
    first, second = record(), record()
    core.submit(first, 0.0, stored=True)
    core.poll(0.0)
    core.remove(first.digest)
    core.submit(second, 1.0, stored=True)
    assert core.poll(1.0) == []
    core.failed(first.digest, "ip", "its receipt had come", 2.0)
    assert core.next_due() == 1.0
    assert [order.record for order in core.poll(2.0)] == [second]
    assert core.find(first.digest) is None


def test_the_queue_says_what_happened_to_each_record() -> None:
    core = delivery()
    alert = record()
    core.submit(alert, 10.0, stored=False)
    fresh = Waiting(alert, 0, False, False, 0, 0.0, None, "not tried yet")
    assert core.snapshot(10.0) == [fresh]
    core.mark_stored(alert.digest)
    core.poll(10.0)
    why = "waiting for the gateway's answer over ip"
    assert core.snapshot(10.0) == [Waiting(alert, 0, True, True, 1, None, "ip", why)]
    core.failed(alert.digest, "ip", "no answer over ip", 12.0)
    [row] = core.snapshot(12.0)
    assert (row.in_flight, row.attempts, row.bearer, row.why) == (False, 1, "ip", "no answer over ip")
    [later] = core.snapshot(1000.0)
    assert later.next_try_s == 0.0


def test_a_record_that_is_not_queued_can_be_marked_removed_and_failed_without_effect() -> None:
    core = delivery()
    unknown = record()
    core.mark_stored(unknown.digest)
    core.remove(unknown.digest)
    core.failed(unknown.digest, "ip", "late", 0.0)
    assert core.find(unknown.digest) is None
    assert core.snapshot(0.0) == []
    assert core.next_due() is None


def test_the_policy_does_not_cut_a_confirmable_exchange_short() -> None:
    """RFC 7252, section 4.8.2: MAX_TRANSMIT_WAIT with ACK_TIMEOUT 2 s, ACK_RANDOM_FACTOR 1.5, MAX_RETRANSMIT 2."""
    assert POLICY.attempt_s > 2.0 * (2 ** (2 + 1) - 1) * 1.5
    assert set(PRIORITY) == set(Stream), "every stream has its place"
    assert min(PRIORITY, key=lambda stream: PRIORITY[stream]) is Stream.ALERT


class Forgets(Delivery):
    """Broken on purpose: a record leaves the queue when its attempt fails."""

    def failed(self, digest: bytes, bearer: str, why: str, now: float) -> None:
        super().failed(digest, bearer, why, now)
        self.remove(digest)


class Doubles(Delivery):
    """Broken on purpose: a bearer is free again as soon as the record's receipt came."""

    def remove(self, digest: bytes) -> None:
        super().remove(digest)
        self._flights = {place: each for place, each in self._flights.items() if each.digest != digest}


class Starves(Delivery):
    """Broken on purpose: the newest first, and what is urgent has to wait."""

    def submit(self, record: SignedRecord, now: float, *, stored: bool) -> None:
        super().submit(record, now, stored=stored)
        self._entries[record.digest].order = -record.id.sequence


class Trusts(Delivery):
    """Broken on purpose: a bearer that does not report is waited for, for ever."""

    def poll(self, now: float) -> list[Transmit]:
        flights, self._flights = self._flights, {}
        held = {place: flight for place, flight in flights.items() if now >= flight.until_s + POLICY.hung_s}
        self._flights = {place: flight for place, flight in flights.items() if place not in held}
        orders = super().poll(now) if not held else []
        self._flights |= held
        return orders


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        (Forgets, "it left without a receipt|it had left the queue"),
        (Doubles, "one flight a bearer and channel|it lost sight of something"),
        (Starves, "a lesser record went first|out of order"),
        (Trusts, "what is due was not done"),
    ],
)
def test_the_model_catches_a_broken_queue(broken: type[Delivery], complaint: str) -> None:
    class BrokenMachine(DeliveryMachine):
        @initialize(bearers=st.integers(1, 2), seed=st.integers(0, 100))
        def begin(self, bearers: int, seed: int) -> None:
            super().begin(bearers, seed)
            self.core = broken(POLICY, self.bearers, random.Random(seed))

    with pytest.raises(AssertionError, match=complaint):
        run_state_machine_as_test(
            BrokenMachine,
            settings=settings(
                max_examples=200, stateful_step_count=30, deadline=None, derandomize=True, phases=[Phase.generate]
            ),
        )
