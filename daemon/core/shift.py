"""A shift: it begins when the officer says so, and ends by itself. Pure: `now` is the monotonic clock in seconds."""

from enum import Enum

WARNING_S = 900.0
"""So long before its end a shift is felt to end: time to begin it anew."""


class ShiftEvent(Enum):
    """What happens to a shift by itself."""

    ENDING = "ending"
    ENDED = "ended"


class Shift:
    """Off until it is begun."""

    def __init__(self, max_s: float) -> None:
        self._max_s = max_s
        self._began_s: float | None = None
        """None: off duty."""
        self._warned = False

    @property
    def is_on(self) -> bool:
        """Whether the officer is on duty."""
        return self._began_s is not None

    def begin(self, began_s: float) -> None:
        """Begin, or begin anew; after a restart with the time when it was begun, which may lie before this session."""
        self._began_s, self._warned = began_s, False

    def correct(self, began_s: float) -> None:
        """It turned out when it was begun."""
        if self.is_on:
            self._began_s = began_s

    def end(self) -> None:
        """Off duty."""
        self._began_s = None

    def ends_s(self) -> float | None:
        """When it ends by itself; None off duty."""
        return None if self._began_s is None else self._began_s + self._max_s

    def step(self, now: float) -> ShiftEvent | None:
        """What happens by `now`: once that it ends soon, then that it ended."""
        ends_s = self.ends_s()
        if ends_s is None:
            return None
        if now >= ends_s:
            self.end()
            return ShiftEvent.ENDED
        if now >= ends_s - WARNING_S and not self._warned:
            self._warned = True
            return ShiftEvent.ENDING
        return None

    def next_due(self) -> float | None:
        """When `step` has something to say next."""
        ends_s = self.ends_s()
        return ends_s if ends_s is None or self._warned else ends_s - WARNING_S
