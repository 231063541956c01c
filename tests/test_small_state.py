"""Small states: memory has the last word, and the store gets it as soon as it can."""

import asyncio
from pathlib import Path

import pytest

from bondmate.store.database import DATABASE_FILE
from tests.desk import EARLIER, YOUNG, outbox_on, running
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


@pytest.mark.parametrize("octets", [b"\xff", b"", b"\x00\x00", b"\x63abc", b"\x81\x00"], ids=bytes.hex)
@pytest.mark.parametrize("name", ["settings", "check-in", "exercise"])
def test_what_was_kept_and_cannot_be_read_is_logged_and_counts_as_nothing(
    name: str, octets: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        outbox = outbox_on(tmp_path)
        await outbox.open()
        await outbox.keep(name, octets, YOUNG)
        await outbox.close()
        async with running(tmp_path, on_duty=None) as desk:
            assert (desk.device.settings.language, desk.device.exercise_active) == (None, False)
            assert desk.device.check_in.to_json(asyncio.get_running_loop().time()) is None
            assert f"what was kept as {name} cannot be read" in caplog.text

    run(story())
