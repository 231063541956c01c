"""The bearer `lte`: CoAP in the sockets of a simulated modem, through the driver, to a real gateway or a mute one."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from bondmate.credentials import Address
from bondmate.drivers.modem import Modem
from bondmate.errors import LinkError
from bondmate.ports import CellularModem
from bondmate.transport.coap import CoapBearer
from bondmate.transport.lte import Lte
from bondmate_sim.control import ControlClient
from bondmate_sim.process import Process
from tests.drivers import modem_desk
from tests.eventually import eventually, running
from tests.gateway.conftest import Gateway
from tests.sim.conftest import READY_S, SIM
from tests.sim.conftest import run as short_place
from tests.transport.conftest import SUBMISSION, WAIT_S, Device, peer, protected_to, run, session
from tests.transport.test_coap import closing, is_delivered

__all__ = ["short_place"]

AT_ONCE_S = 2.0
"""A lost socket is told within this; the exchange itself would be given up after 14 s at the earliest."""
ANYWHERE = ("192.0.2.7", "gateway.example")
"""Where the gateway is, by address and by name; the simulated network leads to the one that it reaches."""


class Mobile:
    """A modem's process, and what may happen to it."""

    def __init__(self, place: Path, logs: Path) -> None:
        self.port = place / "modem"
        self._control = place / "modem.sock"
        self._logs = logs
        self._process: Process | None = None

    def start(self, reach: tuple[str, int], dialect: str = "quectel") -> None:
        words = ["modem", "--link", self.port, "--control", self._control, "--dialect", dialect]
        words += ["--reach", "{}:{}".format(*reach)]
        self._process = Process("modem", [SIM, *map(str, words)], self._logs / "modem.log")
        self._process.start()
        self._process.wait_for_line("modem on ", READY_S)

    def suffer(self, op: str, **fields: object) -> None:
        with ControlClient(self._control) as control:
            control.request(op, **fields)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None


@pytest.fixture
def mobile(short_place: Path, tmp_path: Path) -> Iterator[Mobile]:
    made = Mobile(short_place, tmp_path)
    yield made
    made.kill()


@contextlib.asynccontextmanager
async def ready(mobile: Mobile) -> AsyncIterator[Modem]:
    """The driver, as soon as the modem is in its network."""
    modem = Modem(modem_desk.settings(mobile.port), times=modem_desk.QUICK)
    async with running(modem.run()):
        await eventually(lambda: modem.state().why_not is None, "the modem to be ready", 20)
        yield modem


def over(modem: Modem, device: Device, *hosts: str) -> CoapBearer:
    addresses = tuple(Address(host, 5683) for host in hosts or ANYWHERE[:1])

    def never() -> Any:
        raise AssertionError("nobody refused us")

    return CoapBearer("lte", device.known.bearers["lte"], session(), Lte(modem, addresses).open, never)


async def fails_at_once(sending: asyncio.Future[bytes], words: str) -> None:
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    with pytest.raises(LinkError, match=words):
        await asyncio.wait_for(sending, WAIT_S)
    assert loop.time() - began_s < AT_ONCE_S


# --- a gateway that answers ----------------------------------------------------------------------------


NO_NAMES = pytest.mark.xfail(strict=True, raises=LinkError, reason="the simulated SIM7600 knows no AT+CDNSGIP")


@pytest.mark.parametrize(
    ("dialect", "host"),
    [
        ("quectel", ANYWHERE[0]), ("quectel", ANYWHERE[1]), ("simcom", ANYWHERE[0]),
        pytest.param("simcom", ANYWHERE[1], marks=NO_NAMES),
    ],
)  # fmt: skip
def test_records_are_delivered_and_the_socket_used_again(
    mobile: Mobile, device: Device, gateway: Gateway, dialect: str, host: str
) -> None:
    mobile.start(gateway.address, dialect)

    async def send() -> None:
        async with ready(mobile) as modem, closing(over(modem, device, host)) as bearer:
            assert (bearer.name, bearer.is_scarce, modem.state().sockets) == ("lte", False, 0)
            for sequence in (1, 2, 3):
                await is_delivered(device, bearer, gateway, sequence)
                assert modem.state().sockets == 1
            assert bearer.why_not is None
            assert abs(bearer.last_success_s - asyncio.get_running_loop().time()) < WAIT_S
            assert "socket not opened" not in modem.state().troubles
            await bearer.close()
            await eventually(lambda: modem.state().sockets == 0, "the socket to be closed in the modem")

    run(send())


