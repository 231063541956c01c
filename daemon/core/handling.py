"""How a maker's receiver is handled over time: roused, set up, set up again after it restarted, put to sleep. Pure.

`now` is the monotonic clock in seconds. What it is told is receivers' business, one question after the other talk's.
"""

import math
from collections.abc import Sequence

from bondmate.core.receivers import TURNED_OFF, Receiver, Wanted
from bondmate.core.reception import LISTEN_S, SILENT_S, Heard
from bondmate.core.talk import Outcome, Talk
from bondmate.core.ubx import FrameSplitter

AGAIN_S = 60.0
"""A receiver that says what was turned off is set up again, at most so often: it may obey nobody."""


class Handling:
    """Tell it what was heard; it says what to send."""

    def __init__(self, receiver: Receiver, wanted: Wanted) -> None:
        self._receiver = receiver
        self._wanted = wanted
        self._on = False
        """Whether the receiver is wanted awake."""
        self._frames = FrameSplitter()
        self._talk: Talk | None = None
        """The conversation with the receiver, from its first sentence on."""
        self._under_way = Outcome()
        """What came of that conversation so far."""
        self._begun_s = -math.inf
        """When it began."""
        self._over_s: float | None = None
        """When it ended."""
        self._roused_s: float | None = None
        """When the receiver was roused last; None while the line is not open."""
        self._heard_s = -math.inf
        """When its last sentence came."""
        self._octets = b""
        self.outcome = Outcome()
        """What came of the last conversation that ended."""

    def wake(self, on: bool) -> None:
        """What it shall be from now on: awake, or asleep."""
        self._on = on
        self._talk = None

    def opened(self, now: float) -> None:
        """The line is open, or has another speed: the receiver may sleep, and nothing on the way matters any more."""
        self._frames = FrameSplitter()
        self._heard_s, self._octets = -math.inf, b""
        self._rouse(now)

    def closed(self) -> None:
        """The line is gone, or not needed."""
        self._talk, self._roused_s = None, None

    def heard(self, data: bytes, sentences: Sequence[Heard], now: float) -> None:
        """Octets came, and the sentences that they completed."""
        messages = self._frames.feed(data) if self._receiver.speaks_ubx else [one.line for one in sentences]
        if sentences:
            self._heard_s = now
        if self._talk is not None and not self._talk.is_over:
            for message in messages:
                self._talk.heard(message, now)
        elif any(one.sentence.type in TURNED_OFF for one in sentences) and self._has_forgotten(now):
            self._talk = None

    def poll(self, now: float) -> None:
        """Let time pass."""
        if self._roused_s is None or self.is_asleep(now):
            return
        if now >= max(self._roused_s, self._heard_s) + SILENT_S:
            self._rouse(now)
        if not self._on and self._over_s is not None and self._heard_s > self._over_s + LISTEN_S:
            self._talk = None  # it was told to sleep, and speaks on
        if self._talk is None:
            self._over_s = None
            if self._heard_s < self._roused_s:
                return
            self._begin(now)
        if self._talk is not None:
            self._talk.poll(now)
            self._octets += self._talk.take()
            if self._talk.is_over and self._over_s is None:
                self._over_s, self.outcome = now, self._under_way

    def next_due(self) -> float | None:
        """When `poll` has something to do, if nothing comes before."""
        if self._roused_s is None:
            return None
        due_s = max(self._roused_s, self._heard_s) + SILENT_S
        if self._talk is not None and (talk_due_s := self._talk.next_due()) is not None:
            due_s = min(due_s, talk_due_s)
        if not self._on and self._over_s is not None:
            due_s = min(due_s, max(self._over_s, self._heard_s) + LISTEN_S)
        return due_s

    def take(self) -> bytes:
        """What is to be sent now."""
        octets, self._octets = self._octets, b""
        return octets

    def is_asleep(self, now: float) -> bool:
        """Whether it was told to sleep, and has been silent since: some do not acknowledge that they go to sleep."""
        if self._on or self._talk is None or self._over_s is None:
            return False
        return now >= max(self._over_s, self._heard_s) + LISTEN_S

    def _rouse(self, now: float) -> None:
        """What a receiver sleeps through is not understood, and wakes it; and it may be lost as any octets."""
        self._talk, self._over_s, self._roused_s = None, None, now
        self._octets += self._receiver.wake

    def _begin(self, now: float) -> None:
        self._under_way, self._begun_s = Outcome(), now
        script = (
            self._receiver.set_up(self._wanted, self._under_way) if self._on else self._receiver.sleep(self._under_way)
        )
        self._talk = Talk(script, now)

    def _has_forgotten(self, now: float) -> bool:
        """Whether it took its settings, and a sentence that was turned off shows that it restarted since."""
        is_set_up = self._on and self._over_s is not None and not self.outcome.problems
        return is_set_up and now >= self._begun_s + AGAIN_S
