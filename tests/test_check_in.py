"""Check-ins of an officer: felt before they are due, missed, and gone on with after a restart."""

import asyncio
from pathlib import Path

import pytest

from bondmate.errors import LocalError
from bondmate.records import Kind
from tests.desk import ATTENTION, DELIVERED, EARLIER, STORED, UTC_MS, fix_at, payload, running
from tests.virtual import run

COUNTDOWN_S = 30.0


def test_a_missed_check_in_is_felt_first_and_then_an_alert_with_what_the_officer_said(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            desk.device.check_in.begin(1200, "cellar of number 7")
            assert payload(desk.record(Kind.CHECK_IN))[7] == [1, 1200, "cellar of number 7"]
            await asyncio.sleep(1139)
            assert desk.palm.pulses == []
            await asyncio.sleep(10)
            assert desk.palm.pulses == ATTENTION, "a minute before it is due"
            await asyncio.sleep(52)
            assert desk.records(Kind.CHECK_IN_MISSED) == []
            await asyncio.sleep(COUNTDOWN_S)
            assert len(desk.records(Kind.CHECK_IN_MISSED)) == 1
            assert desk.device.alert_open
            await asyncio.sleep(3)
            assert desk.palm.pulses[-3:] == STORED + DELIVERED
            assert desk.device.check_in.to_json(0.0) is None

    run(story())


@pytest.mark.parametrize("late_s", [0, 1195, 1215], ids=["early", "in the last minute", "in the countdown"])
def test_whoever_ends_it_in_time_raises_nothing(late_s: float, tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            desk.device.check_in.begin(1200)
            await asyncio.sleep(late_s)
            desk.device.check_in.end()
            await asyncio.sleep(7200)
            assert not desk.device.alert_open
            assert [payload(record)[7][0] for record in desk.records(Kind.CHECK_IN)] == [1, 3]

    run(story())


def test_it_can_be_extended(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            desk.device.check_in.begin(600)
            await asyncio.sleep(590)
            desk.device.check_in.extend(600)
            await asyncio.sleep(500)
            assert not desk.device.alert_open
            await asyncio.sleep(200)
            assert desk.device.alert_open

    run(story())


def test_it_outlives_a_restart_and_the_time_without_power_counts(tmp_path: Path) -> None:
    utc_ms = 1_900_000_000_000

    async def story() -> None:
        async with running(tmp_path, utc_ms=lambda: utc_ms, session=EARLIER) as desk:
            desk.device.check_in.begin(1200, "cellar")
            await asyncio.sleep(5)
        earlier = tuple(desk.bearer.made.values())
        async with running(tmp_path, utc_ms=lambda: utc_ms + 3_600_000, on_duty=None, earlier=earlier) as desk:
            shown = desk.device.check_in.to_json(asyncio.get_running_loop().time())
            assert shown is not None
            assert (shown["note"], shown["state"]) == ("cellar", "countdown"), "it is long due, and felt once more"
            assert desk.records(Kind.CHECK_IN_MISSED) == []
            await asyncio.sleep(COUNTDOWN_S + 1)
            assert desk.device.alert_open
            assert len(desk.records(Kind.CHECK_IN_MISSED)) == 1

    run(story())


def test_one_that_was_ended_does_not_come_back(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, session=EARLIER) as desk:
            desk.device.check_in.begin(1200)
            await asyncio.sleep(5)
            desk.device.check_in.end()
            await asyncio.sleep(5)
        async with running(tmp_path, on_duty=None, earlier=tuple(desk.bearer.made.values())) as desk:
            await asyncio.sleep(3600)
            assert not desk.device.alert_open

    run(story())


def test_without_one_there_is_nothing_to_extend_or_end(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            with pytest.raises(LocalError, match="no check-in is under way"):
                desk.device.check_in.end()
            with pytest.raises(LocalError, match="no check-in is under way"):
                desk.device.check_in.extend(60)
            with pytest.raises(LocalError, match="check-in"):
                desk.device.check_in.begin(1)

    run(story())


def test_the_time_without_power_counts_as_soon_as_satellites_tell_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, utc_ms=lambda: UTC_MS, session=EARLIER) as desk:
            desk.device.check_in.begin(1200, "cellar")
            await asyncio.sleep(5)
        earlier = tuple(desk.bearer.made.values())
        async with running(tmp_path, utc_ms=None, earlier=earlier) as later:
            loop = asyncio.get_running_loop()
            shown = later.device.check_in.to_json(loop.time())
            assert shown is not None
            assert shown["state"] == "running", "how long it was off, nobody knows yet"
            later.device.parts.system_utc_ms = lambda: UTC_MS + 3_600_000
            later.device.on_fix(fix_at(loop.time()))
            await asyncio.sleep(COUNTDOWN_S + 5)
            assert later.device.alert_open

    run(story())


@pytest.mark.parametrize("act", ["begin", "end"])
def test_what_was_said_is_stored_at_once(act: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, session=EARLIER) as desk:
            desk.device.check_in.begin(1200)
            assert await desk.device.check_in.keep(1.0)
            if act == "end":
                desk.device.check_in.end()
                assert await desk.device.check_in.keep(1.0)
        async with running(tmp_path, on_duty=None, earlier=tuple(desk.bearer.made.values())) as later:
            assert later.device.check_in.is_running is (act == "begin")

    run(story())


@pytest.mark.parametrize("after_s", [0.0, 0.01, 0.5, 1.0, 3.0])
def test_one_that_was_missed_is_not_missed_again_after_a_restart(after_s: float, tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, session=EARLIER) as desk:
            desk.device.check_in.begin(60)
            while not desk.calls():  # noqa: ASYNC110 - virtual time
                await asyncio.sleep(0.005)
            await asyncio.sleep(after_s)
            stored = desk.calls()[-1].digest in desk.rows()
        async with running(tmp_path, on_duty=None, earlier=tuple(desk.bearer.made.values())) as later:
            await asyncio.sleep(200)
            calls = [record for record in later.calls() if record.kind in (Kind.CHECK_IN_MISSED, Kind.ESCALATION)]
            assert len(calls) == (1 if stored else 2), "what was not stored is called for again"
            assert later.device.alert_open

    run(story())
