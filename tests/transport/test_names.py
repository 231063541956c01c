"""Lookups that answer, fail, and hang: what an exchange waits for, and what it is given."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from bondmate.credentials import Address
from bondmate.transport.names import LOOKUP_S, Names, Place
from tests import virtual
from tests.eventually import eventually
from tests.transport.conftest import Device, peer, protected_to, run

NAME = Address("gateway.test", 5683)
OLD: Place = (socket.AF_INET, ("192.0.2.1", 5683))
NEW: Place = (socket.AF_INET, ("192.0.2.2", 5683))


class Resolver:
    """Stands for the C library's: answers, fails or hangs as it is told."""

    def __init__(self) -> None:
        self.places: list[Place] = [OLD]
        self.problem: OSError | None = None
        self.calls = 0
        self.answers = threading.Event()
        self.answers.set()

    def getaddrinfo(self, *_: Any, **__: Any) -> list[Any]:
        self.calls += 1
        assert self.answers.wait(30)
        if self.problem is not None:
            raise self.problem
        return [(family, socket.SOCK_DGRAM, 17, "", peer) for family, peer in self.places]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    made = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", made.getaddrinfo)
    yield made
    made.answers.set()


def test_a_numeric_address_needs_no_resolver_and_is_given_in_its_usual_form(resolver: Resolver) -> None:
    async def find() -> None:
        names = Names()
        for host, family, usual in (
            ("192.0.2.1", socket.AF_INET, "192.0.2.1"),
            ("2001:DB8:0:0::1", socket.AF_INET6, "2001:db8::1"),
        ):
            assert list(await names.find(Address(host, 5683))) == [(family, (usual, 5683))]

    run(find())
    assert resolver.calls == 0


def test_a_name_is_looked_up_each_time(resolver: Resolver) -> None:
    async def find() -> None:
        names = Names()
        assert list(await names.find(NAME)) == [OLD]
        resolver.places = [NEW, OLD]
        assert list(await names.find(NAME)) == [NEW, OLD]

    run(find())
    assert resolver.calls == 2


