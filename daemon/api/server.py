"""The local HTTP API on two Unix sockets: the device's public face, for bondmatectl and the officer's page.

Puts the handlers together and opens the sockets; docs/api.yaml says what they answer, `authority` who may ask.
"""

import asyncio
import contextlib
import functools
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from aiohttp import web

from bondmate.api.alerts import Alerts
from bondmate.api.authority import CONSOLE_USER, Authority, Household, may_enter, uid_of
from bondmate.api.door import WAITING, Door
from bondmate.api.events import Events, Pictures
from bondmate.api.inbox import Inbox
from bondmate.api.officer import Officer
from bondmate.api.requests import MAX_BODY_OCTETS, PinGate, idempotent, permitted, refusals_as_json, whole_body
from bondmate.api.views import Views
from bondmate.config import Configuration
from bondmate.device import Device

SOCKET_FILE, CONSOLE_SOCKET_FILE = "api.sock", "console.sock"
_SOCKETS = (
    (SOCKET_FILE, 0o660, Authority.FULL),
    # whoever is not the console is refused at the door: its group need not be ours
    (CONSOLE_SOCKET_FILE, 0o666, Authority.CONSOLE),
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
    """Serve the API on `api.sock` and `console.sock` in `runtime_dir` until cancelled. `configuration` is shown."""
    views, inbox = Views(device, configuration), Inbox(device)
    pictures = Pictures(device, views.status_json, inbox)
    async with contextlib.AsyncExitStack() as stack:
        listeners = [stack.enter_context(_listening(runtime_dir / name, mode)) for name, mode, _ in _SOCKETS]
        household = Household(os.getuid(), (runtime_dir / SOCKET_FILE).stat().st_gid, uid_of(console_user))
        async with asyncio.TaskGroup() as group:
            for listener, (_, _, authority) in zip(listeners, _SOCKETS, strict=True):
                door = Door(functools.partial(may_enter, authority, household))
                app = application(device, authority, door, views, inbox, Events(pictures))
                group.create_task(_serve(app, door, listener))


def application(
    device: Device, authority: Authority, door: Door, views: Views, inbox: Inbox, events: Events
) -> web.Application:
    """What is served to whoever has this authority."""
    app = web.Application(
        client_max_size=MAX_BODY_OCTETS,
        middlewares=[door.paced, refusals_as_json, permitted(authority), whole_body, idempotent()],
    )
    gate = PinGate(authority, lambda: device.officer_pin)
    for part in (views, Alerts(device, gate), Officer(device, gate), inbox, events):
        app.add_routes(part.routes)
    app.on_shutdown.append(events.end)
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
