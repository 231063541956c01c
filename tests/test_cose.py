"""COSE_Sign1 against the examples of the COSE working group, an independent library, and crooked messages."""

import base64
import json
from pathlib import Path
from typing import Any

import cbor2
import cwt
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from bondmate import wire
from bondmate.cose import (
    EDDSA,
    ES256,
    P256_ORDER,
    KeySigner,
    PrivateKey,
    PublicKey,
    algorithm_of,
    protected_header,
    sign1,
    verify1,
)
from bondmate.errors import RemoteError
from bondmate.records import DeviceId, SessionId
from bondmate_sim.gateway import cose as gateway_cose

P256 = ec.generate_private_key(ec.SECP256R1())
ED25519 = ed25519.Ed25519PrivateKey.generate()
PRIVATE_KEYS: tuple[PrivateKey, ...] = (P256, ED25519)
KEYS: dict[bytes, PublicKey] = {b"\x01": P256.public_key(), b"\x02": ED25519.public_key()}
AAD = wire.record_aad(DeviceId(bytes.fromhex("7f3a09c1")), SessionId(bytes.fromhex("00125be2aa10")))
CURVES: dict[str, type[ec.EllipticCurve]] = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}

PASSING = ("ecdsa-examples_ecdsa-sig-01", "eddsa-examples_eddsa-sig-01", "sign1-tests_sign-pass-01",
           "sign1-tests_sign-pass-02")  # fmt: skip
FAILING = tuple(f"sign1-tests_sign-fail-{number:02}" for number in (1, 2, 3, 4, 6, 7))
UNTAGGED = ("sign1-tests_sign-pass-03",)
OTHER_HASHES = tuple(f"ecdsa-examples_ecdsa-sig-{number:02}" for number in (2, 3, 4))
OTHER_CURVE = ("eddsa-examples_eddsa-sig-02",)
MANY_SIGNERS = (*(f"ecdsa-examples_ecdsa-{number:02}" for number in (1, 2, 3, 4)),
                "eddsa-examples_eddsa-01", "eddsa-examples_eddsa-02")  # fmt: skip


class Vector:
    """One example of cose-wg/Examples."""

    def __init__(self, folder: Path, name: str) -> None:
        document: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        given = document["input"]
        signer = given["sign0"] if "sign0" in given else given["sign"]["signers"][0]
        self.fails = document.get("fail", False)
        self.message = bytes.fromhex(document["output"]["cbor"])
        self.content = given["plaintext"].encode()
        self.aad = bytes.fromhex(signer.get("external", ""))
        self.key = _public_key(signer["key"])
        self.kid: bytes = _octets(signer["key"], "kid")

    def verify(self) -> bytes:
        return verify1(self.message, self.aad, {self.kid: self.key})


def _octets(key: dict[str, str], name: str) -> bytes:
    if f"{name}_hex" in key:
        return bytes.fromhex(key[f"{name}_hex"])
    return key[name].encode() if name == "kid" else base64.urlsafe_b64decode(key[name] + "==")


def _public_key(key: dict[str, str]) -> Any:
    x = _octets(key, "x")
    match key["crv"]:
        case "Ed25519":
            return ed25519.Ed25519PublicKey.from_public_bytes(x)
        case "Ed448":
            return ed448.Ed448PublicKey.from_public_bytes(x)
        case curve:
            y = _octets(key, "y")
            numbers = ec.EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), CURVES[curve]())
            return numbers.public_key()


@pytest.fixture(scope="session")
def examples(corpus: Path) -> Path:
    return corpus / "cose"


def test_every_example_of_the_corpus_is_judged(examples: Path) -> None:
    judged = {*PASSING, *FAILING, *UNTAGGED, *OTHER_HASHES, *OTHER_CURVE, *MANY_SIGNERS}
    assert judged == {path.stem for path in examples.glob("*.json")}
    assert {name for name in judged if Vector(examples, name).fails} == set(FAILING)


@pytest.mark.parametrize("name", PASSING)
def test_a_passing_example_verifies_and_no_longer_when_a_bit_is_turned(examples: Path, name: str) -> None:
    vector = Vector(examples, name)
    assert vector.verify() == vector.content
    vector.message = vector.message[:-1] + bytes([vector.message[-1] ^ 1])
    with pytest.raises(RemoteError, match="does not verify"):
        vector.verify()


@pytest.mark.parametrize("name", FAILING)
def test_a_failing_example_fails(examples: Path, name: str) -> None:
    with pytest.raises(RemoteError):
        Vector(examples, name).verify()


@pytest.mark.parametrize("name", UNTAGGED)
def test_an_untagged_example_is_refused_and_verifies_with_its_tag(examples: Path, name: str) -> None:
    """On our wire what begins with an array head is the compact form (docs/protocol.md, section 3)."""
    vector = Vector(examples, name)
    with pytest.raises(RemoteError, match="not a tagged COSE_Sign1"):
        vector.verify()
    vector.message = b"\xd2" + vector.message
    assert vector.verify() == vector.content


