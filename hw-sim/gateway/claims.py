"""`POST /e` in octets: a new device's claim is read and verified, the answer signed (docs/protocol.md, section 9).

It decides no verdict and keeps nothing.
"""

from dataclasses import dataclass

import cbor2
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bondmate_sim.gateway import cbor, cose, keys
from bondmate_sim.gateway.enrolments import Keys, Verdict

MAX_TEXT_OCTETS = 120

_VERSION = 1
_ELEMENTS = 4
_KEY_OCTETS = (44, 160)
_COORDINATE_OCTETS = 32
_MAX_SOFTWARE_OCTETS = 64
_DIGEST_OCTETS = 16


@dataclass(frozen=True, slots=True)
class Claim:
    """What a device says of itself, signed with the key that it names."""

    keys: Keys
    software: str


class InvalidError(ValueError):
    """A claim cannot be read, or does not verify."""


def read(tagged: bytes, device: bytes, session: bytes) -> Claim:
    """Read and verify a claim made in an OSCORE session. Raises InvalidError."""
    try:
        sign1 = cose.parse(tagged)
        claim, key = _payload(sign1.payload)
    except cbor.MalformedError as error:
        raise InvalidError(str(error)) from error
    if (sign1.protected, sign1.unprotected) != (cose.protected_header(key), cose.EMPTY_MAP):
        raise InvalidError("the header is not that of ES256 alone")
    try:
        cose.verify(sign1, cose.external_aad("bondmate enrol 1", device, session), key)
    except cose.NotVerifiedError as error:
        raise InvalidError(f"{error} with the key that it names") from error
    return claim


def answer(
    claim: bytes, device: bytes, session: bytes, verdict: Verdict, text: str, key: ec.EllipticCurvePrivateKey
) -> bytes:
    """Return the signed verdict on a claim; `text`, at most 120 octets, is for whoever stands before the device."""
    aad = cose.external_aad("bondmate enrolled 1", device, session, cose.digest(claim)[:_DIGEST_OCTETS])
    return cose.sign(cbor2.dumps([_VERSION, int(verdict), text]), aad, key, keys.KEY_ID)


def words(verdict: Verdict, fingerprint: str) -> str:
    """Return what the device shows of a verdict on its key."""
    match verdict:
        case Verdict.TAKEN:
            return "this device is known now"
        case Verdict.WAITING:
            return f"compare the fingerprint {fingerprint} at the gateway, and approve it there"
        case Verdict.OTHER_KEY:
            return "another device has used this file: withdraw it at the gateway, and make a new one"
        case Verdict.OVER:
            return "this file has expired or was withdrawn: make a new one at the gateway"


def point(x: bytes, y: bytes) -> ec.EllipticCurvePublicKey:
    """Return the P-256 public key with these coordinates. Raises ValueError when it is no point of the curve."""
    numbers = ec.EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), ec.SECP256R1())
    return numbers.public_key()


def _payload(payload: bytes) -> tuple[Claim, ec.EllipticCurvePublicKey]:
    elements = cbor.items(payload)
    if len(elements) < _ELEMENTS:
        raise cbor.MalformedError(f"a claim has {_ELEMENTS} elements, not {len(elements)}")
    cbor.uint(elements[0], _VERSION, _VERSION)
    der = cbor.octets(elements[1])
    key = _signing_key(der)
    software = cbor.text(elements[3])
    if len(software.encode()) > _MAX_SOFTWARE_OCTETS:
        raise cbor.MalformedError(f"the software's name has more than {_MAX_SOFTWARE_OCTETS} octets")
    return Claim(Keys(der, _dh(elements[2])), software), key


def _signing_key(der: bytes) -> ec.EllipticCurvePublicKey:
    least, most = _KEY_OCTETS
    if not least <= len(der) <= most:
        raise cbor.MalformedError(f"the key has {len(der)} octets, not {least} to {most}")
    try:
        key = serialization.load_der_public_key(der)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise cbor.MalformedError("the key is no SubjectPublicKeyInfo") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise cbor.MalformedError("the key is not P-256")
    if keys.public_der(key) != der:
        # One key in two encodings would have two fingerprints.
        raise cbor.MalformedError("the key is not in its one encoding")
    return key


def _dh(element: bytes) -> tuple[bytes, bytes]:
    parts = [cbor.octets(each) for each in cbor.items(element)]
    if [len(each) for each in parts] != [_COORDINATE_OCTETS] * 2:
        raise cbor.MalformedError("the DH key is not x and y of 32 octets")
    x, y = parts
    try:
        point(x, y)
    except ValueError as error:
        raise cbor.MalformedError("the DH key is no point of P-256") from error
    return x, y
