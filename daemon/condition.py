"""How the device is, on the whole: whether it is to be relied on, and whether anything may be begun that can wait.

Holds no state of its own.
"""

from dataclasses import dataclass

from bondmate.check_in import CheckInKeeper
from bondmate.core.tracking import Tracking
from bondmate.core.updating import Situation
from bondmate.duty import DutyKeeper
from bondmate.keeping import Keeper
from bondmate.parts import Parts
from bondmate.records import Stream
from bondmate.resuming import Resumption
from bondmate.senses import Senses

DEGRADING = ("store", "reserve", "configuration", "button-stuck")
"""Faults that touch the way of an alert: with one of them the device is not to be relied on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Looks at the parts of one device."""

    parts: Parts
    keeper: Keeper
    duty: DutyKeeper
    tracking: Tracking
    check_in: CheckInKeeper
    senses: Senses
    resumption: Resumption

    @property
    def is_whole(self) -> bool:
        """Whether nothing is known that touches the way of an alert."""
        return not any(code in self.parts.faults for code in DEGRADING)

    @property
    def unwell(self) -> str | None:
        """Why it is not as a new software has to make it (docs/updates.md); None: it is, as far as is known."""
        if not self.resumption.is_over:
            return "what an earlier session left is not known yet"
        faults = self.parts.faults.to_json()
        return next((fault["text"] for fault in faults if fault["code"] in ("store", "configuration")), None)

    @property
    def is_urgent(self) -> bool | None:
        """An alert is open, or a call has no receipt: nothing that can wait begins. None: an earlier one may be."""
        if self.tracking.alert_open or self.keeper.waiting()[Stream.ALERT] > 0:
            return True
        return False if self.resumption.is_over else None

    @property
    def has_reached_gateway(self) -> bool:
        """Whether the gateway answered in this session, over whatever bearer."""
        return any(bearer.last_success_s is not None for bearer in self.parts.bearers)

    def situation(self) -> Situation:
        """As far as updates are concerned."""
        battery = self.senses.reading
        return Situation(
            known=self.resumption.is_over,
            alert_open=self.tracking.alert_open,
            undelivered=self.keeper.waiting()[Stream.ALERT],
            in_use=self.duty.is_on or self.check_in.is_running,
            charging=battery.charging,
            percent=battery.percent,
        )
