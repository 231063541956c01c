"""How the device is on the whole, and what an update is told of it."""

import asyncio
from pathlib import Path

import pytest

from bondmate.condition import DEGRADING
from bondmate.records import Kind
from tests.desk import receipt, running, silence
from tests.virtual import run


@pytest.mark.parametrize("code", [*DEGRADING, "gnss-silent"])
def test_a_fault_on_the_way_of_an_alert_makes_it_less_than_whole(code: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            condition = desk.device.condition
            before = condition.is_whole
            desk.faults.report(code, "something is wrong", "hand it in", None)
            assert (before, condition.is_whole) == (True, code not in DEGRADING)
            assert (condition.unwell is not None) == (code in {"store", "configuration"})

    run(story())


def test_until_it_is_known_what_was_left_it_is_not_called_well(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            condition = desk.device.condition
            known = condition.unwell
            condition.resumption.is_over = False
            assert (known, condition.unwell) == (None, "what an earlier session left is not known yet")
            assert not condition.situation().known
            assert condition.is_urgent is None
            desk.device.raise_alert(Kind.PANIC)
            assert condition.is_urgent

    run(story())


def test_a_call_is_urgent_until_its_receipt_and_as_long_as_it_is_open(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, answer=silence, on_duty=None) as desk:
            condition = desk.device.condition
            urgent = [condition.is_urgent]
            assert not condition.situation().in_use
            await desk.press()
            await asyncio.sleep(1)
            urgent.append(condition.is_urgent)
            assert (condition.situation().alert_open, condition.situation().undelivered) == (True, 1)
            desk.device.take_receipt(receipt(desk.record(Kind.PANIC)))
            await asyncio.sleep(1)
            urgent.append(condition.is_urgent)
            assert urgent == [False, True, True], "at last, for it is open"
            await desk.device.set_duty(True)
            assert condition.situation().in_use

    run(story())


def test_the_gateway_was_reached_when_any_bearer_says_so(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, bearers=("ip", "lte")) as desk:
            assert not desk.device.condition.has_reached_gateway
            desk.bearers[1].last_success_s = 1.0
            assert desk.device.condition.has_reached_gateway

    run(story())
