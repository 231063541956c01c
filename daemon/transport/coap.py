"""Submissions to the gateway as CoAP in datagrams, protected by OSCORE (docs/protocol.md, sections 5 and 6).

It carries; it decides nothing. Deadlines, retries and order are the delivery core's; what moves the datagrams is udp's
(the bearer `ip`) or lte's.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Coroutine
from time import monotonic
from typing import Any, Protocol

from aiocoap import (
    BAD_REQUEST,
    CHANGED,
    GET,
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

from bondmate.credentials import ChannelKeys
from bondmate.errors import LinkError, RemoteError, UnauthorizedError
from bondmate.ports import NOTHING_SENT
from bondmate.records import SessionId
from bondmate.transport.carrier import Endpoint
from bondmate.transport.oscore import SessionContext

log = logging.getLogger(__name__)

UNAUTHORIZED_LIMIT = 3
"""So many plain 4.01 in a row, from whomever, and the start counter moves ahead."""
RENEW_S = 60.0
"""But no sooner again than this: whoever answers everything with 4.01 would drive it round and round."""

MAX_RECEIPT_OCTETS = 1024
MAX_ANSWER_OCTETS = 1200
"""Of any answer: the messages of a mailbox are the longest."""


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


class Wake(resource.Resource):  # type: ignore[misc]  # untyped
    """The device's resource `/w`: the gateway wishes to be asked."""

    def __init__(self, wake: Callable[[], None]) -> None:
        super().__init__()
        self._wake = wake

    async def render_post(self, request: Message) -> Message:
        """2.04."""
        if not isinstance(request.remote, OSCOREAddress):
            return Message(code=UNAUTHORIZED)
        self._wake()
        return Message(code=CHANGED)


class Way(Protocol):
    """A socket to the gateway, however far away."""

    @property
    def closed(self) -> asyncio.Future[str]:
        """Done when it is gone, with why in words."""

    def send(self, datagram: bytes) -> None:
        """Send without waiting; what is not taken is lost, as in any network."""

    def close(self) -> None:
        """Let it go."""


Opener = Callable[[Callable[[bytes], None]], Awaitable[Way]]
"""Opens a way, on which the gateway's datagrams are given to the argument. Raises LinkError."""


