"""The state of the device as server-sent events (HTML Living Standard, section 9.2): for whoever shows it live.

Small and bounded: a stream holds what one picture takes, and nothing is kept for a reader that does not read.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from aiohttp import web

from bondmate.api.inbox import Inbox
from bondmate.api.requests import RefusalError
from bondmate.changes import Changes
from bondmate.device import Device
from bondmate.errors import StoreError

MAX_STREAMS = 8
"""Through one socket."""
GAP_S = 0.05
"""Changes that come faster make one event."""
HEARTBEAT_S = 5.0
"""At least so often: ages grow without a change, and whoever hears nothing for longer knows that nobody is there."""
INBOX_S = 1.0
"""The inbox is in the store, which has better to do: it is looked at again no sooner, unless its count has changed."""


class Painter(Protocol):
    """Makes what streams show."""

    changes: Changes

    def status(self, now: float) -> bytes:
        """The event `status`."""

    async def inbox(self, now: float) -> bytes:
        """The event `inbox`."""


class Pictures:
    """What streams show, made once for all of them."""

    def __init__(self, device: Device, status: Callable[[float], dict[str, Any]], inbox: Inbox) -> None:
        self.changes = device.changes
        self._device = device
        self._make_status = status
        self._inbox = inbox
        self._status: tuple[int, float, bytes] | None = None
        self._letters = b""
        self._looked: tuple[int, int] = -1, -1
        self._looked_s = 0.0
        self._looking: asyncio.Task[None] | None = None

    def status(self, now: float) -> bytes:
        """The event `status`."""
        if self._status is None or self._status[0] != self.changes.count or now - self._status[1] >= GAP_S:
            self._status = self.changes.count, now, event("status", self._make_status(now))
        return self._status[2]

    async def inbox(self, now: float) -> bytes:
        """The event `inbox` as it was read last. A store that hangs is waited for once, and no longer than a gap."""
        looked = self._device.mailbox.unread, self._inbox.acts
        is_old = looked != self._looked or now - self._looked_s >= INBOX_S
        if is_old and (self._looking is None or self._looking.done()):
            self._looking = asyncio.get_running_loop().create_task(self._look(looked, now))
            await asyncio.wait({self._looking}, timeout=GAP_S)
        return self._letters

    async def _look(self, looked: tuple[int, int], now: float) -> None:
        try:
            letters = event("inbox", await self._inbox.to_json())
        except StoreError:
            return  # it stays as it was
        self._looked, self._looked_s = looked, now
        if letters != self._letters:
            self._letters = letters
            self.changes.tell()


class Events:
    """The handler, for one socket."""

    def __init__(self, pictures: Painter) -> None:
        self._pictures = pictures
        self._streams: dict[asyncio.Task[Any], web.Request] = {}
        self.routes = (web.get("/events", self.stream, allow_head=False),)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Send the events until the reader goes, or the server."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a handler runs in one
        if sum(1 for each in self._streams.values() if not _is_gone(each)) >= MAX_STREAMS:
            raise RefusalError(503, f"{MAX_STREAMS} streams are open already")
        self._streams[task] = request
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        try:
            await response.prepare(request)
            await self._send(request, response.write)
        except ConnectionError:
            pass  # the reader has gone
        finally:
            del self._streams[task]
        return response

    async def end(self, _app: web.Application) -> None:
        """The server ends: no stream holds that up."""
        for task in self._streams:
            task.cancel()

    async def _send(self, request: web.Request, write: Callable[[bytes], Awaitable[None]]) -> None:
        loop, letters = asyncio.get_running_loop(), b""
        while not _is_gone(request):
            count = self._pictures.changes.count
            # a reader that has not taken the last picture gets none on top of it; the door closes it if it goes on
            if not _is_behind(request):
                pictures = self._pictures.status(loop.time())
                if (fresh := await self._pictures.inbox(loop.time())) != letters:
                    letters = fresh
                    pictures += fresh
                await write(pictures)
            await asyncio.sleep(GAP_S)
            if not _is_behind(request):
                await self._change(count)

    async def _change(self, count: int) -> None:
        try:
            async with asyncio.timeout(HEARTBEAT_S - GAP_S):
                await self._pictures.changes.after(count)
        except TimeoutError:
            pass


def event(name: str, data: Any) -> bytes:
    """As it is sent."""
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


def _is_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


def _is_behind(request: web.Request) -> bool:
    transport = request.transport
    return isinstance(transport, asyncio.WriteTransport) and transport.get_write_buffer_size() > 0
