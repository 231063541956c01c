"""The gateway's own signing key, in a file of its data directory, and the identity that devices know it by."""

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bondmate_sim.gateway import files

GATEWAY_ID = b"\x67"
"""The gateway's OSCORE Sender ID."""

KEY_ID = b"\x01"
"""The id of the signing key in receipts and in enrolment files."""

_FILE_NAME = "signing-key.pem"


class KeyFileError(Exception):
    """The signing key cannot be used."""


def load_or_create(data_dir: Path) -> ec.EllipticCurvePrivateKey:
    """Return the signing key (P-256), made on first use. Raises KeyFileError, OSError."""
    path = data_dir / _FILE_NAME
    if not path.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            files.create_secret(path, private_pem(key))
        except FileExistsError:
            # Another command made it between the look and the creation; that one counts.
            return load_or_create(data_dir)
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
