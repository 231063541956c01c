"""The officer's duty, kept in the store so that a shift outlives a restart; without a store the device is off duty."""

import asyncio
import logging
from collections.abc import Callable

from bondmate.aging import Aging
from bondmate.core.shift import Shift, ShiftEvent
from bondmate.errors import StoreError
from bondmate.ports import Outbox
from bondmate.records import Duty, Moment, SessionId

log = logging.getLogger(__name__)

CORRECT_S = 10.0
"""How often a shift of an earlier session is looked at: when it began may turn out at any time."""


class DutyKeeper:
    """One shift at a time. All methods run in the event loop; times are the loop's, which is monotonic."""

    def __init__(
        self,
        shift: Shift,
        outbox: Outbox,
        aging: Aging,
        session: SessionId,
        store_state: Callable[[], int | None],
        deadline_s: float,
    ) -> None:
        """`store_state` is None while nothing can be written, else in how many files before this one the store was.

        A write that takes longer than `deadline_s` is not waited for.
        """
        self._shift = shift
        self._outbox = outbox
        self._aging = aging
        self._session = session
        self._store_state = store_state
        self._deadline_s = deadline_s
        self._now = asyncio.get_running_loop().time
        self._begun: tuple[float, int | None] | None = None
        """When the shift was begun in this session, and UTC then; None off duty, and for a shift of an earlier one."""
        self._earlier: Duty | None = None
        """A shift that an earlier session kept, and that goes on."""
        self._version = 0
        """How often the officer, or the end of a shift, changed what the store has to have."""
        self._kept: tuple[int | None, int] = 0, 0
        """Which version was written last, and when the store had been in how many files before."""

    @property
    def is_on(self) -> bool:
        """Whether the officer is on duty."""
        return self._shift.is_on

    def ends_s(self) -> float | None:
        """When the shift ends by itself; None off duty."""
        return self._shift.ends_s()

    def set(self, on: bool) -> None:
        """Begin a shift (anew), or end it, at once; `keep` it afterwards."""
        now = self._now()
        if on:
            self._shift.begin(now)
        else:
            self._shift.end()
        self._change((now, self._aging.moment().utc_ms) if on else None)
        log.info("duty %s", "on" if on else "off")

    async def keep(self) -> bool:
        """Write it; whether the store has it when this returns. If not, it is tried again by itself."""
        try:
            async with asyncio.timeout(self._deadline_s):
                await self.settle()
        except (StoreError, TimeoutError) as error:
            log.warning("duty is not stored, a restart would forget it: %s", str(error) or "the store hangs")
        return self._is_kept()

    def adopt(self, kept: Duty | None) -> None:
        """What the store had when it was opened first; the officer may have said something newer meanwhile."""
        if kept is not None and self._version == 0:
            self._earlier = kept
            self._shift.begin(self._began_s(kept))
            log.info("duty on, since an earlier session")

    def step(self) -> ShiftEvent | None:
        """What happens to the shift by itself."""
        if self._earlier is not None:
            # how long ago that was may turn out only now: UTC tells how long the device was without power
            self._shift.correct(self._began_s(self._earlier))
        event = self._shift.step(self._now())
        if event is ShiftEvent.ENDED:
            self._change(None)
            log.info("duty off: the shift ended by itself")
        return event

    def next_due(self) -> float | None:
        """When `step` has something to say next."""
        due = self._shift.next_due()
        return due if due is None or self._earlier is None else min(due, self._now() + CORRECT_S)

    async def settle(self) -> None:
        """Write what the store does not have yet, if it can be written. Raises StoreError."""
        state, version = self._store_state(), self._version
        if state is not None and not self._is_kept():
            await self._outbox.keep_duty(self._duty())
            self._kept = state, version

    def _change(self, begun: tuple[float, int | None] | None) -> None:
        self._begun, self._earlier = begun, None
        self._version += 1

    def _is_kept(self) -> bool:
        return self._kept == (self._store_state(), self._version)

    def _duty(self) -> Duty | None:
        if self._begun is None:
            return self._earlier
        began_s, utc_ms = self._begun
        return Duty(Moment(self._aging.at(began_s), utc_ms), self._session)

    def _began_s(self, kept: Duty) -> float:
        now = self._now()
        return now - (self._aging.at(now) - kept.began.lifetime_s)
