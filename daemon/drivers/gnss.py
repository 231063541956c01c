"""The GNSS receiver: a serial line, the cores that make fixes of it, and the receiver's sleep.

Moves octets and time between them. What sentences mean is core.navigation's business, at which speed they come is
core.reception's, and what a maker's receiver is told is core.receivers'.
"""

import asyncio
import datetime as dt
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from time import monotonic

from bondmate.core.epoch import Epoch
from bondmate.core.navigation import Navigation
from bondmate.core.receivers import Receiver, Wanted
from bondmate.core.reception import LISTEN_S, SPEEDS_BAUD, Heard, Reception
from bondmate.core.talk import Outcome, Script, Talk
from bondmate.core.ubx import FrameSplitter
from bondmate.drivers.serial_link import SerialLink
from bondmate.ports import PartFault, ReceiverState
from bondmate.records import Fix

log = logging.getLogger(__name__)

RETIRE_S = 2 * LISTEN_S * len(SPEEDS_BAUD)
"""A receiver that cannot be talked to within this is left as it is when it is not needed: two rounds of all speeds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GnssSettings:
    """How the receiver is used. `speed_baud` None: find it; `receiver` None: any, that is never spoken to."""

    port: str
    speed_baud: int | None
    receiver: Receiver | None
    wanted: Wanted
    not_before: dt.date | None


class GnssReceiver:
    """Implements ports.Locator. Asleep until it is told to wake."""

    def __init__(self, settings: GnssSettings) -> None:
        self._settings = settings
        self._reception = Reception(settings.speed_baud)
        self._navigation = Navigation(settings.not_before)
        self._link = SerialLink(settings.port, self._reception.speed_baud, self._received, self._opened)
        self._on_fix: Callable[[Fix], None] = lambda _: None
        self._timer: asyncio.TimerHandle | None = None
        self._changes: set[asyncio.Task[None]] = set()
        """Changes of speed that are under way."""
        self._frames = FrameSplitter()
        self._talk: Talk | None = None
        """The conversation with the receiver, from its first sentence on; None while the line is not open."""
        self._outcome = Outcome()
        """What came of the last set-up."""
        self._wanted = asyncio.Event()
        self._unwanted = asyncio.Event()
        self._unwanted.set()
        self._retired = asyncio.Event()
        """The receiver was put to sleep, as far as that can be known."""
        self._why_not: tuple[str, ...] = ()
        """Why the last epoch had no fix."""

    async def run(self, on_fix: Callable[[Fix], None]) -> None:
        """Serve the receiver until cancelled; `on_fix` is called for each new fix, in the event loop."""
        self._on_fix = on_fix
        if self._settings.receiver is not None and not self._wanted.is_set():
            await self._serve(self._until_retired)  # it may be running since the board has power
        while True:
            await self._wanted.wait()
            await self._serve(self._until_unwanted)

    # --- ports.Locator ----------------------------------------------------------------------------

    def wake(self, on: bool) -> None:
        """See ports.Locator."""
        if on == self._wanted.is_set():
            return
        if on:
            self._unwanted.clear()
            self._wanted.set()
        else:
            self._wanted.clear()
            self._unwanted.set()
            self._navigation = Navigation(self._settings.not_before)  # nothing of where it was stays in memory
            self._why_not = ()

    def faults(self) -> tuple[PartFault, ...]:
        """See ports.Locator."""
        if not self._wanted.is_set():
            return ()
        found = []
        port = self._settings.port
        if self._link.fault is not None:
            found.append(PartFault("gnss-gone", self._link.fault, "check the receiver's cable, and gnss.port"))
        elif (silence := self._reception.fault(monotonic())) is not None:
            code, text = silence
            found.append(PartFault(code, f"{port}: {text}", _NEXT[code]))
        if self._outcome.problems:
            text = f"the receiver on {port} did not take its settings: {'; '.join(self._outcome.problems)}"
            found.append(PartFault("gnss-settings", text, "compare gnss.receiver and what follows it with its manual"))
        if self._navigation.antenna in ("open", "short"):
            text = f"the receiver on {port} reports its antenna as {self._navigation.antenna}"
            found.append(PartFault("gnss-antenna", text, "check the antenna and its cable"))
        return tuple(found)

    def state(self) -> ReceiverState:
        """See ports.Locator."""
        awake = self._wanted.is_set()
        return ReceiverState(
            awake=awake,
            port=self._settings.port,
            speed_baud=self._reception.speed_baud if self._reception.speaks else None,
            identity=self._outcome.identity,
            antenna=self._navigation.antenna,
            why_not=self._why_not,
            satellites=self._navigation.sky.satellites(monotonic()) if awake else (),
            sentences=self._reception.counts,
            rejected=self._reception.rejected,
            octets=self._reception.octets,
            noise_octets=self._reception.noise,
        )

    # --- serving the line --------------------------------------------------------------------------

    async def _serve(self, until: Callable[[], Coroutine[None, None, None]]) -> None:
        """Keep the line open until that; raises what the line raises."""
        serving = asyncio.ensure_future(self._link.run())
        ending = asyncio.ensure_future(until())
        try:
            await asyncio.wait({serving, ending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (serving, ending):
                task.cancel()
            results = await asyncio.gather(serving, ending, return_exceptions=True)
            self._closed()
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _until_unwanted(self) -> None:
        await self._unwanted.wait()
        if self._settings.receiver is not None and self._reception.speaks:
            await self._until_retired()

    async def _until_retired(self) -> None:
        """Until the receiver was told to sleep, or cannot be told, or is wanted again."""
        self._retired.clear()
        self._talk = None
        self._step()
        waiting = {asyncio.ensure_future(event.wait()) for event in (self._retired, self._wanted)}
        try:
            await asyncio.wait(waiting, timeout=RETIRE_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()

    def _opened(self) -> None:
        self._reception.opened(monotonic())
        self._rouse()

    def _rouse(self) -> None:
        """At a speed that is new on this line: what the receiver sleeps through is not understood, and wakes it."""
        self._talk, self._frames = None, FrameSplitter()
        if self._settings.receiver is not None:
            self._link.write(self._settings.receiver.wake)
        self._step()

    def _closed(self) -> None:
        self._reception.closed()
        self._talk, self._frames = None, FrameSplitter()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _received(self, data: bytes) -> None:
        now = monotonic()
        heard = self._reception.feed(data, now)
        if self._wanted.is_set():
            self._navigation.heard(now)
            for one in heard:
                self._take(self._navigation.feed(one.sentence, now))
        self._converse(data, heard, now)
        self._step()

    def _converse(self, data: bytes, heard: list[Heard], now: float) -> None:
        """Let the conversation hear what is its own."""
        receiver = self._settings.receiver
        if receiver is None or self._talk is None or self._talk.is_over:
            return
        for message in self._frames.feed(data) if receiver.speaks_ubx else [one.line for one in heard]:
            self._talk.heard(message, now)

    def _step(self) -> None:
        """Let every core act that is due, and come again when the next one is."""
        now = monotonic()
        self._take(self._navigation.poll(now))
        if self._reception.poll(now):
            log.info("%s: trying %d baud", self._settings.port, self._reception.speed_baud)
            task = asyncio.get_running_loop().create_task(self._change_speed())
            self._changes.add(task)
            task.add_done_callback(self._changes.discard)
        if self._talk is None and self._reception.speaks and self._settings.receiver is not None:
            self._talk = Talk(self._script(self._settings.receiver), now)
        if self._talk is not None:
            self._talk.poll(now)
            self._link.write(self._talk.take())
            if self._talk.is_over and not self._wanted.is_set():
                self._retired.set()
        self._schedule(now)

    async def _change_speed(self) -> None:
        await self._link.change_speed(self._reception.speed_baud)
        self._rouse()

    def _script(self, receiver: Receiver) -> Script:
        if not self._wanted.is_set():
            return receiver.sleep(Outcome())
        self._outcome = Outcome()
        return receiver.set_up(self._settings.wanted, self._outcome)

    def _schedule(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        talk_due = None if self._talk is None else self._talk.next_due()
        dues = (self._navigation.next_due(), self._reception.next_due(), talk_due)
        due = min((each for each in dues if each is not None), default=None)
        if due is not None:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, due - now), self._step)

    def _take(self, epoch: Epoch | None) -> None:
        if epoch is None:
            return
        self._why_not = epoch.why_not
        if epoch.fix is not None and self._wanted.is_set():
            self._on_fix(epoch.fix)


_NEXT = {
    "gnss-silent": "check the receiver's power and its cable; whether its transmit line is connected",
    "gnss-foreign": "check gnss.port; a receiver that speaks binary has to be set to NMEA",
    "gnss-garbage": "check gnss.speed_baud, and the cable",
}
"""What to do about what reception finds."""
