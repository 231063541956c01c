"""Small states: memory has the last word, and the store gets it as soon as it can."""

import asyncio
from pathlib import Path

from bondmate.store.database import DATABASE_FILE
from tests.desk import EARLIER, running
from tests.virtual import run


def test_what_the_store_did_not_take_is_written_when_it_works_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, session=EARLIER) as desk:
            desk.disk.failure = OSError("no card")
            assert not await desk.device.change_settings(language="pt")
            assert desk.device.settings.language == "pt", "it counts at once"
            desk.disk.failure = None
            await asyncio.sleep(5)
        async with running(tmp_path, earlier=tuple(desk.bearer.made.values())) as later:
            assert later.device.settings.language == "pt"

    run(story())


def test_a_store_that_hangs_is_not_waited_for(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            desk.disk.takes_s = 30.0
            loop = asyncio.get_running_loop()
            begun_s = loop.time()
            assert not await desk.device.change_settings(language="pt")
            assert loop.time() - begun_s <= 0.6

    run(story())


def test_a_fresh_file_in_the_place_of_a_damaged_one_gets_what_was_said_in_this_session(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, session=EARLIER) as desk:
            assert await desk.device.change_settings(language="pt")
            assert desk.outbox._connection is not None
            desk.outbox._give_up(desk.outbox._connection)
            await asyncio.sleep(10)
            assert (tmp_path / f"{DATABASE_FILE}.damaged-1").exists()
        async with running(tmp_path, earlier=tuple(desk.bearer.made.values())) as later:
            assert later.device.settings.language == "pt"

    run(story())
