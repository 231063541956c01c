"""The GNSS receiver: a serial line, the cores that make fixes of it, and the receiver's sleep.

Moves octets and time between them. What sentences mean is core.navigation's business, at which speed they come is
core.reception's, and how a maker's receiver is handled core.handling's.
"""

import asyncio
import contextlib
import datetime as dt
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from time import monotonic

from bondmate.core.epoch import Epoch
from bondmate.core.handling import Handling
from bondmate.core.navigation import Navigation
from bondmate.core.receivers import Receiver, Wanted
from bondmate.core.reception import LISTEN_S, SPEEDS_BAUD, Reception
from bondmate.core.talk import Outcome
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
        self._handling = None if settings.receiver is None else Handling(settings.receiver, settings.wanted)
        self._link = SerialLink(
            settings.port, self._reception.speed_baud, self._received, opened=self._opened, lost=self._lost
        )
        self._on_fix: Callable[[Fix], None] = lambda _: None
        self._came: list[bytes] = []
        """What came over the line and was not looked at yet."""
        self._news = asyncio.Event()
        """Something came, or the line was opened or lost."""
        self._wanted = asyncio.Event()
        self._unwanted = asyncio.Event()
        self._unwanted.set()
        self._retired = asyncio.Event()
        """The receiver was put to sleep, as far as that can be known."""
        self._sleepless = False
        """Whether it could not be put to sleep."""
        self._why_not: tuple[str, ...] = ()
        """Why the last epoch had no fix."""

    async def run(self, on_fix: Callable[[Fix], None]) -> None:
        """Serve the receiver until cancelled; `on_fix` is called for each new fix, in the event loop."""
        self._on_fix = on_fix
        if self._handling is not None and not self._wanted.is_set():
            await self._serve(self._until_retired)  # it may be running since the board has power
        while True:
            await self._wanted.wait()
            await self._serve(self._until_unwanted)

    # --- ports.Locator ----------------------------------------------------------------------------

    def wake(self, on: bool) -> None:
        """See ports.Locator."""
        if on == self._wanted.is_set():
            return
        if self._handling is not None:
            self._handling.wake(on)
        if on:
            self._sleepless = False
            self._unwanted.clear()
            self._wanted.set()
        else:
            self._wanted.clear()
            self._unwanted.set()
            self._navigation = Navigation(self._settings.not_before)  # nothing of where it was stays in memory
            self._why_not = ()

    def faults(self) -> tuple[PartFault, ...]:
        """See ports.Locator."""
        found, port, outcome = [], self._settings.port, self._outcome
        if not self._wanted.is_set():
            if not self._sleepless:
                return ()
            why = f": {'; '.join(outcome.problems)}" if outcome.problems else ""
            text = f"the receiver on {port} could not be put to sleep, and goes on{why}"
            return (PartFault("gnss-awake", text, "compare gnss.receiver with its make: it draws power off duty"),)
        if self._link.fault is not None:
            found.append(PartFault("gnss-gone", self._link.fault, "check the receiver's cable, and gnss.port"))
        elif (silence := self._reception.fault(monotonic())) is not None:
            code, text = silence
            found.append(PartFault(code, f"{port}: {text}", _NEXT[code]))
        if outcome.problems:
            text = f"the receiver on {port} did not take its settings: {'; '.join(outcome.problems)}"
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

    @property
    def _outcome(self) -> Outcome:
        """What came of the last conversation with it."""
        return Outcome() if self._handling is None else self._handling.outcome

    # --- serving the line --------------------------------------------------------------------------

    async def _serve(self, until: Callable[[], Coroutine[None, None, None]]) -> None:
        """Keep the line open until that; raises what any part of it raises."""
        parts = [asyncio.ensure_future(part) for part in (self._link.run(), self._attend(), until())]
        try:
            await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for part in parts:
                part.cancel()
            results = await asyncio.gather(*parts, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _until_unwanted(self) -> None:
        await self._unwanted.wait()
        if self._handling is not None:
            await self._until_retired()

    async def _until_retired(self) -> None:
        """Until the receiver was told to sleep and does, or cannot be told, or is wanted again."""
        self._retired.clear()
        self._news.set()
        waiting = {asyncio.ensure_future(event.wait()) for event in (self._retired, self._wanted)}
        try:
            done, _ = await asyncio.wait(waiting, timeout=RETIRE_S, return_when=asyncio.FIRST_COMPLETED)
            self._sleepless = not done and self._reception.speaks
        finally:
            for task in waiting:
                task.cancel()

    def _opened(self) -> None:
        now = monotonic()
        self._came.clear()
        self._reception.opened(now)
        self._navigation.replugged()
        if self._handling is not None:
            self._handling.opened(now)
        self._news.set()

    def _lost(self) -> None:
        self._came.clear()
        self._reception.closed()
        if self._handling is not None:
            self._handling.closed()

    def _received(self, data: bytes) -> None:
        self._came.append(data)
        self._news.set()

    async def _attend(self) -> None:
        """Hear what came, and let every core act when it is due."""
        while True:
            self._news.clear()
            now = monotonic()
            if self._came:
                data = b"".join(self._came)
                self._came.clear()
                self._hear(data, now)
            await self._act(now)
            due_s = self._next_due()
            # nothing awaits between the look at the news and this, but a change of speed: what came then is there
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if due_s is None else max(0.0, due_s - monotonic())):
                    await self._news.wait()

    def _hear(self, data: bytes, now: float) -> None:
        heard = self._reception.feed(data, now)
        if self._wanted.is_set():
            self._navigation.heard(now)
            for one in heard:
                self._take(self._navigation.feed(one.sentence, now))
        if self._handling is not None:
            self._handling.heard(data, heard, now)

    async def _act(self, now: float) -> None:
        self._take(self._navigation.poll(now))
        if self._reception.poll(now):
            log.debug("%s: trying %d baud", self._settings.port, self._reception.speed_baud)
            await self._link.change_speed(self._reception.speed_baud)
            now = monotonic()
            if self._handling is not None:
                self._handling.opened(now)
        if self._handling is not None:
            self._handling.poll(now)
            self._link.write(self._handling.take())
            if self._handling.is_asleep(now):
                self._retired.set()

    def _next_due(self) -> float | None:
        handling_due_s = None if self._handling is None else self._handling.next_due()
        dues = (self._navigation.next_due(), self._reception.next_due(), handling_due_s)
        return min((each for each in dues if each is not None), default=None)

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