def test_those_who_ask_at_the_same_time_share_one_lookup(resolver: Resolver) -> None:
    resolver.answers.clear()

    async def find() -> None:
        names = Names()
        asking = [asyncio.ensure_future(names.find(NAME)) for _ in range(20)]
        asking[0].cancel()
        await eventually(lambda: resolver.calls, "the lookup to begin")
        resolver.answers.set()
        results = await asyncio.gather(*asking, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        assert results[1:] == [[OLD]] * 19, "who gives up takes nothing from the others"

    run(find())
    assert resolver.calls == 1


def test_a_lookup_that_hangs_is_waited_for_once_and_kept_in_one_thread(resolver: Resolver) -> None:
    resolver.answers.clear()
    waited: list[float] = []
    before = set(threading.enumerate())  # some of an earlier test may end meanwhile

    async def find() -> None:
        names, loop = Names(), asyncio.get_running_loop()
        for _ in range(10):
            began = loop.time()
            with pytest.raises(OSError, match="its lookup gets no answer"):
                await names.find(NAME)
            waited.append(loop.time() - began)
        assert len(set(threading.enumerate()) - before) == 1

    virtual.run(find())
    assert waited == [pytest.approx(LOOKUP_S)] + [pytest.approx(0.0)] * 9


def test_what_was_found_before_is_used_while_a_lookup_hangs_and_the_late_answer_after_it(resolver: Resolver) -> None:
    async def find() -> None:
        names, loop = Names(), asyncio.get_running_loop()
        await names.find(NAME)
        resolver.answers.clear()
        resolver.places = [NEW]
        began = loop.time()
        assert list(await names.find(NAME)) == [OLD]
        overdue = loop.time()
        assert overdue - began < LOOKUP_S + 1
        for _ in range(10):
            assert list(await names.find(NAME)) == [OLD]
        assert loop.time() - overdue < LOOKUP_S, "no one of them waited"
        assert resolver.calls == 2
        resolver.answers.set()
        await eventually(lambda: names._known[NAME] == [NEW], "the late answer")

    run(find())


@pytest.mark.parametrize(
    "problem", [socket.gaierror(socket.EAI_AGAIN, "no resolver"), OSError("too many files")], ids=["name", "system"]
)
def test_a_failure_is_told_where_nothing_is_known_and_else_outdone_by_what_is(
    resolver: Resolver, problem: OSError
) -> None:
    async def find() -> None:
        names = Names()
        resolver.problem = problem
        with pytest.raises(OSError, match=r"no resolver|too many files"):
            await names.find(NAME)
        resolver.problem = None
        assert list(await names.find(NAME)) == [OLD]
        resolver.problem = problem
        assert list(await names.find(NAME)) == [OLD]

    run(find())


@pytest.mark.parametrize("host", ["a" * 64 + ".test", "a\0b", "a..b"], ids=["long", "zero", "empty part"])
def test_what_can_be_no_name_is_a_failure_like_others(host: str) -> None:
    async def find() -> None:
        names = Names()
        for _ in range(2):
            with pytest.raises(OSError, match=r".+"):
                await names.find(Address(host, 5683))

    run(find())


def test_a_loop_may_end_before_its_lookup(resolver: Resolver) -> None:
    """Its thread raises nothing then: pytest makes an error of what a thread does not catch."""
    resolver.answers.clear()

    async def find() -> threading.Thread:
        asking = asyncio.ensure_future(Names().find(NAME))
        await eventually(lambda: resolver.calls, "the lookup to begin")
        asking.cancel()
        [thread] = [each for each in threading.enumerate() if each.name == f"lookup of {NAME}"]
        return thread

    thread = run(find())
    resolver.answers.set()
    thread.join(5)
    assert not thread.is_alive()


# --- The same, seen from the bearer ----------------------------------------------------------------


def test_a_name_that_hangs_holds_up_no_other_address(device: Device, resolver: Resolver) -> None:
    resolver.answers.clear()

    async def send() -> None:
        async with peer() as one:
            bearer = device.bearer((NAME.host, NAME.port), one.address)
            context = device.gateway_side(bearer.session)
            serving = one.serve(lambda ask: [protected_to(ask, context, payload=b"receipt")])
            loop = asyncio.get_running_loop()
            began = loop.time()
            assert await bearer.send(b"x") == b"receipt"
            assert loop.time() - began < LOOKUP_S + 1
            # as many sockets as exchanges: each of them asks for an address
            later = loop.time()
            assert await asyncio.gather(*(bearer.send(b"x") for _ in range(6))) == [b"receipt"] * 6
            assert loop.time() - later < LOOKUP_S / 2, "nobody waited for the resolver again"
            serving.cancel()
            await bearer.close()

    run(send())
    assert resolver.calls == 1


def test_threads_that_hang_in_a_disk_hold_up_no_exchange(device: Device) -> None:
    """The event loop's own lookups come to nothing meanwhile: so the executor is really used up."""
    disk = threading.Event()

    async def send() -> None:
        loop = asyncio.get_running_loop()
        hanging = [loop.run_in_executor(None, disk.wait, 30) for _ in range(40)]
        try:
            async with peer() as one:
                own = asyncio.ensure_future(loop.getaddrinfo("127.0.0.1", 5683))
                for host in ("127.0.0.1", "localhost"):
                    bearer = device.bearer((host, one.address[1]))
                    context = device.gateway_side(bearer.session)
                    serving = one.serve(lambda ask, c=context: [protected_to(ask, c, payload=b"receipt")])  # type: ignore[misc]
                    async with asyncio.timeout(10):
                        assert await bearer.send(b"x") == b"receipt"
                    serving.cancel()
                    await asyncio.wait([serving])
                    await bearer.close()
                assert not own.done()
                own.cancel()
        finally:
            disk.set()
        await asyncio.gather(*hanging)

    run(send())
