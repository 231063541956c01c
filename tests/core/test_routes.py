"""What goes over which bearer, and when: the queue with the routes of a device that has a modem, by a moved clock."""

import itertools
import math
import random

import pytest

from bondmate.core import routes as module
from bondmate.core.delivery import Delivery, DeliveryPolicy
from bondmate.core.queued import Transmit
from bondmate.core.routes import AGAIN_CAP_S, AGAIN_S, Route, again_s, over_ip, over_lte, over_sms
from bondmate.records import Moment, SignedRecord, Stream
from tests.core.delivery_model import record

SMS_AFTER_S = 15.0
POLICY = DeliveryPolicy(jitter=0.0)
STORED = Moment(0.0, None)


class Device:
    """A queue that is driven as the device does; nobody answers but where the test says so."""

    def __init__(self, *routes: Route) -> None:
        self.core = Delivery(POLICY, routes or (over_ip(), over_lte(), over_sms(SMS_AFTER_S)), random.Random(1))
        self.now = 0.0
        self.orders: list[tuple[float, Transmit]] = []
        self.dead_s = {"ip": 20.0, "lte": 20.0}
        """How long an attempt over a bearer takes to fail."""
        self._ends: list[tuple[float, Transmit]] = []
        self.polls = 0

    def submit(self, stream: Stream = Stream.ALERT) -> SignedRecord:
        made = record(stream)
        self.core.submit(made, self.now, stored=STORED, born_s=self.now)
        return made

    def runs(self, until_s: float) -> None:
        while True:
            self.polls += 1
            for order in self.core.poll(self.now):
                self.orders.append((self.now, order))
                takes_s = 3.0 if order.bearer == "sms" else self.dead_s[order.bearer]
                self._ends.append((self.now + takes_s, order))
            due = self.core.next_due()
            following = min([at for at, _ in self._ends] + ([] if due is None else [due]), default=math.inf)
            if following > until_s:
                self.now = until_s
                return
            self.now = max(self.now, following)
            for ending in [each for each in self._ends if each[0] <= self.now]:
                self._ends.remove(ending)
                self._report(ending[1])

    def _report(self, order: Transmit) -> None:
        if order.bearer == "sms":
            self.core.handed_over(order, self.now)
        else:
            self.core.failed(order, "dead", self.now)

    def times(self, bearer: str, stream: Stream = Stream.ALERT) -> list[float]:
        return [round(at, 3) for at, order in self.orders if (order.bearer, order.record.id.stream) == (bearer, stream)]


# --- alerts --------------------------------------------------------------------------------------------------------


def test_an_alert_races_over_the_modem_and_goes_by_sms_when_nothing_brought_a_receipt() -> None:
    device = Device()
    device.submit()
    device.runs(SMS_AFTER_S + 1)
    assert (device.times("ip"), device.times("lte"), device.times("sms")) == ([0.0], [POLICY.race_after_s], [15.0])


def test_a_bearer_that_says_at_once_that_it_is_dead_costs_nothing_and_then_its_backoff() -> None:
    device = Device()
    device.dead_s["ip"] = device.dead_s["lte"] = 0.0
    device.submit()
    device.runs(1.5)
    assert device.times("lte") == [0.0], "at once: there is no route over ip"
    # the second failure in a row
    assert device.times("ip") == [0.0]
    device.runs(2.0)
    assert device.times("ip") == [0.0, 2 * POLICY.backoff_s]


def test_an_alert_that_is_delivered_goes_nowhere_else() -> None:
    device = Device()
    alert = device.submit()
    device.runs(3.0)
    device.core.remove(alert.digest)
    device.runs(3600.0)
    assert [order.bearer for _, order in device.orders] == ["ip"]


