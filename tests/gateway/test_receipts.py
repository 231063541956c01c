from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cwt import COSE, COSEKey

from bondmate_sim.gateway import keys, receipts
from bondmate_sim.gateway.receipts import Entry, Verdict
from tests.gateway import twin
from tests.gateway.cddl import ValidationError, validate_receipt, validate_receipt_payload

DEVICE = bytes.fromhex("7f3a09c1")
SESSION = bytes.fromhex("00125be2aa10")
DIGEST = bytes(range(32))
KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.mark.parametrize(
    ("entry", "encoded"),
    [
        (Entry(SESSION, 0, 1, DIGEST, Verdict.HELD), [SESSION, 0, 1, DIGEST[:16], 0]),
        (Entry(SESSION, None, None, DIGEST, Verdict.UNREADABLE), [SESSION, None, None, DIGEST[:16], 1]),
        (Entry(SESSION, 1, 9, DIGEST, Verdict.REFUSED, receipts.REASON_REVOKED), [SESSION, 1, 9, DIGEST[:16], 2, 1]),
    ],
)
def test_a_receipt_verifies_with_an_independent_library_and_validates_against_the_cddl(
    entry: Entry, encoded: list[Any]
) -> None:
    made = receipts.receipt(DEVICE, entry, 1_795_186_800, KEY, b"\x01")
    judge = COSEKey.from_pem(keys.public_pem(KEY.public_key()), alg="ES256", kid=b"\x01")
    payload = COSE.new().decode(made, judge, external_aad=cbor2.dumps(["bondmate receipt 1", DEVICE]))
    assert cbor2.loads(payload) == [1, 1_795_186_800, [encoded]]
    assert cbor2.loads(made).value[1] == {4: b"\x01"}
    validate_receipt(made)


def test_a_receipt_is_signed_with_the_lower_s() -> None:
    for time_s in range(40):
        made = receipts.receipt(DEVICE, Entry(SESSION, 0, 1, DIGEST, Verdict.HELD), time_s, KEY, b"\x01")
        assert int.from_bytes(cbor2.loads(made).value[3][32:], "big") <= twin.P256_ORDER // 2


@pytest.mark.parametrize("entry", [[SESSION, 0, 1, DIGEST, 0], [SESSION, 0, 1, DIGEST[:16], 3]])
def test_the_cddl_catches_a_receipt_that_is_wrong(entry: list[Any]) -> None:
    wrong = cbor2.dumps([1, 1_795_186_800, [entry]])
    with pytest.raises(ValidationError):
        validate_receipt_payload(wrong)
