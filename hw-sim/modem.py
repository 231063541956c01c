"""A simulated modem on a serial line: its port, its sockets in the world's network, and its way to the message centre.

What the modem does is decided in modem_core.py. Here its effects are carried out, and what comes back is given to it.
"""

import asyncio
import contextlib
import errno
import os
import socket
from pathlib import Path
from typing import Any, Literal, assert_never

from bondmate_sim.console import say
from bondmate_sim.control import control_socket
from bondmate_sim.modem_body import Setup
from bondmate_sim.modem_core import Modem
from bondmate_sim.modem_effects import (
    Acknowledge,
    Attach,
    CloseSocket,
    Detach,
    Ears,
    Effect,
    News,
    OpenSocket,
    PortBack,
    PortGone,
    Say,
    SendDatagram,
    Submit,
)
from bondmate_sim.modem_line import ModemLine
from bondmate_sim.modem_links import Received
from bondmate_sim.service import stop_on_signals
from bondmate_sim.smsc_client import CentreClient

Chunk = Literal["whole", "byte"]
MAX_DATAGRAM_OCTETS = 65_535
MAX_BURST = 64
"""Datagrams taken from one socket before others get their turn."""


class ModemProcess:
    """A modem with everything around it, on the running loop."""

    def __init__(
        self,
        setup: Setup,
        link: Path | None,
        chunk: Chunk,
        centre: tuple[str, int] | None,
        reach: tuple[str, int] | None = None,
    ) -> None:
        """`reach`: who answers in the modem's network, whatever address a socket is told.

        Raises SimulatorError when the link cannot be made.
        """
        self._reach = reach
        self._loop = asyncio.get_running_loop()
        self._line = ModemLine(link, octet_by_octet=chunk == "byte", heard=self._heard)
        self._modem = Modem(setup, self._loop.time())
        self._sockets: dict[int, socket.socket] = {}
        self._ports: dict[int, int] = {}
        """The local ports that were asked for, by link; 0 for any."""
        self._opening: dict[int, asyncio.Task[None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._centre = CentreClient(
            centre,
            setup.number,
            submitted=lambda name, why: self._do(self._modem.submitted(name, why, self._now())),
            delivered=lambda delivery: self._do(self._modem.deliver(delivery, self._now())),
        )

    @property
    def path(self) -> Path:
        """What a host opens."""
        return self._line.path

    def start(self) -> None:
        """Begin to live."""
        self._do(self._modem.hear(b"", self._now()))

    def suffer(self, action: dict[str, Any]) -> dict[str, Any]:
        """Do what a control request says. Raises ValueError when it cannot be done."""
        self._do(self._modem.suffer(action, self._now()))
        return {}

    async def close(self) -> None:
        """Let everything go."""
        if self._timer is not None:
            self._timer.cancel()
        for link in [*self._sockets, *self._opening]:
            self._close_socket(link)
        self._line.close()
        await self._centre.close()

    def _now(self) -> float:
        return self._loop.time()

    def _heard(self, octets: bytes) -> None:
        self._do(self._modem.hear(octets, self._now()))

    def _do(self, effects: list[Effect]) -> None:
        for effect in effects:
            self._do_one(effect)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (due_s := self._modem.due_s) is not None:
            self._timer = self._loop.call_at(due_s, self._heard, b"")

    def _do_one(self, effect: Effect) -> None:
        match effect:
            case Say() | PortGone() | PortBack() | Ears():
                self._line.do(effect)
            case OpenSocket():
                self._opening[effect.link] = asyncio.ensure_future(self._open_socket(effect))
            case SendDatagram():
                self._send(effect)
            case CloseSocket(link):
                self._close_socket(link)
            case Attach() | Detach() | Submit() | Acknowledge():
                self._centre.do(effect)
            case News(text):
                say(text)
            case _:
                assert_never(effect)

    # --- sockets ---------------------------------------------------------------------------------------------------

    async def _open_socket(self, wanted: OpenSocket) -> None:
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.setblocking(False)
        found = False
        try:
            peer = await self._find(wanted.peer)
            found = True
            # the operator's network translates the port: to this machine's it is another one
            one.bind(("0.0.0.0", 0))  # noqa: S104 - the world's network is this machine's
            self._claim(wanted)
            if peer is not None:
                one.connect(peer)
        except OSError:
            one.close()
            local_port = None
        except asyncio.CancelledError:
            one.close()
            raise
        else:
            self._sockets[wanted.link] = one
            self._loop.add_reader(one, self._receive, wanted.link, one)
            local_port = wanted.local_port or one.getsockname()[1]
        del self._opening[wanted.link]
        self._do(self._modem.opened(wanted.link, local_port, found, self._now()))

    def _claim(self, wanted: OpenSocket) -> None:
        """Raises OSError for a port that another link of this modem has."""
        if wanted.local_port and wanted.local_port in self._ports.values():
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        self._ports[wanted.link] = wanted.local_port

    async def _find(self, peer: tuple[str, int] | None) -> Any:
        if peer is None:
            return None
        if self._reach is not None:
            return self._reach
        found = await self._loop.getaddrinfo(*peer, family=socket.AF_INET, type=socket.SOCK_DGRAM)
        return found[0][4]

    def _receive(self, link: int, one: socket.socket) -> None:
        # A refusal (ICMP) says that nobody is there: to a modem that is silence.
        with contextlib.suppress(OSError):
            for _ in range(MAX_BURST):
                octets, (host, port) = one.recvfrom(MAX_DATAGRAM_OCTETS)
                self._do(self._modem.received(link, Received(octets, (host, port)), self._now()))

    def _send(self, datagram: SendDatagram) -> None:
        one = self._sockets.get(datagram.link)
        if one is None:
            return
        # What cannot be sent is lost: the modem has said that it took it.
        with contextlib.suppress(OSError):
            if datagram.peer is None:
                one.send(datagram.octets)
            else:
                one.sendto(datagram.octets, self._reach or datagram.peer)

    def _close_socket(self, link: int) -> None:
        if (opening := self._opening.pop(link, None)) is not None:
            opening.cancel()
        self._ports.pop(link, None)
        if (one := self._sockets.pop(link, None)) is not None:
            self._loop.remove_reader(one)
            one.close()


async def run_modem(
    setup: Setup,
    *,
    link: Path | None,
    chunk: Chunk,
    centre: tuple[str, int] | None,
    reach: tuple[str, int] | None,
    control: Path | None,
) -> None:
    """Be the modem until SIGINT or SIGTERM. Raises SimulatorError when link or control socket cannot be made."""
    stop = stop_on_signals()
    process = ModemProcess(setup, link, chunk, centre, reach)
    try:
        async with control_socket(control, process.suffer):
            process.start()
            say(f"modem on {process.path}")
            await stop.wait()
    finally:
        await process.close()
