import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from bondmate import enrolment_file
from bondmate_image import trust
from bondmate_image.errors import ImageError
from bondmate_image.trust import Trust

NOW = 1_795_000_000
_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Updates")])


def certificate(*, authority: bool | None = True, signs: bool | None = True, until: int = NOW + 86_400) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    made = x509.CertificateBuilder(_NAME, _NAME, key.public_key(), x509.random_serial_number())
    end = datetime.datetime.fromtimestamp(until, datetime.UTC)
    made = made.not_valid_before(end - datetime.timedelta(days=2)).not_valid_after(end)
    if authority is not None:
        made = made.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    if signs is not None:
        usage = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign"), False
        )
        made = made.add_extension(
            x509.KeyUsage(
                digital_signature=True, key_cert_sign=signs, encipher_only=False, decipher_only=False, **usage
            ),
            critical=True,
        )
    return made.sign(key, SHA256()).public_bytes(Encoding.PEM)


def public(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _file(folder: Path, content: bytes) -> Path:
    file = folder / "given.pem"
    file.write_bytes(content)
    return file


def test_the_daemon_takes_the_key_that_the_image_is_given(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    baked = trust.force_key(_file(tmp_path, b"some words before it\n" + public(key)))
    assert baked == public(key)
    assert enrolment_file.load_force_key(_file(tmp_path, baked)) == key.public_key()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no public key in PEM"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "no public key in PEM"),
        (private(ec.generate_private_key(ec.SECP256R1())), "and no card may"),
        (public(ec.generate_private_key(ec.SECP384R1())), "not of P-256"),
        (public(rsa.generate_private_key(65537, 2048)), "not of P-256"),
        (b"x" * (64 << 10) + b"x", "larger than 65536"),
    ],
)
def test_what_is_no_key_of_a_force_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    with pytest.raises(ImageError, match=why):
        trust.force_key(_file(tmp_path, content))


@pytest.mark.parametrize("signs", [True, None])
def test_certificates_of_authorities_are_taken_and_nothing_beside_them(tmp_path: Path, signs: bool | None) -> None:
    first, second = certificate(signs=signs), certificate()
    secret = private(ec.generate_private_key(ec.SECP256R1()))
    assert trust.keyring(_file(tmp_path, secret + first + b"words\n" + second), NOW) == first + second


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no certificate"),
        (public(ec.generate_private_key(ec.SECP256R1())), "no certificate"),
        (certificate(authority=False), "CN=Updates is no authority"),
        (certificate(authority=None), "CN=Updates is no authority"),
        (certificate(signs=False), "CN=Updates is no authority"),
        (certificate() + certificate(until=NOW - 1), "was valid until"),
        (b"x" * (64 << 10) + b"x", "larger than 65536"),
    ],
)
def test_what_is_no_keyring_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    with pytest.raises(ImageError, match=why):
        trust.keyring(_file(tmp_path, content), NOW)


def ssh(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)


ED25519, P256 = ssh(ed25519.Ed25519PrivateKey.generate()), ssh(ec.generate_private_key(ec.SECP256R1()))


def test_keys_of_ssh_are_taken_one_a_line(tmp_path: Path) -> None:
    given = b"# who may\n\n" + ED25519 + b" ann@desk\r\n" + P256 + b"\n"
    assert trust.ssh_keys(_file(tmp_path, given)) == ED25519 + b" ann@desk\n" + P256 + b"\n"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "holds no public key of ssh"),
        (b"# nobody\n", "holds no public key of ssh"),
        (ED25519 + b"\nssh-ed25519\n", "line 2: no public key"),
        (b"ssh-ed25519 AAAA!\n", "line 1: no public key"),
        (P256.replace(b"nistp256", b"nistp384"), "line 1: no public key"),
        (b'command="reboot" ' + ED25519, "line 1: no public key"),
        (public(ec.generate_private_key(ec.SECP256R1())), "line 1: no public key"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaA==\n", "and no card may"),
        (b"x" * (64 << 10) + b"x", "larger than 65536"),
    ],
    ids=["nothing", "comment", "second line", "no base64", "other curve", "options", "PEM", "private", "large"],
)
def test_what_is_no_key_of_ssh_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    with pytest.raises(ImageError, match=why):
        trust.ssh_keys(_file(tmp_path, content))


def test_an_image_that_believes_nobody_has_no_file_for_it() -> None:
    assert Trust().files() == {}
    every = {trust.FORCE_KEY: b"key", trust.KEYRING: b"ring", trust.SSH_KEYS: b"keys"}
    assert Trust(b"key", b"ring", b"keys").files() == every
