import hashlib
import hmac
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from bondmate.cose import EDDSA, ES256
from bondmate.credentials import CREDENTIALS_FILE, Address, exposed, load
from bondmate.errors import ConfigurationError
from bondmate_sim.gateway import credentials as gateway
from bondmate_sim.gateway import keys

GATEWAY_KEY = ec.generate_private_key(ec.SECP256R1())
ENROLLED = gateway.generate()

Document = dict[str, Any]


def enrolment(directory: Path) -> Document:
    """An enrolment file, as the reference gateway writes it."""
    path = gateway.write(ENROLLED, directory, ["coap://192.0.2.7:5683"], GATEWAY_KEY.public_key())
    document: Document = json.loads(path.read_text())
    path.unlink()
    return document


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> str:
    return json.dumps(enrolment(tmp_path_factory.mktemp("enrolment")))


@pytest.fixture
def document(written: str) -> Document:
    again: Document = json.loads(written)
    return again


def put(directory: Path, document: object) -> Path:
    (directory / CREDENTIALS_FILE).write_text(json.dumps(document))
    return directory


def private_pem(key: Any, password: bytes | None = None) -> str:
    encryption = NoEncryption() if password is None else BestAvailableEncryption(password)
    text: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    return text.decode()


def public_pem(key: Any) -> str:
    text: bytes = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return text.decode()


def hkdf(secret: bytes, salt: bytes, info: str, length: int) -> bytes:
    """RFC 5869 for one block, written out."""
    extracted = hmac.digest(salt, secret, hashlib.sha256)
    return hmac.digest(extracted, info.encode() + b"\x01", hashlib.sha256)[:length]


def test_what_the_gateway_enrolled_is_what_the_device_reads(document: Document, tmp_path: Path) -> None:
    known = load(put(tmp_path, document))
    assert known.device.octets == ENROLLED.device
    assert known.addresses == (Address("192.0.2.7", 5683),)
    assert known.signer.algorithm == ES256
    assert {name: bearer.kid for name, bearer in known.bearers.items()} == ENROLLED.kids
    assert {bearer.gateway_id for bearer in known.bearers.values()} == {keys.GATEWAY_ID}
    assert known.gateway_keys == {keys.KEY_ID: GATEWAY_KEY.public_key()}


@pytest.mark.parametrize("bearer", ["ip", "lte", "sms"])
def test_each_bearer_has_its_own_keys_by_the_specification(bearer: str, document: Document, tmp_path: Path) -> None:
    derived = load(put(tmp_path, document)).bearers[bearer]
    secret, device = ENROLLED.channel_secret, ENROLLED.device
    assert derived.master_secret == hkdf(secret, device, f"bondmate 1 oscore {bearer} secret", 16)
    assert derived.master_salt == hkdf(secret, device, f"bondmate 1 oscore {bearer} salt", 8)
    assert (derived.master_secret, derived.master_salt) == gateway.master_keys(secret, device, bearer)


def test_the_signature_is_by_the_enrolled_key(document: Document, tmp_path: Path) -> None:
    signature = load(put(tmp_path, document)).signer.sign(b"said")
    der = encode_dss_signature(int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))
    ENROLLED.signing_key.public_key().verify(der, b"said", ec.ECDSA(SHA256()))


def test_ed25519_keys_are_taken_too(document: Document, tmp_path: Path) -> None:
    device_key, gateway_key = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
    document["signing_key"] = private_pem(device_key)
    document["gateways"][0]["keys"].append({"id": "a1b2", "public_key": public_pem(gateway_key.public_key())})
    known = load(put(tmp_path, document))
    assert known.signer.algorithm == EDDSA
    device_key.public_key().verify(known.signer.sign(b"said"), b"said")
    assert set(known.gateway_keys) == {keys.KEY_ID, b"\xa1\xb2"}


def test_unknown_members_are_ignored(document: Document, tmp_path: Path) -> None:
    document["since"] = 2027
    document["gateways"][0]["region"] = {"name": "north"}
    document["gateways"].append("a second one, some day")
    document["bearers"]["ip"]["priority"] = 1
    assert load(put(tmp_path, document)).device.octets == ENROLLED.device


