"""The device's own time: how long it has lived, in seconds that only grow. Pure; sets and reads no clock.

Ages are counted in it (expiry, retention), for UTC may be unknown, wrong, or jump by years. It is the sum of the times
that the sessions ran, and of the pauses between them as far as UTC told how long they were.
"""

from bondmate.records import Moment

EARLIEST_UTC_MS = 1_767_225_600_000
"""2026-01-01T00:00Z. A clock that is behind it was never set, and tells nothing: these devices are not that old."""


class Lifetime:
    """The lifetime in one session. All times given are the monotonic clock's, in seconds."""

    def __init__(self, started_s: float) -> None:
        """`started_s` is when the session began. Until `adopt` it counts from there."""
        self._started_s = started_s
        self._before_s = 0.0
        """How long the device had lived when the session began."""
        self._adopted = False
        self._floor_ms: int | None = None
        """UTC of the last moment of earlier sessions: the earliest that it can be now."""
        self._utc: tuple[float, int] | None = None
        """The first UTC that was known in this session, with its monotonic time."""

    def adopt(self, last: Moment | None) -> float:
        """Go on from the last moment that an earlier session kept; seconds by which that moves this session.

        Only the first call counts: what is kept later is of this session, whose time would count twice.
        """
        if self._adopted:
            return 0.0
        self._adopted = True
        if last is None:
            return 0.0
        self._floor_ms = last.utc_ms
        self._before_s += last.lifetime_s
        return last.lifetime_s + self._count_pause()

    def on_utc(self, utc_ms: int, now: float) -> float:
        """UTC is known; the first time in a session tells how long the pause before it was.

        Returns the seconds by which that moves this session, 0 nearly always. A UTC that jumps later changes nothing;
        one that is behind the last known tells nothing, the pause counts as none, and the next session is right again.
        """
        if self._utc is not None or utc_ms < EARLIEST_UTC_MS:
            return 0.0
        self._utc = (now, utc_ms)
        return self._count_pause()

    def at(self, now: float) -> float:
        """The lifetime at `now`, in seconds."""
        return self._before_s + now - self._started_s

    def _count_pause(self) -> float:
        if self._floor_ms is None or self._floor_ms < EARLIEST_UTC_MS or self._utc is None:
            return 0.0
        known_s, utc_ms = self._utc
        began_ms = utc_ms - (known_s - self._started_s) * 1000
        pause_s = max(0.0, (began_ms - self._floor_ms) / 1000)
        self._before_s += pause_s
        return pause_s
