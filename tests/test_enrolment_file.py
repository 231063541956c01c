"""The enrolment file: believed when the force signed it, and no other way."""

from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from bondmate import enrolment_file
from bondmate.cose import KeySigner, sign1
from bondmate.credentials import Address
from bondmate.enrolment_file import EnrolmentFile
from bondmate.errors import LocalError, RemoteError
from bondmate.network import Network, Wifi
from tests.enrolment_desk import ADDRESS, DEVICE, GATEWAY_ID, KEY_ID, KID, Force, der, new_key, pem, xy

FORCE = Force()
PUBLIC = FORCE.key.public_key()


def parse(network: Any = None, **changes: Any) -> EnrolmentFile:
    return enrolment_file.parse(FORCE.file(network, **changes), PUBLIC)


def test_all_that_stands_in_it() -> None:
    file = parse({1: [["station 7", "passphrase"]], 2: "iot.example", 3: "1234", 4: ["+4915558888"], 5: "+4915559999"})
    assert str(file.device) == "BM-7f3a09c1"
    assert (file.kid, file.secret, file.issued_s) == (KID, FORCE.secret, 1_795_000_000)
    assert (file.gateway.id, file.gateway.addresses) == (GATEWAY_ID, (ADDRESS,))
    assert file.gateway.places == (Address("192.0.2.7", 5683),)
    assert file.gateway.keys == {KEY_ID: FORCE.gateway_key.public_key()}
    assert file.gateway.dh == FORCE.gateway_dh.public_key()
    assert file.network == Network(
        (Wifi("station 7", "passphrase"),), "iot.example", "1234", ("+4915558888",), "+4915559999"
    )


def test_its_channel_is_derived_as_section_1_says_for_a_bearer_called_enrol() -> None:
    channel = parse().channel
    for what, length, derived in (("secret", 16, channel.master_secret), ("salt", 8, channel.master_salt)):
        info = f"bondmate 1 oscore enrol {what}".encode()
        assert derived == HKDF(SHA256(), length, salt=DEVICE, info=info).derive(FORCE.secret)
    assert (channel.kid, channel.gateway_id) == (KID, GATEWAY_ID)


def test_no_secret_is_in_its_repr() -> None:
    shown = repr(parse({1: [["station 7", "passphrase"]], 3: "1234"}))
    for secret in (FORCE.secret.hex(), repr(FORCE.secret), "passphrase", "1234"):
        assert secret not in shown


def test_elements_of_a_later_version_of_the_same_number_are_ignored() -> None:
    assert parse(later=[1, 2]).device == parse().device


def test_another_forces_file_is_not_believed() -> None:
    with pytest.raises(RemoteError, match="not signed by this force"):
        parse(signer=new_key())


@pytest.mark.parametrize("context", ["bondmate enrolment 2", "bondmate receipt 1"])
def test_what_the_force_signed_for_something_else_is_not_believed(context: str) -> None:
    data = sign1(cbor2.dumps(FORCE.payload()), cbor2.dumps([context]), KeySigner(FORCE.key))
    with pytest.raises(RemoteError, match="not signed by this force"):
        enrolment_file.parse(data, PUBLIC)


@given(st.data())
def test_no_octet_of_it_can_be_changed(data: st.DataObject) -> None:
    good = FORCE.file()
    place = data.draw(st.integers(0, len(good) - 1))
    flipped = bytes([good[place] ^ data.draw(st.integers(1, 255))])
    with pytest.raises(RemoteError):
        enrolment_file.parse(good[:place] + flipped + good[place + 1 :], PUBLIC)


@given(st.binary(max_size=200))
def test_garbage_is_not_believed(octets: bytes) -> None:
    with pytest.raises(RemoteError):
        enrolment_file.parse(octets, PUBLIC)


