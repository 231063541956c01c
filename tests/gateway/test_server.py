"""The wire, against a gateway process: what is answered, what is refused, what is stored, what survives a kill."""

import asyncio
import secrets
import signal
import socket
from collections.abc import Iterator
from typing import Any

import aiocoap
import apsw
import cbor2
import pytest
from aiocoap.message import Direction
from aiocoap.numbers.types import ACK, CON, NON
from aiocoap.transports.oscore import OSCOREAddress
from cwt import COSE, COSEKey

from tests.gateway import twin
from tests.gateway.cddl import validate_receipt, validate_record
from tests.gateway.conftest import Gateway, command
from tests.gateway.twin import Twin, ask, digest, plain


@pytest.fixture
def device(gateway: Gateway) -> Iterator[Twin]:
    """Yield one session of a device of its own at the shared gateway."""
    with gateway.twin() as made:
        yield made


def test_an_alert_is_stored_receipted_and_shown(gateway: Gateway, device: Twin) -> None:
    record = device.record()
    response = device.answer(device.protect(record))
    assert device.entry(response.payload) == [device.session, 0, 1, digest(record)[:16], 0]
    validate_record(record)
    validate_receipt(response.payload)
    (alert,) = gateway.alerts(device.name)
    assert alert["alert_id"] == f"{device.name}/{device.session_text}/alert/1"
    assert (alert["kind"], alert["state"], alert["verdict"], alert["bearer"]) == ("panic", "delivered", "held", "ip")
    assert alert["record_hex"] == record.hex()
    # What is shown is all that another library needs.
    key = COSEKey.from_pem(gateway.device(device.name)["public_key_pem"], alg="ES256")
    aad = bytes.fromhex(alert["external_aad_hex"])
    assert COSE.new().decode(bytes.fromhex(alert["record_hex"]), key, external_aad=aad)


def test_a_lost_store_and_what_is_missing_are_seen(gateway: Gateway, device: Twin) -> None:
    assert device.submit(device.record(sequence=2, previous=bytes(4)))[4] == 0
    assert device.submit(device.record(twin.STORE_LOST, fix=None))[4] == 0
    assert device.submit(device.record(twin.HEALTH, fix=None, body=["gnss.silent"]))[4] == 0
    place = f"{device.name}/{device.session_text}"
    assert f"WARNING STORE LOST: {place}/state/1 says so" in gateway.log
    shown = gateway.device(device.name)
    assert (shown["missing"], shown["missing_count"]) == ([f"{place}/alert/1"], 1)
    assert [each["record"] for each in shown["store_lost"]] == [f"{place}/state/1"]
    assert shown["health"]["faults"] == ["gnss.silent"]


def test_the_compact_form_is_stored_as_the_identical_record(gateway: Gateway, device: Twin) -> None:
    record = device.record()
    assert device.submit(twin.compact(record))[3] == digest(record)[:16]
    assert [each["record_hex"] for each in gateway.alerts(device.name)] == [record.hex()]


def test_a_record_of_an_earlier_session_travels_with_its_session(gateway: Gateway, device: Twin) -> None:
    earlier = bytes.fromhex("0000cafecafe")
    record = device.record(session=earlier)
    assert device.submit(b"\x46" + earlier + twin.compact(record))[0] == earlier
    assert gateway.alerts(device.name)[0]["alert_id"] == f"{device.name}/0000-cafecafe/alert/1"


@pytest.mark.parametrize("bearer", ["lte", "sms"])
def test_the_bearer_is_known_by_its_kid(gateway: Gateway, bearer: str) -> None:
    with gateway.twin(bearer=bearer) as device:
        device.submit(device.record())
        assert gateway.alerts(device.name)[0]["bearer"] == bearer


def test_a_non_confirmable_request_gets_a_non_confirmable_response(device: Twin) -> None:
    request = device.protect(device.record(), kind=NON)
    device.socket.send(request.raw)
    response = aiocoap.Message.decode(device.socket.recv(2048))
    assert response.mtype is NON
    assert device.entry(device.context.unprotect(response, request.identifiers)[0].payload)[4] == 0


def test_a_client_of_the_library_is_answered(gateway: Gateway, device: Twin) -> None:
    async def submit() -> Any:
        client = await aiocoap.Context.create_client_context(transports=["oscore", "udp6"])
        try:
            message = aiocoap.Message(code=aiocoap.POST, uri_path=["r"], payload=device.record())
            host, port = gateway.address
            resolved = aiocoap.Message(code=aiocoap.POST, uri=f"coap://{host}:{port}")
            await client.find_remote_and_interface(resolved)
            message.remote = OSCOREAddress(device.context, resolved.remote)
            async with asyncio.timeout(twin.WAIT_S):
                return await client.request(message).response
        finally:
            await client.shutdown()

    response = asyncio.run(submit())
    assert isinstance(response.remote, OSCOREAddress)
    assert device.entry(response.payload)[4] == 0


