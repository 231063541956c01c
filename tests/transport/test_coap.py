"""The bearer `ip` on real sockets: what is believed, what is survived, and what it leaves behind."""

import asyncio
import contextlib
import random
import secrets
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiocoap import BAD_REQUEST, CHANGED, REQUEST_ENTITY_TOO_LARGE, SERVICE_UNAVAILABLE, UNAUTHORIZED, Message
from aiocoap.message import Direction
from aiocoap.numbers.types import ACK, CON, NON, RST
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bondmate.errors import LinkError, RemoteError, UnauthorizedError
from bondmate.records import SessionId
from bondmate.transport import coap
from bondmate.transport.coap import MAX_RECEIPT_OCTETS, RENEW_S, UNAUTHORIZED_LIMIT, CoapBearer, Tuning
from tests.eventually import eventually
from tests.gateway import twin
from tests.gateway.conftest import Gateway
from tests.gateway.twin import Twin
from tests.transport.conftest import (
    SUBMISSION,
    WAIT_S,
    Device,
    Peer,
    answer_to,
    peer,
    protected_to,
    push,
    run,
    session,
)

Answers = Callable[[Message], list[bytes]]


def mute(_: Message) -> list[bytes]:
    return []


def refuse(request: Message) -> list[bytes]:
    return [answer_to(request, UNAUTHORIZED)]


def sockets_open() -> int:
    """How many sockets this process holds."""
    links = []
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the descriptor of this very listing is gone by now
            links.append(str(each.readlink()))
    return sum(link.startswith("socket:") for link in links)


def descriptors_open() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def closed_port() -> tuple[str, int]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        address: tuple[str, int] = sock.getsockname()
    return address


@contextlib.contextmanager
def record_of(device: Device, bearer: CoapBearer, gateway: Gateway, **options: Any) -> Iterator[tuple[Twin, bytes]]:
    """A record of the device in the bearer's session, and the hand that reads its receipt."""
    with Twin(device.file, gateway.address, session=bearer.session.octets) as hand:
        yield hand, hand.record(**options)


async def is_delivered(device: Device, bearer: CoapBearer, gateway: Gateway, sequence: int = 1) -> None:
    with record_of(device, bearer, gateway, sequence=sequence) as (hand, record):
        async with asyncio.timeout(WAIT_S):
            receipt = await bearer.send(record)
        assert hand.entry(receipt)[3] == twin.digest(record)[:16]


@contextlib.asynccontextmanager
async def closing(bearer: CoapBearer) -> Any:
    try:
        yield bearer
    finally:
        await bearer.close()


# --- A gateway that means well ---------------------------------------------------------------------


def test_a_record_is_delivered_and_the_socket_used_again(device: Device, gateway: Gateway) -> None:
    async def send() -> None:
        async with closing(device.bearer(gateway.address)) as bearer:
            assert (bearer.name, bearer.why_not, bearer.last_success_s) == ("ip", "nothing sent yet", None)
            before = sockets_open()
            for sequence in range(1, 6):
                await is_delivered(device, bearer, gateway, sequence)
                assert sockets_open() == before + 1
            assert bearer.why_not is None
            assert abs(bearer.last_success_s - asyncio.get_running_loop().time()) < WAIT_S
        assert sockets_open() == before

    run(send())


def test_the_largest_submission_goes_in_one_piece(device: Device, gateway: Gateway) -> None:
    async def send() -> None:
        async with closing(device.bearer(gateway.address)) as bearer, asyncio.timeout(WAIT_S):
            assert await bearer.send(bytes(1024))
            with pytest.raises(LinkError, match=r"answered 4\.13"):
                await bearer.send(bytes(1025))

    run(send())


def test_an_answer_without_an_acknowledgement_does_not_hold_up_the_next(device: Device) -> None:
    context: Any = None

    def answer(ask: Message) -> list[bytes]:
        if not ask.code.is_request():
            return []
        raw = bytearray(protected_to(ask, context, payload=b"receipt"))
        raw[0] = 0x50 | raw[0] & 0x0F  # NON where it was ACK
        return [bytes(raw)]

    async def send() -> None:
        nonlocal context
        async with peer(answer) as one, closing(device.bearer(one.address)) as bearer:
            context = device.gateway_side(bearer.session)
            for _ in range(3):
                async with asyncio.timeout(1):
                    assert await bearer.send(SUBMISSION) == b"receipt"

    run(send())


