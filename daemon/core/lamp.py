"""What the LED shows, as levels over time. Pure: `now` is the monotonic clock in seconds."""

from enum import Enum

FLASH_S, DARK_S = 0.2, 0.8
"""Of a flashing lamp, so long lit and so long dark: told from a steady one at a glance."""


class Light(Enum):
    """What there is to be shown."""

    OFF = "off"
    ARMED = "steady"
    PRECISE = "flashing"
    """The position is recorded as precisely as it is known."""


class Lamp:
    """Shows one thing at a time."""

    def __init__(self) -> None:
        self.shows = Light.OFF
        self._since_s = 0.0

    def show(self, light: Light, now: float) -> None:
        """Show this from now on."""
        if light is not self.shows:
            self.shows, self._since_s = light, now

    def level(self, now: float) -> bool:
        """Whether the LED is lit at `now`."""
        if self.shows is Light.PRECISE:
            return (now - self._since_s) % (FLASH_S + DARK_S) < FLASH_S
        return self.shows is Light.ARMED

    def next_due(self, now: float) -> float | None:
        """When `level` changes next; None for never."""
        if self.shows is not Light.PRECISE:
            return None
        rounds, into_s = divmod(now - self._since_s, FLASH_S + DARK_S)
        began_s = self._since_s + rounds * (FLASH_S + DARK_S)
        return began_s + (FLASH_S if into_s < FLASH_S else FLASH_S + DARK_S)
