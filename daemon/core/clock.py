"""UTC for records: a monotonic clock disciplined by good fixes. Pure; never sets or reads a clock.

UTC in a record is information, not a decision: nothing is expired or refused by it alone.
"""

from dataclasses import dataclass

from bondmate.records import ClockSource, Fix, UtcTime

MIN_SATELLITES = 4
MAX_HDOP = 5.0
AGREEMENT_S = 3.0
"""How long fixes must agree with one another before they are believed."""
TOLERANCE_MS = 500
"""Fixes whose UTC is within this of the monotonic clock agree: serial and solution delays are well below."""
FIX_UNCERTAINTY_MS = 500
"""A sentence says when the epoch was, not when its bytes arrived; receivers need up to half a second."""
DRIFT_PPM = 50
"""A board's crystal, generously: uncertainty grows by this while no fix confirms it."""


@dataclass(slots=True)
class _Reference:
    """UTC minus monotonic time in milliseconds, and since when and until when fixes agreed on it.

    `first_ms` is what the first of them said, which every other is compared with: an average that followed a receiver
    with a slow or standing clock would agree with it for ever.
    """

    first_ms: float
    offset_ms: float
    since_s: float
    last_s: float


class GnssClock:
    """Believes UTC of fixes only after they agreed for AGREEMENT_S, and holds it without them."""

    def __init__(self) -> None:
        self._believed: _Reference | None = None
        self._candidate: _Reference | None = None

    def on_fix(self, fix: Fix) -> bool:
        """Take a fix into account; whether it bears out the UTC that is believed.

        One without a date, with few satellites or a poor or unknown HDOP is passed over.
        """
        if fix.time is None or fix.suspect or (fix.satellites or 0) < MIN_SATELLITES or (fix.hdop or 99.0) > MAX_HDOP:
            return False
        offset_ms = fix.time.timestamp() * 1000 - fix.taken_s * 1000
        candidate = self._candidate
        if candidate is None or abs(offset_ms - candidate.first_ms) > TOLERANCE_MS:
            self._candidate = _Reference(offset_ms, offset_ms, fix.taken_s, fix.taken_s)
            return False
        candidate.last_s = fix.taken_s
        candidate.offset_ms += (offset_ms - candidate.offset_ms) / 8
        if candidate.last_s - candidate.since_s >= AGREEMENT_S:
            self._believed = candidate
        return self._believed is candidate

    def utc(self, now: float) -> UtcTime | None:
        """UTC at the monotonic time `now`, or None while no run of fixes has been believed."""
        if self._believed is None:
            return None
        held_s = max(0.0, now - self._believed.last_s)
        return UtcTime(
            round(now * 1000 + self._believed.offset_ms),
            ClockSource.GNSS,
            FIX_UNCERTAINTY_MS + round(held_s * DRIFT_PPM / 1000),
        )
