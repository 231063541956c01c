"""What comes by SMS is served as what comes in datagrams, and costs no more than one SMS: without a wire."""

import asyncio
import contextlib
import itertools
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiocoap
import cbor2
import pytest
from aiocoap import Message
from aiocoap import error as coap_error
from hypothesis import given
from hypothesis import strategies as st

from bondmate_sim.gateway import credentials, devices, keys, oscore, receipts, sms, view
from bondmate_sim.gateway.credentials import Credentials
from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.inbox import Inbox
from bondmate_sim.gateway.pushes import Pushes
from bondmate_sim.gateway.receipts import Entry, Verdict
from bondmate_sim.gateway.sms import (
    Ignored,
    Sms,
    SmsError,
    SmsFace,
    SmsRefusedError,
    Tally,
    Timing,
    is_eight_bit,
    receipt_message,
)
from tests.eventually import eventually
from tests.gateway.cddl import validate_receipt_payload
from tests.gateway.twin import Twin, compact, digest, plain
from tests.virtual import run

NUMBER = "+4917000042"
SESSION = bytes.fromhex("0012cafecafe")


class Provider:
    """A provider in memory, and the only connection to it."""

    def __init__(self) -> None:
        self.incoming: asyncio.Queue[Sms] = asyncio.Queue()
        self.acknowledged: list[str] = []
        self.sent: list[tuple[str, bytes]] = []
        self.connected_at: list[float] = []
        self.fails: Callable[[], Exception | None] = lambda: None
        self.answers: Callable[[], bool] = lambda: True

    def __str__(self) -> str:
        return "provider of the test"

    @contextlib.asynccontextmanager
    async def connect(self) -> AsyncIterator["Provider"]:
        self.connected_at.append(asyncio.get_running_loop().time())
        if failure := self.fails():
            raise failure
        yield self

    async def receive(self) -> Sms:
        return await self.incoming.get()

    async def acknowledge(self, sms: Sms) -> None:
        self.acknowledged.append(sms.delivery)

    async def send(self, number: str, octets: bytes) -> None:
        self.sent.append((number, octets))
        if not self.answers():
            await asyncio.get_running_loop().create_future()


class Desk:
    """A gateway's inbox with an SMS face, and devices enrolled there."""

    def __init__(self, database: Database, place: Path) -> None:
        self.database = database
        self.provider = Provider()
        self.key = keys.load_or_create(place)
        self.face = SmsFace(Inbox(database, self.key, self.key), Pushes(), self.provider)
        self.made: dict[str, Credentials] = {}
        self._place = place
        self._names = itertools.count(1)

    def enrol(self) -> Path:
        made = credentials.generate()
        devices.add(self.database, [made], now_ms=0)
        path = credentials.write(made, self._place, [], self.key.public_key())
        self.made[path.stem] = made
        return path

    def sms(self, octets: bytes, sender: str = NUMBER, *, eight_bit: bool = True, whole: bool = True) -> Sms:
        return Sms(f"c{next(self._names)}", sender, octets, eight_bit, whole)

    def take(self, *messages: Sms) -> list[tuple[str, bytes]]:
        """Have the provider bring messages, and return what was sent until all of them were acknowledged."""

        async def story() -> list[tuple[str, bytes]]:
            for message in messages:
                self.provider.incoming.put_nowait(message)
            serving = asyncio.create_task(self.face.run())
            # On virtual time, it passes only when nothing is left to do.
            await asyncio.sleep(1)
            serving.cancel()
            return self.provider.sent

        self.provider.sent, self.provider.acknowledged = [], []
        sent = run(story())
        assert self.provider.acknowledged == [message.delivery for message in messages]
        return sent

    def alerts(self) -> list[dict[str, Any]]:
        return view.alerts(self.database)


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Desk:
    return Desk(database, tmp_path)


@pytest.fixture
def device(desk: Desk) -> Iterator[Twin]:
    with Twin(desk.enrol(), ("127.0.0.1", 9), bearer="sms") as twin:
        yield twin


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.INFO, "bondmate.gateway"):
        yield caplog