@pytest.mark.parametrize("name", OTHER_HASHES)
def test_other_algorithms_are_refused_by_their_number(examples: Path, name: str) -> None:
    vector = Vector(examples, name)
    number = {1: -7, 2: -35, 3: -36, 4: -36}[int(name[-1])]
    with pytest.raises(RemoteError, match=rf"algorithm {number}: ES256 \(-7\) or EdDSA \(-8\) is needed"):
        vector.verify()


@pytest.mark.parametrize("name", OTHER_CURVE)
def test_another_curve_of_eddsa_is_refused(examples: Path, name: str) -> None:
    with pytest.raises(RemoteError, match="neither P-256 nor Ed25519"):
        Vector(examples, name).verify()


@pytest.mark.parametrize("name", MANY_SIGNERS)
def test_a_message_for_many_signers_is_refused(examples: Path, name: str) -> None:
    vector = Vector(examples, name)
    assert cbor2.loads(vector.message).tag == 98
    with pytest.raises(RemoteError, match="not a tagged COSE_Sign1"):
        vector.verify()


def judge_of(key: PublicKey, kid: bytes = b"") -> Any:
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return cwt.COSEKey.from_pem(pem, alg="ES256" if algorithm_of(key) == ES256 else "EdDSA", kid=kid)


@pytest.mark.parametrize("key", PRIVATE_KEYS, ids=["P-256", "Ed25519"])
def test_what_we_sign_verifies_with_an_independent_library(key: PrivateKey) -> None:
    signed = sign1(b"payload", AAD, KeySigner(key))
    assert cwt.COSE.new().decode(signed, judge_of(key.public_key()), external_aad=AAD) == b"payload"
    for crooked, aad in [(signed[:-1] + bytes([signed[-1] ^ 1]), AAD), (signed, AAD[:-1])]:
        with pytest.raises(cwt.VerifyError):
            cwt.COSE.new().decode(crooked, judge_of(key.public_key()), external_aad=aad)


@pytest.mark.parametrize("key", PRIVATE_KEYS, ids=["P-256", "Ed25519"])
def test_what_an_independent_library_signs_verifies_here(key: PrivateKey) -> None:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    algorithm = algorithm_of(key.public_key())
    signer = cwt.COSEKey.from_pem(pem, alg="ES256" if algorithm == ES256 else "EdDSA")
    signed = cwt.COSE.new().encode_and_sign(
        b"payload", signer, protected={1: algorithm}, unprotected={4: b"k"}, external_aad=AAD
    )
    assert isinstance(signed, bytes)
    assert verify1(signed, AAD, {b"j": P256.public_key(), b"k": key.public_key()}) == b"payload"
    with pytest.raises(RemoteError, match="does not verify"):
        verify1(signed, AAD + b"x", {b"k": key.public_key()})


def message(
    protected: Any = None, unprotected: Any = None, payload: Any = b"payload", signature: Any = None, tag: int = 18
) -> bytes:
    """A message signed by P256 over what is given, in which any part may be crooked."""
    if protected is None:
        protected = protected_header(ES256)
    if signature is None:
        over = cbor2.dumps(["Signature1", protected, AAD, payload])
        signature = KeySigner(P256).sign(over)
    return cbor2.dumps(cbor2.CBORTag(tag, [protected, {} if unprotected is None else unprotected, payload, signature]))


def test_our_own_messages_are_of_rfc_9052() -> None:
    for key, header in zip(PRIVATE_KEYS, ("a10126", "a10127"), strict=True):
        tag = cbor2.loads(sign1(b"payload", AAD, KeySigner(key)))
        protected, unprotected, payload, signature = tag.value
        assert (tag.tag, protected.hex(), unprotected, payload, len(signature)) == (18, header, {}, b"payload", 64)
    assert verify1(message(), AAD, KEYS) == b"payload"


def test_every_signature_has_64_octets() -> None:
    """Every 128th or so has a number with a leading zero, which must be kept."""
    assert {len(KeySigner(P256).sign(bytes([number % 256]))) for number in range(400)} == {64}


# --- one signature, and not its twin -----------------------------------------------------------------

HALF_ORDER = P256_ORDER // 2


def numbers_of(signature: bytes) -> tuple[int, int]:
    return int.from_bytes(signature[:32]), int.from_bytes(signature[32:])


def twin_of(signature: bytes) -> bytes:
    """The other value of s, which whoever has seen a signature can make without the key."""
    r, s = numbers_of(signature)
    return r.to_bytes(32) + (P256_ORDER - s).to_bytes(32)


