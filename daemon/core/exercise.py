"""Whether what an officer calls is an exercise now. Pure: `now` is the monotonic clock in seconds.

An exercise must not swallow a real call. So it ends by itself, by the time and not by whoever asks; an order that is
repeated or old does not begin it again, for its version is not higher than one that was taken (docs/protocol.md, 8).
"""

LONGEST_S = 14_400.0
"""Four hours: nobody exercises longer, and a longer order is a mistake."""


class Exercise:
    """None goes on until one is taken."""

    def __init__(self) -> None:
        self._version = 0
        self._ends_s: float | None = None

    @property
    def version(self) -> int:
        """The highest that was taken, to be kept; 0: none was."""
        return self._version

    @property
    def ends_s(self) -> float | None:
        """When it ends by itself, by the monotonic clock; None when none goes on."""
        return self._ends_s

    def take(self, version: int, seconds: float, now: float) -> bool:
        """An order: calls are exercises for so long from now; 0 seconds end it.

        False, and nothing changes, where the version is not higher than every one before, or the time is out of bounds.
        """
        if version <= self._version or not 0 <= seconds <= LONGEST_S:
            return False
        self._version, self._ends_s = version, now + seconds if seconds else None
        return True

    def active(self, now: float) -> bool:
        """Whether a call is an exercise now."""
        return self._ends_s is not None and now < self._ends_s

    def end(self) -> None:
        """None goes on any more."""
        self._ends_s = None

    def resume(self, version: int) -> None:
        """An earlier session took this one: no order up to it counts, and none goes on."""
        if version > self._version:
            self._version, self._ends_s = version, None
