"""To which address a receipt is pushed, and when to none."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bondmate_sim.gateway import credentials, devices, oscore
from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.pushes import FRESH_S, Pushes
from tests.virtual import run

SESSION = bytes.fromhex("0012cafecafe")


class Address:
    def __init__(self, hostinfo: str) -> None:
        self.hostinfo = hostinfo


class Coap:
    """Takes what is sent, and never gets an answer."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []

    def request(self, message: Any, **_: object) -> "Coap":
        self.sent.append((message.remote.hostinfo, message.opt.oscore))
        return self

    @property
    def response(self) -> "asyncio.Future[None]":
        return asyncio.get_running_loop().create_future()


class Desk:
    def __init__(self, database: Database) -> None:
        self.made = credentials.generate()
        devices.add(database, [self.made], now_ms=0)
        self.database = database
        self.pushes = Pushes()
        self.coap = self.pushes.coap = Coap()

    def channel(self, bearer: str) -> oscore.Channel:
        found = devices.bearer(self.database, self.made.kids[bearer])
        assert found is not None
        channel = oscore.Channel(found, SESSION, None)
        channel.sender_reserved = 32
        return channel

    def push(self, now_s: float) -> list[str]:
        """Push to the newest address, and return where it went."""

        async def story() -> None:
            self.pushes.push_to_newest(self.made.device, b"receipt", now_s)
            await asyncio.sleep(0)
            await self.pushes.close()

        self.coap.sent.clear()
        run(story())
        return [where for where, _ in self.coap.sent]


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


def test_without_an_address_nothing_is_pushed(desk: Desk) -> None:
    assert desk.push(1.0) == []


def test_the_newest_address_of_ip_and_lte_counts_while_it_is_fresh(desk: Desk) -> None:
    desk.pushes.heard(desk.channel("ip"), Address("first"), 100.0)
    desk.pushes.heard(desk.channel("lte"), Address("second"), 200.0)
    assert desk.push(200.0) == ["second"]
    assert desk.push(200.0 + FRESH_S) == ["second"]
    assert desk.push(201.0 + FRESH_S) == []


def test_where_an_sms_went_astray_to_is_no_address(desk: Desk) -> None:
    desk.pushes.heard(desk.channel("ip"), Address("first"), 100.0)
    desk.pushes.heard(desk.channel("sms"), Address("anybody's"), 200.0)
    assert desk.push(200.0) == ["first"]


def test_it_goes_under_the_context_that_was_heard_there(desk: Desk) -> None:
    channel = desk.channel("lte")
    channel.sender_sequence_number = 7
    desk.pushes.heard(channel, Address("there"), 100.0)
    desk.push(100.0)
    assert channel.sender_sequence_number == 8
    ((_, option),) = desk.coap.sent
    # Kid context and kid, and a number of one octet (RFC 8613, section 6.1).
    assert option == b"\x19\x07\x06" + SESSION + b"\x67"


def test_without_a_number_in_reserve_nothing_is_sent(desk: Desk, tmp_path: Path) -> None:
    channel = desk.channel("ip")
    channel.sender_sequence_number = channel.sender_reserved
    desk.pushes.heard(channel, Address("there"), 100.0)
    assert desk.push(100.0) == []


def test_a_wake_up_goes_to_the_newest_address_while_it_is_fresh(desk: Desk) -> None:
    async def story(later_s: float) -> bool:
        loop = asyncio.get_running_loop()
        desk.pushes.heard(desk.channel("lte"), Address("there"), loop.time())
        await asyncio.sleep(later_s)
        woken = desk.pushes.wake(desk.made.device, loop.time())
        await asyncio.sleep(0)
        await desk.pushes.close()
        return woken

    assert not desk.pushes.wake(desk.made.device, 0.0)
    assert (run(story(FRESH_S)), len(desk.coap.sent)) == (True, 1)
    assert (run(story(FRESH_S + 1)), len(desk.coap.sent)) == (False, 1)


def test_a_wake_up_that_is_asked_for_while_one_is_under_way_follows_it_once(desk: Desk) -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        desk.pushes.heard(desk.channel("ip"), Address("there"), loop.time())
        for _ in range(5):
            assert desk.pushes.wake(desk.made.device, loop.time())
            await asyncio.sleep(0)
        assert len(desk.coap.sent) == 1
        await asyncio.sleep(100)
        assert len(desk.coap.sent) == 2
        await desk.pushes.close()

    run(story())


def test_a_receipt_and_a_wake_up_do_not_hold_up_one_another(desk: Desk) -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        desk.pushes.heard(desk.channel("ip"), Address("there"), loop.time())
        desk.pushes.push_to_newest(desk.made.device, b"receipt", loop.time())
        desk.pushes.wake(desk.made.device, loop.time())
        await asyncio.sleep(0)
        await desk.pushes.close()

    run(story())
    assert len(desk.coap.sent) == 2


def test_while_one_is_under_way_no_other_is_sent(desk: Desk) -> None:
    async def story() -> None:
        for _ in range(3):
            desk.pushes.push(desk.channel("ip"), Address("there"), b"receipt")
            await asyncio.sleep(0)
        assert len(desk.coap.sent) == 1
        await asyncio.sleep(30)
        desk.pushes.push(desk.channel("ip"), Address("there"), b"receipt")
        await asyncio.sleep(0)
        await desk.pushes.close()

    run(story())
    assert len(desk.coap.sent) == 2
