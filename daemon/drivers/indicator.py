"""The vibration motor and the LED, as two output pins."""

from gpiozero import DigitalOutputDevice
from gpiozero.pins import Factory

from bondmate.drivers.pins import claiming


class PinIndicator:
    """Implements ports.Indicator; covert means that the LED stays dark, whatever is asked."""

    def __init__(self, factory: Factory, vibration_pin: int, led_pin: int, *, covert: bool) -> None:
        with claiming("the vibration motor", vibration_pin):
            self._motor = DigitalOutputDevice(vibration_pin, pin_factory=factory)
        with claiming("the LED", led_pin):
            self._led = DigitalOutputDevice(led_pin, pin_factory=factory)
        self.covert = covert
        """See ports.Indicator."""

    def vibrate(self, on: bool) -> None:
        """See ports.Indicator."""
        self._motor.value = on

    def light(self, on: bool) -> None:
        """See ports.Indicator."""
        self._led.value = on and not self.covert

    def close(self) -> None:
        """Both off, and let go of the pins."""
        self._motor.close()
        self._led.close()
