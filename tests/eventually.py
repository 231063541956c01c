"""Waiting in an event loop for the thing itself, with a bound."""

import asyncio
import contextlib
from asyncio import sleep
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def eventually(look: Callable[[], T | None], what: str, timeout_s: float = 30.0) -> T:
    """Let the loop run until `look` gives something true, and return that."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while not (seen := look()):
        assert loop.time() < deadline, f"waited {timeout_s:g} s for {what}"
        await sleep(0.002)
    return seen


@contextlib.asynccontextmanager
async def running(part: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
    """Run a part for as long as the block lasts; a part that fails fails the test."""
    task = asyncio.ensure_future(part)
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