# --- What is refused, and leaves nothing ---------------------------------------------------------


def refused(response: Any) -> bool:
    return (response.code, response.payload, response.opt.oscore) == (aiocoap.UNAUTHORIZED, b"", None)


@pytest.mark.parametrize("kind", [CON, NON])
@pytest.mark.parametrize(
    ("code", "path"),
    [
        (aiocoap.POST, ("r",)),
        (aiocoap.GET, ("m",)),
        (aiocoap.PUT, ("nothing",)),
        (aiocoap.GET, (".well-known", "core")),
        (aiocoap.POST, (".well-known", "edhoc")),
        (aiocoap.POST, ()),
    ],
)
def test_whatever_is_unprotected_gets_a_plain_401(
    gateway: Gateway, device: Twin, code: Any, path: tuple[str, ...], kind: Any
) -> None:
    assert refused(ask(gateway.address, plain(code, path, device.record(), kind)))
    assert gateway.alerts(device.name) == []


def nothing_is_kept(gateway: Gateway, device: Twin) -> bool:
    shown = gateway.device(device.name)
    return gateway.alerts(device.name) == [] and shown["sessions"] == [] and shown["last_seen_at"] is None


def test_a_wrong_key_is_refused(gateway: Gateway, device: Twin) -> None:
    device.context.sender_key = secrets.token_bytes(16)
    assert refused(ask(gateway.address, device.protect(device.record()).raw))
    assert nothing_is_kept(gateway, device)


def test_an_unknown_kid_is_refused(gateway: Gateway, device: Twin) -> None:
    device.context.sender_id = bytes(4)
    assert refused(ask(gateway.address, device.protect(device.record()).raw))


def test_a_datagram_altered_on_its_way_is_refused(gateway: Gateway, device: Twin) -> None:
    raw = device.protect(device.record()).raw
    assert refused(ask(gateway.address, raw[:-1] + bytes([raw[-1] ^ 1])))
    assert nothing_is_kept(gateway, device)
    # The forgery did not use up the number.
    assert not refused(ask(gateway.address, raw))


@pytest.mark.parametrize("option", ["", "19", "1e010203040506", "ff", "0900aabbccdd"])
def test_an_oscore_option_that_no_device_sends_is_refused(gateway: Gateway, option: str) -> None:
    message = aiocoap.Message(
        code=aiocoap.POST, oscore=bytes.fromhex(option), payload=bytes(20), _mtype=CON, _token=b"1"
    )
    message.mid = secrets.randbelow(1 << 16)
    assert refused(ask(gateway.address, message.encode()))


@pytest.mark.parametrize("inner", ["ffffff", "02b1ff", "02f0", "02d1", "02bd", "0000"])
def test_an_authentic_message_that_is_no_request_inside_hurts_nothing(
    gateway: Gateway, device: Twin, inner: str
) -> None:
    outer = aiocoap.Message(code=aiocoap.POST)
    device.context._split_message = lambda *_: (outer, bytes.fromhex(inner))
    request = device.protect(b"")
    del device.context._split_message
    answer = device.answer(request)
    assert answer is None or answer.code == aiocoap.NOT_FOUND
    assert device.submit(device.record())[4] == 0
    assert "Traceback" not in gateway.log


@pytest.mark.parametrize("outer", [aiocoap.GET, aiocoap.PUT, aiocoap.DELETE])
def test_a_protected_request_under_another_outer_code_is_refused(gateway: Gateway, device: Twin, outer: Any) -> None:
    raw = bytearray(device.protect(device.record()).raw)
    raw[1] = int(outer)
    assert refused(ask(gateway.address, bytes(raw)))
    assert nothing_is_kept(gateway, device)


def test_a_replayed_datagram_is_refused(gateway: Gateway, device: Twin) -> None:
    request = device.protect(device.record())
    assert device.answer(request).code == aiocoap.CHANGED
    before = gateway.alerts(device.name), gateway.device(device.name)
    assert refused(ask(gateway.address, request.raw))
    assert (gateway.alerts(device.name), gateway.device(device.name)) == before


def test_a_retransmission_from_the_same_address_gets_the_same_answer(device: Twin) -> None:
    request = device.protect(device.record())
    device.socket.send(request.raw)
    first = device.socket.recv(2048)
    device.socket.send(request.raw)
    assert device.socket.recv(2048) == first


