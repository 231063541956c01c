"""`bondmate-gateway run`: sockets, site, SMS, bundles, signals, one process over one data directory.

It puts the parts together and takes them down. What they do stands in their modules.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiocoap
from aiocoap.messagemanager import MessageManager
from aiocoap.tokenmanager import TokenManager
from aiocoap.transports.udp6 import MessageInterfaceUDP6
from aiocoap.util import socknumbers
from cryptography.hazmat.primitives.asymmetric import ec

from bondmate_sim.gateway import files, keys
from bondmate_sim.gateway.chores import Chores
from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.inbox import Inbox
from bondmate_sim.gateway.pushes import Pushes
from bondmate_sim.gateway.server import Site
from bondmate_sim.gateway.sms import SmsFace, SmsProvider
from bondmate_sim.gateway.wakes import Waker

_LOCK_NAME = "run.lock"

_RECEIVE_BUFFER_OCTETS = 4 << 20
"""Room for a whole force's alerts at one moment; 200 datagrams at once lost 7 with the default."""

_AGAIN_S = 10.0
"""How long a part rests that failed by an error of its own: soon enough for a wake-up, and no flood in the log."""

_log = logging.getLogger("bondmate.gateway")


class RunError(Exception):
    """The gateway cannot run; the text says what to do."""


class Datagrams(MessageInterfaceUDP6):  # type: ignore[misc]
    """aiocoap's UDP interface, for which a datagram that is no CoAP is not an exception in the event loop."""

    def datagram_msg_received(self, data: bytes, ancdata: Any, flags: int, address: Any) -> None:
        """Take one datagram."""
        try:
            super().datagram_msg_received(data, ancdata, flags, address)
        except ValueError as error:
            _log.info("ignored a datagram of %s: it is not CoAP: %s", address[0], error)

    @classmethod
    async def on(cls, sock: socket.socket, manager: Any) -> Any:
        """Return the interface on a bound socket.

        aiocoap's own creation shares the port with any other process (SO_REUSEPORT), which would take datagrams away.
        """
        made = await cls._create_transport_endpoint(sock, manager, manager.log, manager.loop)
        # aiocoap asks for ICMP errors. On a socket that sends to all devices, the error of one whose port is closed
        # comes out at the next send, to another device, and nothing is sent. Retransmission ends without them too.
        sock.setsockopt(socket.IPPROTO_IPV6, socknumbers.IPV6_RECVERR, 0)
        sock.setsockopt(socket.IPPROTO_IP, socknumbers.IP_RECVERR, 0)
        return made


@dataclass(frozen=True, slots=True)
class Faces:
    """What a gateway answers: devices at `listen`, and by SMS, and whoever asks for bundles at `bundles`.

    `bundles_url` is where devices find the bundles when that is not at `bundles`.
    """

    listen: tuple[str, int]
    sms: SmsProvider | None = None
    bundles: tuple[str, int] | None = None
    bundles_url: str | None = None


