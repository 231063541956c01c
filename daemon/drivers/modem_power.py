"""The modem's power key and its supply, as two output pins."""

import asyncio

from gpiozero import DigitalOutputDevice
from gpiozero.pins import Factory

from bondmate.drivers.pins import claiming

PULSE_S = 1.2
"""Quectel: 0.5 s switch EC25 and BG96 on, 0.65 s off; SIMCom: 0.5 s on, 2.5 s off, and less than that is no reset."""
OFF_S = 3.0
"""Until the supply's capacitors are empty."""


class PinModemPower:
    """Implements ports.ModemPower. Both pins are active high: they drive the transistors of the usual boards."""

    def __init__(self, factory: Factory, key_pin: int | None, rail_pin: int | None) -> None:
        """A pin that is None is not there, and what it would do is not done."""
        self._key = None if key_pin is None else self._claim(factory, "the modem's power key", key_pin, on=False)
        self._rail = None if rail_pin is None else self._claim(factory, "the modem's supply", rail_pin, on=True)

    @staticmethod
    def _claim(factory: Factory, what: str, pin: int, *, on: bool) -> DigitalOutputDevice:
        with claiming(what, pin):
            return DigitalOutputDevice(pin, initial_value=on, pin_factory=factory)

    @property
    def has_key(self) -> bool:
        """See ports.ModemPower."""
        return self._key is not None

    @property
    def has_rail(self) -> bool:
        """See ports.ModemPower."""
        return self._rail is not None

    async def pulse_key(self) -> None:
        """See ports.ModemPower."""
        if self._key is not None:
            self._key.on()
            try:
                await asyncio.sleep(PULSE_S)
            finally:
                self._key.off()

    async def cycle_rail(self) -> None:
        """See ports.ModemPower."""
        if self._rail is not None:
            self._rail.off()
            try:
                await asyncio.sleep(OFF_S)
            finally:
                self._rail.on()

    def close(self) -> None:
        """Let go of the pins."""
        for device in (self._key, self._rail):
            if device is not None:
                device.close()
