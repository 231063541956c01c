"""aiocoap over any carrier of datagrams: a UDP socket here, a modem's socket or an SMS elsewhere.

The order of aiocoap's transports is fixed in this one place: OSCORE first. The other way round aiocoap sends
plaintext without a word, even to an OSCORE address.
"""

import asyncio
from collections.abc import Callable

from aiocoap import Context, Message, error, interfaces
from aiocoap.messagemanager import MessageManager
from aiocoap.oscore_sitewrapper import OscoreSiteWrapper
from aiocoap.resource import Site
from aiocoap.tokenmanager import TokenManager
from aiocoap.transports.oscore import OSCOREAddress, TransportOSCORE

from bondmate.transport.oscore import OnlyGateway, SessionContext

INNER_BLOCK_EXPONENT = 5
"""Blocks of 512 octets inside OSCORE, so that the carrier's own 1,024 never cuts a protected message again."""


class GatewayAddress(interfaces.EndpointAddress):  # type: ignore[misc]  # untyped
    """The one peer of a carrier. Compared by carrier: aiocoap keys tokens, exchanges and duplicates on it."""

    scheme = "coap"
    is_multicast = False
    is_multicast_locally = False
    hostinfo = "gateway"
    hostinfo_local = "device"
    uri_base = "coap://gateway"
    uri_base_local = "coap://device"

    def __init__(self, carrier: "Carrier") -> None:
        self._carrier = carrier

    def __hash__(self) -> int:
        return id(self._carrier)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GatewayAddress) and other._carrier is self._carrier

    def __repr__(self) -> str:
        return "<the gateway>"

    @property
    def blockwise_key(self) -> int:
        """What block-wise transfers are keyed on."""
        return id(self._carrier)


class Carrier(interfaces.MessageInterface):  # type: ignore[misc]  # untyped
    """CoAP messages to datagrams and back; `transmit` must take a datagram without waiting."""

    def __init__(self, messages: MessageManager, transmit: Callable[[bytes], None]) -> None:
        self._messages: MessageManager | None = messages
        self._transmit = transmit
        self.gateway = GatewayAddress(self)

    def send(self, message: Message) -> None:
        """Hand a message to the carrier."""
        if self._messages is not None:
            self._transmit(message.encode())

    def received(self, datagram: bytes) -> None:
        """Take a datagram that came from the gateway; what is not CoAP is dropped."""
        if self._messages is None:
            return
        try:
            message = Message.decode(datagram, remote=self.gateway)
        except (error.UnparsableMessage, ValueError):
            return
        self._messages.dispatch_message(message)

    async def recognize_remote(self, remote: object) -> bool:
        """Whether a message to `remote` goes this way."""
        return remote == self.gateway

    async def determine_remote(self, _message: Message) -> None:
        """Never: addresses are always explicit, else a message for OSCORE would be taken as plaintext."""
        return

    async def shutdown(self) -> None:
        """Let go of aiocoap; datagrams that still come are dropped."""
        self._messages = None


class Endpoint:
    """An aiocoap Context whose only way out is OSCORE over one carrier."""

    def __init__(self, security: SessionContext, site: Site, transmit: Callable[[bytes], None]) -> None:
        self.context = Context(
            loop=asyncio.get_running_loop(), serversite=OscoreSiteWrapper(site, OnlyGateway(security))
        )
        tokens = TokenManager(self.context)
        messages = MessageManager(tokens)
        self.carrier = Carrier(messages, transmit)
        messages.message_interface = self.carrier
        tokens.token_interface = messages
        self.context.request_interfaces += [TransportOSCORE(self.context, self.context), tokens]
        self.gateway = OSCOREAddress(security, self.carrier.gateway)
        self.gateway.maximum_block_size_exp = INNER_BLOCK_EXPONENT
