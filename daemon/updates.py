"""Updates that the gateway ordered: which one is wanted, what may be done of it now, and what came of it.

The daemon carries none out: bondmate-updater does, which asks here (GET /update) and answers for it.
"""

import logging
from collections.abc import Callable

from bondmate.core.updating import Permission, Situation, permission
from bondmate.errors import LocalError
from bondmate.mail import MessageState, UpdateOrder, WipeOrder
from bondmate.orders import Order, Orders

log = logging.getLogger(__name__)


class Updates:
    """All methods run in the event loop."""

    def __init__(self, orders: Orders, situation: Callable[[], Situation]) -> None:
        """`situation` says how the device is now."""
        self._orders = orders
        self._situation = situation

    @property
    def wanted(self) -> tuple[Order, UpdateOrder] | None:
        """The newest order, which takes the place of all before it; None also on a device that is to be wiped."""
        open_ = self._all()
        ends = any(isinstance(order.content, WipeOrder) for order in self._orders.open)
        return open_[-1] if open_ and not ends else None

    def permission(self) -> Permission:
        """What may be done now of what is wanted."""
        wanted = self.wanted
        return permission(self._situation(), at_once=wanted is not None and wanted[1].at_once)

    async def settle(self) -> None:
        """Tell of orders whose place a newer one took. Raises StoreError."""
        for order, content in self._all()[:-1]:
            log.info("%s of message %d is not wanted any more", content.software, order.number)
            await self._orders.tell(order.number, MessageState.WITHOUT_EFFECT)

    async def begin(self, number: int) -> None:
        """It is being installed: whatever comes of it, and whenever, will be told. StoreError, LocalError."""
        self._check(number)
        await self._orders.begin(number)

    async def came_of(self, number: int, *, done: bool, text: str) -> None:
        """It was carried out, and `text` runs now, or it was not, and `text` says why. StoreError, LocalError."""
        self._check(number)
        await self._orders.tell(number, MessageState.CARRIED_OUT if done else MessageState.FAILED, text)

    def _check(self, number: int) -> None:
        if all(order.number != number for order, _ in self._all()):
            raise LocalError(f"message {number} orders no update that is still wanted")

    def _all(self) -> list[tuple[Order, UpdateOrder]]:
        return [(order, order.content) for order in self._orders.open if isinstance(order.content, UpdateOrder)]
