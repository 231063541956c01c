"""What the officer feels: patterns as data, and which of them plays now. Pure.

A pattern always plays to its end, and none is played over another: in the palm a mixture means nothing.
"""

from bisect import bisect
from dataclasses import dataclass
from enum import Enum
from itertools import accumulate

PAUSE_S = 0.4
"""Between two patterns, so that they are felt as two."""
MAX_WAITING = 8
"""More than this is noise: a receipt gives way, and without one the oldest."""


class Pattern(Enum):
    """The vibrations, as (on, off, on, …) in seconds; told apart by number and length of pulses.

    NO_WAY_OUT: the alert could not be stored (it is sent all the same), or the gateway refused it: do not rely on it.
    """

    STORED = (0.4,)
    DELIVERED = (0.12, 0.12, 0.12)
    NO_WAY_OUT = (0.08, 0.08, 0.08, 0.08, 0.08, 0.08, 0.08, 0.08, 0.08)


@dataclass(frozen=True, slots=True)
class _Playing:
    """The pattern that plays: when the motor turns off, on, … off, and when the next pattern may begin."""

    edges_s: tuple[float, ...]
    ends_s: float


class FeedbackPlayer:
    """Plays patterns one after the other; `level(now)` is what the motor does at that moment."""

    def __init__(self) -> None:
        self._waiting: list[Pattern] = []
        self._playing: _Playing | None = None

    def play(self, pattern: Pattern, now: float) -> None:
        """Play a pattern now, or behind the one that plays; what became of a press is felt before receipts."""
        self._waiting.append(pattern)
        # a stable sort: of two presses the later one has the last word
        self._waiting.sort(key=lambda waiting: waiting is Pattern.DELIVERED)
        self._advance(now)
        if len(self._waiting) > MAX_WAITING:
            self._waiting.pop(-1 if self._waiting[-1] is Pattern.DELIVERED else 0)

    def level(self, now: float) -> bool:
        """Whether the motor runs at `now`."""
        self._advance(now)
        return self._playing is not None and bisect(self._playing.edges_s, now) % 2 == 0

    def next_due(self, now: float) -> float | None:
        """When `level` changes next; None when nothing plays."""
        self._advance(now)
        if self._playing is None:
            return None
        passed = bisect(self._playing.edges_s, now)
        return (*self._playing.edges_s, self._playing.ends_s)[passed]

    def _advance(self, now: float) -> None:
        if self._playing is not None and now >= self._playing.ends_s:
            self._playing = None
        if self._playing is None and self._waiting:
            _, *edges_s = accumulate(self._waiting.pop(0).value, initial=now)
            self._playing = _Playing(tuple(edges_s), edges_s[-1] + PAUSE_S)
