"""What a modem is told and asked before it is of use, and again and again while it is."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import TypeVar

from bondmate.core import cellular
from bondmate.core.at import Command, Response
from bondmate.core.cellular import Cell, Operator, Registration, Signal, Sim
from bondmate.core.dialects import ATTACH, Dialect, choose, fill
from bondmate.drivers.modem_line import ModemLine, ModemTimes
from bondmate.drivers.modem_pin import PinGuard, PinRefusedError

log = logging.getLogger(__name__)

T = TypeVar("T")

BUSY_TRIES = 10
"""A SIM is ready within a few seconds after a start."""
_NOWHERE = Cell(Registration.UNKNOWN)
_NOBODY = Operator(None)
_NOTHING = Signal()
_FIRST = tuple(Command(text) for text in ("ATE0", "ATV1", "AT+CMEE=2"))
"""No echo, words, and errors with their names (V.250, 6.2.4 and 6.2.6; 27.007, 9.1)."""
_IDENTITY = (Command("ATI", r"(?!\+).+"), Command("AT+CGMM", r".+"))
_IMEI = Command("AT+CGSN", r'(?:\+CGSN: ?)?"?[0-9]{14,16}"?')
_POWER_SAVING_OFF = (Command("AT+CPSMS=0"), Command("AT+CEDRXS=0"))
"""A modem that sleeps hears no receipt (27.007, 7.38 and 7.40)."""
_SET_UP = (
    Command("AT+CEREG=2"),
    Command("AT+CREG=2"),
    Command("AT+COPS=3,0"),
    Command("AT+CMGF=0"),
    Command('AT+CPMS="SM","SM","SM"', r"\+CPMS: .*"),
    # messages are kept and told of, so that none is lost while nobody listens (27.005, 3.4.1)
    Command("AT+CNMI=2,1,0,1,0"),
)
_PIN_STATE = Command("AT+CPIN?", r"\+CPIN: .*")
_CEREG = Command("AT+CEREG?", r"\+CEREG: ?[0-5],[0-9]{1,2}(?:,.*)?")
_CREG = Command("AT+CREG?", r"\+CREG: ?[0-5],[0-9]{1,2}(?:,.*)?")
_COPS = Command("AT+COPS?", r"\+COPS: .*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModemSettings:
    """How the modem is used. Without an APN the network's own is taken, without a PIN the SIM must not want one."""

    port: str
    speed_baud: int = 115200
    apn: str = ""
    pin_file: Path | None = None
    pin_memory: Path | None = None
    """Where an attempt at the PIN is remembered; on a disk that survives a restart."""
    roaming: bool = False


@dataclass(slots=True)
class Known:
    """What is known of a modem."""

    model: str | None = None
    dialect: Dialect | None = None
    imei: str | None = field(default=None, repr=False)
    iccid: str | None = field(default=None, repr=False)
    sim: Sim | None = None
    pin_problem: str | None = None
    """Why the SIM's PIN was not entered, or did not help."""
    packet: Cell = _NOWHERE
    """By +CEREG: LTE."""
    circuit: Cell = _NOWHERE
    """By +CREG: what LTE falls back to, and what carries an SMS where there is no LTE."""
    operator: Operator = _NOBODY
    signal: Signal = _NOTHING
    refused: list[str] = field(default_factory=list)
    set_up_s: float | None = None
    """When the modem was told all that it has to know; None while it was not."""
    troubles: Counter[str] = field(default_factory=Counter)

    @property
    def cell(self) -> Cell:
        """Where it is registered, if it is anywhere."""
        return self.packet if self.packet.registration.is_registered else self.circuit

    @property
    def registration(self) -> Registration:
        """The better of the two."""
        if self.cell.registration.is_registered or self.packet.registration is Registration.UNKNOWN:
            return self.cell.registration
        return self.packet.registration

    def forget(self) -> None:
        """The modem is gone, or begins anew."""
        self.sim = self.set_up_s = None
        self.packet = self.circuit = _NOWHERE
        self.operator, self.signal = _NOBODY, _NOTHING

    def hear_cell(self, line: str) -> bool:
        """Take `+CEREG` or `+CREG`, as an answer or by itself; whether it is one."""
        cell = cellular.cell(line)
        if cell is None:
            return False
        before = self.registration
        if line.startswith("+CEREG"):
            self.packet = cell
        else:
            self.circuit = cell
        if self.registration is not before:
            log.info("the modem's registration: %s", self.registration.value)
        return True


