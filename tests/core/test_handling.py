"""How a receiver is handled over time, by a clock that the test moves, opposite the simulator's receivers."""

import datetime as dt
from collections.abc import Callable
from functools import reduce
from operator import xor

import pytest

from bondmate.core import handling
from bondmate.core.handling import AGAIN_S, Handling
from bondmate.core.receivers import RECEIVERS, TURNED_OFF, Wanted
from bondmate.core.reception import LISTEN_S, SILENT_S, Reception
from bondmate_sim import walk
from bondmate_sim.receiver import Receiver as Twin
from bondmate_sim.receiver_pmtk import Pmtk
from bondmate_sim.receiver_pqtm import Pqtm
from bondmate_sim.receiver_ublox import Ublox
from bondmate_sim.receiver_ublox_m8 import M8Configuration
from bondmate_sim.receiver_ublox_m10 import M10Configuration

STEP_S = 0.05
ROUTE = (walk.Point(38.72225, -9.13934), walk.Point(38.72401, -9.14021))
TWINS: dict[str, tuple[str, Callable[[], Twin]]] = {
    "u-blox M10": ("ublox", lambda: Ublox(M10Configuration())),
    "u-blox M8": ("ublox", lambda: Ublox(M8Configuration())),
    "Quectel L76": ("quectel-pmtk", Pmtk),
    "Quectel LG290P": ("quectel-pqtm", Pqtm),
}


