"""The message centre's process: clients over TCP in JSON lines, each a telephone number; docs/simulator.md has them.

It stands for the operator's, and for the interface to it that the gateway uses. What becomes of a message is decided in
message_centre.py.
"""

import asyncio
import contextlib
import datetime
import itertools
import json
import socket
import time
from pathlib import Path
from typing import IO, Any

from bondmate_sim import short_message
from bondmate_sim.console import complain, say
from bondmate_sim.errors import SimulatorError
from bondmate_sim.message_centre import Fate, FullError, Manners, MessageCentre
from bondmate_sim.service import appended_lines, stop_on_signals
from bondmate_sim.short_message import MAX_ID, MAX_LINE_OCTETS, NUMBER, MessageError, UserData
from bondmate_sim.stamp import utc_now

MAX_CLIENTS = 64
MAX_BACKLOG_OCTETS = 262_144
"""A client that reads nothing is cut off when so much waits for it."""


class Exchange:
    """The centre and its clients' connections, on the running loop."""

    def __init__(self, centre: MessageCentre, tap: IO[str] | None) -> None:
        """`tap`, opened for text and line-buffered, gets a JSON line for each accepted message."""
        self._loop = asyncio.get_running_loop()
        self._centre = centre
        self._tap = tap
        self._writers: dict[int, asyncio.StreamWriter] = {}
        self._served: set[asyncio.Event] = set()
        self._names = itertools.count(1)
        self._timer: asyncio.TimerHandle | None = None

    async def serve_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one client until it goes; then what it did not acknowledge waits for the next of its number."""
        if len(self._writers) >= MAX_CLIENTS:
            complain(f"message centre: {MAX_CLIENTS} clients are connected; another one was turned away")
            writer.close()
            return
        client, served = next(self._names), asyncio.Event()
        self._writers[client] = writer
        self._served.add(served)
        try:
            await self._converse(client, reader)
        except (MessageError, ConnectionError) as error:
            if isinstance(error, MessageError):
                complain(f"message centre: closed the connection of {self._who(client)}: {error}")
        finally:
            self._centre.detach(client)
            del self._writers[client]
            writer.close()
            self._served.discard(served)
            served.set()

    async def close(self) -> None:
        """Hang up on every client, and wait until they are served out."""
        if self._timer is not None:
            self._timer.cancel()
        for writer in self._writers.values():
            writer.close()
        for served in list(self._served):
            await served.wait()

    async def _converse(self, client: int, reader: asyncio.StreamReader) -> None:
        while True:
            try:
                octets = await reader.readline()
            except ValueError:
                raise MessageError(f"a line has at most {MAX_LINE_OCTETS} octets") from None
            if not octets:
                return
            self._take(client, short_message.parse(octets))
            self._deliver()

    def _take(self, client: int, message: dict[str, Any]) -> None:
        match message:
            case {"type": "attach", "number": str(number)} if NUMBER.fullmatch(number):
                self._centre.attach(number, client)
                self._send(client, {"type": "attached", "number": number})
            case {"type": "submit", "id": str(name)} if len(name) <= MAX_ID:
                self._send(client, self._submit(client, name, message))
            case {"type": "acknowledged", "id": str(name)}:
                if not self._centre.acknowledge(client, name):
                    complain(
                        f"message centre: {self._who(client)} acknowledged {name[:MAX_ID]!r}, which it was not given"
                    )
            case _:
                raise MessageError("it is none of attach with a number, submit with an id, acknowledged with an id")

    def _submit(self, client: int, name: str, message: dict[str, Any]) -> dict[str, Any]:
        def refused(why: str) -> dict[str, Any]:
            return {"type": "refused", "id": name, "why": why}

        sender, to = self._centre.number(client), message.get("to")
        if sender is None:
            return refused("attach a number first; another client may have taken yours over")
        if not (isinstance(to, str) and NUMBER.fullmatch(to)):
            return refused("to is no telephone number")
        try:
            data = short_message.user_data(message)
            fate = self._centre.submit(sender, to, data, datetime.datetime.now(datetime.UTC), self._loop.time())
        except (MessageError, FullError) as error:
            return refused(str(error))
        self._write_tap(sender, to, data, fate)
        return {"type": "submitted", "id": name}

    def _deliver(self) -> None:
        """Give out what is due, and come back when the next is."""
        for attempt in self._centre.attempts(self._loop.time()):
            self._send(attempt.client, short_message.delivered(attempt.delivery))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (due_s := self._centre.due_s) is not None:
            self._timer = self._loop.call_at(due_s, self._deliver)

    def _send(self, client: int, message: dict[str, Any]) -> None:
        writer = self._writers[client]
        if writer.is_closing():
            return
        if writer.transport.get_write_buffer_size() > MAX_BACKLOG_OCTETS:
            complain(f"message centre: cut off {self._who(client)}, who does not read")
            writer.transport.abort()
            return
        writer.write(short_message.line(message))

    def _who(self, client: int) -> str:
        return self._centre.number(client) or "a client without a number"

    def _write_tap(self, sender: str, to: str, data: UserData, fate: Fate) -> None:
        if self._tap is None:
            return
        entry = {
            "t_ns": time.monotonic_ns(),
            "utc": utc_now(),
            "from": sender,
            "to": to,
            "octets": len(data.octets),
            **short_message.described(data),
            "fate": fate,
        }
        self._tap.write(json.dumps(entry) + "\n")


async def run_smsc(listen: tuple[str, int], manners: Manners, tap: Path | None) -> None:
    """Be the message centre until SIGINT or SIGTERM. Port 0 takes a free one. IPv4, as the whole simulated world.

    Raises SimulatorError when the address cannot be listened on, or the tap cannot be written.
    """
    stop = stop_on_signals()
    with contextlib.ExitStack() as resources:
        exchange = Exchange(MessageCentre(manners), resources.enter_context(appended_lines(tap)))
        try:
            server = await asyncio.start_server(
                exchange.serve_client, *listen, family=socket.AF_INET, limit=MAX_LINE_OCTETS
            )
        except OSError as error:
            raise SimulatorError(f"cannot listen on {listen[0]}:{listen[1]}: {error}; name another port") from error
        host, port = server.sockets[0].getsockname()
        say(f"message centre listening on {host}:{port}")
        await stop.wait()
        server.close()
        await exchange.close()
