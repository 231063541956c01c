"""The SMS face of the gateway: hand a message to the inbox, send the receipt, or a wake-up, as a message of its own.

One SMS is one CoAP message: 8-bit user data without a header, at most 140 octets (docs/protocol.md). What is anything
else, or does not verify, is counted and gets no answer: an SMS costs, and anybody could make the gateway send one.
Which way messages come and go is a provider's business.
"""

import asyncio
import enum
import logging
import re
import secrets
from collections import Counter
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import aiocoap
from aiocoap import error as coap_error
from aiocoap.numbers.types import NON

from bondmate_sim.gateway import cose, oscore, pushes, records
from bondmate_sim.gateway.inbox import Inbox, RefusedError, ReplayedError, Taken, UnstoredError

MAX_OCTETS = 140
"""The user data of one SMS (3GPP TS 23.040, section 9.2.3.24)."""

BEARER = "sms"

_MAX_WAITING = 256
"""Messages that wait for a connection. A device whose receipt is dropped here asks again."""

_SAY_AGAIN_S = 60.0
_NUMBER = re.compile(r"\+?[0-9]{3,20}", re.ASCII)

_log = logging.getLogger("bondmate.gateway")


class SmsError(Exception):
    """The connection to the provider cannot be made, or ended; the text says what to do."""


class SmsRefusedError(Exception):
    """The provider does not take one message; the connection goes on."""


@dataclass(frozen=True, slots=True)
class Sms:
    """A short message as a provider brings it.

    `delivery` is what the provider knows it by; `octets` are its user data, a header included; `eight_bit` says that
    these are 8-bit data and not text (3GPP TS 23.038, section 4); `whole`, that they have no header and that the
    message is no part of a longer one.
    """

    delivery: str
    sender: str
    octets: bytes
    eight_bit: bool
    whole: bool


class SmsLink(Protocol):
    """A connection to a provider. All of it raises SmsError or OSError once the connection is lost."""

    async def receive(self) -> Sms:
        """Wait for the next message. What is never acknowledged comes again over a later connection."""

    async def acknowledge(self, sms: Sms) -> None:
        """Tell the provider that a message need not come again."""

    async def send(self, number: str, octets: bytes) -> None:
        """Send 8-bit user data without a header to a number (+ and digits, or digits alone).

        Returns once the provider took it. Raises SmsRefusedError when it does not.
        """


class SmsProvider(Protocol):
    """A way to a mobile operator; `str()` of it names it in the log."""

    def connect(self) -> AbstractAsyncContextManager[SmsLink]:
        """Connect for as long as the block lasts. Raises SmsError, OSError."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long the face waits for a provider."""

    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0
    """Between two connections; doubled from the first on, as long as none of them lasts as long as the longest."""
    answer_s: float = 10.0
    """For the answer to one message; a provider that says nothing for so long is not there any more."""


class Ignored(enum.StrEnum):
    """Why a message is not taken, or not answered, in the words of the log."""

    TEXT = "it is no 8-bit data"
    HEADER = "it has a user data header, or is a part of a longer one"
    LENGTH = f"it has more than {MAX_OCTETS} octets"
    NO_COAP = "it is no CoAP message"
    UNVERIFIED = "it is not authentic"
    REPLAY = "it came before, or far too late"
    NO_SUBMISSION = "it is authentic, but no submission"
    UNANSWERED_KID = "its record is taken, but no receipt is sent: the kid is another bearer's"
    UNANSWERED_SENDER = "its record is taken, but no receipt is sent: the sender is no number"
    UNANSWERED_FULL = "its record is taken, but no receipt is sent: too many are waiting; check the SMS provider"


class Tally:
    """Counts what is ignored, and says when a line of the log about a kind is due: one a minute at most."""

    def __init__(self) -> None:
        self.totals: Counter[Ignored] = Counter()
        self._said: dict[Ignored, tuple[float, int]] = {}

    def count(self, why: Ignored, now_s: float) -> int:
        """Count one, and return how many of its kind to speak of now; 0 while nothing is to be said."""
        self.totals[why] += 1
        said_at_s, said = self._said.get(why, (-_SAY_AGAIN_S, 0))
        if now_s - said_at_s < _SAY_AGAIN_S:
            return 0
        self._said[why] = now_s, self.totals[why]
        return self.totals[why] - said


