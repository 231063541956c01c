"""Random presses with worn contacts on the real way of a press: board, pin factory, gpiozero, daemon.

The same on the recognizer alone, thousands of times, is tests/core/test_gesture.py.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from bondmate_sim.board_client import BoardClient
from bondmate_sim.process import wait_until
from bondmate_sim.world import BUTTON_PIN, World
from tests.e2e.conftest import ctl

HOLD_S = 0.15
BOUNCE_MS = 12
TAPS_S, HOLDS_S = (0.01, 0.05), (0.18, 0.2)
"""How long a finger stays."""
DOUBTFUL_S = (0.13, 0.16)
"""What a busy machine made of a tap that took so long, nobody knows …"""
OPEN_S = 0.02
"""… nor of a press in which a bounce took longer: it may have been a release."""
GAPS_S = (0.06, 0.08)
"""Between two presses: longer than a contact chatters, and than it must rest to count as released."""
NO_PIN = 4
"""Nothing is wired to it: there the board keeps the time of the gaps."""
SEQUENCES = 100


@dataclass
class Finger:
    """Presses at random; what it did is what the board saw, not what was meant."""

    board: BoardClient
    rng: random.Random
    taps: list[float] = field(default_factory=list)
    holds: list[float] = field(default_factory=list)
    doubtful: list[float] = field(default_factory=list)

    def press(self, seconds: float) -> None:
        done = self.board.hold(BUTTON_PIN, seconds)
        took_s = (done.released_ns - done.pressed_ns) / 1e9
        if DOUBTFUL_S[0] <= took_s <= DOUBTFUL_S[1] or self._longest_bounce_s() > OPEN_S:
            self.doubtful.append(took_s)
        else:
            (self.taps if took_s < HOLD_S else self.holds).append(took_s)

    def _longest_bounce_s(self) -> float:
        """How long the contact was open within the press that is just over; the board tells edges before the answer."""
        edges = [self.board._edges.get_nowait() for _ in range(self.board._edges.qsize())]
        times_s = [edge.t_ns / 1e9 for edge in edges if edge is not None]
        # closed, open, closed, …, open
        return max((closed - opened for opened, closed in zip(times_s[1::2], times_s[2::2], strict=False)), default=0.0)

    def sequence(self) -> None:
        """One to three presses, seldom three: each takes its time."""
        for _ in range(self.rng.choice((1, 1, 2, 2, 3))):
            self.press(self.rng.uniform(*self.rng.choice((TAPS_S, HOLDS_S))))
            self.board.hold(NO_PIN, self.rng.uniform(*GAPS_S))


def calls(world: World) -> int:
    """How many the daemon made: nothing else that happens here is numbered in the stream alert."""
    alert = ctl(world, "alert", "show")
    return 0 if alert is None else int(alert["alert_id"].rpartition("/")[2])


def prepared(make_world: Callable[..., World]) -> World:
    """A world with worn contacts, and without a receiver: a press needs none."""
    world = make_world(hold_s=HOLD_S, board=("--bounce-ms", str(BOUNCE_MS), "--seed", "6"))
    world.start_gateway()
    world.start_network()
    world.enrol()
    world.start_board()
    world.start_daemon()
    return world


@pytest.mark.timeout(120)
def test_of_a_hundred_random_sequences_each_hold_is_recognised_once_and_no_tap(
    make_world: Callable[..., World],
) -> None:
    world = prepared(make_world)
    with BoardClient(world.board_socket) as board:
        board.request("watch", pin=BUTTON_PIN)
        finger = Finger(board, random.Random(6))
        for number in range(SEQUENCES):
            finger.sequence()
            sure, possible = len(finger.holds), len(finger.holds) + len(finger.doubtful)
            wait_until(lambda sure=sure: calls(world) >= sure, 30, f"{sure} calls")  # type: ignore[misc]
            assert calls(world) <= possible, f"after sequence {number}: {finger.taps[-3:]} {finger.holds[-3:]}"
        # edges come in their order: what a tap was taken for would stand before this one
        finger.press(HOLDS_S[1])
        wait_until(lambda: calls(world) >= len(finger.holds), 30, "the last call")
        assert len(finger.holds) <= calls(world) <= len(finger.holds) + len(finger.doubtful)
    assert min(len(finger.taps), len(finger.holds)) > SEQUENCES / 2, "else this showed little"


def test_one_hold_among_ten_taps_is_seen(make_world: Callable[..., World]) -> None:
    """The count above would notice a single tap that was taken for a hold."""
    world = prepared(make_world)
    with BoardClient(world.board_socket) as board:
        board.request("watch", pin=BUTTON_PIN)
        finger = Finger(board, random.Random(7))
        for seconds in (*[TAPS_S[0]] * 5, HOLDS_S[0], *[TAPS_S[0]] * 5):
            finger.press(seconds)
            board.hold(NO_PIN, GAPS_S[0])
        wait_until(lambda: calls(world), 30, "the call")
        assert calls(world) == 1
        assert len(finger.taps) + len(finger.doubtful) == 10
