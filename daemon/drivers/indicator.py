"""The vibration motor, the LED and, where there is one, the buzzer, as output pins.

A line that does not work is told as a fault, and nothing more: an alert does not need it. Each is read back behind each
change, which on the chips of a Raspberry Pi gives the level of the pin itself: a short circuit shows.
"""

from gpiozero import DigitalOutputDevice
from gpiozero.pins import Factory

from bondmate.drivers.pins import claiming
from bondmate.errors import LocalError
from bondmate.ports import PartFault

MOTOR, LED, BUZZER = "vibration", "led", "buzzer"
"""The codes of their faults."""


class PinIndicator:
    """Implements ports.Indicator; covert means that the LED stays dark and the buzzer silent, whatever is asked.

    But for a LED that is being tested: whoever asked for that wants to see it.
    """

    def __init__(
        self, factory: Factory, vibration_pin: int, led_pin: int, buzzer_pin: int | None = None, *, covert: bool
    ) -> None:
        """Raises LocalError for a pin that cannot be had."""
        self._covert = covert
        self._vibrates = self._lit = self._is_tested = False
        """What is asked for, covert or not."""
        self._motor = _Output(factory, MOTOR, "the vibration motor", vibration_pin)
        self._led = _Output(factory, LED, "the LED", led_pin)
        self._buzzer = None if buzzer_pin is None else _Output(factory, BUZZER, "the buzzer", buzzer_pin)

    @property
    def covert(self) -> bool:
        """See ports.Indicator; both obey at once."""
        return self._covert

    @covert.setter
    def covert(self, covert: bool) -> None:
        self._covert = covert
        self._show()
        self._sound()

    def vibrate(self, on: bool) -> None:
        """See ports.Indicator."""
        self._vibrates = on
        # first, for it is what the officer feels
        self._motor.drive(on)
        self._sound()

    def light(self, on: bool, *, tested: bool = False) -> None:
        """See ports.Indicator."""
        self._lit, self._is_tested = on, tested
        self._show()

    def faults(self) -> tuple[PartFault, ...]:
        """See ports.Part."""
        outputs = (self._motor, self._led, self._buzzer)
        return tuple(each.fault for each in outputs if each is not None and each.fault is not None)

    def close(self) -> None:
        """All off, and let go of the pins."""
        self._motor.close()
        self._led.close()
        if self._buzzer is not None:
            self._buzzer.close()

    def _show(self) -> None:
        self._led.drive(self._lit and (self._is_tested or not self._covert))

    def _sound(self) -> None:
        if self._buzzer is not None:
            self._buzzer.drive(self._vibrates and not self._covert)


class _Output:
    """One line."""

    def __init__(self, factory: Factory, code: str, what: str, pin: int) -> None:
        self.fault: PartFault | None = None
        """What was wrong with it when it was driven last."""
        self._code, self._what, self._pin = code, what, pin
        with claiming(what, pin):
            self._device = DigitalOutputDevice(pin, pin_factory=factory)

    def drive(self, on: bool) -> None:
        try:
            with claiming(self._what, self._pin):
                self._device.value = on
                follows = bool(self._device.value) is on
        except LocalError as error:
            self._fault(str(error))
            return
        stuck = f"{self._what} at pin {self._pin} stays {_level(not on)} when it is driven {_level(on)}"
        self._fault(None if follows else stuck)

    def close(self) -> None:
        self._device.close()

    def _fault(self, text: str | None) -> None:
        next_step = f"check the wiring of {self._what} for a short circuit, and its pin in [gpio]"
        self.fault = None if text is None else PartFault(self._code, text, next_step)


def _level(on: bool) -> str:
    return "high" if on else "low"