class SmsFace:
    """Serves one provider, and connects again whenever the connection ends."""

    def __init__(
        self, inbox: Inbox, pushed: pushes.Pushes, provider: SmsProvider, timing: Timing | None = None
    ) -> None:
        self._inbox = inbox
        self._pushes = pushed
        self._provider = provider
        self._timing = timing or Timing()
        self._waiting: asyncio.Queue[tuple[str, bytes, str]] = asyncio.Queue(_MAX_WAITING)
        self.tally = Tally()

    async def run(self) -> None:
        """Serve until cancelled."""
        loop = asyncio.get_running_loop()
        wait_s = self._timing.first_wait_s
        while True:
            begun_s, why = loop.time(), "the connection ended"
            try:
                async with self._provider.connect() as link:
                    _log.info("SMS: connected to the %s", self._provider)
                    await self._converse(link)
            except (SmsError, OSError) as error:
                why = str(error)
            except Exception as error:  # noqa: BLE001 - supervisor: datagrams are served whatever a provider does
                _log.exception("SMS: an error of the gateway's own; report this")
                why = repr(error)
            if loop.time() - begun_s >= self._timing.longest_wait_s:
                wait_s = self._timing.first_wait_s
            _log.warning("SMS: the %s failed: %s; trying again in %g s", self._provider, why, wait_s)
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, self._timing.longest_wait_s)

    async def _converse(self, link: SmsLink) -> None:
        both = [asyncio.create_task(part) for part in (self._receive(link), self._send(link))]
        try:
            ended, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)
        for task in ended:
            task.result()

    async def _receive(self, link: SmsLink) -> None:
        while True:
            sms = await link.receive()
            try:
                done = self.take(sms)
            except Exception:  # noqa: BLE001 - one that would come again and again must not hold up all others
                _log.exception("SMS: an error of the gateway's own at a message, which is dropped; report this")
                done = True
            if not done:
                raise SmsError("a message could not be stored, and is left to come again over the next connection")
            await self._within(link.acknowledge(sms))

    async def _send(self, link: SmsLink) -> None:
        while True:
            number, octets, what = await self._waiting.get()
            try:
                # Once: when the connection is lost it may have gone out, and a device that did not get it asks again.
                await self._within(link.send(number, octets))
            except SmsRefusedError as why:
                _log.warning("SMS: a %s to %s was refused: %s; the device will ask again", what, _shown(number), why)

    async def _within(self, answer: Coroutine[Any, Any, None]) -> None:
        try:
            async with asyncio.timeout(self._timing.answer_s):
                await answer
        except TimeoutError as error:
            raise SmsError(f"no answer within {self._timing.answer_s:g} s; check whether it hangs") from error

    def take(self, sms: Sms) -> bool:
        """Take one message, and queue its receipt; false when it could not be stored and has to come again."""
        if (unfit := _unfit(sms)) is not None:
            self._ignore(unfit, sms)
            return True
        try:
            request = aiocoap.Message.decode(sms.octets)
        except (coap_error.UnparsableMessage, ValueError):
            self._ignore(Ignored.NO_COAP, sms)
            return True
        try:
            number = sms.sender if _NUMBER.fullmatch(sms.sender) else None
            taken = self._inbox.take(request, f"SMS of {_shown(sms.sender)}", number, by_sms=True)
        except ReplayedError:
            self._ignore(Ignored.REPLAY, sms)
        except RefusedError as why:
            self._ignore(Ignored.UNVERIFIED, sms, f": {why}")
        except UnstoredError:
            return False
        else:
            self._answer(taken, sms)
        return True

    def _answer(self, taken: Taken, sms: Sms) -> None:
        if taken.rekeyed:
            self._pushes.forget(taken.channel.bearer.device)
        if taken.outcome is None:
            self._ignore(Ignored.NO_SUBMISSION, sms)
            return
        bearer = taken.channel.bearer
        self._pushes.push_to_newest(bearer.device, taken.reply.payload, asyncio.get_running_loop().time())
        if bearer.name != BEARER:
            # A datagram caught on its way, which somebody sends on: he shall not make the gateway send.
            self._ignore(Ignored.UNANSWERED_KID, sms)
        elif not _NUMBER.fullmatch(sms.sender):
            self._ignore(Ignored.UNANSWERED_SENDER, sms)
        elif self._waiting.full():
            self._ignore(Ignored.UNANSWERED_FULL, sms)
        else:
            self._waiting.put_nowait((sms.sender, receipt_message(taken.channel, taken.reply.payload), "receipt"))
            _log.debug("SMS: a receipt for %s waits to be sent", records.device_text(bearer.device))

    def wake(self, number: str, channel: oscore.Channel) -> bool:
        """Queue a wake-up for a device under its present session, and return whether there was room."""
        if self._waiting.full():
            return False
        self._waiting.put_nowait((number, wake_message(channel), "wake-up"))
        return True

    def _ignore(self, why: Ignored, sms: Sms, detail: str = "") -> None:
        unsaid = self.tally.count(why, asyncio.get_running_loop().time())
        if unsaid:
            total = self.tally.totals[why]
            _log.info("SMS of %s: %s%s (%d of this kind, %d in all)", _shown(sms.sender), why, detail, unsaid, total)


def receipt_message(channel: oscore.Channel, receipt: bytes) -> bytes:
    """Return the octets of the `POST /c` that carries a receipt (a tagged COSE_Sign1) in one SMS."""
    return _message(channel, pushes.PATH, cose.compact(receipt))


def wake_message(channel: oscore.Channel) -> bytes:
    """Return the octets of the `POST /w` that wakes a device, in one SMS."""
    return _message(channel, pushes.WAKE_PATH, b"")


def _message(channel: oscore.Channel, path: tuple[str, ...], payload: bytes) -> bytes:
    # The OSCORE option names the session, so that a later run of the device finds the keys; there is no token, for no
    # response comes.
    request = aiocoap.Message(code=aiocoap.POST, uri_path=path, payload=payload)
    protected: Any = channel.protect(request, kid_context=True)[0]
    protected.mtype, protected.mid, protected.token = NON, secrets.randbelow(1 << 16), b""
    return bytes(protected.encode())


def is_eight_bit(coding: int) -> bool:
    """Say whether a TP-DCS means 8-bit data, not compressed (3GPP TS 23.038, section 4)."""
    general = coding & 0b1010_1100 == 0b0000_0100
    with_class = coding & 0b1111_1100 == 0b1111_0100
    return 0 <= coding <= 0xFF and (general or with_class)


def _unfit(sms: Sms) -> Ignored | None:
    if not sms.eight_bit:
        return Ignored.TEXT
    if not sms.whole:
        return Ignored.HEADER
    if len(sms.octets) > MAX_OCTETS:
        return Ignored.LENGTH
    return None


def _shown(number: str) -> str:
    """Return as much of a sender for the log as tells one device's number from another's, and no more."""
    return f"…{number[-3:]}" if _NUMBER.fullmatch(number) else "a sender without a number"
