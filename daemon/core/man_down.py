"""An officer who lies still, as an input of the device says it: after a while, and a countdown, the device calls.

Pure: `now` is the monotonic clock in seconds. What the input measures is its maker's choice.
"""

from enum import Enum

from bondmate.core.countdown import Countdown, Tick


class ManDownEvent(Enum):
    """What happens by itself."""

    COUNTDOWN = "countdown"
    """It begins; to be felt."""
    FELT = "felt"
    """It goes on; to be felt."""
    DOWN = "down"
    """Call for him. Not again before the input was inactive."""


class ManDown:
    """The input has to be active for `man_down_s` without a break; then the officer has `countdown_s` to get up.

    The countdown begins when `poll` is asked: an officer is never called for without having felt it.
    """

    def __init__(self, man_down_s: float, countdown_s: float) -> None:
        self._man_down_s, self._countdown_s = man_down_s, countdown_s
        self._active_since: float | None = None
        """None when the input is inactive, or he was called for already."""
        self._is_active = False
        self._countdown = Countdown()

    @property
    def ends_s(self) -> float | None:
        """When the countdown is over; None when none runs."""
        return self._countdown.ends_s

    def on_input(self, active: bool, now: float) -> None:
        """The input changed, or was read again. Inactive, all is well."""
        if active and not self._is_active:
            self._active_since = now
        elif not active:
            self._active_since = None
            self._countdown.stop()
        self._is_active = active

    def poll(self, now: float) -> ManDownEvent | None:
        """What happens by `now`, one at a time."""
        if self._active_since is None:
            return None
        if self._countdown.ends_s is not None:
            return self._counted(now)
        if now < self._active_since + self._man_down_s:
            return None
        self._countdown.start(now, self._countdown_s, felt=False)
        return ManDownEvent.COUNTDOWN

    def next_due(self) -> float | None:
        """When `poll` has something to say next, if the input does not change."""
        if self._active_since is None:
            return None
        return self._active_since + self._man_down_s if self._countdown.ends_s is None else self._countdown.next_due()

    def _counted(self, now: float) -> ManDownEvent | None:
        match self._countdown.poll(now):
            case Tick.OVER:
                self._active_since = None
                return ManDownEvent.DOWN
            case Tick.FELT:
                return ManDownEvent.FELT
            case None:
                return None
