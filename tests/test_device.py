"""The device's promises on a virtual loop: what is felt, when, and what changes it. Adapters here obey the test."""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from bondmate import wire
from bondmate.core.delivery import Delivery, DeliveryPolicy
from bondmate.cose import KeySigner, sign1
from bondmate.device import Device, Parts, supervise
from bondmate.errors import LinkError, LocalError, RemoteError, StoreError, UnauthorizedError
from bondmate.faults import Faults
from bondmate.recorder import Recorder
from bondmate.records import (
    ClockSource,
    DeviceId,
    Fix,
    Head,
    History,
    Kind,
    SessionId,
    SignedRecord,
    StoredRecord,
    Stream,
    UtcTime,
)
from tests.virtual import run

DEVICE = DeviceId(bytes.fromhex("7f3a09c1"))
SESSION = SessionId(bytes.fromhex("00125be2aa10"))
EARLIER = SessionId(bytes.fromhex("0011aaaaaaaa"))
DEVICE_KEY = KeySigner(ec.generate_private_key(ec.SECP256R1()))
GATEWAY_PRIVATE = ec.generate_private_key(ec.SECP256R1())
GATEWAY_KEY = KeySigner(GATEWAY_PRIVATE)
HOLD_S = 1.0
UTC_MS = 1_900_000_000_000