def is_of_p256(signature: bytes, data: bytes) -> bool:
    """Whether the library, which knows no rule for s, takes the signature."""
    try:
        P256.public_key().verify(encode_dss_signature(*numbers_of(signature)), data, ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def test_the_order_is_that_of_the_group() -> None:
    """The points of the keys 1 and n - 1 share x and differ in y: one is the negative of the other, their sum is n."""
    one, other = (
        ec.derive_private_key(secret, ec.SECP256R1()).public_key().public_numbers() for secret in (1, P256_ORDER - 1)
    )
    assert one.x == other.x
    assert one.y != other.y


@given(st.binary(max_size=64))
def test_every_signature_has_the_lower_s_and_verifies(data: bytes) -> None:
    signature = KeySigner(P256).sign(data)
    _, s = numbers_of(signature)
    assert 0 < s <= HALF_ORDER
    assert is_of_p256(signature, data)


def test_the_twin_of_a_signature_is_taken_by_the_library_and_never_made_by_us() -> None:
    """What the rule is for: without it a record would have two digests, one of them from a stranger."""
    signed = sign1(b"payload", AAD, KeySigner(P256))
    forged = signed[:-64] + twin_of(signed[-64:])
    assert verify1(forged, AAD, KEYS) == b"payload"
    assert wire.digest(forged) != wire.digest(signed)
    assert numbers_of(forged[-64:])[1] > HALF_ORDER
    made = {decode_dss_signature(P256.sign(b"data", ec.ECDSA(SHA256())))[1] <= HALF_ORDER for _ in range(64)}
    assert made == {True, False}, "left to itself the library makes both"


def test_the_gateway_takes_what_we_sign_and_not_its_twin() -> None:
    signed = sign1(b"payload", AAD, KeySigner(P256))
    gateway_cose.verify(gateway_cose.parse(signed), AAD, P256.public_key())
    with pytest.raises(gateway_cose.NotVerifiedError, match="upper half"):
        gateway_cose.verify(gateway_cose.parse(signed[:-64] + twin_of(signed[-64:])), AAD, P256.public_key())


# --- headers -----------------------------------------------------------------------------------------


def test_the_key_id_chooses_the_key_and_without_one_every_key_is_tried() -> None:
    assert verify1(message(unprotected={4: b"\x01"}), AAD, KEYS) == b"payload"
    with pytest.raises(RemoteError, match="does not verify"):
        verify1(message(unprotected={4: b"\x02"}), AAD, KEYS)
    for keys, kid in [(KEYS, {4: b"\x03"}), ({}, {}), ({}, {4: b"\x01"})]:
        with pytest.raises(RemoteError, match="a key that this device does not know"):
            verify1(message(unprotected=kid), AAD, keys)
    assert verify1(message(), AAD, dict(reversed(KEYS.items()))) == b"payload"


@pytest.mark.parametrize("kid", [[1], {1: 2}, "01", 1, cbor2.CBORTag(99, [])])
def test_a_key_id_of_another_type_is_of_no_key(kid: object) -> None:
    with pytest.raises(RemoteError, match="does not know"):
        verify1(message(unprotected={4: kid}), AAD, KEYS)


def test_a_key_is_used_with_its_own_algorithm_alone() -> None:
    with pytest.raises(RemoteError, match="does not verify"):
        verify1(message(protected_header(EDDSA)), AAD, {b"": P256.public_key()})
    with pytest.raises(RemoteError, match="does not verify"):
        verify1(message(protected_header(ES256)), AAD, {b"": ED25519.public_key()})


@pytest.mark.parametrize(
    ("protected", "complaint"),
    [
        (b"", "algorithm None"),
        (b"\xa0", "algorithm None"),
        (cbor2.dumps({1: "ES256"}), "algorithm 'ES256'"),
        (cbor2.dumps({1: [-7]}), r"algorithm \[-7\]"),
        (cbor2.dumps({1: -7, 2: [99], 99: 0}), "must be understood"),
        (cbor2.dumps([1, -7]), "not a map"),
        (b"\xa1\x01", "not CBOR"),
        (cbor2.dumps({1: -7}) + b"\x00", "behind the end"),
    ],
    ids=["empty", "empty map", "name", "array", "critical", "no map", "cut short", "too long"],
)
def test_a_protected_header_is_read_strictly(protected: bytes, complaint: str) -> None:
    with pytest.raises(RemoteError, match=complaint):
        verify1(message(protected), AAD, KEYS)


def test_unknown_header_parameters_that_need_no_understanding_are_ignored() -> None:
    assert verify1(message(cbor2.dumps({1: -7, 99: "x"}), {98: "y"}), AAD, KEYS) == b"payload"


def test_an_empty_protected_header_is_signed_as_an_empty_string_either_way() -> None:
    over = cbor2.dumps(["Signature1", b"", AAD, b"payload"])
    signature = KeySigner(P256).sign(over)
    for protected in (b"", b"\xa0"):
        assert verify1(message(protected, {1: -7}, signature=signature), AAD, KEYS) == b"payload"


@pytest.mark.parametrize(
    "crooked",
    [
        b"",
        b"\xd2",
        message(tag=98),
        message(tag=17),
        message()[1:],
        message(payload=None, signature=bytes(64)),
        message(signature="x" * 64),
        cbor2.dumps(cbor2.CBORTag(18, [protected_header(ES256), {}, b"payload"])),
        cbor2.dumps(cbor2.CBORTag(18, [protected_header(ES256), [], b"payload", bytes(64)])),
        cbor2.dumps(cbor2.CBORTag(18, cbor2.CBORTag(18, []))),
    ],
    ids=[
        "empty",
        "a tag alone",
        "for many signers",
        "a MAC",
        "without its tag",
        "without its payload",
        "signed in text",
        "three members",
        "an array of parameters",
        "tagged twice",
    ],
)
def test_what_is_no_tagged_cose_sign1_is_refused(crooked: bytes) -> None:
    with pytest.raises(RemoteError, match=r"not a tagged COSE_Sign1|not CBOR"):
        verify1(crooked, AAD, KEYS)


def test_octets_behind_the_message_are_refused() -> None:
    """Else one record would have many digests."""
    with pytest.raises(RemoteError, match="behind the end"):
        verify1(message() + b"\x00", AAD, KEYS)


@pytest.mark.parametrize("length", [0, 1, 63, 65, 128])
def test_a_signature_of_another_length_does_not_verify(length: int) -> None:
    for algorithm in (ES256, EDDSA):
        with pytest.raises(RemoteError, match="does not verify"):
            verify1(message(protected_header(algorithm), signature=bytes(length)), AAD, KEYS)


@pytest.mark.parametrize(
    "bomb",
    [
        "c4821b0de0b6b3a764000001",  # a decimal fraction with an exponent of 1e18
        "c5821b0de0b6b3a764000001",  # a bigfloat with an exponent of 1e18
        "c482616161" + "62",  # a decimal fraction of texts
        "d81c81d81d00",  # a list that holds itself
        "d81e820100",  # 1/0
        "ff",  # a break without a beginning
        "81" * 500 + "00",
        "9bffffffffffffffff",
    ],
)
def test_cbor_that_upsets_a_decoder_is_refused_and_raises_nothing_else(bomb: str) -> None:
    signature = bytes(64)
    item = bytes.fromhex(bomb)
    head = b"\xd2\x84" + cbor2.dumps(protected_header(ES256))
    tail = cbor2.dumps(b"payload") + cbor2.dumps(signature)
    for crooked in (item, head + item + tail, head + b"\xa1\x04" + item + tail, head + b"\xa1" + item + b"\x00" + tail):
        with pytest.raises(RemoteError):
            verify1(crooked, AAD, KEYS)
    with pytest.raises(RemoteError):
        verify1(message(item, signature=signature), AAD, KEYS)
    with pytest.raises(RemoteError):
        verify1(message(b"\xa1\x01" + item, signature=signature), AAD, KEYS)


_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**64), 2**64 - 1), st.binary(max_size=8), st.text(max_size=4)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.integers(-3, 9), st.text(max_size=2)), inner, max_size=3),
        st.builds(cbor2.CBORTag, st.integers(0, 40), inner),
    ),
    max_leaves=8,
)


