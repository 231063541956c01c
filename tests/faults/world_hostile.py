"""A gateway from hell in the true one's place: it has the channel's keys and lies, mangles, repeats and falls silent.

It even has the gateway's signing key, for receipts that are signed well and say something else. What it never sends is
the one thing that counts: a receipt by that key that holds one of the device's records.
"""

import random
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cbor2
from aiocoap import CHANGED, CONTENT, EMPTY, GET, POST, Message, oscore
from aiocoap.numbers.codes import Code
from aiocoap.numbers.types import ACK, CON, NON, RST
from cryptography.hazmat.primitives.asymmetric import ec

from bondmate import credentials
from bondmate.credentials import ChannelKeys
from bondmate.records import SessionId
from bondmate.transport.oscore import SessionContext
from bondmate_sim.gateway import cose, keys, receipts, records
from bondmate_sim.gateway.receipts import Entry, Verdict
from bondmate_sim.world import World

CODES = [CHANGED, CONTENT, *(Code(number) for number in (0x5F, 0x80, 0x81, 0x84, 0x85, 0x8D, 0xA0, 0xA3, 0xA4))]
"""2.04, 2.05, 2.31, then 4.00, 4.01, 4.04, 4.05, 4.13, 5.00, 5.03 and 5.04."""
HUGE_OCTETS = 60_000
REMEMBERED = 1000
"""Requests that may come again as retransmissions."""
MAX_ANSWERS = 5
"""To one request: the device must bear more than one."""


class Asked:
    """One request of the device, as its receiver reads it; when it fetches its mailbox, with the record before it."""

    def __init__(self, message: Message, security: SessionContext, before: "Asked | None") -> None:
        self.message = message
        self.security = security
        self.digest: bytes
        self.session: bytes
        self.stream: int
        self.sequence: int
        inner, self.identifiers = security.unprotect(message)
        self.fetches_behind = int(inner.opt.uri_query[0]) if inner.code == GET else None
        """The cursor; None where it is no fetch."""
        if self.fetches_behind is not None:
            self.digest = bytes(32) if before is None else before.digest
            self.session = security.id_context if before is None else before.session
            self.stream, self.sequence = (0, 1) if before is None else (before.stream, before.sequence)
            return
        submission = records.submission(inner.payload, security.id_context)
        self.digest = cose.digest(submission.form)
        self.session = submission.session
        record = records.payload(cose.parse(submission.form).payload)
        self.stream, self.sequence = record.stream, record.sequence

    @property
    def entry(self) -> Entry:
        """What a true receipt says of its record."""
        return Entry(self.session, self.stream, self.sequence, self.digest, Verdict.HELD)


