"""Contacts that change seldom: a case that is shut or open, a supply that is there or not, a device that lies.

Wired to ground with a pull-up: closed is low, and a wire that was torn off reads as open. They are looked at again and
again, and not listened to: no thread, and no storm of edges from a contact that chatters.
"""

import asyncio
import logging
from collections.abc import Callable

import gpiozero
from gpiozero.pins import Factory

from bondmate.drivers.pins import claiming
from bondmate.errors import LocalError

log = logging.getLogger(__name__)

STABLE_S = 0.05
"""A change counts after so long without another: relays and reeds bounce for less than 10 ms."""
LOOK_S = 0.2
"""How often a contact at rest is looked at: soon enough for a supply whose capacitors hold for a second."""
LOOK_CLOSER_S = 0.01
"""How often one that has just changed is."""


class Contact:
    """Calls `on_change(closed, the loop's time)` in the event loop: at once with how it is, then at each change.

    Keep it until `close`. A pin that can be read no more changes nothing, and is logged once.
    """

    def __init__(self, factory: Factory, pin: int, on_change: Callable[[bool, float], None], what: str) -> None:
        """`what` it is, for LocalError, which is raised when the pin cannot be had."""
        self._loop = asyncio.get_running_loop()
        self._on_change = on_change
        self._what, self._pin = what, pin
        with claiming(what, pin):
            self._input = gpiozero.DigitalInputDevice(pin, pull_up=True, bounce_time=None, pin_factory=factory)
        self.is_closed = self._read()
        """As it was told last."""
        self._fails = False
        self._changed_at: float | None = None
        """When it was seen changed first, while that does not count yet."""
        on_change(self.is_closed, self._loop.time())
        self._next = self._loop.call_later(LOOK_S, self._look)

    def close(self) -> None:
        """Look no more, and let go of the pin."""
        self._next.cancel()
        self._input.close()

    def _read(self) -> bool:
        with claiming(self._what, self._pin):
            return bool(self._input.is_active)

    def _look(self) -> None:
        now = self._loop.time()
        try:
            changed = self._read() is not self.is_closed
            self._fails = False
        except LocalError as error:
            if not self._fails:
                log.error("%s", error)  # noqa: TRY400 - no bug of ours
            changed, self._fails = False, True
        if not changed:
            self._changed_at = None
        elif self._changed_at is None:
            self._changed_at = now
        elif now >= self._changed_at + STABLE_S:
            self.is_closed, self._changed_at = not self.is_closed, None
            self._on_change(self.is_closed, now)
        self._next = self._loop.call_later(LOOK_S if self._changed_at is None else LOOK_CLOSER_S, self._look)
