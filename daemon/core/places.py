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
FRESH_CAPACITY: Mapping[Channel, int] = {Channel.ALERT: 8, Channel.ROUTINE: 1}
"""The same with fresh presses among them: a press, its cancellation and the next press go out at once though older
alerts wait for answers that never come."""


@dataclass(slots=True)
class Places:
    """The exchanges of one channel over one bearer. A place that failed rests before it is taken again."""

    channel: Channel
    flying: int = 0
    _rests: list[float] = field(default_factory=list)
    """When each of those that rest is free again, the next first."""

    def free_s(self, *, fresh: bool = False) -> float:
        """When a place is free: -inf for always, inf when only a report can tell. What is fresh waits for no rest."""
        if fresh:
            return -math.inf if self.flying < FRESH_CAPACITY[self.channel] else math.inf
        spare = CAPACITY[self.channel] - self.flying
        if spare <= 0:
            return math.inf
        return -math.inf if len(self._rests) < spare else self._rests[-spare]

    def rest(self, now: float, until_s: float) -> None:
        """A place failed now, and rests until then, which is no sooner than the rests before."""
        self._rests = [*(each for each in self._rests if each > now), until_s]
