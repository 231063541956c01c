"""The bearer `sms`: what fits one message, what is believed of what comes, and the whole way through real processes."""

import asyncio
import json
import logging
import random
import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import aiocoap
import cbor2
import pytest
from aiocoap.message import Direction
from aiocoap.numbers.types import CON, NON

from bondmate import credentials
from bondmate.core.pdu import Alphabet, Sms
from bondmate.drivers.modem import Modem
from bondmate.errors import LinkError, RemoteError, UnsureError
from bondmate.ports import CellularModem
from bondmate.records import SessionId
from bondmate.transport import sms as module
from bondmate.transport.sms import MAX_OCTETS, SAY_AGAIN_S, SmsBearer
from bondmate_sim.process import Process
from tests.drivers import modem_desk
from tests.eventually import eventually, running
from tests.gateway import twin
from tests.gateway.conftest import Gateway
from tests.gateway.twin import CANCELLATION, POSITION, Context, Twin, compact
from tests.sim.conftest import SIM, Launch, launch
from tests.sim.conftest import run as short_place
from tests.transport.conftest import run, session

__all__ = ["launch", "short_place"]

NUMBER, OTHER, STRANGER, OWN = "+4915559999", "+4915558888", "+4915557777", "+4915550001"
"""The gateway's, another of its own, somebody's, and the device's."""
RECEIPT = bytes(range(100))
NO_MESSAGE = "no single message of octets"
NO_NUMBER = "from a number that is not the gateway's"
NOT_VERIFIED = "it does not verify"
NO_USE = "authentic, and of no use here"
WORST_MS = 49 * 24 * 3600 * 1000
"""The device has run for 49 days: its milliseconds take five octets of CBOR."""
LONG_FIX = twin.FIX + bytes.fromhex("0003e8012c1194") + bytes([9, 12])


class Phone:
    """A modem that keeps what is sent, and brings what a test says."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self.fails: Exception | None = None
        self.bring: Any = None

    async def send_sms(self, number: str, octets: bytes) -> None:
        if self.fails is not None:
            raise self.fails
        self.sent.append((number, octets))

    def on_sms(self, take: Any) -> None:
        self.bring = take


class Enrolled:
    """A device's keys, and the gateway's end of its sessions by another derivation."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.secret = bytes.fromhex(json.loads(file.read_text())["channel_secret"])
        (file.parent / credentials.CREDENTIALS_FILE).write_bytes(file.read_bytes())
        self.known = credentials.load(file.parent)

    def gateway_side(self, of: SessionId, bearer: str = "sms", gateway_id: bytes | None = None) -> Context:
        keys = self.known.bearers[bearer]
        device = self.known.device.octets
        return Context(self.secret, device, bearer, gateway_id or keys.gateway_id, keys.kid, of.octets)

    def hand(self, of: SessionId) -> Twin:
        """Who makes records in a session, by the specification."""
        return Twin(self.file, ("127.0.0.1", 9), session=of.octets, bearer="sms")


class Desk:
    """One run of a device with the bearer, and whoever is at its other end."""

    def __init__(self, device: Enrolled) -> None:
        self.device = device
        self.phone = Phone()
        self.session = session()
        self.receipts: list[bytes] = []
        self.woken = 0
        self.refuses: str | None = None
        modem = cast("CellularModem", self.phone)
        self.bearer = SmsBearer(device.known.bearers["sms"], self.session, modem, NUMBER, (OTHER,))
        self.bearer.listen(self._take, self._wake)
        self.gateway = device.gateway_side(self.session)

    def bring(self, octets: bytes, sender: str = NUMBER, **other: Any) -> None:
        self.phone.bring(replace(Sms(sender, None, Alphabet.OCTETS, (), octets, None), **other))

    def on_air(self, submission: bytes, number: int = 0) -> bytes:
        """The octets of one message, with this sender number."""
        self.bearer._security.sender_sequence_number = number
        run(self.bearer.send(submission))
        return self.phone.sent[-1][1]

    @property
    def was_moved(self) -> bool:
        return bool(self.receipts or self.woken)

    def _take(self, receipt: bytes) -> None:
        if self.refuses is not None:
            raise RemoteError(self.refuses)
        self.receipts.append(receipt)

    def _wake(self) -> None:
        self.woken += 1


