"""The exercise that the gateway ordered. It ends by itself, and with the session.

Whenever it is not known for sure that one goes on, none does: then what the officer sends is real. Over a restart only
the version is kept, so that no old order begins one again: how long the device was off nobody knows for sure.
"""

import asyncio
import logging
from collections.abc import Callable

import cbor2

from bondmate.aging import Aging
from bondmate.core.exercise import Exercise
from bondmate.mailbox import EXERCISE
from bondmate.small_state import SmallStates

log = logging.getLogger(__name__)

LOOK_S = 5.0
"""How often UTC is asked whether it is over: a clock that was behind is put right at any time."""


class ExerciseKeeper:
    """All methods run in the event loop; times are the loop's."""

    def __init__(self, states: SmallStates, aging: Aging, felt: Callable[[], None]) -> None:
        """`felt` is called when one begins or ends."""
        self._core = Exercise()
        self._states = states
        self._aging = aging
        self._felt = felt
        self._now = asyncio.get_running_loop().time
        self._end_ms: int | None = None
        """UTC when the one that goes on ends."""

    @property
    def is_active(self) -> bool:
        """Whether an officer's call is one of an exercise now."""
        utc_ms = self._aging.moment().utc_ms
        in_time = self._end_ms is not None and utc_ms is not None and utc_ms < self._end_ms
        return in_time and self._core.active(self._now())

    @property
    def version(self) -> int:
        """The highest that was taken, in an earlier session too."""
        return self._core.version

    def state_of(self, version: int, _seconds: int) -> bytes:
        """What is to be kept of an order, with the message that brought it."""
        return cbor2.dumps(version)

    def take(self, version: int, seconds: int) -> None:
        """An order that is kept by now, or the end of an exercise."""
        if self._core.take(version, seconds, self._now()):
            utc_ms = self._aging.moment().utc_ms
            self._end_ms = None if utc_ms is None else utc_ms + seconds * 1000
            # the message brought it to the store; another file would not know it
            self._states.put(EXERCISE, self.state_of(version, seconds))
            log.warning("exercise %d: %s", version, f"for {seconds} s" if seconds else "over")
            self._felt()

    async def resume(self) -> None:
        """Take up what an earlier session kept. Raises StoreError."""
        match await self._states.item(EXERCISE):
            case int(version) if version > self._core.version:
                self._core.resume(version)
                self._states.put(EXERCISE, cbor2.dumps(version))
            case None | int():
                pass
            case _:
                log.error("what was kept as %s cannot be read: it is no version", EXERCISE)

    def step(self, now: float) -> float | None:
        """What happens by itself; when there is something next."""
        if self._core.ends_s is not None and not self.is_active:
            self._core.end()
            self._end_ms = None
            log.warning("exercise %d ended by itself", self._core.version)
            self._felt()
        ends_s = self._core.ends_s
        return None if ends_s is None else min(ends_s, now + LOOK_S)
