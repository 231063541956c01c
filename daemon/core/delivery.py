"""Which record goes over which bearer, and when. Pure: `now` is the monotonic clock in seconds.

The core owns the queue, the retries and the deadlines; a bearer only carries what it is given. Nothing leaves the queue
but by a verified receipt, or because a gap record names it: errors slow down, they never end.
"""

import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from bondmate.core.places import CAPACITY, Channel, Places
from bondmate.core.queued import Flight, Queued, Transmit
from bondmate.core.routes import Gates, Route, again_s
from bondmate.core.surplus import RULES, in_one_gap, surplus
from bondmate.records import Moment, SessionId, SignedRecord, Stream, Surplus

FAIR_TURN = 4
"""Every so many-th exchange of a channel goes to the record that has waited longest for one, whatever its class: a
record that is never answered cannot keep others from their turn."""

CROWD_RESTS = 4
"""A place that failed rests so many times longer while more records wait than there are places: a long queue and a
gateway that answers all with errors make no flood, and what needs not wait for others does not wait for this either."""

PRIORITY = {
    Stream.ALERT: 0,
    Stream.POSITION: 1,
    Stream.STATE: 2,
    Stream.HEALTH: 3,
    Stream.PRESENCE: 4,
    Stream.REPORT: 5,
}
"""Lower goes first."""

FOR_A_PRESS = frozenset({Stream.ALERT, Stream.POSITION, Stream.REPORT})
"""What is sent off duty too: alerts, the positions that were recorded while one was open, and what came of a self-test,
whose person pressed the button for it and waits."""


RESTS = "waits for the next shift: off duty only what a press needs is sent"