def receipt(
    record: SignedRecord,
    *,
    key: KeySigner = GATEWAY_KEY,
    digest: bytes | None = None,
    sequence: int | None = None,
    verdict: list[int] | None = None,
) -> bytes:
    entry: list[Any] = [
        record.id.session.octets,
        int(record.id.stream),
        sequence or record.id.sequence,
        digest or record.digest,
        *(verdict or [0]),
    ]
    return sign1(cbor2.dumps([1, UTC_MS // 1000, [entry]]), wire.receipt_aad(DEVICE), key)


@dataclass
class TestOutbox:
    """Keeps what it is given, after as long as the test says, or fails."""

    __test__ = False

    takes_s: float = 0.0
    failure: StoreError | None = None
    closed_for_s: float = 0.0
    earlier: list[SignedRecord] = field(default_factory=list)
    alert: list[StoredRecord] = field(default_factory=list)
    committed: dict[bytes, float] = field(default_factory=dict)
    receipts: dict[bytes, bytes] = field(default_factory=dict)

    async def _work(self) -> None:
        await asyncio.sleep(self.takes_s)
        if self.failure is not None:
            raise self.failure

    async def history(self) -> History:
        return History({})

    async def add(self, record: SignedRecord, _stored_at_ms: int | None) -> None:
        await self._work()
        self.committed[record.digest] = asyncio.get_running_loop().time()

    async def mark_delivered(self, digest: bytes, message: bytes, _delivered_at_ms: int | None) -> None:
        await self._work()
        self.receipts.setdefault(digest, message)

    async def open(self) -> bool:
        if self.closed_for_s > 0:
            await asyncio.sleep(self.closed_for_s)
            self.closed_for_s = 0
            return True
        return False

    async def pending(self) -> list[StoredRecord]:
        await self._work()
        return [StoredRecord(one, None, delivered=False, delivered_at_ms=None) for one in self.earlier]

    async def latest_alert(self) -> list[StoredRecord]:
        return self.alert


Answer = Callable[[SignedRecord], Awaitable[bytes]]


class TestBearer:
    """Answers as the test says; by default with a true receipt."""

    __test__ = False
    name = "ip"
    session = SESSION
    why_not: str | None = None
    last_success_s: float | None = None

    def __init__(self) -> None:
        self.sent: list[tuple[float, bytes]] = []
        self.made: dict[bytes, SignedRecord] = {}
        self.answer: Answer = self.hold

    async def hold(self, record: SignedRecord) -> bytes:
        return receipt(record)

    async def send(self, submission: bytes) -> bytes:
        self.sent.append((asyncio.get_running_loop().time(), submission))
        record = next(record for data, record in self.made.items() if submission.endswith(data))
        return await self.answer(record)

    def sent_of(self, kind: Kind) -> list[tuple[float, bytes]]:
        return [one for one in self.sent if any(one[1].endswith(d) for d, r in self.made.items() if r.kind is kind)]


class Palm:
    """What the motor did: rises and falls with their times."""

    def __init__(self) -> None:
        self.rises: list[float] = []
        self.pulses: list[float] = []
        self._on = False

    def vibrate(self, on: bool) -> None:
        now = asyncio.get_running_loop().time()
        if on and not self._on:
            self.rises.append(now)
        if not on and self._on:
            self.pulses.append(round(now - self.rises[-1], 3))
        self._on = on

    def light(self, on: bool) -> None:
        pass


@dataclass
class Place:
    fix: Fix | None = None
    fault: str | None = None


STORED, DELIVERED, COULD_NOT_STORE = [0.4], [0.12, 0.12], [0.08] * 5


@dataclass
class World:
    """A device and everything around it, running."""

    device: Device
    outbox: TestOutbox
    bearer: TestBearer
    palm: Palm
    place: Place
    faults: Faults

    async def press(self) -> float:
        """Hold the button; returns when the hold was recognised."""
        loop = asyncio.get_running_loop()
        self.device.on_edge(True, loop.time())
        await asyncio.sleep(HOLD_S)
        recognized = loop.time()
        self.device.on_edge(False, loop.time())
        return recognized

    def record(self, kind: Kind) -> SignedRecord:
        return [record for record in self.bearer.made.values() if record.kind is kind][-1]


@asynccontextmanager
async def running(
    outbox: TestOutbox | None = None,
    *,
    utc: bool = True,
    history: History | None = None,
    answer: Answer | None = None,
) -> Any:
    loop = asyncio.get_running_loop()
    bearer, palm, place, faults = TestBearer(), Palm(), Place(), Faults()
    bearer.answer = answer or bearer.hold
    outbox = outbox or TestOutbox()
    recorder = Recorder(DEVICE, SESSION, DEVICE_KEY, history or History({}), loop.time())
    make = recorder.make

    def watched(*arguments: Any, **named: Any) -> SignedRecord:
        record = make(*arguments, **named)
        bearer.made[record.data] = record
        return record

    recorder.make = watched  # type: ignore[method-assign]
    bearer.made.update({record.data: record for record in outbox.earlier})
    device = Device(
        Parts(
            recorder=recorder,
            outbox=outbox,
            bearers=(bearer,),
            locator=place,
            indicator=palm,
            delivery=Delivery(DeliveryPolicy(), ("ip",), random.Random(1)),
            gateway_keys={b"\1": GATEWAY_PRIVATE.public_key()},
            hold_s=HOLD_S,
            store_deadline_s=0.5,
            system_utc_ms=(lambda: UTC_MS) if utc else None,
            faults=faults,
        )
    )
    armed = asyncio.Event()
    task = asyncio.ensure_future(device.run(armed.set))
    await armed.wait()
    await asyncio.sleep(0.5)
    yield World(device, outbox, bearer, palm, place, faults)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_stored_is_felt_only_after_the_commit_returned() -> None:
    async def story() -> None:
        async with running(TestOutbox(takes_s=0.3)) as world:
            recognized = await world.press()
            await asyncio.sleep(5)
            committed = world.outbox.committed[world.record(Kind.PANIC).digest]
            assert committed == pytest.approx(recognized + 0.3)
            assert world.palm.rises[0] >= committed
            assert world.palm.pulses == STORED + DELIVERED

    run(story())


@pytest.mark.parametrize("outbox", [TestOutbox(takes_s=8.0), TestOutbox(failure=StoreError("disk full"))])
def test_an_alert_that_cannot_be_stored_is_sent_from_memory_and_the_officer_is_told(outbox: TestOutbox) -> None:
    async def story() -> None:
        async with running(outbox) as world:
            recognized = await world.press()
            await asyncio.sleep(3)
            assert world.palm.pulses[:5] == COULD_NOT_STORE
            assert world.palm.rises[0] <= recognized + 0.5 + 0.01, "no later than the store's deadline"
            [(sent_s, _)] = world.bearer.sent_of(Kind.PANIC)
            assert sent_s <= recognized + 0.5 + 0.01
            assert "store" in world.faults
            assert world.palm.pulses[5:7] == DELIVERED, "a verified receipt still makes it delivered"
            assert world.device.alert.state == "delivered"

    run(story())


def test_a_late_commit_makes_it_stored() -> None:
    async def story() -> None:
        async with running(TestOutbox(takes_s=2.0)) as world:
            world.bearer.answer = silence
            await world.press()
            await asyncio.sleep(1)
            assert world.device.alert.state == "raised"
            await asyncio.sleep(3)
            assert world.device.alert.state == "stored"
            assert world.palm.pulses == COULD_NOT_STORE + STORED

    run(story())


async def silence(_record: SignedRecord) -> bytes:
    await asyncio.Event().wait()
    raise AssertionError


STRANGER = KeySigner(ec.generate_private_key(ec.SECP256R1()))
REFUSED_RECEIPTS: dict[str, Callable[[SignedRecord], bytes]] = {
    "a stranger's key": lambda record: receipt(record, key=STRANGER),
    "the device's own key": lambda record: receipt(record, key=DEVICE_KEY),
    "another digest": lambda record: receipt(record, digest=bytes(16)),
    "another sequence": lambda record: receipt(record, sequence=record.id.sequence + 1),
    "no receipt": lambda _: b"",
    "garbage": lambda _: b"\xd2\x84\x00",
    "cut short": lambda record: receipt(record)[:-1],
    "for another device": lambda record: sign1(
        cbor2.dumps([1, 0, [[record.id.session.octets, 0, record.id.sequence, record.digest, 0]]]),
        wire.receipt_aad(DeviceId(bytes(4))),
        GATEWAY_KEY,
    ),
    "an unknown verdict": lambda record: receipt(record, verdict=[3]),
    "a later version": lambda record: sign1(
        cbor2.dumps([2, 0, [[record.id.session.octets, 0, record.id.sequence, record.digest, 0]]]),
        wire.receipt_aad(DEVICE),
        GATEWAY_KEY,
    ),
}


@pytest.mark.parametrize("forge", REFUSED_RECEIPTS.values(), ids=REFUSED_RECEIPTS.keys())
def test_only_a_receipt_that_verifies_and_matches_makes_it_delivered(forge: Callable[[SignedRecord], bytes]) -> None:
    async def story() -> None:
        async with running() as world:

            async def answer(record: SignedRecord) -> bytes:
                return forge(record)

            world.bearer.answer = answer
            await world.press()
            await asyncio.sleep(60)
            assert world.device.alert.state == "stored"
            assert world.palm.pulses == STORED
            assert world.outbox.receipts.keys() & {world.record(Kind.PANIC).digest} == set()
            assert len(world.bearer.sent_of(Kind.PANIC)) >= 4, "it is tried again and again"
            world.bearer.answer = world.bearer.hold
            await asyncio.sleep(60)
            assert world.palm.pulses == STORED + DELIVERED

    run(story())


def test_a_receipt_that_comes_by_itself_counts_and_repeats_change_nothing() -> None:
    async def story() -> None:
        async with running() as world:
            world.bearer.answer = silence
            await world.press()
            await asyncio.sleep(1)
            record = world.record(Kind.PANIC)
            for _ in range(3):
                world.device.take_receipt(receipt(record))
                await asyncio.sleep(3)
            assert world.palm.pulses == STORED + DELIVERED
            assert (
                world.outbox.receipts[record.digest]
                == receipt(record)[:-64] + world.outbox.receipts[record.digest][-64:]
            )
            with pytest.raises(RemoteError):
                world.device.take_receipt(receipt(record, key=STRANGER))

    run(story())


def test_a_compact_receipt_counts_too() -> None:
    async def story() -> None:
        async with running() as world:
            world.bearer.answer = silence
            await world.press()
            await asyncio.sleep(1)
            _, _, payload, signature = cbor2.loads(receipt(world.record(Kind.PANIC))).value
            world.device.take_receipt(payload + signature)
            await asyncio.sleep(3)
            assert world.device.alert.state == "delivered"

    run(story())


def test_held_unreadable_is_delivered_and_reported() -> None:
    async def story() -> None:
        async with running() as world:
            world.bearer.answer = lambda record: _later(receipt(record, verdict=[1]))
            await world.press()
            await asyncio.sleep(3)
            assert world.palm.pulses == STORED + DELIVERED
            assert "unreadable" in world.faults

    run(story())


def test_a_signed_refusal_ends_the_tries_is_reported_and_is_not_felt_as_delivered() -> None:
    async def story() -> None:
        async with running() as world:
            world.bearer.answer = lambda record: _later(receipt(record, verdict=[2, 1]))
            await world.press()
            await asyncio.sleep(600)
            assert world.palm.pulses == STORED + COULD_NOT_STORE, "the officer must know that nobody comes"
            assert len(world.bearer.sent_of(Kind.PANIC)) == 1
            assert "refused" in world.faults
            assert world.record(Kind.PANIC).digest not in world.outbox.receipts, "kept: the next session tries again"

    run(story())


async def _later(data: bytes) -> bytes:
    return data


def test_after_an_hour_without_network_it_is_delivered_soon_after_the_network_is_back() -> None:
    async def story() -> None:
        async with running() as world:

            async def dead(_record: SignedRecord) -> bytes:
                raise LinkError("no route")

            world.bearer.answer = dead
            await world.press()
            await asyncio.sleep(3600)
            tries = len(world.bearer.sent_of(Kind.PANIC))
            policy = DeliveryPolicy()
            assert 3600 / (policy.alert_cap_s * (1 + policy.jitter)) - 8 <= tries <= 700
            world.bearer.answer = world.bearer.hold
            await asyncio.sleep(policy.alert_cap_s * (1 + policy.jitter) + 1)
            assert world.device.alert.state == "delivered"

    run(story())


def test_a_routine_exchange_that_gets_no_answer_does_not_hold_an_alert_up() -> None:
    async def story() -> None:
        async with running() as world:

            async def answer(record: SignedRecord) -> bytes:
                return await (silence(record) if record.kind is Kind.POSITION else world.bearer.hold(record))

            world.bearer.answer = answer
            await world.press()
            await asyncio.sleep(2)
            world.device.on_fix(fix_at(asyncio.get_running_loop().time()))
            await asyncio.sleep(1)
            assert len(world.bearer.sent_of(Kind.POSITION)) == 1
            recognized = await world.press()
            await asyncio.sleep(1)
            assert world.bearer.sent_of(Kind.PANIC)[-1][0] - recognized < 0.1
            assert world.device.alert.state == "delivered"

    run(story())


def test_a_bearer_that_hangs_for_ever_does_not_strand_an_alert() -> None:
    async def story() -> None:
        async with running() as world:
            answers = itertools.chain([silence], itertools.repeat(world.bearer.hold))

            async def answer(record: SignedRecord) -> bytes:
                answered: bytes = await next(answers)(record)
                return answered

            world.bearer.answer = answer
            await world.press()
            await asyncio.sleep(60)
            first, second = (sent_s for sent_s, _ in world.bearer.sent_of(Kind.PANIC))
            policy = DeliveryPolicy()
            assert policy.attempt_s < second - first < policy.attempt_s + 2 * policy.backoff_s
            assert world.device.alert.state == "delivered"

    run(story())


def fix_at(taken_s: float, lat: float = 38.7) -> Fix:
    return Fix(taken_s=taken_s, lat=lat, lon=-9.1, mode=3, hdop=0.9, satellites=9)


def test_an_alert_takes_the_fix_it_has_and_one_newer_position_follows() -> None:
    async def story() -> None:
        async with running() as world:
            loop = asyncio.get_running_loop()
            world.place.fix = fix_at(loop.time() - 300, lat=1.0)
            await world.press()
            payload = cbor2.loads(cbor2.loads(world.record(Kind.PANIC).data).value[2])
            assert payload[6][:4] == (10_000_000).to_bytes(4), "an old fix is better than none"
            world.device.on_fix(fix_at(loop.time() - 60))
            await asyncio.sleep(1)
            assert world.bearer.sent_of(Kind.POSITION) == [], "taken before the press"
            for _ in range(5):
                world.device.on_fix(fix_at(loop.time()))
                await asyncio.sleep(1)
            assert len(world.bearer.sent_of(Kind.POSITION)) == 1

    run(story())


def test_without_an_alert_no_position_is_recorded() -> None:
    async def story() -> None:
        async with running() as world:
            world.device.on_fix(fix_at(asyncio.get_running_loop().time()))
            await asyncio.sleep(5)
            assert [record.kind for record in world.bearer.made.values()] == [Kind.OPENING]

    run(story())


def test_an_anchor_is_recorded_once_utc_becomes_known() -> None:
    async def story() -> None:
        async with running(utc=False) as world:
            loop = asyncio.get_running_loop()
            clock = UtcTime(UTC_MS, ClockSource.GNSS, 500)
            assert world.device.utc(loop.time()) is None
            world.device.on_fix(fix_at(loop.time()))
            world.device._gnss_clock.utc = lambda _now: clock
            for _ in range(3):
                world.device.on_fix(fix_at(loop.time()))
            await asyncio.sleep(1)
            anchors = [record for record in world.bearer.made.values() if record.kind is Kind.ANCHOR]
            assert len(anchors) == 1
            payload = cbor2.loads(cbor2.loads(anchors[0].data).value[2])
            assert payload[5][:4] == (UTC_MS // 1000).to_bytes(4)
            assert len(payload) == 7

    run(story())


def test_what_an_earlier_session_left_is_sent_with_its_session_beside_it() -> None:
    async def story() -> None:
        earlier = Recorder(DEVICE, EARLIER, DEVICE_KEY, History({}), 0.0).make(Kind.PANIC, 1.0, None)
        outbox = TestOutbox(
            earlier=[earlier], alert=[StoredRecord(earlier, None, delivered=False, delivered_at_ms=None)]
        )
        history = History({Stream.ALERT: Head(EARLIER, 1, earlier.digest)})
        async with running(outbox, history=history) as world:
            await asyncio.sleep(2)
            [(_, submission)] = world.bearer.sent_of(Kind.PANIC)
            assert submission == b"\x46" + EARLIER.octets + earlier.data
            assert world.device.alert.state == "delivered"
            assert world.palm.pulses == DELIVERED
            opening = cbor2.loads(cbor2.loads(world.record(Kind.OPENING).data).value[2])
            assert opening[7] == [[0, EARLIER.octets, 1, earlier.digest]]
            await world.press()
            alert = cbor2.loads(cbor2.loads(world.record(Kind.PANIC).data).value[2])
            assert alert[3] == earlier.digest[:4], "the chain runs on across sessions"

    run(story())


def test_a_store_that_fails_while_resuming_does_not_keep_the_device_from_being_armed() -> None:
    async def story() -> None:
        async with running(TestOutbox(takes_s=100.0)) as world:
            assert "store" in world.faults
            await world.press()
            await asyncio.sleep(2)
            assert len(world.bearer.sent_of(Kind.PANIC)) == 1

    run(story())


def left_behind() -> tuple[SignedRecord, TestOutbox]:
    """An alert of an earlier session without a receipt, and the outbox that has it."""
    earlier = Recorder(DEVICE, EARLIER, DEVICE_KEY, History({}), 0.0).make(Kind.PANIC, 1.0, None)
    kept = StoredRecord(earlier, None, delivered=False, delivered_at_ms=None)
    return earlier, TestOutbox(earlier=[earlier], alert=[kept])


def test_a_store_that_opens_late_is_taken_up_when_it_does() -> None:
    async def story() -> None:
        earlier, outbox = left_behind()
        outbox.closed_for_s = 30.0
        async with running(outbox) as world:
            assert world.bearer.sent_of(Kind.PANIC) == []
            await asyncio.sleep(40)
            [(_, submission)] = world.bearer.sent_of(Kind.PANIC)
            assert submission.endswith(earlier.data)
            assert world.device.alert.state == "delivered"

    run(story())


def test_what_could_not_be_stored_is_stored_as_soon_as_that_is_possible() -> None:
    async def story() -> None:
        outbox = TestOutbox(failure=StoreError("disk full"))
        async with running(outbox) as world:
            world.bearer.answer = silence
            await world.press()
            await asyncio.sleep(5)
            assert world.device.alert.state == "raised"
            assert "store" in world.faults
            outbox.failure = None
            await asyncio.sleep(5)
            assert world.device.alert.state == "stored"
            assert world.record(Kind.PANIC).digest in outbox.committed
            assert world.device.parts.delivery.unstored() == []
            assert "store" not in world.faults
            assert world.palm.pulses == COULD_NOT_STORE + STORED

    run(story())


def test_a_store_that_was_opened_anew_gets_what_the_old_one_had() -> None:
    async def story() -> None:
        outbox = TestOutbox()
        async with running(outbox, answer=silence) as world:
            await world.press()
            await asyncio.sleep(3)
            digest = world.record(Kind.PANIC).digest
            del outbox.committed[digest]  # a damaged file was set aside
            outbox.closed_for_s = 0.1
            await asyncio.sleep(5)
            assert digest in outbox.committed
            assert world.palm.pulses == STORED, "and nothing is felt of that"

    run(story())


def test_an_alert_delivered_before_it_could_be_stored_is_stored_with_its_receipt() -> None:
    async def story() -> None:
        outbox = TestOutbox(failure=StoreError("disk full"))

        async with running(outbox) as world:

            async def answer(record: SignedRecord) -> bytes:
                outbox.failure = None
                return receipt(record)

            world.bearer.answer = answer
            await world.press()
            await asyncio.sleep(5)
            digest = world.record(Kind.PANIC).digest
            assert digest in outbox.committed
            assert digest in outbox.receipts
            assert world.palm.pulses == COULD_NOT_STORE + DELIVERED

    run(story())


def test_the_receipt_of_an_older_alert_is_not_felt_as_that_of_the_newest() -> None:
    async def story() -> None:
        earlier, outbox = left_behind()
        async with running(outbox, answer=silence) as world:
            await world.press()
            await asyncio.sleep(2)
            world.device.take_receipt(receipt(earlier))
            await asyncio.sleep(3)
            assert world.palm.pulses == STORED
            assert earlier.digest in outbox.receipts
            world.device.take_receipt(receipt(world.record(Kind.PANIC)))
            await asyncio.sleep(3)
            assert world.palm.pulses == STORED + DELIVERED

    run(story())


def test_a_fresh_press_goes_out_at_once_though_older_alerts_get_no_answer() -> None:
    async def story() -> None:
        async with running() as world:
            world.bearer.answer = silence
            for _ in range(10):
                recognized = await world.press()
                await asyncio.sleep(30)
                mine = [sent_s for sent_s, data in world.bearer.sent if data.endswith(world.record(Kind.PANIC).data)]
                assert mine, "it was sent"
                assert mine[0] - recognized <= DeliveryPolicy().attempt_s
            answered = world.bearer.hold
            world.bearer.answer = answered
            await asyncio.sleep(60)
            assert world.device.alert.state == "delivered"

    run(story())


def test_a_bearer_that_fails_in_an_unknown_way_costs_one_attempt_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with running() as world:

            async def broken(_record: SignedRecord) -> bytes:
                raise IndexError("out of range")

            world.bearer.answer = broken
            await world.press()
            await asyncio.sleep(3)
            assert "the bearer ip failed" in caplog.text
            world.bearer.answer = world.bearer.hold
            await asyncio.sleep(10)
            assert world.device.alert.state == "delivered"

    run(story())


def test_a_new_session_of_the_channel_is_used_at_once_and_the_record_keeps_its_own() -> None:
    async def story() -> None:
        async with running() as world:
            ahead = SessionId(bytes.fromhex("1012bbbbbbbb"))

            async def refuse(_record: SignedRecord) -> bytes:
                if len(world.bearer.sent_of(Kind.PANIC)) == 6:
                    world.bearer.session = ahead
                    world.bearer.answer = world.bearer.hold
                raise UnauthorizedError("4.01")

            world.bearer.answer = refuse
            await world.press()
            await asyncio.sleep(100)
            *_, (refused_s, _), (sent_s, submission) = world.bearer.sent_of(Kind.PANIC)
            assert sent_s == refused_s, "no backoff after the way was changed"
            assert submission == b"\x46" + SESSION.octets + world.record(Kind.PANIC).data
            assert world.device.alert.state == "delivered"

    run(story())


def test_when_a_way_works_again_everything_that_waits_is_tried_at_once() -> None:
    async def story() -> None:
        async with running() as world:
            up = False

            async def answer(record: SignedRecord) -> bytes:
                if not up:
                    world.bearer.why_not = "no route"
                    raise LinkError("no route")
                world.bearer.why_not = None
                return receipt(record)

            world.bearer.answer = answer
            for _ in range(3):
                await world.press()
                await asyncio.sleep(20)
            await asyncio.sleep(600)
            up = True
            before = len(world.bearer.sent)
            policy = DeliveryPolicy()
            await asyncio.sleep(policy.alert_cap_s * (1 + policy.jitter))
            times = [sent_s for sent_s, _ in world.bearer.sent[before:]]
            assert len(times) == 3
            assert times[2] - times[0] < 0.1

    run(story())


@pytest.mark.parametrize(("located", "positions"), [(False, 1), (True, 0)])
def test_after_a_restart_a_position_still_follows_an_alert_that_has_none(located: bool, positions: int) -> None:
    async def story() -> None:
        _, outbox = left_behind()
        if located:
            position = Recorder(DEVICE, EARLIER, DEVICE_KEY, History({}), 0.0).make(Kind.POSITION, 2.0, None)
            outbox.alert.append(StoredRecord(position, None, delivered=True, delivered_at_ms=None))
        async with running(outbox) as world:
            for _ in range(3):
                world.device.on_fix(fix_at(asyncio.get_running_loop().time()))
                await asyncio.sleep(1)
            assert len(world.bearer.sent_of(Kind.POSITION)) == positions

    run(story())


def test_a_cancellation_names_the_alert_and_both_are_kept() -> None:
    async def story() -> None:
        async with running() as world:
            with pytest.raises(LocalError, match="no alert is open"):
                world.device.cancel_alert()
            await world.press()
            await asyncio.sleep(1)
            alert = world.record(Kind.PANIC)
            world.device.cancel_alert()
            await asyncio.sleep(1)
            payload = cbor2.loads(cbor2.loads(world.record(Kind.CANCELLATION).data).value[2])
            assert payload[7] == alert.digest[:8]
            assert payload[2:4] == [2, alert.digest[:4]]
            assert world.device.alert.state == "cancelled"
            assert len(world.bearer.sent_of(Kind.CANCELLATION)) == 1
            world.device.on_fix(fix_at(asyncio.get_running_loop().time()))
            await asyncio.sleep(1)
            assert world.bearer.sent_of(Kind.POSITION) == []

    run(story())


def test_a_fault_of_the_receiver_is_reported_and_goes() -> None:
    async def story() -> None:
        async with running() as world:
            world.place.fault = "unplugged"
            await asyncio.sleep(2)
            assert "gnss" in world.faults
            world.place.fault = None
            await asyncio.sleep(2)
            assert "gnss" not in world.faults

    run(story())


def test_a_part_that_fails_is_started_again_alone_with_growing_waits(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        faults, starts = Faults(), []

        async def part() -> None:
            starts.append(loop.time())
            if len(starts) == 3:
                assert "part" not in faults, "the fault goes with the restart"
            raise OSError("the card is gone")

        supervisor = asyncio.ensure_future(supervise("part", part, faults))
        await asyncio.sleep(0.5)
        assert "part" in faults
        await asyncio.sleep(100)
        supervisor.cancel()
        waits = [later - earlier for earlier, later in itertools.pairwise(starts)]
        assert waits[:4] == [1.0, 2.0, 4.0, 8.0]
        assert max(waits) == 30.0
        assert "the card is gone" in caplog.text

    run(story())


def test_an_error_in_the_delivery_core_ends_the_device() -> None:
    """Systemd starts it again; going on without the core would be a dead button that looks alive."""

    async def story() -> None:
        with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012 - the context manager is what raises
            async with running() as world:

                def broken(_now: float) -> None:
                    raise ZeroDivisionError

                world.device.parts.delivery.poll = broken
                await world.press()
                await asyncio.sleep(5)
        assert caught.group_contains(ZeroDivisionError)

    run(story())