def test_a_session_too_far_behind_is_refused(gateway: Gateway) -> None:
    file = gateway.enrol()
    for counter, answered in ((100, True), (84, True), (83, False), (0xFFFF, False), (101, True)):
        with gateway.twin(file, counter=counter) as device:
            assert (device.answer(device.protect(device.record())) is not None) == answered, counter


def test_the_start_counter_may_wrap(gateway: Gateway) -> None:
    file = gateway.enrol()
    for counter, answered in ((0xFFFF, True), (0, True), (0xFFF0, True), (0xFFEF, False)):
        with gateway.twin(file, counter=counter) as device:
            assert (device.answer(device.protect(device.record())) is not None) == answered, counter


def test_datagrams_that_are_no_coap_change_nothing(gateway: Gateway, device: Twin) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for noise in (b"", b"\0", bytes(2000), b"\x40\x02\0\1\xb1\xff", b"\x4f\x02\0\1", secrets.token_bytes(200)):
            sock.sendto(noise, gateway.address)
    assert device.submit(device.record())[4] == 0
    assert "Traceback" not in gateway.log


# --- Errors inside OSCORE ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "path", "payload", "answer"),
    [
        (aiocoap.POST, ("x",), b"\0", aiocoap.NOT_FOUND),
        (aiocoap.POST, (), b"\0", aiocoap.NOT_FOUND),
        (aiocoap.POST, ("r", "r"), b"\0", aiocoap.NOT_FOUND),
        (aiocoap.GET, ("m",), b"", aiocoap.BAD_REQUEST),
        (aiocoap.POST, ("m",), b"", aiocoap.METHOD_NOT_ALLOWED),
        (aiocoap.GET, ("m", "m"), b"", aiocoap.NOT_FOUND),
        (aiocoap.GET, ("r",), b"", aiocoap.METHOD_NOT_ALLOWED),
        (aiocoap.PUT, ("r",), b"\0", aiocoap.METHOD_NOT_ALLOWED),
        (aiocoap.POST, ("r",), bytes(1025), aiocoap.REQUEST_ENTITY_TOO_LARGE),
        (aiocoap.POST, ("r",), b"", aiocoap.BAD_REQUEST),
        (aiocoap.POST, ("r",), b"\x46\0\0\0\0\0\0", aiocoap.BAD_REQUEST),
        (aiocoap.POST, ("r",), bytes(1024), aiocoap.CHANGED),
    ],
)
def test_errors_inside_oscore(device: Twin, code: Any, path: tuple[str, ...], payload: bytes, answer: Any) -> None:
    assert device.answer(device.protect(payload, path, code)).code == answer


def test_a_request_that_stores_nothing_cannot_be_replayed_either(own_gateway: Gateway) -> None:
    with own_gateway.twin() as device:
        request = device.protect(b"", ("x",))
        assert device.answer(request).code == aiocoap.NOT_FOUND
        assert refused(ask(own_gateway.address, request.raw))
        own_gateway.end(signal.SIGKILL)
        own_gateway.start()
        assert refused(ask(own_gateway.address, request.raw))


def test_when_the_gateway_cannot_store_it_says_so_and_spends_no_nonce_twice(own_gateway: Gateway) -> None:
    with own_gateway.twin() as known, own_gateway.twin() as new:
        known.submit(known.record(kind=twin.OPENING, body=[]))
        record = known.record()
        other = apsw.Connection(str(own_gateway.data / "gateway.db"))
        other.execute("BEGIN IMMEDIATE")
        request = known.protect(record)
        known.socket.send(request.raw)
        refusal = aiocoap.Message.decode(known.socket.recv(2048))
        unprotected_request = new.protect(new.record())
        new.socket.send(unprotected_request.raw)
        plain_refusal = aiocoap.Message.decode(new.socket.recv(2048))
        other.execute("ROLLBACK")
        other.close()
        # An own number in the option: the nonce is not the request's.
        assert len(refusal.opt.oscore) > 1
        assert known.context.unprotect(refusal, request.identifiers)[0].code == aiocoap.SERVICE_UNAVAILABLE
        # For a new session no number is reserved yet, so this one cannot be protected.
        assert (plain_refusal.code, plain_refusal.opt.oscore) == (aiocoap.SERVICE_UNAVAILABLE, None)
        assert own_gateway.alerts(known.name) == own_gateway.alerts(new.name) == []
        assert (known.submit(record)[4], new.submit(new.record())[4]) == (0, 0)


