"""The one thread that talks to the disk, and a bounded line of calls before it.

A system call may hang for minutes: then further calls are refused at once, rather than collected without end. Knows
nothing of SQLite.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeVar

from bondmate.errors import StoreError, StoreTrouble

T = TypeVar("T")

WAITING_MAX = 64
"""How many calls may wait behind the one that runs. A disk that works has a handful."""


class Worker:
    """Does one call at a time, in the order in which they came. It never keeps the process from ending."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._closed = False
        threading.Thread(target=self._work, name="store", daemon=True).start()

    async def run(self, call: Callable[[], T]) -> T:
        """The call's result, or what it raised; a call that is cancelled before it began is not made.

        Raises StoreError when too many calls wait (HANGING), and after `close` (OTHER).
        """
        if self._closed:
            raise StoreError("the outbox is closed")
        if self._calls.qsize() >= WAITING_MAX:
            raise StoreError(
                f"the disk does not answer, and {WAITING_MAX} calls wait for it already", StoreTrouble.HANGING
            )
        return await self._put(call)

    async def close(self, last: Callable[[], None]) -> None:
        """Make a last call behind all that wait, and end the thread. A second time it does nothing."""
        if not self._closed:
            self._closed = True
            done = self._put(last)
            self._calls.put(None)
            await done

    def _put(self, call: Callable[[], T]) -> asyncio.Future[T]:
        future: Future[T] = Future()

        def job() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    result = call()
                except BaseException as error:  # noqa: BLE001 - it is the caller's
                    future.set_exception(error)
                else:
                    future.set_result(result)

        self._calls.put(job)
        return asyncio.wrap_future(future)

    def _work(self) -> None:
        while (job := self._calls.get()) is not None:
            job()
