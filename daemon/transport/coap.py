"""The bearer `ip`: submissions to the gateway as CoAP over UDP, protected by OSCORE (docs/protocol.md, sections 5, 6).

It carries; it decides nothing. Deadlines, retries and order are the delivery core's.
"""

import asyncio
import itertools
import logging
import math
from collections.abc import Callable
from time import monotonic

from aiocoap import (
    BAD_REQUEST,
    CHANGED,
    POST,
    REQUEST_ENTITY_TOO_LARGE,
    UNAUTHORIZED,
    Message,
    error,
    resource,
)
from aiocoap.numbers.constants import Reliable
from aiocoap.oscore import NotAProtectedMessage, ProtectionInvalid
from aiocoap.transports.oscore import OSCOREAddress

from bondmate.credentials import Address, ChannelKeys
from bondmate.errors import LinkError, RemoteError, UnauthorizedError
from bondmate.records import SessionId
from bondmate.transport.carrier import Endpoint
from bondmate.transport.names import Names
from bondmate.transport.oscore import SessionContext

log = logging.getLogger(__name__)

UNAUTHORIZED_LIMIT = 3
"""So many plain 4.01 in a row, from whomever, and the start counter moves ahead."""
RENEW_S = 60.0
"""But no sooner again than this: whoever answers everything with 4.01 would drive it round and round."""

MAX_RECEIPT_OCTETS = 1024


class Tuning(Reliable):  # type: ignore[misc]  # untyped
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
        """2.04 for a receipt that verifies, 4.00 for one that does not, 4.13 for one that is too long."""
        if not isinstance(request.remote, OSCOREAddress):
            return Message(code=UNAUTHORIZED)
        if len(request.payload) > MAX_RECEIPT_OCTETS:
            return Message(code=REQUEST_ENTITY_TOO_LARGE)
        try:
            self._take(request.payload)
        except RemoteError as problem:
            log.warning("a receipt from the gateway was not accepted: %s", problem)
            return Message(code=BAD_REQUEST)
        return Message(code=CHANGED)


class CoapBearer:
    """Implements ports.Bearer over UDP.

    Each exchange has a socket to itself, for aiocoap lets one confirmable exchange a socket and remote wait for the
    one before. A socket that served well is used again; after any failure it is closed, and the next one asks for
    the gateway's address anew.
    """

    name = "ip"

    def __init__(
        self,
        keys: ChannelKeys,
        session: SessionId,
        addresses: tuple[Address, ...],
        renew: Callable[[], SessionId],
    ) -> None:
        """`renew` gives a session whose counter is far ahead."""
        self.session = session
        self.why_not: str | None = "nothing sent yet"
        self.last_success_s: float | None = None
        self._keys = keys
        self._security = SessionContext(keys, session)
        self._addresses = addresses
        self._turns = itertools.count()
        self._names = Names()
        self._tried = 0
        self._renew = renew
        self._unauthorized = 0
        self._renewed_s = -math.inf
        self._site = resource.Site()
        self._idle: list[_Socket] = []
        self._busy: set[_Socket] = set()
        self._closed = False

    def listen(self, take_receipt: Callable[[bytes], None]) -> None:
        """Give each receipt that comes to `/c` to `take_receipt`, which raises RemoteError for a false one."""
        self._site.add_resource(["c"], Receipts(take_receipt))

    async def send(self, submission: bytes) -> bytes:
        """See ports.Bearer."""
        security = self._security
        socket: _Socket | None = None
        try:
            socket = self._idle.pop() if self._idle else await self._open(security)
            self._busy.add(socket)
            payload = await _exchange(socket.endpoint, security, submission)
        except BaseException as failure:
            self.why_not = str(failure) if isinstance(failure, LinkError) else "no answer in time"
            if isinstance(failure, UnauthorizedError) and security is self._security:
                await self._refused()
            if socket is not None:
                self._busy.discard(socket)
                await socket.close()
            raise
        self._busy.discard(socket)
        self.why_not, self.last_success_s = None, monotonic()
        self._unauthorized = 0
        if security is self._security and socket.endpoint.settled:
            self._idle.append(socket)
        else:
            await socket.close()
        return payload

    async def close(self) -> None:
        """Close every socket, also of exchanges under way."""
        self._closed = True
        sockets, self._idle, self._busy = [*self._idle, *self._busy], [], set()
        for socket in sockets:
            await socket.close()

    async def _open(self, security: SessionContext) -> "_Socket":
        """A socket to the next of the gateway's addresses that there is a way to. Raises LinkError."""
        first, problems = next(self._turns) % len(self._addresses), []
        for address in self._addresses[first:] + self._addresses[:first]:
            try:
                socket = await self._reach(address)
            except OSError as problem:
                problems.append(f"{address}: {problem.strerror or problem}")
                continue
            socket.endpoint = Endpoint(security, self._site, socket.send)
            if self._closed:
                await socket.close()
                raise LinkError("the bearer was closed")
            return socket
        raise LinkError("; ".join(problems))

    async def _reach(self, address: Address) -> "_Socket":
        places = await self._names.find(address)
        # a name may have addresses of which only some can be reached from here: each gets its turn
        family, peer = places[self._tried % len(places)]
        self._tried += 1
        socket = _Socket(peer, str(address))
        loop = asyncio.get_running_loop()
        socket.transport, _ = await loop.create_datagram_endpoint(lambda: socket, family=family)
        return socket

    async def _refused(self) -> None:
        """After a restored card our counter is behind what the gateway saw: then go on in a session that is ahead."""
        self._unauthorized += 1
        if self._unauthorized >= UNAUTHORIZED_LIMIT and monotonic() - self._renewed_s >= RENEW_S:
            self._renewed_s = monotonic()
            self.session = self._renew()
            self._security = SessionContext(self._keys, self.session)
            log.warning("refused %d times in a row: going on over ip in session %s", self._unauthorized, self.session)
            stale, self._idle = self._idle, []
            for socket in stale:
                await socket.close()


