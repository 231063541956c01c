"""The LTE modem, spoken to in AT commands: no PPP, no route, nothing else on the device can use or break it.

Set up whenever it appears, looked at again and again, and helped up the ladder when it does not answer. Sockets are
modem_socket's business, messages modem_sms's.
"""

import asyncio
import logging
from collections.abc import Callable
from time import monotonic
from typing import assert_never

from bondmate.core.at import Command, Response, Urc
from bondmate.core.cellular import Registration, Sim
from bondmate.core.dialects import DIALECTS, Kind
from bondmate.core.ladder import Ladder, Step
from bondmate.core.pdu import Sms
from bondmate.drivers import modem_report
from bondmate.drivers.modem_boot import Boot, Known, ModemSettings
from bondmate.drivers.modem_datagrams import ModemSocket
from bondmate.drivers.modem_line import ModemGoneError, ModemLine, ModemSilentError, ModemTimes
from bondmate.drivers.modem_pin import PinGuard
from bondmate.drivers.modem_sms import Messages
from bondmate.drivers.modem_socket import Sockets
from bondmate.errors import LinkError
from bondmate.ports import ModemPower, ModemState, PartFault

log = logging.getLogger(__name__)

RESTART = "AT+CFUN=1,1"
"""27.007, 8.2: full functionality, after a reset."""


