"""An exercise: ordered by the gateway, felt on each press, over by itself, and never in the way of a real call."""

import asyncio
from pathlib import Path

import pytest

from bondmate.errors import StoreError, StoreTrouble
from bondmate.records import Kind, SignedRecord
from tests.desk import DELIVERED, EARLIER, EXERCISE, STORED, UTC_MS, Desk, letter, running
from tests.virtual import run

ORDER = 6


def order(number: int, version: int, seconds: int, expires_s: int = UTC_MS // 1000 + 3600) -> bytes:
    return letter(number, ORDER, [version, seconds], expires_s=expires_s)


def kinds(desk: Desk) -> list[Kind]:
    return [record.kind for record in desk.bearer.made.values() if record.id.stream == 0]


def test_a_press_in_an_exercise_is_one_and_feels_like_one_and_the_second_is_real(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            desk.bearer.mail.append(order(1, 1, 3600))
            await asyncio.sleep(70)
            assert desk.device.exercise_active
            desk.palm.pulses.clear()
            await desk.press()
            await asyncio.sleep(10)
            assert desk.palm.pulses == EXERCISE + STORED + DELIVERED
            await desk.press()
            await asyncio.sleep(10)
            assert kinds(desk) == [Kind.EXERCISE, Kind.ESCALATION]
            assert desk.palm.pulses == EXERCISE + 2 * (STORED + DELIVERED)

    run(story())


def test_it_ends_by_itself_and_then_a_press_is_real(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            desk.bearer.mail.append(order(1, 1, 600))
            await asyncio.sleep(70)
            await asyncio.sleep(700)
            assert not desk.device.exercise_active
            await desk.press()
            assert kinds(desk) == [Kind.PANIC]

    run(story())


def test_a_version_that_does_not_grow_and_an_order_that_expired_change_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            desk.bearer.mail += [order(1, 5, 3600), order(2, 6, 0), order(3, 5, 3600), order(4, 7, 3600, expires_s=1)]
            await asyncio.sleep(70)
            assert not desk.device.exercise_active
            await desk.press()
            assert kinds(desk) == [Kind.PANIC]

    run(story())


def test_without_utc_no_exercise_is_taken(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, utc_ms=lambda: 0) as desk:
            desk.bearer.mail.append(order(1, 1, 3600))
            await asyncio.sleep(70)
            assert not desk.device.exercise_active

    run(story())


async def left_by_an_earlier_session(directory: Path) -> tuple[SignedRecord, ...]:
    """An exercise of an hour began, and the device went off."""
    async with running(directory, session=EARLIER) as desk:
        desk.bearer.mail.append(order(1, 1, 3600))
        await asyncio.sleep(70)
        assert desk.device.exercise_active
    return tuple(desk.bearer.made.values())


@pytest.mark.parametrize("by_s", [-3600, 10, 1800, 3700])
def test_over_a_restart_none_goes_on_and_its_order_begins_none_again(by_s: int, tmp_path: Path) -> None:
    """How long the device was off nobody knows for sure: a clock may be that of the moment when it went off."""

    async def story() -> None:
        earlier = await left_by_an_earlier_session(tmp_path)
        async with running(tmp_path, utc_ms=lambda: UTC_MS + by_s * 1000, earlier=earlier) as desk:
            desk.bearer.mail += [order(1, 1, 3600), order(2, 1, 3600)]
            await asyncio.sleep(70)
            assert not desk.device.exercise_active
            await desk.press()
            assert len(desk.records(Kind.PANIC)) == 1

    run(story())


def test_a_clock_that_turns_out_to_have_been_behind_ends_it(tmp_path: Path) -> None:
    utc_ms = [UTC_MS]

    async def story() -> None:
        async with running(tmp_path, utc_ms=lambda: utc_ms[0]) as desk:
            desk.bearer.mail.append(order(1, 1, 3600))
            await asyncio.sleep(70)
            assert desk.device.exercise_active
            utc_ms[0] += 8 * 3_600_000
            await desk.press()
            assert len(desk.records(Kind.PANIC)) == 1

    run(story())


def test_an_order_that_a_clock_is_behind_is_not_taken(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, utc_ms=lambda: UTC_MS - 3_600_000) as desk:
            desk.bearer.mail.append(order(1, 1, 3600))
            await asyncio.sleep(70)
            assert not desk.device.exercise_active

    run(story())


@pytest.mark.parametrize("trouble", [StoreTrouble.FULL, StoreTrouble.READ_ONLY])
def test_it_is_over_when_the_gateway_says_so_whatever_the_store_does(trouble: StoreTrouble, tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            desk.bearer.mail.append(order(1, 1, 3600))
            await asyncio.sleep(70)
            desk.disk.failure = StoreError("no", trouble)
            desk.bearer.mail.append(order(2, 2, 0))
            await asyncio.sleep(130)
            assert not desk.device.exercise_active

    run(story())


def test_after_a_restart_without_utc_what_is_pressed_is_real(tmp_path: Path) -> None:
    async def story() -> None:
        earlier = await left_by_an_earlier_session(tmp_path)
        async with running(tmp_path, utc_ms=lambda: 0, on_duty=None, earlier=earlier) as desk:
            await asyncio.sleep(3)
            await desk.press()
            assert len(desk.records(Kind.PANIC)) == 1

    run(story())
