"""UTC, from whoever is to tell it; and the records that say how the device's own clock stands to it.

Ages are not counted by it: that is aging's.
"""

from bondmate.core.clock import GnssClock
from bondmate.core.lifetime import EARLIEST_UTC_MS
from bondmate.parts import Parts
from bondmate.records import ClockSource, Fix, Kind, SignedRecord, UtcTime


class Dates:
    """Times are the loop's, which is monotonic."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.gnss_clock = GnssClock()
        self._anchored = False
        """A record of this session has said UTC."""

    def utc(self, now: float) -> UtcTime | None:
        """UTC at `now`, and how sure that is; None while it is unknown."""
        if self._parts.system_utc_ms is None:
            return self.gnss_clock.utc(now)
        utc_ms = self._parts.system_utc_ms()
        # a board without a battery for its clock begins in 1970
        return None if utc_ms < EARLIEST_UTC_MS else UtcTime(utc_ms, ClockSource.SYSTEM)

    def on_fix(self, fix: Fix, now: float) -> None:
        """A new fix, and its time. What keeps the system's clock is told of those that agree."""
        borne_out = self.gnss_clock.on_fix(fix)
        if borne_out and self._parts.time_keeper is not None and (utc := self.gnss_clock.utc(now)) is not None:
            self._parts.time_keeper.tell(utc.unix_ms)

    def opening(self, now: float) -> SignedRecord:
        """The first record of the session, before any other can come."""
        clock = self.utc(now)
        self._anchored = clock is not None
        return self._parts.recorder.opening(now, clock)

    def anchor(self, now: float) -> SignedRecord | None:
        """The record that says UTC where the opening could not: once, as soon as it is known."""
        clock = self.utc(now)
        if clock is None or self._anchored:
            return None
        self._anchored = True
        return self._parts.recorder.make(Kind.ANCHOR, now, clock)
