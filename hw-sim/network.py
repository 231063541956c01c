"""The network between device and gateway: a UDP relay that loses, duplicates, delays, reorders, and rebinds like a NAT.

One upstream socket for each client, as a NAT keeps one port for each. The tap writes down every datagram with its fate.
It never looks into a datagram: what is inside is protected from it as from any network.
"""

import asyncio
import contextlib
import json
import random
import socket
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from bondmate_sim.console import say
from bondmate_sim.errors import SimulatorError
from bondmate_sim.service import appended_lines, stop_on_signals
from bondmate_sim.stamp import utc_now

Direction = Literal["up", "down"]
Fate = Literal["sent", "lost", "duplicated"]
Client = tuple[str, int]
MAX_CLIENTS = 256
"""Beyond so many, the one that was idle longest loses its port, as in a NAT's table."""
MAX_DATAGRAM_OCTETS = 65_535
MAX_BURST = 64
"""Datagrams taken from one socket before the others get their turn."""


@dataclass(frozen=True, slots=True)
class Weather:
    """How bad the network is, the same in both directions. Probabilities are 0 to 1."""

    loss: float = 0.0
    duplicate: float = 0.0
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    """Each datagram waits another 0 to so long, so that they overtake one another."""
    partition: tuple[float, float] | None = None
    """Up for so many seconds from the start on, then down for so many, again and again."""
    rebind_every: int | None = None
    """A new upstream port after so many datagrams of a client; answers to the old one are lost."""
    seed: int | None = None


@dataclass(slots=True)
class _Mapping:
    """A client's port on the gateway's side."""

    upstream: socket.socket
    sent: int = 0


class Relay:
    """Moves datagrams between the clients of `listener` and the gateway at `upstream`, on the running loop."""

    def __init__(
        self, listener: socket.socket, upstream: tuple[str, int], weather: Weather, tap: IO[str] | None
    ) -> None:
        """`tap`, opened for text and line-buffered, gets a JSON line for each datagram."""
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._upstream = upstream
        self._weather = weather
        self._tap = tap
        self._rng = random.Random(weather.seed)  # noqa: S311 - weather, not secrets
        # apart from the fates, so that jitter leaves each datagram's luck as it is
        self._delays = random.Random(weather.seed)  # noqa: S311 - weather, not secrets
        self._since_s = self._loop.time()
        self._mappings: OrderedDict[Client, _Mapping] = OrderedDict()
        self._loop.add_reader(listener, self._from_clients)

    def close(self) -> None:
        """Stop reading and give up all ports but the listener."""
        self._loop.remove_reader(self._listener)
        while self._mappings:
            self._drop_port(self._mappings.popitem()[1])

    def _from_clients(self) -> None:
        # Whatever goes wrong with a datagram, it is lost: that is what networks do.
        with contextlib.suppress(OSError):
            for _ in range(MAX_BURST):
                data, client = self._listener.recvfrom(MAX_DATAGRAM_OCTETS)
                self._forward("up", client[:2], data)

    def _from_gateway(self, client: Client, upstream: socket.socket) -> None:
        # A refusal (ICMP) says that the gateway is not there: to the client that is silence, as in any network.
        with contextlib.suppress(OSError):
            for _ in range(MAX_BURST):
                self._forward("down", client, upstream.recv(MAX_DATAGRAM_OCTETS))

    def _forward(self, direction: Direction, client: Client, data: bytes) -> None:
        fate = self._draw_fate()
        self._write_tap(direction, client, data, fate)
        if direction == "up":
            self._map(client).sent += 1
        copies = {"lost": 0, "sent": 1, "duplicated": 2}[fate]
        for _ in range(copies):
            wait_ms = self._weather.delay_ms + self._delays.uniform(0, self._weather.jitter_ms)
            if wait_ms > 0:
                self._loop.call_later(wait_ms / 1000, self._send, direction, client, data)
            else:
                self._send(direction, client, data)

    def _draw_fate(self) -> Fate:
        # Both are drawn every time, so that a seed gives each datagram the same luck whatever the probabilities are.
        loss, duplicate = self._rng.random(), self._rng.random()
        if loss < self._weather.loss or self._is_down():
            return "lost"
        return "duplicated" if duplicate < self._weather.duplicate else "sent"

    def _is_down(self) -> bool:
        if self._weather.partition is None:
            return False
        up_s, down_s = self._weather.partition
        return (self._loop.time() - self._since_s) % (up_s + down_s) >= up_s

    def _send(self, direction: Direction, client: Client, data: bytes) -> None:
        with contextlib.suppress(OSError):
            if direction == "down":
                self._listener.sendto(data, client)
            elif (mapping := self._mappings.get(client)) is not None:
                mapping.upstream.send(data)

    def _map(self, client: Client) -> _Mapping:
        """The client's mapping, made or rebound when it is time."""
        mapping = self._mappings.get(client)
        every = self._weather.rebind_every
        if mapping is not None and every is not None and mapping.sent >= every:
            self._drop_port(self._mappings.pop(client))
            mapping = None
        if mapping is None:
            if len(self._mappings) >= MAX_CLIENTS:
                self._drop_port(self._mappings.popitem(last=False)[1])
            mapping = self._mappings[client] = _Mapping(self._open_port(client))
        self._mappings.move_to_end(client)
        return mapping

    def _open_port(self, client: Client) -> socket.socket:
        upstream = socket.socket(self._listener.family, socket.SOCK_DGRAM)
        upstream.setblocking(False)
        try:
            upstream.connect(self._upstream)
        except OSError:
            upstream.close()
            raise
        self._loop.add_reader(upstream, self._from_gateway, client, upstream)
        return upstream

    def _drop_port(self, mapping: _Mapping) -> None:
        self._loop.remove_reader(mapping.upstream)
        mapping.upstream.close()

    def _write_tap(self, direction: Direction, client: Client, data: bytes, fate: Fate) -> None:
        if self._tap is None:
            return
        entry = {
            "t_ns": time.monotonic_ns(),
            "utc": utc_now(),
            "direction": direction,
            "client": f"{client[0]}:{client[1]}",
            "octets": len(data),
            "hex": data.hex(),
            "fate": fate,
        }
        self._tap.write(json.dumps(entry) + "\n")


async def run_relay(listen: tuple[str, int], upstream: tuple[str, int], weather: Weather, tap: Path | None) -> None:
    """Relay until SIGINT or SIGTERM. Port 0 takes a free one. IPv4, as the whole simulated world.

    Raises SimulatorError when the address cannot be listened on, the gateway has none, or the tap cannot be written.
    """
    stop = stop_on_signals()
    with contextlib.ExitStack() as resources:
        tap_file = resources.enter_context(appended_lines(tap))
        listener = resources.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        listener.setblocking(False)
        try:
            listener.bind(listen)
        except OSError as error:
            raise SimulatorError(f"cannot listen on {listen[0]}:{listen[1]}: {error}; name another port") from error
        try:
            gateway: tuple[str, int] = (socket.gethostbyname(upstream[0]), upstream[1])
        except OSError as error:
            raise SimulatorError(f"cannot find the gateway {upstream[0]}: {error}; name an address") from error
        relay = Relay(listener, gateway, weather, tap_file)
        resources.callback(relay.close)
        host, port = listener.getsockname()
        say(f"listening on {host}:{port}")
        await stop.wait()
