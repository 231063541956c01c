"""The console's HTTP server: the bare page for anybody on this board, and the device for the kiosk's browser alone."""

import asyncio
import logging
import math
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from bondmate.console.forward import MAX_BODY_OCTETS, Daemon, problem
from bondmate.console.gate import COOKIE, SECURITY_HEADERS, Gate

log = logging.getLogger(__name__)

_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}


class Console:
    """The handlers, over one gate and one daemon."""

    def __init__(self, gate: Gate, api_socket: Path) -> None:
        self._gate = gate
        self._files = _shell()
        self.app = web.Application(client_max_size=MAX_BODY_OCTETS, middlewares=[self._guard])
        self.app.on_response_prepare.append(_say_what_a_browser_must_know)
        self.app.add_routes([web.post("/enter", self.enter), *Daemon(api_socket).routes()])
        self.app.add_routes([web.get(path, self.file) for path in self._files])

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Nothing is read of a body, and no handler runs, before the request was let in."""
        is_shell = request.path in self._files
        refusal = self._gate.refuse(request.method, request.headers, is_shell=is_shell)
        if refusal is not None:
            return problem(refusal.status, refusal.why)
        if not is_shell and request.path != "/enter" and not self._gate.knows(request.cookies.get(COOKIE)):
            return problem(401, "only the kiosk's browser is let in")
        try:
            return await handler(request)
        except web.HTTPException as error:
            return problem(error.status, error.text or error.reason)

    async def enter(self, request: web.Request) -> web.Response:
        """Let the browser in that has the token: from now on its cookie says so."""
        now = asyncio.get_running_loop().time()
        refusal = self._gate.enter((await request.read()).decode(errors="replace"), now)
        if refusal is not None:
            answer = problem(refusal.status, refusal.why)
            if refusal.status == 429:
                answer.headers["Retry-After"] = str(math.ceil(self._gate.wait_s(now)))
            else:
                log.warning("somebody on this board came with a wrong token")
            return answer
        answer = web.Response(status=204)
        answer.set_cookie(COOKIE, self._gate.cookie, httponly=True, samesite="Strict", path="/")
        return answer

    async def file(self, request: web.Request) -> web.Response:
        """A file of the bare page: it shows nothing of the device."""
        body, content_type = self._files[request.path]
        return web.Response(
            body=body, content_type=content_type, charset="utf-8", headers={"Cache-Control": "no-cache"}
        )


def _shell() -> dict[str, tuple[bytes, str]]:
    """All files of the page by their paths, read once: no path that a request names ever reaches the disk."""
    static = resources.files("bondmate.console") / "static"
    files: dict[str, tuple[bytes, str]] = {}

    def collect(folder: Traversable, prefix: str) -> None:
        for entry in folder.iterdir():
            if entry.is_dir():
                collect(entry, f"{prefix}{entry.name}/")
            elif (content_type := _TYPES.get(Path(entry.name).suffix)) is not None:
                files[f"{prefix}{entry.name}"] = (entry.read_bytes(), content_type)

    collect(static, "/")
    files["/"] = files.pop("/index.html")
    return files


async def _say_what_a_browser_must_know(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(SECURITY_HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")
