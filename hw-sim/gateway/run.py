"""`bondmate-gateway run`: socket, site, SMS, signals, one process over one data directory.

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
from pathlib import Path
from typing import Any

import aiocoap
from aiocoap.messagemanager import MessageManager
from aiocoap.tokenmanager import TokenManager
from aiocoap.transports.udp6 import MessageInterfaceUDP6
from aiocoap.util import socknumbers

from bondmate_sim.gateway import files, keys
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


def run(data_dir: Path, host: str, port: int, announce: Callable[[str], None], sms: SmsProvider | None = None) -> None:
    """Serve until SIGTERM or SIGINT; `announce` gets the address, coap://HOST:PORT, once it answers.

    With `sms`, messages that come by it are served too, whenever it can be reached.

    Raises RunError, keys.KeyFileError, database.DatabaseError, apsw.Error, OSError.
    """
    _log_to_stderr()
    files.make_directory(data_dir)
    with _alone(data_dir), contextlib.closing(Database(data_dir, create=True)) as database:
        inbox = Inbox(database, keys.load_or_create(data_dir), keys.load_or_create(data_dir, keys.Purpose.DH))
        shown = f"[{host}]" if ":" in host else host
        with contextlib.closing(_bind(host, port)) as sock:
            asyncio.run(_serve(database, inbox, sms, sock, lambda: announce(f"coap://{shown}:{sock.getsockname()[1]}")))


async def _serve(
    database: Database, inbox: Inbox, sms: SmsProvider | None, sock: socket.socket, ready: Callable[[], None]
) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    pushes = Pushes()
    coap = aiocoap.Context(loop=loop, serversite=Site(inbox, pushes), loggername="bondmate.gateway.coap")
    pushes.coap = coap
    tokens = TokenManager(coap)
    messages = MessageManager(tokens)
    messages.message_interface = await Datagrams.on(sock, messages)
    tokens.token_interface = messages
    coap.request_interfaces.append(tokens)
    face = None if sms is None else SmsFace(inbox, pushes, sms)
    tasks = [asyncio.create_task(kept_going("waking devices", Waker(database, inbox, pushes, face).run))]
    if face is not None:
        tasks.append(asyncio.create_task(kept_going("SMS", face.run)))
    ready()
    try:
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
