"""Tells whoever shows the device that something about it changed, without a word about what. Nothing waits for them."""

import asyncio


class Changes:
    """Counts changes. All methods run in the event loop."""

    def __init__(self) -> None:
        self.count = 0
        """How many there were."""
        self._next = asyncio.Event()

    def tell(self) -> None:
        """Something changed."""
        self.count += 1
        told, self._next = self._next, asyncio.Event()
        told.set()

    async def after(self, count: int) -> int:
        """Wait until there were more than `count`; how many there are then."""
        while self.count <= count:
            await self._next.wait()
        return self.count
