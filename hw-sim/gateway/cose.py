"""COSE_Sign1 (RFC 9052): take apart, rebuild, verify, sign.

It knows signatures and digests. It does not know what a payload means, nor who may sign.
"""

import hashlib
from dataclasses import dataclass

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from cryptography.hazmat.primitives.hashes import SHA256

from bondmate_sim.gateway import cbor

TAG_HEAD = 0xD2
SIGNATURE_OCTETS = 64
EMPTY_MAP = b"\xa0"

_HALF = SIGNATURE_OCTETS // 2
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""The order n of the group of P-256 (NIST SP 800-186, section 3.2.1.3)."""

VerifyingKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


@dataclass(frozen=True, slots=True)
class Sign1:
    """The four parts of a COSE_Sign1; `unprotected` is the encoded map, the others are the contents of byte strings."""

    protected: bytes
    unprotected: bytes
    payload: bytes
    signature: bytes


class NotVerifiedError(ValueError):
    """The signature or its header does not belong to the key."""


def parse(tagged: bytes) -> Sign1:
    """Take a tagged COSE_Sign1 apart. Raises cbor.MalformedError."""
    if tagged[:1] != bytes([TAG_HEAD]):
        raise cbor.MalformedError("not a tagged COSE_Sign1")
    parts = cbor.items(tagged[1:])
    if len(parts) != 4:
        raise cbor.MalformedError(f"a COSE_Sign1 has 4 parts, not {len(parts)}")
    signature = cbor.octets(parts[3])
    if len(signature) != SIGNATURE_OCTETS:
        raise cbor.MalformedError(f"the signature has {len(signature)} octets, not {SIGNATURE_OCTETS}")
    return Sign1(cbor.octets(parts[0]), parts[1], cbor.octets(parts[2]), signature)


def rebuild(payload: bytes, signature: bytes, key: VerifyingKey) -> bytes:
    """Return the tagged COSE_Sign1 of a record that travelled in the compact form."""
    return _encode(protected_header(key), {}, payload, signature)


def compact(tagged: bytes) -> bytes:
    """Return the compact form of a tagged COSE_Sign1: its payload and its signature. Raises cbor.MalformedError."""
    sign1 = parse(tagged)
    return sign1.payload + sign1.signature


def protected_header(key: VerifyingKey) -> bytes:
    """Return `{1: alg}` for the type of `key`: ES256 is -7, EdDSA is -8."""
    return cbor2.dumps({1: -7 if isinstance(key, ec.EllipticCurvePublicKey) else -8})


def external_aad(*parts: str | bytes) -> bytes:
    """Return the deterministic encoding of the array of `parts`."""
    return cbor2.dumps(list(parts), canonical=True)


def digest(tagged: bytes) -> bytes:
    """Return the 32 octets of SHA-256 over a tagged COSE_Sign1."""
    return hashlib.sha256(tagged).digest()


def verify(sign1: Sign1, aad: bytes, key: VerifyingKey) -> None:
    """Check the signature (RFC 9052, section 4.4). Raises NotVerifiedError.

    Of an ES256 signature (r, s) anyone can make (r, n - s), which ECDSA accepts as well: only the one with the lower s
    verifies here, so that nobody but the signer can make a second digest of a record. The protected header names the
    algorithm; whoever needs a certain one compares it with `protected_header`.
    """
    message = _sig_structure(sign1.protected, aad, sign1.payload)
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            r, s = (int.from_bytes(part, "big") for part in (sign1.signature[:_HALF], sign1.signature[_HALF:]))
            if s > _P256_ORDER // 2:
                raise NotVerifiedError("a signature with its s in the upper half of the order does not verify")
            key.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(SHA256()))
        else:
            key.verify(sign1.signature, message)
    except InvalidSignature as error:
        raise NotVerifiedError("the signature does not verify") from error


def sign(payload: bytes, aad: bytes, key: ec.EllipticCurvePrivateKey, key_id: bytes | None = None) -> bytes:
    """Return a tagged COSE_Sign1 by ES256 whose unprotected header names `key_id`, or is empty without one."""
    protected = protected_header(key.public_key())
    der = key.sign(_sig_structure(protected, aad, payload), ec.ECDSA(SHA256()))
    r, s = utils.decode_dss_signature(der)
    signature = r.to_bytes(_HALF, "big") + min(s, _P256_ORDER - s).to_bytes(_HALF, "big")
    return _encode(protected, {} if key_id is None else {4: key_id}, payload, signature)


def _encode(protected: bytes, unprotected: dict[int, bytes], payload: bytes, signature: bytes) -> bytes:
    return cbor2.dumps(cbor2.CBORTag(18, [protected, unprotected, payload, signature]), canonical=True)


def _sig_structure(protected: bytes, aad: bytes, payload: bytes) -> bytes:
    # RFC 9052, section 3: an empty protected map is signed as an empty string, whichever way it was sent.
    return cbor2.dumps(["Signature1", b"" if protected == EMPTY_MAP else protected, aad, payload])
