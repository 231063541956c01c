"""A device that is not armed: what is felt of its button and shown, on virtual time."""

import asyncio
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any

import pytest

from bondmate.core.gesture import Gesture
from bondmate.faults import Faults
from bondmate.ports import PartFault
from bondmate.unarmed import FAULT, Unarmed
from tests import virtual

HOLD_S = 1.0
WANTED = frozenset({Gesture.HOLD, Gesture.DOUBLE})


class Hand:
    """Implements ports.Indicator, and keeps when the motor and the LED were switched."""

    def __init__(self) -> None:
        self.covert = False
        self.motor: list[tuple[float, bool]] = []
        self.led: list[tuple[float, bool]] = []

    def vibrate(self, on: bool) -> None:
        self._keep(self.motor, on)

    def light(self, on: bool, *, tested: bool = False) -> None:
        self._keep(self.led, on)

    def faults(self) -> tuple[PartFault, ...]:
        return ()

    def _keep(self, kept: list[tuple[float, bool]], on: bool) -> None:
        if on is not (kept[-1][1] if kept else False):
            kept.append((asyncio.get_running_loop().time(), on))

    def pulses(self, switched: list[tuple[float, bool]]) -> list[float]:
        """How long each lasted."""
        return [round(end - begin, 3) for (begin, on), (end, _) in pairwise(switched) if on]


NO_WAY_OUT = [0.08] * 5


def on_a_desk(test: Callable[[Unarmed, Hand], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        hand = Hand()
        unarmed = Unarmed(HOLD_S, [WANTED, frozenset({Gesture.HOLD})], hand, Faults())
        task = asyncio.ensure_future(unarmed.run())
        await asyncio.sleep(5)
        await test(unarmed, hand)
        task.cancel()
        await asyncio.wait({task})
        assert (hand.motor[-1][1], hand.led[-1][1]) == (False, False), "nothing is left on"

    virtual.run(main())


def press(unarmed: Unarmed, lasts_s: float, button: int = 0, from_start: bool = False) -> Coroutine[Any, Any, None]:
    async def run() -> None:
        now = asyncio.get_running_loop().time
        unarmed.on_edge(button, True, now(), from_start)
        await asyncio.sleep(lasts_s)
        unarmed.on_edge(button, False, now())
        await asyncio.sleep(5)

    return run()


def test_it_is_felt_at_its_start_and_shown_by_the_double_flash() -> None:
    async def test(unarmed: Unarmed, hand: Hand) -> None:
        assert hand.pulses(hand.motor) == NO_WAY_OUT
        assert hand.pulses(hand.led)[:4] == [0.1] * 4

    on_a_desk(test)


@pytest.mark.parametrize("button", [0, 1])
def test_a_hold_is_felt_as_no_way_out_while_it_lasts_and_never_as_stored(button: int) -> None:
    async def test(unarmed: Unarmed, hand: Hand) -> None:
        hand.motor.clear()
        began_s = asyncio.get_running_loop().time()
        await press(unarmed, 20, button)
        assert hand.pulses(hand.motor) == NO_WAY_OUT
        assert hand.motor[0][0] == pytest.approx(began_s + HOLD_S)

    on_a_desk(test)


def test_whatever_would_call_is_felt_and_nothing_else() -> None:
    async def test(unarmed: Unarmed, hand: Hand) -> None:
        hand.motor.clear()
        await press(unarmed, 0.1)
        assert hand.motor == [], "one tap calls nobody"
        now = asyncio.get_running_loop().time()
        for at in (now, now + 0.2):
            unarmed.on_edge(0, True, at)
            unarmed.on_edge(0, False, at + 0.1)
        await asyncio.sleep(5)
        assert hand.pulses(hand.motor) == NO_WAY_OUT

    on_a_desk(test)


def test_who_holds_it_when_it_starts_feels_it_too() -> None:
    async def test(unarmed: Unarmed, hand: Hand) -> None:
        hand.motor.clear()
        await press(unarmed, 2, from_start=True)
        assert hand.pulses(hand.motor) == NO_WAY_OUT

    on_a_desk(test)


def test_why_is_one_fault_that_changes_and_whoever_shows_it_is_told() -> None:
    async def test(unarmed: Unarmed, hand: Hand) -> None:
        before = unarmed.changes.count
        unarmed.report("waiting for approval", "approve it")
        unarmed.report("refused", "put another file there")
        assert unarmed.changes.count == before + 2
        assert unarmed.why == "refused"
        assert unarmed.faults.to_json() == [
            {"code": FAULT, "since": None, "text": "refused", "next": "put another file there"}
        ]

    on_a_desk(test)
