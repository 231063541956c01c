"""What a finger says on the buttons of a running device."""

import asyncio
import tempfile
from pathlib import Path

from bondmate.core.gesture import Gesture
from bondmate.records import How, Kind, Stream
from tests.desk import EARLIER, HOLD_S, Desk, left_in, payload, recorder, running
from tests.virtual import run


def fresh(directory: Path) -> Path:
    """Another device's."""
    return Path(tempfile.mkdtemp(dir=directory))


async def taps(desk: Desk, count: int) -> None:
    for _ in range(count):
        now = asyncio.get_running_loop().time()
        desk.device.on_edge(0, True, now)
        await asyncio.sleep(0.1)
        desk.device.on_edge(0, False, asyncio.get_running_loop().time())
        await asyncio.sleep(0.1)


def test_a_gesture_takes_an_alert_back_but_not_in_its_first_seconds(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, cancel_gesture=Gesture.TRIPLE) as desk:
            await desk.press()
            await taps(desk, 3)
            await asyncio.sleep(2)
            assert desk.device.alert_open, "too soon"
            await asyncio.sleep(10)
            await taps(desk, 3)
            await asyncio.sleep(2)
            assert desk.state == "cancelled"
            assert payload(desk.record(Kind.CANCELLATION))[7][8:] == bytes([How.GESTURE])

    run(story())


def test_no_continuation_of_a_hold_takes_it_back(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, cancel_gesture=Gesture.DOUBLE) as desk:
            await desk.press()
            await asyncio.sleep(30)
            loop = asyncio.get_running_loop()
            desk.device.on_edge(0, True, loop.time())
            await asyncio.sleep(HOLD_S * 20)
            desk.device.on_edge(0, False, loop.time())
            await asyncio.sleep(2)
            assert desk.device.alert_open
            assert desk.records(Kind.CANCELLATION) == []

    run(story())


def test_a_button_held_through_a_restart_does_not_call_again(tmp_path: Path) -> None:
    async def story() -> None:
        maker = recorder(EARLIER)
        panic = maker.make(Kind.PANIC, 0.0, None)
        await left_in(tmp_path, panic)
        async with running(tmp_path, earlier=(panic,), on_duty=None) as desk:
            loop = asyncio.get_running_loop()
            desk.device.on_edge(0, True, loop.time(), True)
            await asyncio.sleep(HOLD_S * 3)
            assert desk.records(Kind.ESCALATION) == []
            desk.device.on_edge(0, False, loop.time())
            await asyncio.sleep(1)
            await desk.press()
            assert len(desk.records(Kind.ESCALATION)) == 1, "a new press does"

    run(story())


def test_a_button_held_at_start_without_an_open_alert_raises_one(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            loop = asyncio.get_running_loop()
            desk.device.on_edge(0, True, loop.time(), True)
            await asyncio.sleep(HOLD_S * 3)
            assert len(desk.records(Kind.PANIC)) == 1

    run(story())


def test_a_stuck_button_is_one_alert_and_a_fault(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            loop = asyncio.get_running_loop()
            desk.device.on_edge(0, True, loop.time())
            await asyncio.sleep(3600)
            calls = [record for record in desk.bearer.made.values() if record.id.stream is Stream.ALERT]
            assert len(calls) == 1
            assert "button-stuck" in desk.faults
            desk.device.on_edge(0, False, loop.time())
            await asyncio.sleep(1)
            assert "button-stuck" not in desk.faults

    run(story())


def test_a_second_button_and_taps_call_for_other_things(tmp_path: Path) -> None:
    gestures = ({Gesture.HOLD: Kind.PANIC, Gesture.DOUBLE: Kind.ASSISTANCE}, {Gesture.HOLD: Kind.MEDICAL})

    async def story(button: int, count: int) -> list[Kind]:
        async with running(fresh(tmp_path), gestures=gestures) as desk:
            if count:
                await taps(desk, count)
            else:
                loop = asyncio.get_running_loop()
                desk.device.on_edge(button, True, loop.time())
                await asyncio.sleep(HOLD_S + 0.1)
                desk.device.on_edge(button, False, loop.time())
            await asyncio.sleep(2)
            return [record.kind for record in desk.calls()]

    assert run(story(0, 0)) == [Kind.PANIC]
    assert run(story(0, 2)) == [Kind.ASSISTANCE]
    assert run(story(1, 0)) == [Kind.MEDICAL]
    assert run(story(0, 1)) == []
    assert run(story(0, 3)) == [Kind.ASSISTANCE]
