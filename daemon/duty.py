"""The officer's duty, kept in the store so that a shift outlives a restart; without a store the device is off duty."""

import asyncio
import logging
import math
from collections.abc import Callable

from bondmate.aging import Aging
from bondmate.core.shift import Shift, ShiftEvent
from bondmate.errors import StoreError
from bondmate.faults import Faults
from bondmate.ports import Outbox
from bondmate.records import Duty, Moment, SessionId

log = logging.getLogger(__name__)

CORRECT_S = 10.0
"""How often a shift is looked at whose beginning may still turn out: at any time UTC may become known."""
FAULT = "duty"


class DutyKeeper:
    """One shift at a time. All methods run in the event loop; times are the loop's, which is monotonic."""

    def __init__(
        self,
        shift: Shift,
        outbox: Outbox,
        aging: Aging,
        faults: Faults,
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
        self._faults = faults
        self._session = session
        self._store_state = store_state
        self._deadline_s = deadline_s
        self._now = asyncio.get_running_loop().time
        self._begun: tuple[float, int | None] | None = None
        """When the shift was begun in this session, and UTC then, as far as that is known by now. None off duty, and
        for a shift of an earlier session."""
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

    @property
    def is_certain(self) -> bool:
        """Whether it is known since when the shift lasts. Of one of an earlier session only UTC can tell."""
        return self._earlier is None or self._by_utc_s(self._earlier) is not None

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
        self._report()
        return self._is_kept()

    def adopt(self, kept: Duty | None) -> None:
        """What the store had when it was opened first; the officer may have said something newer meanwhile."""
        if kept is None or self._version > 0:
            return
        if kept.began.lifetime_s > self._aging.at(self._now()):
            log.error("a shift that would begin in the future is none, the disk has changed it: %s", kept.began)
            return
        self._earlier = kept
        self._shift.begin(self._began_s(kept))
        log.info("duty on, since an earlier session")

    def step(self) -> ShiftEvent | None:
        """What happens to the shift by itself."""
        self._learn()
        event = self._shift.step(self._now())
        if event is ShiftEvent.ENDED:
            self._change(None)
            log.info("duty off: the shift ended by itself")
        return event

    def _learn(self) -> None:
        """When it began may turn out only now: UTC tells how long the device was without power."""
        now, utc_ms = self._now(), self._aging.moment().utc_ms
        if self._earlier is not None:
            if utc_ms is not None and self._earlier.began.utc_ms is None:
                log.warning("nobody can know any more when the shift began that an earlier session kept: it ends now")
                self._shift.correct(-math.inf)
            else:
                self._shift.correct(self._began_s(self._earlier))
        elif utc_ms is not None and self._begun is not None and self._begun[1] is None:
            began_s = self._begun[0]
            self._change((began_s, utc_ms - round((now - began_s) * 1000)))

    def next_due(self) -> float | None:
        """When `step` has something to say next."""
        due = self._shift.next_due()
        may_learn = self._earlier is not None or (self._begun is not None and self._begun[1] is None)
        return min(due, self._now() + CORRECT_S) if due is not None and may_learn else due

    async def settle(self) -> None:
        """Write what the store does not have yet, if it can be written. Raises StoreError."""
        state, version = self._store_state(), self._version
        if state is not None and not self._is_kept():
            await self._outbox.keep_duty(self._duty(), self._aging.moment())
            self._kept = state, version
            self._report()

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
        """By the device's lifetime, which does not know every pause, or by UTC, where that says more."""
        now = self._now()
        return now - max(self._aging.at(now) - kept.began.lifetime_s, self._by_utc_s(kept) or 0.0)

    def _by_utc_s(self, kept: Duty) -> float | None:
        """How long ago it began by UTC; None where that is unknown, or behind what it was then."""
        utc_ms, began_ms = self._aging.moment().utc_ms, kept.began.utc_ms
        return None if utc_ms is None or began_ms is None or utc_ms < began_ms else (utc_ms - began_ms) / 1000

    def _report(self) -> None:
        state = "on" if self.is_on else "off"
        text = None if self._is_kept() else f"that duty is {state} is not stored: a restart would forget it"
        next_step = "it is tried again by itself; say it again after a restart"
        self._faults.report(FAULT, text, next_step, self._aging.moment().utc_ms)
