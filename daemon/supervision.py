"""Runs parts for ever: one that fails is reported and started again, alone; and drives cores."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from bondmate.faults import Faults

log = logging.getLogger(__name__)

RESTART_S = 1.0
"""The first wait before a part that failed is started again."""
RESTART_CAP_S = 30.0


async def supervise(name: str, run: Callable[[], Awaitable[None]], faults: Faults) -> None:
    """Run a part for ever: when it fails it is reported and started again, alone."""
    wait_s = RESTART_S
    while True:
        try:
            await run()
        except Exception as error:
            log.exception("%s failed; starting it again in %.0f s", name, wait_s)
            faults.report(name, f"{name} failed: {error}", "it is started again by itself; see the log", None)
        await asyncio.sleep(wait_s)
        wait_s = min(wait_s * 2, RESTART_CAP_S)
        faults.report(name, None, "", None)


async def drive(wake: asyncio.Event, step: Callable[[float], float | None]) -> None:
    """Let a core act now, when it is due and whenever something happened to it, for ever.

    `step` is given the loop's time, and returns when it is due next; None: not before `wake` is set.
    """
    now = asyncio.get_running_loop().time
    while True:
        wake.clear()
        due = step(now())
        try:
            async with asyncio.timeout_at(due):
                await wake.wait()
        except TimeoutError:
            continue
