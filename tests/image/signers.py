"""Who signs updates, in tests: an authority, and signers that it issued."""

import datetime
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from bondmate_image.bundle import Signer


@dataclass(frozen=True, slots=True)
class Authority:
    """A force's: its certificate goes into the image, its key signs signers."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def signer(self, folder: Path, name: str = "signer") -> Signer:
        """A signer's two files."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = _certificate(name, key, self.key, self.certificate.subject, authority=False)
        signer = Signer(folder / f"{name}.pem", folder / f"{name}.key")
        signer.certificate.write_bytes(made.public_bytes(Encoding.PEM))
        signer.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return signer


def authority(name: str = "Updates") -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    return Authority(_certificate(name, key, key, _name(name), authority=True), key)


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    by: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    *,
    authority: bool,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder(issuer, _name(name), key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=365))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
        .sign(by, SHA256())
    )
