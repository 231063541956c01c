"""A force, its enrolment files, and as much of a gateway as section 9 of docs/protocol.md asks for, without sockets."""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cbor2
import lakers
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from bondmate.cose import KeySigner, sign1, verify1
from bondmate.errors import LinkError
from bondmate.records import SessionId

DEVICE, KID, GATEWAY_ID, KEY_ID = bytes.fromhex("7f3a09c1"), b"kid!", b"\x67", b"\x01"
ADDRESS = "coap://192.0.2.7:5683"


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def xy(key: ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey) -> list[bytes]:
    public = key.public_key() if isinstance(key, ec.EllipticCurvePrivateKey) else key
    numbers = public.public_numbers()
    return [numbers.x.to_bytes(32), numbers.y.to_bytes(32)]


def der(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def ccs(subject: str, kid: bytes, key: ec.EllipticCurvePrivateKey | list[bytes]) -> bytes:
    """As section 9 has it: a map of CWT claims, spelled out octet by octet."""
    x, y = key if isinstance(key, list) else xy(key)
    return (
        b"\xa2\x02" + cbor2.dumps(subject) + b"\x08\xa1\x01\xa5\x01\x02\x02\x41" + kid
        + b"\x20\x01\x21\x58\x20" + x + b"\x22\x58\x20" + y
    )  # fmt: skip


@dataclass
class Force:
    """Its keys, and those of its gateway."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    gateway_key: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    gateway_dh: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    def payload(self, network: Any = None, **changes: Any) -> list[Any]:
        elements = {
            "version": 1,
            "device": DEVICE,
            "kid": KID,
            "secret": self.secret,
            "gateway": [GATEWAY_ID, [ADDRESS], [[KEY_ID, der(self.gateway_key)]], xy(self.gateway_dh)],
            "issued_s": 1_795_000_000,
            "network": network,
        }
        return list((elements | changes).values())

    def file(self, network: Any = None, *, signer: ec.EllipticCurvePrivateKey | None = None, **changes: Any) -> bytes:
        return sign1(
            cbor2.dumps(self.payload(network, **changes)),
            cbor2.dumps(["bondmate enrolment 1"]),
            KeySigner(signer or self.key),
        )

    def put(self, folder: Path, network: Any = None, **changes: Any) -> tuple[Path, Path]:
        """The file and the force's key, in a folder."""
        folder.mkdir(exist_ok=True)
        file, key = folder / "bondmate-enrol.cose", folder / "force.pem"
        file.write_bytes(self.file(network, **changes))
        key.write_bytes(pem(self.key))
        return file, key


class Registrar:
    """The gateway's side for one device: which key it took, and the keys that last."""

    def __init__(self, force: Force, verdict: int = 0) -> None:
        self.force = force
        self.verdict = verdict
        """For a key that is the device's."""
        self.taken: bytes | None = None
        self.dh: list[bytes] | None = None
        self.fresh: dict[str, bytes] | None = None
        """Not used yet: another exchange replaces it."""
        self.requests: list[str] = []
        self.connection = b"\x52"
        """Its C_R."""
        self._exchanges: dict[bytes, Any] = {}
        self._answers: dict[bytes, bytes] = {}

    def enrol(self, session: bytes, request: bytes) -> bytes:
        self.requests.append("e")
        [version, spki, dh, software] = cbor2.loads(_unverified(request))
        verify1(request, cbor2.dumps(["bondmate enrol 1", DEVICE, session]), {b"": load_der_public_key(spki)})  # type: ignore[dict-item]
        assert version == 1
        assert len(software.encode()) <= 64
        other = self.taken not in (None, spki)
        if not other:
            self.taken, self.dh = spki, dh
        payload = [1, 2 if other else self.verdict, "as the registrar says"]
        digest = hashlib.sha256(request).digest()[:16]
        return self.answer(payload, ["bondmate enrolled 1", DEVICE, session, digest])

    def answer(self, payload: list[Any], aad: list[Any]) -> bytes:
        return sign1(cbor2.dumps(payload), cbor2.dumps(aad), KeySigner(self.force.gateway_key))

    def rekey(self, request: bytes) -> bytes:
        step, exchange, message = cbor2.loads(request)
        self.requests.append(f"k{step}")
        assert len(exchange) == 8
        gateway = self.force.gateway_dh
        if step == 1:
            assert self.dh is not None
            responder = lakers.EdhocResponder(
                gateway.private_numbers().private_value.to_bytes(32),
                lakers.Credential(ccs(f"BG-{GATEWAY_ID.hex()}", b"\x52", gateway)),
            )
            responder.process_message_1(message)
            self._exchanges[exchange] = responder
            return cbor2.dumps(responder.prepare_message_2(lakers.CredentialTransfer.ByReference, self.connection))
        if exchange in self._answers:
            return self._answers[exchange]
        responder = self._exchanges.pop(exchange)
        assert self.dh is not None
        responder.parse_message_3(message)
        responder.verify_message_3(lakers.Credential(ccs(f"BM-{DEVICE.hex()}", b"\x49", self.dh)))
        answer = cbor2.dumps(responder.prepare_message_4())
        self.fresh = {"channel": responder.edhoc_exporter(0, b"bondmate 1 channel", 32)} | {
            bearer: responder.edhoc_exporter(0, f"bondmate 1 kid {bearer}".encode(), 4)
            for bearer in ("ip", "lte", "sms")
        }
        self._answers[exchange] = answer
        return answer


class Wire:
    """A bearer to a registrar. Whatever is in `fails` for a request's number (from 1) happens to it."""

    def __init__(self, registrar: Registrar, name: str = "ip") -> None:
        self.name = name
        self.session = SessionId(secrets.token_bytes(6))
        self.registrar = registrar
        self.fails: dict[int, str] = {}
        """lost: it never came; unanswered: it came, and the answer was lost."""
        self.changes: Callable[[int, bytes], bytes] = lambda number, answer: answer
        """What becomes of an answer on its way."""
        self.posted = 0

    async def post(self, path: str, payload: bytes) -> bytes:
        self.posted += 1
        number = self.posted
        if self.fails.get(number) == "lost":
            raise LinkError("lost")
        answer = self.registrar.enrol(self.session.octets, payload) if path == "e" else self.registrar.rekey(payload)
        if self.fails.get(number) == "unanswered":
            raise LinkError("unanswered")
        return self.changes(number, answer)


def _unverified(message: bytes) -> bytes:
    payload: bytes = cbor2.loads(message).value[2]
    return payload
