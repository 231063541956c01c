"""From the edges of a button to what they mean: a hold, or two or three taps. Pure: `now` is the monotonic clock in s.

The first edge latches; contact bounce never restarts or ends a press. What is a hold has been one for good: nothing
that the finger does behind it makes anything else of it, and no tap is ever a hold.
"""

from enum import Enum

REARM_S = 0.030
"""A release counts only after the contact was open this long: bounces of common buttons last under 20 ms."""
TAP_S = 0.35
"""A press that lasts longer is a grip, and no tap: no way of gripping the button says anything but a hold."""
GAP_S = 0.5
"""Taps that are less than this apart are one run. A gloved finger taps about four times a second."""
STUCK_S = 60.0
"""Nobody holds a button for so long: it is jammed, or something lies on it."""


class Gesture(Enum):
    """What a finger can say."""

    HOLD = "hold"
    DOUBLE = "double"
    TRIPLE = "triple"


_OF_TAPS = {2: Gesture.DOUBLE, 3: Gesture.TRIPLE}


class GestureRecognizer:
    """Recognises the `wanted` gestures on one button; a hold lasts `hold_s` or longer.

    Feed it every edge, ask it at `next_due()`; both tell what was recognised by then, in that order.

    A hold is recognised while the button is still down, a double or triple tap at the release, or GAP_S later where a
    further tap would make another one of it. A run of taps is one gesture at most, and none if its last press is a hold
    by then. Behind a hold, taps count again when the button has rested for GAP_S: a finger that slips says nothing.
    """

    def __init__(self, hold_s: float, wanted: frozenset[Gesture]) -> None:
        self._hold_s = hold_s
        self._wanted = wanted
        self._most_taps = max((taps for taps, gesture in _OF_TAPS.items() if gesture in wanted), default=0)
        self._pressed_at: float | None = None
        """When the press that is under way began; None when the button is at rest."""
        self._released_at: float | None = None
        """Since when the contact is open within a press: a bounce, or the release."""
        self._is_hold = False
        self._is_stuck = False
        """Both of the press that is under way, as `poll` saw it last."""
        self._rests_since: float | None = None
        """When the last press of a run ended; None when a run is over."""
        self._taps = 0
        """Of the run that is under way."""
        self._is_spent = False
        """The run has given its gesture, or has a hold in it: its taps mean nothing any more."""
        self._held_from_start = False

    @property
    def held_from_start(self) -> bool:
        """The press that is under way may be older than this session: the button was down when it was wired."""
        return self._held_from_start

    def edge(self, down: bool, now: float, *, from_start: bool = False) -> tuple[Gesture, ...]:
        """An edge of the contact; `from_start`: the button was down already when it was wired."""
        recognized = self.poll(now)
        if down:
            if self._pressed_at is None:
                self._pressed_at = now
                self._is_hold = False
                self._held_from_start = from_start
            self._released_at = None
        elif self._pressed_at is not None and self._released_at is None:
            self._released_at = now
        return recognized

    def poll(self, now: float) -> tuple[Gesture, ...]:
        """Let time pass."""
        found = [*self._hold(now), *self._release(now), *self._rest(now)]
        self._is_stuck = self.is_stuck(now)
        return tuple(gesture for gesture in found if gesture in self._wanted)

    def next_due(self) -> float | None:
        """When `poll` has something to say next, or `is_stuck`, if no edge comes before."""
        if self._pressed_at is None:
            if self._rests_since is None or self._is_spent or _OF_TAPS.get(self._taps) not in self._wanted:
                return None
            return self._rests_since + GAP_S
        if self._released_at is not None:
            return self._released_at + REARM_S
        if not self._is_hold:
            return self._pressed_at + self._hold_s
        return None if self._is_stuck else self._pressed_at + STUCK_S

    def is_stuck(self, now: float) -> bool:
        """Whether the button has been down for STUCK_S, and is not released yet."""
        return self._lasts(STUCK_S, now)

    def _lasts(self, how_long_s: float, now: float) -> bool:
        """Whether the press that is under way has lasted so long."""
        if self._pressed_at is None:
            return False
        held_until = now if self._released_at is None else self._released_at
        # the same sums as in next_due: a difference may be rounded to just under what is asked for
        return held_until >= self._pressed_at + how_long_s

    def _hold(self, now: float) -> list[Gesture]:
        if self._is_hold or not self._lasts(self._hold_s, now):
            return []
        self._is_hold = self._is_spent = True
        return [Gesture.HOLD]

    def _release(self, now: float) -> list[Gesture]:
        if self._released_at is None or now < self._released_at + REARM_S:
            return []
        if self._pressed_at is not None and self._released_at > self._pressed_at + TAP_S:
            self._is_spent = True
        self._rests_since, self._pressed_at, self._released_at = self._released_at, None, None
        self._held_from_start = False
        if self._is_spent:
            return []
        self._taps += 1
        if self._taps < self._most_taps:
            return []
        self._is_spent = True
        return [_OF_TAPS[self._taps]] if self._most_taps else []

    def _rest(self, now: float) -> list[Gesture]:
        """The run is over when the button has rested for long enough."""
        if self._pressed_at is not None or self._rests_since is None or now < self._rests_since + GAP_S:
            return []
        found = [] if self._is_spent or self._taps not in _OF_TAPS else [_OF_TAPS[self._taps]]
        self._rests_since, self._taps, self._is_spent = None, 0, False
        return found
