"""A pretended device and a real console, each a process of its own, and what a test does with them."""

import http.client
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from playwright.sync_api import Page

from bondmate.console.token import TOKEN_FILE
from bondmate_sim.commands import command_line
from bondmate_sim.process import Process, wait_until
from tests.console.contract import PRIVACY, STATUS

T = TypeVar("T")
WAIT_S = 30.0


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=5)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(str(self._path))


class Desk:
    """Starts both; `close` ends them."""

    def __init__(self) -> None:
        # the path of a Unix socket has at most 107 octets
        self.run = Path(tempfile.mkdtemp(prefix="bondmate-console-"))
        self.socket = self.run / "api.sock"
        self.device = Process(
            "device", [sys.executable, "-m", "tests.console.contract", str(self.socket)], self.run / "device.log"
        )
        self.port = 0
        self.console = Process("bondmate-console", [], self.run / "console.log")
        self.start_device()
        self.start_console()

    def start_device(self) -> None:
        self.socket.unlink(missing_ok=True)
        self.device.start()
        self.device.wait_for_line("device$", WAIT_S)

    def start_console(self) -> None:
        """Start it, or start it again where it was."""
        self.console.command = command_line(
            "bondmate-console", "--api", self.socket, "--runtime", self.run, "--listen", f"127.0.0.1:{self.port}"
        )
        self.console.start()
        self.port = int(self.console.wait_for_line(r".* page at http://127\.0\.0\.1:(\d+)/$", WAIT_S)[1])

    @contextmanager
    def hung(self) -> Iterator[None]:
        """For as long as the block lasts the device takes calls and answers none."""
        pid = self.device.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    @property
    def address(self) -> str:
        """Where the kiosk's browser is sent."""
        return f"http://127.0.0.1:{self.port}/#{(self.run / TOKEN_FILE).read_text()}"

    def become(self, **what: Any) -> None:
        """Let the device be so."""
        self._exchange("POST", json.dumps(what))

    def fresh(self) -> None:
        """As at the beginning of a test."""
        settings = {"language": "en", "covert": False}
        self.become(status=STATUS, inbox=[], privacy=PRIVACY, settings=settings, calls=[], fail=[], wrong=0)

    @property
    def calls(self) -> list[dict[str, Any]]:
        """Every write that reached the device, each try."""
        calls: list[dict[str, Any]] = self._exchange("GET")
        return calls

    def called(self, number: int) -> list[dict[str, Any]]:
        """The calls, as soon as there are so many."""
        return wait_until(lambda: seen if len(seen := self.calls) >= number else None, WAIT_S, f"{number} calls")

    def close(self) -> None:
        self.console.stop()
        self.device.stop()
        shutil.rmtree(self.run)

    def _exchange(self, method: str, body: str | None = None) -> Any:
        connection = _Connection(self.socket)
        try:
            connection.request(method, "/test", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            assert response.status == 200
            return json.loads(response.read())
        finally:
            connection.close()


def enter(page: Page, desk: Desk, view: str = "") -> None:
    """As the kiosk does at its start; returns when the page shows the device."""
    page.goto(desk.address)
    page.locator(".facts").wait_for()
    if view:
        go(page, view)


def go(page: Page, view: str) -> None:
    """To a view, by its address."""
    page.evaluate("view => { location.hash = `#/${view}` }", view)
    page.wait_for_function(
        "view => location.hash === `#/${view}` && document.body.dataset.view === (view.split('/')[0] || 'home')",
        arg=view,
    )


def until(look: Callable[[], T | None], what: str) -> T:
    return wait_until(look, WAIT_S, what)
