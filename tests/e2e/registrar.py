"""A gateway of one device, by sections 2, 4, 5 and 9 of docs/protocol.md: a UDP socket that enrols and receives."""

import contextlib
import hashlib
import socket
import threading
import time
from collections.abc import Callable

import cbor2
from aiocoap import BAD_REQUEST, CHANGED, CONTENT, NOT_FOUND, UNAUTHORIZED, Message, oscore
from aiocoap.numbers.types import ACK

from tests.enrolment_desk import DEVICE, GATEWAY_ID, KID, Registrar
from tests.gateway.twin import Context


class UdpRegistrar:
    """Serves as long as the block lasts."""

    def __init__(self, registrar: Registrar) -> None:
        self.registrar = registrar
        self.records: list[tuple[bytes, bytes]] = []
        """Session and record, each once, in the order in which they came."""
        self.is_confirmed = False
        """A message was verified under the keys that last: the one-time secret is forgotten."""
        self.seen: list[str] = []
        """Paths, under `enrol:` or a bearer's name."""
        self.on_request: Callable[[int, str], bool] = lambda number, path: True
        """Called with each new request, counted from 1: whether it came at all."""
        self.on_answer: Callable[[int, str], bool] = lambda number, path: True
        """Called when the request had its effect: whether the answer comes to the device."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.1)
        self._contexts: dict[tuple[bytes, bytes, bytes], Context] = {}
        self._answers: dict[bytes, bytes] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def port(self) -> int:
        """At 127.0.0.1."""
        port: int = self._socket.getsockname()[1]
        return port

    def __enter__(self) -> "UdpRegistrar":
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._ended.set()
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(TimeoutError):
                datagram, device = self._socket.recvfrom(2048)
                if Message.decode(datagram).code.is_request():
                    known = self._answers.get(datagram)
                    answer = self._answer(datagram) if known is None else known
                    if answer is not None:
                        self._socket.sendto(answer, device)

    def _context(self, kid: bytes, session: bytes) -> tuple[str, Context] | None:
        fresh = self.registrar.fresh
        known = {} if self.is_confirmed else {KID: ("enrol", self.registrar.force.secret)}
        if fresh is not None:
            known |= {fresh[bearer]: (bearer, fresh["channel"]) for bearer in ("ip", "lte", "sms")}
        if kid not in known:
            return None
        bearer, secret = known[kid]
        key = (kid, session, secret)
        if key not in self._contexts:
            self._contexts[key] = Context(secret, DEVICE, bearer, GATEWAY_ID, kid, session)
        return bearer, self._contexts[key]

    def _answer(self, datagram: bytes) -> bytes | None:
        """None: lost, this once; when the same octets come again, the answer is there."""
        message = Message.decode(datagram)
        _, _, unprotected, _ = oscore.CanUnprotect._extract_encrypted0(message)
        session = unprotected[oscore.COSE_KID_CONTEXT]
        found = self._context(unprotected[oscore.COSE_KID], session)
        if found is None:
            return self._encoded(Message(code=UNAUTHORIZED), message)
        bearer, context = found
        inner, identifiers = context.unprotect(message)
        path = "/".join(inner.opt.uri_path)
        self.seen.append(f"{bearer}:{path}")
        number = len(self.seen)
        if not self.on_request(number, path):
            self._contexts.clear()  # as if it had never come
            return None
        if bearer != "enrol":
            self.is_confirmed = True
        code, payload = self._served(bearer, path, session, inner.payload)
        outer, _ = context.protect(Message(code=code, payload=payload), identifiers)
        self._answers[datagram] = self._encoded(outer, message)
        return self._answers[datagram] if self.on_answer(number, path) else None

    def _served(self, bearer: str, path: str, session: bytes, payload: bytes) -> tuple[object, bytes]:
        match bearer, path:
            case "enrol", "e":
                return CHANGED, self.registrar.enrol(session, payload)
            case _, "k":
                try:
                    return CHANGED, self.registrar.rekey(payload)
                except (KeyError, ValueError):
                    return BAD_REQUEST, b""
            case (("ip" | "lte"), "m"):
                return CONTENT, cbor2.dumps([])
            case (("ip" | "lte"), "r"):
                return CHANGED, self._receipt(session, payload)
            case _:
                return NOT_FOUND, b""

    def _receipt(self, session: bytes, submission: bytes) -> bytes:
        if submission[0] == 0x46:
            session, submission = submission[1:7], submission[7:]
        if (session, submission) not in self.records:
            self.records.append((session, submission))
        digest = hashlib.sha256(submission).digest()[:16]
        payload = [1, int(time.time()), [[session, None, None, digest, 0]]]
        return self.registrar.answer(payload, ["bondmate receipt 1", DEVICE])

    def _encoded(self, answer: Message, request: Message) -> bytes:
        answer.mtype, answer.mid, answer.token = ACK, request.mid, request.token
        return bytes(answer.encode())