# --- Restarts ------------------------------------------------------------------------------------


def test_after_a_kill_a_known_session_needs_one_exchange_and_old_datagrams_stay_refused(own_gateway: Gateway) -> None:
    with own_gateway.twin() as device:
        opening = device.record(kind=twin.OPENING, body=[])
        request = device.protect(opening)
        assert device.answer(request).code == aiocoap.CHANGED
        own_gateway.end(signal.SIGKILL)
        own_gateway.start()
        assert refused(ask(own_gateway.address, request.raw))
        assert device.submit(device.record())[4] == 0
        assert refused(ask(own_gateway.address, request.raw))
        assert len(own_gateway.alerts(device.name)) == 1


def test_a_record_acknowledged_before_a_kill_is_there_after_it_and_once(own_gateway: Gateway) -> None:
    with own_gateway.twin() as device:
        record = device.record()
        entry = device.submit(record)
        own_gateway.end(signal.SIGKILL)
        own_gateway.start()
        assert [each["record_hex"] for each in own_gateway.alerts(device.name)] == [record.hex()]
        assert device.submit(record) == entry
        assert len(own_gateway.alerts(device.name)) == 1


def test_the_gateways_own_numbers_are_never_used_twice_across_kills(own_gateway: Gateway) -> None:
    with own_gateway.twin() as device:
        record = device.record()
        device.submit(record)
        numbers = []
        for _ in range(3):
            device.submit(record)
            push = device._next(wanted_request=True)
            numbers.append(push.opt.oscore[1 : 1 + (push.opt.oscore[0] & 7)])
            own_gateway.end(signal.SIGKILL)
            own_gateway.start()
        assert len(set(numbers)) == 3


# --- Repeats and pushes --------------------------------------------------------------------------


def test_a_repeat_gets_the_same_entry_and_the_same_receipt_is_pushed(gateway: Gateway, device: Twin) -> None:
    record = device.record()
    first = device.submit(record)
    response = device.answer(device.protect(record))
    push = device.take_push()
    assert device.entry(response.payload) == first
    assert (push.code, push.opt.uri_path, push.payload) == (aiocoap.POST, ("c",), response.payload)
    assert len(gateway.alerts(device.name)) == 1


def test_a_push_goes_where_the_repeat_came_from(gateway: Gateway, device: Twin) -> None:
    record = device.record()
    device.submit(record)
    moved = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    moved.settimeout(twin.WAIT_S)
    moved.connect(gateway.address)
    device.socket.close()
    device.socket = moved
    device.submit(record)
    assert device.take_push().opt.uri_path == ("c",)


def test_one_push_at_a_time_for_a_device(gateway: Gateway, device: Twin) -> None:
    record = device.record()
    for _ in range(4):
        device.submit(record)
    device.take_push()
    # A second push would have waited for the answer to the first, and would leave before anything that comes after it.
    device.submit(device.record(sequence=2, previous=digest(record)[:4]))
    assert device.pushed == []


def test_a_push_that_is_answered_by_anything_else_hurts_nothing(gateway: Gateway, device: Twin) -> None:
    record = device.record()
    device.submit(record)
    device.submit(record)
    push = device._next(wanted_request=True)
    reply = aiocoap.Message(code=aiocoap.CHANGED, _mtype=ACK, _mid=push.mid, _token=push.token)
    reply.direction = Direction.OUTGOING
    device.socket.send(reply.encode())
    assert device.submit(device.record(sequence=2, previous=digest(record)[:4]))[4] == 0
    assert "Traceback" not in gateway.log


# --- What a dispatcher must see ------------------------------------------------------------------


def test_forks_quarantine_and_revocation_over_the_wire(gateway: Gateway, device: Twin) -> None:
    one, other = device.record(), device.record(fix=None)
    assert [device.submit(each)[4] for each in (one, other)] == [0, 0]
    unreadable = device.signed(cbor2.dumps([2, "new"]))
    assert device.submit(unreadable) == [device.session, None, None, digest(unreadable)[:16], 1]
    alert, quarantined = gateway.alerts(device.name)
    assert [each["record_hex"] for each in alert["forks"]] == [other.hex()]
    assert (quarantined["alert_id"], quarantined["verdict"]) == (None, "unreadable")
    assert "version 2" in quarantined["why"]
    command("revoke", device.name, "--data", gateway.data)
    assert device.submit(one)[4:] == [2, 1]
    assert gateway.device(device.name)["revoked"]
    assert [each["bearer"] for each in gateway.device(device.name)["attempts"]] == ["ip"]
    assert len(gateway.alerts(device.name)) == 2
