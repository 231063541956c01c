"""What the officer feels: patterns as data, and which of them plays now. Pure.

A pattern always plays to its end, and none is played over another: in the palm a mixture means nothing.
"""

from collections import deque
from dataclasses import dataclass
from enum import Enum

PAUSE_S = 0.4
"""Between two patterns, so that they are felt as two."""
MAX_WAITING = 8
"""More than this is noise: the oldest one waiting gives way."""


class Pattern(Enum):
    """The vibrations, as (on, off, on, …) in seconds; told apart by number and length of pulses."""

    STORED = (0.4,)
    DELIVERED = (0.12, 0.12, 0.12)
    COULD_NOT_STORE = (0.08, 0.08, 0.08, 0.08, 0.08, 0.08, 0.08, 0.08, 0.08)


@dataclass(frozen=True, slots=True)
class Playing:
    """The motor's state and since when the running pattern plays."""

    pattern: Pattern
    began_s: float


class FeedbackPlayer:
    """Plays patterns one after the other; `level(now)` is what the motor does at that moment."""

    def __init__(self) -> None:
        self._waiting: deque[Pattern] = deque(maxlen=MAX_WAITING)
        self._playing: Playing | None = None

    def play(self, pattern: Pattern, now: float) -> None:
        """Play a pattern now, or behind those that wait."""
        self._waiting.append(pattern)
        self._advance(now)

    def level(self, now: float) -> bool:
        """Whether the motor runs at `now`."""
        self._advance(now)
        if self._playing is None:
            return False
        elapsed = now - self._playing.began_s
        on = True
        for length in self._playing.pattern.value:
            if elapsed < length:
                return on
            elapsed -= length
            on = not on
        return False

    def next_due(self, now: float) -> float | None:
        """When `level` changes next; None when nothing plays."""
        self._advance(now)
        if self._playing is None:
            return None
        edge: float = self._playing.began_s
        for length in self._playing.pattern.value:
            edge += length
            if edge > now:
                return edge
        return edge + PAUSE_S

    def _advance(self, now: float) -> None:
        while True:
            if self._playing is not None:
                ends = self._playing.began_s + sum(self._playing.pattern.value) + PAUSE_S
                if now < ends:
                    return
                self._playing = None
            if not self._waiting:
                return
            self._playing = Playing(self._waiting.popleft(), now)