@pytest.mark.parametrize(
    ("text", "address", "shown"),
    [
        ("coap://gateway.example", Address("gateway.example", 5683), "gateway.example:5683"),
        ("coap://gateway.example:61616", Address("gateway.example", 61616), "gateway.example:61616"),
        ("coap://[2001:db8::7]:65535", Address("2001:db8::7", 65535), "[2001:db8::7]:65535"),
        ("coap://[2001:db8::7]", Address("2001:db8::7", 5683), "[2001:db8::7]:5683"),
    ],
)
def test_an_address_is_a_host_and_a_port(
    text: str, address: Address, shown: str, document: Document, tmp_path: Path
) -> None:
    document["gateways"][0]["addresses"] = [text, "coap://192.0.2.8"]
    assert load(put(tmp_path, document)).addresses == (address, Address("192.0.2.8", 5683))
    assert str(address) == shown


def test_secrets_are_in_no_repr(document: Document, tmp_path: Path) -> None:
    known = load(put(tmp_path, document))
    shown = repr(known) + str(known)
    for bearer in known.bearers.values():
        assert bearer.kid.hex() in shown or repr(bearer.kid) in shown, "what is no secret is shown"
        for secret in (bearer.master_secret, bearer.master_salt):
            assert repr(secret) not in shown
            assert secret.hex() not in shown
    assert "signer" not in shown


def changed(path: str, value: object) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        *way, last = path.split(".")
        place: Any = document
        for step in way:
            place = place[int(step) if step.isdecimal() else step]
        place[int(last) if last.isdecimal() else last] = value

    return change


def without(path: str) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        *way, last = path.split(".")
        place: Any = document
        for step in way:
            place = place[int(step) if step.isdecimal() else step]
        del place[last]

    return change


P384, RSA, X25519 = (
    ec.generate_private_key(ec.SECP384R1()),
    rsa.generate_private_key(65537, 2048),
    x25519.X25519PrivateKey.generate(),
)
REFUSED = {
    "another version": (changed("version", 2), "version 2, this daemon reads 1"),
    "no version": (without("version"), "version is missing"),
    "no device": (without("device"), "device is missing"),
    "a device of another form": (changed("device", "7f3a09c1"), "device cannot be read: ValueError"),
    "a number for a device": (changed("device", 7), "device cannot be read"),
    "a long device": (changed("device", "BM-7f3a09c1aa"), "device cannot be read"),
    "no signing key": (without("signing_key"), "signing_key is missing"),
    "no PEM": (changed("signing_key", "MIGHAgEAMBMGByqGSM49"), "signing_key cannot be read: ValueError"),
    "a key with a password": (changed("signing_key", private_pem(P384, b"x")), "signing_key cannot be read: TypeError"),
    "a key on another curve": (changed("signing_key", private_pem(P384)), r"signing_key: a key .*P-256"),
    "an RSA key": (changed("signing_key", private_pem(RSA)), r"signing_key: a key .*P-256"),
    "no secret": (without("channel_secret"), "channel_secret is missing"),
    "a short secret": (changed("channel_secret", "00" * 31), "channel_secret: 31 octets instead of 32"),
    "a secret that is no hex": (changed("channel_secret", "xy" * 32), "channel_secret cannot be read: ValueError"),
    "no bearers": (without("bearers"), "bearers is missing"),
    "no bearer ip": (without("bearers.ip"), "bearers: ip is missing"),
    "no kid": (without("bearers.lte.kid"), "bearers: kid is missing"),
    "a long kid": (changed("bearers.ip.kid", "0011223344"), "bearers: 5 octets instead of 4"),
    "a list of bearers": (changed("bearers", []), "bearers cannot be read"),
    "no gateways": (without("gateways"), "gateways is missing"),
    "no gateway": (changed("gateways", []), "no gateway"),
    "an object of gateways": (changed("gateways", {}), "no gateway"),
    "no gateway id": (without("gateways.0.id"), r"gateways\[0\]: id is missing"),
    "a long gateway id": (changed("gateways.0.id", "6767"), r"gateways\[0\]: 2 octets instead of 1"),
    "no addresses": (changed("gateways.0.addresses", []), r"gateways\[0\]: no address"),
    "an address of another scheme": (changed("gateways.0.addresses", ["coaps://a"]), "'coaps://a' is not coap://HOST"),
    "an address with a path": (changed("gateways.0.addresses", ["coap://a/r"]), "'coap://a/r' is not"),
    "a bare IPv6 address": (changed("gateways.0.addresses", ["coap://2001:db8::7"]), "is not coap://HOST"),
    "port 0": (changed("gateways.0.addresses", ["coap://a:0"]), "'coap://a:0' is not"),
    "port 65536": (changed("gateways.0.addresses", ["coap://a:65536"]), "'coap://a:65536' is not"),
    "a number for an address": (changed("gateways.0.addresses", [5683]), r"gateways\[0\] cannot be read"),
    "no keys": (changed("gateways.0.keys", []), "no key: no receipt could be believed"),
    "a key without its id": (without("gateways.0.keys.0.id"), r"gateways\[0\].keys: id is missing"),
    "an empty key id": (changed("gateways.0.keys.0.id", ""), "a key id has 1 to 8 octets, not 0"),
    "a long key id": (changed("gateways.0.keys.0.id", "00" * 9), "a key id has 1 to 8 octets, not 9"),
    "a gateway key for another purpose": (
        changed("gateways.0.keys.0.public_key", public_pem(X25519.public_key())),
        r"gateways\[0\].keys: a key .*P-256",
    ),
    "a gateway key on another curve": (
        changed("gateways.0.keys.0.public_key", public_pem(P384.public_key())),
        r"gateways\[0\].keys: a key .*P-256",
    ),
}


