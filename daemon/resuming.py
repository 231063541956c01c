"""What an earlier session left, taken up: its shift, its alert, and the small states, however often the store fails.

How each of them goes on is its own; here is only when, and that none of them keeps the button from working.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from bondmate.calls import Calls
from bondmate.duty import DutyKeeper
from bondmate.errors import StoreError
from bondmate.keeping import Keeper

log = logging.getLogger(__name__)

RETRY_S = 2.0
"""How soon the store is asked again for what an earlier session kept, where it failed."""


class Resumption:
    """All methods run in the event loop."""

    def __init__(
        self,
        keeper: Keeper,
        duty: DutyKeeper,
        calls: Calls,
        states: Sequence[Callable[[], Awaitable[None]]],
        changed: Callable[[], None],
    ) -> None:
        """`states` take up one state each, in this order, and raise StoreError; `changed` hears of what came of it."""
        self._keeper = keeper
        self._duty = duty
        self._calls = calls
        self._states = states
        self._changed = changed
        self.is_over = False
        """What an earlier session kept is known, or takes too long: until then it may be that nothing is to be lit."""

    async def take_up_alert(self) -> None:
        """Go on with the shift and the alert of an earlier session, unless there is something newer already.

        Again when records of a damaged store were saved: an alert may be among them.
        """
        await self._keeper.resumed.wait()
        self._duty.adopt(self._keeper.duty)
        self._changed()
        earlier = self._keeper.earlier
        if earlier is None or self._calls.alert is not None:
            return
        self._calls.resume(earlier, self._keeper.duty if self._duty.is_on else None)
        self._changed()

    async def take_up_states(self) -> None:
        """Take up the small states of an earlier session, however often the store fails."""
        await self._keeper.resumed.wait()
        for take_up in self._states:
            while True:
                try:
                    await take_up()
                    break
                except StoreError as error:
                    log.warning("what an earlier session kept cannot be read: %s", error)
                    await asyncio.sleep(RETRY_S)
                except Exception:
                    # whatever the disk made of it: the button works without
                    log.exception("what an earlier session kept makes no sense")
                    break
        self._changed()

    async def wait(self, states: asyncio.Task[None], deadline_s: float) -> None:
        """Until all of it is known, but no longer than `deadline_s`."""
        await asyncio.wait({states}, timeout=deadline_s)
        self.is_over = True
        self._changed()
