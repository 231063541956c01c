"""The bearer `lte`: UDP sockets inside a modem. There is no route and no PPP: nothing else can use or break them."""

import itertools
from collections.abc import Callable

from bondmate.credentials import Address
from bondmate.errors import LinkError
from bondmate.ports import CellularModem, DatagramSocket


class Lte:
    """Opens sockets to the next of the gateway's addresses that the modem can open one to."""

    def __init__(self, modem: CellularModem, addresses: tuple[Address, ...]) -> None:
        self._modem = modem
        self._addresses = addresses
        self._turns = itertools.count()

    async def open(self, received: Callable[[bytes], None]) -> DatagramSocket:
        """A coap.Opener. Names are looked up by the modem, which has a resolver of its own."""
        first, problems = next(self._turns) % len(self._addresses), []
        for address in self._addresses[first:] + self._addresses[:first]:
            try:
                return await self._modem.open_udp(address.host, address.port, received)
            except LinkError as problem:
                problems.append(f"{address}: {problem}")
        raise LinkError("; ".join(problems))
