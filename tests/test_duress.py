"""Taking an alert back under duress looks, to whoever stands beside the officer, as if it were true."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from bondmate.records import How, Kind, SessionId, SignedRecord
from bondmate.tracker import Tracker
from tests.desk import Desk, fix_at, payload, running
from tests.virtual import run

COARSE_BIT = 6


def is_coarse(fix: bytes) -> bool:
    return bool(fix[10] >> COARSE_BIT & 1)


async def cancelled(directory: Path, how: How, caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    """All that can be seen on the device of an alert that was taken back so, an hour long."""
    directory.mkdir()  # noqa: ASYNC240 - virtual time
    caplog.clear()
    caplog.set_level(logging.DEBUG)
    async with running(directory) as desk:
        loop = asyncio.get_running_loop()
        desk.device.on_fix(fix_at(loop.time()))
        await desk.press()
        await asyncio.sleep(20)
        before = len(desk.records(Kind.PRESENCE))
        answer = desk.device.cancel_alert(how).to_json(loop.time())
        seen: list[Any] = []
        for _ in range(120):
            await asyncio.sleep(30)
            desk.device.on_fix(fix_at(loop.time()))
            seen.append(
                (
                    desk.device.waiting(),
                    desk.device.alert is not None and desk.device.alert.to_json(loop.time()),
                    desk.device.alert_open,
                    desk.place.wakes,
                    desk.faults.to_json(),
                    [(row.record.kind, row.record.id.sequence, row.attempts, row.why) for row in _queue(desk)],
                )
            )
        return {
            "answer": answer,
            "seen": seen,
            "felt": (desk.palm.rises, desk.palm.pulses),
            "light": desk.palm.light_rises,
            "sent": [(at, len(submission)) for at, submission in desk.bearer.sent],
            "log": [record.getMessage().replace(str(directory), "DIR") for record in caplog.records],
            "how": payload(desk.record(Kind.CANCELLATION))[7][8:],
            "coarse": [is_coarse(payload(record)[6]) for record in desk.records(Kind.PRESENCE)[before:]],
        }


def _queue(desk: Desk) -> list[Any]:
    return list(desk.device.parts.delivery.snapshot(asyncio.get_running_loop().time()))


def test_nothing_that_can_be_seen_on_the_device_differs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    truly = run(cancelled(tmp_path / "true", How.PIN, caplog))
    forced = run(cancelled(tmp_path / "forced", How.DURESS, caplog))
    assert (truly.pop("how"), forced.pop("how")) == (b"\1", b"\3"), "but the dispatcher is told"
    assert len(truly["coarse"]) == len(forced["coarse"]) > 10
    assert all(truly.pop("coarse"))
    assert not any(forced.pop("coarse")), "and sees precisely where the officer is"
    assert truly == forced


def test_a_difference_would_be_noticed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = Tracker.begin_duress

    def careless(tracker: Tracker) -> None:
        begin(tracker)
        tracker.tracking.open_alert()

    monkeypatch.setattr(Tracker, "begin_duress", careless)
    truly = run(cancelled(tmp_path / "true", How.PIN, caplog))
    forced = run(cancelled(tmp_path / "forced", How.DURESS, caplog))
    assert truly["seen"] != forced["seen"]


def test_presences_are_coarse_again_in_the_next_shift(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            loop = asyncio.get_running_loop()
            await desk.press()
            desk.device.cancel_alert(How.DURESS)
            await desk.device.set_duty(False)
            await desk.device.set_duty(True)
            desk.device.on_fix(fix_at(loop.time()))
            assert is_coarse(payload(desk.record(Kind.PRESENCE))[6])

    run(story())


def test_over_restarts_they_are_precise_in_that_shift_alone(tmp_path: Path) -> None:
    async def coarse_at_once(desk: Desk) -> bool:
        desk.device.on_fix(fix_at(asyncio.get_running_loop().time()))
        await asyncio.sleep(1)
        return is_coarse(payload(desk.record(Kind.PRESENCE))[6])

    async def story() -> None:
        sessions = [SessionId(bytes([0, number, 0, 0, 0, number])) for number in range(1, 5)]
        made: tuple[SignedRecord, ...] = ()
        async with running(tmp_path, session=sessions[0]) as desk:
            await desk.press()
            desk.device.cancel_alert(How.DURESS)
            await asyncio.sleep(5)
            made += tuple(desk.bearer.made.values())
        async with running(tmp_path, session=sessions[1], earlier=made, on_duty=None) as desk:
            await asyncio.sleep(3)
            assert not await coarse_at_once(desk), "the same shift"
            await desk.device.set_duty(False)
            await asyncio.sleep(5)
            made = tuple(desk.bearer.made.values())
        async with running(tmp_path, session=sessions[2], earlier=made, on_duty=None) as desk:
            await desk.device.set_duty(True)
            assert await coarse_at_once(desk)
            await asyncio.sleep(5)
            made = tuple(desk.bearer.made.values())
        async with running(tmp_path, session=sessions[3], earlier=made, on_duty=None) as desk:
            await asyncio.sleep(3)
            assert await coarse_at_once(desk)

    run(story())
