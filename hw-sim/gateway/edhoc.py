"""The gateway's side of EDHOC (RFC 9528), on lakers: method 3, cipher suite 2, message 4 (docs/protocol.md, section 9).

One `Responder` is one exchange. It keeps nothing, and knows no channel.
"""

from dataclasses import dataclass, field

import cbor2
import lakers
from cryptography.hazmat.primitives.asymmetric import ec

from bondmate_sim.gateway import claims, credentials, keys, records

INITIATOR, RESPONDER = b"\x49", b"\x52"
"""The connection identifiers, which are the credentials' kids too."""

_MESSAGE_1_HEAD = bytes.fromhex("03025820")
_MESSAGE_1_END = bytes.fromhex("4149")
_MESSAGE_3_HEAD = b"\x53"
_COORDINATE_OCTETS = 32
_MESSAGE_1_OCTETS = len(_MESSAGE_1_HEAD) + _COORDINATE_OCTETS + len(_MESSAGE_1_END)
_MESSAGE_3_OCTETS = 20
_SECRET_OCTETS = 32
_COMPRESSED = b"\x02"
_LABEL = 0


class EdhocError(Exception):
    """An exchange failed: a message that is not of this profile, or does not verify. Nothing more can come of it."""


@dataclass(frozen=True, slots=True)
class ChannelKeys:
    """What comes out of an exchange: the channel secret, and the kid of each bearer."""

    secret: bytes = field(repr=False)
    kids: dict[str, bytes]


class Responder:
    """One exchange with one device."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        """Make one; `key` is the gateway's static DH key."""
        own = _credential(f"BG-{keys.GATEWAY_ID.hex()}", RESPONDER, keys.coordinates(key.public_key()))
        private = key.private_numbers().private_value.to_bytes(_COORDINATE_OCTETS, "big")
        self._lakers = lakers.EdhocResponder(private, own)

    def answer_1(self, message_1: bytes) -> bytes:
        """Take message 1 and return message 2. Raises EdhocError."""
        # Whole, because lakers ends its thread's work with a panic at what is no point, and reads over what follows.
        head, x = message_1[: len(_MESSAGE_1_HEAD)], message_1[len(_MESSAGE_1_HEAD) : -len(_MESSAGE_1_END)]
        if len(message_1) != _MESSAGE_1_OCTETS or head + x + _MESSAGE_1_END != message_1 or head != _MESSAGE_1_HEAD:
            raise EdhocError("message 1 is not of method 3, cipher suite 2, and the connection identifier 49")
        try:
            ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), _COMPRESSED + x)
        except ValueError as error:
            raise EdhocError("the device's ephemeral key is no point of P-256") from error
        try:
            self._lakers.process_message_1(message_1)
            return bytes(self._lakers.prepare_message_2(lakers.CredentialTransfer.ByReference, RESPONDER))
        except BaseException as error:
            raise _failed(1, error) from error

    def answer_3(self, message_3: bytes, device: bytes, dh: tuple[bytes, bytes]) -> tuple[bytes, ChannelKeys]:
        """Take message 3 of the device that has this DH key; return message 4 and the keys. Raises EdhocError."""
        if len(message_3) != _MESSAGE_3_OCTETS or message_3[:1] != _MESSAGE_3_HEAD:
            raise EdhocError("message 3 is not one byte string of 19 octets")
        other = _credential(records.device_text(device), INITIATOR, dh)
        try:
            named, extra = self._lakers.parse_message_3(message_3)
            as_agreed = bytes(named) == _by_kid(INITIATOR) and not extra
            self._lakers.verify_message_3(other)
            message_4 = bytes(self._lakers.prepare_message_4())
        except BaseException as error:
            raise _failed(3, error) from error
        if not as_agreed:
            raise EdhocError("message 3 names another credential, or has extra data")
        return message_4, self._keys()

    def _keys(self) -> ChannelKeys:
        def export(what: str, octets: int) -> bytes:
            return bytes(self._lakers.edhoc_exporter(_LABEL, f"bondmate 1 {what}".encode("ascii"), octets))

        kids = {bearer: export(f"kid {bearer}", credentials.KID_OCTETS) for bearer in credentials.BEARERS}
        return ChannelKeys(export("channel", _SECRET_OCTETS), kids)


def _credential(subject: str, kid: bytes, point: tuple[bytes, bytes]) -> lakers.Credential:
    claims.point(*point)
    key = {1: 2, 2: kid, -1: 1, -2: point[0], -3: point[1]}
    return lakers.Credential(cbor2.dumps({2: subject, 8: {1: key}}, canonical=True))


def _by_kid(kid: bytes) -> bytes:
    return cbor2.dumps({4: kid})


def _failed(number: int, error: BaseException) -> BaseException:
    """Return what to raise for an error of lakers: its panics derive from BaseException, and are as harmless here."""
    if isinstance(error, ValueError) or type(error).__name__ == "PanicException":
        return EdhocError(f"message {number} does not verify: {error}")
    return error
