"""Messages are felt, once, and not again."""

import asyncio
import tempfile
from pathlib import Path

from tests.desk import ATTENTION, EARLIER, letter, running
from tests.virtual import run


def test_many_messages_at_once_are_felt_as_one_and_not_again_after_a_restart(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, session=EARLIER) as desk:
            desk.bearer.mail += [letter(number, 1, [f"message {number}", []], urgency=1) for number in range(1, 41)]
            desk.device.wake_up()
            await asyncio.sleep(60)
            assert desk.device.mailbox.unread == 40
            assert desk.palm.pulses == ATTENTION * 2, "one, and another for what came while it was felt"
        earlier = tuple(desk.bearer.made.values())
        async with running(tmp_path, earlier=earlier, on_duty=None, forget=False) as later:
            await asyncio.sleep(30)
            assert later.palm.pulses == []

    run(story())


def test_what_is_not_urgent_is_felt_on_duty_alone(tmp_path: Path) -> None:
    async def story(on_duty: bool) -> list[float]:
        async with running(Path(tempfile.mkdtemp(dir=tmp_path)), on_duty=on_duty) as desk:
            desk.bearer.mail.append(letter(1, 1, ["routine", []]))
            desk.device.wake_up()
            await asyncio.sleep(10)
            assert desk.device.mailbox.unread == 1
            return desk.palm.pulses

    assert run(story(True)) == ATTENTION
    assert run(story(False)) == []


def test_one_that_was_cut_short_is_felt_again_after_the_restart(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, session=EARLIER) as desk:
            desk.bearer.mail.append(letter(1, 1, ["urgent", []], urgency=1))
            desk.device.wake_up()
            await asyncio.sleep(0.5)
            assert desk.palm.rises
            assert desk.palm.pulses == []
        earlier = tuple(desk.bearer.made.values())
        async with running(tmp_path, earlier=earlier, on_duty=None, forget=False) as later:
            await asyncio.sleep(10)
            assert later.palm.pulses == ATTENTION

    run(story())