def test_nothing_of_a_submission_is_seen_on_the_wire(device: Device) -> None:
    async def send() -> bytes:
        async with peer() as network, closing(device.bearer(network.address)) as bearer:
            sending = asyncio.ensure_future(bearer.send(SUBMISSION))
            raw, _ = await network.take()
            sending.cancel()
            await asyncio.wait([sending])
            return raw

    raw = run(send())
    assert not any(SUBMISSION[start : start + 4] in raw for start in range(len(SUBMISSION) - 3))
    assert Message.decode(raw).opt.oscore is not None


@pytest.mark.parametrize("alive", ["127.0.0.1", "localhost"])
def test_a_dead_address_gives_way_to_the_next(device: Device, gateway: Gateway, alive: str) -> None:
    async def send() -> int:
        async with closing(device.bearer(closed_port(), (alive, gateway.port))) as bearer:
            for attempt in range(6):  # a name may have addresses of which some are dead too
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.3):
                        assert await bearer.send(SUBMISSION)
                    return attempt
                assert bearer.why_not == "no answer in time"
            raise AssertionError("the address that is alive never had its turn")

    failures = run(send())
    assert failures == 1 if alive == "127.0.0.1" else failures >= 1


def test_silence_ends_after_two_retransmissions(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tuning, "ACK_TIMEOUT", 0.02)

    async def send() -> None:
        async with peer(mute) as hole, closing(device.bearer(hole.address)) as bearer:
            async with asyncio.timeout(WAIT_S):
                with pytest.raises(LinkError, match="no answer"):
                    await bearer.send(SUBMISSION)
            assert len(hole.seen) == 3
            assert len(set(hole.seen)) == 1
            assert Message.decode(hole.seen[0]).mtype is CON

    run(send())


def test_a_name_that_nobody_knows_is_weather(device: Device) -> None:
    async def send() -> None:
        async with closing(device.bearer(("gateway.invalid", 5683))) as bearer:
            with pytest.raises(LinkError, match=r"gateway\.invalid:5683"):
                await bearer.send(SUBMISSION)
            assert "gateway.invalid" in bearer.why_not

    run(send())


def test_an_ipv6_address_is_an_address(device: Device) -> None:
    async def send() -> None:
        try:
            far = Peer(socket.AF_INET6)
        except OSError as problem:
            pytest.skip(f"no IPv6 here: {problem}")
        async with closing(device.bearer(far.address)) as bearer:
            context = device.gateway_side(bearer.session)
            serving = far.serve(lambda request: [protected_to(request, context, payload=b"receipt")])
            async with asyncio.timeout(WAIT_S):
                assert await bearer.send(SUBMISSION) == b"receipt"
            serving.cancel()
            far.socket.close()

    run(send())


# --- A gateway that lies ---------------------------------------------------------------------------


def other_session(device: Device, request: Message) -> bytes:
    """Protected well, with the same numbers, under the keys of another session."""
    wrong, theirs = device.gateway_side(session()), device.gateway_side(SessionId(request.opt.oscore[3:9]))
    request.direction = Direction.INCOMING
    _, identifiers = theirs.unprotect(request)
    outer, _ = wrong.protect(Message(code=CHANGED, payload=b"receipt"), identifiers)
    outer.mtype, outer.mid, outer.token = ACK, request.mid, request.token
    return bytes(outer.encode())