def message(
    context: Context,
    path: tuple[str, ...] = ("c",),
    payload: bytes = RECEIPT,
    code: Any = aiocoap.POST,
    *,
    named: bool = True,
) -> bytes:
    """A request of the gateway's own as the user data of one message; `named`: with its ID Context."""
    outer, _ = context.protect(aiocoap.Message(code=code, uri_path=path, payload=payload), kid_context=named)
    outer.mtype, outer.mid, outer.token = NON, secrets.randbelow(1 << 16), b""
    return bytes(outer.encode())


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Enrolled:
    """An enrolled device; each test is a session of its own, and no gateway runs."""
    return Enrolled(Gateway(tmp_path_factory.mktemp("enrolled")).enrol())


@pytest.fixture
def desk(device: Enrolled) -> Desk:
    return Desk(device)


# --- What fits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "octets"), [(0, 133), (0xFF, 133), (0x100, 134), (0xFFFF, 134), (0x10000, 135)])
def test_the_worst_alert_fits_one_message(desk: Desk, number: int, octets: int) -> None:
    """docs/protocol.md, Budget: 137 with a sender number of three octets, less the token of two that is not there."""
    with desk.device.hand(desk.session) as hand:
        alert = hand.record(sequence=1_000_000, previous=bytes(4), elapsed_ms=WORST_MS)
        sent = desk.on_air(compact(alert), number)
        assert len(sent) == octets <= MAX_OCTETS
        # it is what it should be: non-confirmable, without a token, and the gateway finds those very octets in it
        outer = aiocoap.Message.decode(sent)
        assert (outer.mtype, outer.token, outer.code) == (NON, b"", aiocoap.POST)
        inner, _ = desk.gateway.unprotect(outer)
        assert (inner.code, inner.opt.uri_path, inner.payload) == (aiocoap.POST, ("r",), compact(alert))
        assert not any(alert[start : start + 4] in sent for start in range(len(alert) - 3))


def test_an_alert_of_an_earlier_session_fits_while_sender_numbers_have_one_octet(desk: Desk) -> None:
    earlier = session()
    with desk.device.hand(earlier) as hand:
        alert = hand.record(sequence=1_000_000, previous=bytes(4), elapsed_ms=WORST_MS)
    submission = cbor2.dumps(earlier.octets) + compact(alert)
    assert len(desk.on_air(submission, 0xFF)) == 140
    with pytest.raises(LinkError, match="141 octets do not fit one SMS"):
        desk.on_air(submission, 0x100)
    assert len(desk.phone.sent) == 1


REALISTIC: dict[str, dict[str, Any]] = {
    "cancellation": {"kind": CANCELLATION, "sequence": 300, "fix": None, "body": bytes(8)},
    "position": {"kind": POSITION, "sequence": 5_000},
    "first positions, exactly": {"kind": POSITION, "sequence": 200, "fix": LONG_FIX},
}


@pytest.mark.parametrize("kind", REALISTIC)
def test_a_cancellation_and_a_position_fit_too(desk: Desk, kind: str) -> None:
    with desk.device.hand(desk.session) as hand:
        record = hand.record(previous=bytes(4), elapsed_ms=8 * 3600 * 1000, **REALISTIC[kind])
    assert len(desk.on_air(compact(record), 200)) <= 140


def test_a_position_of_the_second_half_hour_fits_where_it_is_short(desk: Desk) -> None:
    """One every five seconds: number 300 is made in the 25th minute. The device makes some of them short."""
    with desk.device.hand(desk.session) as hand:
        long = hand.record(POSITION, 300, bytes(4), elapsed_ms=25 * 60_000, fix=LONG_FIX)
        short = hand.record(POSITION, 304, bytes(4), elapsed_ms=25 * 60_000, fix=LONG_FIX[:11])
    with pytest.raises(LinkError, match="141 octets do not fit"):
        desk.on_air(compact(long))
    desk.on_air(compact(short))


