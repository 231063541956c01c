"""`POST /e` and `POST /k`: a device proves its key, and agrees on channel keys (docs/protocol.md, section 9).

All of it runs inside the transaction of the message that asked. The exchanges that are open stand in memory: after a
restart a device begins another, under the keys that it has.
"""

import logging
from dataclasses import dataclass
from typing import Any

import aiocoap
import cbor2
from cryptography.hazmat.primitives.asymmetric import ec

from bondmate_sim.gateway import cbor, claims, devices, enrolments, keys, oscore, records, rekeying
from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.devices import Standing
from bondmate_sim.gateway.edhoc import ChannelKeys, EdhocError, Responder
from bondmate_sim.gateway.enrolments import Verdict
from bondmate_sim.gateway.serving import Served, plain, refused_post

MAX_CLAIM_OCTETS = 1024

MAX_EXCHANGES = 2
"""Of one device, the newest: whoever else has its enrolment file shall not end its exchange by beginning one."""

_EXCHANGE_OCTETS = 8
_MAX_MESSAGE_OCTETS = 512
_MAX_REQUEST_OCTETS = 1024


@dataclass(slots=True)
class _Exchange:
    """One exchange with a device; the last three are set by message 3, once it verified."""

    responder: Responder
    message_1: bytes
    message_2: bytes
    message_3: bytes | None = None
    message_4: bytes = b""
    agreed: ChannelKeys | None = None


class Enrolling:
    """Serves both requests, and holds the exchanges that are open."""

    def __init__(
        self, database: Database, signing_key: ec.EllipticCurvePrivateKey, dh_key: ec.EllipticCurvePrivateKey
    ) -> None:
        self._database = database
        self._signing_key = signing_key
        self._dh_key = dh_key
        self._open: dict[bytes, dict[bytes, _Exchange]] = {}
        """By device and the exchange's own octets, the newest last."""

    def claim(self, request: Any, channel: oscore.Channel, now_ms: int) -> Served:
        """Serve `POST /e`. Raises apsw.Error."""
        if (refusal := refused_post(request, MAX_CLAIM_OCTETS)) is not None:
            return refusal
        device = channel.bearer.device
        name = records.device_text(device)
        try:
            claim = claims.read(request.payload, device, channel.session)
        except claims.InvalidError as error:
            return plain(aiocoap.BAD_REQUEST, f"{name} asks to be enrolled, and that does not verify: {error}")
        verdict = enrolments.ask(self._database, device, claim.keys, claim.software, now_ms)
        fingerprint = keys.fingerprint(claim.keys.signing)
        text = claims.words(verdict, fingerprint)
        answer = claims.answer(request.payload, device, channel.session, verdict, text, self._signing_key)
        level = logging.WARNING if verdict is Verdict.OTHER_KEY else logging.INFO
        said = [(level, f"{name} asks to be enrolled with the key {fingerprint}: {_SAID[verdict]}")]
        return Served(aiocoap.Message(code=aiocoap.CHANGED, payload=answer), said=said)

    def exchange(self, request: Any, channel: oscore.Channel, now_ms: int) -> Served:
        """Serve `POST /k`. Raises apsw.Error."""
        if (refusal := refused_post(request, _MAX_REQUEST_OCTETS)) is not None:
            return refusal
        device = channel.bearer.device
        name = records.device_text(device)
        try:
            step, identity, message = _read(request.payload)
        except cbor.MalformedError as error:
            return plain(aiocoap.BAD_REQUEST, f"{name} asks for new keys, and that cannot be read: {error}")
        dh = self._dh(channel, now_ms)
        if dh is None:
            return plain(aiocoap.BAD_REQUEST, f"{name} asks for new keys, and may have none")
        try:
            if step == 1:
                return Served(_message(self._begin(device, identity, message)))
            return self._end(device, identity, message, dh)
        except EdhocError as error:
            return plain(aiocoap.BAD_REQUEST, f"{name} asks for new keys: the exchange failed: {error}")

    def forget(self, device: bytes) -> None:
        """Forget the exchanges with a device."""
        self._open.pop(device, None)

    def _dh(self, channel: oscore.Channel, now_ms: int) -> tuple[bytes, bytes] | None:
        """Return the DH key of a device that may have new keys now, or None."""
        device = channel.bearer.device
        found = enrolments.find(self._database, device)
        if found is None or found.keys is None:
            return None
        if channel.bearer.standing is Standing.OFFERED:
            allowed = found.state(now_ms) is enrolments.State.TAKEN
        else:
            allowed = not devices.device(self._database, device).revoked
        return found.keys.dh if allowed else None

    def _begin(self, device: bytes, identity: bytes, message_1: bytes) -> bytes:
        exchanges = self._open.setdefault(device, {})
        known = exchanges.get(identity)
        if known is not None:
            if known.message_1 != message_1:
                raise EdhocError("another message 1 in an exchange that has one")
            return known.message_2
        responder = Responder(self._dh_key)
        message_2 = responder.answer_1(message_1)
        exchanges[identity] = _Exchange(responder, message_1, message_2)
        if len(exchanges) > MAX_EXCHANGES:
            del exchanges[next(iter(exchanges))]
        return message_2

    def _end(self, device: bytes, identity: bytes, message_3: bytes, dh: tuple[bytes, bytes]) -> Served:
        exchange = self._open.get(device, {}).get(identity)
        if exchange is None:
            raise EdhocError("it is not known here")
        if exchange.message_3 is None:
            # One try: what does not verify ends the exchange.
            del self._open[device][identity]
            exchange.message_4, exchange.agreed = exchange.responder.answer_3(message_3, device, dh)
            exchange.message_3 = message_3
            self._open[device][identity] = exchange
        if exchange.message_3 != message_3 or exchange.agreed is None:
            raise EdhocError("another message 3 in an exchange that has one")
        if not rekeying.is_possible(self._database, device, exchange.agreed):
            self._open[device].pop(identity)
            return plain(aiocoap.CONFLICT, "a kid that was agreed on is taken; the device begins anew")
        rekeying.store(self._database, device, exchange.agreed)

        def committed() -> None:
            # What was agreed on before is replaced, and shall not come back by a late repetition.
            self._open[device] = {identity: exchange}

        line = (
            f"agreed with {records.device_text(device)} on new keys; those that it has hold until it uses the new ones"
        )
        return Served(_message(exchange.message_4), said=[(logging.INFO, line)], committed=committed)


_SAID = {
    Verdict.TAKEN: "taken",
    Verdict.WAITING: "waiting for 'bondmate-gateway approve'",
    Verdict.OTHER_KEY: "REFUSED: another key was taken under this secret. Somebody has a copy of the file",
    Verdict.OVER: "refused: the file has expired or was withdrawn",
}


def _message(edhoc_message: bytes) -> Any:
    return aiocoap.Message(code=aiocoap.CHANGED, payload=cbor2.dumps(edhoc_message))


def _read(payload: bytes) -> tuple[int, bytes, bytes]:
    parts = cbor.items(payload)
    if len(parts) != 3:
        raise cbor.MalformedError(f"a request has 3 elements, not {len(parts)}")
    step, identity, message = cbor.uint(parts[0], 1, 3), cbor.octets(parts[1]), cbor.octets(parts[2])
    if step == 2 or len(identity) != _EXCHANGE_OCTETS or not 1 <= len(message) <= _MAX_MESSAGE_OCTETS:
        raise cbor.MalformedError("the step, the exchange or the message has no such value")
    return step, identity, message