# --- The receipt ---------------------------------------------------------------------------------


def test_an_alert_is_held_and_its_receipt_goes_to_its_number(desk: Desk, device: Twin) -> None:
    record = device.record()
    ((number, octets),) = desk.take(desk.sms(device.sms(compact(record))))
    assert number == NUMBER
    assert device.take_sms(octets) == [device.session, 0, 1, digest(record)[:16], 0]
    (alert,) = desk.alerts()
    assert (alert["record_hex"], alert["bearer"], alert["verdict"]) == (record.hex(), "sms", "held")


def test_a_record_of_an_earlier_session_travels_with_its_session(desk: Desk, device: Twin) -> None:
    record = device.record(session=SESSION)
    ((_, octets),) = desk.take(desk.sms(device.sms(b"\x46" + SESSION + compact(record))))
    assert device.take_sms(octets)[0] == SESSION


def test_a_revoked_device_gets_its_signed_refusal(desk: Desk, device: Twin, database: Database) -> None:
    devices.revoke(database, device.device, now_ms=1)
    ((_, octets),) = desk.take(desk.sms(device.sms(compact(device.record()))))
    assert device.take_sms(octets)[4:] == [2, 1]
    assert desk.alerts() == []


def test_what_is_not_understood_is_held_and_says_so(desk: Desk, device: Twin) -> None:
    unreadable = device.signed(cbor2.dumps([2, "new"]))
    ((_, octets),) = desk.take(desk.sms(device.sms(compact(unreadable))))
    assert device.take_sms(octets) == [device.session, None, None, digest(unreadable)[:16], 1]


def test_each_record_gets_a_receipt_of_its_own_in_whatever_order_they_come(desk: Desk, device: Twin) -> None:
    made = [device.record(sequence=number) for number in range(1, 41)]
    messages = [desk.sms(device.sms(compact(record))) for record in made]
    sent = desk.take(*reversed(messages))
    assert [device.take_sms(octets)[2] for _, octets in sent] == list(range(40, 0, -1))
    assert len(desk.alerts()) == 40


ENTRIES = [
    Entry(SESSION, stream, sequence, b"\xff" * 32, verdict, reason)
    for verdict, reason in (
        (Verdict.HELD, None),
        (Verdict.UNREADABLE, None),
        (Verdict.REFUSED, 1),
        (Verdict.REFUSED, 255),
    )
    for stream, sequence in ((None, None), (0, 1), (15, 2**32 - 1))
]


@pytest.mark.parametrize(("number", "octets"), [(0, 1), (2**24 - 1, 3), (2**40 - 2, 5)])
@pytest.mark.parametrize("entry", ENTRIES)
def test_every_receipt_fits_one_sms(desk: Desk, device: Twin, entry: Entry, number: int, octets: int) -> None:
    bearer = devices.bearer(desk.database, device.kid)
    assert bearer is not None
    channel = oscore.Channel(bearer, device.session, None)
    channel.sender_sequence_number, channel.sender_reserved = number, 2**40
    receipt = receipts.receipt(device.device, entry, 2**32 - 1, desk.key, keys.KEY_ID)
    message = receipt_message(channel, receipt)
    assert device.take_sms(message)[:2] == [SESSION, entry.stream]
    payload = cbor2.loads(receipt).value[2]
    validate_receipt_payload(payload)
    # Counted by hand from docs/protocol.md: header, OSCORE option, marker; code, path, marker, tag; payload, signature.
    option = 1 + octets + 1 + 6 + 1
    around = 4 + (1 if option < 13 else 2) + option + 1 + 1 + 2 + 1 + 8
    assert len(message) == around + len(payload) + 64
    worst = (entry.stream, entry.reason, octets) == (15, 255, 5)
    assert len(message) == 139 if worst else len(message) < 139
    # The other form would not do.
    assert not worst or around + len(receipt) > 140


