"""The queue against a model of it, under any order of records, answers, failures, hung bearers and time."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count, pairwise

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bondmate.core.delivery import CAPACITY, PRIORITY, Channel, Delivery, DeliveryPolicy, Transmit, Waiting
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


def channel_of(signed: SignedRecord) -> Channel:
    return Channel.ALERT if signed.id.stream is Stream.ALERT else Channel.ROUTINE


@dataclass(frozen=True)
class Flight:
    """A transmission that the bearer has not reported yet."""

    order: Transmit
    attempt: int

    @property
    def place(self) -> tuple[str, Channel]:
        return self.order.bearer, channel_of(self.order.record)

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
        self.stored: dict[bytes, int | None] = {}
        self.tried_s: dict[bytes, float] = {}
        self.flights: dict[bytes, Flight] = {}

    @rule(stream=st.sampled_from(Stream), stored=st.booleans(), at_ms=st.none() | st.integers(0, 9))
    def submit(self, stream: Stream, stored: bool, at_ms: int | None) -> None:
        new = record(stream)
        if stored:
            self.core.submit(new, self.now, stored=True, stored_at_ms=at_ms)
            self.stored[new.digest] = at_ms
        else:
            self.core.submit(new, self.now, stored=False)
        self.queued[new.digest] = new

    @rule(stream=st.sampled_from([Stream.ALERT, Stream.STATE]), count=st.integers(2, 9))
    def submit_many(self, stream: Stream, count: int) -> None:
        for _ in range(count):
            self.submit(stream, stored=True, at_ms=None)

    @rule()
    def submit_again(self) -> None:
        before = self.core.snapshot(self.now)
        for queued in self.queued.values():
            self.core.submit(queued, self.now, stored=False)
        assert self.core.snapshot(self.now) == before, "it had left the queue"

    @precondition(lambda self: self.queued)
    @rule(data=st.data(), at_ms=st.none() | st.integers(0, 9))
    def commit(self, data: st.DataObject, at_ms: int | None) -> None:
        digest = data.draw(st.sampled_from(sorted(self.queued)))
        self.core.mark_stored(digest, at_ms)
        self.stored[digest] = at_ms

    @precondition(lambda self: self.queued)
    @rule(data=st.data())
    def receipt(self, data: st.DataObject) -> None:
        digest = data.draw(st.sampled_from(sorted(self.queued)))
        del self.queued[digest]
        self.core.remove(digest)

    @precondition(lambda self: self.flights)
    @rule(data=st.data())
    def bearer_reports(self, data: st.DataObject) -> None:
        digest = data.draw(st.sampled_from(sorted(self.flights)))
        flight = self.flights.pop(digest)
        self.core.failed(digest, flight.order.bearer, "no answer", self.now)
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
        flight = self.flights.get(digest)
        if flight is None or flight.order.bearer != bearer:
            before = self.core.snapshot(self.now)
            self.core.failed(digest, bearer, "late", self.now)
            assert self.core.snapshot(self.now) == before, "a report changed what it was not about"

    @rule()
    def reachable(self) -> None:
        before = self.core.snapshot(self.now)
        self.core.reachable(self.now)
        due_now = [row if row.in_flight else replace(row, next_try_s=0.0) for row in before]
        assert self.core.snapshot(self.now) == due_now
        self.poll()

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
        for digest, flight in list(self.flights.items()):
            if self.now >= flight.hung_s:
                del self.flights[digest]
        before = {row.record.digest: row for row in self.core.snapshot(self.now)}
        tried_s = dict(self.tried_s)
        orders = self.core.poll(self.now)
        for order in orders:
            digest = order.record.digest
            assert digest in self.queued
            assert digest not in self.flights, "one attempt of a record at a time"
            assert order.deadline_s == self.now + POLICY.attempt_s
            flight = Flight(order, before[digest].attempts + 1)
            for preferred in self.bearers[: self.bearers.index(order.bearer)]:
                assert self.full(preferred, flight.place[1]), "a bearer that is preferred had room"
            assert not self.full(*flight.place), "more exchanges than a bearer takes"
            self.flights[digest] = flight
            self.tried_s[digest] = self.now
        self.check_order(orders, tried_s)
        due = self.core.next_due()
        assert due is None or due > self.now, "what is due was not done"
        return orders

    def full(self, bearer: str, channel: Channel) -> bool:
        return sum(flight.place == (bearer, channel) for flight in self.flights.values()) == CAPACITY[channel]

    def check_order(self, orders: list[Transmit], tried_s: dict[bytes, float]) -> None:
        def turn(each: SignedRecord) -> tuple[int, float, int]:
            return PRIORITY[each.id.stream], tried_s.get(each.digest, -math.inf), -each.id.sequence

        turns = [turn(order.record) for order in orders]
        assert turns == sorted(turns), "out of order"
        for channel in Channel:
            sent = [turn(order.record) for order in orders if channel_of(order.record) is channel]
            rows = [row for row in self.core.snapshot(self.now) if channel_of(row.record) is channel]
            if left := [turn(row.record) for row in rows if row.next_try_s == 0]:
                assert all(self.full(bearer, channel) for bearer in self.bearers), "idle with work to do"
                assert not sent or max(sent) < min(left), "a lesser record went first"

    def check_wait(self, row: Waiting, attempt: int) -> None:
        longest = min(POLICY.backoff_s * 2 ** (attempt - 1), cap_s(row.record))
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
            row.next_try_s is None or row.next_try_s <= cap_s(row.record) * (1 + POLICY.jitter) + 1e-9 for row in rows
        )

    @invariant()
    def it_knows_what_is_stored(self) -> None:
        rows = self.core.snapshot(self.now)
        assert all(row.stored == (row.record.digest in self.stored) for row in rows)
        assert all(row.stored_at_ms == self.stored.get(row.record.digest) for row in rows)
        assert self.core.unstored() == [each for each in self.queued.values() if each.digest not in self.stored], (
            "it left without a receipt, or without its commit"
        )

    @invariant()
    def the_queue_is_shown_with_the_most_urgent_first(self) -> None:
        rows = self.core.snapshot(self.now)
        assert rows == sorted(rows, key=lambda row: (row.priority, row.record.id.sequence)), "out of order"


def cap_s(signed: SignedRecord) -> float:
    return POLICY.alert_cap_s if channel_of(signed) is Channel.ALERT else POLICY.routine_cap_s


DeliveryMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestDelivery = DeliveryMachine.TestCase


class Outage:
    """A time in which no attempt succeeds: each fails after `lasts()` seconds, or is never reported (None)."""

    def __init__(self, core: Delivery, lasts: Callable[[], float | None]) -> None:
        self.core = core
        self.now = 0.0
        self.sent: list[tuple[float, SignedRecord]] = []
        self._lasts = lasts
        self._ends: list[tuple[float, Transmit]] = []

    def until(self, end_s: float) -> None:
        """Drive the core as the device does."""
        while True:
            for order in self.core.poll(self.now):
                self.sent.append((self.now, order.record))
                if (seconds := self._lasts()) is not None:
                    self._ends.append((self.now + seconds, order))
            due = self.core.next_due()
            following = min([at for at, _ in self._ends] + ([] if due is None else [due]), default=math.inf)
            if following > end_s:
                self.now = end_s
                return
            self.now = max(self.now, following)
            for ended in [each for each in self._ends if each[0] <= self.now]:
                self._ends.remove(ended)
                self.core.failed(ended[1].record.digest, ended[1].bearer, "no answer", self.now)

    @property
    def in_flight(self) -> int:
        return sum(row.in_flight for row in self.core.snapshot(self.now))


def fails(seed: int) -> Callable[[], float | None]:
    """Attempts that end sooner, later and never, in an order that `seed` gives."""
    rng = random.Random(seed)
    return lambda: rng.choice([None, 0.0, 0.2, rng.uniform(0, POLICY.attempt_s)])


def stale(core: Delivery, count: int) -> list[SignedRecord]:
    """Alerts that an earlier session left."""
    alerts = [record() for _ in range(count)]
    for alert in alerts:
        core.submit(alert, 0.0, stored=True)
    return alerts


def test_a_fresh_alert_and_its_cancellation_go_out_at_once_beside_stale_ones_that_are_never_answered() -> None:
    core = delivery()
    old = stale(core, 3)
    assert {order.record.digest for order in core.poll(0.0)} == {each.digest for each in old}
    fresh = record()
    core.submit(fresh, 0.5, stored=True)
    assert core.next_due() == 0.5
    assert core.poll(0.5) == [Transmit(fresh, "ip", 0.5 + POLICY.attempt_s)]
    fifth = record()
    core.submit(fifth, 0.6, stored=True)
    assert core.poll(0.6) == [], "four at once, and no more"
    core.failed(old[0].digest, "ip", "no answer", 0.7)
    assert [order.record for order in core.poll(0.7)] == [fifth]


@given(seed=st.integers(0, 2**32), pressed_s=st.floats(0, 600), count=st.integers(1, 12))
@example(seed=0, pressed_s=300.0, count=6)
def test_a_fresh_alert_goes_before_every_stale_one_and_at_once_when_there_is_room(
    seed: int, pressed_s: float, count: int
) -> None:
    core = delivery(seed=seed)
    stale(core, count)
    outage = Outage(core, fails(seed))
    outage.until(pressed_s)
    room = outage.in_flight < CAPACITY[Channel.ALERT]
    before = len(outage.sent)
    fresh = record()
    core.submit(fresh, pressed_s, stored=True)
    outage.until(pressed_s + POLICY.attempt_s + POLICY.hung_s)
    sent_s, first = outage.sent[before]
    assert first is fresh, "a stale one went first"
    assert not room or sent_s == pressed_s


def longest_gap_s(outage: Outage, alerts: list[SignedRecord], until_s: float) -> float:
    """How long any of the alerts went without a try."""
    outage.until(until_s)
    tries = {alert.digest: [0.0] for alert in alerts}
    for at, tried in outage.sent:
        tries[tried.digest].append(at)
    return max(after - before for times in tries.values() for before, after in pairwise([*times, until_s]))


def patience_s(count: int) -> float:
    """Its own attempt and wait, and then one attempt of every other alert before it, four of them at a time."""
    attempt_s = POLICY.attempt_s + POLICY.hung_s
    turns = math.ceil(count / CAPACITY[Channel.ALERT])
    return attempt_s + POLICY.alert_cap_s * (1 + POLICY.jitter) + turns * attempt_s


@given(seed=st.integers(0, 2**32), count=st.integers(1, 12))
def test_no_alert_starves_in_an_outage(seed: int, count: int) -> None:
    core = delivery(seed=seed)
    alerts = stale(core, count)
    assert longest_gap_s(Outage(core, fails(seed)), alerts, 900.0) <= patience_s(count)


def test_no_alert_starves_though_no_attempt_is_ever_reported() -> None:
    core = delivery()
    alerts = stale(core, 12)
    assert longest_gap_s(Outage(core, lambda: None), alerts, 900.0) <= patience_s(12)


class NewestFirst(Delivery):
    """Broken on purpose: the newest goes first even when it was tried just now."""

    def poll(self, now: float) -> list[Transmit]:
        for entry in self._entries.values():
            entry.last_try_s = -math.inf
        return super().poll(now)


def test_with_the_newest_always_first_the_oldest_would_starve() -> None:
    """The control of the two tests above."""
    core = NewestFirst(POLICY, ("ip",), random.Random(0))
    alerts = stale(core, 12)
    assert longest_gap_s(Outage(core, lambda: None), alerts, 900.0) > patience_s(12)


def test_what_waits_is_due_when_the_gateway_is_reachable_again_and_what_is_under_way_goes_on() -> None:
    core = Delivery(DeliveryPolicy(backoff_s=8.0), ("ip",), random.Random(0))
    waiting, under_way, routine = record(), record(), record(Stream.STATE)
    core.submit(waiting, 0.0, stored=True)
    core.submit(routine, 0.0, stored=True)
    core.poll(0.0)
    core.failed(waiting.digest, "ip", "no answer", 1.0)
    core.failed(routine.digest, "ip", "no answer", 1.0)
    core.submit(under_way, 2.0, stored=True)
    core.poll(2.0)
    assert core.poll(2.5) == []
    core.reachable(2.5)
    assert core.next_due() == 2.5
    assert [order.record for order in core.poll(2.5)] == [waiting, routine]
    core.reachable(2.6)
    assert core.poll(2.6) == []


def test_an_alert_goes_before_all_else_and_beside_what_is_under_way() -> None:
    core = delivery()
    routine = [record(Stream.REPORT), record(Stream.STATE), record(Stream.POSITION)]
    for each in routine:
        core.submit(each, 0.0, stored=True)
    [order] = core.poll(0.0)
    assert order == Transmit(routine[2], "ip", POLICY.attempt_s)
    alert = record()
    core.submit(alert, 1.0, stored=True)
    assert core.next_due() == 1.0
    assert core.poll(1.0) == [Transmit(alert, "ip", 1.0 + POLICY.attempt_s)]


def test_what_one_bearer_cannot_take_goes_over_the_next_and_then_waits() -> None:
    core = delivery("ip", "lte")
    newest_first = stale(core, 9)[::-1]
    orders = core.poll(0.0)
    assert [order.record for order in orders] == newest_first[:8]
    assert [order.bearer for order in orders] == ["ip"] * 4 + ["lte"] * 4
    assert core.next_due() == POLICY.attempt_s + POLICY.hung_s


@pytest.mark.parametrize(
    ("stream", "waits"), [(Stream.ALERT, [1, 2, 4, 8, 8, 8, 8, 8]), (Stream.STATE, [1, 2, 4, 8, 16, 30, 30, 30])]
)
def test_waits_double_up_to_the_cap(stream: Stream, waits: list[float]) -> None:
    core = Delivery(DeliveryPolicy(jitter=0.0), ("ip",), random.Random(0))
    one = record(stream)
    core.submit(one, 0.0, stored=True)
    seen, now = [], 0.0
    for _ in waits:
        assert core.poll(now) != []
        core.failed(one.digest, "ip", "no answer", now)
        due = core.next_due()
        assert due is not None
        seen.append(due - now)
        now = due
    assert seen == pytest.approx(waits)


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
    """The exchange is still under way: one more would be one too many."""
    core = delivery()
    first, second = record(Stream.STATE), record(Stream.STATE)
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
    fresh = Waiting(alert, 0, False, False, None, 0, 0.0, None, "not tried yet")
    assert core.snapshot(10.0) == [fresh]
    core.mark_stored(alert.digest, 1234)
    core.poll(10.0)
    why = "waiting for the gateway's answer over ip"
    assert core.snapshot(10.0) == [Waiting(alert, 0, True, True, 1234, 1, None, "ip", why)]
    core.failed(alert.digest, "ip", "no answer over ip", 12.0)
    [row] = core.snapshot(12.0)
    assert (row.in_flight, row.attempts, row.bearer, row.why) == (False, 1, "ip", "no answer over ip")
    [later] = core.snapshot(1000.0)
    assert later.next_try_s == 0.0


def test_a_record_that_is_not_queued_can_be_marked_removed_and_failed_without_effect() -> None:
    core = delivery()
    unknown = record()
    core.mark_stored(unknown.digest, 1234)
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
        self._flights.pop(digest, None)


class Floods(Delivery):
    """Broken on purpose: a bearer takes any number of exchanges."""

    def _free(self, channel: Channel) -> str:
        return self._bearers[0]


class Buries(Delivery):
    """Broken on purpose: what is new waits behind what was tried before."""

    def submit(self, record: SignedRecord, now: float, *, stored: bool, stored_at_ms: int | None = None) -> None:
        super().submit(record, now, stored=stored, stored_at_ms=stored_at_ms)
        entry = self._entries[record.digest]
        entry.last_try_s = now if entry.attempts == 0 else entry.last_try_s


class Trusts(Delivery):
    """Broken on purpose: a bearer that does not report is waited for, for ever."""

    def poll(self, now: float) -> list[Transmit]:
        flights, self._flights = self._flights, {}
        held = {digest: flight for digest, flight in flights.items() if now >= flight.until_s + POLICY.hung_s}
        self._flights = {digest: flight for digest, flight in flights.items() if digest not in held}
        orders = super().poll(now) if not held else []
        self._flights |= held
        return orders


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        (Forgets, "it left without a receipt|it had left the queue|a report changed"),
        (Doubles, "more exchanges than a bearer takes|it lost sight of something"),
        (Floods, "more exchanges than a bearer takes"),
        (Buries, "a lesser record went first|out of order"),
        (NewestFirst, "a lesser record went first|out of order"),
        (Trusts, "what is due was not done|idle with work to do"),
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
            settings=settings(max_examples=200, stateful_step_count=30, derandomize=True, phases=[Phase.generate]),
        )
