"""A device that is being enrolled, for the tests, written from docs/protocol.md, section 9. It sends by a function."""

import base64
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiocoap
import cbor2
import lakers
from aiocoap.numbers.types import ACK, CON
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from bondmate_sim.gateway import cards, enrolments
from bondmate_sim.gateway import keys as gateway_keys
from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.inbox import Inbox, RefusedError, UnstoredError
from bondmate_sim.gateway.keys import Purpose
from tests.gateway import twin

Send = Callable[[bytes], Any]
"""Takes the octets of a request, and returns the response, as aiocoap decoded it."""


@dataclass(frozen=True, slots=True)
class File:
    """An enrolment file whose signature verified."""

    device: bytes
    kid: bytes
    secret: bytes
    gateway: list[Any]
    network: Any

    @property
    def name(self) -> str:
        return f"BM-{self.device.hex()}"


@dataclass(frozen=True, slots=True)
class Keys:
    """What OSCORE contexts follow from."""

    secret: bytes
    kids: dict[str, bytes]


def open_file(tagged: bytes, force_pem: str) -> File:
    """Verify an enrolment file with the force's key, and read it."""
    tag = cbor2.loads(tagged)
    protected, unprotected, payload, _ = tag.value
    assert (tag.tag, protected, unprotected) == (18, cbor2.dumps({1: -7}), {})
    verify(tagged, ["bondmate enrolment 1"], serialization.load_pem_public_key(force_pem.encode()))
    version, device, kid, secret, gateway, _, network = cbor2.loads(payload)
    assert version == 1
    return File(device, kid, secret, gateway, network)


def of_command(shown: dict[str, Any], force_pem: str) -> File:
    """Return the file of one object of `enrol --cards --json`."""
    file = open_file(base64.b64decode(shown["file"]), force_pem)
    assert file.name == shown["device"]
    return file


def verify(tagged: bytes, aad: list[Any], key: Any) -> bytes:
    """Verify a COSE_Sign1 by ES256, and return its payload."""
    protected, _, payload, signature = cbor2.loads(tagged).value
    message = cbor2.dumps(["Signature1", protected, cbor2.dumps(aad), payload])
    r, s = (int.from_bytes(part, "big") for part in (signature[:32], signature[32:]))
    key.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
    return bytes(payload)


def point(key: ec.EllipticCurvePrivateKey) -> list[bytes]:
    numbers = key.public_key().public_numbers()
    return [each.to_bytes(32, "big") for each in (numbers.x, numbers.y)]


class Recruit:
    """A device with an enrolment file, and keys of its own."""

    def __init__(self, file: File, send: Send) -> None:
        self.file = file
        self.send = send
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.dh_key = ec.generate_private_key(ec.SECP256R1())
        self.software = "bondmate 0.1.0"
        self.code: Any = None
        """Of the last response; None when it was not protected."""

    @property
    def der(self) -> bytes:
        return self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    # --- The channel ------------------------------------------------------------------------------------

    def context(self, keys: Keys | None = None, bearer: str = "ip", session: bytes | None = None) -> twin.Context:
        """Return a new session, under the file's secret when no keys are given."""
        session = session or bytes(2) + secrets.token_bytes(4)
        if keys is None:
            return twin.Context(self.file.secret, self.file.device, "enrol", self.file.kid, b"\x67", session)
        return twin.Context(keys.secret, self.file.device, bearer, keys.kids[bearer], b"\x67", session)

    def post(self, context: twin.Context, path: str, payload: bytes, code: Any = aiocoap.POST) -> bytes | None:
        """Send a request and return the payload of its protected answer, or None; its code is kept."""
        inner = aiocoap.Message(code=code, uri_path=(path,), payload=payload)
        outer, identifiers = context.protect(inner)
        outer.mtype, outer.mid, outer.token = CON, secrets.randbelow(1 << 16), secrets.token_bytes(2)
        response = self.send(outer.encode())
        if response is None or response.opt.oscore is None:
            assert response is None or response.payload == b""
            self.code = None
            return None
        answer = context.unprotect(response, identifiers)[0]
        self.code = answer.code
        return bytes(answer.payload)

    def alert(self, keys: Keys, bearer: str = "ip") -> bool:
        """Send an alert in a new session under these keys, and return whether a protected answer came."""
        context = self.context(keys, bearer)
        return self.post(context, "r", record(self, context.id_context)) is not None

    # --- POST /e ----------------------------------------------------------------------------------------

    def claim(self, session: bytes, **changed: Any) -> bytes:
        """Return the signed request; `changed` are elements by name."""
        elements = {"version": 1, "key": self.der, "dh": point(self.dh_key), "software": self.software} | changed
        payload = cbor2.dumps(list(elements.values()))
        return twin.sign(payload, ["bondmate enrol 1", self.file.device, session], self.key)

    def ask(self, context: twin.Context | None = None) -> int | None:
        """Ask to be enrolled in a new session, and return the verified verdict, or None."""
        context = context or self.context()
        claim = self.claim(context.id_context)
        answer = self.post(context, "e", claim)
        return (
            None if self.code != aiocoap.CHANGED or answer is None else self.verdict(claim, context.id_context, answer)
        )

    def verdict(self, claim: bytes, session: bytes, answer: bytes) -> int:
        """Verify an answer, and return its verdict."""
        ((key_id, der),) = self.file.gateway[2]
        assert cbor2.loads(answer).value[1] == {4: key_id}
        aad = ["bondmate enrolled 1", self.file.device, session, twin.digest(claim)[:16]]
        version, verdict, text = cbor2.loads(verify(answer, aad, serialization.load_der_public_key(der)))
        assert version == 1
        assert len(text.encode()) <= 120
        return int(verdict)

    # --- POST /k ----------------------------------------------------------------------------------------

    def exchange(self) -> "Exchange":
        return Exchange(self)

    def agree(self, context: twin.Context) -> Keys | None:
        """Do a whole exchange, and return the new keys, or None when the gateway says to begin anew."""
        exchange = self.exchange()
        return exchange.end(context) if exchange.begin(context) else None


