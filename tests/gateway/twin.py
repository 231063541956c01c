"""A device for the tests, written from docs/protocol.md: a UDP socket and SMS, one OSCORE context, blocking calls.

Datagrams are made and sent as octets, so that a test can send one again, alter it, or send it from elsewhere.
"""

import json
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiocoap
import cbor2
from aiocoap import oscore
from aiocoap.numbers.types import ACK, CON, NON
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PANIC, CANCELLATION, OPENING, STORE_LOST, POSITION, HEALTH = 1, 9, 16, 18, 32, 64
FIX = bytes.fromhex("1714a9f8fa8e4d37") + bytes([10, 24, 1])
CLOCK = bytes.fromhex("69b3f5f0805a")
WAIT_S = 20.0
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class Context(oscore.CanProtect, oscore.CanUnprotect, oscore.SecurityContextUtils):  # type: ignore[misc]
    """The device's side of one session."""

    def __init__(self, secret: bytes, device: bytes, bearer: str, kid: bytes, gateway: bytes, session: bytes) -> None:
        def derive(length: int, what: str) -> bytes:
            info = f"bondmate 1 oscore {bearer} {what}".encode()
            return HKDF(algorithm=hashes.SHA256(), length=length, salt=device, info=info).derive(secret)

        self.alg_aead = oscore.algorithms["AES-CCM-16-64-128"]
        self.hashfun = oscore.hashfunctions["sha256"]
        self.sender_id, self.recipient_id, self.id_context = kid, gateway, session
        self.derive_keys(derive(8, "salt"), derive(16, "secret"))
        self.echo_recovery = None
        self.sender_sequence_number = 0
        self.recipient_replay_window = oscore.ReplayWindow(64, lambda: None)
        self.recipient_replay_window.initialize_empty()

    def post_seqnoincrease(self) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Request:
    """A protected request: its octets, and what its response is unprotected with."""

    raw: bytes
    identifiers: Any


def sign(payload: bytes, aad: list[Any], key: Any, protected: bytes | None = None) -> bytes:
    """Return a tagged COSE_Sign1."""
    is_ec = isinstance(key, ec.EllipticCurvePrivateKey)
    header = cbor2.dumps({1: -7 if is_ec else -8}) if protected is None else protected
    message = cbor2.dumps(["Signature1", header, cbor2.dumps(aad), payload])
    if isinstance(key, ed25519.Ed25519PrivateKey):
        signature = key.sign(message)
    else:
        r, s = utils.decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
        signature = r.to_bytes(32, "big") + min(s, P256_ORDER - s).to_bytes(32, "big")
    return cbor2.dumps(cbor2.CBORTag(18, [header, {}, payload, signature]))


def with_upper_s(tagged: bytes) -> bytes:
    """Return a COSE_Sign1 by ES256 with the other signature of the two that ECDSA accepts for one."""
    protected, unprotected, payload, signature = cbor2.loads(tagged).value
    other = P256_ORDER - int.from_bytes(signature[32:], "big")
    return cbor2.dumps(cbor2.CBORTag(18, [protected, unprotected, payload, signature[:32] + other.to_bytes(32, "big")]))


def digest(tagged: bytes) -> bytes:
    hasher = hashes.Hash(hashes.SHA256())
    hasher.update(tagged)
    return hasher.finalize()


def compact(tagged: bytes) -> bytes:
    """Return the compact form of a record."""
    _, _, payload, signature = cbor2.loads(tagged).value
    return bytes(payload + signature)


def plain(code: Any, path: tuple[str, ...], payload: bytes = b"", kind: Any = CON) -> bytes:
    """Return the octets of an unprotected request."""
    message = aiocoap.Message(code=code, uri_path=path, payload=payload, _mtype=kind, _token=secrets.token_bytes(2))
    message.mid = secrets.randbelow(1 << 16)
    return bytes(message.encode())


