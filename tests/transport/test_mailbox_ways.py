"""GET /m and POST /w on real sockets: the mailbox, and the gateway's wish to be asked."""

import asyncio
import contextlib
from typing import Any

import pytest
from aiocoap import CHANGED, CONTENT, GET, METHOD_NOT_ALLOWED, UNAUTHORIZED, Message
from aiocoap.message import Direction
from aiocoap.numbers.types import CON

from bondmate.errors import LinkError
from bondmate.transport.coap import MAX_ANSWER_OCTETS
from tests.gateway import twin
from tests.transport.conftest import (
    SUBMISSION,
    WAIT_S,
    Device,
    answer_to,
    peer,
    protected_to,
    push,
    run,
    session,
)
from tests.transport.test_coap import ask, closing, listening, sockets_open

MESSAGES = bytes(range(200))


def inner_of(device: Device, request: Message, of: Any) -> Message:
    """What the device asked, as the gateway sees it."""
    context = device.gateway_side(of)
    with contextlib.suppress(AttributeError):
        request.direction = Direction.INCOMING
    inner, _ = context.unprotect(request)
    return inner


def test_a_fetch_names_its_cursor_and_has_the_answer(device: Device) -> None:
    seen: list[Message] = []

    async def fetch() -> None:
        def answer(request: Message) -> list[bytes]:
            seen.append(inner_of(device, Message.decode(one.seen[-1]), bearer.session))
            return [protected_to(request, context, CONTENT, MESSAGES)]

        async with peer(answer) as one, closing(device.bearer(one.address)) as bearer:
            context = device.gateway_side(bearer.session)
            async with asyncio.timeout(WAIT_S):
                assert await bearer.fetch(4_294_967_295) == MESSAGES
                assert await bearer.fetch(0) == MESSAGES
            assert (bearer.why_not, bearer.last_success_s is None) == (None, False)

    run(fetch())
    assert [each.code for each in seen] == [GET, GET]
    assert [each.opt.uri_path for each in seen] == [("m",), ("m",)]
    assert [each.opt.uri_query for each in seen] == [("4294967295",), ("0",)]
    assert [each.payload for each in seen] == [b"", b""]


@pytest.mark.parametrize(("octets", "taken"), [(MAX_ANSWER_OCTETS, True), (MAX_ANSWER_OCTETS + 1, False)])
def test_an_answer_is_bounded(device: Device, octets: int, taken: bool) -> None:
    async def fetch() -> None:
        def answer(request: Message) -> list[bytes]:
            return [protected_to(request, context, CONTENT, bytes(octets))]

        async with peer(answer) as one, closing(device.bearer(one.address)) as bearer:
            context = device.gateway_side(bearer.session)
            async with asyncio.timeout(WAIT_S):
                if taken:
                    assert await bearer.fetch(1) == bytes(octets)
                else:
                    with pytest.raises(LinkError, match="an answer of 1201 octets, where 1200"):
                        await bearer.fetch(1)

    run(fetch())


@pytest.mark.parametrize("plain", [UNAUTHORIZED, CONTENT])
def test_what_is_not_protected_is_no_mailbox(device: Device, plain: Any) -> None:
    async def fetch() -> None:
        async with (
            peer(lambda request: [answer_to(request, plain, MESSAGES)] if request.code.is_request() else []) as one,
            closing(device.bearer(one.address)) as bearer,
        ):
            async with asyncio.timeout(WAIT_S):
                with pytest.raises(LinkError, match="unprotected"):
                    await bearer.fetch(1)
            assert bearer.last_success_s is None

    run(fetch())


def test_a_fetch_that_nobody_answers_holds_up_no_alert(device: Device) -> None:
    async def send() -> None:
        async with peer() as one, closing(device.bearer(one.address)) as bearer:
            before, context = sockets_open(), device.gateway_side(bearer.session)
            fetching = asyncio.ensure_future(bearer.fetch(1))
            await one.take()
            sending = asyncio.ensure_future(bearer.send(SUBMISSION))
            raw, whence = await one.take()
            assert sockets_open() == before + 2, "each has a socket to itself"
            one.socket.sendto(protected_to(Message.decode(raw), context, payload=b"receipt"), whence)
            async with asyncio.timeout(WAIT_S):
                assert await sending == b"receipt"
            assert not fetching.done()
            fetching.cancel()
            await asyncio.wait([fetching])

    run(send())


def test_a_wake_comes_over_the_socket_of_the_last_fetch(device: Device) -> None:
    """The gateway sends it to the address of the last message that it verified."""
    woken: list[None] = []

    async def wake() -> None:
        async with peer() as one, closing(device.bearer(one.address)) as bearer:
            bearer.listen(lambda _: None, lambda: woken.append(None))
            context = device.gateway_side(bearer.session)
            for number in range(1, 3):
                fetching = asyncio.ensure_future(bearer.fetch(number))
                raw, whence = await one.take()
                one.socket.sendto(protected_to(Message.decode(raw), context, CONTENT, MESSAGES), whence)
                assert await fetching == MESSAGES
                answer = await ask(one, whence, push(context, b"", ("w",)))
                assert (answer.opt.oscore, len(woken)) == (b"", number)

    run(wake())


def test_only_the_gateway_wakes_and_only_by_posting(device: Device) -> None:
    woken: list[None] = []

    async def wake() -> None:
        async with listening(device, lambda _: None, lambda: woken.append(None)) as (one, whence, context):
            good = push(context, b"", ("w",))
            replayed, altered = (
                good[:2] + b"\x12\x34" + good[4:],
                good[:2] + b"\x12\x35" + good[4:-1] + bytes([good[-1] ^ 1]),
            )
            await ask(one, whence, good)
            assert len(woken) == 1
            for datagram in (
                twin.plain(2, ("w",)),
                replayed,
                push(device.gateway_side(session()), b"", ("w",)),
                altered,
            ):
                answer = await ask(one, whence, datagram)
                assert (answer.code, answer.payload, answer.opt.oscore) == (UNAUTHORIZED, b"", None)
            outer, sent = context.protect(Message(code=GET, uri_path=["w"]))
            outer.mtype, outer.mid, outer.token = CON, 77, b"t"
            inner, _ = context.unprotect(await ask(one, whence, outer.encode()), sent)
            assert inner.code == METHOD_NOT_ALLOWED
            outer, sent = context.protect(Message(code=2, uri_path=["w"], payload=b"of no use"))
            outer.mtype, outer.mid, outer.token = CON, 78, b"t"
            inner, _ = context.unprotect(await ask(one, whence, outer.encode()), sent)
            assert (inner.code, inner.payload) == (CHANGED, b"")
        assert len(woken) == 2

    run(wake())
