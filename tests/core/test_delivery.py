"""The queue against a model of it, under any order of what may happen to it; through outages; and by example."""

import math
import random
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from bondmate.core import delivery as module
from bondmate.core.delivery import CROWD_RESTS, FAIR_TURN, PRIORITY, Delivery, DeliveryPolicy, Waiting
from bondmate.core.places import CAPACITY, WRITTEN_OFF, Channel, Places
from bondmate.core.queued import Transmit
from bondmate.core.routes import Route
from bondmate.core.surplus import RULES
from bondmate.records import Moment, SignedRecord, Stream, Surplus
from tests.core.delivery_model import BEFORE, POLICY, DeliveryMachine, record

STORED = Moment(0.0, None)
LONGEST_REST_S = POLICY.backoff_s * CROWD_RESTS


def delivery(*bearers: str, seed: int = 0) -> Delivery:
    return Delivery(POLICY, [Route(bearer) for bearer in bearers or ("ip",)], random.Random(seed))


def submit(core: Delivery, record: SignedRecord, now: float, born_s: float | None = None) -> SignedRecord:
    core.submit(record, now, stored=STORED, born_s=now if born_s is None else born_s)
    return record


DeliveryMachine.TestCase.settings = settings(max_examples=250, stateful_step_count=40)
TestDelivery = DeliveryMachine.TestCase


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_model_at_length() -> None:
    run_state_machine_as_test(DeliveryMachine, settings=settings(max_examples=6000, stateful_step_count=60))


# --- outages -------------------------------------------------------------------------------------------


class Outage:
    """A time in which attempts end as `lasts` says: with a failure after some seconds, or with no report (None).

    What `answered` takes gets its receipt when its attempt ends.
    """

    def __init__(
        self,
        core: Delivery,
        lasts: Callable[[], float | None],
        answered: Callable[[Transmit], bool] = lambda _: False,
    ) -> None:
        self.core = core
        self.now = 0.0
        self.sent: list[tuple[float, Transmit]] = []
        self.longest_pause_s = 0.0
        """The longest time from the end of an attempt to the next of the same record."""
        self._pauses: dict[bytes, float] = {}
        self._lasts = lasts
        self._answered = answered
        self._ends: list[tuple[float, Transmit]] = []

    def until(self, end_s: float) -> None:
        """Drive the core as the device does."""
        while True:
            for order in self.core.poll(self.now):
                self.sent.append((self.now, order))
                self._pause_ends(order.record.digest)
                seconds = 0.2 if self._answered(order) else self._lasts()
                if seconds is not None:
                    self._ends.append((self.now + seconds, order))
            due = self.core.next_due()
            following = min([at for at, _ in self._ends] + ([] if due is None else [due]), default=math.inf)
            if following > end_s:
                self.now = end_s
                return
            self.now = max(self.now, following)
            for ended in [each for each in self._ends if each[0] <= self.now]:
                self._ends.remove(ended)
                if self._answered(ended[1]):
                    self.core.remove(ended[1].record.digest)
                self.core.failed(ended[1], "no answer", self.now)
                self._pauses.setdefault(ended[1].record.digest, self.now)

    def _pause_ends(self, digest: bytes) -> None:
        self.longest_pause_s = max(self.longest_pause_s, self.now - self._pauses.pop(digest, self.now))


def fails(seed: int) -> Callable[[], float | None]:
    """Attempts that end sooner, later and never, in an order that `seed` gives."""
    rng = random.Random(seed)
    return lambda: rng.choice([None, 0.0, 0.2, rng.uniform(0, POLICY.attempt_s)])


def stale(core: Delivery, many: int) -> list[SignedRecord]:
    """Alerts that an earlier session left, the newest first."""
    return [submit(core, record(session=BEFORE), 0.0, born_s=-float(age)) for age in range(1, many + 1)]


def test_a_fresh_alert_its_cancellation_and_the_next_go_out_at_once_beside_stale_ones_that_are_never_answered() -> None:
    core = delivery()
    old = stale(core, 300)
    assert [order.record for order in core.poll(0.0)] == [*old[:3], old[3]], "the newest, and who waits longest"
    assert core.poll(1.0) == [], "four at once, and no more of the stale ones"
    for seconds in range(2, 6):
        fresh = submit(core, record(), float(seconds))
        assert core.next_due() == seconds
        assert [order.record for order in core.poll(float(seconds))] == [fresh]
    ninth = submit(core, record(), 6.0)
    assert core.poll(6.0) == [], "eight at once, and no more"
    assert core.next_due() == POLICY.attempt_s + POLICY.hung_s
    assert core.find(ninth.digest) is ninth


