"""EDHOC against the library's own initiator: sizes, keys, what is not of the profile, what the library panics at."""

import re

import lakers
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from bondmate_sim.gateway import edhoc, keys
from bondmate_sim.gateway.edhoc import EdhocError, Responder

DEVICE = bytes.fromhex("7f3a09c1")
GATEWAY = ec.generate_private_key(ec.SECP256R1())
OWN = ec.generate_private_key(ec.SECP256R1())
DH = keys.coordinates(OWN.public_key())


def begun() -> tuple[Responder, lakers.EdhocInitiator, bytes]:
    """Return both sides of an exchange, and message 3."""
    initiator, responder = lakers.EdhocInitiator(), Responder(GATEWAY)
    initiator.parse_message_2(responder.answer_1(initiator.prepare_message_1(c_i=edhoc.INITIATOR)))
    own = edhoc._credential("BM-7f3a09c1", edhoc.INITIATOR, DH)
    other = edhoc._credential("BG-67", edhoc.RESPONDER, keys.coordinates(GATEWAY.public_key()))
    initiator.verify_message_2(OWN.private_numbers().private_value.to_bytes(32, "big"), own, other)
    return responder, initiator, bytes(initiator.prepare_message_3(lakers.CredentialTransfer.ByReference)[0])


def test_both_sides_have_the_same_keys_and_no_other_exchange_has_them() -> None:
    found = []
    for _ in range(2):
        responder, initiator, message_3 = begun()
        message_4, agreed = responder.answer_3(message_3, DEVICE, DH)
        initiator.process_message_4(message_4)
        assert agreed.secret == initiator.edhoc_exporter(0, b"bondmate 1 channel", 32)
        for bearer in ("ip", "lte", "sms"):
            assert agreed.kids[bearer] == initiator.edhoc_exporter(0, f"bondmate 1 kid {bearer}".encode(), 4)
        assert agreed.secret.hex() not in repr(agreed)
        assert repr(agreed.secret) not in repr(agreed)
        found.append(agreed.secret)
    assert len(set(found)) == 2


@pytest.mark.parametrize("device", [bytes(4), DEVICE])
def test_another_device_or_another_key_does_not_verify(device: bytes) -> None:
    responder, _, message_3 = begun()
    other = DH if device != DEVICE else keys.coordinates(GATEWAY.public_key())
    with pytest.raises(EdhocError, match="message 3 does not verify"):
        responder.answer_3(message_3, device, other)


def test_what_is_not_of_the_profile_is_refused() -> None:
    true = bytes(lakers.EdhocInitiator().prepare_message_1(c_i=edhoc.INITIATOR))
    other_identifier = bytes(lakers.EdhocInitiator().prepare_message_1(c_i=b"\x4a"))
    for message in (b"", true[:-1], true + b"\x00", b"\x00" + true[1:], other_identifier):
        with pytest.raises(EdhocError, match="message 1 is not of"):
            Responder(GATEWAY).answer_1(message)
    off_curve = next(x for number in range(99) if not _is_point(x := number.to_bytes(32, "big")))
    with pytest.raises(EdhocError, match="no point of P-256"):
        Responder(GATEWAY).answer_1(true[:4] + off_curve + true[-2:])
    responder, _, message_3 = begun()
    for message in (b"", message_3[:-1], message_3 + b"\x00"):
        with pytest.raises(EdhocError, match=re.escape("message 3 is not one byte string")):
            responder.answer_3(message, DEVICE, DH)


def _is_point(x: bytes) -> bool:
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x02" + x)
    except ValueError:
        return False
    return True


def test_a_panic_of_the_library_is_an_exchange_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edhoc, "_MESSAGE_3_OCTETS", 3)
    responder, _, _ = begun()
    with pytest.raises(EdhocError, match="message 3 does not verify: range end index"):
        responder.answer_3(b"\x53ab", DEVICE, DH)


def test_an_interruption_is_no_failure_of_an_exchange() -> None:
    interrupted = KeyboardInterrupt()
    assert edhoc._failed(3, interrupted) is interrupted