def test_the_gateway_hears_the_kid_of_this_bearer(mobile: Mobile, device: Device, tmp_path: Path) -> None:
    """And nothing of a submission is in its datagram."""

    async def send() -> bytes:
        async with peer() as far:
            mobile.start(far.address)
            async with ready(mobile) as modem, closing(over(modem, device)) as bearer:
                sending = asyncio.ensure_future(bearer.send(SUBMISSION))
                raw, _ = await far.take()
                sending.cancel()
                await asyncio.wait([sending])
                return raw

    raw = run(send())
    kids = {name: bytes.fromhex(each["kid"]) for name, each in json.loads(device.file.read_text())["bearers"].items()}
    assert [name for name, kid in kids.items() if kid in raw] == ["lte"]
    assert not any(SUBMISSION[start : start + 4] in raw for start in range(len(SUBMISSION) - 3))


def test_several_at_once_hold_one_another_up_no_more_than_the_line_does(
    mobile: Mobile, device: Device, gateway: Gateway
) -> None:
    mobile.start(gateway.address)

    async def send() -> None:
        async with ready(mobile) as modem, closing(over(modem, device)) as bearer:
            async with asyncio.TaskGroup() as group:
                for sequence in range(1, 6):
                    group.create_task(is_delivered(device, bearer, gateway, sequence))
            # each had a socket, and each is kept for the next
            assert modem.state().sockets == 5
            await is_delivered(device, bearer, gateway, 6)
            assert modem.state().sockets == 5

    run(send())


def test_the_largest_submission_and_its_receipt_pass(mobile: Mobile, device: Device, gateway: Gateway) -> None:
    mobile.start(gateway.address)

    async def send() -> None:
        async with ready(mobile) as modem, closing(over(modem, device)) as bearer, asyncio.timeout(WAIT_S):
            assert await bearer.send(bytes(1024))

    run(send())


# --- what a modem does -----------------------------------------------------------------------------------


LOSSES: dict[str, tuple[str, dict[str, object], str]] = {
    "a socket": ("lose-socket", {"link": 0}, "the modem has lost it"),
    "the context": ("lose-context", {}, "the network has taken the PDP context away"),
    "the modem, unplugged": ("unplug", {"seconds": 1.0}, "modem is gone"),
    "the modem, restarted": ("brown-out", {}, "began anew|is gone"),
}


@pytest.mark.parametrize("kind", LOSSES)
def test_what_is_lost_in_the_middle_of_an_exchange_ends_it_and_the_next_has_a_socket_of_its_own(
    mobile: Mobile, device: Device, kind: str
) -> None:
    op, fields, words = LOSSES[kind]

    async def send() -> None:
        async with peer() as far:
            mobile.start(far.address)
            async with ready(mobile) as modem, closing(over(modem, device)) as bearer:
                sending = asyncio.ensure_future(bearer.send(SUBMISSION))
                _, before = await far.take()
                await asyncio.to_thread(mobile.suffer, op, **fields)
                await fails_at_once(sending, words)
                assert bearer.why_not is not None
                await eventually(lambda: modem.state().why_not is None, "the modem to be ready again", 20)
                again = asyncio.ensure_future(bearer.send(SUBMISSION))
                _, after = await far.take()
                assert after != before, "the same socket"
                again.cancel()
                await asyncio.wait([again])

    run(send())


@pytest.mark.parametrize("kind", ["a socket", "the context"])
def test_what_is_lost_while_nothing_is_under_way_costs_the_next_nothing(
    mobile: Mobile, device: Device, gateway: Gateway, kind: str
) -> None:
    op, fields, _ = LOSSES[kind]
    mobile.start(gateway.address)

    async def send() -> None:
        async with ready(mobile) as modem, closing(over(modem, device)) as bearer:
            await is_delivered(device, bearer, gateway, 1)
            await asyncio.to_thread(mobile.suffer, op, **fields)
            await eventually(lambda: modem.state().sockets == 0, "the loss to be noticed")
            await is_delivered(device, bearer, gateway, 2)
            assert bearer.why_not is None

    run(send())