@given(seed=st.integers(0, 2**32), pressed_s=st.floats(0.1, 600), many=st.integers(0, 40))
@example(seed=0, pressed_s=300.0, many=6)
def test_a_fresh_alert_is_sent_at_once_however_many_stale_ones_wait(seed: int, pressed_s: float, many: int) -> None:
    core = delivery(seed=seed)
    stale(core, many)
    outage = Outage(core, fails(seed))
    outage.until(pressed_s)
    before = len(outage.sent)
    fresh = submit(core, record(), pressed_s)
    outage.until(pressed_s + 0.1)
    assert (outage.sent[before][0], outage.sent[before][1].record) == (pressed_s, fresh), "a stale one went first"


def longest_gap_s(outage: Outage, records: list[SignedRecord], until_s: float) -> float:
    """How long any of the records went without a try."""
    outage.until(until_s)
    tries = {each.digest: [0.0] for each in records}
    for at, order in outage.sent:
        tries[order.record.digest].append(at)
    return max(after - before for times in tries.values() for before, after in pairwise([*times, until_s]))


def patience_s(many: int, channel: Channel = Channel.ALERT) -> float:
    """Its own attempt and wait, and then the turns of all others: each place is taken again once an attempt."""
    attempt_s = POLICY.attempt_s + POLICY.hung_s + LONGEST_REST_S
    longest_s = POLICY.alert_cap_s if channel is Channel.ALERT else POLICY.routine_cap_s
    turns = math.ceil(FAIR_TURN * many / CAPACITY[channel])
    return attempt_s + longest_s * (1 + POLICY.jitter) + turns * attempt_s


@given(seed=st.integers(0, 2**32), many=st.integers(1, 12))
def test_no_alert_starves_in_an_outage(seed: int, many: int) -> None:
    core = delivery(seed=seed)
    alerts = stale(core, many)
    assert longest_gap_s(Outage(core, fails(seed)), alerts, 900.0) <= patience_s(many)


def test_no_alert_starves_though_no_attempt_is_ever_reported() -> None:
    core = delivery()
    alerts = stale(core, 12)
    assert longest_gap_s(Outage(core, lambda: None), alerts, 900.0) <= patience_s(12)