EIGHT_BIT = [0x04, 0x14, 0x15, 0x16, 0x17, 0x44, 0x54, 0xF4, 0xF5, 0xF6, 0xF7]


@pytest.mark.parametrize("coding", EIGHT_BIT)
def test_eight_bit_data_by_the_table_of_23_038(coding: int) -> None:
    assert is_eight_bit(coding)


@pytest.mark.parametrize(
    "coding", [0x00, 0x08, 0x0C, 0x24, 0x34, 0x64, 0x84, 0xB4, 0xC4, 0xD4, 0xE4, 0xF0, 0xF1, 0xFC, -1, 0x104]
)
def test_text_compressed_data_indications_and_reserved_codings_are_none(coding: int) -> None:
    assert not is_eight_bit(coding)


# --- What gets no answer -------------------------------------------------------------------------


def test_a_message_that_came_twice_gets_one_receipt(desk: Desk, device: Twin, log: pytest.LogCaptureFixture) -> None:
    octets = device.sms(compact(device.record()))
    assert len(desk.take(desk.sms(octets), desk.sms(octets), desk.sms(octets))) == 1
    assert desk.face.tally.totals == {Ignored.REPLAY: 2}
    assert len([each for each in log.messages if "it came before" in each]) == 1
    assert len(desk.alerts()) == 1


def test_a_record_sent_again_gets_its_receipt_again(desk: Desk, device: Twin) -> None:
    record = compact(device.record())
    sent = desk.take(desk.sms(device.sms(record)), desk.sms(device.sms(record), "4917000043"))
    assert [number for number, _ in sent] == [NUMBER, "4917000043"]
    first, again = (device.take_sms(octets) for _, octets in sent)
    assert first == again
    assert len(desk.alerts()) == 1


def test_what_is_no_protected_message_gets_nothing(desk: Desk, device: Twin, log: pytest.LogCaptureFixture) -> None:
    good = device.sms(compact(device.record()))
    unprotected = plain(aiocoap.POST, ("r",), compact(device.record()))
    altered = good[:-1] + bytes([good[-1] ^ 1])
    taken = desk.take(
        desk.sms(b"Your parcel is on its way", eight_bit=False),
        desk.sms(good, whole=False),
        desk.sms(good + bytes(141 - len(good))),
        desk.sms(b""),
        desk.sms(b"\xff" * 140),
        desk.sms(unprotected[:140]),
        desk.sms(altered),
    )
    assert taken == []
    assert desk.face.tally.totals == {
        Ignored.TEXT: 1,
        Ignored.HEADER: 1,
        Ignored.LENGTH: 1,
        Ignored.NO_COAP: 2,
        Ignored.UNVERIFIED: 2,
    }
    assert desk.alerts() == []
    assert NUMBER not in log.text
    # None of them used up the number of the one that was meant.
    assert len(desk.take(desk.sms(good))) == 1


def test_what_is_authentic_and_no_submission_gets_nothing(desk: Desk, device: Twin) -> None:
    for octets in (device.sms(b"", ("x",)), device.sms(b"", ("r",), aiocoap.GET), device.sms(b"")):
        assert desk.take(desk.sms(octets)) == []
    assert desk.face.tally.totals == {Ignored.NO_SUBMISSION: 3}


def test_a_datagram_of_another_bearer_is_held_and_sends_nothing(desk: Desk) -> None:
    with Twin(desk.enrol(), ("127.0.0.1", 9), bearer="ip") as twin:
        assert desk.take(desk.sms(twin.sms(compact(twin.record())))) == []
    assert desk.face.tally.totals == {Ignored.UNANSWERED_KID: 1}
    found = desk.database.rows("SELECT sms_number FROM mailbox WHERE sms_number IS NOT NULL")
    assert found == [], "whoever sent it on gets no wake-up"
    assert len(desk.alerts()) == 1