class Exchange:
    """One exchange of EDHOC, as the initiator."""

    def __init__(self, recruit: Recruit) -> None:
        self.recruit = recruit
        self.identity = secrets.token_bytes(8)
        self._initiator = lakers.EdhocInitiator()
        self.message_1 = bytes(self._initiator.prepare_message_1(c_i=b"\x49"))
        self.message_2: bytes | None = None
        self.message_3 = b""
        self.keys: Keys | None = None

    def begin(self, context: twin.Context) -> bool:
        """Send message 1 and take message 2."""
        answer = self._post(context, 1, self.message_1)
        if answer is None:
            return False
        if self.message_2 is not None:
            assert answer == self.message_2, "another message 2 to the same message 1"
            return True
        self.message_2 = answer
        c_r, named, _ = self._initiator.parse_message_2(answer)
        assert (bytes(c_r), bytes(named)) == (b"\x52", cbor2.dumps({4: b"\x52"}))
        recruit = self.recruit
        own = credential(recruit.file.name, b"\x49", point(recruit.dh_key))
        other = credential("BG-67", b"\x52", recruit.file.gateway[3])
        self._initiator.verify_message_2(recruit.dh_key.private_numbers().private_value.to_bytes(32, "big"), own, other)
        self.message_3 = bytes(self._initiator.prepare_message_3(lakers.CredentialTransfer.ByReference)[0])
        return True

    def end(self, context: twin.Context) -> Keys | None:
        """Send message 3, take message 4, and return the keys."""
        answer = self._post(context, 3, self.message_3)
        if answer is None:
            return None
        if self.keys is None:
            self._initiator.process_message_4(answer)
            kids = {each: self._export(f"kid {each}", 4) for each in ("ip", "lte", "sms")}
            self.keys = Keys(self._export("channel", 32), kids)
        return self.keys

    def _export(self, what: str, octets: int) -> bytes:
        return bytes(self._initiator.edhoc_exporter(0, f"bondmate 1 {what}".encode(), octets))

    def _post(self, context: twin.Context, step: int, message: bytes) -> bytes | None:
        answer = self.recruit.post(context, "k", cbor2.dumps([step, self.identity, message]))
        return None if self.recruit.code != aiocoap.CHANGED or answer is None else cbor2.loads(answer)


def credential(subject: str, kid: bytes, xy: list[bytes]) -> Any:
    key = {1: 2, 2: kid, -1: 1, -2: xy[0], -3: xy[1]}
    return lakers.Credential(cbor2.dumps({2: subject, 8: {1: key}}, canonical=True))


def record(recruit: Recruit, session: bytes, sequence: int = 1) -> bytes:
    """Return a signed panic record."""
    payload = cbor2.dumps([1, twin.PANIC, sequence, None, 1000, twin.CLOCK, twin.FIX])
    return twin.sign(payload, ["bondmate record 1", recruit.file.device, session], recruit.key)


class Office:
    """A gateway without a wire, over one data directory: it can be started again, and devices send to it."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.start()

    def start(self) -> None:
        self.database = Database(self.place, create=True)
        # What a power cut would take away is not the question where this is used.
        self.database.rows("PRAGMA synchronous = OFF")
        load = gateway_keys.load_or_create
        self.inbox = Inbox(self.database, load(self.place), load(self.place, Purpose.DH))

    def restart(self) -> None:
        self.database.close()
        self.start()

    def file(self, now_ms: int = 0, expires_ms: int = 4_102_444_800_000, *, approval: bool = False) -> File:
        load = gateway_keys.load_or_create
        force = load(self.place, Purpose.FORCE)
        gateway = cards.Gateway(
            ["coap://127.0.0.1:5683"], load(self.place).public_key(), load(self.place, Purpose.DH).public_key(), force
        )
        (made,) = enrolments.offer(self.database, 1, now_ms, expires_ms, approval=approval)
        return open_file(cards.file(made, gateway, now_ms // 1000, None), gateway_keys.public_pem(force.public_key()))

    def recruit(self, file: File | None = None) -> Recruit:
        return Recruit(file or self.file(), self.send)

    def enrolled(self) -> tuple[Recruit, Keys]:
        """Return a device that uses keys of its own."""
        recruit = self.recruit()
        context = recruit.context()
        assert recruit.ask(context) == 0
        keys = recruit.agree(context)
        assert keys is not None
        assert recruit.alert(keys)
        return recruit, keys

    def send(self, raw: bytes) -> Any:
        """Take a request, and return the response; None where that would be a plain error."""
        request = aiocoap.Message.decode(raw)
        try:
            taken = self.inbox.take(request, "a test")
        except (RefusedError, UnstoredError):
            return None
        response = taken.channel.protect(taken.reply, taken.request_id)[0]
        response.mtype, response.mid, response.token = ACK, request.mid, request.token
        return aiocoap.Message.decode(response.encode())

    def state(self, device: bytes, now_ms: int = 0) -> str:
        found = enrolments.find(self.database, device)
        assert found is not None
        return found.state(now_ms).value
