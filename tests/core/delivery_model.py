"""A model of the queue that hypothesis drives beside the real one: what may be done to it, and what it must then hold.

It knows the rules (docs of daemon/core/delivery.py) and the core's public face; it shares no code with the core.
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bondmate.core.delivery import FAIR_TURN, PRIORITY, Delivery, DeliveryPolicy, Waiting
from bondmate.core.places import Channel
from bondmate.core.queued import Transmit
from bondmate.core.routes import Route
from bondmate.core.surplus import GAP_RECORDS, RULES
from bondmate.records import DeviceId, Kind, Moment, RecordId, SessionId, SignedRecord, Stream

POLICY = DeliveryPolicy()
BEARERS = ("ip", "lte")
PLACES = {Channel.ALERT: 4, Channel.ROUTINE: 1}
PLACES_WITH_FRESH = 8
FOR_A_PRESS = (Stream.ALERT, Stream.POSITION, Stream.REPORT)
WRITTEN_OFF = {Channel.ALERT: 8, Channel.ROUTINE: 1}
BEFORE, NOW = SessionId(bytes(6)), SessionId(b"\0\0\0\0\0\1")
"""The sessions: one that left records behind, and the one that runs."""
SLACK_S = 1e-6
_SERIAL = count(1)


def record(stream: Stream = Stream.ALERT, session: SessionId = NOW) -> SignedRecord:
    number = next(_SERIAL)
    identity = RecordId(DeviceId(bytes(4)), session, stream, number)
    return SignedRecord(identity, Kind.PANIC, b"", number.to_bytes(16), None)


def channel_of(signed: SignedRecord) -> Channel:
    return Channel.ALERT if signed.id.stream is Stream.ALERT else Channel.ROUTINE


def cap_s(signed: SignedRecord) -> float:
    return POLICY.alert_cap_s if channel_of(signed) is Channel.ALERT else POLICY.routine_cap_s


@dataclass(eq=False)
class Queued:
    """What is known of a record that is in the queue."""

    record: SignedRecord
    born_s: float
    waits_since_s: float
    stored: Moment | None
    fresh: bool
    """Whether no younger alert had been tried when it was queued."""
    parked: bool = False
    attempts: int = 0
    failures: int = 0
    retrying: bool = True
    """Whether its next attempt is a retry (or its first), and none that is to start beside another."""
    carriers: set[str] = field(default_factory=set)
    failed_s: dict[str, float] = field(default_factory=dict)

    @property
    def urgency(self) -> tuple[int, float]:
        return PRIORITY[self.record.id.stream], -self.born_s


@dataclass(frozen=True)
class Flight:
    """A transmission that the bearer has not reported yet, and what it was of: perhaps no longer in the queue."""

    order: Transmit
    of: Queued
    started_s: float

    @property
    def place(self) -> tuple[str, Channel]:
        return self.order.bearer, channel_of(self.order.record)

    @property
    def hung_s(self) -> float:
        return self.order.deadline_s + POLICY.hung_s


class DeliveryMachine(RuleBasedStateMachine):
    """Everything that the device may do to the core, beside what it must then hold."""

    make: Callable[[DeliveryPolicy, Sequence[Route], random.Random], Delivery] = Delivery

    @initialize(bearers=st.integers(1, 2), seed=st.integers(0, 100))
    def begin(self, bearers: int, seed: int) -> None:
        self.bearers = BEARERS[:bearers]
        self.core = type(self).make(POLICY, [Route(bearer) for bearer in self.bearers], random.Random(seed))
        self.now = 1000.0
        self.on_duty, self.alert_open = True, False
        self.older_s = 0.0
        """How much older the device turned out to be."""
        self.queue: dict[bytes, Queued] = {}
        self.flights: dict[int, Flight] = {}
        self.written_off: set[int] = set()
        """The numbers of flights that hold no place any more."""
        self.landed: list[Transmit] = []
        self.rests: list[tuple[tuple[str, Channel], float]] = []
        self.tried: list[Queued] = []
        """Every alert that was ever tried."""
        self.unfair = dict.fromkeys(Channel, 0)
        """How many attempts in a row went to others than who had waited longest."""
        self.urgent = dict.fromkeys(Channel, 0)
        """How many attempts in a row went to the most urgent."""

    # --- what may happen -----------------------------------------------------------------------------

    @rule(stream=st.sampled_from(Stream), stored=st.booleans())
    def submit(self, stream: Stream, stored: bool) -> None:
        """A record that was made just now."""
        self._submit(record(stream), self.now + self.older_s, stored=stored)

    @rule()
    def press(self) -> None:
        self._submit(record(), self.now + self.older_s, stored=True)
        self._poll()

    @rule(many=st.integers(2, 12))
    def press_often(self, many: int) -> None:
        """Presses whose commits return together."""
        for _ in range(many):
            self.now += 0.1
            self._submit(record(), self.now + self.older_s, stored=True)

    @rule(stream=st.sampled_from([Stream.ALERT, Stream.ALERT, Stream.POSITION, Stream.STATE]), many=st.integers(2, 12))
    def page_in(self, stream: Stream, many: int) -> None:
        """What an earlier session left, the newest first."""
        for _ in range(many):
            self._submit(record(stream, BEFORE), -float(next(_SERIAL)), stored=True)

    def _submit(self, new: SignedRecord, born_s: float, *, stored: bool) -> None:
        moment = Moment(born_s, None) if stored else None
        self.core.submit(new, self.now, stored=moment, born_s=born_s)
        is_youngest = bool(self.tried) and born_s >= max(each.born_s for each in self.tried)
        fresh = is_youngest and channel_of(new) is Channel.ALERT
        self.queue[new.digest] = Queued(new, born_s, self.now, moment, fresh)

    @rule()
    def submit_again(self) -> None:
        before = self.core.snapshot(self.now)
        for queued in self.queue.values():
            self.core.submit(queued.record, self.now, stored=None, born_s=0.0)
        assert self.core.snapshot(self.now) == before, "it had left the queue"

    @precondition(lambda self: self.queue)
    @rule(data=st.data(), utc_ms=st.none() | st.integers(0, 9))
    def commit(self, data: st.DataObject, utc_ms: int | None) -> None:
        queued = self._any(data)
        queued.stored = Moment(self.now, utc_ms)
        self.core.mark_stored(queued.record.digest, queued.stored)

    @rule()
    def lose_the_store(self) -> None:
        self.core.unstore()
        for queued in self.queue.values():
            queued.stored = None

    @rule(seconds=st.floats(0, 1e6))
    def turn_out_older(self, seconds: float) -> None:
        self.older_s += seconds
        for queued in {*self.queue.values(), *self.tried}:
            if queued.record.id.session == NOW:
                queued.born_s += seconds
        self.core.move(NOW, seconds)

    @rule(on_duty=st.booleans(), alert_open=st.booleans())
    def duty(self, on_duty: bool, alert_open: bool) -> None:
        """A shift or an alert began or ended."""
        self.on_duty, self.alert_open = on_duty, alert_open
        self.core.regime(on_duty=on_duty, alert_open=alert_open)
        self._poll()

    @precondition(lambda self: self.queue)
    @rule(data=st.data(), again=st.booleans())
    def receipt(self, data: st.DataObject, again: bool) -> None:
        queued = self._any(data)
        del self.queue[queued.record.digest]
        self.core.remove(queued.record.digest)
        if again:  # the store did not know of the receipt, and pages the record in once more
            self._submit(queued.record, queued.born_s, stored=True)

    @precondition(lambda self: self.queue)
    @rule(data=st.data())
    def refusal(self, data: st.DataObject) -> None:
        """The gateway does not want it: it is kept, and not sent again."""
        queued = self._any(data)
        queued.parked, queued.retrying = True, False
        self.core.park(queued.record.digest, "refused")
        assert self._row_of(queued.record.digest).why == "refused"

    @precondition(lambda self: self.flights)
    @rule(data=st.data())
    def bearer_brings_the_receipt(self, data: st.DataObject) -> None:
        flight = self.flights[data.draw(st.sampled_from(sorted(self.flights)))]
        if self.queue.pop(flight.order.record.digest, None) is not None:
            self.core.remove(flight.order.record.digest)
        before = self.core.snapshot(self.now)
        self.core.succeeded(flight.order, self.now)
        self._land(flight)
        self.rests = [(place, until_s) for place, until_s in self.rests if place[0] != flight.order.bearer]
        again = self._write_off(flight.order.bearer, {Channel.ALERT})
        for old, new in zip(before, self.core.snapshot(self.now), strict=True):
            hangs = old.record.digest in again and not self._rests(old.record)
            assert new.next_try_s == (0.0 if hangs else old.next_try_s), "what hangs is not sent again"
        self._poll()

    @precondition(lambda self: self.flights)
    @rule(data=st.data())
    def bearer_reports(self, data: st.DataObject) -> None:
        flight = self.flights[data.draw(st.sampled_from(sorted(self.flights)))]
        written_off = flight.order.number in self.written_off
        row = self._row(flight.of)
        before_s = None if row is None else row.next_try_s
        retrying = flight.of.retrying
        self.core.failed(flight.order, "no answer", self.now)
        self._land(flight)
        if (row := self._row(flight.of)) is None or self._rests(row.record):
            return
        if written_off or flight.of.parked:
            assert row.next_try_s == before_s, "a report changed what it was not about"
        else:
            longest_s = min(POLICY.backoff_s * 2 ** (flight.of.failures - 1), cap_s(flight.of.record))
            bound_s = longest_s * (1 + POLICY.jitter)
            least_s = longest_s * (1 - POLICY.jitter)
            if self._has_fresh_way(flight.of):  # there is no reason to wait
                bound_s = least_s = 0.0
            elif retrying and before_s is not None:  # an earlier failure's retry is not put off by this one
                bound_s, least_s = min(bound_s, before_s), min(least_s, before_s)
            assert row.next_try_s is not None, "it is not tried again"
            assert least_s - SLACK_S <= row.next_try_s <= bound_s + SLACK_S, "a wait that no rule gives"

    @precondition(lambda self: self.landed)
    @rule(data=st.data())
    def a_report_of_no_flight(self, data: st.DataObject) -> None:
        """A bearer that reports late, or twice, changes nothing."""
        order = data.draw(st.sampled_from(self.landed[-8:]))
        before = self.core.snapshot(self.now), self.core.next_due()
        self.core.failed(order, "late", self.now)
        assert (self.core.snapshot(self.now), self.core.next_due()) == before, "a report changed what it was not about"

    @rule(data=st.data())
    def reachable(self, data: st.DataObject) -> None:
        bearer = data.draw(st.sampled_from(self.bearers))
        before = self.core.snapshot(self.now)
        self.core.reachable(bearer, self.now)
        for queued in self.queue.values():
            queued.failed_s.pop(bearer, None)
        self._write_off(bearer, set(Channel))
        for old, new in zip(before, self.core.snapshot(self.now), strict=True):
            retrying = self.queue[old.record.digest].retrying and not self._rests(old.record)
            assert new.next_try_s == (0.0 if retrying else old.next_try_s), "what waits is not due"
        self._poll()

    @rule(seconds=st.sampled_from([0.0, 0.2, 1.0, POLICY.race_after_s]) | st.floats(0, 60))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self._poll()

    @rule()
    def polled_when_due(self) -> None:
        """Never in vain: something is sent or given up, or there is another, later time."""
        due = self.core.next_due()
        idle = all(queued.parked or self._rests(queued.record) for queued in self.queue.values())
        assert (due is None) == (not self.flights and idle), "it lost sight of something"
        if due is not None:
            self.now = max(self.now, due)
            flights = dict(self.flights)
            orders = self._poll()
            assert orders or self.flights != flights, "asked in vain"

    @rule(age_s=st.sampled_from([0.0, 3600.0, 13 * 3600.0, 25 * 3600.0]))
    def thin(self, age_s: float) -> None:
        """The surplus leaves the queue, named by a gap record."""
        dropped = self.core.surplus(self.now + self.older_s + age_s)
        assert len(dropped) <= GAP_RECORDS
        for each in dropped:
            queued = self.queue.pop(each.record.digest)
            assert each.record.id.stream in RULES, "what may never go was dropped"
            assert all(flight.of is not queued for flight in self.flights.values()), "what is in flight was dropped"
            self.core.remove(each.record.digest)

    # --- what must hold --------------------------------------------------------------------------------

    def _poll(self) -> list[Transmit]:
        rows = self.core.snapshot(self.now)
        due = [self.queue[row.record.digest] for row in rows if row.next_try_s == 0]
        for flight in [flight for flight in self.flights.values() if self.now >= flight.hung_s]:
            counts = flight.order.number not in self.written_off
            if counts and not flight.of.retrying and flight.of in due:
                due.remove(flight.of)  # it was to start beside this flight; now it waits as after any failure
            self._land(flight)
            waits = counts and flight.of not in due and not self._rests(flight.of.record)
            if waits and self._has_fresh_way(flight.of):
                due.append(flight.of)
        orders = self.core.poll(self.now)
        for order in orders:
            self._check_start(order, due)
        for queued in due:
            assert not self._ways(queued), "idle with work to do"
        following = self.core.next_due()
        assert following is None or following > self.now, "what is due was not done"
        return orders

    def _check_start(self, order: Transmit, due: list[Queued]) -> None:
        queued = self.queue[order.record.digest]
        assert queued in due, "it was not due"
        assert order.number not in self.flights
        assert order.deadline_s == self.now + POLICY.attempt_s
        ways = self._ways(queued)
        assert order.bearer not in queued.carriers, "the same bearer twice"
        assert order.bearer in ways, "more exchanges than a bearer takes"
        assert order.bearer == min(ways, key=lambda way: queued.failed_s.get(way, -math.inf)), "not the better bearer"
        self._check_turn(queued, due)
        due.remove(queued)
        channel = channel_of(queued.record)
        if channel is Channel.ALERT:
            self.tried.append(queued)
        self.flights[order.number] = Flight(order, queued, self.now)
        queued.carriers.add(order.bearer)
        queued.attempts += 1
        queued.waits_since_s = self.now
        queued.retrying = False

    def _check_turn(self, queued: Queued, due: list[Queued]) -> None:
        channel = channel_of(queued.record)
        ready = [each for each in due if channel_of(each.record) is channel and self._ways(each)]
        if fresh := [each for each in ready if self._is_fresh(each)]:
            assert queued in fresh, "a fresh press was left behind"
            assert queued.born_s == max(each.born_s for each in fresh), "an older press went first"
            return
        is_urgent = queued.urgency == min(each.urgency for each in ready)
        is_longest = queued.waits_since_s == min(each.waits_since_s for each in ready)
        assert is_urgent or is_longest, "out of order"
        self.unfair[channel] = 0 if is_longest else self.unfair[channel] + 1
        assert self.unfair[channel] < FAIR_TURN, "whoever waits longest never has a turn"
        assert is_urgent or self.urgent[channel] >= FAIR_TURN - 1, "a lesser record went first"
        self.urgent[channel] = self.urgent[channel] + 1 if is_urgent else 0

    def _is_fresh(self, queued: Queued) -> bool:
        return queued.fresh and queued.attempts == 0

    def _ways(self, queued: Queued) -> list[str]:
        channel = channel_of(queued.record)
        return [
            bearer
            for bearer in self.bearers
            if bearer not in queued.carriers
            and (
                self._flying(bearer, channel) < PLACES_WITH_FRESH
                if self._is_fresh(queued)
                else self._flying(bearer, channel) + self._resting(bearer, channel) < PLACES[channel]
            )
        ]

    def _has_fresh_way(self, queued: Queued) -> bool:
        """Whether a bearer has a place for it that has not failed it yet; what was landed last is known by then."""
        waits = self.queue.get(queued.record.digest) is queued and not queued.parked
        return waits and any(way not in queued.failed_s for way in self._ways(queued))

    def _flying(self, bearer: str, channel: Channel) -> int:
        return sum(
            flight.place == (bearer, channel) and number not in self.written_off
            for number, flight in self.flights.items()
        )

    def _resting(self, bearer: str, channel: Channel) -> int:
        return sum(place == (bearer, channel) and until_s > self.now for place, until_s in self.rests)

    def _write_off(self, bearer: str, channels: set[Channel]) -> set[bytes]:
        """What hangs over a bearer that works gives its place away; the digests of what is due now for that."""
        again = set()
        for number, flight in sorted(self.flights.items(), reverse=True):
            channel = channel_of(flight.order.record)
            hangs = number not in self.written_off and self.now >= flight.started_s + POLICY.race_after_s
            beside = sum(self.flights[each].place == flight.place for each in self.written_off)
            if flight.order.bearer == bearer and channel in channels and hangs and beside < WRITTEN_OFF[channel]:
                self.written_off.add(number)
                flight.of.carriers.discard(bearer)
                flight.of.failed_s.pop(bearer, None)
                if not flight.of.parked:
                    flight.of.retrying = True
                    if self.queue.get(flight.order.record.digest) is flight.of:
                        again.add(flight.order.record.digest)
        return again

    def _land(self, flight: Flight) -> None:
        del self.flights[flight.order.number]
        self.landed.append(flight.order)
        if flight.order.number in self.written_off:
            self.written_off.remove(flight.order.number)
            return
        queued = flight.of
        queued.carriers.discard(flight.order.bearer)
        if self.queue.get(queued.record.digest) is queued and not queued.parked:
            open_now = [each for each in self.queue.values() if not each.parked and not self._rests(each.record)]
            rivals = sum(channel_of(each.record) is channel_of(queued.record) for each in open_now)
            rest_s = POLICY.backoff_s * (4 if rivals > PLACES[channel_of(queued.record)] else 1)
            self.rests.append((flight.place, self.now + rest_s))
            queued.failures += 1
            queued.failed_s[flight.order.bearer] = self.now
            queued.retrying = True

    def _rests(self, signed: SignedRecord) -> bool:
        if self.on_duty:
            return False
        return signed.id.stream is Stream.PRESENCE or not (self.alert_open or signed.id.stream in FOR_A_PRESS)

    def _any(self, data: st.DataObject) -> Queued:
        return self.queue[data.draw(st.sampled_from(sorted(self.queue)))]

    def _row(self, queued: Queued) -> Waiting | None:
        """How the queue shows it; None when it has left, whatever else has its digest now."""
        digest = queued.record.digest
        return self._row_of(digest) if self.queue.get(digest) is queued else None

    def _row_of(self, digest: bytes) -> Waiting:
        rows = [row for row in self.core.snapshot(self.now) if row.record.digest == digest]
        assert rows, "it left without a receipt"
        return rows[0]

    @invariant()
    def nothing_leaves_without_a_receipt(self) -> None:
        rows = self.core.snapshot(self.now)
        assert {row.record.digest for row in rows} == set(self.queue), "it left without a receipt"
        assert len(self.queue) == sum(self.core.counts().values())
        to_send = [each for each in self.queue.values() if not each.parked and not self._rests(each.record)]
        assert self.core.has_work() == bool(to_send), "it does not know whether it needs a bearer"
        assert all(self.core.find(digest) is queued.record for digest, queued in self.queue.items())

    @invariant()
    def the_queue_shows_what_is_going_on(self) -> None:
        rows = self.core.snapshot(self.now)
        assert [row.priority for row in rows] == sorted(row.priority for row in rows), "out of order"
        for row in rows:
            queued = self.queue[row.record.digest]
            assert row.in_flight == bool(queued.carriers), "a report changed what it was not about"
            assert row.attempts == queued.attempts
            if self._rests(row.record):
                assert row.next_try_s is None, "it does not wait for a shift"
            elif queued.retrying:
                assert row.next_try_s is not None
                assert row.next_try_s <= cap_s(row.record) * (1 + POLICY.jitter) + SLACK_S, "it waits too long"
            elif (
                not queued.parked
                and channel_of(row.record) is Channel.ALERT
                and len(queued.carriers) < len(self.bearers)
            ):
                assert row.next_try_s is not None, "no other bearer will be tried beside a slow one"
                assert row.next_try_s <= POLICY.race_after_s + SLACK_S, "the other bearer is tried too late"
            else:
                assert row.next_try_s is None

    @invariant()
    def it_knows_what_is_stored(self) -> None:
        assert all(row.stored == self.queue[row.record.digest].stored for row in self.core.snapshot(self.now))
        unstored = [queued for queued in self.queue.values() if queued.stored is None]
        unstored.sort(key=lambda queued: queued.born_s)
        assert self.core.unstored() == [queued.record for queued in unstored], "it forgot what is not stored"
