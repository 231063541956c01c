"""The door of a socket: who comes in, how many at once, and how fast they are served.

Whoever hammers on it waits outside, in the kernel's queue: what the event loop spends on the API is bounded, and a
press of the button never waits behind it.
"""

import asyncio
import json
import socket
from collections.abc import Callable
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler

from bondmate.api.authority import Peer, peer_of
from bondmate.api.pace import Pace

MAX_CONNECTIONS = 24
"""Eight streams of events, and more tools than anybody uses at a time."""
WAITING = 64
"""Connections in the kernel's queue; behind them connect() waits, or fails."""
REQUEST_EVERY_S = 0.01
REQUESTS_AT_ONCE = 50
"""The page asks a handful of things when it is opened, and then listens. On the slowest board a request takes 3 ms."""
ENTRANCE_EVERY_S = 0.01
ENTRANCES_AT_ONCE = 50
"""A connection costs as much as a request, also one that is refused, or brings nothing that is HTTP."""
REFUSAL_HELD_S = 0.2
"""So long a refused connection stays open: closed at once, its client could not write its request and read why."""
SWEEP_S = 5.0
"""A connection that brought no request, or took no octet of what it was sent, from one sweep to the next is closed."""
OUT_OF_FILES_S = 1.0


class Door:
    """Lets connections into one aiohttp server."""

    def __init__(self, admits: Callable[[Peer], bool]) -> None:
        self._admits = admits
        self._pace = Pace(REQUEST_EVERY_S, REQUESTS_AT_ONCE)
        self._came: set[web.RequestHandler] = set()
        """Connections that brought a request; those that have gone are forgotten at the next sweep."""
        self._entrances = Pace(ENTRANCE_EVERY_S, ENTRANCES_AT_ONCE)
        self._refused: set[socket.socket] = set()
        self._silent: set[web.RequestHandler] = set()
        """At the last sweep they had brought none."""
        self._unread: dict[web.RequestHandler, int] = {}
        """How many octets of its answer each had not taken, at the last sweep."""

    @web.middleware
    async def paced(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Each request in its turn."""
        self._came.add(request.protocol)
        if wait_s := self._pace.wait_s(asyncio.get_running_loop().time()):
            await asyncio.sleep(wait_s)
        return await handler(request)

    async def serve(self, server: web.Server, listener: socket.socket) -> None:
        """Let connections in until cancelled."""
        loop = asyncio.get_running_loop()
        sweeping = loop.create_task(self._sweep(server))
        try:
            while True:
                try:
                    connection, _ = listener.accept()
                except BlockingIOError:
                    await _readable(listener)
                except OSError:
                    await asyncio.sleep(OUT_OF_FILES_S)
                else:
                    await self._let_in(server, connection)
                    await asyncio.sleep(self._entrances.wait_s(loop.time()))
        finally:
            sweeping.cancel()
            for connection in list(self._refused):
                self._forget(connection)

    async def _let_in(self, server: web.Server, connection: socket.socket) -> None:
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            if not self._admits(peer_of(connection)):
                self._refuse(connection, HTTPStatus.FORBIDDEN, "this socket is not for you")
            elif len(server.connections) >= MAX_CONNECTIONS:
                self._refuse(connection, HTTPStatus.SERVICE_UNAVAILABLE, "too many connections: try again later")
            else:
                await loop.connect_accepted_socket(server, connection)
        except OSError:  # it has gone already
            self._forget(connection)

    def _refuse(self, connection: socket.socket, status: HTTPStatus, text: str) -> None:
        """Answer without reading: octets that are ready, and no parser."""
        body = json.dumps({"error": text})
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json; charset=utf-8\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self._refused.add(connection)
        asyncio.get_running_loop().call_later(REFUSAL_HELD_S, self._forget, connection)
        connection.send((head + body).encode())
        connection.shutdown(socket.SHUT_WR)

    def _forget(self, connection: socket.socket) -> None:
        connection.close()
        self._refused.discard(connection)

    async def _sweep(self, server: web.Server) -> None:
        """Close what only takes up room."""
        while True:
            await asyncio.sleep(SWEEP_S)
            silent: set[web.RequestHandler] = set()
            unread: dict[web.RequestHandler, int] = {}
            self._came &= set(server.connections)
            for handler in server.connections:
                if not isinstance(transport := handler.transport, asyncio.WriteTransport):
                    continue
                left = transport.get_write_buffer_size()
                if handler not in self._came:
                    silent.add(handler)
                if left:
                    unread[handler] = left
                if handler in silent & self._silent or (left and self._unread.get(handler) == left):
                    transport.abort()
            self._silent, self._unread = silent, unread


async def _readable(listener: socket.socket) -> None:
    """Wait for somebody to knock."""
    # not sock_accept: cancelled just as somebody comes, it loses the connection, and says so aloud
    loop, knocked = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(listener, knocked.set)
    try:
        await knocked.wait()
    finally:
        loop.remove_reader(listener)
