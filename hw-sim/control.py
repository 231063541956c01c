"""A Unix socket at which a running part of the simulator is told what to do, in JSON lines: one request, one answer.

`{"id": N, "op": …}` is answered by `{"id": N}` with what the request gives, or by `{"id": N, "error": "…"}`.
"""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from bondmate_sim.errors import ControlUnreachableError, SimulatorError
from bondmate_sim.service import listen_unix

MAX_LINE_OCTETS = 16_384
MAX_CLIENTS = 8
ANSWER_TIMEOUT_S = 5.0
"""An answer takes well under a millisecond; this long, and the other end hangs."""

Suffer = Callable[[dict[str, Any]], dict[str, Any]]


@contextlib.asynccontextmanager
async def control_socket(path: Path | None, suffer: Suffer) -> AsyncIterator[None]:
    """Serve the socket `path` (mode 0600); None for none. `suffer` does a request, and raises ValueError if it cannot.

    Raises SimulatorError when it cannot be made.
    """
    if path is None:
        yield
        return
    clients: dict[asyncio.StreamWriter, asyncio.Event] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served = clients[writer] = asyncio.Event()
        try:
            # a line that is too long is a ValueError; whoever sends one is not talked to any longer
            while len(clients) <= MAX_CLIENTS and (line := await reader.readline()):
                writer.write(json.dumps(_answer(line, suffer)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):
            pass
        finally:
            del clients[writer]
            writer.close()
            served.set()

    with contextlib.ExitStack() as resources:
        listener = resources.enter_context(listen_unix(path, "modem", "--control"))
        resources.callback(path.unlink, missing_ok=True)
        server = await asyncio.start_unix_server(serve, sock=listener, limit=MAX_LINE_OCTETS)
        try:
            yield
        finally:
            server.close()
            leaving = list(clients.items())
            for writer, _ in leaving:
                writer.close()
            for _, served in leaving:
                await served.wait()


def _answer(line: bytes, suffer: Suffer) -> dict[str, Any]:
    number = None
    try:
        request = json.loads(line)
        if not isinstance(request, dict):
            return {"id": None, "error": "a request is one JSON object on one line"}
        number = request.get("id")
        return {"id": number} | suffer(request)
    except (ValueError, RecursionError) as error:
        return {"id": number, "error": str(error)}


class ControlClient:
    """A connection to a control socket. Use it as a context manager."""

    def __init__(self, path: Path) -> None:
        """Connect to the socket `path`. Raises ControlUnreachableError."""
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(ANSWER_TIMEOUT_S)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise ControlUnreachableError(
                f"nobody answers at {path} ({error.strerror or error}); start a modem with --control {path}"
            ) from error
        self._lines = self._socket.makefile("rb")

    def __enter__(self) -> "ControlClient":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._lines.close()
        self._socket.close()

    def request(self, op: str, **fields: Any) -> dict[str, Any]:
        """Have one thing done, and wait until it is.

        Raises ControlUnreachableError when the other end is gone or silent, SimulatorError when it refuses.
        """
        try:
            self._socket.sendall(json.dumps({"id": 1, "op": op, **fields}).encode() + b"\n")
            line = self._lines.readline(MAX_LINE_OCTETS)
        except OSError as error:
            raise ControlUnreachableError(f"no answer from {self._path} ({error})") from error
        if not line:
            raise ControlUnreachableError(f"whoever served {self._path} went away; start it again")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise SimulatorError(f"{self._path} refuses {op}: {answer['error']}")
        return answer