LIES: dict[str, tuple[Callable[[Device, Message], bytes], type[LinkError], str]] = {
    "plain 2.04": (lambda _, ask: answer_to(ask, CHANGED, b"\xd2receipt"), LinkError, "unprotected 2.04"),
    "plain 2.04, separate": (lambda _, ask: answer_to(ask, CHANGED, b"\xd2receipt", CON), LinkError, "unprotected"),
    "plain 4.01": (lambda _, ask: answer_to(ask, UNAUTHORIZED), UnauthorizedError, "unprotected 4.01"),
    "plain 5.03": (lambda _, ask: answer_to(ask, SERVICE_UNAVAILABLE), LinkError, "unprotected 5.03"),
    "protected 5.03": (
        lambda device, ask: protected_to(
            ask, device.gateway_side(SessionId(ask.opt.oscore[3:9])), SERVICE_UNAVAILABLE, b"\xd2receipt"
        ),
        LinkError,
        "answered 5.03",
    ),
    "protected 4.01": (
        lambda device, ask: protected_to(ask, device.gateway_side(SessionId(ask.opt.oscore[3:9])), UNAUTHORIZED),
        LinkError,
        "answered 4.01",
    ),
    "another session": (other_session, LinkError, "does not verify"),
    "an altered tag": (
        lambda device, ask: (
            (good := protected_to(ask, device.gateway_side(SessionId(ask.opt.oscore[3:9]))))[:-1]
            + bytes([good[-1] ^ 1])
        ),
        LinkError,
        "does not verify",
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_only_a_protected_success_is_an_answer(device: Device, lie: str) -> None:
    make, expected, words = LIES[lie]

    async def send() -> None:
        async with (
            peer(lambda ask: [make(device, ask)] if ask.code.is_request() else []) as liar,
            closing(device.bearer(liar.address)) as bearer,
        ):
            before = sockets_open()
            async with asyncio.timeout(WAIT_S):
                with pytest.raises(LinkError, match=words) as caught:
                    await bearer.send(SUBMISSION)
            assert caught.type is expected
            assert str(caught.value) == bearer.why_not
            assert (bearer.last_success_s, sockets_open()) == (None, before)

    run(send())


def test_an_answer_from_another_address_is_not_heard(device: Device) -> None:
    async def send() -> None:
        async with peer() as true, peer() as false, closing(device.bearer(true.address)) as bearer:
            sending = asyncio.ensure_future(bearer.send(SUBMISSION))
            raw, whence = await true.take()
            ask = Message.decode(raw)
            false.socket.sendto(answer_to(ask, UNAUTHORIZED), whence)
            false.socket.sendto(answer_to(ask, CHANGED, b"\xd2receipt"), whence)
            # in the same queue of the same socket, behind the false ones
            true.socket.sendto(protected_to(ask, device.gateway_side(bearer.session), payload=b"true"), whence)
            async with asyncio.timeout(WAIT_S):
                assert await sending == b"true"

    run(send())


# --- A gateway that is hostile ---------------------------------------------------------------------


def option(value: bytes, payload: bytes = bytes(20)) -> Answers:
    return lambda ask: [answer_to(ask, CHANGED, payload, oscore=value)]


def raw_answer(tail: bytes) -> Answers:
    """An acknowledgement of the request, 2.04, with any octets where options and payload stand."""
    return lambda ask: [
        bytes([0x60 | len(ask.token), int(CHANGED)]) + ask.mid.to_bytes(2) + ask.token + tail,
        answer_to(ask, SERVICE_UNAVAILABLE, kind=NON),
    ]


HOSTILE: dict[str, Answers] = {
    "empty option": option(b""),
    "context announced, absent": option(b"\x10"),
    "reserved bit, group": option(b"\x20"),
    "group with a kid": option(b"\x28g"),
    "reserved bits": option(b"\xc0"),
    "number of 6 octets": option(b"\x06" + bytes(6)),
    "number of 7 octets": option(b"\x07" + b"\xff" * 7),
    "huge number": option(b"\x05" + b"\xff" * 5),
    "number absent": option(b"\x05\x00"),
    "context beyond the end": option(b"\x10\xff\x00"),
    "context of another": option(b"\x10\x06" + bytes(6)),
    "kid of another": option(b"\x08x"),
    "no ciphertext": option(b"", b""),
    "truncated tag": option(b"", bytes(7)),
    "only a tag": option(b"", bytes(8)),
    "bad UTF-8": raw_answer(b"\x82\xff\xfe"),
    "bad UTF-8 in a path": raw_answer(b"\xb2\xff\xfe\xff\x00"),
    "block2, more": raw_answer(b"\xd1\x0a\x0e"),
    "block2, far ahead": raw_answer(b"\xd3\x0a\xff\xff\xff"),
    "block2, too long": raw_answer(b"\xd8\x0a" + b"\xff" * 8),
    "block1, more": raw_answer(b"\xd1\x0e\x0e"),
    "block1, continue": lambda ask: [
        answer_to(ask, 95, block1=(0, True, 2)),
        answer_to(ask, SERVICE_UNAVAILABLE, kind=NON),
    ],
    "observe": raw_answer(b"\x61\x05\xff\x00"),
    "observe and OSCORE": raw_answer(b"\x61\x05\x31\x00\xff" + bytes(20)),
    "option beyond the end": raw_answer(b"\x9d\xff"),
    "reset": lambda ask: [answer_to(ask, 0, kind=RST)],
    "answer, then reset": lambda ask: [answer_to(ask, UNAUTHORIZED, kind=CON), answer_to(ask, 0, kind=RST)],
    "reset twice": lambda ask: [answer_to(ask, 0, kind=RST), answer_to(ask, 0, kind=RST)],
    "all answers at once": lambda ask: [answer_to(ask, CHANGED, b"x", kind) for kind in (ACK, CON, NON, ACK)],
    "noise": lambda ask: [secrets.token_bytes(60), b"", answer_to(ask, SERVICE_UNAVAILABLE)],
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_answer_is_weather_and_the_next_send_works(device: Device, gateway: Gateway, kind: str) -> None:
    async def send() -> None:
        async with peer(HOSTILE[kind]) as enemy, closing(device.bearer(enemy.address, gateway.address)) as bearer:
            async with asyncio.timeout(WAIT_S):
                with pytest.raises(LinkError):
                    await bearer.send(SUBMISSION)
            await is_delivered(device, bearer, gateway)

    run(send())


def test_an_acknowledgement_and_then_silence_lasts_until_the_callers_deadline(device: Device, gateway: Gateway) -> None:
    async def send() -> None:
        async with (
            peer(lambda ask: [answer_to(ask, 0)]) as slow,
            closing(device.bearer(slow.address, gateway.address)) as bearer,
        ):
            before = sockets_open()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await bearer.send(SUBMISSION)
            assert (bearer.why_not, sockets_open()) == ("no answer in time", before)
            await is_delivered(device, bearer, gateway)

    run(send())


options = st.lists(
    st.tuples(st.sampled_from([1, 3, 4, 6, 8, 9, 11, 12, 14, 17, 23, 27, 28, 60, 252, 258]), st.binary(max_size=12)),
    max_size=3,
)


@st.composite
def tails(draw: st.DrawFn) -> bytes:
    """What stands behind the token: any octets, or any options in their order and a payload."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=40))
    encoded, last = b"", 0
    for number, value in sorted(draw(options)):
        delta, last = number - last, number
        head = bytes([delta << 4 | len(value)]) if delta < 13 else bytes([0xD0 | len(value), delta - 13])
        encoded += head + value
    payload = draw(st.binary(max_size=30))
    return encoded + (b"\xff" + payload if payload else b"")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.integers(0, 3), code=st.integers(0, 255), tail=tails(), own_token=st.booleans())
def test_any_answer_is_weather(
    device: Device, gateway: Gateway, kind: int, code: int, tail: bytes, own_token: bool
) -> None:
    def answer(ask: Message) -> list[bytes]:
        if not ask.code.is_request():
            return []
        token = ask.token if own_token else b""
        hostile = bytes([0x40 | kind << 4 | len(token), code]) + ask.mid.to_bytes(2) + token + tail
        # what ends the exchange if the first did not
        return [hostile, answer_to(ask, SERVICE_UNAVAILABLE, kind=NON)]

    # hypothesis seeds aiocoap's message ids; with the same id from the same port again, the gateway sees a duplicate
    random.seed()

    async def send() -> None:
        async with peer(answer) as enemy, closing(device.bearer(enemy.address, gateway.address)) as bearer:
            async with asyncio.timeout(WAIT_S):
                with pytest.raises(LinkError):
                    await bearer.send(SUBMISSION)
            async with asyncio.timeout(WAIT_S):
                assert await bearer.send(SUBMISSION)

    run(send())


# --- Several at once, and nothing left -------------------------------------------------------------


def test_exchanges_without_an_answer_do_not_hold_up_another(device: Device, gateway: Gateway) -> None:
    async def send() -> None:
        async with peer(mute) as hole:
            places = [hole.address] * 4 + [gateway.address]
            async with closing(device.bearer(*places)) as bearer:
                before = sockets_open()
                stuck = [asyncio.ensure_future(bearer.send(SUBMISSION)) for _ in range(4)]
                await eventually(lambda: len(hole.seen) == 4, "four exchanges to be under way")
                await is_delivered(device, bearer, gateway)
                assert not any(each.done() for each in stuck)
                assert sockets_open() == before + 5
                for each in stuck:
                    each.cancel()
                results = await asyncio.gather(*stuck, return_exceptions=True)
                assert all(isinstance(each, asyncio.CancelledError) for each in results)
                assert sockets_open() == before + 1

    run(send())


def test_fifty_failures_leave_no_descriptor(device: Device) -> None:
    async def send() -> None:
        async with peer(refuse) as one, closing(device.bearer(one.address, renew=session)) as bearer:
            before = descriptors_open()
            for _ in range(50):
                with pytest.raises(UnauthorizedError):
                    await bearer.send(SUBMISSION)
            assert descriptors_open() == before

    run(send())


async def _cancel(_: CoapBearer, sending: list[asyncio.Task[bytes]]) -> None:
    for each in sending:
        each.cancel()


async def _close(bearer: CoapBearer, _: list[asyncio.Task[bytes]]) -> None:
    await bearer.close()


@pytest.mark.parametrize("turns", range(12))
@pytest.mark.parametrize("end", [_cancel, _close])
def test_an_end_at_any_moment_leaves_nothing(
    device: Device, turns: int, end: Callable[[CoapBearer, list[asyncio.Task[bytes]]], Awaitable[None]]
) -> None:
    async def send() -> None:
        async with peer(lambda ask: [answer_to(ask, 0)] if turns % 2 else []) as one:
            bearer = device.bearer(one.address)
            before = sockets_open()
            sending = [asyncio.ensure_future(bearer.send(SUBMISSION)) for _ in range(3)]
            if turns == 11:
                await eventually(lambda: len(one.seen) == 3, "the exchanges to be under way")
            for _ in range(turns):
                await asyncio.sleep(0)
            await end(bearer, sending)
            async with asyncio.timeout(WAIT_S):
                results = await asyncio.gather(*sending, return_exceptions=True)
            assert all(isinstance(each, (LinkError, asyncio.CancelledError)) for each in results), results
            assert sockets_open() == before
            await bearer.close()

    run(send())


# --- Refused, and on in another session ------------------------------------------------------------


def id_context(raw: bytes) -> bytes:
    """The ID Context in a request's OSCORE option: behind the flags, one octet of number and a length of 6."""
    value = bytes(Message.decode(raw).opt.oscore)
    assert value[:1] + value[2:3] == b"\x19\x06"
    return value[3:9]


def test_three_plain_401_in_a_row_bring_a_new_session(device: Device) -> None:
    ahead = session(4097)
    renewed: list[SessionId] = []

    def renew() -> SessionId:
        renewed.append(ahead)
        return ahead

    async def send() -> None:
        async with peer() as one, closing(device.bearer(one.address, renew=renew)) as bearer:
            first = bearer.session
            old, new = device.gateway_side(first), device.gateway_side(ahead)

            async def exchange(answer: Answers) -> bytes:
                sending = asyncio.ensure_future(bearer.send(SUBMISSION))
                raw, whence = await one.take()
                for each in answer(Message.decode(raw)):
                    one.socket.sendto(each, whence)
                async with asyncio.timeout(WAIT_S):
                    payload: bytes = await sending
                return payload

            # an exchange that outlives its session, and another that is refused too late
            under_way = asyncio.ensure_future(bearer.send(SUBMISSION))
            early, early_from = await one.take()
            refused_late = asyncio.ensure_future(bearer.send(SUBMISSION))
            late, late_from = await one.take()
            for count in range(UNAUTHORIZED_LIMIT):
                assert (bearer.session, renewed) == (first, []), count
                with pytest.raises(UnauthorizedError):
                    await exchange(refuse)
            assert (bearer.session, renewed) == (ahead, [ahead])
            assert {id_context(each) for each in one.seen} == {first.octets}
            one.socket.sendto(protected_to(Message.decode(early), old, payload=b"early"), early_from)
            one.socket.sendto(answer_to(Message.decode(late), UNAUTHORIZED), late_from)
            async with asyncio.timeout(WAIT_S):
                assert await under_way == b"early"
                with pytest.raises(UnauthorizedError):
                    await refused_late
            one.seen.clear()
            for _ in range(2):
                assert await exchange(lambda ask: [protected_to(ask, new, payload=b"receipt")]) == b"receipt"
            assert [id_context(each) for each in one.seen] == [ahead.octets] * 2
            assert renewed == [ahead]

    run(send())


def test_no_socket_of_the_old_session_is_used_in_the_new(device: Device) -> None:
    ahead = session(4097)

    async def send() -> None:
        async with peer() as one, closing(device.bearer(one.address, renew=lambda: ahead)) as bearer:
            old, new = device.gateway_side(bearer.session), device.gateway_side(ahead)
            before = sockets_open()

            async def at_once(count: int, answer: Answers) -> list[Any]:
                sending = [asyncio.ensure_future(bearer.send(SUBMISSION)) for _ in range(count)]
                for raw, whence in [await one.take() for _ in range(count)]:
                    for each in answer(Message.decode(raw)):
                        one.socket.sendto(each, whence)
                async with asyncio.timeout(WAIT_S):
                    return await asyncio.gather(*sending, return_exceptions=True)

            good = await at_once(UNAUTHORIZED_LIMIT + 2, lambda ask: [protected_to(ask, old, payload=b"receipt")])
            assert good == [b"receipt"] * (UNAUTHORIZED_LIMIT + 2)
            bad = await at_once(UNAUTHORIZED_LIMIT, refuse)
            assert {type(each) for each in bad} == {UnauthorizedError}
            assert (bearer.session, sockets_open()) == (ahead, before)
            one.seen.clear()
            assert await at_once(1, lambda ask: [protected_to(ask, new, payload=b"receipt")]) == [b"receipt"]
            assert [id_context(each) for each in one.seen] == [ahead.octets]

    run(send())


@pytest.mark.parametrize("between", ["success", "nothing"])
def test_a_success_in_between_begins_the_count_anew(device: Device, between: str) -> None:
    renewed: list[SessionId] = []

    def renew() -> SessionId:
        renewed.append(session(4097))
        return renewed[-1]

    async def send() -> None:
        good = False

        def answer(ask: Message) -> list[bytes]:
            return [protected_to(ask, device.gateway_side(bearer.session))] if good else refuse(ask)

        async with peer(answer) as one:
            bearer = device.bearer(one.address, renew=renew)
            for good in (False, False, True, False, False):
                if good and between == "nothing":
                    continue
                with contextlib.suppress(UnauthorizedError):
                    await bearer.send(SUBMISSION)
            await bearer.close()

    run(send())
    assert len(renewed) == (1 if between == "nothing" else 0)


def renewals(device: Device, now: list[float], *refusals_at: tuple[int, float]) -> list[int]:
    """How often the session was renewed after each of these: so many refusals at this time, one after the other."""
    renewed: list[SessionId] = []
    counts: list[int] = []

    def renew() -> SessionId:
        renewed.append(session(len(renewed) + 2))
        return renewed[-1]

    async def send() -> None:
        async with peer(refuse) as one, closing(device.bearer(one.address, renew=renew)) as bearer:
            for count, at in refusals_at:
                now[0] = at
                for _ in range(count):
                    with pytest.raises(UnauthorizedError):
                        await bearer.send(SUBMISSION)
                counts.append(len(renewed))
            assert bearer.session == renewed[-1]

    run(send())
    return counts


@pytest.mark.parametrize("bounded", [True, False])
def test_whoever_answers_all_with_401_moves_the_counter_once_a_minute_at_most(
    device: Device, monkeypatch: pytest.MonkeyPatch, bounded: bool
) -> None:
    """Each time it moves by 4,096; eight of them are no longer ahead (RFC 1982), and unbounded take seconds."""
    now = [1000.0]
    monkeypatch.setattr(coap, "monotonic", lambda: now[0])
    if not bounded:
        monkeypatch.setattr(coap, "RENEW_S", 0.0)
    counts = renewals(device, now, (UNAUTHORIZED_LIMIT, 1000.0), (20, 1000.0 + RENEW_S - 0.1), (20, 1000.0 + RENEW_S))
    assert counts == ([1, 1, 2] if bounded else [1, 21, 41])


# --- Receipts that come by themselves --------------------------------------------------------------


def test_the_gateway_pushes_a_receipt_of_a_record_it_holds(device: Device, gateway: Gateway) -> None:
    async def send() -> None:
        pushed: list[bytes] = []
        async with closing(device.bearer(gateway.address)) as bearer:
            bearer.listen(pushed.append, lambda: None)
            with record_of(device, bearer, gateway) as (hand, record):
                await bearer.send(record)
                assert pushed == []
                await bearer.send(record)
                [receipt] = await eventually(lambda: pushed, "the gateway to push")
                assert hand.entry(receipt)[3] == twin.digest(record)[:16]

    run(send())


@contextlib.asynccontextmanager
async def listening(device: Device, take: Callable[[bytes], None], wake: Callable[[], None] = lambda: None) -> Any:
    """A peer, the address of a device that listens to it, and the gateway's end of the session."""
    async with peer() as one, closing(device.bearer(one.address)) as bearer:
        bearer.listen(take, wake)
        context = device.gateway_side(bearer.session)
        sending = asyncio.ensure_future(bearer.send(SUBMISSION))
        raw, whence = await one.take()
        one.socket.sendto(protected_to(Message.decode(raw), context, payload=b"receipt"), whence)
        await sending
        yield one, whence, context


async def ask(one: Peer, whence: Any, datagram: bytes) -> Message:
    one.socket.sendto(datagram, whence)
    raw, _ = await one.take()
    return Message.decode(raw)


def test_each_pushed_receipt_gets_the_answer_that_it_deserves(device: Device) -> None:
    taken: list[bytes] = []

    def take(receipt: bytes) -> None:
        taken.append(receipt)
        if receipt.startswith(b"false"):
            raise RemoteError("a receipt that does not verify")

    async def send() -> None:
        async with listening(device, take) as (one, whence, context):
            for payload, code in (
                (b"true", CHANGED),
                (b"false", BAD_REQUEST),
                (bytes(MAX_RECEIPT_OCTETS), CHANGED),
                (bytes(MAX_RECEIPT_OCTETS + 1), REQUEST_ENTITY_TOO_LARGE),
            ):
                outer, sent = context.protect(Message(code=2, uri_path=["c"], payload=payload))
                outer.mtype, outer.mid, outer.token = CON, len(payload), b"t"
                answer = await ask(one, whence, outer.encode())
                assert answer.mtype is ACK
                inner, _ = context.unprotect(answer, sent)
                assert (inner.code, inner.payload) == (code, b"")
            assert taken == [b"true", b"false", bytes(MAX_RECEIPT_OCTETS)]

    run(send())


def test_what_does_not_verify_gets_a_plain_401(device: Device) -> None:
    taken: list[bytes] = []

    async def send() -> None:
        async with listening(device, taken.append) as (one, whence, context):
            stranger = device.gateway_side(session())
            good = push(context, b"again")
            assert (await ask(one, whence, good)).opt.oscore is not None
            replayed = bytearray(good)
            replayed[2:4] = b"\x12\x34"
            for datagram in (
                twin.plain(2, ("c",), b"receipt"),
                twin.plain(2, (".well-known", "edhoc"), b"\xf5"),
                twin.plain(2, (".well-known", "edhoc"), b"\x61x"),
                twin.plain(2, (".well-known", "edhoc"), b"\xff"),
                twin.plain(1, (".well-known", "core")),
                twin.plain(1, ("nothing",)),
                bytes(replayed),
                push(stranger, b"receipt"),
                push(context, b"receipt")[:-1] + b"\0",
                b"\x41\x02\x00\x01t\x91\x10\xff" + bytes(20),
                b"\x41\x02\x00\x02t\x91\x20\xff" + bytes(20),
                b"\x41\x02\x00\x03t\x90\xff" + bytes(20),
                b"\x41\x01\x00\x04t\x90\xff" + bytes(20),
                b"\x41\x02\x00\x05t\x93\x09\x00g",
            ):
                answer = await ask(one, whence, datagram)
                assert (answer.code, answer.payload, answer.opt.oscore) == (UNAUTHORIZED, b"", None), datagram.hex()
            assert taken == [b"again"]

    run(send())


def test_a_receipt_from_another_address_is_not_heard(device: Device) -> None:
    taken: list[bytes] = []

    async def send() -> None:
        async with listening(device, taken.append) as (one, whence, context), peer() as other:
            false, true = push(context, b"from elsewhere"), push(context, b"from the gateway")
            other.socket.sendto(false, whence)
            await ask(one, whence, true)
            assert taken == [b"from the gateway"]
            with pytest.raises(BlockingIOError):
                other.socket.recv(2048)

    run(send())