def test_what_does_not_fit_takes_no_number_from_what_does(desk: Desk) -> None:
    for _ in range(256):
        with pytest.raises(LinkError, match="do not fit"):
            run(desk.bearer.send(bytes(200)))
    assert desk.bearer._security.sender_sequence_number == 0


def test_what_does_not_fit_is_not_sent(desk: Desk) -> None:
    run(desk.bearer.send(bytes(106)))  # with 31 octets of header, code, path, markers and tag
    with pytest.raises(LinkError, match=r"\b1[0-9]{2} octets do not fit one SMS"):
        run(desk.bearer.send(bytes(140)))
    assert len(desk.phone.sent) == 1


# --- What is said of sending ---------------------------------------------------------------------------


def test_taken_by_the_network_is_not_delivered(desk: Desk) -> None:
    bearer = desk.bearer
    assert (bearer.name, bearer.is_scarce, bearer.why_not) == ("sms", True, "nothing sent yet")
    run(bearer.send(RECEIPT))
    assert [number for number, _ in desk.phone.sent] == [NUMBER]
    assert (bearer.why_not, bearer.last_success_s) == ("the network took it; no receipt came yet", None)


def test_one_that_may_have_gone_counts_as_gone(desk: Desk) -> None:
    """Each message costs, and only a receipt can tell."""
    desk.phone.fails = UnsureError("no answer to AT+CMGS")
    run(desk.bearer.send(RECEIPT))
    assert desk.bearer.why_not == "the network took it; no receipt came yet"


def test_what_the_modem_says_is_why_not(desk: Desk) -> None:
    desk.phone.fails = LinkError("the SMS was not taken: network timeout (CMS 332)")
    with pytest.raises(LinkError, match="CMS 332"):
        run(desk.bearer.send(RECEIPT))
    assert desk.bearer.why_not == "the SMS was not taken: network timeout (CMS 332)"
    desk.phone.fails = None
    run(desk.bearer.send(RECEIPT))
    desk.bring(message(desk.gateway))
    assert desk.bearer.why_not is None, "a receipt shows that it works"


