"""The check-in that an officer began, kept so that it outlives a restart: told to the gateway, felt, and missed.

When what is due is core/check_in's; this makes its records, and keeps it.
"""

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Any

import cbor2

from bondmate.aging import Aging
from bondmate.core.alert import Alert
from bondmate.core.check_in import LONGEST_S, SHORTEST_S, CheckIn, CheckInEvent
from bondmate.errors import LocalError
from bondmate.records import EarlierAlert, Kind, utc_text
from bondmate.small_state import SmallStates
from bondmate.tracker import Recording

log = logging.getLogger(__name__)

NAME = "check-in"
BEGIN, EXTEND, END = 1, 2, 3
"""docs/protocol.md, section 3, check-in."""
LOOK_S = 10.0
"""How often it is looked whether a pause became known, for one that an earlier session began."""
LEARNT_S = 0.5
"""By so much the lifetime has to move: then it was told how long a pause was."""
_BOUNDS = f"a check-in is due in {SHORTEST_S:.0f} s to {LONGEST_S / 3600:.0f} h from now"


class CheckInKeeper:
    """One check-in at a time. All methods run in the event loop; times are the loop's."""

    def __init__(
        self,
        core: CheckIn,
        states: SmallStates,
        aging: Aging,
        record: Recording,
        attention: Callable[[], None],
        missed: Callable[[], Alert],
        changed: Callable[[], None],
    ) -> None:
        """`attention` is felt; `missed` raises the alert."""
        self._core = core
        self._states = states
        self._aging = aging
        self._record = record
        self._attention = attention
        self._missed = missed
        self._changed = changed
        self._now = asyncio.get_running_loop().time
        self._due_lifetime_s: float | None = None
        """Of one that an earlier session kept: when the device's lifetime says that it is due. The pause without power
        counts there as soon as UTC tells how long it was, and whatever UTC says later changes nothing."""
        self._kept_with_s = 0.0
        """By how much lifetime and the loop's time differed when it was kept last."""
        self._called: Alert | None = None
        """What was raised because it was missed: until that is stored, a restart has to miss it again."""

    @property
    def is_running(self) -> bool:
        """Whether one is under way."""
        return self._core.due_s is not None

    def begin(self, seconds: float, note: str = "") -> None:
        """Begin one, in place of any other; `keep` it afterwards. LocalError for a time that is none."""
        if not self._core.begin(self._now(), seconds, note):
            raise LocalError(_BOUNDS)
        self._say(BEGIN, seconds, self._core.note)

    def extend(self, seconds: float) -> None:
        """More time, also when it is due already. LocalError without one, or for a time that is none."""
        if self._core.due_s is None:
            raise LocalError("no check-in is under way: there is nothing to extend")
        if not self._core.extend(self._now(), seconds):
            raise LocalError(_BOUNDS)
        self._say(EXTEND, self._core.due_s - self._now(), "")

    def end(self) -> None:
        """The officer is back. LocalError without one."""
        if not self._core.end():
            raise LocalError("no check-in is under way: there is nothing to end")
        self._say(END, 0, "")

    async def keep(self, deadline_s: float) -> bool:
        """Wait until the store has what was said last; whether it has."""
        return await self._states.keep(NAME, self._octets(), deadline_s)

    async def resume(self, earlier: EarlierAlert | None) -> None:
        """Go on with what an earlier session kept, unless the officer said something newer. Raises StoreError.

        `earlier` is the newest alert: one that was raised behind the time that it was due at had been raised for it.
        """
        kept = await self._states.item(NAME)
        if kept is None or self.is_running:
            return
        match kept:
            case [int() | float() as due_lifetime_s, str(note)] if 0 <= due_lifetime_s < math.inf:
                pass
            case _:
                log.error("what was kept as %s cannot be read: it is no check-in", NAME)
                return
        if _was_called_for(earlier, due_lifetime_s):
            self._states.put(NAME, None)
            return
        now = self._now()
        left_s = due_lifetime_s - self._aging.moment().lifetime_s
        self._due_lifetime_s = due_lifetime_s
        self._core.resume(now, now + left_s, note)
        log.info("a check-in goes on; it is due in %.0f s", left_s)
        self._keep()  # another file would not know it
        self._changed()

    def step(self, now: float) -> float | None:
        """What happens by itself; when there is something next."""
        self._learn(now)
        match self._core.poll(now):
            case CheckInEvent.PREALARM | CheckInEvent.DUE | CheckInEvent.FELT as event:
                log.info("check-in: %s", event.value)
                self._attention()
                self._changed()
            case CheckInEvent.MISSED:
                log.warning("the check-in was missed")
                self._due_lifetime_s = None
                self._called = self._missed()
            case None:
                pass
        if self._called is not None and self._called.is_stored:
            self._called = None
            self._keep()
        due_s = self._core.next_due()
        # a clock of the system's says nothing when it becomes known
        return due_s if due_s is None or self._due_lifetime_s is None else min(due_s, now + LOOK_S)

    def countdown_json(self, now: float) -> dict[str, Any] | None:
        """As in `bondmatectl status --json`; None while no countdown runs."""
        ends_s = self._core.ends_s
        return None if ends_s is None else {"kind": Kind.CHECK_IN_MISSED.label, "in_s": round(ends_s - now, 3)}

    def to_json(self, now: float) -> dict[str, Any] | None:
        """As in `bondmatectl checkin --json`; None without one."""
        due_s = self._core.due_s
        if due_s is None:
            return None
        utc_ms = self._aging.moment().utc_ms
        return {
            "due_at": None if utc_ms is None else utc_text(utc_ms + round((due_s - now) * 1000)),
            "due_s": round(due_s - now, 3),
            "note": self._core.note,
            "state": self._core.state,
        }

    def _learn(self, now: float) -> None:
        """UTC may have told how long the pause before this session was."""
        due_s, ahead_s = self._core.due_s, self._aging.moment().lifetime_s - now
        if due_s is None or abs(ahead_s - self._kept_with_s) < LEARNT_S:
            return
        if self._due_lifetime_s is not None and self._core.ends_s is None:
            self._core.resume(now, min(due_s, self._due_lifetime_s - ahead_s), self._core.note)
        self._keep()

    def _say(self, action: int, seconds: float, note: str) -> None:
        self._record(Kind.CHECK_IN, body=[action, max(0, round(seconds)), *([note] if note else [])])
        self._due_lifetime_s, self._called = None, None
        self._keep()
        self._changed()

    def _keep(self) -> None:
        self._states.put(NAME, self._octets())

    def _octets(self) -> bytes | None:
        due_s = self._core.due_s
        self._kept_with_s = self._aging.moment().lifetime_s - self._now()
        if due_s is None:
            return None
        return cbor2.dumps([self._due_lifetime_s or due_s + self._kept_with_s, self._core.note])


def _was_called_for(earlier: EarlierAlert | None, due_lifetime_s: float) -> bool:
    kinds = (Kind.CHECK_IN_MISSED, Kind.ESCALATION)
    if earlier is None or earlier.alert.record.kind not in kinds:
        return False
    return earlier.alert.stored.lifetime_s >= due_lifetime_s
