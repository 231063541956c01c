"""EDHOC (RFC 9528) as its initiator, by lakers: the keys that last (docs/protocol.md, section 9).

The only importer of lakers, which has no types and a megabyte of machine code: imported while a device is enrolled.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import cbor2
import lakers
from cryptography.hazmat.primitives.asymmetric import ec

from bondmate.enrolment_file import coordinates
from bondmate.errors import RemoteError
from bondmate.records import DeviceId

BEARERS = ("ip", "lte", "sms")
"""Each gets a kid."""
_OURS, _THEIRS = b"\x49", b"\x52"
"""The connection identifiers, which are the kids of the credentials too: I and R."""
_TAG_OCTETS = 8
_LABEL = 0
"""Of EDHOC-Exporter: lakers takes one octet, and 0 is OSCORE's in RFC 9528; the contexts tell ours apart."""


@dataclass(frozen=True, slots=True)
class FreshKeys:
    """What came of an exchange."""

    channel_secret: bytes = field(repr=False)
    kids: dict[str, bytes]


class Initiator:
    """One exchange: `message_1`, `message_3`, `finish`, each once and in this order."""

    def __init__(
        self, device: DeviceId, key: ec.EllipticCurvePrivateKey, gateway_id: bytes, gateway: ec.EllipticCurvePublicKey
    ) -> None:
        """`key` is the device's DH key, `gateway` the gateway's: both are static (method 3)."""
        self._key = key.private_numbers().private_value.to_bytes(32)
        self._own = lakers.Credential(ccs(str(device), _OURS, coordinates(key.public_key())))
        self._other = lakers.Credential(ccs(f"BG-{gateway_id.hex()}", _THEIRS, coordinates(gateway)))
        self._edhoc = lakers.EdhocInitiator()

    def message_1(self) -> bytes:
        """To be sent first."""
        return bytes(self._edhoc.prepare_message_1(c_i=_OURS))

    def message_3(self, message_2: bytes) -> bytes:
        """The answer to message 2. Raises RemoteError when that is not the gateway's."""
        with _refusing("message 2"):
            connection, credential, _ = self._edhoc.parse_message_2(message_2)
            if connection != _THEIRS or credential != _by_reference(_THEIRS):
                raise RemoteError("message 2 of the key exchange names somebody else")
            self._edhoc.verify_message_2(self._key, self._own, self._other)
            message, _ = self._edhoc.prepare_message_3(lakers.CredentialTransfer.ByReference)
        return bytes(message)

    def finish(self, message_4: bytes) -> FreshKeys:
        """Message 4 shows that the gateway has the same keys. Raises RemoteError when it does not."""
        # a byte string of a tag alone (RFC 9528, section 5.5.2): lakers reads over the end of a shorter one
        if len(message_4) != 1 + _TAG_OCTETS:
            raise RemoteError("message 4 of the key exchange does not verify: it has another length")
        with _refusing("message 4"):
            self._edhoc.process_message_4(message_4)
            return FreshKeys(
                self._export("channel", 32), {bearer: self._export(f"kid {bearer}", 4) for bearer in BEARERS}
            )

    def _export(self, what: str, octets: int) -> bytes:
        return bytes(self._edhoc.edhoc_exporter(_LABEL, f"bondmate 1 {what}".encode("ascii"), octets))


@contextlib.contextmanager
def _refusing(message: str) -> Iterator[None]:
    """Whatever lakers raises for octets from outside is theirs.

    It panics where a key is no point of the curve, with an error that is no Exception, and would end the process.
    """
    try:
        yield
    except (ValueError, RuntimeError) as error:
        raise RemoteError(f"{message} of the key exchange does not verify: {error}") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise RemoteError(f"{message} of the key exchange does not verify: it makes no sense") from error


def ccs(subject: str, kid: bytes, coordinates_xy: Sequence[bytes]) -> bytes:
    """A CWT Claims Set (RFC 8392) with a P-256 key, in deterministic CBOR: its keys stand in their order already."""
    x, y = coordinates_xy
    return cbor2.dumps({2: subject, 8: {1: {1: 2, 2: kid, -1: 1, -2: x, -3: y}}})


def _by_reference(kid: bytes) -> bytes:
    """ID_CRED_x (RFC 9528, section 3.5.3): the map `{4: kid}`."""
    return cbor2.dumps({4: kid})
