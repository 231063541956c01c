"""A modem's way to the message centre. While it is attached, a lost connection is made again.

What it carries is in short_message.py; docs/simulator.md has the protocol.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import assert_never

from bondmate_sim import short_message
from bondmate_sim.console import complain
from bondmate_sim.modem_effects import Acknowledge, Attach, Detach, Submit
from bondmate_sim.short_message import MAX_LINE_OCTETS, Delivery, MessageError

RETRY_S = 0.5
MAX_UNSENT = 16


class CentreClient:
    """Attached as one number, or not, on the running loop."""

    def __init__(
        self,
        centre: tuple[str, int] | None,
        number: str,
        *,
        submitted: Callable[[str, str | None], None],
        delivered: Callable[[Delivery], None],
    ) -> None:
        """`centre` None: there is none, and what is submitted is never answered.

        The callbacks get what comes: a submission's name and why it was refused, None when it was not; deliveries.
        """
        self._centre = centre
        self._number = number
        self._submitted = submitted
        self._delivered = delivered
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None
        self._unsent: deque[dict[str, object]] = deque(maxlen=MAX_UNSENT)

    def do(self, effect: Attach | Detach | Submit | Acknowledge) -> None:
        """Carry out what the modem wants. Submissions wait for a connection; the rest needs one that is there."""
        match effect:
            case Attach():
                if self._task is None and self._centre is not None:
                    self._task = asyncio.ensure_future(self._stay_attached(*self._centre))
                else:
                    self._send({"type": "attach", "number": self._number})
            case Detach():
                if self._task is not None:
                    self._task.cancel()
                    self._task = None
                    self._unsent.clear()
            case Submit(name, to, data):
                message = {"type": "submit", "id": name, "to": to} | short_message.described(data)
                if not self._send(message):
                    self._unsent.append(message)
            case Acknowledge(name):
                self._send({"type": "acknowledged", "id": name})
            case _:
                assert_never(effect)

    async def close(self) -> None:
        """Hang up."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _send(self, message: dict[str, object]) -> bool:
        if self._writer is None or self._writer.is_closing():
            return False
        self._writer.write(short_message.line(message))
        return True

    async def _stay_attached(self, host: str, port: int) -> None:
        while True:
            try:
                reader, writer = await asyncio.open_connection(host, port, limit=MAX_LINE_OCTETS)
            except OSError as error:
                complain(f"no message centre at {host}:{port} ({error}); start one: bondmate-sim smsc")
            else:
                try:
                    await self._converse(reader, writer)
                except (OSError, MessageError, ValueError) as error:
                    complain(f"lost the message centre at {host}:{port}: {error}")
                finally:
                    self._writer = None
                    writer.close()
            await asyncio.sleep(RETRY_S)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._send({"type": "attach", "number": self._number})
        while self._unsent:
            self._send(self._unsent.popleft())
        while line := await reader.readline():
            match message := short_message.parse(line):
                case {"type": "submitted", "id": str(name)}:
                    self._submitted(name, None)
                case {"type": "refused", "id": str(name), "why": str(why)}:
                    self._submitted(name, why)
                case {"type": "deliver"}:
                    self._delivered(short_message.delivery(message))
                case _:
                    pass
