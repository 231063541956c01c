"""The process in which the pins live: a board on a Unix socket, spoken to in JSON lines.

Two kinds of client: the device's pin factory claims lines as inputs and outputs; controllers press buttons and watch.
The board itself times a hold, so that a busy client cannot stretch it. It knows no gpiozero and nothing of the device.
docs/simulator.md has the protocol.
"""

import asyncio
import contextlib
import dataclasses
import json
import random
import time
from pathlib import Path
from typing import IO, Any

from bondmate_sim.console import say
from bondmate_sim.contact import press_schedule
from bondmate_sim.lines import PINS, Edge, Level, Line
from bondmate_sim.service import appended_lines, listen_unix, stop_on_signals
from bondmate_sim.stamp import utc_now

MAX_LINE_OCTETS = 16_384
"""Of one message; the longest that we send, all pins, has about 2,500."""
MAX_CLIENTS = 32
MAX_BACKLOG_OCTETS = 262_144
"""A client that reads nothing is cut off when so much waits for it: about 3,000 edges."""
MAX_HOLD_S = 600.0
UNKNOWN_REQUEST = "unknown request; docs/simulator.md lists each op and its fields"


class _RefusedError(Exception):
    """The request cannot be done; the text goes back to the client that sent it."""


class Board:
    """The lines, who claimed them, and who watches them."""

    def __init__(self, *, bounce_s: float, rng: random.Random, log: IO[str] | None) -> None:
        """`log`, opened for text and line-buffered, gets every edge as a JSON line."""
        self._lines = {pin: Line() for pin in PINS}
        self._owners: dict[int, _Client] = {}
        self._holds: dict[int, asyncio.Task[None]] = {}
        self._clients: set[_Client] = set()
        self._bounce_s = bounce_s
        self._rng = rng
        self._log = log

    async def serve_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one client until it goes; then its lines float again."""
        client = _Client(writer)
        if len(self._clients) >= MAX_CLIENTS:
            client.send({"id": None, "error": f"the board has {MAX_CLIENTS} clients already"})
            writer.close()
            return
        self._clients.add(client)
        try:
            await self._converse(client, reader)
        except ConnectionError:
            pass  # the client's process died; that is an ordinary end here
        finally:
            self._clients.discard(client)
            for pin in [pin for pin, owner in self._owners.items() if owner is client]:
                self._release(pin)
            writer.close()
            client.served.set()

    async def close(self) -> None:
        """Hang up on every client, and wait until they are served out."""
        for hold in self._holds.values():
            hold.cancel()
        leaving = list(self._clients)
        for client in leaving:
            client.hang_up()
        for client in leaving:
            await client.served.wait()

    async def _converse(self, client: "_Client", reader: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await reader.readline()
            except ValueError:
                client.send({"id": None, "error": f"a message has at most {MAX_LINE_OCTETS} octets; closing"})
                return
            if not line:
                return
            try:
                request = json.loads(line)
            except (ValueError, RecursionError):
                client.send({"id": None, "error": "a message is one JSON object on one line"})
                continue
            number = request.get("id") if isinstance(request, dict) else None
            try:
                answer = self._do(client, number, request)
            except _RefusedError as refused:
                answer = {"error": str(refused)}
            if answer is not None:
                client.send({"id": number, **answer})

    def _do(self, client: "_Client", number: Any, request: object) -> dict[str, Any] | None:
        """Carry one request out. None: the answer comes later."""
        match request:
            case {"op": "pins"}:
                return {"pins": [self._describe(pin) for pin in PINS]}
            case {"op": "watch", "pin": None}:
                client.watched.update(PINS)
                return {"pins": [self._describe(pin) for pin in PINS]}
            case {"op": op, "pin": int(pin)} if pin not in PINS:
                raise _RefusedError(f"{op}: there is no pin {pin}; pins are {PINS.start} to {PINS.stop - 1}")
            case {"op": "hold", "pin": int(pin), "seconds": (int() | float()) as seconds}:
                if not 0 < seconds <= MAX_HOLD_S:
                    raise _RefusedError(f"hold: {seconds} s is not between 0 and {MAX_HOLD_S:.0f} s")
                self._free_hand(pin)
                self._holds[pin] = asyncio.create_task(self._hold(client, number, pin, float(seconds)))
                return None
            case {"op": _, "pin": int(pin)}:
                self._do_at_pin(client, pin, request)
                return self._describe(pin)
            case _:
                raise _RefusedError(UNKNOWN_REQUEST)

    def _do_at_pin(self, client: "_Client", pin: int, request: object) -> None:
        match request:
            case {"op": "read"}:
                pass
            case {"op": "watch"}:
                client.watched.add(pin)
            case {"op": "unwatch"}:
                client.watched.discard(pin)
            case {"op": "input", "pull": ("up" | "down" | "floating") as pull}:
                self._claim(client, pin)
                self._change(pin, dataclasses.replace(self._lines[pin], function="input", pull=pull))
            case {"op": "output", "level": (0 | 1) as level, **others}:
                self._claim(client, pin)
                line = dataclasses.replace(self._lines[pin], function="output", output=1 if level else 0)
                self._change(pin, line, _since(others.get("t_ns")))
            case {"op": "release"}:
                if self._owners.get(pin) is client:
                    self._release(pin)
            case {"op": "drive", "level": (0 | 1 | None) as level}:
                self._free_hand(pin)
                self._drive(pin, None if level is None else 1 if level else 0)
            case {"op": "short", "level": (0 | 1 | None) as level}:
                to: Level | None = None if level is None else 1 if level else 0
                self._change(pin, dataclasses.replace(self._lines[pin], shorted=to))
            case _:
                raise _RefusedError(UNKNOWN_REQUEST)

    def _claim(self, client: "_Client", pin: int) -> None:
        if self._owners.setdefault(pin, client) is not client:
            raise _RefusedError(f"pin {pin} is in use by another process; stop that one first")

    def _free_hand(self, pin: int) -> None:
        if pin in self._holds:
            raise _RefusedError(f"pin {pin} is being held; wait for its release")

    def _release(self, pin: int) -> None:
        del self._owners[pin]
        self._change(pin, Line(driven=self._lines[pin].driven, shorted=self._lines[pin].shorted))

    async def _hold(self, client: "_Client", number: Any, pin: int, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        start, pressed_ns = loop.time(), time.monotonic_ns()
        try:
            for drive in press_schedule(seconds, self._bounce_s, self._rng):
                await asyncio.sleep(start + drive.offset_s - loop.time())
                self._drive(pin, drive.level)
        finally:
            del self._holds[pin]
        client.send({"id": number, "pressed_ns": pressed_ns, "released_ns": time.monotonic_ns()})

    def _drive(self, pin: int, level: Level | None) -> None:
        self._change(pin, dataclasses.replace(self._lines[pin], driven=level))

    def _change(self, pin: int, line: Line, t_ns: int | None = None) -> None:
        before, self._lines[pin] = self._lines[pin].level, line
        if line.level == before:
            return
        edge = Edge(pin, line.level, t_ns or time.monotonic_ns(), utc_now())
        if self._log is not None:
            self._log.write(json.dumps(dataclasses.asdict(edge)) + "\n")
        for client in self._clients:
            if pin in client.watched:
                client.send({"edge": dataclasses.asdict(edge)})

    def _describe(self, pin: int) -> dict[str, Any]:
        line = self._lines[pin]
        return {
            "pin": pin,
            "function": line.function,
            "pull": line.pull,
            "level": line.level,
            "driven": line.driven,
            "claimed": pin in self._owners,
        }


def _since(t_ns: object) -> int | None:
    """When the device changed its line; None: now. A busy machine brings the board's turn late."""
    now = time.monotonic_ns()
    if t_ns is None:
        return None
    if not isinstance(t_ns, int) or not 0 < t_ns <= now:
        raise _RefusedError(f"output: t_ns is no time of CLOCK_MONOTONIC up to now, {now}")
    return t_ns