@pytest.mark.parametrize("sender", ["", "VODAFONE", "12", "+49 170", "+" + "4" * 21, "\uff11\uff12\uff13", "+49\n170"])
def test_an_alert_of_a_sender_without_a_number_is_held(
    desk: Desk, device: Twin, sender: str, log: pytest.LogCaptureFixture
) -> None:
    assert desk.take(desk.sms(device.sms(compact(device.record())), sender)) == []
    assert desk.face.tally.totals == {Ignored.UNANSWERED_SENDER: 1}
    assert len(desk.alerts()) == 1
    assert all(message.isprintable() for message in log.messages)


def test_a_kind_of_what_is_ignored_is_told_once_a_minute() -> None:
    tally = Tally()
    told = [tally.count(Ignored.TEXT, now_s) for now_s in (0.0, 1.0, 59.9, 60.0, 61.0, 200.0)]
    assert told == [1, 0, 0, 3, 0, 2]
    assert tally.count(Ignored.REPLAY, 201.0) == 1


def noise(good: bytes, random: bytes) -> Iterator[bytes]:
    yield random
    yield random[:4] + good[4:]
    yield good[: len(good) - 1 - random[0]]
    at = random[0] % len(good)
    yield good[:at] + random[1:3] + good[at + 2 :]
    yield good[:at] + random[1 : 1 + random[1] % 20] + good[at:]


def what_is_protected(octets: bytes) -> object:
    """OSCORE protects no more than this: another id, a token, or an option that nobody knows spoils nothing."""
    try:
        message = Message.decode(octets)
    except (coap_error.UnparsableMessage, ValueError):
        return None
    return message.opt.oscore, message.payload


def test_thousands_of_spoilt_messages_raise_nothing_and_store_nothing(desk: Desk, device: Twin) -> None:
    good = device.sms(compact(device.record()))
    whole = what_is_protected(good)
    every = (each for _ in range(600) for each in noise(good, secrets.token_bytes(140)))
    spoilt = [each for each in every if what_is_protected(each) != whole]
    assert desk.take(*(desk.sms(each) for each in spoilt)) == []
    assert sum(desk.face.tally.totals.values()) == len(spoilt) > 2000
    assert desk.alerts() == []
    ((_, octets),) = desk.take(desk.sms(good))
    assert device.take_sms(octets)[4] == 0


@given(submission=st.binary(max_size=110))
def test_whatever_an_authentic_device_sends_raises_nothing(one_database: Database, submission: bytes) -> None:
    desk = one_desk(one_database)
    with Twin(desk.enrol(), ("127.0.0.1", 9), bearer="sms") as twin:
        sent = desk.take(desk.sms(twin.sms(submission)))
        assert [twin.take_sms(octets)[4] for _, octets in sent] in ([], [1])


def one_desk(database: Database) -> Desk:
    (row,) = database.rows("PRAGMA database_list")
    place = Path(row[2]).parent / secrets.token_hex(4)
    place.mkdir()
    return Desk(database, place)


# --- Providers -----------------------------------------------------------------------------------


def test_what_cannot_be_stored_comes_again_and_gets_its_receipt_then(desk: Desk, device: Twin) -> None:
    message = desk.sms(device.sms(compact(device.record())))
    failing = [True]
    desk.database._connection.set_commit_hook(lambda: failing[0])

    async def story() -> None:
        desk.provider.incoming.put_nowait(message)
        serving = asyncio.create_task(desk.face.run())
        await eventually(lambda: len(desk.provider.connected_at) == 2, "another connection")
        assert desk.provider.acknowledged == []
        failing[0] = False
        desk.provider.incoming.put_nowait(message)
        await eventually(lambda: desk.provider.sent, "the receipt")
        serving.cancel()

    run(story())
    assert desk.provider.acknowledged == [message.delivery]
    assert device.take_sms(desk.provider.sent[0][1])[4] == 0


