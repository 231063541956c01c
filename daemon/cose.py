"""COSE_Sign1 (RFC 9052, section 4.2) with ES256 and EdDSA: sign once, verify what comes back.

Keys come from elsewhere: a Signer may live in a file, a secure element or a TPM.
"""

from typing import Any, Protocol

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from bondmate.cbor import decode
from bondmate.errors import RemoteError

ES256 = -7
EDDSA = -8
_TAG = 18
_ALG = 1
_CRIT = 2
_KID = 4
_ES256_HALF = 32
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""The order n of the group of P-256 (SEC 2, section 2.4.2)."""

PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class Signer(Protocol):
    """Something that signs with the device's key and never gives it away."""

    @property
    def algorithm(self) -> int:
        """The COSE algorithm: ES256 or EDDSA."""

    @property
    def public_key(self) -> PublicKey:
        """What its signatures verify with."""

    def sign(self, data: bytes) -> bytes:
        """The 64 octets of a signature over `data`, in COSE's form (RFC 9053, section 2)."""


class KeySigner:
    """Signs with a private key held in memory."""

    def __init__(self, key: PrivateKey) -> None:
        self._key = key
        self.public_key = key.public_key()
        self.algorithm = algorithm_of(self.public_key)

    def sign(self, data: bytes) -> bytes:
        """See Signer."""
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return self._key.sign(data)
        r, s = decode_dss_signature(self._key.sign(data, ec.ECDSA(SHA256())))
        # n - s verifies as well: without a rule which of the two, anybody could make a second record of one
        s = min(s, P256_ORDER - s)
        return r.to_bytes(_ES256_HALF) + s.to_bytes(_ES256_HALF)


def algorithm_of(key: PublicKey) -> int:
    """The one algorithm that a key is used with; RemoteError for any other kind of key."""
    if isinstance(key, ed25519.Ed25519PublicKey):
        return EDDSA
    # by its curve: what was read from a file may be a key of any type
    if isinstance(getattr(key, "curve", None), ec.SECP256R1):
        return ES256
    raise RemoteError("a key that is neither P-256 nor Ed25519 cannot be used")


def protected_header(algorithm: int) -> bytes:
    """The protected header of our own messages: the algorithm and nothing else."""
    return cbor2.dumps({_ALG: algorithm})


def sign1(payload: bytes, external_aad: bytes, signer: Signer) -> bytes:
    """A tagged COSE_Sign1 over `payload`; `external_aad` is signed but not carried."""
    protected = protected_header(signer.algorithm)
    signature = signer.sign(_sig_structure(protected, external_aad, payload))
    return cbor2.dumps(cbor2.CBORTag(_TAG, [protected, {}, payload, signature]))


def verify1(message: bytes, external_aad: bytes, keys: dict[bytes, PublicKey]) -> bytes:
    """The payload of a tagged COSE_Sign1 that one of `keys` (by key id) signed.

    A key id in the header chooses the key; without one every key is tried. Raises RemoteError for anything else: one
    signer, ES256 or EdDSA, and no header parameter that has to be understood (RFC 9052, section 3.1).
    """
    protected, unprotected, payload, signature = _parse(message)
    algorithm = _algorithm(protected, unprotected)
    key_id = unprotected.get(_KID)
    candidates = [key for known, key in keys.items() if key_id in (None, known)]
    if not candidates:
        raise RemoteError("signed with a key that this device does not know")
    structure = _sig_structure(protected, external_aad, payload)
    if not any(algorithm == algorithm_of(key) and _verifies(key, structure, signature) for key in candidates):
        raise RemoteError("the signature does not verify")
    return payload


def payload1(message: bytes) -> bytes:
    """The payload of a tagged COSE_Sign1 that was verified before it was kept. RemoteError for what is none."""
    return _parse(message)[2]


def _parse(message: bytes) -> tuple[bytes, dict[Any, Any], bytes, bytes]:
    # cbor2 6 returns tuples inside tags, cbor2 5 lists: a sequence pattern takes both
    match decode(message):
        case cbor2.CBORTag(tag=18, value=[bytes(protected), dict(unprotected), bytes(payload), bytes(signature)]):
            return protected, unprotected, payload, signature
        case _:
            raise RemoteError("not a tagged COSE_Sign1")


def _algorithm(protected: bytes, unprotected: dict[Any, Any]) -> int:
    """The algorithm that the headers name, the protected one first."""
    header = decode(protected) if protected else {}
    if not isinstance(header, dict):
        raise RemoteError("a protected header that is not a map")
    if _CRIT in header:
        raise RemoteError("a protected header with parameters that must be understood, and are not")
    algorithm = header.get(_ALG, unprotected.get(_ALG))
    if algorithm not in (ES256, EDDSA):
        raise RemoteError(f"signed with algorithm {algorithm!r}: ES256 ({ES256}) or EdDSA ({EDDSA}) is needed")
    return int(algorithm)


def _sig_structure(protected: bytes, external_aad: bytes, payload: bytes) -> bytes:
    """Sig_structure of RFC 9052, section 4.4; an empty map in the protected header counts as empty."""
    if protected == b"\xa0":
        protected = b""
    return cbor2.dumps(["Signature1", protected, external_aad, payload])


def _verifies(key: PublicKey, data: bytes, signature: bytes) -> bool:
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, data)
        elif len(signature) == 2 * _ES256_HALF:
            r, s = signature[:_ES256_HALF], signature[_ES256_HALF:]
            der = encode_dss_signature(int.from_bytes(r), int.from_bytes(s))
            key.verify(der, data, ec.ECDSA(SHA256()))
        else:
            return False
    except InvalidSignature:
        return False
    return True
