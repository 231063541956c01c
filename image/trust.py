"""Whom the devices of an image believe: who signed an enrolment file, who signed an update, who logs in to a bench."""

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from bondmate_image.errors import ImageError

FORCE_KEY = Path("usr/share/bondmate/force-key.pem")
KEYRING = Path("etc/rauc/keyring.pem")
SSH_KEYS = Path("etc/ssh/authorized_keys")

_MAX_OCTETS = 64 << 10


@dataclass(frozen=True, slots=True)
class Trust:
    """Public keys alone, in PEM but for those of ssh; None where the image is to believe nobody."""

    force_key: bytes | None = None
    """Of P-256: it has to have signed the enrolment file on a card."""

    keyring: bytes | None = None
    """Certificates of authorities: one of them has to have issued an update's signer."""

    ssh_keys: bytes | None = None
    """Of those who may log in, one a line: to a bench alone, for no other image has ssh."""

    def files(self) -> dict[Path, bytes]:
        """Return what lies where in the image."""
        places = {FORCE_KEY: self.force_key, KEYRING: self.keyring, SSH_KEYS: self.ssh_keys}
        return {place: pem for place, pem in places.items() if pem is not None}


def force_key(file: Path) -> bytes:
    """Read the force's public key. ImageError when it is not one; OSError."""
    pem = _read(file)
    if b"PRIVATE KEY" in pem:
        raise ImageError(f"{file} holds a private key, and no card may: take what 'bondmate-gateway force-key' shows")
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ImageError(f"{file} holds no public key in PEM: take what 'bondmate-gateway force-key' shows") from error
    if not (isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)):
        raise ImageError(f"{file} holds a key that is not of P-256: take what 'bondmate-gateway force-key' shows")
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def keyring(file: Path, epoch: int) -> bytes:
    """Read the certificates of authorities, valid at `epoch` (UNIX time, s). ImageError when they are not; OSError.

    Of the file only they are taken: a private key that lies beside them stays where it is.
    """
    try:
        found = x509.load_pem_x509_certificates(_read(file))
    except ValueError as error:
        raise ImageError(f"{file} holds no certificate (X.509) in PEM: {error}") from error
    for certificate in found:
        name = certificate.subject.rfc4514_string()
        if not _is_authority(certificate):
            raise ImageError(f"{file}: {name} is no authority (basicConstraints CA): give the one that issued it")
        if certificate.not_valid_after_utc < datetime.fromtimestamp(epoch, UTC):
            until = certificate.not_valid_after_utc.date()
            raise ImageError(f"{file}: {name} was valid until {until}, before this image's time: renew it")
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in found)


def ssh_keys(file: Path) -> bytes:
    """Read public keys of ssh, as ~/.ssh/id_*.pub and authorized_keys have them. ImageError when they are not; OSError.

    A key's options (sshd(8)) are refused: on a bench whoever may log in is root.
    """
    lines = [line.strip() for line in _read(file).splitlines()]
    found = [line for line in lines if line and not line.startswith(b"#")]
    if b"PRIVATE KEY" in b"".join(found):
        raise ImageError(f"{file} holds a private key, and no card may: take the public one beside it (.pub)")
    for number, line in enumerate(lines, start=1):
        if line in found and not _is_ssh_key(line):
            raise ImageError(f"{file}, line {number}: no public key of ssh: take what 'ssh-keygen' wrote into *.pub")
    if not found:
        raise ImageError(f"{file} holds no public key of ssh: take what 'ssh-keygen' wrote into *.pub")
    return b"".join(line + b"\n" for line in found)


def _is_ssh_key(line: bytes) -> bool:
    """A key's kind, and the key, which begins with its kind again (RFC 4253, section 6.6)."""
    kind, *rest = line.split(maxsplit=2)
    try:
        key = base64.b64decode(rest[0], validate=True)
    except (IndexError, binascii.Error):
        return False
    begin = len(kind).to_bytes(4, "big") + kind
    return key.startswith(begin) and len(key) > len(begin)


def _is_authority(certificate: x509.Certificate) -> bool:
    """RFC 5280, section 4.2.1.9; with a key usage, it has to allow the signing of certificates (4.2.1.3)."""
    try:
        if not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return False
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound as error:
        return error.oid == x509.KeyUsage.oid


def _read(file: Path) -> bytes:
    with file.open("rb") as opened:
        pem = opened.read(_MAX_OCTETS + 1)
    if len(pem) > _MAX_OCTETS:
        raise ImageError(f"{file} is larger than {_MAX_OCTETS} octets, which no keys are")
    return pem
