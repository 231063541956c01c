"""What is tried when a modem does not answer, in which order and how long. Pure.

`now` is the monotonic clock in seconds. How a step is taken is the driver's business; whether it helped it tells.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from enum import Enum


class Step(Enum):
    """What may be tried."""

    REOPEN = "close and reopen the port"
    RESET = "restart it (AT+CFUN=1,1)"
    PULSE = "pulse its power key"
    CYCLE = "switch its power rail off and on"


@dataclass(frozen=True, slots=True)
class Rung:
    """A step, and how long the modem has to answer after it."""

    step: Step
    budget_s: float


RUNGS = (
    # a port that was closed is open within a second, and the modem answers at once
    Rung(Step.REOPEN, 10),
    # modules are back 10 to 20 s after a restart, on USB under a new number
    Rung(Step.RESET, 40),
    # a pulse switches a running module off, which takes up to 30 s, and one that is off on
    Rung(Step.PULSE, 40),
    Rung(Step.PULSE, 40),
    Rung(Step.CYCLE, 60),
)
TIMEOUTS = 3
"""So many commands in a row without an answer begin the climb."""
RELAPSE_S = 120.0
"""A modem that falls silent again within so long was not helped by what was tried: the climb goes on from there."""
PAUSES_S = (0, 60, 120, 300, 600)
"""Before each round from the top; the last for all that follow: a module that is broken is not to be beaten for ever,
nor to be given up."""


class Ladder:
    """Tell it what came of commands; ask it what to try."""

    def __init__(
        self,
        available: Set[Step] = frozenset({Step.REOPEN, Step.RESET}),
        rungs: Sequence[Rung] = RUNGS,
        pauses_s: Sequence[float] = PAUSES_S,
    ) -> None:
        """`available` are the steps that can be taken on this board."""
        self._rungs = [rung for rung in rungs if rung.step in available]
        self._pauses_s = pauses_s
        self._timeouts = 0
        """In a row, while nothing is climbed."""
        self._next = 0
        """The rung that is tried next."""
        self._due_s: float | None = None
        """When it is; None while the modem answers."""
        self._recovered_s: float | None = None
        """When the modem answered at the end of the last climb."""
        self.round = 0
        """How often this climb began from the top."""
        self.step: Step | None = None
        """What was tried last; None while the modem answers."""

    def succeeded(self, now: float) -> None:
        """The modem answered: whatever it said, it is alive."""
        self._timeouts = 0
        if self._due_s is not None:
            self._due_s, self.step, self._recovered_s = None, None, now

    def timed_out(self, now: float) -> None:
        """A command was not answered in its time, or the port could not be opened in its."""
        if self._due_s is not None or not self._rungs:
            return
        self._timeouts += 1
        if self._timeouts < TIMEOUTS:
            return
        if self._recovered_s is None or now - self._recovered_s > RELAPSE_S:
            self._next = self.round = 0
        self._due_s = now + (self._pauses_s[min(self.round, len(self._pauses_s) - 1)] if self._next == 0 else 0)

    def poll(self, now: float) -> Step | None:
        """What is to be tried now, once."""
        if self._due_s is None or now < self._due_s:
            return None
        rung = self._rungs[self._next]
        if self._next == 0:
            self.round += 1
        self._next = (self._next + 1) % len(self._rungs)
        self._due_s = now + rung.budget_s
        if self._next == 0:
            self._due_s += self._pauses_s[min(self.round, len(self._pauses_s) - 1)]
        self.step = rung.step
        return rung.step

    def next_due(self) -> float | None:
        """When `poll` has something to tell, if the modem does not answer before."""
        return self._due_s