@pytest.mark.parametrize(("change", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_used_is_refused_in_words_and_without_its_secrets(
    change: Callable[[Document], None], reason: str, document: Document, tmp_path: Path
) -> None:
    load(put(tmp_path, document))  # the control: it is the change that is refused
    change(document)
    with pytest.raises(ConfigurationError, match=reason) as refused:
        load(put(tmp_path, document))
    [problem] = refused.value.problems
    assert problem.startswith(f"{tmp_path / CREDENTIALS_FILE}: not a usable enrolment file (")
    assert problem.endswith("): enrol the device anew")
    assert_tells_nothing(problem)


def assert_tells_nothing(problem: str) -> None:
    assert ENROLLED.channel_secret.hex() not in problem
    for line in keys.private_pem(ENROLLED.signing_key).decode().splitlines()[1:-1]:
        assert line not in problem


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)
MEMBERS = [
    "version", "device", "signing_key", "channel_secret", "bearers", "bearers.ip", "bearers.ip.kid", "gateways",
    "gateways.0", "gateways.0.id", "gateways.0.addresses", "gateways.0.addresses.0", "gateways.0.keys",
    "gateways.0.keys.0", "gateways.0.keys.0.id", "gateways.0.keys.0.public_key",
]  # fmt: skip


@given(member=st.sampled_from(MEMBERS), value=ANYTHING)
def test_whatever_stands_there_it_is_read_or_refused(
    member: str, value: object, written: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    document = json.loads(written)
    changed(member, value)(document)
    try:
        known = load(put(tmp_path_factory.mktemp("credentials"), document))
    except ConfigurationError as refused:
        assert_tells_nothing(str(refused))
    else:
        assert known.addresses
        assert known.gateway_keys
        assert "ip" in known.bearers


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not JSON"),
        (b'{"version": 1,', "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 60_000, "not JSON"),
        (b"[]", "the file cannot be read: TypeError"),
        (b"{}" + b" " * (64 * 1024), "larger than 65536 octets"),
    ],
)
def test_what_is_no_enrolment_file_is_refused(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / CREDENTIALS_FILE).write_bytes(content)
    with pytest.raises(ConfigurationError, match=reason):
        load(tmp_path)


def test_a_file_that_is_missing_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"credentials.json: No such file or directory: put the device's enrol"
    ):
        load(tmp_path)
    (tmp_path / CREDENTIALS_FILE).mkdir()
    with pytest.raises(ConfigurationError, match="Is a directory"):
        load(tmp_path)


def test_a_file_that_others_can_read_is_told(tmp_path: Path) -> None:
    file = tmp_path / "credentials.json"
    assert exposed(tmp_path) is None
    file.touch(mode=0o600)
    assert exposed(tmp_path) is None
    for mode in (0o640, 0o604, 0o644):
        file.chmod(mode)
        assert f"mode {mode:04o}" in (exposed(tmp_path) or "")
