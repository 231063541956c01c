"""Small states that outlive a restart: named octets in the store, written again until the store has them."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from bondmate.aging import Aging
from bondmate.cbor import decode
from bondmate.errors import RemoteError, StoreError
from bondmate.ports import Outbox

log = logging.getLogger(__name__)


class SmallStates:
    """All methods run in the event loop. Memory has the last word: what cannot be written now is written later."""

    def __init__(self, outbox: Outbox, aging: Aging, store_state: Callable[[], int | None]) -> None:
        """`store_state` is None while nothing can be written, else in how many files before this one the store was."""
        self._outbox = outbox
        self._aging = aging
        self._store_state = store_state
        self._wanted: dict[str, bytes | None] = {}
        """What was said in this session."""
        self._written: dict[str, tuple[int | None, bytes | None]] = {}
        """What a file took last, and which."""
        self._settling: asyncio.Task[None] | None = None

    def put(self, name: str, octets: bytes | None) -> None:
        """Have it kept, at once if that can be; None: nothing is to be kept."""
        self._wanted[name] = octets
        if self._settling is None or self._settling.done():
            self._settling = asyncio.get_running_loop().create_task(self._soon())

    async def get(self, name: str) -> bytes | None:
        """What an earlier session kept, or this one. Raises StoreError."""
        return self._wanted[name] if name in self._wanted else await self._outbox.kept(name)

    async def item(self, name: str) -> Any:
        """The CBOR item that was kept; None also where it is none, which is logged. Raises StoreError."""
        octets = await self.get(name)
        try:
            return None if octets is None else decode(octets)
        except RemoteError as error:
            log.error("what was kept as %s cannot be read: %s", name, error)  # noqa: TRY400 - no bug of ours
            return None

    async def keep(self, name: str, octets: bytes | None, deadline_s: float) -> bool:
        """Have it kept now; whether the store has it when this returns."""
        self.put(name, octets)
        try:
            async with asyncio.timeout(deadline_s):
                await self.settle()
        except (StoreError, TimeoutError) as error:
            log.warning("%s is not stored, a restart would forget it: %s", name, str(error) or "the store hangs")
        return self._is_written(name)

    async def settle(self) -> None:
        """Write what the store does not have yet, if it can be written. Raises StoreError."""
        state = self._store_state()
        if state is None:
            return
        failure: StoreError | None = None
        # what ends something comes first, and may use the reserve of a full disk
        for name, octets in sorted(self._wanted.items(), key=lambda wanted: wanted[1] is not None):
            if self._is_written(name):
                continue
            try:
                await self._outbox.keep(name, octets, self._aging.moment())
                self._written[name] = state, octets
            except StoreError as error:
                failure = failure or error
        if failure is not None:
            raise failure

    async def _soon(self) -> None:
        try:
            while not all(map(self._is_written, self._wanted)) and self._store_state() is not None:
                await self.settle()
        except StoreError as error:
            log.info("what is to outlive a restart is not stored yet: %s", error)

    def _is_written(self, name: str) -> bool:
        return self._written.get(name) == (self._store_state(), self._wanted[name])
