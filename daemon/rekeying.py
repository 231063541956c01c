"""New keys for the channel, while the device runs under the old ones (docs/protocol.md, section 10, Rekey).

Begun when nothing else is to be done, and given up for a press. The keys that were agreed on are kept, and used by the
next run, which begins when nothing is lost by that; until the gateway hears them, it takes the old ones too.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from bondmate.enrolling import exchange_keys
from bondmate.errors import LinkError, RemoteError, StoreError
from bondmate.mail import MessageState, RekeyOrder
from bondmate.orders import Order, Orders
from bondmate.parts import KeyChange

log = logging.getLogger(__name__)

MAX_AGE_S = 90 * 86400
"""As old as keys become, where their age is known."""
LOOK_S = 2.0
"""How often it is looked whether it may begin, or the run end."""
FIRST_RETRY_S, RETRY_CAP_S = 60.0, 3600.0
"""After a failure; doubled with each further one."""
NO_KEY = "has no key for this: it was enrolled by a file of the gateway; enrol it anew"


class Rekeyer:
    """All methods run in the event loop."""

    def __init__(
        self,
        parts: KeyChange | None,
        orders: Orders,
        is_idle: Callable[[], bool],
        by_itself_s: Callable[[], float | None],
    ) -> None:
        """`is_idle` tells whether nothing else is to be done, and nothing would be lost if the run ended now.

        `by_itself_s` is UTC, in seconds; None where it is not known, or a device should not change keys by itself.
        """
        self._parts = parts
        self._orders = orders
        self._is_idle = is_idle
        self._by_itself_s = by_itself_s
        self._task: asyncio.Task[None] | None = None
        self._keeping = False
        """From here on it is not given up."""
        self._kept = False
        self._failures = 0
        self._not_before_s = 0.0
        self.over = False
        """The run has to end: the next one begins with the new keys."""

    def step(self, group: asyncio.TaskGroup, now: float) -> float | None:
        """Do what can be done; when to be asked again."""
        if self._kept:
            self.over = self.over or self._is_idle()
            return None if self.over else now + LOOK_S
        if self._task is not None:
            if not self._keeping and not self._is_idle():
                self._task.cancel()
            return now + LOOK_S
        ordered = [order for order in self._orders.open if isinstance(order.content, RekeyOrder)]
        parts = self._parts
        if parts is None:
            self._begin(group, self._tell(ordered, MessageState.FAILED, NO_KEY) if ordered else None)
            return None
        if done := [order for order in ordered if order.number <= parts.order]:
            # this very record is what the gateway hears of the new keys
            self._begin(group, self._tell(done, MessageState.CARRIED_OUT, ""))
            return now + LOOK_S
        if not ordered and not self._is_due(parts):
            return None
        if now >= self._not_before_s and self._is_idle():
            self._begin(group, self._change(parts, max((order.number for order in ordered), default=parts.order)))
        return max(now + LOOK_S, self._not_before_s)

    def _begin(self, group: asyncio.TaskGroup, work: Coroutine[Any, Any, None] | None) -> None:
        if work is not None:
            self._task = group.create_task(work)
            self._task.add_done_callback(self._ended)

    def _ended(self, _task: asyncio.Task[None]) -> None:
        self._task = None

    def _is_due(self, parts: KeyChange) -> bool:
        utc_s = self._by_itself_s()
        return utc_s is not None and parts.made_s is not None and utc_s >= parts.made_s + MAX_AGE_S

    async def _tell(self, orders: list[Order], state: MessageState, text: str) -> None:
        try:
            for order in orders:
                await self._orders.tell(order.number, state, text)
        except StoreError as error:
            log.info("what became of new keys cannot be kept yet: %s", error)

    async def _change(self, parts: KeyChange, order: int) -> None:
        """One exchange, over the first way that takes it, and its keys kept."""
        problems = []
        exchanging = await parts.exchanging()
        for bearer in parts.bearers:
            try:
                fresh = await exchange_keys(bearer, exchanging())
            except (LinkError, RemoteError) as error:
                problems.append(f"{bearer.name}: {error}")
                continue
            self._keeping = True
            try:
                await asyncio.to_thread(parts.keep, fresh, order)
            except OSError as error:
                problems.append(f"they cannot be kept: {error.strerror}")
                break
            finally:
                self._keeping = False
            log.info("new keys were agreed on over %s: the next run begins with them", bearer.name)
            self._kept = True
            return
        self._failures += 1
        wait_s = min(FIRST_RETRY_S * 2.0 ** min(self._failures - 1, 16), RETRY_CAP_S)
        self._not_before_s = asyncio.get_running_loop().time() + wait_s
        log.info("no new keys yet: %s", "; ".join(problems))
