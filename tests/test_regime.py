"""Who has to know of duty, an alert and all that, and what the LED shows of it."""

import asyncio
from pathlib import Path

from bondmate.core.lamp import Light
from bondmate.records import Kind
from tests.desk import Desk, letter, running
from tests.virtual import run


def shown(desk: Desk) -> Light:
    return desk.device._rooms.tracker._lamp.shows


def test_the_led_shows_what_matters_most(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            assert shown(desk) is Light.ARMED
            desk.faults.report("store", "the disk is gone", "hand it in", None)
            desk.device._rooms.obey()
            assert shown(desk) is Light.NOT_ARMED
            await desk.press()
            assert shown(desk) is Light.PRECISE, "whatever else there is"
            desk.bearer.mail.append(letter(1, 4, [[desk.record(Kind.PANIC).digest]]))
            desk.device.wake_up()
            await asyncio.sleep(5)
            assert shown(desk) is Light.ACKNOWLEDGED

    run(story())


def test_nothing_is_lit_before_it_is_known_what_there_is_to_show(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            regime = desk.device._rooms.regime
            for unknown in (True, False):
                regime.condition.resumption.is_over, regime.is_armed = not unknown, unknown
                desk.device._rooms.obey()
                assert shown(desk) is Light.OFF

    run(story())


def test_duty_wakes_the_receiver_and_delivers_what_waits_for_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, on_duty=False) as desk:
            assert desk.place.wakes == []
            desk.device._rooms.record(Kind.HEALTH, body={})
            await asyncio.sleep(60)
            assert desk.bearer.sent_of(Kind.HEALTH) == []
            await desk.device.set_duty(True)
            assert desk.place.awake
            await asyncio.sleep(5)
            assert len(desk.bearer.sent_of(Kind.HEALTH)) == 1

    run(story())


def test_off_duty_a_device_that_lies_was_put_down(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, on_duty=False) as desk:
            desk.device.on_lying(True, 0.0)
            await asyncio.sleep(3600)
            assert desk.calls() == []
            await desk.device.set_duty(True)
            await asyncio.sleep(3600)
            assert [record.kind for record in desk.calls()] == [Kind.MAN_DOWN]

    run(story())