async def _exchange(endpoint: Endpoint, security: SessionContext, submission: bytes) -> bytes:
    """Post one submission and return the payload of the authenticated answer. Raises LinkError."""
    request = Message(code=POST, uri_path=["r"], payload=submission, transport_tuning=Tuning())
    request.remote = endpoint.gateway
    try:
        response = await endpoint.context.request(request, handle_blockwise=False).response
    except NotAProtectedMessage as unprotected:
        code = unprotected.plain_message.code
        if code == UNAUTHORIZED:
            raise UnauthorizedError("an unprotected 4.01: the gateway does not know this device's session") from None
        raise LinkError(f"an unprotected {code}, which proves nothing") from None
    except ProtectionInvalid as problem:
        raise LinkError(f"an answer that does not verify: {problem}") from problem
    except (error.Error, OSError) as problem:
        raise LinkError(f"no answer: {str(problem) or type(problem).__name__}") from problem
    # aiocoap parses what anybody may send before it is verified, and some of that makes it raise nearly anything
    except Exception as problem:
        raise LinkError(f"an answer that could not be read: {type(problem).__name__}: {problem}") from problem
    if not isinstance(response.remote, OSCOREAddress) or response.remote.security_context is not security:
        raise LinkError(f"an answer outside OSCORE ({response.code}), which proves nothing")
    if not response.code.is_successful():
        raise LinkError(f"the gateway answered {response.code}")
    return bytes(response.payload)


class _Socket(asyncio.DatagramProtocol):
    """A UDP socket to one address of the gateway, and the aiocoap endpoint over it."""

    transport: asyncio.DatagramTransport
    endpoint: Endpoint

    def __init__(self, peer: tuple[str, int], name: str) -> None:
        self._peer = peer
        self._name = name

    async def close(self) -> None:
        """Drop the socket and the exchange on it."""
        if not self.transport.is_closing():
            self.transport.close()
            await self.endpoint.context.shutdown()

    def send(self, datagram: bytes) -> None:
        """Send without waiting; what the network does not take is lost, as in any network."""
        if not self.transport.is_closing():
            self.transport.sendto(datagram, self._peer)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """From asyncio. Whoever is not at the gateway's address is not listened to."""
        if addr[:2] == self._peer:
            self.endpoint.carrier.received(data)

    def error_received(self, exc: Exception) -> None:
        """From asyncio: no route, for instance. The exchange goes on: the network may come back within it."""
        log.info("udp to %s: %s", self._name, exc)