@given(st.one_of(st.binary(max_size=80), _VALUES.map(cbor2.dumps), st.lists(_VALUES, min_size=4, max_size=4)))
def test_nothing_unsigned_verifies_and_nothing_but_a_refusal_comes_out(crooked: bytes | list[Any]) -> None:
    if isinstance(crooked, list):
        protected, *others = crooked
        crooked = message(cbor2.dumps(protected), *others)
    with pytest.raises(RemoteError):
        verify1(crooked, AAD, KEYS)


def test_no_bit_of_a_message_can_be_turned() -> None:
    whole = message()
    assert verify1(whole, AAD, KEYS) == b"payload"
    for bit in range(len(whole) * 8):
        turned = bytearray(whole)
        turned[bit // 8] ^= 1 << bit % 8
        with pytest.raises(RemoteError):
            verify1(bytes(turned), AAD, KEYS)


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP256K1()),
        ed448.Ed448PrivateKey.generate(),
        rsa.generate_private_key(65537, 1024),
    ],
    ids=["P-384", "secp256k1", "Ed448", "RSA"],
)
def test_other_kinds_of_keys_are_refused(key: Any) -> None:
    with pytest.raises(RemoteError, match="neither P-256 nor Ed25519"):
        KeySigner(key)
    assert (KeySigner(P256).algorithm, KeySigner(ED25519).algorithm) == (-7, -8)
