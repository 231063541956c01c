"""The buttons: what a finger says on them, and what the device does then. What gestures are is core/gesture's."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from bondmate.calls import Calls
from bondmate.core.gesture import Gesture, GestureRecognizer
from bondmate.records import How, Kind

log = logging.getLogger(__name__)


class Buttons:
    """All methods run in the event loop; times are the loop's."""

    def __init__(
        self,
        hold_s: float,
        gestures: Sequence[Mapping[Gesture, Kind]],
        cancel: Gesture | None,
        calls: Calls,
        call: Callable[[Kind], object],
        cancelled: Callable[[], None],
        goes_on: Callable[[bytes], None],
    ) -> None:
        """`gestures` say for each button what is called; `cancel` on the first one takes an alert back.

        `goes_on` tells whoever holds it through a restart that the alert with this digest is stored.
        """
        self._gestures = gestures
        self._cancel = cancel
        self._calls = calls
        self._call = call
        self._cancelled = cancelled
        self._goes_on = goes_on
        also = frozenset() if cancel is None else frozenset({cancel})
        self._recognizers = [
            GestureRecognizer(hold_s, frozenset(meant) | (frozenset() if number else also))
            for number, meant in enumerate(gestures)
        ]
        self.wake = asyncio.Event()
        """Set when `step` has something to look at."""

    def on_edge(self, button: int, down: bool, at: float, from_start: bool = False) -> None:
        """An edge of a button, counted from 0; `from_start`: it was down already when its pin was wired."""
        for gesture in self._recognizers[button].edge(down, at, from_start=from_start):
            self._on_gesture(button, gesture)
        self.wake.set()

    def step(self, now: float) -> float | None:
        """Let time pass; when there is something to look at again, if no edge comes before."""
        for button, recognizer in enumerate(self._recognizers):
            for gesture in recognizer.poll(now):
                self._on_gesture(button, gesture)
        return min((due for each in self._recognizers if (due := each.next_due()) is not None), default=None)

    @property
    def is_touched(self) -> bool:
        """Whether something may come of a press that is under way, or was just now; not where a button is stuck."""
        return any(recognizer.next_due() is not None for recognizer in self._recognizers)

    def is_stuck(self, now: float) -> bool:
        """Whether one has been down for so long that nobody holds it."""
        return any(recognizer.is_stuck(now) for recognizer in self._recognizers)

    def _on_gesture(self, button: int, gesture: Gesture) -> None:
        alert = self._calls.alert
        if button == 0 and gesture is self._cancel:
            if alert is not None and alert.cancellable(asyncio.get_running_loop().time()):
                self._calls.cancel(How.GESTURE)
                self._cancelled()
            return
        kind = self._gestures[button].get(gesture)
        if kind is None:
            return
        if self._recognizers[button].held_from_start and alert is not None and alert.is_open and alert.resumed:
            log.warning("button %d was held through a restart: its alert goes on, and is not raised again", button)
            self._goes_on(alert.record.digest)
            return
        self._call(kind)
