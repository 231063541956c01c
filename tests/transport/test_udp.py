"""Sockets of the bearer `ip`, where CoAP on them (test_coap.py) does not show it."""

import logging

import pytest

from bondmate.credentials import Address
from bondmate.errors import LinkError
from bondmate.transport.udp import Udp
from tests.eventually import eventually
from tests.transport.conftest import peer, run

NOWHERE = Address("gateway.invalid", 5683)
"""A name that nobody has (RFC 6761, section 6.4)."""


def test_an_address_that_cannot_be_found_gives_way_in_the_same_attempt() -> None:
    async def story() -> None:
        async with peer() as one, peer() as two:
            udp = Udp((NOWHERE, Address(*one.address), Address(*two.address)))
            for far in (one, one, two):
                socket = await udp.open(lambda _: None)
                socket.send(b"datagram")
                raw, _ = await far.take()
                assert raw == b"datagram"
                socket.close()

    run(story())


def test_when_there_is_no_way_at_all_each_address_says_why() -> None:
    with pytest.raises(LinkError, match=r"gateway\.invalid:5683: .+; gateway\.invalid:5684: .+"):
        run(_open(Udp((NOWHERE, Address("gateway.invalid", 5684)))))


async def _open(udp: Udp) -> None:
    await udp.open(lambda _: None)


def test_what_the_system_does_not_take_is_told_and_the_socket_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with peer() as far:
            socket = await Udp((Address(*far.address),)).open(lambda _: None)
            socket.send(bytes(70_000))
            socket.send(b"datagram")
            raw, _ = await far.take()
            assert raw == b"datagram"
            assert not socket.closed.done()
            socket.close()

    with caplog.at_level(logging.INFO):
        run(story())
    assert any("Message too long" in each.getMessage() for each in caplog.records)


def test_a_socket_that_was_closed_sends_and_hears_nothing() -> None:
    heard: list[bytes] = []

    async def story() -> None:
        async with peer() as far:
            udp = Udp((Address(*far.address),))
            closed = await udp.open(heard.append)
            closed.send(b"first")
            _, whence = await far.take()
            closed.close()
            closed.close()
            closed.send(b"second")
            far.socket.sendto(b"too late", whence)
            open_ = await udp.open(heard.append)
            open_.send(b"third")
            raw, whence = await far.take()
            assert raw == b"third"
            far.socket.sendto(b"in time", whence)
            await eventually(lambda: heard, "what came in time")
            open_.close()

    run(story())
    assert heard == [b"in time"]
