"""Receipts as the reference gateway writes them, and whatever else claims to be one."""

import hashlib
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st

from bondmate import receipts, wire
from bondmate.cose import KeySigner, PublicKey, sign1
from bondmate.errors import RemoteError
from bondmate.records import DeviceId, SessionId
from bondmate.wire import ReceiptEntry, Verdict
from bondmate_sim.gateway import cose as gateway_cose
from tests.gateway.cddl import validate_receipt

DEVICE = DeviceId(bytes.fromhex("7f3a09c1"))
SESSION = SessionId(bytes.fromhex("00125be2aa10"))
DIGEST = hashlib.sha256(b"a record").digest()[:16]
GATEWAY = ec.generate_private_key(ec.SECP256R1())
NEXT = ed25519.Ed25519PrivateKey.generate()
KEYS: dict[bytes, PublicKey] = {b"\x01": GATEWAY.public_key(), b"\x02": NEXT.public_key()}
HELD: list[Any] = [SESSION.octets, 0, 1, DIGEST, 0]
TIME_S = 1_795_186_800


def payload(*entries: list[Any]) -> bytes:
    return cbor2.dumps([1, TIME_S, list(entries or [HELD])], canonical=True)


def receipt(content: bytes | None = None, *, aad: bytes | None = None, key_id: bytes = b"\x01") -> bytes:
    """By the gateway's own COSE, written from the specification alone."""
    aad = gateway_cose.external_aad("bondmate receipt 1", DEVICE.octets) if aad is None else aad
    return gateway_cose.sign(payload() if content is None else content, aad, GATEWAY, key_id)


def test_a_receipt_of_the_gateway_is_believed() -> None:
    message = receipt()
    validate_receipt(message)
    verified = receipts.verify(message, DEVICE, KEYS)
    assert verified.message == message
    assert verified.entries == (ReceiptEntry(SESSION, 0, 1, DIGEST, Verdict.HELD),)


@pytest.mark.parametrize("key", [GATEWAY, NEXT])
def test_the_compact_form_is_rebuilt_for_either_kind_of_key(
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
) -> None:
    whole = sign1(payload(), wire.receipt_aad(DEVICE), KeySigner(key))
    compact = wire.encode_submission(whole, beside=None, compact=True)
    assert compact == payload() + whole[-64:]
    for keys in (KEYS, dict(reversed(KEYS.items()))):
        assert receipts.verify(compact, DEVICE, keys).message == whole


@pytest.mark.parametrize(
    "false",
    [
        receipt(aad=gateway_cose.external_aad("bondmate receipt 1", b"\0\0\0\0")),
        receipt(aad=gateway_cose.external_aad("bondmate record 1", DEVICE.octets, SESSION.octets)),
        receipt(key_id=b"\x02"),
        receipt(key_id=b"\x63"),
        gateway_cose.sign(payload(), wire.receipt_aad(DEVICE), ec.generate_private_key(ec.SECP256R1()), b"\x01"),
        receipt()[:-1],
        receipt() + b"\x00",
        b"",
        bytes(200),
    ],
    ids=["other device", "record's aad", "other key's id", "unknown id", "stranger", "cut", "tail", "empty", "zeros"],
)
def test_what_no_gateway_key_signed_for_this_device_is_refused(false: bytes) -> None:
    with pytest.raises(RemoteError):
        receipts.verify(false, DEVICE, KEYS)


def test_a_device_without_gateway_keys_believes_nobody() -> None:
    with pytest.raises(RemoteError, match="knows no gateway key"):
        receipts.verify(receipt(), DEVICE, {})


def test_a_signed_receipt_that_says_nonsense_is_refused() -> None:
    with pytest.raises(RemoteError, match="receipt-payload"):
        receipts.verify(receipt(b"\x80"), DEVICE, KEYS)


def test_the_largest_receipt_passes_and_a_larger_one_is_not_even_read() -> None:
    def of_size(padding: int) -> bytes:
        return receipt(cbor2.dumps([1, TIME_S, [HELD], bytes(padding)]))

    spare = wire.MAX_RECEIPT_OCTETS - len(of_size(300))
    largest = of_size(300 + spare)
    assert len(largest) == 1024
    assert receipts.verify(largest, DEVICE, KEYS).message == largest
    with pytest.raises(RemoteError, match="1025 octets"):
        receipts.verify(of_size(301 + spare), DEVICE, KEYS)


@given(st.binary(max_size=300))
def test_arbitrary_octets_are_refused_and_nothing_else_happens(data: bytes) -> None:
    with pytest.raises(RemoteError):
        receipts.verify(data, DEVICE, KEYS)


@given(st.binary(max_size=300))
def test_arbitrary_payloads_of_the_gateway_are_read_or_refused(content: bytes) -> None:
    message = receipt(content)
    try:
        entries = receipts.verify(message, DEVICE, KEYS).entries
    except RemoteError:
        return
    assert 1 <= len(entries) <= 16
