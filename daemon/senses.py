"""What the device senses of itself: its battery, its case, its power, and that it lies as nobody carries it.

When that means something is the cores' business; this says it: as a call, a fault, or to the palm.
"""

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Any

from bondmate.core.battery import BatteryEvent, BatteryWatch, Level, Reading
from bondmate.core.man_down import ManDown, ManDownEvent
from bondmate.faults import Faults
from bondmate.records import Kind, UtcTime, unix_ms

log = logging.getLogger(__name__)

REARM_S = 600.0
"""So long the case has to rest before it is opened anew: a loose contact is a fault, and no storm of alerts."""


class Senses:
    """All methods run in the event loop; times are the loop's."""

    def __init__(
        self,
        man_down: ManDown,
        faults: Faults,
        call: Callable[[Kind], object],
        attention: Callable[[], None],
        last_words: Callable[[], None],
        utc: Callable[[float], UtcTime | None],
        changed: Callable[[], None],
    ) -> None:
        """`call` raises an alert of a kind; `last_words` has the position told once more."""
        self._man_down = man_down
        self._faults = faults
        self._call = call
        self._attention = attention
        self._last_words = last_words
        self._utc = utc
        self._changed = changed
        self._now = asyncio.get_running_loop().time
        self._battery = BatteryWatch()
        self.reading = Reading(None, None)
        """Of the battery, the last."""
        self._shut: bool | None = None
        self._moved_s = -math.inf
        """When the case was opened or shut last."""

    # --- inputs ----------------------------------------------------------------------------------------

    def on_case(self, shut: bool, *, calls: bool) -> None:
        """The case was shut, or opened; `calls`: that is worth an alert, once for a contact that chatters."""
        open_, now = not shut, self._now()
        if open_ and calls and now >= self._moved_s + REARM_S:
            self._call(Kind.TAMPER)
        if self._shut is not None and shut is not self._shut:
            self._moved_s = now
        self._shut = shut
        self._report("case-open", "the case of the device is open" if open_ else None, "close it, and find out why")

    def on_power(self, there: bool, _at: float) -> None:
        """The supply is there, or was cut."""
        self._report("power-cut", None if there else "the supply of the device was cut", "look at cable and supply")

    def on_lying(self, lying: bool, at: float) -> None:
        """It lies as nobody carries it, or is upright again."""
        self._man_down.on_input(lying, at)

    def on_battery(self, percent: int | None, charging: bool | None) -> None:
        """The battery was read; None for what it does not tell."""
        self.reading = Reading(percent, charging)
        for event in self._battery.on_reading(self.reading):
            log.info("battery at %s %%: %s", percent, event.value)
            match event:
                case BatteryEvent.LOW:
                    self._attention()
                case BatteryEvent.CRITICAL:
                    self._attention()
                    self._last_words()
                case BatteryEvent.RECOVERED | BatteryEvent.CHARGING | BatteryEvent.DISCHARGING:
                    pass
        level = self._battery.level
        self._report("battery-low", f"the battery is at {percent} %" if level is Level.LOW else None, "charge it soon")
        text = f"the battery is at {percent} %, and the device will go off"
        self._report("battery-critical", text if level is Level.CRITICAL else None, "charge it now")
        self._changed()

    # --- what follows from them --------------------------------------------------------------------------

    def step(self, now: float) -> float | None:
        """What happens by itself; when there is something next."""
        match self._man_down.poll(now):
            case ManDownEvent.COUNTDOWN | ManDownEvent.FELT:
                self._attention()
                self._changed()
            case ManDownEvent.DOWN:
                self._call(Kind.MAN_DOWN)
            case None:
                pass
        return self._man_down.next_due()

    def battery_json(self) -> dict[str, Any] | None:
        """As in `bondmatectl status --json`; None where it is not known."""
        if self.reading.percent is None:
            return None
        return {"percent": self.reading.percent, "charging": self.reading.charging}

    def countdown_json(self, now: float) -> dict[str, Any] | None:
        """The countdown to an alert that the device raises by itself; None while there is none."""
        ends_s = self._man_down.ends_s
        return None if ends_s is None else {"kind": Kind.MAN_DOWN.label, "in_s": round(ends_s - now, 3)}

    def _report(self, code: str, text: str | None, next_step: str) -> None:
        self._faults.report(code, text, next_step, unix_ms(self._utc(self._now())))
