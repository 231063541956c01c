"""What a hand feels: the vibration motor's edges read as the patterns that the device promises. Pure.

Patterns are told apart by the length of a pulse alone, because a busy machine stretches pauses more than pulses.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from bondmate_sim.lines import Edge

Pattern = Literal["attention", "stored", "delivered", "not stored"]

PULSES: dict[Pattern, tuple[int, float]] = {
    "attention": (2, 800.0),
    "stored": (1, 400.0),
    "delivered": (2, 120.0),
    "not stored": (5, 80.0),
}
"""How many pulses each has, and how long each of them is, in ms."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """The motor ran from `start_ns` (CLOCK_MONOTONIC) for so long."""

    start_ns: int
    length_ms: float


@dataclass(frozen=True, slots=True)
class Felt:
    """A whole pattern; `start_ns` is where its first pulse began."""

    pattern: Pattern
    start_ns: int


def pulses(edges: Iterable[Edge]) -> tuple[Pulse, ...]:
    """The finished pulses in the edges of one pin, in order."""
    found: list[Pulse] = []
    start_ns: int | None = None
    for edge in edges:
        if edge.level == 1:
            start_ns = edge.t_ns
        elif start_ns is not None:
            found.append(Pulse(start_ns, (edge.t_ns - start_ns) / 1e6))
            start_ns = None
    return tuple(found)


def felt(felt_pulses: Iterable[Pulse]) -> tuple[Felt, ...]:
    """The whole patterns in the pulses, in order; a pattern that is not complete yet is not in it."""
    found: list[Felt] = []
    run: list[Pulse] = []
    for pulse in felt_pulses:
        pattern = _nearest(pulse.length_ms)
        if run and _nearest(run[0].length_ms) != pattern:
            run = []
        run.append(pulse)
        if len(run) == PULSES[pattern][0]:
            found.append(Felt(pattern, run[0].start_ns))
            run = []
    return tuple(found)


def _nearest(length_ms: float) -> Pattern:
    """By ratio; a pulse may be too short to have a length."""
    return min(PULSES, key=lambda pattern: abs(math.log(max(length_ms, 1.0) / PULSES[pattern][1])))
