"""UTC in the running device: who is asked for it, who is told, and the one record that says when it became known."""

import asyncio
import datetime as dt
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bondmate.core.lifetime import EARLIEST_UTC_MS
from bondmate.records import ClockSource, Kind, Suspicion, UtcTime
from tests.desk import UTC_MS, fix_at, payload, running
from tests.virtual import run


def test_an_anchor_is_recorded_once_utc_becomes_known(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, utc_ms=None) as desk:
            loop = asyncio.get_running_loop()
            clock = UtcTime(UTC_MS, ClockSource.GNSS, 500)
            assert desk.device.utc(loop.time()) is None
            desk.device.on_fix(fix_at(loop.time()))
            desk.device._rooms.dates.gnss_clock.utc = lambda _now: clock  # type: ignore[method-assign,assignment]
            for _ in range(3):
                desk.device.on_fix(fix_at(loop.time()))
            await asyncio.sleep(1)
            anchors = [record for record in desk.bearer.made.values() if record.kind is Kind.ANCHOR]
            assert len(anchors) == 1
            told = payload(anchors[0])
            assert told[5][:4] == (UTC_MS // 1000).to_bytes(4)
            assert len(told) == 7

    run(story())


def test_what_keeps_the_systems_clock_is_told_the_time_of_fixes_that_agree_and_of_no_others(tmp_path: Path) -> None:
    async def story() -> None:
        told: list[int] = []
        async with running(tmp_path, utc_ms=None) as desk:
            loop = asyncio.get_running_loop()
            desk.device.parts.time_keeper = types.SimpleNamespace(tell=told.append)

            def see(**more: Any) -> None:
                time = dt.datetime(2026, 11, 20, 15, tzinfo=dt.UTC) + dt.timedelta(seconds=loop.time())
                desk.device.on_fix(replace(fix_at(loop.time()), time=time, **more))

            for _ in range(3):
                see()
                await asyncio.sleep(1)
            assert not told, "they have not agreed for long enough"
            see()
            since_ms = loop.time() * 1000
            assert len(told) == 1
            await asyncio.sleep(1)
            see(suspect=(Suspicion.JUMP,))
            assert len(told) == 1
            await asyncio.sleep(1)
            see()
            assert told[1] - told[0] == pytest.approx(loop.time() * 1000 - since_ms, abs=1)

    run(story())


def test_a_system_whose_clock_was_never_set_knows_no_utc_and_says_it_once_it_was(tmp_path: Path) -> None:
    async def story() -> None:
        utc_ms = EARLIEST_UTC_MS - 1
        async with running(tmp_path, utc_ms=lambda: utc_ms) as desk:
            loop = asyncio.get_running_loop()
            desk.device.on_fix(fix_at(loop.time()))
            assert desk.device.utc(loop.time()) is None
            assert desk.records(Kind.ANCHOR) == []
            utc_ms = UTC_MS
            assert desk.device.utc(loop.time()) == UtcTime(UTC_MS, ClockSource.SYSTEM)
            for _ in range(2):
                desk.device.on_fix(fix_at(loop.time()))
            await asyncio.sleep(1)
            assert len(desk.records(Kind.ANCHOR)) == 1

    run(story())


def test_a_session_that_opened_with_utc_has_no_anchor(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            desk.device.on_fix(fix_at(asyncio.get_running_loop().time()))
            await asyncio.sleep(1)
            assert desk.records(Kind.ANCHOR) == []

    run(story())