class Boot:
    """Tells and asks. Every method raises ModemGoneError and ModemSilentError."""

    def __init__(self, line: ModemLine, times: ModemTimes, known: Known, guard: PinGuard, apn: str) -> None:
        """Raises ValueError for an APN that cannot be said."""
        self._line = line
        self._times = times
        self._known = known
        self._guard = guard
        self._apn = apn
        self._attach = fill(ATTACH, apn=apn)

    async def begin(self) -> None:
        """Make it understandable, and learn what it is."""
        known = self._known
        known.refused.clear()
        for command in _FIRST:
            await self._tell(command)
        said = [line for command in _IDENTITY for line in (await self._line.ask(command)).lines]
        found = choose(said)
        if found is None:
            # one that says nothing else may still carry messages, which are the same for all
            known.dialect, known.model = None, next((line for line in said if "IMEI" not in line), None)
        else:
            known.dialect, known.model = found
        known.imei = _first(cellular.imei, await self._line.ask(_IMEI))
        for command in _POWER_SAVING_OFF:
            await self._tell(command)

    async def look_at_sim(self) -> Sim:
        """What state it is in, after its PIN was entered where it wants that and that is safe."""
        state = await self._sim()
        if state is Sim.PIN:
            await self._unlock()
            state = await self._sim()
        if state is not Sim.PIN:
            self._known.pin_problem = None
        self._known.sim = state
        return state

    async def set_up(self) -> None:
        """Tell it what it has to know; its SIM is ready."""
        known, dialect = self._known, self._known.dialect
        for command in _SET_UP:
            await self._tell(command)
        if dialect is not None:
            for command in dialect.set_up:
                await self._tell(command)
            known.iccid = _first(cellular.iccid, await self._line.ask(dialect.iccid))
            if self._apn:
                await self._tell(self._attach)
                await self._tell(fill(dialect.context, apn=self._apn))
        known.set_up_s = monotonic()
        log.info("the modem on %s is set up: %s", self._line.port, known.model)
        if known.refused:
            log.info("the modem on %s does not know %s", self._line.port, ", ".join(known.refused))

    async def look_at_network(self) -> None:
        """Registration, operator and signal."""
        known = self._known
        for command in (_CEREG, _CREG):
            for line in (await self._line.ask(command)).lines:
                known.hear_cell(line)
        known.operator = _first(cellular.operator, await self._line.ask(_COPS)) or _NOBODY
        for command in known.dialect.signal if known.dialect is not None else ():
            response = await self._line.ask(command)
            if (signal := _first(cellular.signal, response)) is not None:
                known.signal = signal
                break

    async def _tell(self, command: Command) -> None:
        if not (await self._line.ask(command)).ok and command.name not in self._known.refused:
            self._known.refused.append(command.name)

    async def _sim(self) -> Sim:
        state = Sim.BUSY
        for attempt in range(BUSY_TRIES):
            if attempt > 0:
                await asyncio.sleep(self._times.busy_s)
            response = await self._line.ask(_PIN_STATE)
            said = _first(cellular.sim, response)
            state = said or (Sim.BUSY if response.ok else cellular.sim_of_error(response.number))
            if state is not Sim.BUSY:
                break
        return state

    async def _unlock(self) -> None:
        known = self._known
        left = (
            None if known.dialect is None else _first(cellular.attempts, await self._line.ask(known.dialect.attempts))
        )
        try:
            pin = await asyncio.to_thread(self._guard.take, left)
            response = await self._line.ask(Command(f'AT+CPIN="{pin}"'))
            if response.ok:
                await asyncio.to_thread(self._guard.opened)
                log.info("the SIM in the modem on %s took its PIN", self._line.port)
            else:
                known.pin_problem = f"the SIM refused the PIN: {response.why}"
        except PinRefusedError as refused:
            known.pin_problem = str(refused)


def _first(read: Callable[[str], T | None], response: Response) -> T | None:
    """What the first line says that says it."""
    return next((value for line in response.lines if (value := read(line)) is not None), None)
