"""Looks at the parts again and again: what does not work becomes a fault, and a fault that lasts a health record."""

import asyncio
from collections.abc import Callable, Sequence

from bondmate.core.health import HealthWatch
from bondmate.faults import Faults
from bondmate.ports import NOTHING_SENT, Bearer, Part, PartFault
from bondmate.records import Kind, UtcTime, unix_ms
from bondmate.tracker import Recording

OBSERVE_S = 1.0
"""How often: people look less often."""


class Observer:
    """All methods run in the event loop; times are the loop's, which is monotonic."""

    def __init__(
        self,
        parts: Sequence[Part],
        bearers: Sequence[Bearer],
        faults: Faults,
        is_needed: Callable[[], bool],
        utc: Callable[[float], UtcTime | None],
        record: Recording,
        changed: Callable[[], None],
    ) -> None:
        """`is_needed` tells whether anything is to be sent: a bearer that nobody needs is no fault.

        `changed` is called when there are other faults than before, whoever reported them.
        """
        self._parts = parts
        self._bearers = bearers
        self._faults = faults
        self._is_needed = is_needed
        self._utc = utc
        self._record = record
        self._changed = changed
        self._now = asyncio.get_running_loop().time
        self._health = HealthWatch()
        self._of_parts: set[str] = set()
        """The codes that the parts had when they were looked at last."""
        self._told: list[str] = []
        """The codes of all faults when they changed last."""

    async def run(self) -> None:
        """Look, until cancelled."""
        while True:
            self._look_at_parts()
            self._look_at_bearers()
            if (lasting := self._health.step(self._faults.codes(), self._now())) is not None:
                self._record(Kind.HEALTH, body=list(lasting))
            if (codes := self._faults.codes()) != self._told:
                self._told = codes
                self._changed()
            await asyncio.sleep(OBSERVE_S)

    def _look_at_parts(self) -> None:
        found: dict[str, PartFault] = {fault.code: fault for part in self._parts for fault in part.faults()}
        for fault in found.values():
            self._report(fault.code, fault.text, fault.next)
        for code in self._of_parts - found.keys():
            self._report(code, None, "")
        self._of_parts = set(found)

    def _look_at_bearers(self) -> None:
        # one that works is enough; and what was not tried yet, nobody knows
        tried = [bearer for bearer in self._bearers if bearer.why_not != NOTHING_SENT]
        needed = self._is_needed() and all(bearer.why_not is not None for bearer in tried)
        for bearer in self._bearers:
            fails = needed and bearer in tried
            why = f"nothing can be delivered over {bearer.name}: {bearer.why_not}" if fails else None
            self._report(f"bearer-{bearer.name}", why, "it is tried again and again by itself")

    def _report(self, code: str, text: str | None, next_step: str) -> None:
        self._faults.report(code, text, next_step, unix_ms(self._utc(self._now())))
