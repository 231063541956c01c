"""What of the device's API the page may use, handed on over the daemon's socket for the console.

Nothing is kept or understood here: the daemon decides. Bodies, answers, times and streams are bounded.
"""

import asyncio
import re
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp import web

MAX_BODY_OCTETS = 4096
MAX_ANSWER_OCTETS = 1024 * 1024
MAX_STREAMS = 4
"""One kiosk has one page. A browser that was reloaded may still hold its last one for a moment."""
ANSWER_S = 10.0
SILENCE_S = 15.0
"""The daemon says something every 5 s; one that has said nothing for so long is gone."""
ALLOWED: Final = (
    ("GET", "/status"),
    ("GET", "/inbox"),
    ("GET", "/privacy"),
    ("GET", "/checkin"),
    ("GET", "/settings"),
    ("PUT", "/settings"),
    ("POST", "/alert"),
    ("POST", "/alert/cancel"),
    ("POST", "/duty"),
    ("POST", "/checkin"),
    ("POST", "/inbox/{number:[0-9]{1,10}}/read"),
    ("POST", "/inbox/{number:[0-9]{1,10}}/answer"),
)
_KEY = re.compile(r"[A-Za-z0-9-]{1,64}")


class Daemon:
    """The device's API, as the page sees it."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._streams = 0

    def routes(self) -> list[web.RouteDef]:
        """Everything that is handed on, below /api."""
        calls = [web.route(method, f"/api{path}", self.call) for method, path in ALLOWED]
        return [*calls, web.get("/api/events", self.events)]

    async def call(self, request: web.Request) -> web.Response:
        """Hand one call on, and its answer back."""
        headers = {}
        if (key := request.headers.get("Idempotency-Key")) is not None:
            if _KEY.fullmatch(key) is None:
                return problem(400, "an Idempotency-Key is 1 to 64 letters, digits and hyphens")
            headers["Idempotency-Key"] = key
        body = await request.read()
        if body:
            if request.content_type != "application/json":
                return problem(415, "the body of a call is application/json")
            headers["Content-Type"] = "application/json"
        path = request.path.removeprefix("/api")
        try:
            async with (
                self._session() as session,
                session.request(request.method, f"http://daemon{path}", data=body, headers=headers) as answer,
            ):
                octets = await answer.content.read(MAX_ANSWER_OCTETS + 1)
                while len(octets) <= MAX_ANSWER_OCTETS and (more := await answer.content.read(MAX_ANSWER_OCTETS)):
                    octets += more
        except TimeoutError:
            return problem(504, "the device's service does not answer in time")
        except (aiohttp.ClientError, OSError) as error:
            return problem(502, f"the device's service does not answer: {error}")
        if len(octets) > MAX_ANSWER_OCTETS:
            return problem(502, "the device's service answered more than a page can use")
        return web.Response(status=answer.status, body=octets, content_type="application/json")

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Hand the daemon's server-sent events on until one of the two sides ends."""
        if self._streams >= MAX_STREAMS:
            return problem(503, f"there are {MAX_STREAMS} streams already")
        self._streams += 1
        try:
            return await self._hand_on(request)
        finally:
            self._streams -= 1

    async def _hand_on(self, request: web.Request) -> web.StreamResponse:
        timeout = aiohttp.ClientTimeout(connect=ANSWER_S, sock_read=SILENCE_S)
        response = None
        try:
            async with self._session(timeout) as session, session.get("http://daemon/events") as answer:
                if answer.status != 200:
                    return problem(502, f"the device's service answered {answer.status}")
                response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    await asyncio.wait_for(response.write(chunk), SILENCE_S)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            if response is None:
                return problem(502, f"the device's service does not answer: {error}")
        # the page asks again
        return response

    def _session(self, timeout: aiohttp.ClientTimeout | None = None) -> aiohttp.ClientSession:
        # A connection each: a kept one may be of a daemon that has ended, and then a write fails that need not.
        connector = aiohttp.UnixConnector(str(self._socket), force_close=True)
        return aiohttp.ClientSession(
            connector=connector,
            timeout=timeout or aiohttp.ClientTimeout(total=ANSWER_S),
            cookie_jar=aiohttp.DummyCookieJar(),
        )


def problem(status: int, text: str) -> web.Response:
    """An answer that says what is wrong, in the form of the device's API."""
    return web.json_response({"error": text}, status=status)
