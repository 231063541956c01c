"""EDHOC with a responder that was written from the specification: the same keys on both sides, or none."""

import cbor2
import pytest

from bondmate.edhoc import Initiator, ccs
from bondmate.enrolment_file import coordinates
from bondmate.errors import RemoteError
from bondmate.records import DeviceId
from tests import enrolment_desk
from tests.enrolment_desk import DEVICE, GATEWAY_ID, Force, Registrar, new_key, xy

EXCHANGE = b"exchange"


def say(registrar: Registrar, step: int, message: bytes) -> bytes:
    answer: bytes = cbor2.loads(registrar.rekey(cbor2.dumps([step, EXCHANGE, message])))
    return answer


def pair() -> tuple[Initiator, Registrar]:
    force, own = Force(), new_key()
    registrar = Registrar(force)
    registrar.dh = xy(own)
    return Initiator(DeviceId(DEVICE), own, GATEWAY_ID, force.gateway_dh.public_key()), registrar


def test_both_sides_have_the_same_keys_and_kids() -> None:
    initiator, registrar = pair()
    message_3 = initiator.message_3(say(registrar, 1, initiator.message_1()))
    fresh = initiator.finish(say(registrar, 3, message_3))
    assert {"channel": fresh.channel_secret, **fresh.kids} == registrar.fresh
    assert [len(octets) for octets in (fresh.channel_secret, *fresh.kids.values())] == [32, 4, 4, 4]
    assert len(set(fresh.kids.values())) == 3
    assert fresh.channel_secret.hex() not in repr(fresh)


def test_each_exchange_gives_other_keys() -> None:
    secrets: set[bytes] = set()
    for _ in range(2):
        initiator, registrar = pair()
        fresh = initiator.finish(say(registrar, 3, initiator.message_3(say(registrar, 1, initiator.message_1()))))
        secrets.update((fresh.channel_secret, *fresh.kids.values()))
    assert len(secrets) == 8


def test_messages_1_and_3_are_as_rfc_9528_has_them() -> None:
    initiator, registrar = pair()
    message_1 = initiator.message_1()
    # METHOD, SUITES_I, G_X, C_I (section 5.2.1); 49 is no integer's encoding, so it stays a byte string (section 3.3.2)
    method, suites, g_x, c_i = message_1[:1], message_1[1:2], message_1[2:36], message_1[36:]
    assert (method, suites, g_x[:2], c_i) == (b"\x03", b"\x02", b"\x58\x20", b"\x41\x49")
    # a bstr of ID_CRED_I (2 octets), MAC_3 (1 + 8) and the tag (8): sections 5.4.2 and 3.5.3.2
    assert len(initiator.message_3(say(registrar, 1, message_1))) == 20


@pytest.mark.parametrize("octets", [b"", b"\x00", b"\x58\xff", bytes(600), None])
def test_a_message_2_that_is_none_is_refused(octets: bytes | None) -> None:
    initiator, registrar = pair()
    message_2 = say(registrar, 1, initiator.message_1())
    broken = message_2[:-1] + bytes([message_2[-1] ^ 1]) if octets is None else octets
    with pytest.raises(RemoteError, match="message 2 of the key exchange"):
        initiator.message_3(broken)


def test_a_gateway_with_another_key_is_refused() -> None:
    initiator, registrar = pair()
    registrar.force.gateway_dh = new_key()
    with pytest.raises(RemoteError, match="message 2 of the key exchange"):
        initiator.message_3(say(registrar, 1, initiator.message_1()))


def test_a_gateway_by_another_name_is_refused() -> None:
    initiator, registrar = pair()
    registrar.connection = b"\x51"
    with pytest.raises(RemoteError, match="names somebody else"):
        initiator.message_3(say(registrar, 1, initiator.message_1()))


def test_without_message_4_there_are_no_keys() -> None:
    initiator, registrar = pair()
    message_3 = initiator.message_3(say(registrar, 1, initiator.message_1()))
    message_4 = say(registrar, 3, message_3)
    with pytest.raises(RemoteError, match="message 4 of the key exchange does not verify"):
        initiator.finish(message_4[:-1] + bytes([message_4[-1] ^ 1]))


@pytest.mark.parametrize("octets", [b"", b"\x48", bytes(8), bytes(10), bytes(300)])
def test_a_message_4_of_another_length_is_refused(octets: bytes) -> None:
    initiator, registrar = pair()
    say(registrar, 3, initiator.message_3(say(registrar, 1, initiator.message_1())))
    with pytest.raises(RemoteError, match="message 4 of the key exchange does not verify"):
        initiator.finish(octets)


def test_an_ephemeral_key_that_is_no_point_ends_no_process() -> None:
    """lakers panics there; whoever has the card's file could send it."""
    initiator, registrar = pair()
    message_2 = say(registrar, 1, initiator.message_1())
    with pytest.raises(RemoteError, match="message 2 of the key exchange does not verify: it makes no sense"):
        initiator.message_3(message_2[:2] + bytes([255] * 32) + message_2[34:])


def test_a_credential_is_deterministic_cbor() -> None:
    key = new_key()
    expected = enrolment_desk.ccs("BM-7f3a09c1", b"\x49", key)
    assert ccs("BM-7f3a09c1", b"\x49", coordinates(key.public_key())) == expected
