"""The palm: what is played on the motor, and that it was felt to its end. What patterns mean is core/feedback's."""

import asyncio
from collections.abc import Callable

from bondmate.core.feedback import FeedbackPlayer, Felt, Pattern
from bondmate.ports import Indicator


class Palm:
    """All methods run in the event loop; times are the loop's."""

    def __init__(self, indicator: Indicator, felt: Callable[[Felt], None]) -> None:
        """`felt` is told of each pattern that was played to its end."""
        self._indicator = indicator
        self._felt = felt
        self._player = FeedbackPlayer()
        self.wake = asyncio.Event()
        """Set when there is something new to play."""

    def play(self, pattern: Pattern, about: bytes = b"") -> None:
        """Play a pattern behind the one that plays; `about` is the digest of the record that it tells of."""
        self._player.play(pattern, about)
        self.wake.set()

    def drop_all_but(self, about: bytes) -> None:
        """A new alert was raised: what still waits to be felt about others would be taken for its own."""
        self._player.drop_all_but(about)

    def break_off(self, about: bytes) -> None:
        """What is about this is felt no more, and not to its end either."""
        self._player.break_off(about, asyncio.get_running_loop().time())
        self.wake.set()

    def step(self, now: float) -> float | None:
        """Drive the motor; when it changes next."""
        self._indicator.vibrate(self._player.level(now))
        for felt in self._player.take_felt():
            self._felt(felt)
        return self._player.next_due()
