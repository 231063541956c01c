"""The local HTTP API on three Unix sockets: the device's public face, for bondmatectl and the officer's page.

Puts the handlers together and opens the sockets; docs/api.yaml says what they answer, `authority` who may ask.
"""

import asyncio
import contextlib
import functools
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from aiohttp import web, web_app

from bondmate.api.alerts import Alerts
from bondmate.api.authority import CONSOLE_USER, UPDATER_USER, Authority, Household, may_enter, uid_of
from bondmate.api.door import WAITING, Door
from bondmate.api.events import Events, Pictures
from bondmate.api.inbox import Inbox
from bondmate.api.officer import Officer
from bondmate.api.requests import MAX_BODY_OCTETS, PinGate, idempotent, permitted, refusals_as_json, whole_body
from bondmate.api.selftest import SelfTests
from bondmate.api.unarmed import UnarmedViews
from bondmate.api.updates import UpdateViews
from bondmate.api.views import Views
from bondmate.config import Configuration
from bondmate.device import Device
from bondmate.unarmed import Unarmed

SOCKET_FILE, CONSOLE_SOCKET_FILE, UPDATER_SOCKET_FILE = "api.sock", "console.sock", "updater.sock"
_SOCKETS = (
    (SOCKET_FILE, 0o660, Authority.FULL),
    # whoever is not the console, or the updater, is refused at the door: its group need not be ours
    (CONSOLE_SOCKET_FILE, 0o666, Authority.CONSOLE),
    (UPDATER_SOCKET_FILE, 0o666, Authority.UPDATER),
)
_SHUTDOWN_S = 1.0
"""A client that never finishes its request must not hold up the end of the daemon."""
_KEEP_ALIVE_S = 30.0
_MAX_LINE_OCTETS, _MAX_HEADERS = 2048, 32


async def serve(
    device: Device,
    runtime_dir: Path,
    configuration: Configuration | None = None,
    console_user: str = CONSOLE_USER,
) -> None:
    """Serve the API on its sockets in `runtime_dir` until cancelled. `configuration` is shown."""
    views, inbox = Views(device, configuration), Inbox(device)
    pictures = Pictures(device, views.status_json, inbox)
    await _serve_all(
        runtime_dir,
        console_user,
        lambda authority, door: application(device, authority, door, views, inbox, Events(pictures)),
    )


async def serve_unarmed(
    unarmed: Unarmed, runtime_dir: Path, configuration: Configuration | None = None, console_user: str = CONSOLE_USER
) -> None:
    """The same for a device that is not armed: how it is, and nothing else."""
    views = UnarmedViews(unarmed, configuration)
    await _serve_all(runtime_dir, console_user, lambda authority, door: _bare(authority, door, [views, Events(views)]))


async def _serve_all(runtime_dir: Path, console_user: str, make: Callable[[Authority, Door], web.Application]) -> None:
    async with contextlib.AsyncExitStack() as stack:
        listeners = [stack.enter_context(_listening(runtime_dir / name, mode)) for name, mode, _ in _SOCKETS]
        group_id = (runtime_dir / SOCKET_FILE).stat().st_gid
        household = Household(os.getuid(), group_id, uid_of(console_user), uid_of(UPDATER_USER))
        # aiohttp keeps each handler that was asked, with all that hangs on it: the device of every run that is over
        stack.callback(web_app._cached_build_middleware.cache_clear)  # noqa: SLF001 - nothing else makes it forget
        async with asyncio.TaskGroup() as group:
            for listener, (_, _, authority) in zip(listeners, _SOCKETS, strict=True):
                door = Door(functools.partial(may_enter, authority, household))
                app = make(authority, door)
                group.create_task(_serve(app, door, listener))


def application(
    device: Device, authority: Authority, door: Door, views: Views, inbox: Inbox, events: Events
) -> web.Application:
    """What is served to whoever has this authority."""
    gate = PinGate(authority, lambda: device.officer_pin)
    return _bare(
        authority,
        door,
        [
            views,
            Alerts(device, gate),
            Officer(device, gate),
            SelfTests(device),
            inbox,
            UpdateViews(device),
            events,
        ],
    )


class _Part(Protocol):
    """Handlers."""

    @property
    def routes(self) -> Iterable[web.RouteDef]:
        """With their paths."""


def _bare(authority: Authority, door: Door, parts: Iterable[_Part]) -> web.Application:
    app = web.Application(
        client_max_size=MAX_BODY_OCTETS,
        middlewares=[door.paced, refusals_as_json, permitted(authority), whole_body, idempotent()],
    )
    for part in parts:
        app.add_routes(part.routes)
        if isinstance(part, Events):
            app.on_shutdown.append(part.end)
    return app


async def _serve(app: web.Application, door: Door, listener: socket.socket) -> None:
    runner = web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=_SHUTDOWN_S,
        keepalive_timeout=_KEEP_ALIVE_S,
        max_line_size=_MAX_LINE_OCTETS,
        max_field_size=_MAX_LINE_OCTETS,
        max_headers=_MAX_HEADERS,
    )
    await runner.setup()
    try:
        assert runner.server is not None  # noqa: S101 - it is set up
        await door.serve(runner.server, listener)
    finally:
        await runner.cleanup()


@contextlib.contextmanager
def _listening(path: Path, mode: int) -> Iterator[socket.socket]:
    """A socket in the place of whatever a daemon that was killed left there; gone at the end."""
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.setblocking(False)
        listener.bind(str(path))
        try:
            # before it listens: until then nobody gets in, whatever the umask
            path.chmod(mode)
            listener.listen(WAITING)
            yield listener
        finally:
            path.unlink(missing_ok=True)
