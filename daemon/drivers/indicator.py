"""The vibration motor and the LED, as two output pins."""

from gpiozero import DigitalOutputDevice
from gpiozero.pins import Factory


class PinIndicator:
    """Implements ports.Indicator; covert means that the LED stays dark, whatever is asked."""

    def __init__(self, factory: Factory, vibration_pin: int, led_pin: int, *, covert: bool) -> None:
        self._motor = DigitalOutputDevice(vibration_pin, pin_factory=factory)
        self._led = DigitalOutputDevice(led_pin, pin_factory=factory)
        self._covert = covert

    def vibrate(self, on: bool) -> None:
        """See ports.Indicator."""
        self._motor.value = on

    def light(self, on: bool) -> None:
        """See ports.Indicator."""
        self._led.value = on and not self._covert

    def close(self) -> None:
        """Both off, and let go of the pins."""
        self._motor.close()
        self._led.close()
