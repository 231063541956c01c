import base64
import json
from pathlib import Path

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cwt import COSE, COSEKey

from bondmate_sim.gateway import cbor, cose, keys
from tests.gateway import twin

AAD = cose.external_aad("bondmate record 1", b"\1\2\3\4", bytes(6))
KEY = ec.generate_private_key(ec.SECP256R1())
EDWARDS = ed25519.Ed25519PrivateKey.generate()


def test_what_is_signed_here_verifies_with_an_independent_library() -> None:
    signed = cose.sign(b"payload", AAD, KEY, b"\x01")
    judge = COSEKey.from_pem(keys.public_pem(KEY.public_key()), alg="ES256", kid=b"\x01")
    assert COSE.new().decode(signed, judge, external_aad=AAD) == b"payload"


@pytest.mark.parametrize("key", [KEY, EDWARDS])
def test_what_a_device_signs_verifies_here(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> None:
    tagged = twin.sign(b"payload", ["bondmate record 1", b"\1\2\3\4", bytes(6)], key)
    sign1 = cose.parse(tagged)
    assert sign1.payload == b"payload"
    assert (sign1.protected, sign1.unprotected) == (cose.protected_header(key.public_key()), cose.EMPTY_MAP)
    cose.verify(sign1, AAD, key.public_key())


def test_another_key_another_aad_or_another_payload_does_not_verify() -> None:
    sign1 = cose.parse(cose.sign(b"payload", AAD, KEY, b"\x01"))
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    altered = cose.Sign1(sign1.protected, sign1.unprotected, b"pay1oad", sign1.signature)
    cose.verify(sign1, AAD, KEY.public_key())
    for what, aad, key in [(sign1, AAD, other), (sign1, b"", KEY.public_key()), (altered, AAD, KEY.public_key())]:
        with pytest.raises(cose.NotVerifiedError):
            cose.verify(what, aad, key)


def test_of_the_two_signatures_that_ecdsa_accepts_only_the_one_with_the_lower_s_verifies() -> None:
    tagged = twin.sign(b"payload", ["bondmate record 1", b"\1\2\3\4", bytes(6)], KEY)
    other = twin.with_upper_s(tagged)
    judge = COSEKey.from_pem(keys.public_pem(KEY.public_key()), alg="ES256")
    assert COSE.new().decode(other, judge, external_aad=AAD) == b"payload"
    cose.verify(cose.parse(tagged), AAD, KEY.public_key())
    with pytest.raises(cose.NotVerifiedError, match="upper half"):
        cose.verify(cose.parse(other), AAD, KEY.public_key())


@pytest.mark.parametrize(("beyond", "why"), [(0, "the signature does not verify"), (1, "upper half")])
def test_the_halves_meet_in_the_middle_of_the_order(beyond: int, why: str) -> None:
    s = (twin.P256_ORDER // 2 + beyond).to_bytes(32, "big")
    sign1 = cose.Sign1(cose.protected_header(KEY.public_key()), cose.EMPTY_MAP, b"payload", b"\1" * 32 + s)
    with pytest.raises(cose.NotVerifiedError, match=why):
        cose.verify(sign1, AAD, KEY.public_key())


def test_what_is_signed_here_has_the_lower_s() -> None:
    # Of 40 signatures as they come from the library, about half have the upper one.
    for number in range(40):
        signature = cose.parse(cose.sign(bytes([number]), AAD, KEY, b"\x01")).signature
        assert int.from_bytes(signature[32:], "big") <= twin.P256_ORDER // 2


def test_a_signature_of_zeros_does_not_verify() -> None:
    sign1 = cose.Sign1(cose.protected_header(KEY.public_key()), cose.EMPTY_MAP, b"payload", bytes(64))
    with pytest.raises(cose.NotVerifiedError):
        cose.verify(sign1, AAD, KEY.public_key())


def test_an_empty_protected_map_is_signed_as_an_empty_string() -> None:
    signed = cose.parse(twin.sign(b"payload", ["bondmate record 1", b"\1\2\3\4", bytes(6)], KEY, protected=b""))
    sent_as_map = cose.Sign1(b"\xa0", signed.unprotected, signed.payload, signed.signature)
    cose.verify(signed, AAD, KEY.public_key())
    cose.verify(sent_as_map, AAD, KEY.public_key())


@pytest.mark.parametrize("key", [KEY, EDWARDS])
def test_the_compact_form_is_rebuilt_to_the_identical_octets(
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
) -> None:
    tagged = twin.sign(bytes(300), ["x"], key)
    short = twin.compact(tagged)
    assert cose.rebuild(short[:-64], short[-64:], key.public_key()) == tagged


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xd2",
        cbor2.dumps(cbor2.CBORTag(17, [b"", {}, b"", bytes(64)])),
        cbor2.dumps(cbor2.CBORTag(18, [b"", {}, b""])),
        cbor2.dumps(cbor2.CBORTag(18, [b"", {}, b"", bytes(63)])),
        cbor2.dumps(cbor2.CBORTag(18, [b"", {}, None, bytes(64)])),
        cbor2.dumps(cbor2.CBORTag(18, [b"", {}, b"", bytes(64)])) + b"\0",
    ],
)
def test_what_is_no_tagged_cose_sign1_is_refused(data: bytes) -> None:
    with pytest.raises(cbor.MalformedError):
        cose.parse(data)


def _number(base64url: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(base64url + "=" * (-len(base64url) % 4)))


@pytest.mark.parametrize(
    ("name", "verifies"),
    [
        ("sign1-tests_sign-pass-01", True),
        ("sign1-tests_sign-pass-02", True),
        ("sign1-tests_sign-fail-01", False),
        ("sign1-tests_sign-fail-02", False),
        ("sign1-tests_sign-fail-03", False),
        ("sign1-tests_sign-fail-04", False),
        ("sign1-tests_sign-fail-06", False),
        ("sign1-tests_sign-fail-07", False),
    ],
)
def test_vectors_of_the_cose_working_group(corpus: Path, name: str, verifies: bool) -> None:
    vector = json.loads((corpus / "cose" / f"{name}.json").read_text())
    signer = vector["input"]["sign0"]
    numbers = ec.EllipticCurvePublicNumbers(_number(signer["key"]["x"]), _number(signer["key"]["y"]), ec.SECP256R1())
    try:
        sign1 = cose.parse(bytes.fromhex(vector["output"]["cbor"]))
        cose.verify(sign1, bytes.fromhex(signer.get("external", "")), numbers.public_key())
    except (cbor.MalformedError, cose.NotVerifiedError):
        assert not verifies
    else:
        assert verifies
