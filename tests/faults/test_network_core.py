"""The delivery core through bad weather: a device and a gateway on virtual time, and every datagram between them.

The exchanges are CoAP's (RFC 7252, with the times of the bearer `ip`); the gateway commits before it answers, knows a
record again by its digest, and sends a receipt once more when a record comes again. No sockets, no processes.
"""

import heapq
import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bondmate.core.delivery import Delivery, DeliveryPolicy
from bondmate.core.places import CAPACITY, Channel, Places
from bondmate.core.queued import Transmit
from bondmate.core.routes import Route
from bondmate.records import DeviceId, Kind, Moment, RecordId, SessionId, SignedRecord, Stream
from tests.faults import report

POLICY = DeliveryPolicy()
HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
ACK_TIMEOUT_S, ACK_RANDOM_FACTOR, MAX_RETRANSMIT = 2.0, 1.5, 2
SHORTEST_EXCHANGE_S = ACK_TIMEOUT_S * (2 ** (MAX_RETRANSMIT + 1) - 1)
DATAGRAMS_AN_EXCHANGE = 1 + MAX_RETRANSMIT

CROWD = CAPACITY[Channel.ALERT]
"""With more alerts than this in the queue or still carried by a bearer they wait for one another's places too."""
LONGEST_PAUSE_S = POLICY.alert_cap_s * (1 + POLICY.jitter)
OUTAGE_DATAGRAMS_AN_HOUR = DATAGRAMS_AN_EXCHANGE * sum(
    places * math.ceil(HOUR_S / (SHORTEST_EXCHANGE_S + POLICY.backoff_s) + 1) for places in CAPACITY.values()
)
"""What an outage costs at most over one bearer, however long the queue: 3,615. Each place is taken again when its
exchange gave up, 14 s or later, and it rested for a second. Each fresh press may add an exchange of its own."""


@dataclass(frozen=True)
class Weather:
    """What the network does to datagrams, until the last press is an hour old; then it is fine, unless it `lasts`."""

    loss: float = 0.0
    """The share of datagrams that are lost, each way."""
    twice: float = 0.0
    """The share that arrive twice."""
    delay_s: float = 0.1
    """A datagram takes up to this long, each another time: so they overtake one another."""
    rebind_s: float = math.inf
    """The mean time between changes of the device's address; answers to the old one are lost."""
    hung: float = 0.0
    """The share of exchanges whose end the bearer never reports."""
    outages: tuple[tuple[float, float], ...] = ()
    """From when to when nothing gets through, in seconds."""
    no_route: bool = False
    """In an outage exchanges fail at once."""
    restart_s: float = math.inf
    """The mean time between restarts of the gateway, each of which takes a minute."""
    second: float | None = None
    """The loss of a second bearer; None: there is none."""
    poison: bool = False
    """One record of each channel is never answered."""
    lasts: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    presses: int
    lost: int
    """Presses without a receipt at the end."""
    duplicated: int
    """Records that the gateway has more than once."""
    unproven: int
    """Records that left the queue though the gateway does not hold them."""
    left: int
    """Records in the queue at the end, without the poison."""
    longest_pause_s: float
    """Of an alert between two tries, while no more than CROWD alerts took places."""
    busiest_hour: int
    """Datagrams of the device, beyond those that fresh presses may add, over its busiest bearer."""