class _Client:
    """One connection: what it watches, and a bounded way to it."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.watched: set[int] = set()
        self._writer = writer
        self.served = asyncio.Event()

    def hang_up(self) -> None:
        self._writer.close()

    def send(self, message: dict[str, Any]) -> None:
        if self._writer.is_closing():
            return
        if self._writer.transport.get_write_buffer_size() > MAX_BACKLOG_OCTETS:
            self._writer.transport.abort()
            return
        self._writer.write(json.dumps(message).encode() + b"\n")


async def run_board(path: Path, *, bounce_s: float = 0.0, seed: int | None = None, log: Path | None = None) -> None:
    """Serve a board at the Unix socket `path` (mode 0600) until SIGINT or SIGTERM.

    Raises SimulatorError when a board serves there already, or socket or log cannot be made.
    """
    stop = stop_on_signals()
    with contextlib.ExitStack() as resources:
        log_file = resources.enter_context(appended_lines(log))
        board = Board(bounce_s=bounce_s, rng=random.Random(seed), log=log_file)  # noqa: S311 - chatter, not secrets
        listener = resources.enter_context(listen_unix(path, "board", "--socket"))
        resources.callback(path.unlink, missing_ok=True)
        server = await asyncio.start_unix_server(board.serve_client, sock=listener, limit=MAX_LINE_OCTETS)
        say(f"board on {path}")
        await stop.wait()
        server.close()
        await board.close()
