"""Enrols the device over whatever reaches the gateway (docs/protocol.md, section 9).

When what is asked is core/enrolment's; what is kept, and in which order, identity's; EDHOC is edhoc's.
"""

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any, Protocol

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec

from bondmate import __version__, identity
from bondmate.cbor import decode
from bondmate.core.enrolment import Enrolment, Phase, Step, Verdict
from bondmate.cose import KeySigner, sign1, verify1
from bondmate.enrolment_file import EnrolmentFile, coordinates, fingerprint, public_der
from bondmate.errors import LinkError, RemoteError
from bondmate.identity import FreshKeys, OwnKeys
from bondmate.records import DeviceId, SessionId

log = logging.getLogger(__name__)

ATTEMPT_S = 25.0
"""A bearer that has not answered by then is left alone: it gives up by itself after 14 to 21 s."""
_VERSION = 1
_MAX_TEXT_OCTETS = 120
_MAX_MESSAGE_OCTETS = 512
_DIGEST_OCTETS = 16


class Bearer(Protocol):
    """A way to the gateway, under the keys of the enrolment file."""

    @property
    def name(self) -> str:
        """Its name: ip or lte."""

    @property
    def session(self) -> SessionId:
        """The session that its channel runs in."""

    async def post(self, path: str, payload: bytes) -> bytes:
        """One exchange; the payload of the authenticated answer. Raises LinkError. The caller sets the deadline."""


class KeyExchange(Protocol):
    """See edhoc.Initiator."""

    def message_1(self) -> bytes:
        """To be sent first."""

    def message_3(self, message_2: bytes) -> bytes:
        """The answer to message 2. Raises RemoteError."""

    def finish(self, message_4: bytes) -> FreshKeys:
        """What came of it. Raises RemoteError."""


Exchanging = Callable[[DeviceId, ec.EllipticCurvePrivateKey, bytes, ec.EllipticCurvePublicKey], KeyExchange]
Report = Callable[[str, str], None]
"""Told why the device is not armed, and what to do next."""