class CoapBearer:
    """Implements ports.Bearer over whatever moves datagrams.

    Each exchange has a socket to itself, for aiocoap lets one confirmable exchange a socket and remote wait for the
    one before. A socket that served well is used again; after any failure it is closed, and the next one is opened
    anew.
    """

    is_scarce = False

    def __init__(
        self, name: str, keys: ChannelKeys, session: SessionId, opener: Opener, renew: Callable[[], SessionId]
    ) -> None:
        """`renew` gives a session whose counter is far ahead."""
        self.name = name
        self.session = session
        self.why_not: str | None = NOTHING_SENT
        self.last_success_s: float | None = None
        self._keys = keys
        self._security = SessionContext(keys, session)
        self._opener = opener
        self._renew = renew
        self._unauthorized = 0
        self._renewed_s = -math.inf
        self._site = resource.Site()
        self._idle: list[_Line] = []
        self._busy: set[_Line] = set()
        self._closed = False

    def listen(self, take_receipt: Callable[[bytes], None], wake: Callable[[], None]) -> None:
        """Hear the gateway on every open socket, also the idle ones.

        Each receipt that comes to `/c` is given to `take_receipt`, which raises RemoteError for a false one; `wake` is
        the gateway's wish to be asked.
        """
        self._site.add_resource(["c"], Receipts(take_receipt))
        self._site.add_resource(["w"], Wake(wake))

    async def send(self, submission: bytes) -> bytes:
        """See ports.Bearer."""
        return await self.post("r", submission)

    async def post(self, path: str, payload: bytes) -> bytes:
        """POST to a resource of the gateway; the payload of the authenticated answer. Raises LinkError."""
        return await self._ask(Message(code=POST, uri_path=[path], payload=payload, transport_tuning=Tuning()))

    async def fetch(self, cursor: int) -> bytes:
        """See ports.Bearer."""
        return await self._ask(Message(code=GET, uri_path=["m"], uri_query=[str(cursor)], transport_tuning=Tuning()))

    async def _ask(self, request: Message) -> bytes:
        """One exchange, on a socket of its own; the payload of the authenticated answer. Raises LinkError."""
        security = self._security
        line: _Line | None = None
        try:
            line = await self._idle_line() or await self._open(security)
            self._busy.add(line)
            payload = await line.unless_lost(_exchange(line.endpoint, security, request))
        except BaseException as failure:
            self.why_not = str(failure) if isinstance(failure, LinkError) else "no answer in time"
            if isinstance(failure, UnauthorizedError) and security is self._security:
                await self._refused()
            if line is not None:
                self._busy.discard(line)
                await line.close()
            raise
        self._busy.discard(line)
        self.why_not, self.last_success_s = None, monotonic()
        self._unauthorized = 0
        if security is self._security and line.endpoint.settled:
            self._idle.append(line)
        else:
            await line.close()
        return payload

    async def close(self) -> None:
        """Close every socket, also of exchanges under way."""
        self._closed = True
        lines, self._idle, self._busy = [*self._idle, *self._busy], [], set()
        for line in lines:
            await line.close()

    async def _idle_line(self) -> "_Line | None":
        while self._idle:
            line = self._idle.pop()
            if not line.way.closed.done():
                return line
            await line.close()
        return None

    async def _open(self, security: SessionContext) -> "_Line":
        line = _Line(security, self._site)
        try:
            line.way = await self._opener(line.endpoint.carrier.received)
        except BaseException:
            await line.close()
            raise
        if self._closed:
            await line.close()
            raise LinkError("the bearer was closed")
        return line

    async def _refused(self) -> None:
        """After a restored card our counter is behind what the gateway saw: then go on in a session that is ahead."""
        self._unauthorized += 1
        if self._unauthorized >= UNAUTHORIZED_LIMIT and monotonic() - self._renewed_s >= RENEW_S:
            self._renewed_s = monotonic()
            self.session = self._renew()
            self._security = SessionContext(self._keys, self.session)
            log.warning(
                "refused %d times in a row: going on over %s in session %s",
                self._unauthorized,
                self.name,
                self.session,
            )
            stale, self._idle = self._idle, []
            for line in stale:
                await line.close()


async def _exchange(endpoint: Endpoint, security: SessionContext, request: Message) -> bytes:
    """Send one request and return the payload of the authenticated answer. Raises LinkError."""
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
    if len(response.payload) > MAX_ANSWER_OCTETS:
        raise LinkError(f"an answer of {len(response.payload)} octets, where {MAX_ANSWER_OCTETS} are allowed")
    return bytes(response.payload)


class _Line:
    """A way to the gateway, once it is open, and the aiocoap endpoint over it."""

    def __init__(self, security: SessionContext, site: resource.Site) -> None:
        self.way: Way
        self.endpoint = Endpoint(security, site, self._send)
        self._is_closed = False

    async def unless_lost(self, exchange: Coroutine[Any, Any, bytes]) -> bytes:
        """What comes of the exchange. Raises LinkError when the way is lost meanwhile: nothing could come any more."""
        task = asyncio.ensure_future(exchange)
        try:
            either: set[asyncio.Future[Any]] = {task, self.way.closed}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise LinkError(self.way.closed.result())
        finally:
            task.cancel()

    async def close(self) -> None:
        """Drop the way, and the exchange on it."""
        if self._is_closed:
            return
        self._is_closed = True
        if hasattr(self, "way"):
            self.way.close()
        await self.endpoint.context.shutdown()

    def _send(self, datagram: bytes) -> None:
        if not self._is_closed:
            self.way.send(datagram)
