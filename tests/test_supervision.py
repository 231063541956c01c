import asyncio
import itertools

import pytest

from bondmate.faults import Faults
from bondmate.supervision import RESTART_CAP_S, RESTART_S, drive, supervise
from tests.virtual import run


def test_a_part_that_fails_is_started_again_alone_with_growing_waits(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        faults, starts = Faults(), []

        async def part() -> None:
            starts.append(loop.time())
            if len(starts) == 3:
                assert "part" not in faults, "the fault goes with the restart"
            raise OSError("the card is gone")

        supervisor = asyncio.ensure_future(supervise("part", part, faults))
        await asyncio.sleep(RESTART_S / 2)
        assert "part" in faults
        await asyncio.sleep(100)
        supervisor.cancel()
        waits = [later - earlier for earlier, later in itertools.pairwise(starts)]
        assert waits[:4] == [1.0, 2.0, 4.0, 8.0]
        assert max(waits) == RESTART_CAP_S
        assert "the card is gone" in caplog.text

    run(story())


def test_a_part_that_is_stopped_is_not_started_again() -> None:
    async def story() -> None:
        faults, starts = Faults(), []

        async def part() -> None:
            starts.append(1)
            await asyncio.Event().wait()

        supervisor = asyncio.ensure_future(supervise("part", part, faults))
        await asyncio.sleep(100)
        supervisor.cancel()
        with pytest.raises(asyncio.CancelledError):
            await supervisor
        assert (starts, faults.codes()) == ([1], [])

    run(story())


def test_a_core_acts_at_once_when_it_is_due_and_when_something_happened() -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        wake, acted, begun = asyncio.Event(), [], loop.time()

        def step(now: float) -> float | None:
            acted.append(now - begun)
            return begun + 2.0 if len(acted) == 1 else None

        driver = asyncio.ensure_future(drive(wake, step))
        await asyncio.sleep(10)
        wake.set()
        await asyncio.sleep(10)
        driver.cancel()
        assert acted == [0.0, 2.0, 10.0]

    run(story())
