"""A console in this process, over a pretended device: for tests of who is let in and what is handed on."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from bondmate.console.app import serve
from bondmate.console.gate import COOKIE, Gate
from bondmate.console.token import TOKEN_FILE
from tests.console.contract import Pretended, pretended
from tests.eventually import running


@dataclass
class Served:
    """What a test has in its hands."""

    device: Pretended
    origin: str
    token: str
    runtime: Path
    client: aiohttp.ClientSession

    @property
    def cookie(self) -> str:
        """Of a browser that was let in."""
        return f"{COOKIE}={Gate(self.origin.removeprefix('http://'), self.token).cookie}"

    async def ask(
        self, method: str, path: str, body: Any = None, *, without: tuple[str, ...] = (), **headers: str
    ) -> tuple[int, Any]:
        """What the page itself would send, with other headers (`Sec_Fetch_Site=…`), or without some of them."""
        sent = {"Cookie": self.cookie, "Sec-Fetch-Site": "same-origin", "Content-Type": "application/json"}
        if method != "GET":
            sent |= {"Origin": self.origin, "X-BondMate": "1"}
        sent |= {name.replace("_", "-"): text for name, text in headers.items()}
        for name in without:
            sent.pop(name, None)
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        async with self.client.request(
            method, URL(f"{self.origin}{path}", encoded=True), data=data, headers=sent
        ) as answer:
            assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self';")
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            return answer.status, await answer.json() if answer.content_type == "application/json" else None


@asynccontextmanager
async def served(directory: Path) -> AsyncIterator[Served]:
    """Both, for as long as the block lasts."""
    runtime = directory / "console"
    runtime.mkdir(mode=0o700, exist_ok=True)
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    api = directory / "api.sock"
    async with (
        pretended(api) as device,
        running(serve(api, runtime, ("127.0.0.1", 0), ready.set_result)),
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as client,
    ):
        origin = await asyncio.wait_for(ready, 10)
        yield Served(device, origin, (runtime / TOKEN_FILE).read_text(), runtime, client)