def test_one_that_is_broken_off_is_not_said_to_work(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(number: str, octets: bytes) -> None:
        await asyncio.get_running_loop().create_future()

    async def story() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await desk.bearer.send(RECEIPT)

    monkeypatch.setattr(desk.phone, "send_sms", never)
    run(story())
    assert desk.bearer.why_not == "the network did not take it in time"


def test_no_two_messages_are_alike(desk: Desk) -> None:
    """The same record again has a number, and octets, of its own: else a gateway would call it a replay."""
    for _ in range(3):
        run(desk.bearer.send(RECEIPT))
    read = [desk.gateway.unprotect(aiocoap.Message.decode(octets))[0].payload for _, octets in desk.phone.sent]
    assert read == [RECEIPT] * 3


# --- What is believed ----------------------------------------------------------------------------------


@pytest.mark.parametrize("sender", [NUMBER, OTHER])
def test_a_receipt_of_this_session_is_taken_once(desk: Desk, sender: str) -> None:
    octets = message(desk.gateway)
    desk.bring(octets, sender)
    assert desk.receipts == [RECEIPT]
    assert desk.bearer.last_success_s is not None
    desk.bring(octets, sender)
    assert desk.receipts == [RECEIPT]
    assert desk.bearer.ignored == {NOT_VERIFIED: 1}


def test_receipts_come_in_any_order(desk: Desk) -> None:
    """A message centre promises none; the window is 64 wide."""
    octets = [message(desk.gateway, payload=bytes([number])) for number in range(64)]
    for each in reversed(octets):
        desk.bring(each)
    assert desk.receipts == [bytes([number]) for number in reversed(range(64))]


def test_a_receipt_of_an_earlier_session_is_taken_and_again_does_no_harm(desk: Desk) -> None:
    octets = message(desk.device.gateway_side(session()))
    desk.bring(octets)
    desk.bring(octets)
    assert set(desk.receipts) == {RECEIPT}
    assert not desk.bearer.ignored
    # and those of the session that runs are read as before
    desk.bring(message(desk.gateway, payload=b"now"))
    assert desk.receipts[-1] == b"now"


def test_a_wake_up_counts_once_and_in_this_session_alone(desk: Desk) -> None:
    octets = message(desk.gateway, ("w",), b"")
    for _ in range(3):
        desk.bring(octets)
    assert desk.woken == 1
    earlier = desk.device.gateway_side(session())
    desk.bring(message(earlier, ("w",), b""))
    assert (desk.woken, desk.receipts) == (1, [])
    assert desk.bearer.ignored == {NOT_VERIFIED: 2, NO_USE: 1}
    desk.bring(message(desk.gateway, ("w",), b""))
    assert desk.woken == 2


OUTSIDE: dict[str, tuple[dict[str, Any], str]] = {
    "a stranger's number": ({"sender": STRANGER}, NO_NUMBER),
    "a number that begins like the gateway's": ({"sender": NUMBER + "0"}, NO_NUMBER),
    "the gateway's number without its plus": ({"sender": NUMBER[1:]}, NO_NUMBER),
    "nobody's number": ({"sender": ""}, NO_NUMBER),
    "a name": ({"sender": "Gateway"}, NO_NUMBER),
    "septets": ({"alphabet": Alphabet.SEPTETS, "text": "hello"}, NO_MESSAGE),
    "UCS-2": ({"alphabet": Alphabet.UCS2, "text": "hello"}, NO_MESSAGE),
    "compressed": ({"alphabet": Alphabet.COMPRESSED}, NO_MESSAGE),
    "a port in a header": ({"header": ((0x05, bytes.fromhex("0b8423f0")),)}, NO_MESSAGE),
    "a part of a longer one": ({"header": ((0x00, bytes([7, 2, 1])),)}, NO_MESSAGE),
    "a part of a longer one, long reference": ({"header": ((0x08, bytes([0, 7, 2, 1])),)}, NO_MESSAGE),
}


@pytest.mark.parametrize("kind", OUTSIDE)
def test_what_is_around_a_message_is_looked_at_first(desk: Desk, kind: str) -> None:
    other, why = OUTSIDE[kind]
    octets = message(desk.gateway)
    desk.bring(octets, **other)
    assert not desk.was_moved
    assert desk.bearer.ignored == {why: 1}
    # nor was it read: as it should come, it is still new
    desk.bring(octets)
    assert desk.receipts == [RECEIPT]


def unprotected(path: str) -> bytes:
    return twin.plain(aiocoap.POST, (path,), RECEIPT, NON)


def altered(octets: bytes, at: int) -> bytes:
    changed = bytearray(octets)
    changed[at] ^= 1
    return bytes(changed)


def renamed(context: Context, session_octets: bytes) -> Context:
    """A context that says it is of another session than its keys are."""
    context.id_context = session_octets
    return context


def with_kid(octets: bytes, kid: bytes) -> bytes:
    """The same message, and a gateway of that id named in its option; of none, if that is empty."""
    outer = aiocoap.Message.decode(octets)
    flags, named = outer.opt.oscore[0], outer.opt.oscore[1:-1]
    outer.opt.oscore = bytes([flags if kid else flags & ~0x08]) + named + kid
    outer.direction = Direction.OUTGOING
    return bytes(outer.encode())


FALSE: dict[str, Callable[[Desk], bytes]] = {
    "nothing": lambda _: b"",
    "noise": lambda _: secrets.token_bytes(140),
    "not protected, /c": lambda _: unprotected("c"),
    "not protected, /w": lambda _: unprotected("w"),
    "an altered tag": lambda desk: altered(message(desk.gateway), -1),
    "an altered option": lambda desk: altered(message(desk.gateway), 6),
    "cut short": lambda desk: message(desk.gateway)[:-1],
    "another gateway id": lambda desk: message(desk.device.gateway_side(desk.session, gateway_id=b"\x99")),
    "another gateway id, with this one's keys": lambda desk: with_kid(message(desk.gateway), b"\x99"),
    "no gateway id": lambda desk: with_kid(message(desk.gateway), b""),
    "what the device sent itself": lambda desk: desk.on_air(RECEIPT),
    "the keys of another bearer": lambda desk: message(desk.device.gateway_side(desk.session, "ip")),
    "no ID Context": lambda desk: message(desk.gateway, named=False),
    "a session of five octets": lambda desk: message(renamed(desk.device.gateway_side(desk.session), bytes(5))),
    "another session's keys, under this one's name": lambda desk: message(
        renamed(desk.device.gateway_side(session()), desk.session.octets)
    ),
}
"""What is no authentic message of the gateway's to this device."""


def test_what_is_around_the_octets_can_be_replaced(desk: Desk) -> None:
    """Else the two with another id would be false for another reason."""
    octets = message(desk.gateway)
    assert with_kid(octets, desk.gateway.sender_id) == octets


@pytest.mark.parametrize("kind", FALSE)
def test_what_does_not_verify_is_counted_and_ignored(desk: Desk, kind: str) -> None:
    desk.bring(FALSE[kind](desk))
    assert not desk.was_moved
    assert desk.bearer.ignored == {NOT_VERIFIED: 1}
    assert desk.bearer.last_success_s is None
    desk.bring(message(desk.gateway))
    assert desk.receipts == [RECEIPT]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (("x",), aiocoap.POST), ((), aiocoap.POST), (("c", "w"), aiocoap.POST), (("C",), aiocoap.POST),
        (("r",), aiocoap.POST), (("c",), aiocoap.GET), (("w",), aiocoap.PUT),
    ],
)  # fmt: skip
@pytest.mark.parametrize("when", ["now", "earlier"])
def test_an_authentic_message_that_asks_for_anything_else(desk: Desk, path: Any, code: Any, when: str) -> None:
    context = desk.gateway if when == "now" else desk.device.gateway_side(session())
    desk.bring(message(context, path, code=code))
    assert not desk.was_moved
    assert desk.bearer.ignored == {NO_USE: 1}