class Enroller:
    """One run of attempts. All methods run in the event loop; times are the loop's."""

    def __init__(
        self,
        file: EnrolmentFile,
        keys: OwnKeys,
        bearers: Sequence[Bearer],
        exchanging: Exchanging,
        directory: Path,
        report: Report,
    ) -> None:
        """`directory` gets the credentials; `bearers` are in order of preference."""
        self._file = file
        self._keys = keys
        self._bearers = bearers
        self._exchanging = exchanging
        self._directory = directory
        self._report = report
        self._now = asyncio.get_running_loop().time
        self._core = Enrolment(Random(), self._now())  # noqa: S311 - jitter, no secret
        self._signer = KeySigner(keys.signing)
        self._answering: Bearer | None = None
        """The one over which the gateway answered last: the key exchange takes the same."""

    async def run(self) -> None:
        """Returns when the device is enrolled: `credentials.json` is durable. Never, where the gateway refuses."""
        self._report("not enrolled yet: the gateway is being asked", "wait: it goes on by itself")
        while self._core.phase is not Phase.ENROLLED:
            due = self._core.next_due()
            if due is None:
                await asyncio.Event().wait()  # refused: until somebody brings another file, and starts it again
            else:
                await asyncio.sleep(due - self._now())
            step = self._core.begin(self._now())
            try:
                match step:
                    case Step.ASK:
                        await self._ask()
                    case Step.REKEY:
                        await self._rekey()
                    case None:
                        continue
            except (LinkError, RemoteError) as error:
                self._failed(str(error), "see that the network reaches the gateway; it goes on by itself")
            except OSError as error:
                text = f"the keys cannot be kept in {self._directory}: {error.strerror}"
                self._failed(text, "see that it can be written; it goes on by itself")

    async def _ask(self) -> None:
        """Prove that we hold the secret and the key. Raises LinkError."""
        problems = []
        for bearer in self._bearers:
            try:
                async with asyncio.timeout(ATTEMPT_S):
                    verdict, text = await self._ask_over(bearer)
            except TimeoutError:
                problems.append(f"{bearer.name}: no answer in time")
            except (LinkError, RemoteError) as error:
                problems.append(f"{bearer.name}: {error}")
            else:
                self._answering = bearer
                self._core.answered(verdict, self._now())
                self._tell(verdict, text)
                return
        raise LinkError("; ".join(problems))

    async def _ask_over(self, bearer: Bearer) -> tuple[Verdict, str]:
        device, session = self._file.device.octets, bearer.session.octets
        payload = [
            _VERSION,
            public_der(self._keys.signing.public_key()),
            coordinates(self._keys.dh.public_key()),
            f"bondmate {__version__}",
        ]
        request = sign1(cbor2.dumps(payload), cbor2.dumps(["bondmate enrol 1", device, session]), self._signer)
        digest = hashlib.sha256(request).digest()[:_DIGEST_OCTETS]
        answer = await bearer.post("e", request)
        aad = cbor2.dumps(["bondmate enrolled 1", device, session, digest])
        return _verdict(decode(verify1(answer, aad, self._file.gateway.keys)))

    async def _rekey(self) -> None:
        """Exchange the keys that last, and commit them. Raises LinkError, RemoteError, OSError."""
        bearer, gateway = self._answering, self._file.gateway
        assert bearer is not None  # noqa: S101 - it is asked first
        exchange = self._exchanging(self._file.device, self._keys.dh, gateway.id, gateway.dh)
        fresh = await exchange_keys(bearer, exchange)
        await asyncio.to_thread(identity.commit, self._directory, self._file, self._keys, fresh)
        self._core.rekeyed()
        log.info("enrolled as %s, over %s", self._file.device, bearer.name)

    def _tell(self, verdict: Verdict, text: str) -> None:
        said = f" ({text})" if text else ""
        shown = fingerprint(self._keys.signing.public_key())
        match verdict:
            case Verdict.TAKEN:
                self._report("not enrolled yet: the key was taken, the rest follows", "wait: it goes on by itself")
            case Verdict.WAITING:
                self._report(
                    f"waiting for approval at the gateway: fingerprint {shown}{said}",
                    "compare the fingerprint with what the gateway shows, and approve it there",
                )
            case Verdict.OTHER_KEY:
                self._report(
                    f"refused: another key was taken with this enrolment file{said}",
                    "somebody else has used the file: have the gateway withdraw it, and put a new one on the card",
                )
            case Verdict.VOID:
                self._report(
                    f"refused: the enrolment file has expired, or was withdrawn{said}",
                    "put a new one on the card, and start the device again",
                )

    def _failed(self, why: str, next_step: str) -> None:
        log.info("not enrolled yet: %s", why)
        self._report(f"not enrolled yet: {why}", next_step)
        self._core.failed(self._now())


async def exchange_keys(bearer: Bearer, exchange: KeyExchange) -> FreshKeys:
    """The whole of `POST /k` over one bearer, whatever keys that has. Raises LinkError, RemoteError."""
    number = secrets.token_bytes(8)

    async def said(step: int, message: bytes) -> bytes:
        answer = decode(await bearer.post("k", cbor2.dumps([step, number, message])))
        if not isinstance(answer, bytes) or not 1 <= len(answer) <= _MAX_MESSAGE_OCTETS:
            raise RemoteError("an answer of the key exchange that is no message")
        return answer

    try:
        async with asyncio.timeout(2 * ATTEMPT_S):
            message_2 = await said(1, exchange.message_1())
            return exchange.finish(await said(3, exchange.message_3(message_2)))
    except TimeoutError:
        raise LinkError(f"{bearer.name}: the key exchange was not answered in time") from None


def _verdict(item: Any) -> tuple[Verdict, str]:
    match item:
        case [int(version), *_] if version != _VERSION:
            raise RemoteError(f"an answer of version {version}, this daemon reads {_VERSION}")
        case [int(), int(verdict), str(text), *_] if verdict in set(Verdict) and len(text.encode()) <= _MAX_TEXT_OCTETS:
            return Verdict(verdict), "".join(character for character in text if character.isprintable())
        case _:
            raise RemoteError("an answer that is no verdict")
