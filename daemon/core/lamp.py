"""What the LED shows, as levels over time. Pure: `now` is the monotonic clock in seconds."""

from bisect import bisect
from enum import Enum
from itertools import accumulate, pairwise


class Light(Enum):
    """What there is to be shown, as (lit, dark, lit, …) in seconds, again and again; told apart at a glance."""

    OFF = (0.0,)
    """Never lit. (An empty tuple as a value is lost in the enum of Python 3.11.2, which is Debian 12's.)"""
    ARMED = (1.0,)
    """Steady."""
    NOT_ARMED = (0.1, 0.2, 0.1, 2.6)
    """Long dark, and a short double flash: it lives, and the button would do nothing that can be relied on."""
    PRECISE = (0.2, 0.8)
    """An alert is open: the position is recorded as precisely as it is known."""
    ACKNOWLEDGED = (0.6, 0.4)
    """The same, and a human saw it: longer lit than dark."""
    EXERCISE = (1.6, 0.2)
    """Armed, but what is pressed is an exercise: nearly steady."""
    PRESS = (0.25, 0.25)
    """A self-test waits for a press."""
    TRIAL = (0.4, 0.2, 0.4, 0.2, 0.4, 1.4)
    """A self-test tries the LED: three flashes, and again."""
    PASSED = (1.5, 0.5)
    """A self-test is over, and all is well."""
    FAILED = (0.06, 0.14)
    """A self-test is over, and something is not well: a flicker."""


OF_A_TEST = frozenset({Light.PRESS, Light.TRIAL, Light.PASSED, Light.FAILED})
"""What is shown covert too, for whoever began the test."""


class Lamp:
    """Shows one thing at a time."""

    def __init__(self) -> None:
        self.shows = Light.OFF
        self._since_s = 0.0

    def show(self, light: Light, now: float) -> None:
        """Show this from now on."""
        if light is not self.shows:
            self.shows, self._since_s = light, now

    def level(self, now: float) -> bool:
        """Whether the LED is lit at `now`."""
        return self.shows.value[0] > 0 and bisect(self._edges_s(now), now) % 2 == 0

    def next_due(self, now: float) -> float | None:
        """When `level` changes next; None for never."""
        edges_s = self._edges_s(now)
        return edges_s[bisect(edges_s, now)] if edges_s else None

    def _edges_s(self, now: float) -> list[float]:
        """When it goes dark, lit, … about `now`; nothing where it never changes.

        A division is rounded, and may name the round beside: so three of them. Each edge is the same sum in all.
        """
        if len(self.shows.value) < 2:
            return []
        *within_s, period_s = accumulate(self.shows.value)
        about = (now - self._since_s) // period_s
        begins_s = [self._since_s + number * period_s for number in (about - 1, about, about + 1, about + 2)]
        return [
            edge_s
            for begin_s, end_s in pairwise(begins_s)
            for edge_s in (*(begin_s + each_s for each_s in within_s), end_s)
        ]
