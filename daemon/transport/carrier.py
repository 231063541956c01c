"""aiocoap over any carrier of datagrams: a UDP socket here, a modem's socket or an SMS elsewhere.

The order of aiocoap's transports is fixed in this one place: OSCORE first. The other way round aiocoap sends
plaintext without a word, even to an OSCORE address.
"""

import asyncio
from collections.abc import Callable

from aiocoap import Context, Message, error, interfaces
from aiocoap.messagemanager import MessageManager
from aiocoap.numbers.types import RST
from aiocoap.oscore import verify_start
from aiocoap.pipe import Pipe
from aiocoap.resource import Site
from aiocoap.tokenmanager import TokenManager
from aiocoap.transports.oscore import OSCOREAddress, TransportOSCORE

from bondmate.transport.oscore import OnlyGateway, SessionContext


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
        if message.mtype is RST and not self._messages.token_manager.outgoing_requests:
            return  # aiocoap would raise: the request was answered before, without an acknowledgement
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


class Door(interfaces.Resource):  # type: ignore[misc]  # untyped
    """Lets the gateway in alone: whatever else asks gets a plain 4.01, and nobody speaks EDHOC here."""

    def __init__(self, security: SessionContext, site: Site) -> None:
        self._security = security
        self._site = site
        self._credentials = OnlyGateway(security)

    async def render(self, _request: Message) -> Message:
        """Not used: answers go to the pipe."""
        raise NotImplementedError

    async def needs_blockwise_assembly(self, _request: Message) -> bool:
        """Not used: no receipt comes in blocks."""
        raise NotImplementedError

    async def render_to_pipe(self, pipe: Pipe) -> None:
        """Verify one request, have the site answer it, and protect the answer."""
        try:
            inner, identifiers = self._credentials.find_oscore(verify_start(pipe.request)).unprotect(pipe.request)
        # aiocoap parses what anybody may send before it is verified, and some of that makes it raise nearly anything
        except Exception as problem:
            raise error.Unauthorized from problem
        inner.remote = OSCOREAddress(self._security, pipe.request.remote)
        try:
            answer = await self._site.render(inner)
        except error.RenderableError as problem:
            answer = problem.to_message()
        protected, _ = self._security.protect(answer, identifiers)
        pipe.add_response(protected, is_last=True)


class Whole:
    """Sends what is protected in one piece: else anybody could ask for more blocks, and get them unverified."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.loop = context.loop

    def request(self, protected: Message) -> interfaces.Request:
        """Send a protected request."""
        return self._context.request(protected, handle_blockwise=False)


class Requests(TransportOSCORE):  # type: ignore[misc]  # untyped
    """aiocoap's OSCORE for requests, which else trips over the end of a request that nobody waits for any more."""

    def __init__(self, context: Context) -> None:
        super().__init__(context, Whole(context))

    def request(self, request: Pipe) -> None:
        """Protect and send a request; its pipe gets the response or the error."""
        wanted = True

        def no_longer_wanted() -> None:
            nonlocal wanted
            wanted = False

        def done(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            failure = None if task.cancelled() else task.exception()
            if failure is not None and wanted:
                request.add_exception(failure)

        request.on_interest_end(no_longer_wanted)
        task = self.loop.create_task(self._request(request))
        self._tasks.add(task)
        task.add_done_callback(done)


class Endpoint:
    """An aiocoap Context whose only way out is OSCORE over one carrier."""

    def __init__(self, security: SessionContext, site: Site, transmit: Callable[[bytes], None]) -> None:
        self.context = Context(loop=asyncio.get_running_loop(), serversite=Door(security, site))
        tokens = TokenManager(self.context)
        self._messages = messages = MessageManager(tokens)
        self.carrier = Carrier(messages, transmit)
        messages.message_interface = self.carrier
        tokens.token_interface = messages
        self.context.request_interfaces += [Requests(self.context), tokens]
        self.gateway = OSCOREAddress(security, self.carrier.gateway)

    @property
    def settled(self) -> bool:
        """Whether nothing waits for an acknowledgement; if something does, the next request would wait for it too."""
        return not self._messages._active_exchanges  # noqa: SLF001  # aiocoap tells it nowhere else