def test_a_full_buffer_is_counted_and_the_datagram_follows(mobile: Mobile, device: Device, gateway: Gateway) -> None:
    mobile.start(gateway.address)

    async def send() -> None:
        async with ready(mobile) as modem, closing(over(modem, device)) as bearer:
            await asyncio.to_thread(mobile.suffer, "fail-sends", count=1)
            began_s = asyncio.get_running_loop().time()
            await is_delivered(device, bearer, gateway, 1)
            # not by CoAP's retransmission, which comes after 2 s
            assert asyncio.get_running_loop().time() - began_s < 1.5
            assert modem.state().troubles["buffer full"] == 1
            # one that is lost for good is CoAP's to repeat
            await asyncio.to_thread(mobile.suffer, "fail-sends", count=2)
            await is_delivered(device, bearer, gateway, 2)
            assert modem.state().troubles["buffer full"] == 3
            assert modem.state().sockets == 1

    run(send())


def test_a_modem_that_goes_for_good_says_so_at_once(mobile: Mobile, device: Device) -> None:
    async def send() -> None:
        async with peer() as far:
            mobile.start(far.address)
            async with ready(mobile) as modem, closing(over(modem, device)) as bearer:
                sending = asyncio.ensure_future(bearer.send(SUBMISSION))
                await far.take()
                mobile.kill()
                await fails_at_once(sending, "gone")
                assert modem.state().sockets == 0
                await fails_at_once(asyncio.ensure_future(bearer.send(SUBMISSION)), r"192\.0\.2\.7:5683: .*modem")
                assert [fault.code for fault in modem.faults()] == ["modem-gone"]

    run(send())


def test_an_exchange_that_is_broken_off_leaves_no_socket_behind(mobile: Mobile, device: Device) -> None:
    async def send() -> None:
        async with peer() as far:
            mobile.start(far.address)
            async with ready(mobile) as modem, closing(over(modem, device)) as bearer:
                for pause in (0, 0.01, 0.03, 0.1, 0.2):
                    with pytest.raises(TimeoutError):
                        async with asyncio.timeout(pause):
                            await bearer.send(SUBMISSION)
                await eventually(lambda: modem.state().sockets == 0, "the sockets to be closed")
                # and the next exchange goes as the first would have
                answering = far.serve(
                    lambda ask: (
                        [protected_to(ask, lte_side(device, bearer), payload=b"receipt")]
                        if ask.code.is_request()
                        else []
                    )
                )
                async with asyncio.timeout(WAIT_S):
                    assert await bearer.send(SUBMISSION) == b"receipt"
                answering.cancel()
                await asyncio.wait([answering])

    run(send())


def lte_side(device: Device, bearer: CoapBearer) -> Any:
    """The gateway's end of this bearer's session."""
    side = device.gateway_side(bearer.session)
    keys = device.known.bearers["lte"]
    secret = bytes.fromhex(json.loads(device.file.read_text())["channel_secret"])
    return type(side)(secret, device.known.device.octets, "lte", keys.gateway_id, keys.kid, bearer.session.octets)


# --- addresses ---------------------------------------------------------------------------------------------


class Opener:
    """A modem that can open a socket to some hosts alone."""

    def __init__(self, *alive: str) -> None:
        self.alive = alive
        self.asked: list[tuple[str, int]] = []

    async def open_udp(self, host: str, port: int, received: Callable[[bytes], None]) -> str:
        self.asked.append((host, port))
        if host not in self.alive:
            raise LinkError("no route")
        return host


def test_addresses_take_turns_and_give_way_to_one_another() -> None:
    modem = Opener("b")
    lte = Lte(cast("CellularModem", modem), (Address("a", 1), Address("b", 2), Address("c", 3)))
    assert [run(_open(lte)) for _ in range(4)] == ["b"] * 4
    assert [host for host, _ in modem.asked] == ["a", "b", "b", "c", "a", "b", "a", "b"]
    assert set(modem.asked) == {("a", 1), ("b", 2), ("c", 3)}


def test_when_no_address_can_be_reached_each_says_why() -> None:
    lte = Lte(cast("CellularModem", Opener()), (Address("a", 1), Address("b", 2)))
    with pytest.raises(LinkError, match="a:1: no route; b:2: no route"):
        run(_open(lte))


async def _open(lte: Lte) -> object:
    return await lte.open(lambda _: None)
