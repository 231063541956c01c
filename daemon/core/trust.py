"""Which fixes cannot be believed, and why: each is compared with those before it, and with what the receiver says.

Pure. A fix that is suspect is sent as such: the position of a receiver that somebody deceives may be the only one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from bondmate.core.geo import distance_m
from bondmate.core.nmea import DAY_MS
from bondmate.records import Fix, Suspicion

MAX_SPEED_MPS = 150.0
"""Faster than anything an officer on duty moves in: trains reach 89 m/s, helicopters 80, small aeroplanes 130."""
SLACK_M = 50.0
"""A receiver between high buildings jumps so far from one second to the next, whatever accuracy it states."""
BACKWARDS_S = 1.0
"""Time may go back by less: after the second 23:59:60 it does, by the length of an epoch."""
UNDATED_BACK_MS = 3_600_000
"""A time of day without a date that is less by this at most went back; by more, it is that of the next day."""
SETTLED_S = 30.0
"""A receiver that has contradicted what was believed for so long, and not itself, is believed anew: the first position
after a cold start may have been the false one."""
FROZEN_M = 25.0
"""So far a receiver may say that it has gone while it stays at the same spot to the last digit; the coarsest digit is
18 m (a hundredth of a minute)."""
FROZEN_TIMES = 2
"""So often in a row the same UTC comes again when a clock stands still; once it does after a leap second."""
MOVING_MPS = 1.5
"""Below this a receiver that holds its position (static navigation) is right to do so."""
LEAD_S = 5.0
"""So much faster than ours a receiver's clock may pass from one fix to the next: a line that was slow delivers several
epochs at once. Whoever simulates satellites with another time and another place has no hour to get there."""
SPOOF_MIN_SIGNALS = 5
SPOOF_SPREAD_DB = 1
"""Satellites low and high, behind trees and not, differ by 10 dB and more. A simple transmitter sends all alike."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a receiver says beside its fix."""

    strengths: Sequence[int] = ()
    """C/N0 in dB-Hz of all signals that are tracked."""
    antenna: str | None = None
    """What it said of it last."""
    time_ms: int | None = None
    """Of the UTC day."""
    made_up: bool = False
    """Whether the position was entered by hand, or is simulated."""


class _Seen(NamedTuple):
    fix: Fix
    time_ms: int | None


class Trust:
    """Judges one fix after the other."""

    def __init__(self, lead_s: float = LEAD_S) -> None:
        """`lead_s` is inf for a recorded log: nobody knows when its fixes were taken but by the receiver's clock."""
        self._lead_s = lead_s
        self._believed: _Seen | None = None
        """The last fix that contradicted nothing."""
        self._doubted: list[_Seen] = []
        """The first and the last of the fixes that contradict it, but not one another."""
        self._before: _Seen | None = None
        """The last fix, believed or not."""
        self._stood_m = 0.0
        """How far the receiver says that it has gone since it stays at the same spot."""
        self._repeats = 0
        """How many times in a row the same UTC came again."""

    def judge(self, fix: Fix, told: Told) -> Fix:
        """The fix, with what is suspect about it."""
        seen, found = _Seen(fix, told.time_ms), set()
        if told.made_up:
            found.add(Suspicion.MADE_UP)
        if self._is_frozen(seen):
            found.add(Suspicion.FROZEN)
        if told.antenna == "open":
            found.add(Suspicion.ANTENNA_OPEN)
        strengths = told.strengths
        if len(strengths) >= SPOOF_MIN_SIGNALS and max(strengths) - min(strengths) <= SPOOF_SPREAD_DB:
            found.add(Suspicion.EQUAL_SIGNAL)
        if Suspicion.FROZEN not in found:
            found |= self._against_the_believed(seen)
        self._before = seen
        return replace(fix, suspect=tuple(sorted(found, key=lambda each: each.value))) if found else fix

    def _is_frozen(self, seen: _Seen) -> bool:
        before = self._before
        if before is None:
            return False
        one, other = before.fix, seen.fix
        same_spot = (one.lat, one.lon, one.alt_m) == (other.lat, other.lon, other.alt_m)
        speed_mps = other.speed_mps or 0.0
        if same_spot and speed_mps >= MOVING_MPS:
            self._stood_m += speed_mps * max(self._passed_s(before, seen), 0.0)
        else:
            self._stood_m = 0.0
        self._repeats = self._repeats + 1 if _between_s(before, seen) == 0.0 else 0
        return self._stood_m >= FROZEN_M or self._repeats >= FROZEN_TIMES

    def _against_the_believed(self, seen: _Seen) -> set[Suspicion]:
        found = self._contradictions(self._believed, seen)
        if found and not (self._doubted and not self._contradictions(self._doubted[-1], seen)):
            self._doubted = [seen]
        elif found and seen.fix.taken_s - self._doubted[0].fix.taken_s < SETTLED_S:
            self._doubted = [self._doubted[0], seen]
        else:
            self._believed, self._doubted = seen, []
            found = set()
        return found

    def _contradictions(self, earlier: _Seen | None, later: _Seen) -> set[Suspicion]:
        """What cannot be of two fixes, if both were true."""
        if earlier is None:
            return set()
        found = set()
        between_s = _between_s(earlier, later)
        if between_s is not None and between_s < -BACKWARDS_S:
            found.add(Suspicion.TIME_BACKWARDS)
        slack_m = SLACK_M + (earlier.fix.accuracy_m or 0.0) + (later.fix.accuracy_m or 0.0)
        if distance_m(earlier.fix, later.fix) > slack_m + MAX_SPEED_MPS * max(self._passed_s(earlier, later), 0.0):
            found.add(Suspicion.JUMP)
        return found

    def _passed_s(self, earlier: _Seen, later: _Seen) -> float:
        """How long it was from one fix to the other: by our clock, or by the receiver's, where that says more."""
        seconds = later.fix.taken_s - earlier.fix.taken_s
        between_s = _between_s(earlier, later)
        return seconds if between_s is None else min(max(seconds, between_s), seconds + self._lead_s)


def _between_s(earlier: _Seen, later: _Seen) -> float | None:
    """How long it was by the receiver's clock; None where that is not known."""
    if earlier.fix.time is not None and later.fix.time is not None:
        return (later.fix.time - earlier.fix.time).total_seconds()
    if earlier.time_ms is None or later.time_ms is None:
        return None
    return ((later.time_ms - earlier.time_ms + UNDATED_BACK_MS) % DAY_MS - UNDATED_BACK_MS) / 1000
