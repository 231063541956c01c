"""A web server that gives out one bundle, and misbehaves as a test says."""

import contextlib
import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from bondmate.updater.order import Order

BUNDLE = bytes(range(256)) * 4096  # 1 MiB, no two blocks of 64 KiB of which are the same but by their place
ORDER = Order(7, "1.2.3", "", len(BUNDLE), hashlib.sha256(BUNDLE).hexdigest())


@dataclass
class Web:
    """What is asked for, and how it is answered."""

    content: bytes = BUNDLE
    ranges: bool = True
    breaks_after: list[int] = field(default_factory=list)
    """For each answer the octets of its body behind which it breaks off; after those it is whole."""
    status: int | None = None
    """An answer without a body."""
    told_octets: int | None = None
    """The length that it tells, which is another one."""
    shift: int = 0
    """It begins so many octets further on than it was asked to."""
    holds: threading.Event | None = None
    """Half of an answer is held back until this is set."""
    asked: list[str | None] = field(default_factory=list)
    """The ranges that were asked for."""
    url: str = ""

    @property
    def order(self) -> Order:
        return replace(ORDER, url=self.url)


@contextlib.contextmanager
def serving(web: Web) -> Iterator[Web]:
    """A server on a free port of this host."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(web, self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        web.url = f"http://127.0.0.1:{server.server_address[1]}/b/bundle.raucb?x=1"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield web
        finally:
            server.shutdown()
            thread.join()


def answer(web: Web, request: BaseHTTPRequestHandler) -> None:
    """Answer one request."""
    wanted = request.headers["Range"]
    web.asked.append(wanted)
    if web.status is not None:
        request.send_error(web.status)
        return
    match = re.fullmatch(r"bytes=(\d+)-", wanted or "")
    begin = int(match[1]) + web.shift if match and web.ranges else 0
    body, told = web.content[begin:], web.told_octets or len(web.content)
    request.send_response(206 if web.ranges else 200)
    if web.ranges:
        request.send_header("Content-Range", f"bytes {begin}-{told - 1}/{told}")
    request.send_header("Content-Length", str(told - begin))
    request.end_headers()
    write(web, body, request.wfile.write)


def write(web: Web, body: bytes, send: Callable[[bytes], object]) -> None:
    if web.breaks_after:
        body = body[: web.breaks_after.pop(0)]
    if web.holds is not None:
        send(body[: len(body) // 2])
        web.holds.wait()
        body = body[len(body) // 2 :]
    with contextlib.suppress(OSError):  # whoever asked has gone
        send(body)