def test_a_message_of_more_than_one_sms_is_none(desk: Desk) -> None:
    room = MAX_OCTETS - len(message(desk.gateway, payload=b"x")) + 1
    desk.bring(message(desk.gateway, payload=bytes(room)))
    assert desk.receipts == [bytes(room)]
    desk.bring(message(desk.gateway, payload=bytes(room + 1)))
    assert (len(desk.receipts), desk.bearer.ignored) == (1, {NO_MESSAGE: 1})


def test_a_false_receipt_is_no_success(desk: Desk) -> None:
    desk.refuses = "no key of the gateway's signed it"
    desk.bring(message(desk.gateway))
    assert desk.bearer.ignored == {"a receipt that was not accepted": 1}
    assert desk.bearer.last_success_s is None
    desk.refuses = None
    desk.bring(message(desk.gateway, payload=b"true"))
    assert desk.receipts == [b"true"]
    assert desk.bearer.last_success_s is not None


def test_nothing_that_comes_makes_anything_go_out(desk: Desk) -> None:
    for octets in (message(desk.gateway), message(desk.gateway, ("w",), b""), FALSE["noise"](desk), b""):
        before = len(desk.phone.sent)
        desk.bring(octets)
        assert len(desk.phone.sent) == before
    desk.bring(bytes([CON << 4 | 0x40]) + message(desk.gateway)[1:])
    assert desk.phone.sent == []


# --- What is told of it --------------------------------------------------------------------------------


