"""The HTTP face of the gateway: bundles, to be read with byte ranges (RFC 9110, section 14), and nothing else.

A bundle is believed by its own signature, so that whoever reaches this port may read it. The only importer of aiohttp
here.
"""

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import apsw
from aiohttp import hdrs, web

from bondmate_sim.gateway import bundles
from bondmate_sim.gateway.database import Database

MAX_CONNECTIONS = 64
"""A force's devices come in batches. Whoever is turned away comes again."""

FIRST_REQUEST_S = 10.0
"""Whoever connects and asks for nothing does not keep the place of somebody who would."""

LONGEST_S = 3600.0
"""So long an answer takes at most: whoever reads slower goes on where it was broken off."""

_KEEP_ALIVE_S = 30.0
_SHUTDOWN_S = 1.0
_MAX_LINE_OCTETS, _MAX_HEADERS = 2048, 32
_RANGE = re.compile(r"bytes=[ \t]*(?:([0-9]+)-([0-9]*)|-([0-9]+))[ \t]*", re.ASCII | re.IGNORECASE)


@contextlib.asynccontextmanager
async def serving(database: Database, data_dir: Path, listener: socket.socket) -> AsyncIterator[None]:
    """Serve the bundles that are registered, on a bound socket, inside the block."""
    door = _Door()
    runner = web.AppRunner(
        application(database, data_dir, door.asked),
        access_log=None,
        shutdown_timeout=_SHUTDOWN_S,
        keepalive_timeout=_KEEP_ALIVE_S,
        max_line_size=_MAX_LINE_OCTETS,
        max_field_size=_MAX_LINE_OCTETS,
        max_headers=_MAX_HEADERS,
    )
    await runner.setup()
    try:
        door.server = runner.server
        server = await asyncio.get_running_loop().create_server(door, sock=listener)
        try:
            yield
        finally:
            # Not waited for: that would be for those who are being served, whom only the runner ends.
            server.close()
    finally:
        await runner.cleanup()


def application(database: Database, data_dir: Path, asked: Callable[[Any], None]) -> web.Application:
    """Return what answers `GET` and `HEAD` of the names of bundles; `asked` hears of the connection of each request."""

    async def bundle(request: web.Request) -> web.StreamResponse:
        try:
            found = bundles.find(database, request.match_info["version"])
            if found is None:
                raise web.HTTPNotFound
            return _File(bundles.path(data_dir, found))
        except (apsw.Error, OSError) as error:
            raise web.HTTPServiceUnavailable from error

    @web.middleware
    async def heard(request: web.Request, handler: Any) -> web.StreamResponse:
        asked(request.protocol)
        answer: web.StreamResponse = await handler(request)
        return answer

    made = web.Application(middlewares=[heard])
    made.add_routes([web.get(f"/{{version}}{bundles.SUFFIX}", bundle)])
    return made


class _File(web.FileResponse):
    """A file of which a request gets the range that it asks for, or the whole."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, headers={hdrs.CONTENT_TYPE: "application/octet-stream"})
        found = path.stat()
        # As the library makes it, of a file that never changes under its name.
        self._own_etag = f'"{found.st_mtime_ns:x}-{found.st_size:x}"'

    async def prepare(self, request: web.BaseRequest) -> Any:
        """Send it."""
        headers = request.headers.copy()
        wanted = understood(
            request.method, headers.popall(hdrs.RANGE, []), headers.popall(hdrs.IF_RANGE, []), self._own_etag
        )
        # There is one representation, and it is sent as it is.
        headers.popall(hdrs.ACCEPT_ENCODING, None)
        if wanted is not None:
            headers[hdrs.RANGE] = wanted
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("whoever asked is gone")
        # Not by a timeout, which would leave the file open that the library opens in a thread.
        end = asyncio.get_running_loop().call_later(LONGEST_S, transport.abort)
        try:
            return await super().prepare(request.clone(headers=headers))
        finally:
            end.cancel()


def understood(method: str, ranges: list[str], conditions: list[str], etag: str) -> str | None:
    """Return the one range that a request asks for, as a Range header, or None when it gets the whole.

    What the library would refuse, or serve in spite of a condition, is left out: several ranges, another unit, what is
    no range, a method other than GET, an If-Range that does not name this `etag` (RFC 9110, sections 13.1.5 and 14.2).
    """
    if method != hdrs.METH_GET or len(ranges) != 1 or any(each != etag for each in conditions):
        return None
    found = _RANGE.fullmatch(ranges[0])
    if found is None:
        return None
    first, last, suffix = found.groups()
    if suffix is not None:
        return f"bytes=-{int(suffix)}" if int(suffix) else None
    if last and int(last) < int(first):
        return None
    return f"bytes={int(first)}-{int(last) if last else ''}"


class _Door:
    """Lets only so many connections in at a time, and ends those that ask for nothing."""

    def __init__(self) -> None:
        self.server: web.Server | None = None
        """Set once it is there, for it is made of an application that knows this."""
        self._silent: dict[Any, asyncio.TimerHandle] = {}

    def __call__(self) -> asyncio.BaseProtocol:
        assert self.server is not None  # noqa: S101 - nobody is let in before
        if len(self.server.connections) >= MAX_CONNECTIONS:
            return _TurnedAway()
        made = self.server()
        self._silent[made] = asyncio.get_running_loop().call_later(FIRST_REQUEST_S, self._end, made)
        return made

    def asked(self, connection: Any) -> None:
        """Let a connection that asked for something stay."""
        timer = self._silent.pop(connection, None)
        if timer is not None:
            timer.cancel()

    def _end(self, connection: Any) -> None:
        del self._silent[connection]
        if connection.transport is not None:
            connection.transport.abort()


class _TurnedAway(asyncio.Protocol):
    """A connection for which there is no room."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """End it."""
        transport.close()
