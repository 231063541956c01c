"""What leaves a carrier is protected; noise that comes is dropped."""

import asyncio
import secrets

import pytest
from aiocoap import CON, POST, Message, error, resource
from aiocoap.message import Direction
from aiocoap.tokenmanager import TokenManager

from bondmate.transport import carrier
from bondmate.transport.carrier import Carrier, Endpoint, GatewayAddress
from bondmate.transport.oscore import SessionContext
from tests.transport.conftest import SUBMISSION, Device, run, session


def in_clear(payload: bytes, datagrams: list[bytes]) -> list[bytes]:
    """Every run of four octets of the payload that stands in a datagram."""
    runs = [payload[start : start + 4] for start in range(len(payload) - 3)]
    return [each for each in runs for datagram in datagrams if each in datagram]


async def sent(device: Device, *, first: type[object] = carrier.Requests) -> list[bytes]:
    """What leaves the device when it posts a submission, with `first` as aiocoap's first transport."""
    out: asyncio.Queue[bytes] = asyncio.Queue()
    endpoint = Endpoint(SessionContext(device.keys, session()), resource.Site(), out.put_nowait)
    endpoint.context.request_interfaces.sort(key=lambda each: not isinstance(each, first))
    request = Message(code=POST, uri_path=["r"], payload=SUBMISSION)
    request.remote = endpoint.gateway
    response = asyncio.ensure_future(endpoint.context.request(request, handle_blockwise=False).response)
    datagram = asyncio.ensure_future(out.get())
    try:
        done, _ = await asyncio.wait([response, datagram], timeout=5, return_when=asyncio.FIRST_COMPLETED)
        return [datagram.result()] if datagram in done else []
    finally:
        for each in (response, datagram):
            each.cancel()
        await asyncio.gather(response, datagram, return_exceptions=True)
        await endpoint.context.shutdown()


def test_oscore_is_the_first_transport_and_nothing_leaves_in_clear(device: Device) -> None:
    [datagram] = run(sent(device))
    assert Message.decode(datagram).opt.oscore is not None
    assert in_clear(SUBMISSION, [datagram]) == []
    # the path and the device's name are hidden as well
    assert Message.decode(datagram).opt.uri_path == ()
    assert device.known.device.octets not in datagram


def test_the_carrier_knows_no_address_but_its_own(device: Device) -> None:
    async def ask() -> None:
        endpoint = Endpoint(SessionContext(device.keys, session()), resource.Site(), lambda _: None)
        other = Endpoint(SessionContext(device.keys, session()), resource.Site(), lambda _: None)
        ours = endpoint.carrier
        assert isinstance(endpoint.context.request_interfaces[0], carrier.Requests)
        assert await ours.recognize_remote(ours.gateway)
        assert await ours.recognize_remote(GatewayAddress(ours))
        for stranger in (endpoint.gateway, other.carrier.gateway, None, "coap://gateway"):
            assert not await ours.recognize_remote(stranger)
            message = Message(code=POST, payload=SUBMISSION)
            for interface in endpoint.context.request_interfaces[1:]:
                message.remote = stranger
                assert not await interface.fill_or_recognize_remote(message)
        assert hash(ours.gateway) == hash(GatewayAddress(ours)) != hash(other.carrier.gateway)

    run(ask())


def test_in_the_other_order_plaintext_would_leave_and_we_would_see_it(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a carrier that takes whatever remote comes, as aiocoap's own UDP transports do with what they can resolve
    async def take_all(self: Carrier, message: Message) -> GatewayAddress:
        return self.gateway

    monkeypatch.setattr(Carrier, "determine_remote", take_all)
    right = run(sent(device))
    assert len(right) == 1
    assert in_clear(SUBMISSION, right) == []
    wrong = run(sent(device, first=TokenManager))
    assert len(wrong) == 1
    assert len(in_clear(SUBMISSION, wrong)) == len(SUBMISSION) - 3


def test_in_the_other_order_our_own_carrier_still_sends_no_plaintext(device: Device) -> None:
    assert in_clear(SUBMISSION, run(sent(device, first=TokenManager))) == []


@pytest.mark.parametrize(
    "noise",
    [
        b"",
        b"\x40",
        b"\x00\x45\x00\x01",
        b"\x40\x45\x00\x01\xb1",
        b"\x40\x45\x00\x01\xf0",
        b"\x40\x45\x00\x01\xb1\xff",
        b"\x40\x45\x00\x01\xff",
        b"\x60\xff\x00\x01",
        b"\x4f\x45\x00\x01",
        b"\x70\x00\x00\x01",
        b"\x40\xe1\x00\x01",
        bytes(2000),
    ],
    ids=bytes.hex,
)
def test_a_datagram_that_is_no_answer_is_dropped(device: Device, noise: bytes) -> None:
    async def take() -> list[bytes]:
        out: list[bytes] = []
        endpoint = Endpoint(SessionContext(device.keys, session()), resource.Site(), out.append)
        endpoint.carrier.received(noise)
        endpoint.carrier.received(secrets.token_bytes(40))
        await endpoint.context.shutdown()
        return out

    assert len(run(take())) <= 2


def test_after_its_end_nothing_comes_or_goes(device: Device) -> None:
    async def use() -> list[bytes]:
        out: list[bytes] = []
        endpoint = Endpoint(SessionContext(device.keys, session()), resource.Site(), out.append)
        await endpoint.context.shutdown()
        ping = Message(_mtype=CON, code=0)
        ping.mid = 7
        endpoint.carrier.received(ping.encode())
        endpoint.carrier.send(ping)
        request = Message(code=POST, payload=SUBMISSION)
        request.remote = endpoint.gateway
        with pytest.raises(error.LibraryShutdown):
            await endpoint.context.request(request, handle_blockwise=False).response
        assert ping.direction is Direction.OUTGOING
        return out

    assert run(use()) == []
