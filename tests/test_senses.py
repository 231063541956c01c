"""What the device senses of itself, and what it makes of it."""

import asyncio
import tempfile
from pathlib import Path

from bondmate.records import Kind
from tests.desk import ATTENTION, DELIVERED, STORED, fix_at, payload, running
from tests.virtual import run


def lying(desk: object, lies: bool) -> None:
    desk.device.on_lying(lies, asyncio.get_running_loop().time())  # type: ignore[attr-defined]


def test_whoever_lies_still_is_felt_for_and_then_called_for(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            lying(desk, True)
            await asyncio.sleep(14)
            assert desk.device.senses.countdown_json(asyncio.get_running_loop().time()) is None
            await asyncio.sleep(6)
            shown = desk.device.senses.countdown_json(asyncio.get_running_loop().time())
            assert shown is not None
            assert shown["kind"] == "man-down"
            assert desk.palm.pulses[:2] == ATTENTION
            assert not desk.device.alert_open
            await asyncio.sleep(30)
            assert len(desk.records(Kind.MAN_DOWN)) == 1
            await asyncio.sleep(5)
            assert desk.palm.pulses[-3:] == STORED + DELIVERED

    run(story())


def test_whoever_gets_up_in_time_calls_nobody(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            lying(desk, True)
            await asyncio.sleep(40)
            lying(desk, False)
            await asyncio.sleep(600)
            assert not desk.device.alert_open

    run(story())


def test_an_opened_case_is_an_alert_on_duty_and_a_fault_alone_off_duty(tmp_path: Path) -> None:
    async def story(on_duty: bool) -> tuple[int, bool]:
        async with running(Path(tempfile.mkdtemp(dir=tmp_path)), on_duty=on_duty) as desk:
            desk.device.on_case(True, 0.0)
            desk.device.on_case(False, 0.0)
            desk.device.on_case(False, 0.0)
            await asyncio.sleep(1)
            shown = "case-open" in desk.faults
            desk.device.on_case(True, 0.0)
            assert "case-open" not in desk.faults
            return len(desk.records(Kind.TAMPER)), shown

    assert run(story(True)) == (1, True)
    assert run(story(False)) == (0, True)


def test_a_battery_that_gets_low_is_felt_and_one_that_fails_says_where_the_device_is(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            loop = asyncio.get_running_loop()
            desk.device.on_fix(fix_at(loop.time()))
            before = len(desk.records(Kind.PRESENCE))
            desk.device.senses.on_battery(80, False)
            assert desk.device.senses.battery_json() == {"percent": 80, "charging": False}
            desk.device.senses.on_battery(15, False)
            assert "battery-low" in desk.faults
            await asyncio.sleep(5)
            assert desk.palm.pulses == ATTENTION
            assert len(desk.records(Kind.PRESENCE)) == before
            desk.device.senses.on_battery(5, False)
            assert "battery-critical" in desk.faults
            assert len(desk.records(Kind.PRESENCE)) == before + 1
            desk.device.senses.on_battery(9, True)
            assert "battery-critical" not in desk.faults

    run(story())


def test_the_last_words_in_an_alert_are_a_precise_position(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            await desk.press()
            desk.device.on_fix(fix_at(asyncio.get_running_loop().time()))
            before = len(desk.records(Kind.POSITION))
            desk.device.senses.on_battery(4, False)
            assert len(desk.records(Kind.POSITION)) == before + 1
            assert len(payload(desk.record(Kind.POSITION))[6]) == 11, "the form that fits one SMS"

    run(story())


def test_off_duty_a_failing_battery_tells_no_position(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, on_duty=False) as desk:
            desk.device.on_fix(fix_at(asyncio.get_running_loop().time()))
            desk.device.senses.on_battery(3, False)
            await asyncio.sleep(5)
            assert desk.records(Kind.PRESENCE) == desk.records(Kind.POSITION) == []

    run(story())


def test_off_duty_a_device_that_was_put_down_calls_nobody(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, on_duty=False) as desk:
            lying(desk, True)
            await asyncio.sleep(3600)
            assert desk.calls() == []
            await desk.device.set_duty(True)
            await asyncio.sleep(14)
            assert desk.calls() == []
            await asyncio.sleep(40)
            assert [record.kind for record in desk.calls()] == [Kind.MAN_DOWN], "it counts from the beginning of duty"

    run(story())
