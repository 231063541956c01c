"""The security context: the vectors of RFC 8613, and another derivation at the other end."""

from typing import cast

import pytest
from aiocoap import CHANGED, POST, Message
from aiocoap.message import Direction
from aiocoap.oscore import COSE_KID, COSE_KID_CONTEXT, ProtectionInvalid, ReplayError

from bondmate.credentials import ChannelKeys
from bondmate.records import SessionId
from bondmate.transport.oscore import REPLAY_WINDOW, OnlyGateway, SessionContext
from tests.transport.conftest import SUBMISSION, Device, push, session


class EightOctets:
    """The RFC's ID Context is longer than a session id."""

    octets = bytes.fromhex("37cbf3210017a2d3")


def decoded(raw: bytes) -> Message:
    return Message.decode(raw)


def test_the_keys_are_those_of_the_rfc() -> None:
    # RFC 8613, C.3.1
    keys = ChannelKeys(
        kid=b"",
        gateway_id=b"\x01",
        master_secret=bytes.fromhex("0102030405060708090a0b0c0d0e0f10"),
        master_salt=bytes.fromhex("9e7ca92223786340"),
    )
    context = SessionContext(keys, cast(SessionId, EightOctets()))
    assert context.sender_key.hex() == "af2a1300a5e95788b356336eeecd2b92"
    assert context.recipient_key.hex() == "e39a0c7c77b43f03b4b39ab9a268699f"
    assert context.common_iv.hex() == "2ca58fb85ff1b81c0b7181b85e"
    # C.6: the request with sender number 20
    context.sender_sequence_number = 20
    plain = Message.decode(bytes.fromhex("44012f8eef9bbf7a396c6f63616c686f737483747631"))
    plain.direction = Direction.OUTGOING
    outer, _ = context.protect(plain)
    assert outer.payload.hex() == "72cd7273fd331ac45cffbe55c3"
    assert outer.opt.oscore.hex() == "19140837cbf3210017a2d3"


def test_both_ends_understand_one_another(device: Device) -> None:
    current = session()
    ours, theirs = SessionContext(device.keys, current), device.gateway_side(current)
    outer, sent = ours.protect(Message(code=POST, uri_path=["r"], payload=SUBMISSION))
    outer.direction = Direction.INCOMING
    inner, received = theirs.unprotect(outer)
    assert (inner.opt.uri_path, inner.payload) == (("r",), SUBMISSION)
    reply, _ = theirs.protect(Message(code=CHANGED, payload=b"receipt"), received)
    reply.direction = Direction.INCOMING
    assert ours.unprotect(reply, sent)[0].payload == b"receipt"


def test_a_session_begins_at_zero_under_keys_of_its_own(device: Device) -> None:
    one, other = SessionContext(device.keys, session()), SessionContext(device.keys, session())
    assert one.sender_sequence_number == other.sender_sequence_number == 0
    assert one.sender_key != other.sender_key
    assert one.recipient_key != other.recipient_key
    for number in range(3):
        outer, _ = one.protect(Message(code=POST, payload=SUBMISSION))
        # RFC 8613, 6.1: flags (kid context, kid, one octet of number), number, the context and its length, the kid
        assert outer.opt.oscore == bytes([0x19, number, 6]) + one.id_context + device.keys.kid


def test_a_request_of_the_gateway_is_taken_once(device: Device) -> None:
    current = session()
    ours, theirs = SessionContext(device.keys, current), device.gateway_side(current)
    raw = [push(theirs, bytes([number])) for number in range(REPLAY_WINDOW + 2)]
    assert ours.unprotect(decoded(raw[1]))[0].payload == b"\x01"
    with pytest.raises(ReplayError):
        ours.unprotect(decoded(raw[1]))
    assert ours.unprotect(decoded(raw[0]))[0].payload == b"\x00"
    ours.unprotect(decoded(raw[-1]))
    assert ours.unprotect(decoded(raw[2]))[0].payload == b"\x02"
    with pytest.raises(ReplayError):
        ours.unprotect(decoded(raw[0]))


def test_a_forged_request_uses_up_no_number(device: Device) -> None:
    current = session()
    ours, theirs = SessionContext(device.keys, current), device.gateway_side(current)
    raw = push(theirs, b"receipt")
    with pytest.raises(ProtectionInvalid):
        ours.unprotect(decoded(raw[:-1] + bytes([raw[-1] ^ 1])))
    assert ours.unprotect(decoded(raw))[0].payload == b"receipt"


def test_only_the_gateway_in_this_session_has_a_context(device: Device) -> None:
    current = session()
    context = SessionContext(device.keys, current)
    found = OnlyGateway(context)
    kid = device.keys.gateway_id
    assert found.find_oscore({COSE_KID: kid}) is context
    assert found.find_oscore({COSE_KID: kid, COSE_KID_CONTEXT: current.octets}) is context
    for stranger in (
        {},
        {COSE_KID: device.keys.kid},
        {COSE_KID: b""},
        {COSE_KID_CONTEXT: current.octets},
        {COSE_KID: kid, COSE_KID_CONTEXT: session().octets},
        {COSE_KID: kid, COSE_KID_CONTEXT: b""},
    ):
        with pytest.raises(KeyError):
            found.find_oscore(stranger)