def test_each_kind_is_told_once_a_minute_at_most(
    desk: Desk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(module, "monotonic", lambda: now)
    noise = b"\x50\x02\0\0noise"

    def said() -> list[str]:
        lines = [each.getMessage() for each in caplog.records if "ignored" in each.getMessage()]
        caplog.clear()
        return lines

    for _ in range(1000):
        desk.bring(noise)
        desk.bring(noise, STRANGER)
        desk.bring(noise, alphabet=Alphabet.SEPTETS)
    first = said()
    assert sorted(first) == sorted(
        f"an SMS was ignored: {why} (1 so far)" for why in (NOT_VERIFIED, NO_NUMBER, NO_MESSAGE)
    )
    now += SAY_AGAIN_S - 0.1
    desk.bring(noise)
    assert said() == []
    now += 0.1
    for _ in range(1000):
        desk.bring(noise)
    assert said() == [f"an SMS was ignored: {NOT_VERIFIED} (1002 so far)"]
    assert desk.bearer.ignored == {NOT_VERIFIED: 2001, NO_NUMBER: 1000, NO_MESSAGE: 1000}


def test_nothing_secret_is_in_the_log(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    said: list[str] = [repr(Sms(NUMBER, None, Alphabet.OCTETS, (), RECEIPT, "text"))]
    with caplog.at_level(logging.DEBUG):
        for make in FALSE.values():
            desk.bring(make(desk))
        for other, _ in OUTSIDE.values():
            desk.bring(message(desk.gateway), **other)
        desk.bring(message(desk.gateway))
        desk.bring(message(desk.gateway, ("w",), b""))
        with pytest.raises(LinkError) as caught:
            run(desk.bearer.send(bytes(200)))
        said += [str(caught.value), desk.bearer.why_not or "", *desk.bearer.ignored]
    said += [each.getMessage() for each in caplog.records]
    keys = desk.device.known.bearers["sms"]
    secret = [keys.master_secret.hex(), repr(keys.master_secret), desk.device.secret.hex()]
    for word in (*secret, NUMBER[1:], OTHER[1:], STRANGER[1:], RECEIPT.hex(), repr(RECEIPT)):
        assert not any(word in each for each in said), word


# --- Any octets ----------------------------------------------------------------------------------------


def inputs(desk: Desk, rng: random.Random, count: int) -> Iterator[bytes]:
    """Noise, and authentic messages of this session and another that were cut, altered or spliced."""
    earlier = desk.device.gateway_side(session())
    good = [message(context, path) for context in (desk.gateway, earlier) for path in (("c",), ("w",), ("x",))]
    for _ in range(count):
        octets = bytearray(rng.choice(good))
        match rng.randrange(6):
            case 0:
                yield rng.randbytes(rng.randrange(160))
            case 1:
                yield bytes(octets[: rng.randrange(len(octets))])
            case 2:
                at = rng.randrange(len(octets))
                octets[at:at] = rng.randbytes(rng.randrange(1, 8))
                yield bytes(octets[:MAX_OCTETS])
            case 3:
                other = rng.choice(good)
                yield bytes(octets[: rng.randrange(40)]) + other[rng.randrange(40) :]
            case _:
                # where the option and the first of the ciphertext are, most often
                for _ in range(rng.randrange(1, 4)):
                    octets[min(int(rng.expovariate(0.1)), len(octets) - 1)] = rng.randrange(256)
                yield bytes(octets)


@pytest.mark.parametrize(
    "count", [20_000, pytest.param(1_000_000, marks=[pytest.mark.long, pytest.mark.timeout(1200)])]
)
def test_no_octets_stop_anything(desk: Desk, count: int) -> None:
    rng = random.Random(5)
    for octets in inputs(desk, rng, count):
        desk.bring(octets, rng.choice((NUMBER, NUMBER, NUMBER, OTHER)))
    assert set(desk.receipts) <= {RECEIPT}
    assert desk.woken <= 1
    assert set(desk.bearer.ignored) <= {NOT_VERIFIED, NO_MESSAGE, NO_USE}
    assert desk.bearer.ignored.total() + len(desk.receipts) + desk.woken == count
    desk.bring(message(desk.gateway, payload=b"after all that"))
    assert desk.receipts[-1] == b"after all that"


# --- Real processes ------------------------------------------------------------------------------------


class Network:
    """A message centre, a gateway that is attached to it, and a modem; each a process."""

    def __init__(self, place: Path, short: Path, launch: Launch) -> None:
        self.tap = place / "tap.jsonl"
        centre = Process("smsc", [SIM, "smsc", "--tap", str(self.tap)], place / "smsc.log")
        self.processes = [centre]
        centre.start()
        port = centre.wait_for_line(r"message centre listening on .*:(\d+)$", 15)[1]
        self.gateway = Gateway(place, "--sms", f"centre:127.0.0.1:{port}", "--sms-number", NUMBER)
        self.gateway.start()
        self.port = short / "modem"
        launch("modem", "--link", self.port, "--number", OWN, "--smsc", f"127.0.0.1:{port}")

    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.tap.read_text().splitlines()]

    def end(self) -> None:
        assert self.gateway.end() == 0
        for process in self.processes:
            process.stop()


@pytest.fixture
def network(tmp_path: Path, short_place: Path, launch: Launch) -> Iterator[Network]:
    made = Network(tmp_path, short_place, launch)
    yield made
    made.end()


def test_an_alert_goes_out_and_its_receipt_comes_back_also_after_a_restart(network: Network) -> None:
    device = Enrolled(network.gateway.enrol())
    keys, before, after = device.known.bearers["sms"], session(1), session(2)

    async def story() -> None:
        modem = Modem(modem_desk.settings(network.port), times=modem_desk.QUICK)
        receipts: list[bytes] = []
        async with running(modem.run()):
            await eventually(lambda: modem.state().why_not is None, "the modem to be ready", 20)
            first = SmsBearer(keys, before, modem, NUMBER, ())
            first.listen(receipts.append, lambda: None)
            with device.hand(before) as hand:
                alert = hand.record()
                await first.send(compact(alert))
                receipt = await eventually(lambda: receipts.pop() if receipts else None, "the receipt")
                assert hand.compact_entry(receipt) == [before.octets, 0, 1, twin.digest(alert)[:16], 0]
                assert first.last_success_s is not None
                assert not first.ignored
                # what one run sent, the next one hears of
                second = SmsBearer(keys, after, modem, NUMBER, ())
                second.listen(receipts.append, lambda: None)
                cancellation = hand.record(CANCELLATION, 2, twin.digest(alert)[:4], body=twin.digest(alert)[:8])
                await first.send(compact(cancellation))
                receipt = await eventually(
                    lambda: receipts.pop() if receipts else None, "the receipt of the earlier session"
                )
                assert hand.compact_entry(receipt) == [before.octets, 0, 2, twin.digest(cancellation)[:16], 0]
                assert not second.ignored
                # and the next one may say it again, in its own session
                await second.send(cbor2.dumps(before.octets) + compact(alert))
                receipt = await eventually(lambda: receipts.pop() if receipts else None, "the receipt of a repeat")
                assert hand.compact_entry(receipt)[:4] == [before.octets, 0, 1, twin.digest(alert)[:16]]

    run(story())
    # the gateway holds one alert, whose record is what was signed
    (shown,) = network.gateway.alerts(str(device.known.device))
    assert (shown["bearer"], shown["verdict"]) == ("sms", "held")
    on_air = network.messages()
    assert [(each["from"], each["to"]) for each in on_air] == [(OWN, NUMBER), (NUMBER, OWN)] * 3
    assert all(each["dcs"] == 4 and not each["udhi"] and len(each["ud"]) <= 2 * 140 for each in on_air)


def test_no_mailbox_travels_by_sms(desk: Desk) -> None:
    with pytest.raises(LinkError, match="SMS carries no mailbox"):
        run(desk.bearer.fetch(1))
    assert desk.phone.sent == []
