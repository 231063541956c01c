"""A modem's serial line as questions and answers: one command at a time, each with its deadline.

Commands run to their end even if nobody waits for them any longer, for a modem cannot be interrupted either. After one
that was not answered, what is half way is ended and late answers are heard out before the next is asked.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from bondmate.core.at import Command, Digester, Prompt, Response, Urc
from bondmate.drivers.serial_link import SerialLink
from bondmate.errors import LinkError

log = logging.getLogger(__name__)

ESCAPE = b"\x1b"
"""Ends what follows a prompt without sending it (27.005, 3.5.1)."""
END_OF_MESSAGE = b"\x1a"
"""Ends what follows a prompt, and sends it."""


class ModemGoneError(LinkError):
    """The line to the modem is not open, or was lost, or the modem began anew."""


class ModemSilentError(LinkError):
    """The modem did not answer in time."""

    def __init__(self, text: str, *, has_data: bool = False) -> None:
        """`has_data`: it was given what belongs to the command, and may have done it all the same."""
        super().__init__(text)
        self.has_data = has_data


@dataclass(frozen=True, slots=True, kw_only=True)
class ModemTimes:
    """How long a modem is given. The manuals say how long a command may take at most."""

    command_s: float = 10.0
    """Nearly all answer in 0.3 s; those that ask the SIM in 5."""
    sync_s: float = 1.5
    """For a bare AT."""
    stale_s: float = 0.3
    """So long after a command without an answer, whatever comes is the answer to nothing."""
    prompt_s: float = 5.0
    activate_s: float = 20.0
    """The manuals allow 150 s for a PDP context; so long nothing else could be sent, an SMS included."""
    open_s: float = 30.0
    """For a UDP socket: a name has to be looked up, at most."""
    full_s: float = 0.5
    """Before a datagram that found the modem's buffer full is sent once more."""
    sms_s: float = 45.0
    """The network answers within 45 s or not at all (24.011, 10: TR1M)."""
    busy_s: float = 1.0
    """Between two questions to a SIM that is busy, as it is after each start."""
    port_s: float = 10.0
    """For the port to be there."""
    retry_s: float = 1.0
    """Between two attempts to set a modem up."""
    watch_s: float = 30.0
    """Between two looks at the network and the message store."""
    settle_s: float = 60.0
    """So long after it was set up a modem may search its network before that is a fault."""


