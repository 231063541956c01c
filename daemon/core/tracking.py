"""What is recorded of where the device is, and when. Pure: times are the monotonic clock's, in seconds.

Off duty nothing is: the receiver sleeps. On duty it is coarse presence, seldom. While an alert is open it is the
position, as precise as it is known. Who may end a shift or an alert is not decided here.
"""

import math
from collections import deque
from dataclasses import dataclass, replace
from enum import Enum

from bondmate.core.geo import EARTH_RADIUS_M, distance_m
from bondmate.records import Fix

UNITS = 10_000_000
"""A degree has so many units on the wire (docs/protocol.md, section 3)."""
LATE_S = 0.2
"""A fix may come so much before its turn and take it: of fixes once a second, every fifth is not exactly 5 s later."""
MOVED_M = 50.0
"""Large movement: a car in a town goes so far in 4 s. A walker needs half a minute, and is told of by the interval."""
LEAST_S = 1.0
"""However fast the device moves, positions are no closer together."""
EARLIER = 2
"""So many positions from before a press follow it, as in eCall (EN 15722, recent vehicle locations)."""


@dataclass(frozen=True, slots=True)
class TrackingPolicy:
    """How often, and how precisely."""

    alert_interval_s: float = 5.0
    """Between two positions of an open alert."""
    presence_interval_s: float = 300.0
    """Between two presences of a shift."""
    presence_bits: int = 16
    """So many of the lowest bits of latitude and longitude are dropped: 16 leave cells of 729 m from north to south."""

    @property
    def cell_m(self) -> float:
        """The side of a presence's cell from north to south, in metres; from east to west it is at most as long."""
        return math.radians((1 << self.presence_bits) / UNITS) * EARTH_RADIUS_M


class Record(Enum):
    """What a fix is recorded as."""

    POSITION = "position"
    PRESENCE = "presence"


class Tracking:
    """Feed it every fix; it says which of them are recorded, and as what."""

    def __init__(self, policy: TrackingPolicy) -> None:
        self.policy = policy
        self.on_duty = False
        self.alert_open = False
        self.fix: Fix | None = None
        """The last fix, for the record of a press; None when none may be known."""
        self._earlier: deque[Fix] = deque(maxlen=EARLIER + 1)
        """Fixes before the last one, an alert's interval apart from each other; one more than an alert tells, for the
        newest may be too close to the press."""
        self._recorded: Fix | None = None
        """The last position that was recorded of the open alert."""
        self._presence_due_s = -math.inf

    @property
    def wants_receiver(self) -> bool:
        """Whether the receiver is needed."""
        return self.on_duty or self.alert_open

    def set_duty(self, on: bool) -> None:
        """A shift begins, or ends."""
        self.on_duty = on
        self._presence_due_s = -math.inf
        self._forget()

    def open_alert(self) -> tuple[Fix, ...]:
        """An alert is raised, or goes on after a restart; the positions from before it, the newest first."""
        self.alert_open, self._recorded = True, None
        apart_s = self.policy.alert_interval_s - LATE_S
        told = [each for each in self._earlier if self.fix is not None and self.fix.taken_s - each.taken_s >= apart_s]
        return tuple(reversed(told[-EARLIER:]))

    def close_alert(self) -> None:
        """No alert is open any more."""
        self.alert_open = False
        self._forget()

    def recall(self, fix: Fix) -> None:
        """The last position of an open alert is known again after a restart, unless there is a newer one."""
        if self.alert_open and self.fix is None:
            self.fix = fix

    def on_fix(self, fix: Fix, *, dated: bool) -> Record | None:
        """A new fix; as what it is to be recorded, if at all. `dated`: UTC is known.

        A presence without a date is of no use. And the first shift of a session may be one that ended long ago, which
        only UTC can tell.
        """
        if not self.wants_receiver:
            return None
        self._remember(fix)
        if self.alert_open:
            return Record.POSITION if self._is_position(fix) else None
        if not dated or fix.taken_s < self._presence_due_s - LATE_S:
            return None
        self._presence_due_s = max(self._presence_due_s, fix.taken_s - LATE_S) + self.policy.presence_interval_s
        return Record.PRESENCE

    def coarse(self, fix: Fix) -> Fix:
        """What a presence says of a fix: the middle of its cell, and how far off that is at most."""
        half = 1 << self.policy.presence_bits >> 1
        lat, lon = (
            max(-limit, min(round(degrees * UNITS) & ~(2 * half - 1) | half, limit)) / UNITS
            for degrees, limit in ((fix.lat, 90 * UNITS), (fix.lon, 180 * UNITS))
        )
        accuracy_m = math.hypot(self.policy.cell_m, self.policy.cell_m) / 2
        return replace(Fix(taken_s=fix.taken_s, lat=lat, lon=lon, mode=2), accuracy_m=accuracy_m, suspect=fix.suspect)

    def _is_position(self, fix: Fix) -> bool:
        last = self._recorded
        if last is not None:
            passed_s = fix.taken_s - last.taken_s
            moved = passed_s >= LEAST_S - LATE_S and distance_m(last, fix) >= MOVED_M
            if passed_s < self.policy.alert_interval_s - LATE_S and not moved:
                return False
        self._recorded = fix
        return True

    def _remember(self, fix: Fix) -> None:
        before = self.fix
        self.fix = fix
        apart_s = self.policy.alert_interval_s
        if before is not None and (not self._earlier or before.taken_s - self._earlier[-1].taken_s >= apart_s):
            self._earlier.append(before)

    def _forget(self) -> None:
        if not self.wants_receiver:
            self.fix, self._recorded = None, None
            self._earlier.clear()
