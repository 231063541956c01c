"""What the device is there for now: duty, an alert, a check-in, an exercise, and who has to know when that changes.

Decides nothing of them; says what the LED shows of it all.
"""

from collections.abc import Callable
from dataclasses import dataclass

from bondmate.calls import Calls
from bondmate.check_in import CheckInKeeper
from bondmate.condition import Condition
from bondmate.core.delivery import Delivery
from bondmate.core.lamp import Light
from bondmate.duty import DutyKeeper
from bondmate.exercises import ExerciseKeeper
from bondmate.mailbox import Mailbox
from bondmate.selftest import SelfTester
from bondmate.senses import Senses
from bondmate.tracker import Tracker


@dataclass(slots=True, kw_only=True)
class Regime:
    """All methods run in the event loop; times are the loop's."""

    duty: DutyKeeper
    calls: Calls
    check_in: CheckInKeeper
    exercise: ExerciseKeeper
    condition: Condition
    delivery: Delivery
    mailbox: Mailbox
    selftest: SelfTester
    senses: Senses
    tracker: Tracker
    changed: Callable[[], None]
    """Called at the end, for whoever else looks at any of it."""
    is_armed: bool = False
    lies: bool = False
    """The device lies as nobody carries it."""

    def follow(self, now: float) -> None:
        """Duty, an alert or a check-in began, changed or ended."""
        on_duty, alert = self.duty.is_on, self.calls.alert
        if on_duty != self.tracker.tracking.on_duty:
            self.tracker.set_duty(on_duty)
        alert_open = self.tracker.tracking.alert_open
        if alert_open:
            self.selftest.alert_opened()
        self.delivery.regime(on_duty=on_duty, alert_open=alert_open)
        # off duty a device that lies is one that was put down
        carried = on_duty or alert_open or self.check_in.is_running
        self.senses.on_lying(self.lies and carried, now)
        self.tracker.show(self._light(), now)
        self.mailbox.regime(
            on_duty=on_duty, alert_open=alert_open, acknowledged=alert is not None and alert.is_acknowledged
        )
        self.changed()

    def _light(self) -> Light:
        alert = self.calls.alert
        if not self.is_armed or not self.condition.resumption.is_over:
            return Light.OFF
        if self.tracker.tracking.alert_open:
            return Light.ACKNOWLEDGED if alert is not None and alert.is_acknowledged else Light.PRECISE
        if self.selftest.light is not None:
            return self.selftest.light
        if not self.condition.is_whole:
            return Light.NOT_ARMED
        return Light.EXERCISE if self.exercise.is_active else Light.ARMED