GATEWAY = FORCE.payload()[4]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version": 2}, "its version is 2"),
        ({"device": b"abc"}, "elements"),
        ({"kid": bytes(5)}, "elements"),
        ({"secret": bytes(16)}, "elements"),
        ({"issued_s": "today"}, "elements"),
        ({"gateway": [b"", *GATEWAY[1:]]}, "elements"),
        ({"gateway": [GATEWAY_ID, [], *GATEWAY[2:]]}, "1 to 8 addresses"),
        ({"gateway": [GATEWAY_ID, ["http://x"], *GATEWAY[2:]]}, "is not coap://HOST"),
        ({"gateway": [GATEWAY_ID, [ADDRESS] * 9, *GATEWAY[2:]]}, "1 to 8 addresses"),
        ({"gateway": [GATEWAY_ID, [ADDRESS], [], GATEWAY[3]]}, "1 to 4 keys"),
        ({"gateway": [GATEWAY_ID, [ADDRESS], [[KEY_ID, b"der"]], GATEWAY[3]]}, "no SubjectPublicKeyInfo"),
        ({"gateway": [GATEWAY_ID, [ADDRESS], [[b"", der(new_key())]], GATEWAY[3]]}, "an id of 1 to 8 octets"),
        ({"gateway": [*GATEWAY[:3], [bytes(32), bytes(32)]]}, "no point of P-256"),
        ({"gateway": [*GATEWAY[:3], [bytes(31), bytes(32)]]}, "two coordinates"),
        ({"network": {2: 'a"\r\nAT'}}, "the access point"),
        ({"network": {3: "12a4"}}, "PIN has 4 to 8 digits"),
        ({"network": {3: "١٢٣٤"}}, "PIN has 4 to 8 digits"),
        ({"network": {4: ["0800"]}}, "allowed numbers"),
        ({"network": {4: []}}, "1 to 8 numbers"),
        ({"network": {5: "0800"}}, "telephone number"),
        ({"network": {1: [["x", "short"]]}}, "passphrase of 8 to 63"),
        ({"network": {1: [["x", "pässwörd"]]}}, "printable characters of ASCII"),
        ({"network": {1: [["", "passphrase"]]}}, "name of 1 to 32"),
        ({"network": {1: [["a\0b", "passphrase"]]}}, "none of them NUL"),
        ({"network": {1: [["x", "passphrase"]] * 9}}, "1 to 8 Wi-Fi"),
        ({"network": [1]}, "no map"),
    ],
)
def test_what_the_force_signed_by_mistake_is_refused_with_what_is_wrong(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(RemoteError, match=said):
        parse(**changes)


def test_the_files_are_read_with_bounds(tmp_path: Path) -> None:
    file, key = FORCE.put(tmp_path)
    assert enrolment_file.load(file, enrolment_file.load_force_key(key)).device == parse().device
    file.write_bytes(bytes(9000))
    with pytest.raises(RemoteError, match="larger than"):
        enrolment_file.load(file, PUBLIC)
    with pytest.raises(FileNotFoundError):
        enrolment_file.load(tmp_path / "none", PUBLIC)


def test_a_force_key_that_is_none_is_told(tmp_path: Path) -> None:
    path = tmp_path / "force.pem"
    with pytest.raises(LocalError, match="No such file"):
        enrolment_file.load_force_key(path)
    other = ed25519.Ed25519PrivateKey.generate().public_key()
    curve = ec.generate_private_key(ec.SECP384R1()).public_key()
    cases: tuple[tuple[bytes, str], ...] = (
        (b"", "no public key in PEM"),
        (other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), "not of the curve P-256"),
        (curve.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), "not of the curve P-256"),
    )
    for content, said in cases:
        path.write_bytes(content)
        with pytest.raises(LocalError, match=said):
            enrolment_file.load_force_key(path)
    path.write_bytes(pem(FORCE.key))
    assert enrolment_file.load_force_key(path) == PUBLIC


def test_a_fingerprint_is_four_groups_of_the_keys_digest() -> None:
    x, y = (
        bytes.fromhex("6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"),
        bytes.fromhex("4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"),
    )
    # the generator of P-256 as a key: `openssl dgst -sha256 -binary | head -c 10 | base32` over its DER
    assert enrolment_file.fingerprint(enrolment_file.point(x, y)) == "LTJF-F6YM-5CJS-INX2"


def test_points_and_their_coordinates() -> None:
    key = new_key()
    assert enrolment_file.point(*xy(key)) == key.public_key()
    assert enrolment_file.coordinates(key.public_key()) == xy(key)