def test_by_sms_it_goes_again_after_a_minute_then_after_two_and_never_more_often_than_each_quarter_of_an_hour() -> None:
    device = Device()
    device.submit()
    device.runs(2 * 3600.0)
    sent = device.times("sms")
    # each pause begins when the network has taken the message, three seconds later, and ends with the next try, which
    # waits for no more than an alert ever waits
    pauses = [later - earlier - 3.0 for earlier, later in itertools.pairwise(sent)]
    expected = [AGAIN_S, 2 * AGAIN_S, 4 * AGAIN_S, 8 * AGAIN_S] + [AGAIN_CAP_S] * (len(pauses) - 4)
    for pause, least in zip(pauses, expected, strict=True):
        assert least <= pause <= least + POLICY.attempt_s + POLICY.alert_cap_s
    assert len(sent) <= 4 + 2 * 3600 / AGAIN_CAP_S + 1
    assert [again_s(times) for times in range(1, 7)] == [60, 120, 240, 480, 900, 900]


def test_the_other_bearers_are_tried_on_while_an_sms_is_out() -> None:
    device = Device()
    device.submit()
    device.runs(600.0)
    for bearer in ("ip", "lte"):
        tries = device.times(bearer)
        longest = max(later - earlier for earlier, later in itertools.pairwise(tries))
        assert longest <= 2 * (device.dead_s[bearer] + POLICY.alert_cap_s)


def test_an_sms_that_is_not_needed_any_more_is_broken_off() -> None:
    device = Device()
    alert, other = device.submit(), device.submit()
    device.runs(SMS_AFTER_S + 1)
    assert device.core.unwanted() == []
    device.core.remove(other.digest)
    [order] = device.core.unwanted()
    assert (order.bearer, order.record) == ("sms", other), "the newest went first"
    assert device.core.find(alert.digest) is alert


def test_what_is_refused_costs_no_more_messages() -> None:
    device = Device()
    alert = device.submit()
    device.runs(SMS_AFTER_S + 1)
    device.core.park(alert.digest, "refused")
    assert [order.bearer for order in device.core.unwanted()] == ["sms"]
    device.runs(3600.0)
    assert device.times("sms") == [15.0]


def test_twenty_presses_in_a_dead_network_all_go_by_sms() -> None:
    device = Device()
    alerts = [device.submit() for _ in range(20)]
    device.runs(300.0)
    sent = {order.record.digest for _, order in device.orders if order.bearer == "sms"}
    assert sent == {alert.digest for alert in alerts}


def test_one_message_is_in_the_modem_at_a_time_and_a_new_press_is_the_next() -> None:
    device = Device()
    for _ in range(6):
        device.submit()
    device.runs(SMS_AFTER_S + 20.0)
    pressed_s, press = device.now, device.submit()
    device.runs(pressed_s + SMS_AFTER_S + 10.0)
    sent = [(at, order.record) for at, order in device.orders if order.bearer == "sms"]
    assert all(later - earlier >= 3.0 for (earlier, _), (later, _) in itertools.pairwise(sent)), "each takes 3 s"
    [at] = [at for at, record in sent if record is press]
    assert at - pressed_s <= SMS_AFTER_S + 3.0


@pytest.mark.parametrize("dead_s", [{"ip": 0.0, "lte": 0.0}, {"ip": 20.0, "lte": 0.0}, {"ip": 3.0, "lte": 11.0}])
@pytest.mark.parametrize("seed", range(20))
def test_no_retry_and_no_race_puts_the_sms_off(dead_s: dict[str, float], seed: int) -> None:
    device = Device()
    device.core = Delivery(
        DeliveryPolicy(race_after_s=30.0), (over_ip(), over_lte(), over_sms(SMS_AFTER_S)), random.Random(seed)
    )
    device.dead_s = dead_s
    device.submit()
    device.runs(60.0)
    assert device.times("sms")[0] == SMS_AFTER_S


def test_what_never_fits_is_tried_once() -> None:
    device = Device(over_sms(0.0))
    device._report = lambda order: device.core.unfit(order, "too long", device.now)  # type: ignore[method-assign]
    device.submit()
    device.runs(3600.0)
    assert device.times("sms") == [0.0]
    assert device.core.next_due() is None


def test_after_a_message_that_the_network_did_not_take_the_line_is_left_to_the_sockets() -> None:
    device = Device(over_sms(0.0))
    device._report = lambda order: device.core.failed(order, "no network", device.now)  # type: ignore[method-assign]
    device.submit()
    device.runs(300.0)
    sent = device.times("sms")
    assert all(later - earlier >= 3.0 + module.SMS_REST_S for earlier, later in itertools.pairwise(sent))