class HostileGateway:
    """Answers every datagram that comes to the relay's port, as long as the block lasts; the relay must not run."""

    def __init__(self, world: World, rng: random.Random) -> None:
        known = credentials.load(world.directory / "credentials")
        channel = known.bearers["ip"]
        self.answers = 0
        self._rng = rng
        self._device = known.device.octets
        self._mirrored = ChannelKeys(channel.gateway_id, channel.kid, channel.master_secret, channel.master_salt)
        self._true_key = keys.load_or_create(world.gateway_data)
        self._false_key = ec.generate_private_key(ec.SECP256R1())
        self._old = [each.data for each in world.datagrams() if each.direction == "down"]
        self._contexts: dict[bytes, SessionContext] = {}
        self._asked: dict[bytes, Asked] = {}
        self._record: Asked | None = None
        """The last alert that came: what a false message of the mailbox is about."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", world.relay_port))
        self._socket.settimeout(0.1)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> "HostileGateway":
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._ended.set()
        self._thread.join()
        self._socket.close()

    @property
    def lives(self) -> bool:
        """Whether it still answers; if not, pytest shows the exception."""
        return self._thread.is_alive()

    def _serve(self) -> None:
        while not self._ended.is_set():
            try:
                datagram, device = self._socket.recvfrom(2048)
            except TimeoutError:
                continue
            message = Message.decode(datagram)
            if not message.code.is_request():
                continue  # what it says to a pushed receipt
            asked = self._read(datagram, message)
            for _ in range(self._rng.randint(1, MAX_ANSWERS)):
                self._socket.sendto(self._answer(asked), device)
                self.answers += 1

    def _read(self, datagram: bytes, message: Message) -> Asked:
        # retransmissions come again, octet for octet
        if datagram not in self._asked:
            _, _, unprotected, _ = oscore.CanUnprotect._extract_encrypted0(message)
            session = unprotected[oscore.COSE_KID_CONTEXT]
            if session not in self._contexts:
                self._contexts[session] = SessionContext(self._mirrored, SessionId(session))
            if len(self._asked) >= REMEMBERED:
                del self._asked[next(iter(self._asked))]
            asked = Asked(message, self._contexts[session], self._record)
            self._asked[datagram] = asked
            if asked.fetches_behind is None and asked.stream == records.ALERT:
                self._record = asked
        return self._asked[datagram]

    def _answer(self, asked: Asked) -> bytes:
        kinds: list[Callable[[Asked], bytes]] = [
            self._lie, self._lie, self._lie, self._failure, self._plain, self._mangled, self._noise, self._replay,
            self._silence, self._misdirected, self._pushed, self._pushed_in_clear,
        ]  # fmt: skip
        return self._rng.choice(kinds)(asked)

    # --- kinds of answers ----------------------------------------------------------------------------

    def _lie(self, asked: Asked) -> bytes:
        """2.04 or 2.05, protected as it should be, with a payload that proves nothing."""
        if asked.fetches_behind is not None:
            return self._protected(asked, Message(code=CONTENT, payload=self._mail(asked, asked.fetches_behind)))
        return self._protected(asked, Message(code=CHANGED, payload=self._payload(asked)))

    def _failure(self, asked: Asked) -> bytes:
        payload = self._rng.choice([b"", self._payload(asked)])
        return self._protected(asked, Message(code=self._rng.choice(CODES[2:]), payload=payload))

    def _plain(self, asked: Asked) -> bytes:
        payload = self._rng.choice([b"", self._payload(asked)])
        return self._reply(asked, Message(code=self._rng.choice(CODES), payload=payload))

    def _mangled(self, asked: Asked) -> bytes:
        """A protected answer with octets changed, cut out or put in."""
        octets = bytearray(self._lie(asked)[:1024])
        for _ in range(self._rng.randint(1, 4)):
            at = self._rng.randrange(len(octets))
            match self._rng.randrange(3):
                case 0:
                    octets[at] ^= self._rng.randint(1, 255)
                case 1:
                    octets[at:] = b""
                case _:
                    octets[at:at] = self._rng.randbytes(self._rng.randint(1, 20))
            if not octets:
                break
        return bytes(octets)

    def _noise(self, _asked: Asked) -> bytes:
        return self._rng.randbytes(self._rng.randint(0, 200))

    def _replay(self, _asked: Asked) -> bytes:
        return self._rng.choice(self._old)

    def _silence(self, asked: Asked) -> bytes:
        """An acknowledgement that promises an answer, or a reset."""
        message = Message(code=EMPTY)
        message.mtype, message.mid = self._rng.choice([ACK, RST]), asked.message.mid
        return bytes(message.encode())

    def _misdirected(self, asked: Asked) -> bytes:
        """An answer with another type, message id or token (RFC 7252, section 3: bits 5-4, octets 2-3, octets 4…)."""
        octets = bytearray(self._lie(asked))
        match self._rng.randrange(3):
            case 0:
                octets[0] ^= self._rng.randint(1, 3) << 4
            case 1:
                octets[2:4] = self._rng.randbytes(2)
            case _:
                octets[4] ^= self._rng.randint(1, 255)
        return bytes(octets)

    def _pushed(self, asked: Asked) -> bytes:
        """A false receipt to the device's own resource, or something else that it does not have."""
        path = self._rng.choice([["c"], ["c"], [], ["w"], [".well-known", "core"], ["c"] * 50])
        code = self._rng.choice([POST, POST, GET, Code(7), Code(31)])
        protected, _ = asked.security.protect(Message(code=code, uri_path=path, payload=self._payload(asked)))
        return self._request(protected)

    def _pushed_in_clear(self, asked: Asked) -> bytes:
        return self._request(Message(code=POST, uri_path=["c"], payload=self._payload(asked)))

    # --- payloads, none of which holds the record ------------------------------------------------------

    def _payload(self, asked: Asked) -> bytes:
        rng, entry = self._rng, asked.entry
        others = [
            replace(entry, digest=rng.randbytes(32)),
            replace(entry, session=rng.randbytes(6)),
            replace(entry, stream=(asked.stream + 1) % 6),
            replace(entry, sequence=asked.sequence + 1),
        ]
        true = self._receipt(entry, self._true_key)
        match rng.randrange(8):
            case 0:
                return self._receipt(replace(entry, verdict=rng.choice(list(Verdict))), self._false_key)
            case 1:
                return self._receipt(rng.choice(others), self._true_key)
            case 2:
                return receipts.receipt(rng.randbytes(4), entry, int(time.time()), self._true_key, keys.KEY_ID)
            case 3:
                return true[: rng.randrange(len(true))]
            case 4:
                signature = bytearray(true[-cose.SIGNATURE_OCTETS :])
                signature[rng.randrange(len(signature))] ^= 1 << rng.randrange(8)
                return true[: -cose.SIGNATURE_OCTETS] + signature
            case 5:
                return self._signed(rng.choice(_unreadable(asked)))
            case 6:
                return true + bytes(HUGE_OCTETS)
            case _:
                return rng.randbytes(rng.randint(0, 300))

    def _mail(self, asked: Asked, cursor: int) -> bytes:
        """Answers to a fetch, none of which has a message that may be taken and names the alert."""
        rng = self._rng
        named = [[asked.digest[:16]]]

        def message(number: int, key: ec.EllipticCurvePrivateKey, device: bytes, body: Any) -> bytes:
            content = [1, number, rng.choice([4, 5]), int(time.time()), None, rng.randrange(2), "hell", body]
            return cose.sign(cbor2.dumps(content), cose.external_aad("bondmate message 1", device), key, keys.KEY_ID)

        true = message(cursor + 1, self._true_key, self._device, named)
        match rng.randrange(9):
            case 0:
                return cbor2.dumps([message(cursor + 1, self._false_key, self._device, named)])
            case 1:
                return cbor2.dumps([message(cursor + 1, self._true_key, rng.randbytes(4), named)])
            case 2:
                return cbor2.dumps([message(cursor + rng.randint(2, 9), self._true_key, self._device, named)])
            case 3:
                return cbor2.dumps([true[: rng.randrange(len(true))]])
            case 4:
                return cbor2.dumps([message(cursor + 1, self._true_key, self._device, rng.choice([[], named[0], "x"]))])
            case 5:
                flipped = true[:-1] + bytes([true[-1] ^ 1])
                return cbor2.dumps(rng.choice([true, [[true]], {1: true}, None, [1], [flipped]]))
            case 6:
                return cbor2.dumps([true]) + bytes(HUGE_OCTETS)
            case 7:
                return b"\x9a\xff\xff\xff\xff" + rng.randbytes(rng.randrange(40))
            case _:
                return rng.randbytes(rng.randint(0, 300))

    def _receipt(self, entry: Entry, key: ec.EllipticCurvePrivateKey) -> bytes:
        return receipts.receipt(self._device, entry, int(time.time()), key, keys.KEY_ID)

    def _signed(self, payload: Any) -> bytes:
        aad = cose.external_aad("bondmate receipt 1", self._device)
        return cose.sign(cbor2.dumps(payload), aad, self._true_key, keys.KEY_ID)

    # --- datagrams -----------------------------------------------------------------------------------

    def _protected(self, asked: Asked, message: Message) -> bytes:
        protected, _ = asked.security.protect(message, asked.identifiers)
        return self._reply(asked, protected)

    def _reply(self, asked: Asked, message: Message) -> bytes:
        message.mtype, message.mid, message.token = ACK, asked.message.mid, asked.message.token
        return bytes(message.encode())

    def _request(self, message: Message) -> bytes:
        message.mtype = self._rng.choice([CON, NON])
        message.mid, message.token = self._rng.randrange(1 << 16), self._rng.randbytes(2)
        return bytes(message.encode())


def _unreadable(asked: Asked) -> list[Any]:
    """Payloads of a well signed receipt that are no receipt-payload of docs/bondmate.cddl."""
    good: list[Any] = [asked.session, asked.stream, asked.sequence, asked.digest[: receipts.DIGEST_OCTETS], 0]
    deep: Any = good
    for _ in range(300):
        deep = [deep]
    return [
        [2, 0, [good]], [1, 0, []], [1, 0, [good] * 17], [1, 0, good], [1, "0", [good]], {1: [good]}, deep, None,
        b"", 1.5,
        *([1, 0, [[*good[:4], verdict]]] for verdict in (3, 255, -1, None, "0", b"\0", [0])),
        [1, 0, [[*good[:3], good[3][:15], 0]]], [1, 0, [[good[0][:5], *good[1:]]]], [1, 0, [good[:4]]],
    ]  # fmt: skip
