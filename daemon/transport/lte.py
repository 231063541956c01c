"""The bearer `lte`: UDP sockets inside a modem. There is no route and no PPP: nothing else can use or break them."""

from collections.abc import Callable

from bondmate.credentials import Address
from bondmate.ports import CellularModem, DatagramSocket
from bondmate.transport.names import Turns


class Lte:
    """Opens sockets to the next of the gateway's addresses that the modem can open one to."""

    def __init__(self, modem: CellularModem, addresses: tuple[Address, ...]) -> None:
        self._modem = modem
        self._turns = Turns(addresses)

    async def open(self, received: Callable[[bytes], None]) -> DatagramSocket:
        """A coap.Opener. Names are looked up by the modem, which has a resolver of its own."""
        return await self._turns.reach(lambda address: self._modem.open_udp(address.host, address.port, received))
