"""How often a PIN may be tried. Pure: `now` is the monotonic clock in seconds.

With four digits and these waits, a thief who tries a day and a night has about thirty tries of ten thousand. While it
is locked no PIN is looked at, the right one and the duress PIN neither: else an answer would tell which it was.
"""

FREE = 4
"""So many wrong PINs in a row cost nothing: gloves, and a running officer."""
FIRST_S, LONGEST_S = 60.0, 3600.0
"""How long the fifth locks; each one behind it twice as long, up to an hour."""


class Lockout:
    """Counts wrong PINs in a row. The caller keeps `failures` and `until_s` over restarts."""

    def __init__(self) -> None:
        self._failures = 0
        self._until_s: float | None = None

    @property
    def failures(self) -> int:
        """Wrong PINs in a row."""
        return self._failures

    @property
    def until_s(self) -> float | None:
        """Until when it is locked, or was the last time, by the monotonic clock; None: it never was."""
        return self._until_s

    @property
    def tries_left(self) -> int:
        """So many wrong PINs until it locks, or locks again; at least 1."""
        return max(FREE + 1 - self._failures, 1)

    def locked_s(self, now: float) -> float:
        """For how long no PIN is looked at; 0 where it is not locked."""
        if self._until_s is None:
            return 0.0
        # a clock that jumped over a restart locks nobody out for longer
        self._until_s = min(self._until_s, now + LONGEST_S)
        return 0.0 if now >= self._until_s else self._until_s - now

    def failed(self, now: float) -> None:
        """A wrong PIN was entered. While it is locked that changes nothing, for it was not looked at."""
        if self.locked_s(now):
            return
        self._failures += 1
        if self._failures > FREE:
            # the exponent is bounded, for a float is
            doublings = min(self._failures - FREE - 1, 16)
            self._until_s = now + min(FIRST_S * 2**doublings, LONGEST_S)

    def succeeded(self) -> None:
        """A right PIN was entered."""
        self._failures, self._until_s = 0, None

    def resume(self, failures: int, until_s: float | None) -> None:
        """Go on after a restart with what was kept."""
        self._failures, self._until_s = failures, until_s
