"""A button: edges of a pin, brought into the event loop with their times.

Wired to ground with a pull-up: pressed is low. What a press means is core.gesture's business.
"""

import asyncio
import contextlib
from collections.abc import Callable
from time import monotonic

from gpiozero import InputDevice
from gpiozero.pins import Factory

from bondmate.drivers.pins import claiming

MAX_LATE_S = 1.0
"""An edge that seems to have waited longer was timed by another clock than ours: kernels before 5.7 give UTC."""


class Button:
    """Calls `on_edge(down, monotonic seconds, from_start)` in the event loop for every edge, bounces included.

    `from_start` is true of one call at most: the button was down when it was wired, and nobody knows since when.
    Keep it: gpiozero lets go of the pin of a button that nobody refers to.
    """

    def __init__(
        self, factory: Factory, pin: int, on_edge: Callable[[bool, float, bool], None], what: str = "the button"
    ) -> None:
        """`what` it is, for LocalError, which is raised when the pin cannot be had."""
        self._loop = asyncio.get_running_loop()
        self._on_edge = on_edge
        self._what, self._pin = what, pin
        with claiming(what, pin):
            self._input = InputDevice(pin, pull_up=True, pin_factory=factory)
            # a time would mean "stable that long" to some factories, and a short press would vanish
            self._input.pin.bounce = None
            self._input.pin.edges = "both"
            # and not gpiozero's own events: they do not tell when an edge was
            self._input.pin.when_changed = self._changed
        if self.is_pressed:
            on_edge(True, monotonic(), True)

    @property
    def is_pressed(self) -> bool:
        """Whether the contact is closed now. Raises LocalError when the pin cannot be read: then the button is dead."""
        with claiming(self._what, self._pin):
            return bool(self._input.is_active)

    def close(self) -> None:
        """Let go of the pin."""
        self._input.close()

    def _changed(self, ticks: float, level: int) -> None:
        """An edge. gpiozero calls this in its own thread, which an error would end for good: it only hands over."""
        # on a busy machine it comes late: by the time of now, two taps could be one hold, or two holds one
        now = monotonic()
        at = ticks if now - MAX_LATE_S <= ticks <= now else now
        with contextlib.suppress(RuntimeError):  # after the loop has closed there is nobody to hand over to
            self._loop.call_soon_threadsafe(self._on_edge, level == 0, at, False)
