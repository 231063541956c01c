"""What a hand feels: the vibration motor's edges read as the patterns that the device promises. Pure.

Pulses that are close to each other are a pattern; how many they are tells which, and how long. A busy device makes
pulses and rests longer, and never shorter.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from bondmate_sim.lines import Edge

Pattern = Literal["exercise", "attention", "stored", "acknowledged", "delivered", "not stored"]

PULSES: dict[Pattern, tuple[int, float]] = {
    "exercise": (1, 1500.0),
    "attention": (2, 800.0),
    "stored": (1, 400.0),
    "acknowledged": (3, 220.0),
    "delivered": (2, 120.0),
    "not stored": (5, 80.0),
}
"""How many pulses each has, and how long each of them is, in ms."""
APART_MS = 380.0
"""Between two patterns are 400 ms at least, within one 200."""
UNLIKE = 1.9
"""Pulses whose lengths differ by this factor are no such pattern. *Stored* and *attention* differ by 2."""


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
    groups = [*_groups(felt_pulses)]
    found = [Felt(pattern, group[0].start_ns) for group in groups[:-1] if (pattern := _of_ended(group)) is not None]
    for last in groups[-1:]:
        pattern = _nearest(_shortest_ms(last))
        if len(last) == PULSES[pattern][0]:
            found.append(Felt(pattern, last[0].start_ns))
    return tuple(found)


def _groups(felt_pulses: Iterable[Pulse]) -> Iterator[list[Pulse]]:
    """Pulses that belong together."""
    group: list[Pulse] = []
    for pulse in felt_pulses:
        if group and (pulse.start_ns - group[-1].start_ns) / 1e6 - group[-1].length_ms >= APART_MS:
            yield group
            group = []
        group.append(pulse)
    if group:
        yield group


def _of_ended(group: list[Pulse]) -> Pattern | None:
    """By number first: a busy machine stretches a pulse by more than what lies between two lengths."""
    candidates = [pattern for pattern, (number, _) in PULSES.items() if number == len(group)]
    likely = min(candidates, key=lambda each: _ratio(_shortest_ms(group), PULSES[each][1]), default=None)
    return likely if likely is not None and _ratio(_shortest_ms(group), PULSES[likely][1]) < UNLIKE else None


def _nearest(length_ms: float) -> Pattern:
    return min(PULSES, key=lambda pattern: _ratio(length_ms, PULSES[pattern][1]))


def _shortest_ms(group: list[Pulse]) -> float:
    """What was meant: the others were stretched more."""
    return min(pulse.length_ms for pulse in group)


def _ratio(one_ms: float, other_ms: float) -> float:
    """How unlike two lengths are, 1 or more; a pulse may be too short to have one."""
    low, high = sorted((max(one_ms, 1.0), max(other_ms, 1.0)))
    return high / low