def test_without_fair_turns_the_oldest_alert_would_starve(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the two tests above."""
    monkeypatch.setattr(module, "FAIR_TURN", 10**9)
    core = delivery()
    alerts = stale(core, 12)
    assert longest_gap_s(Outage(core, lambda: None), alerts, 900.0) > patience_s(12)


def poisoned(seed: int, poison: int) -> tuple[Outage, SignedRecord]:
    """Positions that are never answered, and one record of the lesser state stream, which is."""
    core = delivery(seed=seed)
    for age in range(poison):
        submit(core, record(Stream.POSITION), 0.0, born_s=-float(age))
    good = submit(core, record(Stream.STATE), 0.0, born_s=-1000.0)
    return Outage(core, lambda: None, lambda order: order.record is good), good


@given(seed=st.integers(0, 2**32), poison=st.integers(1, 8))
def test_records_that_are_never_answered_do_not_keep_lesser_ones_from_being_sent(seed: int, poison: int) -> None:
    outage, good = poisoned(seed, poison)
    outage.until(patience_s(poison + 1, Channel.ROUTINE))
    assert outage.core.find(good.digest) is None, "it was never sent"


def test_without_fair_turns_the_lesser_record_would_starve(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the test above."""
    monkeypatch.setattr(module, "FAIR_TURN", 10**9)
    outage, good = poisoned(0, 8)
    outage.until(patience_s(9, Channel.ROUTINE))
    assert outage.core.find(good.digest) is good


@given(seed=st.integers(0, 2**32), many=st.integers(1, 4))
def test_no_alert_waits_longer_than_its_cap_between_two_tries_while_there_is_a_place(seed: int, many: int) -> None:
    """Up to four alerts never contend for places: any pause is the alert's own."""
    core = delivery("ip", "lte", seed=seed)
    stale(core, many)
    rng = random.Random(seed)
    outage = Outage(core, lambda: rng.choice([0.0, rng.uniform(0, POLICY.attempt_s)]))
    outage.until(900.0)
    assert 0 < outage.longest_pause_s <= POLICY.alert_cap_s * (1 + POLICY.jitter)


def test_rests_delay_no_alert_that_need_not_wait_for_others() -> None:
    """Four alerts and a gateway that answers all with errors at once: each waits for its own time alone."""
    core = Delivery(DeliveryPolicy(jitter=0.0), [Route("ip")], random.Random(0))
    alerts = stale(core, CAPACITY[Channel.ALERT])
    outage = Outage(core, lambda: 0.0)
    outage.until(30.0)
    for alert in alerts:
        assert [at for at, order in outage.sent if order.record is alert] == [0, 1, 3, 7, 15, 23]


def test_a_gateway_that_answers_everything_with_an_error_at_once_is_not_flooded() -> None:
    """A hundred stale alerts and as many positions: four and one exchange every four seconds, for each place rests."""
    core = delivery()
    stale(core, 100)
    for _ in range(100):
        submit(core, record(Stream.POSITION), 0.0)
    outage = Outage(core, lambda: 0.0)
    outage.until(600.0)
    assert LONGEST_REST_S == 4.0
    assert len(outage.sent) <= (600 / LONGEST_REST_S + 1) * sum(CAPACITY.values())


def test_of_many_fresh_presses_the_newest_is_sent_first_and_the_others_are_not_forgotten() -> None:
    core = delivery()
    for seconds in range(9):
        submit(core, record(), float(seconds))
        core.poll(float(seconds))
    presses = [submit(core, record(), 9.0, born_s=9.0 + number) for number in range(12)]
    outage = Outage(core, lambda: POLICY.attempt_s)
    outage.now = 10.0
    assert core.poll(10.0) == [], "eight are under way"
    outage.until(100.0)
    tried = [order.record for _, order in outage.sent]
    assert tried[0] is presses[-1]
    assert set(presses) <= set(tried)


def in_a_hole(*bearers: str, many: int = 1) -> tuple[Delivery, list[Transmit]]:
    """Presses under way since the time 0, of which nothing comes back."""
    core = delivery(*bearers)
    return core, [_sent(core, number / 1000) for number in range(many)]


def _sent(core: Delivery, now: float) -> Transmit:
    pressed = submit(core, record(), now)
    [order] = core.poll(now)
    assert order.record is pressed
    return order


def _answered(core: Delivery, order: Transmit, now: float) -> None:
    core.remove(order.record.digest)
    core.succeeded(order, now)


class Loyal(Delivery):
    """What hangs is waited for, though the bearer turns out to work."""

    def _write_off(self, bearer: str, channels: set[Channel], now: float) -> None:
        pass


@pytest.mark.parametrize("kind", [Delivery, Loyal], ids=["core", "control"])
def test_a_press_that_hangs_is_sent_again_at_once_when_another_ones_receipt_shows_that_the_way_works(
    kind: type[Delivery],
) -> None:
    core = kind(POLICY, [Route("ip")], random.Random(0))
    hangs = _sent(core, 0.0)
    works = _sent(core, 9.0)
    _answered(core, works, 9.2)
    again = core.poll(9.2)
    assert [(order.record, order.bearer) for order in again] == [(hangs.record, "ip")] * (kind is Delivery)
    core.failed(hangs, "no answer", 22.0)
    [row] = core.snapshot(22.0)
    assert row.in_flight == (kind is Delivery), "the old attempt's end is not the new one's"


def test_a_press_that_was_sent_just_now_is_not_doubled_when_another_ones_receipt_comes() -> None:
    core, [hangs, works] = in_a_hole(many=2)
    _answered(core, works, POLICY.race_after_s - 0.1)
    assert core.poll(POLICY.race_after_s - 0.1) == []
    assert core.find(hangs.record.digest) is hangs.record


def test_all_that_hangs_is_sent_again_soon_and_a_fresh_press_never_waits_for_it() -> None:
    """Eight hang; one of them is answered. What is sent again is answered at once, or never."""
    core, [works, *hang] = in_a_hole(many=8)
    _answered(core, works, 8.0)
    again = core.poll(8.0)
    assert (len(again), again[0].record) == (CAPACITY[Channel.ALERT], hang[-1].record)
    fresh = [_sent(core, 8.1 + number / 10) for number in range(4)]
    for order in [*again, *fresh]:
        _answered(core, order, 9.0)
    rest = core.poll(9.0)
    assert {order.record for order in [*again, *rest]} == {order.record for order in hang}


def test_what_is_never_answered_cannot_multiply_while_others_are_answered() -> None:
    core, poison = in_a_hole(many=4)
    under_way = [(0.0, order.number) for order in poison]
    for seconds in range(1, 600):
        works = _sent(core, float(seconds))
        _answered(core, works, float(seconds))
        orders = core.poll(float(seconds))
        under_way = [(at, number) for at, number in under_way if at + POLICY.attempt_s + POLICY.hung_s > seconds]
        under_way += [(float(seconds), order.number) for order in orders]
        assert len(under_way) <= CAPACITY[Channel.ALERT] + WRITTEN_OFF[Channel.ALERT]


def test_what_hangs_is_sent_again_over_the_bearer_that_works_and_only_over_that() -> None:
    core, [hangs] = in_a_hole("ip", "lte")
    [other] = core.poll(POLICY.race_after_s)
    assert (hangs.bearer, other.bearer) == ("ip", "lte")
    core.reachable("lte", 10.0)
    assert [(order.record, order.bearer) for order in core.poll(10.0)] == [(hangs.record, "lte")]


def test_what_is_not_an_alert_is_sent_again_when_its_bearer_works_again_but_not_for_each_answer() -> None:
    core = delivery()
    state = submit(core, record(Stream.STATE), 0.0)
    core.poll(0.0)
    _answered(core, _sent(core, 9.0), 9.2)
    assert core.poll(9.2) == []
    core.reachable("ip", 9.3)
    assert [order.record for order in core.poll(9.3)] == [state]


def test_places_need_not_rest_once_one_exchange_succeeded() -> None:
    core = delivery()
    stale(core, 40)
    outage = Outage(core, lambda: 0.0)
    outage.until(60.0)
    assert core.poll(60.0) == []
    core.reachable("ip", 60.0)
    assert len(core.poll(60.0)) < CAPACITY[Channel.ALERT]
    _answered(core, _sent(core, 60.0), 60.0)
    core.poll(60.0)
    assert sum(row.in_flight for row in core.snapshot(60.0)) == CAPACITY[Channel.ALERT]


# --- what the gateway refused ----------------------------------------------------------------------------


def test_what_was_refused_is_kept_and_shown_and_not_sent_again_and_a_later_receipt_finds_it() -> None:
    core = delivery("ip", "lte")
    refused = record()
    core.submit(refused, 0.0, stored=None, born_s=0.0)
    [first] = core.poll(0.0)
    [second] = core.poll(4.0)
    core.park(refused.digest, "refused: revoked")
    assert not core.is_open(refused.digest)
    core.succeeded(first, 5.0)
    core.failed(second, "no answer", 22.0)
    core.reachable("ip", 23.0)
    core.submit(refused, 24.0, stored=STORED, born_s=0.0)
    assert core.poll(1e6) == []
    assert core.next_due() is None
    assert core.snapshot(1e6) == [Waiting(refused, 0, False, None, 2, None, "lte", "refused: revoked")]
    assert (core.counts(), core.unstored()) == ({Stream.ALERT: 1}, [refused])
    assert core.find(refused.digest) is refused
    core.remove(refused.digest)
    assert core.snapshot(1e6) == []


def test_what_is_not_queued_can_be_refused_without_effect() -> None:
    core = delivery()
    core.park(record().digest, "refused")
    assert core.snapshot(0.0) == []


# --- two bearers ---------------------------------------------------------------------------------------


def test_an_alert_without_an_answer_goes_over_the_next_bearer_too_and_the_first_to_answer_wins() -> None:
    core = delivery("ip", "lte")
    alert = submit(core, record(), 0.0)
    [first] = core.poll(0.0)
    assert core.next_due() == POLICY.race_after_s
    assert core.poll(POLICY.race_after_s - 0.01) == []
    [second] = core.poll(POLICY.race_after_s)
    assert (first.record, first.bearer, second.record, second.bearer) == (alert, "ip", alert, "lte")
    assert core.next_due() == first.deadline_s + POLICY.hung_s, "there is no third"
    core.remove(alert.digest)
    core.failed(second, "its receipt had come", 5.0)
    core.failed(first, "no answer", 20.0)
    assert (core.counts(), core.next_due()) == ({}, None)


def test_nothing_but_alerts_goes_over_two_bearers_at_once() -> None:
    core = delivery("ip", "lte")
    submit(core, record(Stream.STATE), 0.0)
    [order] = core.poll(0.0)
    assert core.poll(10.0) == []
    assert core.next_due() == order.deadline_s + POLICY.hung_s


def test_a_bearer_that_failed_an_alert_tries_it_again_while_the_other_still_carries_it() -> None:
    core = delivery("ip", "lte")
    alert = submit(core, record(), 0.0)
    [first] = core.poll(0.0)
    [second] = core.poll(4.0)
    core.failed(first, "no route", 5.0)
    due = core.next_due()
    assert due is not None
    assert 5.0 < due <= 5.0 + POLICY.backoff_s * (1 + POLICY.jitter)
    [third] = core.poll(due)
    assert (third.record, third.bearer) == (alert, "ip")
    assert {first.number, second.number, third.number} == {1, 2, 3}


class Delays(Delivery):
    """Broken on purpose: the retry after one bearer's failure is put off by the failure of another."""

    def failed(self, order: Transmit, why: str, now: float) -> None:
        self._flights[order.number].of.racing = True
        super().failed(order, why, now)


@pytest.mark.parametrize(("kind", "due_s"), [(Delivery, 6.0), (Delays, 7.5)], ids=["core", "control"])
def test_the_retry_after_one_bearers_failure_is_not_put_off_by_anothers(kind: type[Delivery], due_s: float) -> None:
    core = kind(DeliveryPolicy(jitter=0.0), [Route("ip"), Route("lte")], random.Random(0))
    submit(core, record(), 0.0)
    [first] = core.poll(0.0)
    [second] = core.poll(4.0)
    core.failed(first, "no answer", 5.0)
    assert core.next_due() == 6.0
    core.failed(second, "no answer", 5.5)
    assert core.next_due() == due_s


def test_the_next_attempt_goes_over_the_bearer_that_has_not_failed_the_record_for_longest() -> None:
    core = delivery("ip", "lte")
    submit(core, record(Stream.STATE), 0.0)
    bearers, now = [], 0.0
    for _ in range(6):
        [order] = core.poll(now)
        bearers.append(order.bearer)
        core.failed(order, "no answer", now)
        due = core.next_due()
        assert due is not None
        now = due
    assert bearers == ["ip", "lte"] * 3


def test_what_one_bearer_cannot_take_goes_over_the_next_and_then_waits() -> None:
    core = delivery("ip", "lte")
    alerts = stale(core, 9)
    orders = core.poll(0.0)
    assert {order.record.digest for order in orders} <= {alert.digest for alert in alerts}
    assert [order.bearer for order in orders] == ["ip"] * 4 + ["lte"] * 4
    assert core.next_due() == POLICY.attempt_s + POLICY.hung_s


def test_without_any_bearer_records_wait() -> None:
    core = Delivery(POLICY, (), random.Random(0))
    submit(core, record(), 0.0)
    assert (core.poll(0.0), core.next_due(), core.counts()) == ([], None, {Stream.ALERT: 1})


# --- duty ----------------------------------------------------------------------------------------------


def test_what_answers_an_order_is_sent_off_duty_too_until_it_has_its_receipt() -> None:
    core = delivery()
    core.regime(on_duty=False, alert_open=False)
    answer, other = record(Stream.STATE), record(Stream.STATE)
    core.urge(answer.digest)
    submit(core, answer, 0.0)
    submit(core, other, 0.0)
    [order] = core.poll(0.0)
    assert order.record == answer
    assert core.unwanted() == []
    core.remove(answer.digest)
    submit(core, answer, 1.0)
    core.succeeded(order, 1.0)
    assert core.poll(30.0) == [], "the next time it is a record like any other"


NEEDED = (Stream.ALERT, Stream.POSITION, Stream.REPORT)
"""By a press; a report comes of a self-test, in which somebody pressed."""
REST_OF = [stream for stream in Stream if stream not in NEEDED]


@pytest.mark.parametrize("stream", REST_OF)
def test_off_duty_what_no_press_needs_waits_and_says_so_until_a_shift_or_an_alert(stream: Stream) -> None:
    core = delivery()
    core.regime(on_duty=False, alert_open=False)
    waiting = submit(core, record(stream), 0.0)
    assert (core.poll(0.0), core.next_due()) == ([], None)
    [row] = core.snapshot(0.0)
    assert (row.next_try_s, row.attempts) == (None, 0)
    assert row.why == "waits for the next shift: off duty only what a press needs is sent"
    core.regime(on_duty=stream is Stream.PRESENCE, alert_open=True)
    assert core.next_due() == 0.0
    assert [order.record for order in core.poll(5.0)] == [waiting]


@pytest.mark.parametrize("stream", NEEDED)
def test_off_duty_what_a_press_needs_is_sent_though_its_alert_is_closed(stream: Stream) -> None:
    core = delivery()
    core.regime(on_duty=False, alert_open=False)
    needed = submit(core, record(stream), 0.0)
    assert [order.record for order in core.poll(0.0)] == [needed]


def test_a_presence_of_a_shift_that_is_over_is_not_sent_in_an_alert_either() -> None:
    core = delivery()
    submit(core, record(Stream.PRESENCE), 0.0)
    core.regime(on_duty=False, alert_open=True)
    health = submit(core, record(Stream.HEALTH), 0.0)
    assert [order.record for order in core.poll(0.0)] == [health]


def test_at_the_end_of_a_shift_what_is_under_way_and_not_needed_is_unwanted() -> None:
    core = delivery()
    submit(core, record(Stream.PRESENCE), 0.0)
    submit(core, record(), 0.0)
    orders = {order.record.id.stream: order for order in core.poll(0.0)}
    assert core.unwanted() == []
    core.regime(on_duty=False, alert_open=False)
    assert core.unwanted() == [orders[Stream.PRESENCE]]
    core.failed(orders[Stream.PRESENCE], "broken off", 0.0)
    assert core.unwanted() == []
    assert core.poll(60.0) == [], "and it is not begun again"


def test_what_waits_for_a_shift_makes_no_crowd() -> None:
    """A press off duty must not wait longer between its tries because of what is not sent at all."""
    core = Delivery(DeliveryPolicy(jitter=0.0), [Route("ip")], random.Random(0))
    core.regime(on_duty=False, alert_open=False)
    for _ in range(10 * CAPACITY[Channel.ROUTINE]):
        submit(core, record(Stream.HEALTH), 0.0)
    submit(core, record(Stream.POSITION), 0.0)
    [order] = core.poll(0.0)
    core.failed(order, "no answer", 1.0)
    due = core.next_due()
    assert due is not None
    assert due < 1.0 + LONGEST_REST_S / 2


# --- waits and deadlines -------------------------------------------------------------------------------


def test_what_waits_is_due_when_the_gateway_is_reachable_again_and_what_is_under_way_goes_on() -> None:
    core = Delivery(DeliveryPolicy(backoff_s=8.0), [Route("ip")], random.Random(0))
    waiting, routine = submit(core, record(), 0.0), submit(core, record(Stream.STATE), 0.0)
    for order in core.poll(0.0):
        core.failed(order, "no answer", 1.0)
    submit(core, record(), 2.0)
    core.poll(2.0)
    assert core.poll(2.5) == []
    core.reachable("ip", 2.5)
    assert core.next_due() == 2.5
    assert [order.record for order in core.poll(2.5)] == [waiting], "the place that failed rests"
    core.reachable("ip", 5.9)
    assert core.poll(5.9) == []
    assert [order.record for order in core.poll(9.0)] == [routine]


def test_an_alert_goes_before_all_else_and_beside_what_is_under_way() -> None:
    core = delivery()
    routine = [submit(core, record(stream), 0.0) for stream in (Stream.REPORT, Stream.STATE, Stream.POSITION)]
    [order] = core.poll(0.0)
    assert order == Transmit(routine[2], "ip", POLICY.attempt_s, 1)
    alert = submit(core, record(), 1.0)
    assert core.next_due() == 1.0
    assert core.poll(1.0) == [Transmit(alert, "ip", 1.0 + POLICY.attempt_s, 2)]


@pytest.mark.parametrize(
    ("stream", "waits"), [(Stream.ALERT, [1, 2, 4, 8, 8, 8, 8, 8]), (Stream.STATE, [1, 2, 4, 8, 16, 30, 30, 30])]
)
def test_waits_double_up_to_the_cap(stream: Stream, waits: list[float]) -> None:
    core = Delivery(DeliveryPolicy(jitter=0.0), [Route("ip")], random.Random(0))
    submit(core, record(stream), 0.0)
    seen, now = [], 0.0
    for _ in waits:
        [order] = core.poll(now)
        core.failed(order, "no answer", now)
        due = core.next_due()
        assert due is not None
        seen.append(due - now)
        now = due
    assert seen == pytest.approx(waits)


def test_ten_thousand_failures_overflow_nothing() -> None:
    core = delivery()
    submit(core, record(), 0.0)
    now = 0.0
    for _ in range(10_000):
        [order] = core.poll(now)
        core.failed(order, "no answer", now)
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
        submit(core, record(), 0.0)
        [order] = core.poll(0.0)
        core.failed(order, "no answer", 0.0)
        waits.append(core.snapshot(0.0)[0].next_try_s)
    assert waits[0] != waits[1]


def test_a_hung_bearer_is_freed_and_its_record_goes_again_and_its_late_report_changes_nothing() -> None:
    core = delivery()
    alert = submit(core, record(), 0.0)
    [hung] = core.poll(0.0)
    gives_up_s = POLICY.attempt_s + POLICY.hung_s
    assert core.next_due() == gives_up_s
    assert core.poll(gives_up_s - 0.001) == []
    assert core.poll(gives_up_s) == []
    [row] = core.snapshot(gives_up_s)
    assert (row.in_flight, row.why) == (False, "ip did not report in time")
    due = core.next_due()
    assert due is not None
    [again] = core.poll(due)
    assert again.record is alert
    core.failed(hung, "late", due)
    [row] = core.snapshot(due)
    assert row.in_flight, "the report of the first attempt ended the second"


def test_a_bearer_stays_busy_with_a_record_whose_receipt_came_another_way() -> None:
    """The exchange is still under way: one more would be one too many."""
    core = delivery()
    first = submit(core, record(Stream.STATE), 0.0)
    [order] = core.poll(0.0)
    core.remove(first.digest)
    second = submit(core, record(Stream.STATE), 1.0)
    assert core.poll(1.0) == []
    core.failed(order, "its receipt had come", 2.0)
    assert core.next_due() == 1.0, "and its place need not rest"
    assert [order.record for order in core.poll(2.0)] == [second]
    assert core.find(first.digest) is None


def test_the_policy_does_not_cut_a_confirmable_exchange_short() -> None:
    """RFC 7252, section 4.8.2: MAX_TRANSMIT_WAIT with ACK_TIMEOUT 2 s, ACK_RANDOM_FACTOR 1.5, MAX_RETRANSMIT 2."""
    assert POLICY.attempt_s > 2.0 * (2 ** (2 + 1) - 1) * 1.5
    assert POLICY.race_after_s > 2.0 * 1.5, "the first retransmission had its chance"
    assert set(PRIORITY) == set(Stream), "every stream has its place"
    assert min(PRIORITY, key=lambda stream: PRIORITY[stream]) is Stream.ALERT


# --- what it shows -------------------------------------------------------------------------------------


def test_the_queue_says_what_happened_to_each_record() -> None:
    core = delivery()
    alert = record()
    core.submit(alert, 10.0, stored=None, born_s=10.0)
    assert core.snapshot(10.0) == [Waiting(alert, 0, False, None, 0, 0.0, None, "not tried yet")]
    committed = Moment(10.5, 1234)
    core.mark_stored(alert.digest, committed)
    [order] = core.poll(10.0)
    why = "waiting for the gateway's answer over ip"
    assert core.snapshot(10.0) == [Waiting(alert, 0, True, committed, 1, None, "ip", why)]
    core.failed(order, "no answer over ip", 12.0)
    [row] = core.snapshot(12.0)
    assert (row.in_flight, row.attempts, row.bearer, row.why) == (False, 1, "ip", "no answer over ip")
    [later] = core.snapshot(1000.0)
    assert later.next_try_s == 0.0
    assert core.counts() == {Stream.ALERT: 1}


def test_a_record_that_is_not_queued_can_be_marked_and_removed_without_effect() -> None:
    core = delivery()
    unknown = record()
    core.mark_stored(unknown.digest, STORED)
    core.remove(unknown.digest)
    core.failed(Transmit(unknown, "ip", 0.0, 1), "late", 0.0)
    assert core.find(unknown.digest) is None
    assert core.snapshot(0.0) == []
    assert core.next_due() is None


def test_what_is_surplus_is_offered_but_not_while_it_is_in_flight() -> None:
    core = delivery()
    rule = RULES[Stream.HEALTH]
    health = [submit(core, record(Stream.HEALTH), float(age)) for age in range(rule.keep)]
    assert core.surplus(100.0) == []
    [order] = core.poll(100.0)
    assert order.record is health[-1], "the newest goes first"
    newer = [submit(core, record(Stream.HEALTH), 100.0 + age) for age in range(rule.bound)]
    surplus = [*health, *newer[: rule.bound - rule.keep]]
    assert [each.record for each in core.surplus(200.0)] == [each for each in surplus if each is not order.record]
    core.failed(order, "no answer", 201.0)
    assert [each.record for each in core.surplus(201.0)] == surplus
    for each in core.surplus(201.0):
        core.remove(each.record.digest)
    assert core.surplus(201.0) == []
    assert core.counts() == {Stream.HEALTH: rule.keep}


def test_records_of_a_session_that_began_later_than_was_known_do_not_expire_too_early() -> None:
    core = delivery()
    ours = submit(core, record(Stream.PRESENCE), 0.0)
    old = submit(core, record(Stream.PRESENCE, BEFORE), 0.0, born_s=0.0)
    core.move(ours.id.session, 100_000.0)
    assert [each.record for each in core.surplus(100_001.0)] == [old]


# --- controls: the model against queues that are broken on purpose --------------------------------------


class Forgets(Delivery):
    """A record leaves the queue when its attempt fails."""

    def failed(self, order: Transmit, why: str, now: float) -> None:
        super().failed(order, why, now)
        self.remove(order.record.digest)


class Doubles(Delivery):
    """A bearer is free again as soon as the record's receipt came."""

    def remove(self, digest: bytes) -> None:
        super().remove(digest)
        for flight in self._flights.values():
            if flight.order.record.digest == digest:
                self._places[flight.of.channel][flight.order.bearer].flying = 0


class Floods(Delivery):
    """A bearer takes any number of exchanges."""

    def __init__(self, policy: DeliveryPolicy, routes: Sequence[Route], rng: random.Random) -> None:
        super().__init__(policy, routes, rng)
        self._places = {channel: {route.name: Endless(channel) for route in routes} for channel in Channel}


class Endless(Places):
    def free_s(self, *, fresh: bool = False) -> float:
        return -math.inf


class Tireless(Delivery):
    """A place that failed is taken again at once."""

    def __init__(self, policy: DeliveryPolicy, routes: Sequence[Route], rng: random.Random) -> None:
        super().__init__(policy, routes, rng)
        self._places = {channel: {route.name: Restless(channel) for route in routes} for channel in Channel}


class Restless(Places):
    def rest(self, now: float, rest_s: float) -> None:
        pass


class Buries(Delivery):
    """A press that was never tried waits like any other."""

    def submit(self, record: SignedRecord, now: float, *, stored: Moment | None, born_s: float) -> None:
        super().submit(record, now, stored=stored, born_s=born_s)
        self._entries[record.digest].fresh = False


class OldestFirst(Delivery):
    """Of several fresh presses the oldest go first."""

    def poll(self, now: float) -> list[Transmit]:
        fresh = sorted((entry for entry in self._entries.values() if entry.fresh), key=lambda entry: entry.born_s)
        due = [entry for entry in fresh if entry.due_s <= now]
        return [self._start(entry, ways, now) for entry in due if (ways := self._ways(entry, now))] + super().poll(now)


class Insists(Delivery):
    """What was refused is sent again when a way works again."""

    def park(self, digest: bytes, why: str) -> None:
        super().park(digest, why)
        self._entries[digest].parked = False


class Credulous(Delivery):
    """Whatever is reported of a record and a bearer is taken for the attempt that is under way."""

    def failed(self, order: Transmit, why: str, now: float) -> None:
        for number, flight in list(self._flights.items()):
            if (flight.order.record, flight.order.bearer) == (order.record, order.bearer):
                self._land(number, why, now)


class Trusts(Delivery):
    """A bearer that does not report is waited for, for ever."""

    def poll(self, now: float) -> list[Transmit]:
        flights = self._flights
        self._flights = {
            number: flight for number, flight in flights.items() if now < flight.order.deadline_s + POLICY.hung_s
        }
        orders = super().poll(now)
        self._flights = flights | self._flights
        return orders


class Single(Delivery):
    """An alert stays with one bearer until that reports."""

    def poll(self, now: float) -> list[Transmit]:
        orders = super().poll(now)
        for order in orders:
            self._entries[order.record.digest].due_s = math.inf
        return orders


class Stubborn(Delivery):
    """Always the first bearer that has a place, though it failed before."""

    def failed(self, order: Transmit, why: str, now: float) -> None:
        super().failed(order, why, now)
        for entry in self._entries.values():
            entry.failed_s.clear()


class Drops(Delivery):
    """What is in flight counts as surplus too."""

    def surplus(self, lifetime_s: float) -> list[Surplus]:
        flights, self._flights = self._flights, {}
        found = super().surplus(lifetime_s)
        self._flights = flights
        return found


class OffDutyToo(Delivery):
    """Off duty everything is sent."""

    def regime(self, *, on_duty: bool, alert_open: bool) -> None:
        super().regime(on_duty=True, alert_open=alert_open)


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        (Forgets, "it left without a receipt|it had left the queue|a report changed"),
        (Doubles, "more exchanges than a bearer takes|it lost sight of something"),
        (Floods, "more exchanges than a bearer takes"),
        (Tireless, "more exchanges than a bearer takes|it was not due"),
        (Buries, "a fresh press was left behind|an older press went first|idle with work to do"),
        (OldestFirst, "an older press went first"),
        (Loyal, "what hangs is not sent again|what waits is not due|a report changed|idle with work to do"),
        (Insists, "what waits is not due|what hangs is not sent again|a report changed|idle with work to do"),
        (Credulous, "a report changed what it was not about"),
        (Trusts, "what is due was not done|idle with work to do|asked in vain|it was not due"),
        (Single, "no other bearer will be tried beside a slow one"),
        (Stubborn, "not the better bearer"),
        (Drops, "what is in flight was dropped"),
        (OffDutyToo, "it does not wait for a shift|it was not due|it does not know whether it needs a bearer"),
    ],
)
def test_the_model_catches_a_broken_queue(broken: type[Delivery], complaint: str) -> None:
    catch(broken, complaint)


@pytest.mark.parametrize(
    ("turn", "complaint"), [(10**9, "whoever waits longest never has a turn"), (2, "a lesser record went first")]
)
def test_the_model_catches_turns_that_are_not_fair(turn: int, complaint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FAIR_TURN", turn)
    catch(Delivery, complaint)


def catch(broken: type[Delivery], complaint: str) -> None:
    class BrokenMachine(DeliveryMachine):
        make = broken

    with pytest.raises(AssertionError, match=complaint):
        run_state_machine_as_test(
            BrokenMachine,
            settings=settings(max_examples=6000, stateful_step_count=30, derandomize=True, phases=[Phase.generate]),
        )