def test_a_modem_that_is_ready_again_ends_the_rest() -> None:
    device = Device(over_sms(0.0))
    device._report = lambda order: device.core.failed(order, "the port is gone", device.now)  # type: ignore[method-assign]
    device.submit()
    device.runs(3.5)
    device.core.reachable("sms", device.now)
    device.runs(4.0)
    assert device.times("sms") == [0.0, 3.5]


def test_a_wake_up_sends_no_message_twice() -> None:
    device = Device()
    device.submit()
    device.runs(SMS_AFTER_S + 2.9)
    for bearer in ("ip", "lte", "sms"):
        device.core.reachable(bearer, device.now)
    device.runs(SMS_AFTER_S + 50.0)
    assert device.times("sms") == [SMS_AFTER_S]


# --- all else ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stream", "lte_s"),
    [(Stream.POSITION, 4.0), (Stream.STATE, 30.0), (Stream.HEALTH, 120.0), (Stream.PRESENCE, 120.0)],
)
def test_what_is_no_alert_waits_for_what_costs_nothing(stream: Stream, lte_s: float) -> None:
    device = Device(over_ip(), over_lte())
    device.dead_s["ip"] = 0.0
    device.submit(stream)
    device.runs(lte_s - 0.001)
    assert device.times("ip", stream)
    assert device.times("lte", stream) == []
    device.runs(lte_s + POLICY.routine_cap_s + 1)
    [first] = device.times("lte", stream)
    assert first >= lte_s


def test_nothing_but_alerts_and_their_positions_ever_goes_by_sms() -> None:
    device = Device(over_sms(SMS_AFTER_S))
    for stream in (Stream.STATE, Stream.HEALTH, Stream.PRESENCE, Stream.REPORT):
        device.submit(stream)
    device.runs(24 * 3600.0)
    assert device.orders == []
    assert device.core.next_due() is None, "and nobody looks again and again"


def test_positions_go_by_sms_while_an_alert_is_open_alone() -> None:
    device = Device()
    device.core.regime(on_duty=True, alert_open=False)
    for _ in range(20):
        device.submit(Stream.POSITION)
    device.runs(24 * 3600.0)
    assert device.times("sms", Stream.POSITION) == []


def test_positions_go_by_sms_at_a_pace() -> None:
    device = Device()
    device.core.regime(on_duty=True, alert_open=True)
    device.submit()
    for _ in range(120):
        device.submit(Stream.POSITION)
        device.runs(device.now + 5.0)
    sent = device.times("sms", Stream.POSITION)
    assert len(sent) == pytest.approx(600 / module.SMS_POSITION_S, abs=1)
    assert all(later - earlier >= module.SMS_POSITION_S for earlier, later in itertools.pairwise(sent))


@pytest.mark.parametrize(("sms_after_s", "position_s"), [(0.0, 8.0), (1.5, 8.0), (15.0, 15.0)])
def test_however_soon_alerts_go_by_sms_lte_has_its_chance_for_a_position(sms_after_s: float, position_s: float) -> None:
    device = Device(over_ip(), over_lte(), over_sms(sms_after_s))
    device.core.regime(on_duty=True, alert_open=True)
    device.submit(Stream.POSITION)
    device.runs(20.0)
    assert device.times("lte", Stream.POSITION) == [module.LTE_POSITION_S]
    assert device.times("sms", Stream.POSITION) == [position_s]


def test_routes_without_pace_would_be_noticed() -> None:
    paceless = Route("sms", over_sms(SMS_AFTER_S).after_s, answers=False)
    device = Device(over_ip(), over_lte(), paceless)
    device.core.regime(on_duty=True, alert_open=True)
    for _ in range(120):
        device.submit(Stream.POSITION)
        device.runs(device.now + 5.0)
    assert len(device.times("sms", Stream.POSITION)) > 2 * 600 / module.SMS_POSITION_S


def test_a_day_without_any_network_is_looked_at_no_more_often_than_something_happens() -> None:
    device = Device()
    for stream in Stream:
        device.submit(stream)
    device.runs(24 * 3600.0)
    assert device.polls <= 2 * len(device.orders) + 10
