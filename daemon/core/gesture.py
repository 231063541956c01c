"""From the edges of a button to the moment a hold is recognised. Pure: `now` is the monotonic clock in seconds.

The first edge latches; contact bounce never restarts or ends a hold, and one hold is recognised once.
"""

REARM_S = 0.030
"""A release counts only after the contact was open this long: bounces of common buttons last under 20 ms."""


class HoldRecognizer:
    """Recognises press-and-hold on one button.

    Feed it every edge, ask it at `next_due()`: `poll` returns True once for each hold.
    """

    def __init__(self, hold_s: float) -> None:
        self._hold_s = hold_s
        self._pressed_at: float | None = None
        """When the press that is under way began; None when the button is at rest."""
        self._released_at: float | None = None
        """Since when the contact is open within a press: a bounce, or the release."""
        self._recognized = False

    def edge(self, down: bool, now: float) -> bool:
        """An edge of the contact; True when it shows that a hold was completed before it."""
        recognized = self.poll(now)
        if down:
            if self._pressed_at is None:
                self._pressed_at = now
                self._recognized = False
            self._released_at = None
        elif self._pressed_at is not None and self._released_at is None:
            self._released_at = now
        return recognized

    def poll(self, now: float) -> bool:
        """Let time pass; True when the hold is completed by `now`."""
        if self._pressed_at is None:
            return False
        held_until = now if self._released_at is None else self._released_at
        # the same sums as in next_due: a difference may be rounded to just under what is asked for
        recognized = not self._recognized and held_until >= self._pressed_at + self._hold_s
        self._recognized = self._recognized or recognized
        if self._released_at is not None and now >= self._released_at + REARM_S:
            self._pressed_at = self._released_at = None
        return recognized

    def next_due(self) -> float | None:
        """When `poll` has something to say next, if no edge comes before."""
        if self._pressed_at is None:
            return None
        if self._released_at is not None:
            return self._released_at + REARM_S
        return None if self._recognized else self._pressed_at + self._hold_s
