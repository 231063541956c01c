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
APART_MS = 300.0
"""Between two patterns are 400 ms, within one 200 at most."""
SETTLED_MS = 2000.0
"""When so long nothing followed, nothing will: then a pattern is over, however its pulses look."""
UNLIKE = 1.9
"""A pulse whose length differs by this factor is no such pattern. *Stored* and *attention* differ by 2."""


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


def felt(felt_pulses: Iterable[Pulse], until_ns: int) -> tuple[Felt, ...]:
    """The whole patterns in the pulses until then, in order; a pattern that is not complete yet is not in it."""
    groups = [*_groups(felt_pulses)]
    found = [(group[0].start_ns, _of_ended(group)) for group in groups[:-1]]
    for last in groups[-1:]:
        rested_ms = (until_ns - last[-1].start_ns) / 1e6 - last[-1].length_ms
        found.append((last[0].start_ns, _of_ended(last) if rested_ms >= SETTLED_MS else _of_complete(last)))
    return tuple(Felt(pattern, start_ns) for start_ns, pattern in found if pattern is not None)


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


def _of_complete(group: list[Pulse]) -> Pattern | None:
    """By length first: others may follow."""
    likely = min(PULSES, key=lambda pattern: _ratio(_shortest_ms(group), PULSES[pattern][1]))
    return likely if len(group) == PULSES[likely][0] else None


def _of_ended(group: list[Pulse]) -> Pattern | None:
    """By number first: a busy machine stretches a pulse by more than what lies between two lengths."""
    candidates = [pattern for pattern, (number, _) in PULSES.items() if number == len(group)]
    likely = min(candidates, key=lambda each: _ratio(_shortest_ms(group), PULSES[each][1]), default=None)
    return likely if likely is not None and _ratio(_shortest_ms(group), PULSES[likely][1]) < UNLIKE else None


def _shortest_ms(group: list[Pulse]) -> float:
    """What was meant: the others were stretched more."""
    return min(pulse.length_ms for pulse in group)


def _ratio(one_ms: float, other_ms: float) -> float:
    """How unlike two lengths are, 1 or more; a pulse may be too short to have one."""
    low, high = sorted((max(one_ms, 1.0), max(other_ms, 1.0)))
    return high / low
