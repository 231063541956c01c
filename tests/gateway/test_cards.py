"""The enrolment file: of the CDDL, signed by the force's key, verified by another library."""

from pathlib import Path

import cbor2
import pytest
from cryptography.hazmat.primitives import serialization
from cwt import COSE, COSEKey

from bondmate_sim.gateway import cards, keys, network
from bondmate_sim.gateway.enrolments import Offer
from bondmate_sim.gateway.keys import Purpose
from tests.gateway.cddl import ValidationError, validate_enrolment

OFFER = Offer(bytes.fromhex("7f3a09c1"), b"kid!", b"s" * 32)


def gateway(place: Path) -> cards.Gateway:
    signing, dh, force = (keys.load_or_create(place, each) for each in (Purpose.SIGNING, Purpose.DH, Purpose.FORCE))
    return cards.Gateway(["coap://192.0.2.7:5683"], signing.public_key(), dh.public_key(), force)


def test_a_file_is_of_the_cddl_and_verifies_with_an_independent_library(tmp_path: Path) -> None:
    made = gateway(tmp_path)
    described = network.Network(wifi=(("station", "passphrase"),), apn="internet", sms_from=("+4915550001",))
    for each in (None, described, network.Network()):
        tagged = cards.file(OFFER, made, 1_795_000_000, each)
        validate_enrolment(tagged)
        key = COSEKey.from_pem(keys.public_pem(made.force.public_key()), alg="ES256")
        aad = cbor2.dumps(["bondmate enrolment 1"])
        assert COSE.new().decode(tagged, key, external_aad=aad) == cbor2.loads(tagged).value[2]


def test_the_cddl_has_no_short_codes_and_no_passphrase_that_is_not_ascii(tmp_path: Path) -> None:
    for unfit in (network.Network(sms_to="72772"), network.Network(wifi=(("station", "pässwörd"),))):
        with pytest.raises(ValidationError):
            validate_enrolment(cards.file(OFFER, gateway(tmp_path), 1_795_000_000, unfit))


def test_a_file_says_what_a_device_needs(tmp_path: Path) -> None:
    made = gateway(tmp_path)
    payload = cbor2.loads(cbor2.loads(cards.file(OFFER, made, 7, network.Network(sim_pin="0000"))).value[2])
    version, device, kid, secret, (identity, addresses, ((key_id, der),), dh), issued_s, described = payload
    assert (version, device, kid, secret, issued_s) == (1, OFFER.device, OFFER.kid, OFFER.secret, 7)
    assert (identity, addresses, key_id) == (b"\x67", ["coap://192.0.2.7:5683"], b"\x01")
    assert serialization.load_der_public_key(der) == made.signing
    assert tuple(dh) == keys.coordinates(made.dh)
    assert described == {3: "0000"}


def test_no_secret_stands_in_a_repr(tmp_path: Path) -> None:
    described = network.Network(wifi=(("station", "passphrase"),), sim_pin="4711")
    text = f"{OFFER} {gateway(tmp_path)} {described}"
    for secret in ("ssss", "passphrase", "4711"):
        assert secret not in text