class Line:
    """Both ends of a line, and its time."""

    def __init__(self, name: str, make: Callable[[], Twin]) -> None:
        self.make = make
        self.twin = make()
        self.handling = Handling(RECEIVERS[name], Wanted(1.0, ()))
        self.reception = Reception(9600)
        self.now = 1000.0
        self.losing = 0
        """So many writes to the receiver are lost."""
        self.told: list[tuple[float, bytes]] = []
        self.kinds: set[str] = set()
        """Sentences that were heard since it was emptied last."""
        self.spoke_s = -1.0
        self.epoch = 0

    def opens(self) -> None:
        self.reception.opened(self.now)
        self.handling.opened(self.now)

    def _said(self) -> bytes:
        programme = self.twin.programme
        if programme is None or self.now < self.spoke_s + programme.interval_ms / 1000:
            return b""
        self.spoke_s, self.epoch = self.now, self.epoch + 1
        noon = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
        return walk.speak(walk.walk(ROUTE, self.now), noon + dt.timedelta(seconds=self.now), programme, self.epoch)

    def runs(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.now += STEP_S
            self.handling.poll(self.now)
            octets = self.handling.take()
            if octets:
                self.told.append((self.now, octets))
                if self.losing:
                    self.losing, octets = self.losing - 1, b""
            data = self.twin.hear(octets, self.now).octets + self._said()
            if data:
                heard = self.reception.feed(data, self.now)
                self.kinds |= {one.sentence.type for one in heard}
                self.handling.heard(data, heard, self.now)

    @property
    def talks(self) -> bool:
        """Whether the receiver speaks by itself."""
        return self.twin.programme is not None


@pytest.fixture(params=[*TWINS])
def line(request: pytest.FixtureRequest) -> Line:
    return Line(*TWINS[request.param])


def is_set_up(line: Line) -> bool:
    line.kinds.clear()
    line.runs(3.0)
    return "GGA" in line.kinds and not line.kinds & TURNED_OFF and line.handling.outcome.problems == []


def on_duty(line: Line) -> Line:
    line.handling.wake(True)
    line.opens()
    line.runs(30.0)
    assert is_set_up(line)
    return line


def test_it_is_set_up_when_it_is_heard_and_then_left_alone(line: Line) -> None:
    on_duty(line)
    assert line.handling.outcome.identity
    line.told.clear()
    line.runs(600.0)
    assert line.told == []


def test_it_is_put_to_sleep_and_counts_as_asleep_when_it_is_silent(line: Line) -> None:
    on_duty(line)
    line.handling.wake(False)
    assert not line.handling.is_asleep(line.now)
    line.runs(1.0)
    assert not line.handling.is_asleep(line.now)
    line.runs(9.0)
    assert not line.talks
    assert line.handling.is_asleep(line.now)
    line.told.clear()
    line.runs(60.0)
    assert line.told == [], "nothing wakes it again"
    assert not line.talks


def test_one_that_runs_since_the_board_has_power_is_put_to_sleep(line: Line) -> None:
    line.opens()
    line.runs(10.0)
    assert not line.talks
    assert line.handling.is_asleep(line.now)


def test_a_shift_of_a_moment_does_not_leave_it_awake(line: Line) -> None:
    line.opens()
    line.runs(10.0)
    line.handling.wake(True)
    line.opens()
    line.runs(STEP_S)
    line.handling.wake(False)
    assert not line.handling.is_asleep(line.now)
    line.runs(15.0)
    assert not line.talks
    assert line.handling.is_asleep(line.now)


def test_a_wake_up_that_is_lost_is_said_again(line: Line) -> None:
    line.opens()
    line.runs(10.0)
    assert not line.talks
    line.losing = 2
    line.handling.wake(True)
    line.opens()
    line.runs(SILENT_S)
    assert not line.talks, "it was lost"
    line.runs(2 * SILENT_S + 20.0)
    assert is_set_up(line)


def test_an_order_to_sleep_that_is_lost_is_given_again(line: Line) -> None:
    on_duty(line)
    line.handling.wake(False)
    line.losing = 4
    line.runs(30.0)
    assert line.losing == 0
    assert not line.talks
    assert line.handling.is_asleep(line.now)


def test_one_that_does_not_obey_never_counts_as_asleep(line: Line) -> None:
    on_duty(line)
    line.handling.wake(False)
    line.losing = 10_000
    line.runs(60.0)
    assert line.talks
    assert not line.handling.is_asleep(line.now)


def test_one_that_restarted_without_its_settings_is_set_up_again(line: Line) -> None:
    on_duty(line)
    line.runs(AGAIN_S)
    line.twin = line.make()
    line.runs(10.0)
    assert is_set_up(line)


def test_one_that_is_never_set_up_again_would_be_noticed(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    on_duty(line)
    monkeypatch.setattr(handling, "AGAIN_S", 1e9)
    line.runs(AGAIN_S)
    line.twin = line.make()
    line.runs(10.0)
    assert not is_set_up(line)


def test_one_that_obeys_nobody_is_asked_once_a_minute_at_most(line: Line) -> None:
    """It says what it was told not to say, as often as it likes."""
    on_duty(line)
    line.told.clear()
    body = b"GPGLL,3843.3351,N,00908.3602,W,120000.00,A"
    gll = b"$%s*%02X\r\n" % (body, reduce(xor, body))
    begun: list[float] = []
    for _ in range(300):
        line.runs(1.0)
        before = len(line.told)
        line.handling.heard(gll, line.reception.feed(gll, line.now), line.now)
        line.runs(STEP_S)
        if len(line.told) > before and (not begun or line.now - begun[-1] > 20):
            begun.append(line.now)
    assert 3 <= len(begun) <= 6


def test_a_receiver_that_says_nothing_is_roused_again_and_again_and_asked_nothing() -> None:
    receiver, now = Handling(RECEIVERS["ublox"], Wanted(1.0, ())), 0.0
    receiver.wake(True)
    receiver.opened(now)
    told = []
    while now < 61:
        receiver.poll(now)
        if octets := receiver.take():
            told.append((now, octets))
        due = receiver.next_due()
        assert due is not None
        assert due > now
        now = due
    assert told == [(number * SILENT_S, b"\xff" * 8) for number in range(13)]


def test_while_the_line_is_gone_nothing_is_due() -> None:
    receiver = Handling(RECEIVERS["ublox"], Wanted(1.0, ()))
    receiver.wake(True)
    assert receiver.next_due() is None
    receiver.opened(0.0)
    assert receiver.next_due() == SILENT_S
    receiver.closed()
    assert receiver.next_due() is None
    receiver.poll(100.0)
    assert not receiver.is_asleep(100.0)


def test_it_is_looked_after_when_it_must_be_asleep(line: Line) -> None:
    on_duty(line)
    line.handling.wake(False)
    line.runs(2.0)
    due = line.handling.next_due()
    assert due is not None
    assert due <= line.now + LISTEN_S
