"""What the officer chose outlives a restart."""

import asyncio
from pathlib import Path

import pytest

from bondmate.errors import LocalError
from tests.desk import EARLIER, YOUNG, outbox_on, running
from tests.virtual import run


def test_covert_by_the_officers_choice_nothing_is_lit_at_the_start(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, session=EARLIER, covert=False) as desk:
            assert desk.palm.lit_openly
            await desk.device.change_settings(covert=True)
        async with running(tmp_path, earlier=tuple(desk.bearer.made.values()), covert=False) as later:
            await asyncio.sleep(5)
            assert later.palm.covert
            assert later.palm.lit_openly == []

    run(story())


def test_what_was_chosen_is_there_after_a_restart(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, session=EARLIER) as desk:
            assert (desk.device.settings.language, desk.device.settings.covert) == (None, True)
            assert await desk.device.change_settings(language="el")
            assert await desk.device.change_settings(covert=False)
        async with running(tmp_path, earlier=tuple(desk.bearer.made.values())) as later:
            assert (later.device.settings.language, later.device.settings.covert) == ("el", False)
            assert later.palm.covert is False

    run(story())


def test_a_language_that_there_is_not_changes_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            with pytest.raises(LocalError, match="there are en, pt, el"):
                await desk.device.change_settings(language="tlh", covert=False)
            assert (desk.device.settings.language, desk.palm.covert) == (None, True)

    run(story())


@pytest.mark.parametrize("octets", [b"", b"\xff", b"\x82\x63tlh\xf4", b"\x82\xf6\x01", b"\x80"])
def test_what_was_kept_and_cannot_be_read_is_left_alone(octets: bytes, tmp_path: Path) -> None:
    async def story() -> None:
        outbox = outbox_on(tmp_path)
        await outbox.open()
        await outbox.keep("settings", octets, YOUNG)
        await outbox.close()
        async with running(tmp_path) as desk:
            assert (desk.device.settings.language, desk.palm.covert) == (None, True)

    run(story())
