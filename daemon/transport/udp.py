"""The bearer `ip`: UDP sockets to the gateway's addresses, each of them connected to one."""

import asyncio
import logging
from collections.abc import Callable

from bondmate.credentials import Address
from bondmate.transport.names import Names, Turns

log = logging.getLogger(__name__)


class Udp:
    """Opens sockets to the next of the gateway's addresses that there is a way to."""

    def __init__(self, addresses: tuple[Address, ...]) -> None:
        self._turns = Turns(addresses)
        self._names = Names()
        self._tried = 0

    async def open(self, received: Callable[[bytes], None]) -> "UdpSocket":
        """A coap.Opener."""
        return await self._turns.reach(lambda address: self._reach(address, received))

    async def _reach(self, address: Address, received: Callable[[bytes], None]) -> "UdpSocket":
        places = await self._names.find(address)
        # a name may have addresses of which only some can be reached from here: each gets its turn
        family, peer = places[self._tried % len(places)]
        self._tried += 1
        socket = UdpSocket(peer, str(address), received)
        loop = asyncio.get_running_loop()
        socket.transport, _ = await loop.create_datagram_endpoint(lambda: socket, family=family)
        return socket


class UdpSocket(asyncio.DatagramProtocol):
    """Implements coap.Way."""

    transport: asyncio.DatagramTransport

    def __init__(self, peer: tuple[str, int], name: str, received: Callable[[bytes], None]) -> None:
        self.closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Never done: a socket goes with the process alone."""
        self._peer = peer
        self._name = name
        self._received = received

    def close(self) -> None:
        """See coap.Way."""
        self.transport.close()

    def send(self, datagram: bytes) -> None:
        """See coap.Way."""
        if not self.transport.is_closing():
            self.transport.sendto(datagram, self._peer)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """From asyncio. Whoever is not at the gateway's address is not listened to."""
        if addr[:2] == self._peer:
            self._received(data)

    def error_received(self, exc: Exception) -> None:
        """From asyncio: no route, for instance. The exchange goes on: the network may come back within it."""
        log.info("udp to %s: %s", self._name, exc)
