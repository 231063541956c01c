"""The CoAP face of the gateway: unprotect, hand to the intake, commit, answer (docs/protocol.md, sections 4 and 5).

One request is handled from start to end without a pause, so that window, record and answer cannot interleave with
another. It decides no verdict.
"""

import asyncio
import logging
import time
from typing import Any

import aiocoap
import apsw
from aiocoap import error as coap_error
from aiocoap import interfaces
from aiocoap import oscore as library
from aiocoap.numbers.constants import TransportTuning
from cryptography.hazmat.primitives.asymmetric import ec

from bondmate_sim.gateway import intake, keys, oscore, receipts, records
from bondmate_sim.gateway.database import Database

MAX_SUBMISSION_OCTETS = 1024
_PATH_RECORDS = ("r",)
_PATH_RECEIPTS = ("c",)

PUSH_DEADLINE_S = 20.0
"""A device that does not take a pushed receipt within this sends its record again anyway."""

_log = logging.getLogger("bondmate.gateway")


class PushTuning(TransportTuning):  # type: ignore[misc]
    """Retransmission of a pushed receipt: the times of alerts (docs/protocol.md, section 6)."""

    MAX_RETRANSMIT = 2


class Site(interfaces.Resource):  # type: ignore[misc]
    """Everything that the gateway answers. It takes the place of aiocoap's site and of its OSCORE wrapper.

    The wrapper answers unprotected requests by their path, speaks EDHOC, and tells an unknown context from a replay
    and from a wrong key; here all of that is one plain 4.01.
    """

    def __init__(self, database: Database, signing_key: ec.EllipticCurvePrivateKey) -> None:
        self._database = database
        self._signing_key = signing_key
        self._contexts = oscore.Contexts(database)
        self._pushes: dict[bytes, asyncio.Task[None]] = {}
        self.coap: Any = None
        """The aiocoap context for pushes; set by whoever makes it, for it needs this site first."""

    async def render(self, request: Any) -> Any:
        """Not used: answers go to the pipe."""
        raise NotImplementedError

    async def needs_blockwise_assembly(self, request: Any) -> bool:
        """Not used: no submission is as large as a block."""
        raise NotImplementedError

    async def render_to_pipe(self, pipe: Any) -> None:
        """Answer one request."""
        pipe.add_response(self._answer(pipe.request), is_last=True)

    async def close(self) -> None:
        """End the pushes that are under way."""
        tasks = list(self._pushes.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _answer(self, request: Any) -> Any:
        sender = request.remote.hostinfo
        named = oscore.parse_option(request.opt.oscore)
        if named is None or request.code not in (aiocoap.POST, aiocoap.FETCH):
            return _refuse(sender, "it is not protected with OSCORE as a device does it")
        now = time.time()
        try:
            channel = self._contexts.find(named)
        except apsw.Error as error:
            _log.error("cannot look up the kid of %s: %s; check the disk of the data directory", sender, error)
            return aiocoap.Message(code=aiocoap.SERVICE_UNAVAILABLE)
        if channel is None:
            return _refuse(sender, f"kid {named.kid.hex()} is unknown, or its session is too old")
        try:
            inner, request_id = channel.unprotect(request)
        except (library.ProtectionInvalid, coap_error.UnparsableMessage, UnicodeDecodeError) as error:
            return _refuse(sender, f"it does not verify under kid {named.kid.hex()}: {error}")
        try:
            with self._database.transaction():
                kept = self._contexts.keep(channel, int(now * 1000))
                reply, outcome = self._serve(inner, channel, now)
        except apsw.Error as error:
            _log.error("cannot store a message of %s: %s; check the disk of the data directory", sender, error)
            return _unavailable(channel, request_id)
        self._contexts.committed(kept)
        if outcome is not None:
            self._report(outcome)
            if outcome.repeated:
                self._push(channel, request.remote, reply.payload)
        return channel.protect(reply, request_id)[0]

    def _serve(self, request: Any, channel: oscore.Channel, now: float) -> tuple[Any, intake.Outcome | None]:
        if request.opt.uri_path != _PATH_RECORDS:
            return aiocoap.Message(code=aiocoap.NOT_FOUND), None
        if request.code != aiocoap.POST:
            return aiocoap.Message(code=aiocoap.METHOD_NOT_ALLOWED), None
        if request.opt.block1 is not None or len(request.payload) > MAX_SUBMISSION_OCTETS:
            return aiocoap.Message(code=aiocoap.REQUEST_ENTITY_TOO_LARGE), None
        outcome = intake.take(self._database, channel.bearer, channel.session, request.payload, int(now * 1000))
        if outcome is None:
            return aiocoap.Message(code=aiocoap.BAD_REQUEST), None
        receipt = receipts.receipt(channel.bearer.device, outcome.entry, int(now), self._signing_key, keys.KEY_ID)
        return aiocoap.Message(code=aiocoap.CHANGED, payload=receipt), outcome

    def _report(self, outcome: intake.Outcome) -> None:
        usual = outcome.repeated or outcome.entry.verdict is receipts.Verdict.HELD
        _log.log(logging.INFO if usual else logging.WARNING, "%s", outcome.text)
        for alarm in outcome.alarms:
            _log.warning("%s", alarm)

    def _push(self, channel: oscore.Channel, remote: Any, receipt: bytes) -> None:
        device = channel.bearer.device
        if device in self._pushes:
            return
        task = asyncio.get_running_loop().create_task(self._send_receipt(channel, remote, receipt))
        self._pushes[device] = task
        task.add_done_callback(lambda _: self._pushes.pop(device))

    async def _send_receipt(self, channel: oscore.Channel, remote: Any, receipt: bytes) -> None:
        name = records.device_text(channel.bearer.device)
        message = aiocoap.Message(
            code=aiocoap.POST, uri_path=_PATH_RECEIPTS, payload=receipt, transport_tuning=PushTuning()
        )
        try:
            async with asyncio.timeout(PUSH_DEADLINE_S):
                protected, request_id = channel.protect(message)
                protected.remote = remote
                response = await self.coap.request(protected, handle_blockwise=False).response
                inner, _ = channel.unprotect(response, request_id)
        except (coap_error.Error, TimeoutError) as error:
            _log.debug("receipt pushed to %s at %s: no answer that verifies: %r", name, remote.hostinfo, error)
            return
        _log.debug("receipt pushed to %s at %s: %s", name, remote.hostinfo, inner.code)


def _refuse(sender: str, why: str) -> Any:
    _log.info("refused a datagram of %s: %s", sender, why)
    return aiocoap.Message(code=aiocoap.UNAUTHORIZED)


def _unavailable(channel: oscore.Channel, request_id: Any) -> Any:
    # The window was not committed, so after a restart the same request could be answered once more: a response under
    # the request's own nonce now would spend that nonce twice. An own number, reserved earlier, is safe.
    request_id.can_reuse_nonce = False
    message = aiocoap.Message(code=aiocoap.SERVICE_UNAVAILABLE)
    try:
        return channel.protect(message, request_id)[0]
    except library.ContextUnavailable:
        return message
