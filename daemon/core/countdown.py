"""The time in which an officer can still say that all is well, before the device calls for him. Pure: `now` in seconds.

Calls of the officer have none: they go at once.
"""

from enum import Enum

FELT_EVERY_S = 10.0
"""So often that it is not missed in a pocket, and so seldom that a hand finds the button in between."""


class Tick(Enum):
    """What a countdown says."""

    FELT = "felt"
    OVER = "over"


class Countdown:
    """At rest until it is started. What was missed between two polls is felt once, and never behind its end."""

    def __init__(self) -> None:
        self._ends_s: float | None = None
        self._felt_s = 0.0
        """When it is to be felt next."""

    @property
    def ends_s(self) -> float | None:
        """When it is over, by the monotonic clock; None at rest."""
        return self._ends_s

    def start(self, now: float, seconds: float, *, felt: bool = True) -> None:
        """Begin, or begin anew. It is `felt` at once, unless whoever starts it lets that be felt."""
        self._ends_s, self._felt_s = now + seconds, now if felt else now + FELT_EVERY_S

    def stop(self) -> None:
        """All is well."""
        self._ends_s = None

    def poll(self, now: float) -> Tick | None:
        """What there is to be said by `now`: FELT each FELT_EVERY_S from the start, then OVER once."""
        if self._ends_s is None:
            return None
        if now >= self._ends_s:
            self._ends_s = None
            return Tick.OVER
        if now < self._felt_s:
            return None
        while self._felt_s <= now:
            self._felt_s += FELT_EVERY_S
        return Tick.FELT

    def next_due(self) -> float | None:
        """When `poll` has something to say next."""
        return None if self._ends_s is None else min(self._felt_s, self._ends_s)
