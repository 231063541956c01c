"""What a mechanical button does to its line while a finger holds it. Pure: a schedule comes out, nobody waits here.

A pressed button closes the line to ground (0), a released one lets go (None). Real contacts chatter for some
milliseconds on both; the chatter is random and comes from the caller's generator, so that a seed repeats it.
"""

import random
from dataclasses import dataclass

from bondmate_sim.lines import Level

CHATTER_PAIRS = (1, 4)
"""How many times a contact opens and closes again before it rests; more than four are rare in small switches
(J. Ganssle, A Guide to Debouncing)."""


@dataclass(frozen=True, slots=True)
class Drive:
    """At `offset_s` after the first contact, the button drives `level` (None: it lets go)."""

    offset_s: float
    level: Level | None


def press_schedule(hold_s: float, bounce_s: float, rng: random.Random) -> tuple[Drive, ...]:
    """All that happens at the line for one press, in order; it begins with 0 at offset 0 and ends with None.

    The chatter of the press is cut at half of the hold, so that a short press remains a press.
    """
    press = _chatter(0.0, min(bounce_s, hold_s / 2), 0, rng)
    release = _chatter(hold_s, bounce_s, None, rng)
    return press + release


def _chatter(start_s: float, bounce_s: float, final: Level | None, rng: random.Random) -> tuple[Drive, ...]:
    if bounce_s <= 0:
        return (Drive(start_s, final),)
    other: Level | None = None if final == 0 else 0
    count = 2 * rng.randint(*CHATTER_PAIRS)
    offsets = sorted(rng.uniform(0.0, bounce_s) for _ in range(count))
    levels = (other, final) * (count // 2)
    return (
        Drive(start_s, final),
        *(Drive(start_s + offset, level) for offset, level in zip(offsets, levels, strict=True)),
    )