def test_a_message_that_trips_the_gateway_holds_up_no_other(
    desk: Desk, device: Twin, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    taking = itertools.count()
    take = Inbox.take

    def trips_once(inbox: Inbox, *arguments: Any, by_sms: bool) -> Any:
        if next(taking) == 0:
            raise RuntimeError("a bug")
        return take(inbox, *arguments, by_sms=by_sms)

    monkeypatch.setattr(Inbox, "take", trips_once)
    messages = [desk.sms(device.sms(compact(device.record(sequence=number)))) for number in (1, 2)]
    ((_, octets),) = desk.take(*messages)
    assert device.take_sms(octets)[2] == 2
    assert len(desk.provider.connected_at) == 1
    assert any("which is dropped; report this" in message for message in log.messages)


def test_a_provider_that_cannot_be_reached_is_tried_with_growing_waits(
    desk: Desk, log: pytest.LogCaptureFixture
) -> None:
    kinds = itertools.cycle([SmsError, OSError, RuntimeError])
    desk.provider.fails = lambda: next(kinds)("it is gone; start it")

    async def story() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(250):
                await desk.face.run()

    run(story())
    begun = desk.provider.connected_at[0]
    assert [at - begun for at in desk.provider.connected_at] == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]
    told = "SMS: the provider of the test failed: it is gone; start it; trying again in "
    assert [told + wait for wait in ("1 s", "2 s", "8 s", "16 s")] == [each for each in log.messages if told in each][
        :4
    ]
    assert log.messages.count("SMS: an error of the gateway's own; report this") == 3


def test_a_connection_that_lasted_is_made_again_soon(desk: Desk) -> None:
    lasting = itertools.count()

    async def receive() -> Sms:
        await asyncio.sleep(100 if next(lasting) % 3 == 2 else 0)
        raise SmsError("it ended")

    desk.provider.receive = receive  # type: ignore[method-assign]

    async def story() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(230):
                await desk.face.run()

    run(story())
    begun = desk.provider.connected_at[0]
    assert [at - begun for at in desk.provider.connected_at] == [0, 1, 3, 104, 106, 110, 211, 213, 217]


def test_a_provider_that_does_not_answer_is_left_and_nothing_is_sent_twice(desk: Desk, device: Twin) -> None:
    first, second = (desk.sms(device.sms(compact(device.record(sequence=number)))) for number in (1, 2))
    desk.provider.answers = lambda: len(desk.provider.sent) != 1

    async def story() -> None:
        serving = asyncio.create_task(desk.face.run())
        desk.provider.incoming.put_nowait(first)
        desk.provider.incoming.put_nowait(second)
        await asyncio.sleep(2 * Timing().answer_s)
        serving.cancel()

    run(story())
    assert len(desk.provider.connected_at) == 2
    assert [device.take_sms(octets)[2] for _, octets in desk.provider.sent] == [1, 2]


def test_a_receipt_that_is_refused_holds_up_no_other(desk: Desk, device: Twin, log: pytest.LogCaptureFixture) -> None:
    async def send(number: str, octets: bytes) -> None:
        desk.provider.sent.append((number, octets))
        raise SmsRefusedError("'no credit'")

    desk.provider.send = send  # type: ignore[method-assign]
    messages = [desk.sms(device.sms(compact(device.record(sequence=number)))) for number in (1, 2)]
    assert len(desk.take(*messages)) == 2
    assert log.messages.count("SMS: a receipt to …042 was refused: 'no credit'; the device will ask again") == 2
    assert len(desk.provider.connected_at) == 1


def test_receipts_that_wait_for_a_provider_are_bounded(desk: Desk, device: Twin, monkeypatch: Any) -> None:
    monkeypatch.setattr(sms, "_MAX_WAITING", 3)
    desk.face = SmsFace(Inbox(desk.database, desk.key, desk.key), Pushes(), desk.provider)
    desk.provider.answers = lambda: False
    messages = [desk.sms(device.sms(compact(device.record(sequence=number)))) for number in range(1, 10)]
    assert len(desk.take(*messages)) == 1
    assert desk.face.tally.totals[Ignored.UNANSWERED_FULL] >= 5
    assert len(desk.alerts()) == 9