class ModemLine:
    """Asks, and hands on what comes unasked."""

    def __init__(
        self,
        port: str,
        speed_baud: int,
        times: ModemTimes,
        unasked: Callable[[Urc], None],
        answered: Callable[[Command, Response | None], None],
        lost: Callable[[], None],
    ) -> None:
        """`answered` is told of each answer, and of none; `lost` is called when the line is no more."""
        self.port = port
        self._times = times
        self._unasked = unasked
        self._answered = answered
        self._lost = lost
        self._link = SerialLink(port, speed_baud, self._received, opened=self._opened, lost=self._closed, rest_s=0)
        self._digester = Digester()
        self._turn = asyncio.Lock()
        self._answer: asyncio.Future[Response] | None = None
        """Of the command under way."""
        self._prompt: asyncio.Future[None] | None = None
        self._unsure: int | None = None
        """Since a command was not answered: how many octets of data the modem may still wait for."""
        self._asking: set[asyncio.Task[Response]] = set()
        self.is_open = asyncio.Event()

    @property
    def fault(self) -> str | None:
        """Why the line is not open, in words."""
        return self._link.fault

    async def run(self) -> None:
        """Keep the line open until cancelled."""
        try:
            await self._link.run()
        finally:
            await asyncio.gather(*self._asking, return_exceptions=True)

    async def ask(self, command: Command, deadline_s: float | None = None, data: bytes | None = None) -> Response:
        """Ask, and return the answer, an error included. Raises ModemGoneError or ModemSilentError.

        `data` follow the prompt, and the deadline counts from there; without a prompt they are not sent.
        """
        # who gives up while others have their turn has not asked; who gives up later has, and the answer is heard out
        await self._turn.acquire()
        exchange: Coroutine[Any, Any, Response] = self._exchange(command, deadline_s or self._times.command_s, data)
        task = asyncio.get_running_loop().create_task(exchange)
        self._asking.add(task)
        task.add_done_callback(self._asked)
        return await asyncio.shield(task)

    def restarted(self) -> None:
        """The modem began anew: nothing that was asked before is answered, and it may echo again."""
        self._unsure = 0
        self._fail(ModemGoneError(f"the modem on {self.port} began anew"))

    def shout(self, text: str) -> None:
        """Say it to a modem that does not answer, and expect nothing."""
        self._link.write(ESCAPE + b"\r" + text.encode("ascii") + b"\r")

    async def _exchange(self, command: Command, deadline_s: float, data: bytes | None) -> Response:
        """Ends the turn that its caller has begun."""
        try:
            if self._unsure is not None:
                await self._resume(self._unsure)
            response = await self._say(command, deadline_s, data)
            self._answered(command, response)
        finally:
            self._turn.release()
        if not response.ok:
            log.debug("%s: %s: %s", self.port, command.name, response.why)
        return response

    async def _resume(self, missing: int) -> None:
        """End what is half way, hear late answers out, and see that the modem answers at all."""
        # carriage returns fill data that it waits for, and are nothing to it where it waits for none
        self._link.write(ESCAPE + b"\r" * (missing + 1))
        await asyncio.sleep(self._times.stale_s)
        await self._say(Command("AT"), self._times.sync_s, None)
        self._unsure = None

    async def _say(self, command: Command, deadline_s: float, data: bytes | None) -> Response:
        if not self.is_open.is_set():
            raise ModemGoneError(self.fault or f"{self.port} is not open")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Response] = loop.create_future()
        prompt: asyncio.Future[None] = loop.create_future()
        self._answer, self._prompt = answer, prompt
        self._digester.begin(command)
        self._link.write(command.text.encode("ascii", "replace") + b"\r")
        try:
            if data is not None:
                async with asyncio.timeout(self._times.prompt_s):
                    either: set[asyncio.Future[Any]] = {answer, prompt}
                    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                if not answer.done():
                    self._link.write(data)
            async with asyncio.timeout(deadline_s):
                return await answer
        except TimeoutError:
            self._digester.give_up()
            self._unsure = max(self._unsure or 0, len(data or b""))
            if command.prompts:
                self._link.write(ESCAPE)
            self._answered(command, None)
            has_data = data is not None and prompt.done()
            waited_for = "answer" if data is None or has_data else "prompt"
            raise ModemSilentError(f"{self.port}: no {waited_for} to {command.name}", has_data=has_data) from None
        finally:
            self._answer = self._prompt = None
            answer.cancel()
            prompt.cancel()

    def _asked(self, task: asyncio.Task[Response]) -> None:
        self._asking.discard(task)
        if not task.cancelled():
            task.exception()  # whoever asked may have gone; then nobody else looks at it

    # --- the line ----------------------------------------------------------------------------------

    def _opened(self) -> None:
        # what was said to the line before is of no use: the modem may be another one
        self._digester, self._unsure = Digester(), 0
        self.is_open.set()

    def _closed(self) -> None:
        self.is_open.clear()
        self._fail(ModemGoneError(self.fault or f"{self.port} was closed"))
        self._lost()

    def _fail(self, error: ModemGoneError) -> None:
        self._digester.give_up()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    def _received(self, data: bytes) -> None:
        for said in self._digester.feed(data):
            match said:
                case Response():
                    if self._answer is not None and not self._answer.done():
                        self._answer.set_result(said)
                case Prompt():
                    if self._prompt is not None and not self._prompt.done():
                        self._prompt.set_result(None)
                case Urc():
                    self._unasked(said)
