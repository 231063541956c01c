"""How fast requests are worked on: so many a second in the long run, some more at once. Pure: `now` comes in.

The generic cell rate algorithm (ITU-T I.371, annex A), which delays where others refuse.
"""


class Pace:
    """Gives each request its turn."""

    def __init__(self, every_s: float, at_once: int) -> None:
        """One each `every_s` seconds, after a quiet time `at_once` of them at once."""
        self._every_s = every_s
        self._slack_s = every_s * (at_once - 1)
        self._due_s = 0.0

    def wait_s(self, now: float) -> float:
        """How long the request that came now has to wait; it counts."""
        due_s = max(self._due_s, now)
        self._due_s = due_s + self._every_s
        return max(0.0, due_s - self._slack_s - now)
