"""The bearer `sms`: one OSCORE-protected CoAP message in one short message (docs/protocol.md, section 6).

Submissions are non-confirmable and get no response: their receipts come as requests to `/c`, in a message of their own
or over any other bearer. What comes from anybody but the gateway's numbers, or does not verify, is counted and ignored:
an answer would cost, and anybody could ask for one.
"""

import logging
import math
import secrets
from collections import Counter
from collections.abc import Callable
from time import monotonic

from aiocoap import POST, Message
from aiocoap.numbers.types import NON
from aiocoap.oscore import COSE_KID, COSE_KID_CONTEXT, verify_start

from bondmate.core.pdu import Sms
from bondmate.credentials import ChannelKeys
from bondmate.errors import LinkError, RemoteError, UnfitError, UnsureError
from bondmate.ports import NOTHING_SENT, CellularModem
from bondmate.records import SessionId
from bondmate.transport.oscore import SessionContext

log = logging.getLogger(__name__)

MAX_OCTETS = 140
"""The user data of one message (3GPP TS 23.040, 9.2.3.24)."""
AROUND_OCTETS = 31
"""What is around a submission beside its sender number (docs/protocol.md, "Budget"): CoAP header 4, OSCORE option with
ID Context and kid 14, marker 1; inner code 1, Uri-Path 2, marker 1, tag 8."""
SAY_AGAIN_S = 60.0
"""What is ignored is told in the log so often at most, by kind."""


class SmsBearer:
    """Implements ports.Bearer over a modem's short messages."""

    name = "sms"
    is_scarce = True

    def __init__(
        self,
        keys: ChannelKeys,
        session: SessionId,
        modem: CellularModem,
        gateway_number: str,
        allowed_numbers: tuple[str, ...],
    ) -> None:
        """`allowed_numbers` are those that the gateway sends from, beside its own."""
        self.session = session
        self.why_not: str | None = NOTHING_SENT
        self.last_success_s: float | None = None
        self.ignored: Counter[str] = Counter()
        """Messages that came and were not taken, by reason."""
        self._keys = keys
        self._security = SessionContext(keys, session)
        self._modem = modem
        self._gateway_number = gateway_number
        self._allowed = frozenset({gateway_number, *allowed_numbers})
        self._take_receipt: Callable[[bytes], None]
        self._wake: Callable[[], None]
        self._said_s: dict[str, float] = {}

    def listen(self, take_receipt: Callable[[bytes], None], wake: Callable[[], None]) -> None:
        """Begin to hear messages. `take_receipt` raises RemoteError for a false one; `wake` is the gateway's wish."""
        self._take_receipt, self._wake = take_receipt, wake
        self._modem.on_sms(self._received)

    async def send(self, submission: bytes) -> None:
        """See ports.Bearer. Returns when the network has taken the message."""
        number_octets = max(1, (self._security.sender_sequence_number.bit_length() + 7) // 8)
        if (octets := AROUND_OCTETS + number_octets + len(submission)) > MAX_OCTETS:
            raise UnfitError(f"{octets} octets do not fit one SMS")
        request = Message(code=POST, uri_path=["r"], payload=submission)
        protected, _ = self._security.protect(request)
        protected.mtype, protected.mid, protected.token = NON, secrets.randbelow(1 << 16), b""
        try:
            await self._modem.send_sms(self._gateway_number, protected.encode())
        except UnsureError as doubt:
            # as if it had: each message costs, and a receipt tells
            log.warning("an SMS may have gone out, or not: %s", doubt)
        except BaseException as failure:
            self.why_not = str(failure) if isinstance(failure, LinkError) else "the network did not take it in time"
            raise
        self.why_not = "the network took it; no receipt came yet"

    async def fetch(self, cursor: int) -> bytes:
        """See ports.Bearer. Mailbox messages do not travel by SMS."""
        raise LinkError(f"nothing behind message {cursor} can come: SMS carries no mailbox")

    def renewed(self, session: SessionId) -> None:
        """Another bearer learnt that our start counter is behind what the gateway saw: go on ahead, as it does."""
        self.session, self._security = session, SessionContext(self._keys, session)

    def _received(self, sms: Sms) -> None:
        try:
            self._take(sms)
        except _IgnoredError as why:
            self._ignore(str(why))

    def _take(self, sms: Sms) -> None:
        if sms.sender not in self._allowed:
            raise _IgnoredError("from a number that is not the gateway's")
        if not sms.is_8_bit or sms.header or len(sms.octets) > MAX_OCTETS:
            raise _IgnoredError("no single message of octets")
        path, payload = self._verified(sms.octets)
        match path:
            case ("c",):
                try:
                    self._take_receipt(payload)
                except RemoteError as problem:
                    log.info("a receipt by SMS was not accepted: %s", problem)
                    raise _IgnoredError("a receipt that was not accepted") from problem
                self.why_not, self.last_success_s = None, monotonic()
            case ("w",):
                self._wake()
            case _:
                raise _IgnoredError("authentic, and of no use here")

    def _verified(self, octets: bytes) -> tuple[tuple[str, ...], bytes]:
        """The path and the payload of a request of the gateway's."""
        try:
            message = Message.decode(octets)
            named = verify_start(message)
            # a KeyError for whoever names none, or no keys but the gateway's
            session = {self._keys.gateway_id: SessionId(named[COSE_KID_CONTEXT])}[named[COSE_KID]]
            # a receipt may come after a restart: its keys follow from the session that it names. Only receipts count
            # then, and the same one again does no harm
            security = self._security if session == self.session else SessionContext(self._keys, session)
            inner, _ = security.unprotect(message)
        # aiocoap parses what anybody may send before it is verified, and some of that makes it raise nearly anything
        except Exception as problem:
            raise _IgnoredError("it does not verify") from problem
        path = tuple(inner.opt.uri_path)
        if inner.code != POST or not (session == self.session or path == ("c",)):
            raise _IgnoredError("authentic, and of no use here")
        return path, inner.payload

    def _ignore(self, why: str) -> None:
        self.ignored[why] += 1
        now = monotonic()
        if now >= self._said_s.get(why, -math.inf) + SAY_AGAIN_S:
            self._said_s[why] = now
            log.warning("an SMS was ignored: %s (%d so far)", why, self.ignored[why])


class _IgnoredError(Exception):
    """A message that is not taken; the text says why, in one of a few ways."""
