"""The alert button: edges of a pin, brought into the event loop with their times.

Wired to ground with a pull-up: pressed is low. What a press means is core.gesture's business.
"""

import asyncio
import contextlib
from collections.abc import Callable
from time import monotonic

from gpiozero import Button
from gpiozero.pins import Factory

from bondmate.drivers.pins import claiming


class PanicButton:
    """Calls `on_edge(down, monotonic seconds)` in the event loop for every edge, bounces included.

    Keep it: gpiozero lets go of the pin of a button that nobody refers to.
    """

    def __init__(self, factory: Factory, pin: int, on_edge: Callable[[bool, float], None]) -> None:
        """A button that is down already counts as pressed from now: the pin is read after it was wired."""
        loop = asyncio.get_running_loop()

        # gpiozero calls these in its own threads, and a raising callback would end such a thread for good:
        # they only hand over. After the loop has closed there is nobody to hand over to
        def edge(down: bool) -> None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(on_edge, down, monotonic())

        # bounce_time would mean "stable that long" to some factories, and a short press would vanish
        self._pin = pin
        with claiming("the button", pin):
            self._button = Button(pin, pull_up=True, bounce_time=None, pin_factory=factory)
            self._button.when_pressed = lambda: edge(True)
            self._button.when_released = lambda: edge(False)
        if self.is_pressed:
            on_edge(True, monotonic())

    @property
    def is_pressed(self) -> bool:
        """Whether the contact is closed now. Raises LocalError when the pin cannot be read: then the button is dead."""
        with claiming("the button", self._pin):
            return bool(self._button.is_pressed)

    def close(self) -> None:
        """Let go of the pin."""
        self._button.close()
