"""The vibration motor, the LED and, where there is one, the buzzer, as output pins."""

from gpiozero import DigitalOutputDevice
from gpiozero.pins import Factory

from bondmate.drivers.pins import claiming


class PinIndicator:
    """Implements ports.Indicator; covert means that the LED stays dark and the buzzer silent, whatever is asked."""

    def __init__(
        self, factory: Factory, vibration_pin: int, led_pin: int, buzzer_pin: int | None = None, *, covert: bool
    ) -> None:
        """Raises LocalError for a pin that cannot be had."""
        self._covert = covert
        self._vibrates = self._lit = False
        """What is asked for, covert or not."""
        with claiming("the vibration motor", vibration_pin):
            self._motor = DigitalOutputDevice(vibration_pin, pin_factory=factory)
        with claiming("the LED", led_pin):
            self._led = DigitalOutputDevice(led_pin, pin_factory=factory)
        self._buzzer: DigitalOutputDevice | None = None
        if buzzer_pin is not None:
            with claiming("the buzzer", buzzer_pin):
                self._buzzer = DigitalOutputDevice(buzzer_pin, pin_factory=factory)

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
        self._motor.value = on
        self._sound()

    def light(self, on: bool) -> None:
        """See ports.Indicator."""
        self._lit = on
        self._show()

    def close(self) -> None:
        """All off, and let go of the pins."""
        self._motor.close()
        self._led.close()
        if self._buzzer is not None:
            self._buzzer.close()

    def _show(self) -> None:
        self._led.value = self._lit and not self._covert

    def _sound(self) -> None:
        if self._buzzer is not None:
            self._buzzer.value = self._vibrates and not self._covert
