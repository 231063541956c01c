"""Single short presses of a button, no call in any configuration: the one that is asked for, and five in a row.

Pure: `now` is the monotonic clock in s. It sees the same edges as `gesture` does, takes nothing from it, and changes
nothing in it: what is a call there is a call whatever this makes of it.
"""

from dataclasses import dataclass

from bondmate.core.gesture import GAP_S, REARM_S, TAP_S

KNOCKS = 5
APART_S = 3.0
"""Slower presses than this belong to nothing."""
WINDOW_S = 30.0
"""So soon after the device was armed the last of them has to come."""


@dataclass(frozen=True, slots=True)
class Press:
    """A whole press, without its bounces."""

    began_s: float
    ended_s: float
    from_start: bool
    """The button was down when it was wired: nobody knows since when."""


class Presses:
    """Makes presses of edges. A press is told REARM_S behind its release, when `poll` or `edge` is called then."""

    def __init__(self) -> None:
        self._began_s: float | None = None
        self._opened_s: float | None = None
        self._from_start = False

    def edge(self, down: bool, now: float, *, from_start: bool = False) -> Press | None:
        """An edge of the contact; the press that had ended by then."""
        ended = self.poll(now)
        if down:
            if self._began_s is None:
                self._began_s, self._from_start = now, from_start
            self._opened_s = None
        elif self._began_s is not None and self._opened_s is None:
            self._opened_s = now
        return ended

    def poll(self, now: float) -> Press | None:
        """Let time pass; the press that has ended."""
        if self._began_s is None or self._opened_s is None or now < self._opened_s + REARM_S:
            return None
        ended = Press(self._began_s, self._opened_s, self._from_start)
        self._began_s = self._opened_s = None
        return ended

    def next_due(self) -> float | None:
        """When a press has ended, if no edge comes before."""
        return None if self._opened_s is None else self._opened_s + REARM_S


class Knock:
    """Five short presses, slowly, soon after the device was armed: the wish for a self-test.

    No other meaning is possible: a hold is no short press, and presses that could be a double or triple tap (less than
    GAP_S apart) begin the count anew.
    """

    def __init__(self, armed_s: float) -> None:
        self._ends_s = armed_s + WINDOW_S
        self._count = 0
        self._last_s = 0.0
        """When the last press that counts ended."""

    def take(self, press: Press) -> bool:
        """A press has ended; whether it was the fifth."""
        apart_s = press.began_s - self._last_s
        is_tap = press.ended_s <= press.began_s + TAP_S and not press.from_start
        if not is_tap or press.ended_s > self._ends_s or (self._count and apart_s < GAP_S):
            self._count = 0
        else:
            self._count = self._count + 1 if apart_s <= APART_S else 1
        self._last_s = press.ended_s
        if self._count < KNOCKS:
            return False
        self._count = 0
        return True
