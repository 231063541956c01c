"""The running device: from an edge of the button to a verified receipt, and what the officer feels of it.

What comes in, what is looked at, and its life; its rooms are made and wired in wiring. Which adapters it has is app's
choice; what crosses the wire is wire's and cose's. Nothing on the way of a press waits for anything but the store's
deadline.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from bondmate.core.alert import Alert
from bondmate.core.feedback import Pattern
from bondmate.core.shift import ShiftEvent
from bondmate.keeping import Listener
from bondmate.letters import Letter
from bondmate.parts import Parts
from bondmate.records import Fix, How, Kind, Stream, UtcTime
from bondmate.settings import Settings
from bondmate.supervision import drive, supervise
from bondmate.wiring import Wiring

log = logging.getLogger(__name__)


class Device:
    """One running device. All methods run in the event loop; times are the loop's, which is monotonic."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        """What the device is made of, to be looked at."""
        self._now = asyncio.get_running_loop().time
        self.started_s = self._now()
        self._rooms = rooms = Wiring(parts)
        self.changes = rooms.changes
        """Of what is shown of the device."""
        self.condition = rooms.condition
        self.duty = rooms.duty
        self.check_in = rooms.check_in
        self.senses = rooms.senses
        self.officer_pin = rooms.officer_pin
        self.mailbox = rooms.mailbox
        self.selftest = rooms.selftest
        self.updates = rooms.updates
        self.over = rooms.ending.over
        """Set when this run has to end, and another one to begin."""

    # --- to be looked at -----------------------------------------------------------------------------

    @property
    def fix(self) -> Fix | None:
        """Where the device is, as far as it may be known now."""
        return self._rooms.tracker.fix

    @property
    def alert(self) -> Alert | None:
        """The newest alert, open or not."""
        return self._rooms.calls.alert

    @property
    def alert_open(self) -> bool:
        """Whether an alert is open."""
        return self._rooms.tracker.tracking.alert_open

    @property
    def exercise_active(self) -> bool:
        """Whether what the officer calls is an exercise now."""
        return self._rooms.exercise.is_active

    @property
    def settings(self) -> Settings:
        """What the officer chose."""
        return self._rooms.settings.current

    async def change_settings(self, *, language: str | None = None, covert: bool | None = None) -> bool:
        """Choose what is given; whether the store has it. LocalError for a language that there is not."""
        return await self._rooms.settings.change(language=language, covert=covert)

    def countdown_json(self, now: float) -> dict[str, Any] | None:
        """To an alert that the device raises by itself; None while there is none."""
        return self.senses.countdown_json(now) or self.check_in.countdown_json(now)

    def message_json(self, letter: Letter) -> dict[str, Any]:
        """A message as in the inbox, with how far away its place is now."""
        return letter.to_json(self.fix)

    def utc(self, now: float) -> UtcTime | None:
        """UTC at `now`, and how sure that is; None while it is unknown."""
        return self._rooms.utc(now)

    def waiting(self) -> dict[Stream, int]:
        """How many records of each stream have no receipt."""
        return self._rooms.keeper.waiting()

    def backlog(self) -> Mapping[Stream, int]:
        """How many of them wait in the store alone, until those in memory are delivered."""
        return self._rooms.keeper.backlog()

    # --- its life --------------------------------------------------------------------------------------

    async def run(self, armed: Callable[[], None]) -> None:
        """Be armed, call `armed`, and drive the cores until cancelled."""
        rooms = self._rooms
        listener = Listener(
            rooms.calls.stored,
            rooms.calls.not_stored,
            rooms.wake["delivery"].set,
            lambda: rooms.group.create_task(rooms.resumption.take_up_alert()),
            lambda: None if rooms.calls.open is None else rooms.calls.open.record,
        )
        steps: dict[str, Callable[[float], float | None]] = {
            "delivery": lambda now: rooms.sender.step(rooms.group, now),
            "duty": self._step_duty,
            "lamp": rooms.tracker.step,
            "calls": rooms.calls.step,
            "check-in": self.check_in.step,
            "senses": self.senses.step,
            "exercise": rooms.exercise.step,
            "wipe": rooms.ending.step_wipe,
            "rekey": lambda now: rooms.ending.step_rekey(rooms.group, now),
        }
        try:
            async with asyncio.TaskGroup() as rooms.group:
                opening = rooms.dates.opening(self._now())
                rooms.obey()
                await rooms.keeper.run(rooms.group, listener, self._settle)
                rooms.keeper.keep(opening)
                rooms.group.create_task(rooms.resumption.take_up_alert())
                states = rooms.group.create_task(rooms.resumption.take_up_states())
                rooms.group.create_task(drive(rooms.palm.wake, rooms.palm.step))
                rooms.group.create_task(drive(rooms.buttons.wake, self._step_buttons))
                rooms.group.create_task(drive(self.selftest.wake, self.selftest.step))
                for core, step in steps.items():
                    rooms.group.create_task(drive(rooms.wake[core], step))
                rooms.group.create_task(rooms.observer.run())
                rooms.group.create_task(self._run_mailbox(states))
                rooms.regime.is_armed = True
                self.selftest.armed()
                rooms.obey()
                log.info("armed: session %s of %s", self.parts.recorder.session, self.parts.recorder.device)
                armed()
        finally:
            self.parts.indicator.vibrate(False)
            self.parts.indicator.light(False)
            await rooms.keeper.finish()

    async def _run_mailbox(self, states: asyncio.Task[None]) -> None:
        """Behind what an earlier session kept, so that no order is older than what is known; but not for ever."""
        await self._rooms.resumption.wait(states, self.parts.store_deadline_s)
        await supervise("mailbox-fetching", self.mailbox.run, self.parts.faults)

    async def _settle(self) -> None:
        """Write what the store does not have yet. Raises StoreError."""
        try:
            await self.duty.settle()
        finally:
            await self._rooms.states.settle()

    # --- what comes in ---------------------------------------------------------------------------

    def on_edge(self, button: int, down: bool, at: float, from_start: bool = False) -> None:
        """An edge of a button, counted from 0; `from_start`: it was down already when its pin was wired."""
        self._rooms.buttons.on_edge(button, down, at, from_start)
        if button == 0:
            self.selftest.on_edge(down, at, from_start=from_start)

    def on_fix(self, fix: Fix) -> None:
        """A new fix of the receiver. One that comes when none may be known is not looked at."""
        rooms, now = self._rooms, self._now()
        if not rooms.tracker.wants_receiver:
            return
        self.selftest.on_fix(fix)
        rooms.dates.on_fix(fix, now)
        if (anchor := rooms.dates.anchor(now)) is not None:
            rooms.keeper.keep(anchor)
            rooms.obey()  # UTC may have told how long the device was without power
        # UTC may just have told that the shift ended while the device was without power
        self._step_duty(now)
        rooms.tracker.on_fix(fix, now, dated=self.utc(now) is not None and self.duty.is_certain)

    def on_case(self, shut: bool, _at: float) -> None:
        """The case was shut, or opened."""
        self.senses.on_case(shut, calls=self.duty.is_on and not self.alert_open)

    def on_lying(self, lying: bool, _at: float) -> None:
        """The device lies as nobody carries it, or is upright again."""
        self._rooms.regime.lies = lying
        self._rooms.obey()

    def raise_alert(self, kind: Kind) -> Alert:
        """Raise an alert, or raise it again; it is stored and sent from here on by itself."""
        return self._rooms.raise_alert(kind)

    def cancel_alert(self, how: How) -> Alert:
        """Take the open alert back; the gateway keeps and shows both. LocalError when none is open."""
        return self._rooms.calls.cancel(how)

    async def set_duty(self, on: bool) -> bool:
        """Begin a shift (anew), or end it; whether the store has it. It takes effect at once, stored or not.

        At its beginning the officer feels whether the device is to be relied on.
        """
        self.duty.set(on)
        self._rooms.obey()
        stored = await self.duty.keep()
        if on:
            self._rooms.palm.play(Pattern.STORED if stored and self.condition.is_whole else Pattern.NO_WAY_OUT)
        return stored

    def take_receipt(self, data: bytes) -> None:
        """A receipt in either form, from whatever bearer. Only what verifies and matches changes anything.

        Raises RemoteError for a receipt that does not verify.
        """
        self._rooms.answers.take(data)

    def wake_up(self) -> None:
        """The gateway wishes to be asked: what waits is tried now, over whatever works, and the mailbox fetched."""
        log.info("woken by the gateway")
        self.mailbox.wake()
        self.reachable(*(bearer.name for bearer in self.parts.bearers))

    def reachable(self, *bearers: str) -> None:
        """These may work again: what waits is tried now."""
        for bearer in bearers:
            self.parts.delivery.reachable(bearer, self._now())
        self._rooms.wake["delivery"].set()

    # --- driving the cores ---------------------------------------------------------------------------

    def _step_buttons(self, now: float) -> float | None:
        buttons = self._rooms.buttons
        due = buttons.step(now)
        text = "a button has been down for a minute: it cannot be pressed" if buttons.is_stuck(now) else None
        self._rooms.report("button-stuck", text, "free it; if that does not help, hand the device in")
        return due

    def _step_duty(self, _now: float) -> float | None:
        match self.duty.step():
            case ShiftEvent.ENDING:
                self._rooms.attention()
            case ShiftEvent.ENDED:
                self._rooms.attention()
                self._rooms.obey()
            case None:
                pass
        return self.duty.next_due()
