"""Short messages over a modem: one sent after the other; those that came are read, handed on and erased."""

import asyncio
import logging
import re
from collections.abc import Callable

from bondmate.core.at import MAX_LINES, Command, Urc
from bondmate.core.pdu import Other, PduError, Sms, decode, encode_submit
from bondmate.drivers.modem_boot import Known
from bondmate.drivers.modem_line import END_OF_MESSAGE, ModemLine, ModemSilentError, ModemTimes
from bondmate.errors import LinkError, UnsureError

log = logging.getLogger(__name__)

MAX_TOLD = 256
"""Places in the store that are remembered; what is told beyond is found when the whole store is read."""
_TOLD = re.compile(r'\+CMTI: ?"[A-Z]{2}",([0-9]{1,4})')
_LISTED = re.compile(r"\+CMGL: ?([0-9]{1,4}),.*")
_HEX = r"(?:[0-9A-Fa-f]{2})+"
_PDU = re.compile(_HEX)
_LIST = Command("AT+CMGL=4", rf"\+CMGL: .*|{_HEX}")
"""All, whatever their state (27.005, 4.1)."""


class Messages:
    """Sends and takes them. What comes may be handed on twice, when the daemon ends in between."""

    def __init__(self, line: ModemLine, times: ModemTimes, known: Known, why_not: Callable[[], str | None]) -> None:
        """`why_not` tells why none can be sent now; None while they can."""
        self._line = line
        self._times = times
        self._known = known
        self._why_not = why_not
        self._turn = asyncio.Lock()
        self._told: dict[int, None] = {}
        """Places in the store where something came, in order."""
        self.take: Callable[[Sms], None] = lambda _: None

    async def send(self, number: str, octets: bytes) -> None:
        """See ports.CellularModem."""
        try:
            text, length = encode_submit(number, octets)
        except PduError as problem:
            raise LinkError(f"this cannot be sent as an SMS: {problem}") from problem
        async with self._turn:
            if (why_not := self._why_not()) is not None:
                raise LinkError(why_not)
            command = Command(f"AT+CMGS={length}", r"\+CMGS: .*", prompts=True)
            try:
                response = await self._line.ask(command, self._times.sms_s, text.encode("ascii") + END_OF_MESSAGE)
            except LinkError as problem:
                self._known.troubles["SMS not sent"] += 1
                if isinstance(problem, ModemSilentError) and problem.has_data:
                    raise UnsureError(str(problem)) from problem
                raise
        if not response.ok:
            self._known.troubles["SMS not sent"] += 1
            raise LinkError(f"the SMS was not taken: {response.why}")
        if not response.lines:
            # its reference was lost on the line, or this is the answer to something else
            self._known.troubles["SMS not sent"] += 1
            raise UnsureError("the modem does not say that the SMS was taken")

    def hear(self, urc: Urc) -> bool:
        """Take what came unasked; whether it was about messages."""
        if (found := _TOLD.fullmatch(urc.line)) is not None:
            if len(self._told) < MAX_TOLD:
                self._told[int(found[1])] = None
            return True
        if urc.line.startswith("+CMT:"):
            self._hand_on(urc.pdu)
            return True
        return urc.line.startswith(("+CDS:", "+CBM:", "+CDSI:"))

    async def collect(self) -> None:
        """Read those that are known to have come, hand them on and erase them."""
        while self._told:
            place = next(iter(self._told))
            response = await self._line.ask(Command(f"AT+CMGR={place}", rf"\+CMGR: .*|{_HEX}"))
            self._told.pop(place, None)
            pdus = [line for line in response.lines if _PDU.fullmatch(line) is not None]
            if pdus:
                self._hand_on(pdus[0])
            if response.ok:
                await self._line.ask(Command(f"AT+CMGD={place}"))

    async def sweep(self) -> None:
        """The same with all that are in the store: those that came while nobody listened, or was heard to be told."""
        while True:
            response = await self._line.ask(_LIST)
            places, place = list[int](), None
            for line in response.lines:
                if (found := _LISTED.fullmatch(line)) is not None:
                    place = int(found[1])
                elif place is not None:
                    self._hand_on(line)
                    places.append(place)
                    place = None
            for place in places:
                self._told.pop(place, None)
                if not (await self._line.ask(Command(f"AT+CMGD={place}"))).ok:
                    return
            if len(response.lines) < MAX_LINES or not places:
                return

    def _hand_on(self, pdu: str) -> None:
        try:
            message = decode(pdu)
        except PduError as problem:
            self._known.troubles["SMS unreadable"] += 1
            log.info("an SMS that came cannot be read, and is left out: %s", problem)
            return
        match message:
            case Other():
                self._known.troubles["SMS of another kind"] += 1
            case Sms():
                try:
                    self.take(message)
                except Exception:
                    log.exception("an SMS that came could not be taken; going on")
