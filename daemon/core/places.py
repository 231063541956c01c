"""How many exchanges may be under way at once, over one bearer, and how a place that failed rests. Pure.

Knows nothing of records: which of them takes a place is delivery's choice.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Channel(Enum):
    """What a record may hold up: alerts have exchanges of their own, which nothing routine takes from them."""

    ALERT = "alert"
    ROUTINE = "routine"


CAPACITY: Mapping[Channel, int] = {Channel.ALERT: 4, Channel.ROUTINE: 1}
"""Exchanges at once over one bearer: enough that alerts do not wait for one another, and no more, for an outage must
not become a flood."""
FRESH_CAPACITY = 8
"""The same for alerts with fresh presses among them: a press, its cancellation and the next press go out at once though
older alerts wait for answers that never come."""
WRITTEN_OFF: Mapping[Channel, int] = {Channel.ALERT: 8, Channel.ROUTINE: 1}
"""Exchanges beside those that hold no place any more, for another one over the bearer was answered while they hang.
They cost little: most of their datagrams are sent."""


@dataclass(slots=True)
class Places:
    """The exchanges of one channel over one bearer. A place that failed rests before it is taken again."""

    channel: Channel
    flying: int = 0
    """Exchanges that hold a place."""
    written_off: int = 0
    """Exchanges that hold none, and were not reported yet."""
    _rests: list[float] = field(default_factory=list)
    """When each of those that rest is free again, the next first."""

    def free_s(self, *, fresh: bool = False) -> float:
        """When a place is free: -inf for always, inf when only a report can tell. What is fresh waits for no rest."""
        if fresh:
            return -math.inf if self.flying < FRESH_CAPACITY else math.inf
        spare = CAPACITY[self.channel] - self.flying
        if spare <= 0:
            return math.inf
        return -math.inf if len(self._rests) < spare else self._rests[-spare]

    def write_off(self) -> bool:
        """Free the place of an exchange that hangs, if not too many were written off before."""
        if self.written_off >= WRITTEN_OFF[self.channel]:
            return False
        self.flying, self.written_off = self.flying - 1, self.written_off + 1
        return True

    def rest(self, now: float, rest_s: float) -> None:
        """A place failed now, and rests for `rest_s`."""
        self._rests = sorted([*(each for each in self._rests if each > now), now + rest_s])

    def succeeded(self) -> None:
        """An exchange brought what it was for: no place need rest."""
        self._rests.clear()