@dataclass(frozen=True, slots=True)
class DeliveryPolicy:
    """The times of delivery, in seconds."""

    attempt_s: float = 22.0
    """A confirmable exchange gives up after 14 to 21 s (ACK_TIMEOUT 2 s, two retransmissions): never cut one short."""
    backoff_s: float = 1.0
    """After the first failed attempt: most losses are single datagrams. And the rest that a failure gives to its place,
    CROWD_RESTS times as long in a crowd."""
    alert_cap_s: float = 8.0
    """No alert waits longer between two tries, jitter aside, for ever."""
    routine_cap_s: float = 30.0
    """The same for everything else; a whole outage costs a handful of datagrams a minute."""
    jitter: float = 0.25
    """Spread of each wait, so that a town of devices does not knock in step after an outage."""
    hung_s: float = 5.0
    """A bearer that does not report within this after the attempt's end is written off for that attempt."""
    race_after_s: float = 4.0
    """An alert without an answer after this goes over the next bearer too: a first datagram and its first
    retransmission (after 2 to 3 s) had their chance. And over the same one again, when that turns out to work."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """One row of the queue, for people. `next_try_s` is in seconds from now; None: not before something is reported."""

    record: SignedRecord
    priority: int
    in_flight: bool
    stored: Moment | None
    attempts: int
    next_try_s: float | None
    bearer: str | None
    """The last that was tried."""
    why: str


class Delivery:
    """The queue of records that have no verified receipt yet, as far as they are in memory."""

    def __init__(self, policy: DeliveryPolicy, routes: Sequence[Route], rng: random.Random) -> None:
        """`routes` in order of preference."""
        self._policy = policy
        self._gates = Gates(routes)
        self._routes = self._gates.routes
        self._rng = rng
        self._numbers = count(1)
        self._entries: dict[bytes, Queued] = {}
        """By digest: what a receipt names."""
        self._flights: dict[int, Flight] = {}
        """By number, until the bearer reports."""
        self._places = {channel: {bearer: Places(channel) for bearer in self._routes} for channel in Channel}
        self._turns = Counter[Channel]()
        self._urged: set[bytes] = set()
        """Digests of what is sent off duty too: the gateway waits for it."""
        self._youngest: Queued | None = None
        """The youngest alert that was ever tried."""
        self._on_duty = True
        self._press_alone = False
        """Off duty, and no alert is open: nothing is sent but what a press needs."""

    def regime(self, *, on_duty: bool, alert_open: bool) -> None:
        """What the device is there for now."""
        self._on_duty, self._press_alone = on_duty, not on_duty and not alert_open
        self._gates.alert_open = alert_open

    def unwanted(self) -> list[Transmit]:
        """The attempts under way that nothing needs now, to be broken off.

        Also those of records that are settled, where each attempt costs, and no answer could come of it.
        """
        return [
            flight.order
            for flight in self._flights.values()
            if self._rests(flight.of)
            or not (self._routes[flight.order.bearer].answers or self.is_open(flight.order.record.digest))
        ]

    # --- the queue ---------------------------------------------------------------------------------

    def submit(self, record: SignedRecord, now: float, *, stored: Moment | None, born_s: float) -> None:
        """Queue a record; it is due at once. A record that is already queued stays as it is.

        `stored` is when its commit returned, None while it is only in memory; `born_s` is the device's lifetime when
        it was made.
        """
        fresh = record.id.stream is Stream.ALERT and self._youngest is not None and born_s >= self._youngest.born_s
        queued = Queued(record, born_s, stored, since_s=now, due_s=now, waits_since_s=now, fresh=fresh)
        self._entries.setdefault(record.digest, queued)

    def find(self, digest: bytes) -> SignedRecord | None:
        """The queued record with that digest."""
        entry = self._entries.get(digest)
        return None if entry is None else entry.record

    def is_open(self, digest: bytes) -> bool:
        """Whether the record is queued, and to be sent."""
        entry = self._entries.get(digest)
        return entry is not None and not entry.parked

    def has_work(self) -> bool:
        """Whether anything is to be sent, now or later."""
        return any(not entry.parked and not self._rests(entry) for entry in self._entries.values())

    def urge(self, digest: bytes) -> None:
        """The record, queued or about to be, is sent off duty too: it answers an order of the gateway."""
        self._urged.add(digest)

    def park(self, digest: bytes, why: str) -> None:
        """Keep the record in the queue, and never send it again; `why` is for people.

        For what the gateway refused: that may have been a mistake, so a receipt may still come.
        """
        if entry := self._entries.get(digest):
            entry.parked, entry.racing, entry.due_s, entry.why = True, False, math.inf, why

    def parked(self, stream: Stream) -> int:
        """How many records of a stream are queued and never sent again."""
        return sum(entry.parked and entry.record.id.stream is stream for entry in self._entries.values())

    def mark_stored(self, digest: bytes, moment: Moment) -> None:
        """The record was committed after it was queued."""
        if entry := self._entries.get(digest):
            entry.stored = moment

    def unstored(self) -> list[SignedRecord]:
        """The records that are only in memory, oldest first."""
        entries = [entry for entry in self._entries.values() if entry.stored is None]
        return [entry.record for entry in sorted(entries, key=lambda entry: entry.born_s)]

    def unstore(self) -> None:
        """The store was opened anew and may be a fresh one: nothing counts as stored until it is committed again."""
        for entry in self._entries.values():
            entry.stored = None

    def move(self, session: SessionId, seconds: float) -> None:
        """The device turned out to be so much older than was known in this session: so were its records made later."""
        for entry in {*self._entries.values(), self._youngest}:
            if entry is not None and entry.record.id.session == session:
                entry.born_s += seconds

    def remove(self, digest: bytes) -> None:
        """The record has a verified receipt, or a gap names it. A bearer that still carries it stays busy with it."""
        self._entries.pop(digest, None)
        self._urged.discard(digest)

    def surplus(self, lifetime_s: float) -> list[Surplus]:
        """What is not worth its place any more, as much as one gap record can name; nothing that is in flight."""
        streams: dict[Stream, list[Queued]] = {stream: [] for stream in RULES}
        for entry in self._entries.values():
            if entry.record.id.stream in streams:
                streams[entry.record.id.stream].append(entry)
        found: list[Surplus] = []
        for entries in streams.values():
            entries.sort(key=lambda entry: (entry.born_s, entry.record.id.sequence))
            waiting = [(entry.record, entry.born_s) for entry in entries]
            found += surplus(waiting, lifetime_s, on_duty=self._on_duty)
        flying = {flight.order.record.digest for flight in self._flights.values()}
        return in_one_gap(each for each in found if each.record.digest not in flying)

    def counts(self) -> dict[Stream, int]:
        """How many records of each stream are queued."""
        return Counter(entry.record.id.stream for entry in self._entries.values())

    def snapshot(self, now: float) -> list[Waiting]:
        """The queue, the most urgent class first, in each the oldest first."""
        return [
            Waiting(
                record=entry.record,
                priority=_priority(entry),
                in_flight=bool(entry.carriers),
                stored=entry.stored,
                attempts=entry.attempts,
                next_try_s=None if entry.due_s == math.inf or self._rests(entry) else max(0.0, entry.due_s - now),
                bearer=entry.bearer,
                why=RESTS if self._rests(entry) else entry.why,
            )
            for entry in sorted(self._entries.values(), key=lambda entry: (_priority(entry), entry.born_s))
        ]

    # --- sending -----------------------------------------------------------------------------------

    def failed(self, order: Transmit, why: str, now: float) -> None:
        """That attempt ended; a record that is still to be sent waits for the next. `why` is for people.

        A report that comes too late, or twice, changes nothing.
        """
        if order.number in self._flights:
            self._land(order.number, why, now)

    def succeeded(self, order: Transmit, now: float) -> None:
        """The gateway's answer to that attempt settled the record: `is_open` is False now.

        So the bearer works: alerts that it carries without an answer for long are sent over it once more.
        """
        self.failed(order, "the answer did not name it", now)
        for places in self._places.values():
            places[order.bearer].succeeded()
        self._write_off(order.bearer, {Channel.ALERT}, now)

    def handed_over(self, order: Transmit, now: float) -> None:
        """The network took it, on a route without answers: that is not delivered, and not failed either."""
        if order.number not in self._flights:
            return
        entry = self._flights[order.number].of
        taken = entry.taken[order.bearer] = entry.taken.get(order.bearer, 0) + 1
        entry.not_before_s[order.bearer] = now + again_s(taken)
        self._land(order.number, f"taken by the network over {order.bearer}; no receipt yet", now, rest=False)

    def unfit(self, order: Transmit, why: str, now: float) -> None:
        """The bearer can never take it."""
        if order.number in self._flights:
            self._flights[order.number].of.not_before_s[order.bearer] = math.inf
            self._land(order.number, why, now, rest=False)

    def reachable(self, bearer: str, now: float) -> None:
        """A bearer works again, or has a new way to the gateway: whatever waits for its next try is due now, over it.

        So is what that bearer carries without an answer for long.
        """
        self._gates.reachable(bearer)
        for entry in self._entries.values():
            entry.failed_s.pop(bearer, None)
            if not (entry.racing or entry.parked):
                entry.due_s = min(entry.due_s, now)
        self._write_off(bearer, set(Channel), now)

    def poll(self, now: float) -> list[Transmit]:
        """What to send now: fresh presses first; then by turns, mostly the most urgent class and in it the newest.

        The newest, for somebody may have pressed just now.
        """
        for order in [flight.order for flight in self._flights.values()]:
            if now >= order.deadline_s + self._policy.hung_s:
                self._land(order.number, f"{order.bearer} did not report in time", now)
        due = [entry for entry in reversed(self._entries.values()) if entry.due_s <= now and not self._rests(entry)]
        due.sort(key=lambda entry: (_priority(entry), -entry.born_s))
        fresh = [entry for entry in due if entry.fresh]
        orders = [self._start(entry, ways, now) for entry in fresh if (ways := self._ways(entry, now))]
        for channel in Channel:
            orders += self._take_turns(channel, [entry for entry in due if entry.channel is channel], now)
        return orders

    def next_due(self) -> float | None:
        """When `poll` has something to do next, if nothing is reported before."""
        next_s = (
            min((flight.order.deadline_s for flight in self._flights.values()), default=math.inf) + self._policy.hung_s
        )
        for entry in self._entries.values():
            if entry.due_s < next_s and not self._rests(entry):
                way_s = min((self._way_s(entry, bearer) for bearer in self._routes), default=math.inf)
                next_s = min(next_s, max(entry.due_s, way_s))
        return None if next_s == math.inf else next_s

    def _take_turns(self, channel: Channel, due: list[Queued], now: float) -> list[Transmit]:
        """Fill the places. `due` has the most urgent first."""
        orders: list[Transmit] = []
        if not due or self._free_s(channel) > now:
            return orders
        most_urgent_first = iter(due)
        longest_wait_first = iter(sorted(due, key=lambda entry: entry.waits_since_s))
        while True:
            fair = self._turns[channel] % FAIR_TURN == FAIR_TURN - 1
            # places only fill up here: who finds none now finds none later in the same poll
            for entry in longest_wait_first if fair else most_urgent_first:
                if entry.due_s <= now and (ways := self._ways(entry, now)):
                    orders.append(self._start(entry, ways, now))
                    self._turns[channel] += 1
                    break
            else:
                return orders

    def _free_s(self, channel: Channel) -> float:
        """When any bearer has a place for what is not fresh."""
        return min((places.free_s() for places in self._places[channel].values()), default=math.inf)

    def _way_s(self, entry: Queued, bearer: str) -> float:
        """When a bearer has a place for it and may take it, if nothing is reported before."""
        allowed_s = self._allowed_s(entry, bearer)
        if not self._routes[bearer].answers and any(places[bearer].flying for places in self._places.values()):
            return math.inf  # one at a time, for it is one modem
        return max(allowed_s, self._places[entry.channel][bearer].free_s(fresh=entry.fresh))

    def _allowed_s(self, entry: Queued, bearer: str) -> float:
        """When a bearer may take it, if it has a place."""
        if bearer in entry.carriers:
            return math.inf
        opens_s = self._gates.opens_s(bearer, entry.record.id.stream, entry.since_s)
        return max(opens_s, entry.not_before_s.get(bearer, -math.inf))

    def _opens_s(self, entry: Queued, now: float) -> float:
        """When the next bearer that it must not take yet may take it: no retry, and no race, puts that off."""
        allowed_s = (self._allowed_s(entry, bearer) for bearer in self._routes)
        return min((each for each in allowed_s if each > now), default=math.inf)

    def _ways(self, entry: Queued, now: float) -> list[str]:
        """The bearers that have a place for it now, in order of preference."""
        return [bearer for bearer in self._routes if self._way_s(entry, bearer) <= now]

    def _start(self, entry: Queued, ways: list[str], now: float) -> Transmit:
        """Start an attempt over the bearer that did not fail it for the longest time."""
        bearer = min(ways, key=lambda way: entry.failed_s.get(way, -math.inf))
        route, stream = self._routes[bearer], entry.record.id.stream
        order = Transmit(entry.record, bearer, now + (route.attempt_s or self._policy.attempt_s), next(self._numbers))
        self._gates.taken(bearer, stream, now)
        self._flights[order.number] = Flight(order, entry, now)
        self._places[entry.channel][bearer].flying += 1
        if entry.channel is Channel.ALERT and (self._youngest is None or entry.born_s >= self._youngest.born_s):
            self._youngest = entry
        entry.carriers.add(bearer)
        entry.fresh = False
        entry.attempts += 1
        entry.waits_since_s = now
        entry.bearer = bearer
        entry.why = f"waiting for the gateway's answer over {bearer}"
        can_race = entry.channel is Channel.ALERT and len(entry.carriers) < len(self._routes)
        race_s = now + self._policy.race_after_s if can_race else math.inf
        entry.racing, entry.due_s = True, min(race_s, self._opens_s(entry, now))
        return order

    def _rests(self, entry: Queued) -> bool:
        """Whether it waits for a shift, or an alert."""
        stream = entry.record.id.stream
        if entry.parked or self._on_duty or entry.record.digest in self._urged:
            return False
        # where an officer was on duty is nobody's business any more, whatever happens later
        return stream is Stream.PRESENCE or (self._press_alone and stream not in FOR_A_PRESS)

    def _is_crowded(self, channel: Channel) -> bool:
        waiting = sum(
            entry.channel is channel and not entry.parked and not self._rests(entry) for entry in self._entries.values()
        )
        return waiting > CAPACITY[channel]

    def _write_off(self, bearer: str, channels: set[Channel], now: float) -> None:
        """The bearer works: what it carries without an answer for long may go over it again, the latest first."""
        if not self._routes[bearer].answers:
            return
        for flight in reversed(self._flights.values()):
            entry, places = flight.of, self._places[flight.of.channel][bearer]
            if (
                flight.order.bearer == bearer
                and entry.channel in channels
                and now >= flight.started_s + self._policy.race_after_s
                and not flight.written_off
                and places.write_off()
            ):
                flight.written_off = True
                entry.carriers.discard(bearer)
                entry.failed_s.pop(bearer, None)
                if not entry.parked:
                    entry.racing, entry.due_s = False, now
                    entry.why = f"no answer over {bearer}, though that works"

    def _land(self, number: int, why: str, now: float, *, rest: bool = True) -> None:
        flight = self._flights.pop(number)
        order, entry, policy = flight.order, flight.of, self._policy
        places = self._places[entry.channel][order.bearer]
        if flight.written_off:
            places.written_off -= 1
            return
        places.flying -= 1
        entry.carriers.discard(order.bearer)
        if entry.parked or self._entries.get(order.record.digest) is not entry:
            return
        if rest:
            places.rest(now, policy.backoff_s * (CROWD_RESTS if self._is_crowded(entry.channel) else 1))
            self._gates.failed(order.bearer, now)
        entry.failed_s[order.bearer] = now
        cap_s = policy.alert_cap_s if entry.channel is Channel.ALERT else policy.routine_cap_s
        wait_s = min(policy.backoff_s * 2 ** min(entry.failures, 16), cap_s)
        retry_s = now + wait_s * self._rng.uniform(1 - policy.jitter, 1 + policy.jitter)
        if any(way not in entry.failed_s for way in self._ways(entry, now)):
            retry_s = now  # no reason to wait: there is a way that has not failed it yet
        retry_s = min(retry_s, self._opens_s(entry, now))
        entry.failures += 1
        entry.due_s = retry_s if entry.racing else min(entry.due_s, retry_s)
        entry.racing = False
        entry.why = why


def _priority(entry: Queued) -> int:
    return PRIORITY[entry.record.id.stream]
