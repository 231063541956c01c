"""Runs parts for ever: one that fails is reported and started again, alone."""

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
