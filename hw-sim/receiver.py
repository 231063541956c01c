"""What every simulated receiver has in common: octets and time go in, octets and news come out.

The dialects are in receiver_ublox.py, receiver_pmtk.py and receiver_pqtm.py; here is also the receiver that has none.
Nothing here reads a clock or a port.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from bondmate_sim.programme import TALKER, Programme, Sentence
from bondmate_sim.sky import System

ASLEEP, AWAKE = "asleep", "awake"


@dataclass(frozen=True, slots=True)
class Reaction:
    """What came of something that a receiver heard, or of time that passed."""

    octets: bytes = b""
    """What it sends at once."""
    news: tuple[str, ...] = ()
    """What happened, for people and tests, a line each."""


class Receiver(Protocol):
    """A receiver that its port's other end can talk to. Times are of one monotonic clock and never go back."""

    def hear(self, data: bytes, now_s: float) -> Reaction:
        """Octets arrived; none is fine, and only lets time pass. Nothing that arrives is an error."""

    @property
    def programme(self) -> Programme | None:
        """What it says by itself; None while it is silent."""

    @property
    def due_s(self) -> float | None:
        """When something happens by itself: `hear` wants to be called then. None: nothing will."""


class Talker:
    """Talks, and obeys nobody."""

    programme: Programme | None = TALKER
    due_s: float | None = None

    def hear(self, data: bytes, now_s: float) -> Reaction:  # noqa: ARG002 - it has no ears
        return Reaction()


def together(reactions: Iterable[Reaction]) -> Reaction:
    """Reactions that follow one another as one."""
    octets, news = b"", tuple[str, ...]()
    for reaction in reactions:
        octets, news = octets + reaction.octets, news + reaction.news
    return Reaction(octets, news)


def obeyed_rate(interval_ms: int) -> str:
    """The news of an interval between epochs."""
    return f"obeyed rate {interval_ms} ms"


def obeyed_sentence(sentence: Sentence, rate: int) -> str:
    """The news of a sentence that is now said once every so many epochs, or no more."""
    return f"obeyed {sentence} every {rate}" if rate else f"obeyed {sentence} off"


def obeyed_system(system: System, on: bool) -> str:
    """The news of a system that is now heard, or no more."""
    return f"obeyed {system.value} {'on' if on else 'off'}"
