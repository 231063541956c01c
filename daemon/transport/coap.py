"""The bearer `ip`: submissions to the gateway as CoAP over UDP, protected by OSCORE (docs/protocol.md, sections 5, 6).

It carries; it decides nothing. Deadlines, retries and order are the delivery core's.
"""

import asyncio
import logging
import socket as sockets
from collections.abc import Callable
from time import monotonic

from aiocoap import BAD_REQUEST, CHANGED, CON, POST, UNAUTHORIZED, Message, error, resource
from aiocoap.numbers.constants import TransportTuning
from aiocoap.oscore import NotAProtectedMessage, ProtectionInvalid
from aiocoap.transports.oscore import OSCOREAddress

from bondmate.credentials import Address, ChannelKeys
from bondmate.errors import LinkError, RemoteError, UnauthorizedError
from bondmate.records import SessionId
from bondmate.transport.carrier import Endpoint
from bondmate.transport.oscore import SessionContext

log = logging.getLogger(__name__)

UNAUTHORIZED_LIMIT = 3
"""So many plain 4.01 in a row, from whomever, and the start counter moves ahead."""


class Tuning(TransportTuning):  # type: ignore[misc]  # untyped
    """Gives up after 14 to 21 s, where the defaults take 45 to 93 s: a fresh try is worth more than an old one."""

    ACK_TIMEOUT = 2.0
    ACK_RANDOM_FACTOR = 1.5
    MAX_RETRANSMIT = 2


class Receipts(resource.Resource):  # type: ignore[misc]  # untyped
    """The device's resource `/c`: receipts that the gateway sends by itself."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        super().__init__()
        self._take = take

    async def render_post(self, request: Message) -> Message:
        """2.04 for a receipt that verifies, 4.00 for one that does not, 4.01 for what did not come through OSCORE."""
        if not isinstance(request.remote, OSCOREAddress):
            return Message(code=UNAUTHORIZED)
        try:
            self._take(request.payload)
        except RemoteError as problem:
            log.warning("a receipt from the gateway was not accepted: %s", problem)
            return Message(code=BAD_REQUEST)
        return Message(code=CHANGED)


class CoapBearer:
    """Implements ports.Bearer over UDP, with one socket for alerts and one for everything else."""

    name = "ip"

    def __init__(self, keys: ChannelKeys, session: SessionId, address: Address, renew: Callable[[], SessionId]) -> None:
        """`renew` draws a session whose counter is far ahead; it may take its time, and runs in a thread."""
        self.session = session
        self.why_not: str | None = "nothing sent yet"
        self.last_success_s: float | None = None
        self._keys = keys
        self._address = address
        self._renew_session = renew
        self._unauthorized = 0
        self._site = resource.Site()
        self._open()

    def listen(self, take_receipt: Callable[[bytes], None]) -> None:
        """Give each receipt that comes to `/c` to `take_receipt`, which raises RemoteError for a false one."""
        self._site.add_resource(["c"], Receipts(take_receipt))

    async def send(self, submission: bytes, *, urgent: bool) -> bytes:
        """See ports.Bearer."""
        socket = self._urgent if urgent else self._routine
        try:
            payload = await self._exchange(socket, submission)
        except UnauthorizedError as failure:
            self.why_not = str(failure)
            self._unauthorized += 1
            if self._unauthorized % UNAUTHORIZED_LIMIT == 0:
                await self._renew()
            raise
        except LinkError as failure:
            self.why_not = str(failure)
            raise
        except asyncio.CancelledError:
            # the deadline: aiocoap would hold the next message back until this exchange gave up
            self.why_not = "no answer"
            await socket.close()
            raise
        self.why_not, self.last_success_s = None, monotonic()
        self._unauthorized = 0
        return payload

    async def close(self) -> None:
        """Close both sockets."""
        await self._urgent.close()
        await self._routine.close()

    def _open(self) -> None:
        self._security = SessionContext(self._keys, self.session)
        self._urgent = _Socket(self._security, self._site, self._address)
        self._routine = _Socket(self._security, self._site, self._address)

    async def _renew(self) -> None:
        """Go on in a session that is ahead: after a restored card our counter is behind what the gateway saw."""
        self.session = await asyncio.to_thread(self._renew_session)
        log.warning("refused %d times: going on over ip in session %s", self._unauthorized, self.session)
        await self.close()
        self._open()

    async def _exchange(self, socket: "_Socket", submission: bytes) -> bytes:
        endpoint = await socket.open()
        request = Message(code=POST, mtype=CON, uri_path=["r"], payload=submission, transport_tuning=Tuning())
        request.remote = endpoint.gateway
        try:
            response = await endpoint.context.request(request, handle_blockwise=False).response
        except NotAProtectedMessage as unprotected:
            code = unprotected.plain_message.code
            if code == UNAUTHORIZED:
                raise UnauthorizedError(
                    "an unprotected 4.01: the gateway does not know this device's session"
                ) from None
            raise LinkError(f"an unprotected {code}, which proves nothing") from None
        except ProtectionInvalid as problem:
            raise LinkError(f"an answer that does not verify: {problem}") from problem
        except (error.Error, OSError) as problem:
            raise LinkError(f"no answer: {str(problem) or type(problem).__name__}") from problem
        if not isinstance(response.remote, OSCOREAddress) or response.remote.security_context is not self._security:
            raise LinkError(f"an answer outside OSCORE ({response.code}), which proves nothing")
        if not response.code.is_successful():
            raise LinkError(f"the gateway answered {response.code}")
        return bytes(response.payload)


class _Socket(asyncio.DatagramProtocol):
    """A UDP socket and its endpoint, opened when first needed and again after each close."""

    def __init__(self, security: SessionContext, site: resource.Site, address: Address) -> None:
        self._security = security
        self._site = site
        self._address = address
        self._peer: tuple[str, int] | None = None
        """The gateway's address, without the scope and flow that IPv6 adds."""
        self._transport: asyncio.DatagramTransport | None = None
        self._endpoint: Endpoint | None = None

    async def open(self) -> Endpoint:
        """The endpoint, made now if there is none. Raises LinkError."""
        if self._endpoint is None:
            loop = asyncio.get_running_loop()
            try:
                # by name each time: a gateway may move, and after a change of network the old answer may be wrong
                [(family, _, _, _, peer), *_] = await loop.getaddrinfo(
                    self._address.host, self._address.port, type=sockets.SOCK_DGRAM
                )
                self._transport, _ = await loop.create_datagram_endpoint(lambda: self, family=family)
            except OSError as problem:
                raise LinkError(f"{self._address}: {problem.strerror or problem}") from problem
            self._peer = (str(peer[0]), int(peer[1]))
            self._endpoint = Endpoint(self._security, self._site, self._transmit)
        return self._endpoint

    async def close(self) -> None:
        """Drop the socket and every exchange on it."""
        endpoint, self._endpoint = self._endpoint, None
        if self._transport is not None:
            self._transport.close()
            self._transport = None
        if endpoint is not None:
            await endpoint.context.shutdown()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """From asyncio. Whoever is not at the gateway's address is not listened to."""
        if self._endpoint is not None and self._peer is not None and addr[:2] == self._peer:
            self._endpoint.carrier.received(data)

    def error_received(self, exc: Exception) -> None:
        """From asyncio: no route, for instance. The exchange goes on: the network may come back within it."""
        log.info("udp to %s: %s", self._address, exc)

    def _transmit(self, datagram: bytes) -> None:
        if self._transport is not None:
            self._transport.sendto(datagram, self._peer)