def run(data_dir: Path, faces: Faces, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; `announce` gets a line or two that say where, once it answers.

    SMS is served whenever its provider can be reached.

    Raises RunError, keys.KeyFileError, database.DatabaseError, apsw.Error, OSError.
    """
    _log_to_stderr()
    files.make_directory(data_dir)
    with _alone(data_dir), contextlib.closing(Database(data_dir, create=True)) as database:
        signing_key = keys.load_or_create(data_dir)
        inbox = Inbox(database, signing_key, keys.load_or_create(data_dir, keys.Purpose.DH))
        with contextlib.ExitStack() as stack:
            sock = stack.enter_context(contextlib.closing(_bind(*faces.listen)))
            lines = [f"listening on coap://{_shown(faces.listen, sock)}"]
            http, url = None, faces.bundles_url
            if faces.bundles is not None:
                http = stack.enter_context(contextlib.closing(_bind_http(*faces.bundles)))
                here = f"http://{_shown(faces.bundles, http)}"
                url = url or here
                lines.append(f"bundles at {here}")
            gateway = _Gateway(database, data_dir, inbox, signing_key, sock, faces.sms, http, url)
            asyncio.run(_serve(gateway, lambda: announce("\n".join(lines))))


@dataclass(frozen=True, slots=True)
class _Gateway:
    """What is open, for one run."""

    database: Database
    data_dir: Path
    inbox: Inbox
    signing_key: ec.EllipticCurvePrivateKey
    sock: socket.socket
    sms: SmsProvider | None
    http: socket.socket | None
    bundles_url: str | None


async def _serve(gateway: _Gateway, ready: Callable[[], object]) -> None:
    database, inbox, sms = gateway.database, gateway.inbox, gateway.sms
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    pushes = Pushes()
    coap = aiocoap.Context(loop=loop, serversite=Site(inbox, pushes), loggername="bondmate.gateway.coap")
    pushes.coap = coap
    tokens = TokenManager(coap)
    messages = MessageManager(tokens)
    messages.message_interface = await Datagrams.on(gateway.sock, messages)
    tokens.token_interface = messages
    coap.request_interfaces.append(tokens)
    face = None if sms is None else SmsFace(inbox, pushes, sms)
    chores = Chores(database, inbox, pushes, gateway.signing_key, gateway.bundles_url)
    tasks = [
        asyncio.create_task(kept_going("waking devices", Waker(database, inbox, pushes, face).run)),
        asyncio.create_task(kept_going("rollouts", chores.run)),
    ]
    if face is not None:
        tasks.append(asyncio.create_task(kept_going("SMS", face.run)))
    try:
        async with contextlib.AsyncExitStack() as stack:
            if gateway.http is not None:
                from bondmate_sim.gateway import bundle_server  # noqa: PLC0415 - 14 MB that nothing else here needs

                await stack.enter_async_context(bundle_server.serving(database, gateway.data_dir, gateway.http))
            ready()
            await stop.wait()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await pushes.close()
        await coap.shutdown()
    _log.info("stopped")


async def kept_going(what: str, run_part: Callable[[], Awaitable[None]]) -> None:
    """Run a part until cancelled; when it ends otherwise, say so and run it again."""
    task = asyncio.current_task()
    while True:
        try:
            await run_part()
            _log.error("%s ended, an error of the gateway's own; report this; going on in %g s", what, _AGAIN_S)
        except (Exception, asyncio.CancelledError) as error:
            # A library's own cancellation, which nobody here asked for, is a failure like any other.
            if isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling()):
                raise
            _log.exception("%s failed, an error of the gateway's own; report this; going on in %g s", what, _AGAIN_S)
        await asyncio.sleep(_AGAIN_S)


def _bind(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, socket.AF_INET6, socket.SOCK_DGRAM, flags=socket.AI_V4MAPPED)
    except socket.gaierror as error:
        raise RunError(f"{host} is no address of this machine ({error}); give another --listen HOST:PORT") from error
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    try:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_OCTETS)
        sock.bind(found[0][4])
    except OSError as error:
        sock.close()
        raise RunError(f"cannot listen on {host}:{port} ({error}); give another --listen HOST:PORT") from error
    return sock


def _bind_http(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return socket.create_server(found[0][4][:2], family=found[0][0])
    except OSError as error:
        raise RunError(f"cannot serve bundles on {host}:{port} ({error}); give another --bundles HOST:PORT") from error


def _shown(place: tuple[str, int], sock: socket.socket) -> str:
    host = f"[{place[0]}]" if ":" in place[0] else place[0]
    return f"{host}:{sock.getsockname()[1]}"


@contextlib.contextmanager
def _alone(data_dir: Path) -> Iterator[None]:
    # Two servers over one database would each hold windows that the other does not know of.
    descriptor = os.open(data_dir / _LOCK_NAME, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(f"another gateway runs on {data_dir}; stop it, or give another --data") from error
        yield
    finally:
        os.close(descriptor)


def _log_to_stderr() -> None:
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.getLogger().addHandler(handler)
    logging.getLogger("bondmate.gateway").setLevel(logging.INFO)
    # The library reports what it makes of each datagram at INFO; the gateway's own lines say it in its words.
    logging.getLogger("bondmate.gateway.coap").setLevel(logging.WARNING)