def ask(address: tuple[str, int], raw: bytes) -> Any:
    """Send octets from a new socket and return the answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(WAIT_S)
        sock.sendto(raw, address)
        return aiocoap.Message.decode(sock.recv(2048))


class Twin:
    """One device, in one session, over one bearer."""

    def __init__(
        self,
        file: Path,
        address: tuple[str, int],
        *,
        counter: int = 1,
        session: bytes | None = None,
        bearer: str = "ip",
    ) -> None:
        document = json.loads(file.read_text())
        self.file = file
        self.name: str = document["device"]
        self.device = bytes.fromhex(self.name.removeprefix("BM-"))
        self.session = session or counter.to_bytes(2, "big") + secrets.token_bytes(4)
        self.key: Any = serialization.load_pem_private_key(document["signing_key"].encode(), None)
        (gateway,) = document["gateways"]
        self.gateway_keys = {
            bytes.fromhex(each["id"]): serialization.load_pem_public_key(each["public_key"].encode())
            for each in gateway["keys"]
        }
        self.kid = bytes.fromhex(document["bearers"][bearer]["kid"])
        self.context = Context(
            bytes.fromhex(document["channel_secret"]),
            self.device,
            bearer,
            self.kid,
            bytes.fromhex(gateway["id"]),
            self.session,
        )
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(WAIT_S)
        self.socket.connect(address)
        self.pushed: list[Any] = []

    def __enter__(self) -> "Twin":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    @property
    def session_text(self) -> str:
        return f"{self.session[:2].hex()}-{self.session[2:].hex()}"

    def record(
        self,
        kind: int = PANIC,
        sequence: int = 1,
        previous: bytes | None = None,
        *,
        elapsed_ms: int = 1000,
        clock: bytes | None = CLOCK,
        fix: bytes | None = FIX,
        body: Any = None,
        session: bytes | None = None,
        key: Any = None,
        version: int = 1,
    ) -> bytes:
        """Return a signed record."""
        elements = [version, kind, sequence, previous, elapsed_ms, clock, fix]
        return self.signed(cbor2.dumps(elements if body is None else [*elements, body]), session=session, key=key)

    def signed(
        self, payload: bytes, *, session: bytes | None = None, key: Any = None, protected: bytes | None = None
    ) -> bytes:
        """Return any payload as this device signs it."""
        aad = ["bondmate record 1", self.device, session or self.session]
        return sign(payload, aad, key or self.key, protected)

    def protect(
        self,
        payload: bytes,
        path: tuple[str, ...] = ("r",),
        code: Any = aiocoap.POST,
        kind: Any = CON,
        query: tuple[str, ...] = (),
    ) -> Request:
        """Return a protected request, not sent."""
        inner = aiocoap.Message(code=code, uri_path=path, uri_query=query, payload=payload)
        outer, identifiers = self.context.protect(inner)
        outer.mtype, outer.mid, outer.token = kind, secrets.randbelow(1 << 16), secrets.token_bytes(2)
        return Request(outer.encode(), identifiers)

    def answer(self, request: Request) -> Any:
        """Send a request and return its response; None when the response is not protected."""
        self.socket.send(request.raw)
        response = self._next(wanted_request=False)
        if response.opt.oscore is None:
            assert response.payload == b""
            return None
        return self.context.unprotect(response, request.identifiers)[0]

    def submit(self, submission: bytes, kind: Any = CON) -> list[Any]:
        """Submit a record and return the one entry of the verified receipt."""
        response = self.answer(self.protect(submission, kind=kind))
        assert response is not None, "the answer was not protected"
        assert response.code == aiocoap.CHANGED, response.code
        return self.entry(response.payload)

    def entry(self, receipt: bytes) -> list[Any]:
        """Verify a receipt and return its one entry."""
        version, _, (entry,) = cbor2.loads(self._signed_by_gateway(receipt, "bondmate receipt 1"))
        assert version == 1
        return list(entry)

    def _signed_by_gateway(self, tagged: bytes, what: str) -> bytes:
        protected, unprotected, payload, signature = cbor2.loads(tagged).value
        assert protected == cbor2.dumps({1: -7})
        message = cbor2.dumps(["Signature1", protected, cbor2.dumps([what, self.device]), payload])
        r, s = (int.from_bytes(part, "big") for part in (signature[:32], signature[32:]))
        key: Any = self.gateway_keys[unprotected[4]]
        key.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
        return bytes(payload)

    def compact_entry(self, receipt: bytes) -> list[Any]:
        """Verify a receipt in the compact form, which names no key, and return its one entry."""
        ((key_id, _),) = self.gateway_keys.items()
        tag = cbor2.CBORTag(18, [cbor2.dumps({1: -7}), {4: key_id}, receipt[:-64], receipt[-64:]])
        return self.entry(cbor2.dumps(tag))

    def sms(self, submission: bytes, path: tuple[str, ...] = ("r",), code: Any = aiocoap.POST) -> bytes:
        """Return a protected request as the user data of one SMS, not sent."""
        outer, _ = self.context.protect(aiocoap.Message(code=code, uri_path=path, payload=submission))
        outer.mtype, outer.mid, outer.token = NON, secrets.randbelow(1 << 16), b""
        return bytes(outer.encode())

    def take_sms(self, octets: bytes) -> list[Any]:
        """Take the user data of an SMS of the gateway, which has to be a receipt, and return its one entry."""
        inner = self.open_sms(octets)
        assert (inner.code, inner.opt.uri_path) == (aiocoap.POST, ("c",))
        return self.compact_entry(inner.payload)

    def open_sms(self, octets: bytes) -> Any:
        """Unprotect the user data of an SMS of the gateway."""
        assert len(octets) <= 140
        outer = aiocoap.Message.decode(octets)
        assert (outer.mtype, outer.token, outer.code) == (NON, b"", aiocoap.POST)
        # Flags: a kid context, a kid, and a number of so many octets (RFC 8613, section 6.1).
        number = outer.opt.oscore[0] & 7
        assert outer.opt.oscore[0] == 0b11000 | number
        assert outer.opt.oscore[1 + number :] == b"\x06" + self.session + self.context.recipient_id
        return self.context.unprotect(outer)[0]

    def ask_for_messages(self, cursor: int) -> Request:
        """Return a protected request for what lies in the mailbox, not sent."""
        return self.protect(b"", ("m",), aiocoap.GET, query=(str(cursor),))

    def fetch(self, cursor: int) -> list[list[Any]]:
        """Ask once for the messages behind a cursor, and return their verified payloads."""
        response = self.answer(self.ask_for_messages(cursor))
        assert response.code == aiocoap.CONTENT, response.code
        return self.mail(response.payload)

    def mail(self, payload: bytes) -> list[list[Any]]:
        """Verify an answer to `GET /m`, and return the messages' payloads."""
        assert len(payload) <= 1024
        return [self.message(each) for each in cbor2.loads(payload)]

    def message(self, tagged: bytes) -> list[Any]:
        """Verify a message to this device, and return its payload."""
        return list(cbor2.loads(self._signed_by_gateway(tagged, "bondmate message 1")))

    def take_push(self) -> Any:
        """Wait for a request of the gateway, answer it 2.04, and return it."""
        outer = self._next(wanted_request=True)
        inner, identifiers = self.context.unprotect(outer)
        reply, _ = self.context.protect(aiocoap.Message(code=aiocoap.CHANGED), identifiers)
        reply.mtype, reply.mid, reply.token = ACK, outer.mid, outer.token
        self.socket.send(reply.encode())
        return inner

    def _next(self, *, wanted_request: bool) -> Any:
        for message in self.pushed:
            if message.code.is_request() == wanted_request:
                self.pushed.remove(message)
                return message
        while True:
            message = aiocoap.Message.decode(self.socket.recv(2048))
            if message.code.is_request() == wanted_request:
                return message
            self.pushed.append(message)