class World:
    """A device, a gateway, the network between them, and officers who press."""

    def __init__(self, seed: int, weather: Weather, core: type[Delivery]) -> None:
        self.now = 0.0
        self._rng = random.Random(seed)
        self._weather = weather
        self._bearers = {"ip": weather.loss} | ({} if weather.second is None else {"lte": weather.second})
        self.core = core(POLICY, [Route(bearer) for bearer in self._bearers], random.Random(seed + 1))
        self._ties = count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._wake_s = math.inf
        self._news = False
        """Whether the core has to be asked again."""
        self._address = 0
        """Grows with each change of the device's address."""
        self._away_until_s = -math.inf
        self._up = dict.fromkeys(self._bearers, True)
        self._open: dict[int, Transmit] = {}
        """The exchanges that have not ended, by number."""
        self._unreported: dict[int, Transmit] = {}
        """Those of which the core has heard nothing."""
        self._dumb: set[int] = set()
        """Those whose end will never be reported."""
        self.held: Counter[bytes] = Counter()
        """At the gateway: how often it committed each record, by digest."""
        self.made: dict[bytes, SignedRecord] = {}
        self.poison: set[bytes] = set()
        self.delivered: set[bytes] = set()
        self.unproven = 0
        self.longest_pause_s = 0.0
        self._paused: dict[bytes, float] = {}
        self.sent = {bearer: Counter[int]() for bearer in self._bearers}
        self.pressed = Counter[int]()

    def at(self, when_s: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when_s, next(self._ties), what))

    def run(self, until_s: float) -> None:
        """Let everything happen in its order."""
        while self._events and self._events[0][0] <= until_s:
            self.now, _, happens = heapq.heappop(self._events)
            happens()
            if self._news:
                self._news = False
                self._step()

    def fine(self, weather: Weather) -> None:
        """The weather turns, and the officers have gone home."""
        self._weather = weather
        self._bearers = dict.fromkeys(self._bearers, weather.loss)

    # --- the device ----------------------------------------------------------------------------------

    def make(self, stream: Stream, *, poison: bool = False) -> None:
        number = len(self.made) + 1
        identity = RecordId(DeviceId(bytes(4)), SessionId(bytes(6)), stream, number)
        record = SignedRecord(identity, Kind.PANIC, b"", number.to_bytes(16), None)
        self.made[record.digest] = record
        if poison:
            self.poison.add(record.digest)
        if stream is Stream.ALERT:
            self.pressed[int(self.now // HOUR_S)] += 1
        self.core.submit(record, self.now, stored=Moment(self.now, None), born_s=self.now)
        self._wake()

    def press(self) -> None:
        """A press with a position behind it, and sometimes its cancellation."""
        self.make(Stream.ALERT)
        self.at(self.now + 1, lambda: self.make(Stream.POSITION))
        if self._rng.random() < 0.3:
            self.at(self.now + self._rng.uniform(0.5, 60), lambda: self.make(Stream.ALERT))

    def _step(self) -> None:
        if self._alerts_with_places() > CROWD:
            self._paused.clear()
        for order in self.core.poll(self.now):
            pause_s = self.now - self._paused.pop(order.record.digest, self.now)
            self.longest_pause_s = max(self.longest_pause_s, pause_s)
            self._unreported[order.number] = order
            self._exchange(order)
        due = self.core.next_due()
        if due is not None and due != self._wake_s:
            self._wake_s = due
            self.at(due, self._wake)

    def _alerts_with_places(self) -> int:
        """Alerts that are queued, and exchanges of others that a bearer did not report yet, though they left."""
        stray = sum(
            order.record.id.stream is Stream.ALERT
            and self.core.find(order.record.digest) is None
            and self.now < order.deadline_s + POLICY.hung_s
            for order in self._unreported.values()
        )
        return self.core.counts().get(Stream.ALERT, 0) + stray

    def _wake(self) -> None:
        self._news = True

    def _exchange(self, order: Transmit) -> None:
        self._open[order.number] = order
        if self._rng.random() < self._weather.hung:
            self._dumb.add(order.number)
        if self._weather.no_route and self._cut():
            self.at(self.now, lambda: self._end(order, answered=False))
            return
        was_up = self._up[order.bearer]
        timeout_s = ACK_TIMEOUT_S * self._rng.uniform(1, ACK_RANDOM_FACTOR)
        for retransmission in range(DATAGRAMS_AN_EXCHANGE):
            at = self.now + timeout_s * (2**retransmission - 1)
            self.at(at, lambda: self._transmit(order, was_up=was_up))
        self.at(self.now + timeout_s * (2**DATAGRAMS_AN_EXCHANGE - 1), lambda: self._end(order, answered=False))

    def _transmit(self, order: Transmit, *, was_up: bool) -> None:
        if order.number in self._open:
            self.sent[order.bearer][int(self.now // HOUR_S)] += 1
            address = self._address
            self._carry(order.bearer, lambda: self._arrive(order, address, was_up=was_up))

    def _end(self, order: Transmit, *, answered: bool) -> None:
        if self._open.pop(order.number, None) is None:
            return
        self._up[order.bearer] = answered
        if order.number in self._dumb:
            return
        del self._unreported[order.number]
        if answered and not self.core.is_open(order.record.digest):
            self.core.succeeded(order, self.now)
        else:
            self.core.failed(order, "no answer", self.now)
        self._wake()
        is_alert = order.record.id.stream is Stream.ALERT and self.core.find(order.record.digest) is not None
        if is_alert and not self._was_sent_again(order):
            self._paused.setdefault(order.record.digest, self.now)

    def _was_sent_again(self, order: Transmit) -> bool:
        """Whether the same bearer carries the record in another exchange, beside the one that ends."""
        return any(
            (other.record, other.bearer) == (order.record, order.bearer) and self.now < other.deadline_s + POLICY.hung_s
            for other in self._unreported.values()
        )

    def _take_receipt(self, digest: bytes, address: int) -> None:
        """A receipt that verifies names our bytes; it came to the address that the device had then."""
        if address != self._address or self.core.find(digest) is None:
            return
        self.unproven += self.held[digest] == 0
        self.delivered.add(digest)
        self.core.remove(digest)
        self._wake()
        self._paused.pop(digest, None)

    # --- the network and the gateway -----------------------------------------------------------------

    def _cut(self) -> bool:
        return any(begin <= self.now < end for begin, end in self._weather.outages)

    def _carry(self, bearer: str, arrive: Callable[[], None]) -> None:
        """One datagram, either way."""
        if self._cut() or self._rng.random() < self._bearers[bearer]:
            return
        for _ in range(2 if self._rng.random() < self._weather.twice else 1):
            self.at(self.now + self._rng.uniform(0, self._weather.delay_s), arrive)

    def _arrive(self, order: Transmit, address: int, *, was_up: bool) -> None:
        digest = order.record.digest
        if self.now < self._away_until_s or digest in self.poison:
            return
        known = self.held[digest] > 0
        if not known:
            self.held[digest] += 1
        self._carry(order.bearer, lambda: self._answer(order, address, was_up=was_up))
        if known:
            self._carry(order.bearer, lambda: self._take_receipt(digest, address))

    def _answer(self, order: Transmit, address: int, *, was_up: bool) -> None:
        if order.number in self._open and address == self._address:
            self._take_receipt(order.record.digest, address)
            self._end(order, answered=True)
            if not was_up:
                self.core.reachable(order.bearer, self.now)
                self._wake()

    def rebind(self) -> None:
        self._address += 1

    def restart_gateway(self) -> None:
        self._away_until_s = self.now + 60


def simulate(
    seed: int, weather: Weather, *, presses: int = 6, day_s: float = HOUR_S, core: type[Delivery] = Delivery
) -> Outcome:
    """Presses at random times of a day of that weather, and two fine hours after it."""
    rng = random.Random(seed)
    world = World(seed, weather, core)
    for _ in range(presses):
        world.at(rng.uniform(0, day_s), world.press)
    for stream in (Stream.STATE, Stream.HEALTH, Stream.REPORT):
        world.at(rng.uniform(0, day_s), lambda stream=stream: world.make(stream))  # type: ignore[misc]
    if weather.poison:
        world.at(0.0, lambda: world.make(Stream.ALERT, poison=True))
        world.at(0.0, lambda: world.make(Stream.POSITION, poison=True))
    for mean_s, happens in ((weather.rebind_s, world.rebind), (weather.restart_s, world.restart_gateway)):
        at = 0.0
        while (at := at - mean_s * math.log(1 - rng.random())) < day_s:
            world.at(at, happens)
    world.run(day_s + HOUR_S)
    if not weather.lasts:
        world.fine(Weather())
    world.run(day_s + 3 * HOUR_S)
    return judge(world)


def judge(world: World) -> Outcome:
    alerts = {digest for digest, record in world.made.items() if record.id.stream is Stream.ALERT} - world.poison
    left = {row.record.digest for row in world.core.snapshot(world.now)} - world.poison
    gone = set(world.made) - {row.record.digest for row in world.core.snapshot(world.now)}
    return Outcome(
        presses=len(alerts),
        lost=len(alerts - {digest for digest in world.delivered if world.held[digest]}),
        duplicated=sum(times > 1 for times in world.held.values()),
        unproven=world.unproven + len(gone - world.delivered),
        left=len(left),
        longest_pause_s=world.longest_pause_s,
        busiest_hour=max(
            times - DATAGRAMS_AN_EXCHANGE * (world.pressed[hour] + world.pressed[hour - 1])
            for sent in world.sent.values()
            for hour, times in (sent or {0: 0}).items()
        ),
    )


WEATHERS = {
    "loss 30 %": Weather(loss=0.3),
    "loss 60 %": Weather(loss=0.6, lasts=True),
    "loss 60 %, two bearers": Weather(loss=0.6, second=0.3, lasts=True),
    "datagrams twice": Weather(loss=0.2, twice=0.5),
    "delays to 20 s": Weather(delay_s=20.0),
    "delays to 20 s, loss": Weather(delay_s=20.0, loss=0.4, twice=0.2),
    "change of address": Weather(rebind_s=30.0, delay_s=5.0, loss=0.2),
    "gateway restarts": Weather(restart_s=300.0, loss=0.2),
    "bearer that hangs": Weather(hung=0.5, loss=0.2),
    "first bearer dead": Weather(loss=1.0, second=0.2),
    "record never answered": Weather(loss=0.3, poison=True),
    "everything": Weather(
        loss=0.5,
        twice=0.2,
        delay_s=20.0,
        rebind_s=120.0,
        hung=0.1,
        outages=((600.0, 2400.0),),
        restart_s=900.0,
        second=0.6,
        poison=True,
    ),
}


def check(outcome: Outcome) -> None:
    assert outcome.lost == 0, "a press was lost"
    assert outcome.duplicated == 0
    assert outcome.unproven == 0, "a record left the queue without a receipt"
    assert outcome.left == 0, "a record was never delivered"
    assert outcome.longest_pause_s <= LONGEST_PAUSE_S + 1e-6, "an alert waited too long between two tries"
    assert outcome.busiest_hour <= OUTAGE_DATAGRAMS_AN_HOUR, "a flood"


def check_all(outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        check(outcome)


def run(name: str, weather: Weather, seeds: range, *, presses: int = 6, day_s: float = HOUR_S) -> None:
    outcomes = [simulate(seed, weather, presses=presses, day_s=day_s) for seed in seeds]
    report.add(
        f"network: {name}",
        len(outcomes),
        sum(outcome.presses for outcome in outcomes),
        sum(outcome.lost for outcome in outcomes),
        sum(outcome.duplicated for outcome in outcomes),
    )
    check_all(outcomes)


@pytest.mark.parametrize("name", WEATHERS)
def test_every_press_is_delivered_once_through(name: str) -> None:
    run(name, WEATHERS[name], range(20))


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", WEATHERS)
def test_every_press_is_delivered_once_through_long(name: str) -> None:
    run(name, WEATHERS[name], range(20, 420))


def a_day_without_network(*, no_route: bool = False) -> Weather:
    return Weather(outages=((600.0, DAY_S),), no_route=no_route)


def test_a_day_without_network_loses_nothing_and_floods_nothing() -> None:
    run("a day without network", a_day_without_network(), range(1), presses=4, day_s=DAY_S)
    run("a day without a route", a_day_without_network(no_route=True), range(1), presses=4, day_s=DAY_S)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_days_without_network_lose_nothing_and_flood_nothing() -> None:
    run("a day without network", a_day_without_network(), range(1, 21), presses=10, day_s=DAY_S)
    run("a day without a route", a_day_without_network(no_route=True), range(1, 21), presses=10, day_s=DAY_S)


def test_one_alert_costs_an_outage_nine_datagrams_a_minute() -> None:
    """An exchange has three datagrams and takes 14 s or more, the wait behind it 6 s or more."""
    world = World(1, a_day_without_network(), Delivery)
    world.at(1000.0, lambda: world.make(Stream.ALERT))
    world.run(DAY_S)
    cycle_s = SHORTEST_EXCHANGE_S + POLICY.alert_cap_s * (1 - POLICY.jitter)
    assert DATAGRAMS_AN_EXCHANGE * HOUR_S / cycle_s == 9 * 60
    assert 0 < max(world.sent["ip"].values()) <= 9 * 60 + DATAGRAMS_AN_EXCHANGE


@settings(max_examples=30)
@given(
    seed=st.integers(0, 2**32),
    weather=st.builds(
        Weather,
        loss=st.floats(0, 0.6),
        twice=st.floats(0, 0.5),
        delay_s=st.floats(0.01, 20),
        rebind_s=st.floats(30, 3600),
        hung=st.floats(0, 0.5),
        outages=st.lists(st.tuples(st.floats(0, 1800), st.floats(1800, 5400)), max_size=2).map(tuple),
        no_route=st.booleans(),
        restart_s=st.floats(120, 3600),
        second=st.none() | st.floats(0, 1),
        poison=st.booleans(),
    ),
)
def test_every_press_is_delivered_once_in_any_weather(seed: int, weather: Weather) -> None:
    check(simulate(seed, weather))


# --- controls: what these simulations would say of a core that is broken on purpose ----------------------


class GivesUp(Delivery):
    """A record leaves the queue after three failures, as in devices that show "could not send"."""

    def failed(self, order: Transmit, why: str, now: float) -> None:
        super().failed(order, why, now)
        for row in self.snapshot(now):
            if row.attempts >= 3 and not row.in_flight:
                self.remove(row.record.digest)


class BelievesSent(Delivery):
    """What was transmitted counts as delivered, as in devices that show "sent"."""

    def failed(self, order: Transmit, why: str, now: float) -> None:
        super().failed(order, why, now)
        self.remove(order.record.digest)


class Waits(Delivery):
    """A bearer that does not report is waited for."""

    def poll(self, now: float) -> list[Transmit]:
        self._policy = replace(self._policy, hung_s=1e9)
        return super().poll(now)


class Slow(Delivery):
    """The waits of alerts grow like those of all else."""

    def poll(self, now: float) -> list[Transmit]:
        self._policy = replace(self._policy, alert_cap_s=POLICY.routine_cap_s)
        return super().poll(now)


class Floods(Delivery):
    """A bearer takes any number of exchanges."""

    def poll(self, now: float) -> list[Transmit]:
        for places in self._places.values():
            for bearer in places:
                places[bearer] = Endless(Channel.ALERT)
        return super().poll(now)


class Endless(Places):
    def free_s(self, *, fresh: bool = False) -> float:
        return -math.inf


@pytest.mark.parametrize(
    ("broken", "weather", "complaint"),
    [
        (GivesUp, WEATHERS["loss 60 %"], "a press was lost"),
        (BelievesSent, WEATHERS["loss 60 %"], "a press was lost"),
        (Waits, WEATHERS["bearer that hangs"], "a press was lost|a record was never delivered"),
        (Slow, a_day_without_network(), "an alert waited too long"),
        (Floods, a_day_without_network(), "a flood"),
    ],
)
def test_the_simulation_catches_a_broken_core(broken: type[Delivery], weather: Weather, complaint: str) -> None:
    outcomes = [simulate(seed, weather, presses=12, core=broken) for seed in range(5)]
    with pytest.raises(AssertionError, match=complaint):
        check_all(outcomes)
