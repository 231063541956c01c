"""The gateway's own keys, each in a file of its data directory, and the identity that devices know it by."""

import base64
import enum
import hashlib
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from bondmate_sim.gateway import files

GATEWAY_ID = b"\x67"
"""The gateway's OSCORE Sender ID."""

KEY_ID = b"\x01"
"""The id of the signing key in receipts and in enrolment files."""

_FINGERPRINT_OCTETS = 10


class Purpose(enum.StrEnum):
    """What a key is for; the value is the name of its file."""

    SIGNING = "signing-key.pem"
    """Signs receipts, messages and the answers to enrolling devices."""
    FORCE = "force-key.pem"
    """Signs enrolment files; its public half is in the devices' image."""
    DH = "dh-key.pem"
    """The static key of EDHOC. It signs nothing."""


class KeyFileError(Exception):
    """A key cannot be used."""


def load_or_create(data_dir: Path, purpose: Purpose = Purpose.SIGNING) -> ec.EllipticCurvePrivateKey:
    """Return one of the keys (P-256), made on first use. Raises KeyFileError, OSError."""
    path = data_dir / purpose
    if not path.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            files.create_secret(path, private_pem(key))
        except FileExistsError:
            # Another command made it between the look and the creation; that one counts.
            return load_or_create(data_dir, purpose)
        return key
    try:
        loaded = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise KeyFileError(
            f"{path} holds no private key in PEM without a password; restore it from a backup"
        ) from error
    if not isinstance(loaded, ec.EllipticCurvePrivateKey) or not isinstance(loaded.curve, ec.SECP256R1):
        raise KeyFileError(f"{path} holds no P-256 key; restore it from a backup")
    return loaded


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a private key as PKCS#8 in PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def public_pem(key: ec.EllipticCurvePublicKey) -> str:
    """Return a public key as SubjectPublicKeyInfo in PEM."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def public_der(key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey) -> bytes:
    """Return a public key as SubjectPublicKeyInfo in DER."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def pem(der: bytes) -> str:
    """Return a public key in DER as PEM."""
    key = serialization.load_der_public_key(der)
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def coordinates(key: ec.EllipticCurvePublicKey) -> tuple[bytes, bytes]:
    """Return x and y of a P-256 key, 32 octets each."""
    numbers = key.public_numbers()
    return numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")


def fingerprint(der: bytes) -> str:
    """Return what people compare of a public key in DER, as ABCD-EFGH-IJKL-MNOP (docs/protocol.md, section 9)."""
    text = base64.b32encode(hashlib.sha256(der).digest()[:_FINGERPRINT_OCTETS]).decode()
    return "-".join(text[at : at + 4] for at in range(0, len(text), 4))
