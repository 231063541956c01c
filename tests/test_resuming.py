"""What an earlier session left is taken up, however often the store fails, and whatever the disk made of it."""

import asyncio
from pathlib import Path

import pytest

from bondmate.errors import StoreError, StoreTrouble
from bondmate.records import Kind
from bondmate.resuming import RETRY_S
from tests.desk import EARLIER, left_in, recorder, running
from tests.virtual import run


async def with_a_choice(directory: Path) -> None:
    """A session in which the officer chose a language."""
    async with running(directory, session=EARLIER) as desk:
        assert await desk.device.change_settings(language="pt")


def test_a_state_that_cannot_be_read_is_asked_for_again_and_the_next_ones_wait(tmp_path: Path) -> None:
    async def story() -> None:
        await with_a_choice(tmp_path)
        async with running(tmp_path, on_duty=None) as desk:
            resumption = desk.device._rooms.resumption
            tries, order = 0, list[str]()

            async def fails_twice() -> None:
                nonlocal tries
                tries += 1
                if tries < 3:
                    raise StoreError("the card is slow", StoreTrouble.HANGING)
                order.append("first")

            async def second() -> None:
                order.append("second")

            resumption._states = (fails_twice, second)
            began_s = asyncio.get_running_loop().time()
            await resumption.take_up_states()
            assert asyncio.get_running_loop().time() - began_s == pytest.approx(2 * RETRY_S, abs=0.1)
            assert order == ["first", "second"]

    run(story())


def test_one_that_makes_no_sense_stops_none_of_the_others(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        await with_a_choice(tmp_path)
        async with running(tmp_path, on_duty=None) as desk:
            resumption = desk.device._rooms.resumption

            async def nonsense() -> None:
                raise ZeroDivisionError

            taken: list[str] = []

            async def other() -> None:
                taken.append("other")

            resumption._states = (nonsense, other)
            await resumption.take_up_states()
            assert taken == ["other"]

    run(story())
    assert "makes no sense" in caplog.text


def test_it_is_not_waited_for_longer_than_the_deadline(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            resumption = desk.device._rooms.resumption
            resumption.is_over = False
            for_ever = asyncio.ensure_future(asyncio.Event().wait())
            began_s = asyncio.get_running_loop().time()
            await resumption.wait(for_ever, 0.5)  # type: ignore[arg-type]
            assert asyncio.get_running_loop().time() - began_s == pytest.approx(0.5, abs=0.01)
            assert resumption.is_over
            for_ever.cancel()

    run(story())


def test_what_was_raised_meanwhile_is_newer_than_an_earlier_alert(tmp_path: Path) -> None:
    async def story() -> None:
        earlier = recorder(EARLIER).make(Kind.PANIC, 1.0, None)
        await left_in(tmp_path, earlier)
        async with running(tmp_path, earlier=(earlier,), on_duty=None) as desk:
            assert desk.device.alert is not None
            assert desk.device.alert.record.id == earlier.id
            await desk.press()
            await desk.device._rooms.resumption.take_up_alert()
            assert desk.device.alert.record.kind is Kind.ESCALATION

    run(story())
