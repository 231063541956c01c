"""A device that is not armed: what is felt of its button, and shown of why.

There is nothing that it could sign or send with, so it never says *stored*; and it is no silent dead button either:
whoever presses feels *no way out* at once, and so does whoever holds it when it starts.
"""

import asyncio
from collections.abc import Sequence

from bondmate.changes import Changes
from bondmate.core.feedback import Pattern
from bondmate.core.gesture import Gesture, GestureRecognizer
from bondmate.core.lamp import Lamp, Light
from bondmate.faults import Faults
from bondmate.palm import Palm
from bondmate.ports import Bearer, CellularModem, Indicator
from bondmate.records import DeviceId
from bondmate.supervision import drive

FAULT = "not-armed"


class Unarmed:
    """All methods run in the event loop; times are the loop's, which is monotonic."""

    def __init__(
        self, hold_s: float, gestures: Sequence[frozenset[Gesture]], indicator: Indicator, faults: Faults
    ) -> None:
        """`gestures` are those that would call, for each button."""
        self.faults = faults
        self.changes = Changes()
        """Of what is shown."""
        self.device: DeviceId | None = None
        """Who it is going to be, where that is known."""
        self.bearers: Sequence[Bearer] = ()
        self.modem: CellularModem | None = None
        """Both only while it is being enrolled."""
        self.why = ""
        """In words; empty before the first report."""
        self.covert = indicator.covert
        self._indicator = indicator
        self._now = asyncio.get_running_loop().time
        self.started_s = self._now()
        self._palm = Palm(indicator, lambda _: None)
        self._lamp = Lamp()
        self._recognizers = [GestureRecognizer(hold_s, meant) for meant in gestures]
        self._touched = asyncio.Event()

    def report(self, text: str, next_step: str) -> None:
        """Why it is not armed, and what to do next."""
        self.why = text
        self.faults.report(FAULT, text, next_step, None)
        self.changes.tell()

    def on_edge(self, button: int, down: bool, at: float, from_start: bool = False) -> None:
        """An edge of a button, counted from 0; `from_start`: it was down already when its pin was wired."""
        self._answer(self._recognizers[button].edge(down, at, from_start=from_start))
        self._touched.set()

    async def run(self) -> None:
        """Feel and show, until cancelled."""
        self._lamp.show(Light.NOT_ARMED, self._now())
        self._palm.play(Pattern.NO_WAY_OUT)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(drive(self._palm.wake, self._palm.step))
                group.create_task(drive(self._touched, self._step_buttons))
                group.create_task(drive(asyncio.Event(), self._step_lamp))
        finally:
            self._indicator.vibrate(False)
            self._indicator.light(False)

    def _step_buttons(self, now: float) -> float | None:
        for recognizer in self._recognizers:
            self._answer(recognizer.poll(now))
        return min((due for each in self._recognizers if (due := each.next_due()) is not None), default=None)

    def _step_lamp(self, now: float) -> float | None:
        self._indicator.light(self._lamp.level(now))
        return self._lamp.next_due(now)

    def _answer(self, gestures: Sequence[Gesture]) -> None:
        for _ in gestures:
            self._palm.play(Pattern.NO_WAY_OUT)
