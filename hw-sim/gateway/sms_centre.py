"""SMS by the simulated message centre, `bondmate-sim smsc`: JSON lines over TCP.

The client attaches as its number, submits messages, and acknowledges those that are delivered to it.
"""

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

from bondmate_sim.gateway.sms import Sms, SmsError, SmsRefusedError, is_eight_bit

MAX_LINE_OCTETS = 4096

_EIGHT_BIT = 0x04
"""TP-DCS: general data coding, not compressed, no message class, 8-bit data (3GPP TS 23.038, section 4)."""

_ATTACH_S = 10.0
_MAX_WHY = 200


class Centre:
    """The message centre at an address, for one number (+ and digits)."""

    def __init__(self, host: str, port: int, number: str) -> None:
        self._host = host
        self._port = port
        self._number = number

    def __str__(self) -> str:
        return f"message centre at {self._host}:{self._port}"

    @contextlib.asynccontextmanager
    async def connect(self) -> AsyncIterator["CentreLink"]:
        """Connect and attach for as long as the block lasts. Raises SmsError."""
        try:
            async with asyncio.timeout(_ATTACH_S):
                reader, writer = await asyncio.open_connection(self._host, self._port, limit=MAX_LINE_OCTETS)
        except OSError as error:
            why = str(error) or f"no answer within {_ATTACH_S:g} s"
            raise SmsError(f"it cannot be reached ({why}); start it, or give another --sms") from error
        try:
            link = CentreLink(reader, writer)
            await link.attach(self._number)
            yield link
        finally:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


class CentreLink:
    """One connection; `receive` also takes the answers to what `send` sends."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._numbers = itertools.count(1)
        self._unanswered: dict[str, asyncio.Future[str | None]] = {}

    async def attach(self, number: str) -> None:
        """Say which number this is, and wait until the centre knows it. Raises SmsError, OSError."""
        try:
            async with asyncio.timeout(_ATTACH_S):
                await self._say({"type": "attach", "number": number})
                answer = await self._hear()
        except TimeoutError as error:
            raise SmsError(f"it does not answer within {_ATTACH_S:g} s; is it a message centre?") from error
        if answer.get("type") != "attached":
            raise SmsError(f"it does not attach {number}: {_why(answer)}; give another --sms-number")

    async def receive(self) -> Sms:
        """Wait for the next message. Raises SmsError, OSError."""
        while True:
            match await self._hear():
                case {
                    "type": "deliver",
                    "id": str(delivery),
                    "from": str(sender),
                    "dcs": int(coding),
                    "udhi": bool(header),
                    "ud": str(data),
                }:
                    return Sms(delivery, sender, _octets(data), is_eight_bit(coding), not header)
                case {"type": "submitted", "id": str(name)}:
                    self._answered(name, None)
                case {"type": "refused", "id": str(name)} as answer:
                    self._answered(name, _why(answer))
                case {"type": "deliver"}:
                    raise SmsError("it delivers a message without what belongs to one; is it of the same version?")
                case _:
                    pass  # something that a later version says

    async def acknowledge(self, sms: Sms) -> None:
        """Tell the centre that a message need not come again. Raises OSError."""
        await self._say({"type": "acknowledged", "id": sms.delivery})

    async def send(self, number: str, octets: bytes) -> None:
        """Send 8-bit user data to a number; return once the centre took it. Raises SmsRefusedError, OSError."""
        name = f"r{next(self._numbers)}"
        answer = self._unanswered[name] = asyncio.get_running_loop().create_future()
        data = {"dcs": _EIGHT_BIT, "udhi": False, "udl": len(octets), "ud": octets.hex()}
        try:
            await self._say({"type": "submit", "id": name, "to": number, **data})
            why = await answer
        finally:
            del self._unanswered[name]
        if why is not None:
            raise SmsRefusedError(why)

    def _answered(self, name: str, why: str | None) -> None:
        answer = self._unanswered.get(name)
        if answer is not None and not answer.done():
            answer.set_result(why)

    async def _say(self, message: dict[str, Any]) -> None:
        self._writer.write(json.dumps(message).encode() + b"\n")
        await self._writer.drain()

    async def _hear(self) -> dict[str, Any]:
        try:
            line = await self._reader.readline()
        except ValueError as error:
            raise SmsError(f"it says a line of more than {MAX_LINE_OCTETS} octets; is it a message centre?") from error
        if not line.endswith(b"\n"):
            raise SmsError("it closed the connection; look at its log")
        try:
            message = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise SmsError("it says what is no JSON; is it a message centre?") from error
        if not isinstance(message, dict):
            raise SmsError("it says what is no JSON object; is it a message centre?")
        return message


def _octets(data: str) -> bytes:
    try:
        return bytes.fromhex(data)
    except ValueError as error:
        raise SmsError("it delivers user data that are not hexadecimal; is it of the same version?") from error


def _why(answer: dict[str, Any]) -> str:
    return repr(str(answer.get("why", "it says not why"))[:_MAX_WHY])