class Modem:
    """Implements ports.CellularModem."""

    def __init__(
        self,
        settings: ModemSettings,
        power: ModemPower | None = None,
        times: ModemTimes | None = None,
        ladder: Callable[[set[Step]], Ladder] = Ladder,
    ) -> None:
        """`ladder` makes one of the steps that this board can take. ValueError: an APN that cannot be said."""
        self._settings = settings
        self._power = power
        self._times = times or ModemTimes()
        self._ladder = ladder(_steps(power))
        self._known = Known()
        self._line = ModemLine(
            settings.port, settings.speed_baud, self._times, self._unasked, self._answered, self._lost
        )
        guard = PinGuard(settings.pin_file, settings.pin_memory)
        self._boot = Boot(self._line, self._times, self._known, guard, settings.apn)
        self._sockets = Sockets(self._line, self._times, self._known, self._why_not)
        self._messages = Messages(self._line, self._times, self._known, self._why_not)
        self._stirred = asyncio.Event()
        """Something is to be done before the next look is due."""
        self._changed = False
        """The SIM, or the registration, is not as it was."""
        self._clean = True
        """Since the last look at it, or since it was set up, every command was answered. A modem that answers some
        commands, and hangs at others, is not well."""
        self._again: str | None = None
        """Why the modem has to be set up again."""
        self._problem: str | None = None
        """Why it is not set up, as of the last attempt."""
        self._ready: Callable[[], None] = lambda: None
        self._was_usable = False
        """Whether something could be sent when that was looked at last."""

    async def run(self) -> None:
        """Serve the modem until cancelled."""
        while True:
            line = asyncio.ensure_future(self._line.run())
            life = asyncio.ensure_future(self._live())
            try:
                await asyncio.wait({line, life}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (line, life):
                    task.cancel()
                results = await asyncio.gather(line, life, return_exceptions=True)
                self._lost()
                await self._sockets.finish()
            for result in results:
                if isinstance(result, Exception):
                    raise result

    # --- ports.CellularModem -------------------------------------------------------------------------

    async def open_udp(self, host: str, port: int, received: Callable[[bytes], None]) -> ModemSocket:
        """See ports.CellularModem."""
        return await self._sockets.open(host, port, received)

    async def send_sms(self, number: str, octets: bytes) -> None:
        """See ports.CellularModem."""
        await self._messages.send(number, octets)

    def on_sms(self, take: Callable[[Sms], None]) -> None:
        """See ports.CellularModem."""
        self._messages.take = take

    def on_ready(self, call: Callable[[], None]) -> None:
        """See ports.CellularModem."""
        self._ready = call

    def state(self) -> ModemState:
        """See ports.CellularModem."""
        return modem_report.state(
            self._settings.port, self._known, self._why_not(), self._ladder.step, self._sockets.count
        )

    def faults(self) -> tuple[PartFault, ...]:
        """See ports.CellularModem."""
        port, known = self._settings.port, self._known
        if self._line.fault is not None:
            return (PartFault("modem-gone", self._line.fault, "check the modem's cable and power, and modem.port"),)
        if known.sim is not None:
            return modem_report.faults(port, known, self._network_fault())
        return () if self._problem is None else (modem_report.silence(port, self._problem, self._ladder.step),)

    def _network_fault(self) -> str | None:
        return modem_report.network_fault(self._settings, self._known, monotonic(), self._times.settle_s)

    def _why_not(self) -> str | None:
        """Why nothing can be sent, in words; None where it can."""
        known = self._known
        if known.set_up_s is None:
            return next((fault.text for fault in self.faults()), f"the modem on {self._settings.port} is not ready yet")
        if not known.registration.is_registered:
            return f"the modem is in no network: {known.registration.value}"
        return self._network_fault()

    # --- its life --------------------------------------------------------------------------------------

    async def _live(self) -> None:
        """Set it up and look after it, until the port is to be closed and opened again."""
        while True:
            try:
                await self._be_open()
                await self._begin()
                await self._serve()
            except LinkError as problem:
                self._down(str(problem))
            step = self._ladder.poll(monotonic())
            if step is not None:
                log.warning("the modem on %s does not answer; trying: %s", self._settings.port, step.value)
            match step:
                case None:
                    await asyncio.sleep(self._times.retry_s)
                case Step.REOPEN:
                    return
                case Step.RESET:
                    self._line.shout(RESTART)
                case Step.PULSE:
                    if self._power is not None:
                        await self._power.pulse_key()
                case Step.CYCLE:
                    if self._power is not None:
                        await self._power.cycle_rail()
                case _:
                    assert_never(step)

    async def _be_open(self) -> None:
        try:
            async with asyncio.timeout(self._times.port_s):
                await self._line.is_open.wait()
        except TimeoutError:
            self._ladder.timed_out(monotonic())
            raise ModemGoneError(self._line.fault or f"{self._settings.port} does not open") from None

    async def _begin(self) -> None:
        self._again, self._clean = None, True
        await self._boot.begin()
        await self._look_at_sim()
        self._problem = None

    async def _look_at_sim(self) -> None:
        """See what state the SIM is in; one that is ready now is put to use."""
        state = await self._boot.look_at_sim()
        if state is not Sim.READY:
            self._known.set_up_s = None
            self._sockets.end(f"the SIM is {state.value}", "SIM lost")
        elif self._known.set_up_s is None:
            await self._boot.set_up()

    async def _serve(self) -> None:
        """Look after a modem that answers, until it does not."""
        while True:
            self._stirred.clear()
            changed, self._changed = self._changed, False
            if changed or self._known.sim is not Sim.READY:
                await self._look_at_sim()
            if self._known.sim is Sim.READY:
                await self._boot.look_at_network()
                if self._known.registration is Registration.ROAMING and (why := self._network_fault()) is not None:
                    self._sockets.end(why, "roaming")
                self._tell_whether_ready()
                await self._messages.sweep()
                self._sockets.look()
            if self._clean:
                self._ladder.succeeded(monotonic())
            self._clean = True
            due_s = monotonic() + self._times.watch_s
            while not self._changed and (left_s := due_s - monotonic()) > 0:
                await self._messages.collect()
                try:
                    async with asyncio.timeout(left_s):
                        await self._stirred.wait()
                except TimeoutError:
                    break
                self._stirred.clear()
                self._check()

    def _tell_whether_ready(self) -> None:
        usable, was_usable = self._why_not() is None, self._was_usable
        self._was_usable = usable
        if usable and not was_usable:
            self._ready()

    def _check(self) -> None:
        if self._again is not None:
            raise ModemGoneError(self._again)
        if self._ladder.next_due() is not None:
            raise ModemSilentError(f"{self._settings.port}: commands are not answered")

    def _down(self, why: str) -> None:
        """It is not of use now."""
        if why != self._problem:
            log.warning("the modem on %s cannot be used: %s", self._settings.port, why)
        self._problem = why
        self._forget(why)

    def _forget(self, why: str) -> None:
        self._was_usable = False
        self._known.forget()
        self._sockets.end(why, "modem gone")

    # --- what the line tells ---------------------------------------------------------------------------

    def _answered(self, command: Command, response: Response | None) -> None:
        if response is None:
            self._clean = False
            self._known.troubles["command timed out"] += 1
            self._ladder.timed_out(monotonic())
            self._stirred.set()
        elif response.ok and command.prompts:
            self._ladder.succeeded(monotonic())  # it sends, which is what it is for

    def _lost(self) -> None:
        if self._line.fault is None:  # closed from here
            self._forget(self._problem or f"{self._settings.port} was closed")
            return
        self._again = self._line.fault
        self._down(self._again)
        self._stirred.set()

    def _unasked(self, urc: Urc) -> None:
        before = self._known.registration
        if self._known.hear_cell(urc.line):
            if self._known.registration is not before:
                self._changed = True
                self._stirred.set()
            return
        if self._messages.hear(urc):
            self._stirred.set()
            return
        # before it is known whose modem this is, the makers' common words are understood
        event = (self._known.dialect or DIALECTS[0]).event(urc.line)
        if event is None:
            return
        match event.kind:
            case Kind.RESTARTED:
                self._again = f"the modem on {self._settings.port} began anew"
                self._line.restarted()
                self._stirred.set()
            case Kind.SIM:
                self._changed = True
                self._stirred.set()
            case _:
                self._sockets.event(event)


def _steps(power: ModemPower | None) -> set[Step]:
    steps = {Step.REOPEN, Step.RESET}
    if power is not None and power.has_key:
        steps.add(Step.PULSE)
    if power is not None and power.has_rail:
        steps.add(Step.CYCLE)
    return steps
