"""What a battery's readings mean: low, critical, well again. Pure, and without time: readings come when they come."""

from dataclasses import dataclass
from enum import Enum

LOW_PERCENT, CRITICAL_PERCENT = 15, 5
"""At 15 % a device that lasts a shift has an hour or two. At 5 % it may go off at the next transmission."""
HYSTERESIS_PERCENT = 3
"""A reading wavers by a percent or two as the load does."""


class Level(Enum):
    """How it is; NORMAL also where nobody knows."""

    NORMAL = "normal"
    LOW = "low"
    CRITICAL = "critical"


class BatteryEvent(Enum):
    """What changed."""

    LOW = "low"
    CRITICAL = "critical"
    RECOVERED = "recovered"
    """Neither low nor critical any more: it is charged, or was."""
    CHARGING = "charging"
    DISCHARGING = "discharging"


@dataclass(frozen=True, slots=True)
class Reading:
    """What a battery says of itself; None where it says nothing."""

    percent: int | None
    charging: bool | None


class BatteryWatch:
    """Told every reading, says what changed.

    A level gets worse at its threshold, and better only as a whole: by a charger, or well above *low*. So each is told
    once, however the readings waver. What is unknown changes nothing.
    """

    def __init__(self) -> None:
        self._level = Level.NORMAL
        self._charging: bool | None = None

    @property
    def level(self) -> Level:
        """By the last readings."""
        return self._level

    def on_reading(self, reading: Reading) -> tuple[BatteryEvent, ...]:
        """What this reading changes; a charger that is there from the beginning is no change."""
        return (*self._charger(reading.charging), *self._charge(reading.percent))

    def _charger(self, charging: bool | None) -> tuple[BatteryEvent, ...]:
        before = self._charging
        self._charging = before if charging is None else charging
        if charging is None or before is None or charging is before:
            return ()
        return (BatteryEvent.CHARGING if charging else BatteryEvent.DISCHARGING,)

    def _charge(self, percent: int | None) -> tuple[BatteryEvent, ...]:
        before = self._level
        if self._charging or (percent is not None and percent > LOW_PERCENT + HYSTERESIS_PERCENT):
            self._level = Level.NORMAL
            return () if before is Level.NORMAL else (BatteryEvent.RECOVERED,)
        if percent is None:
            return ()
        if percent <= CRITICAL_PERCENT and before is not Level.CRITICAL:
            self._level = Level.CRITICAL
            return (BatteryEvent.CRITICAL,)
        if percent <= LOW_PERCENT and before is Level.NORMAL:
            self._level = Level.LOW
            return (BatteryEvent.LOW,)
        return ()
