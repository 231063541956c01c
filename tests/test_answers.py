"""What the gateway's receipts change, on virtual time: only what verifies and matches, and of what it is felt."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from bondmate import wire
from bondmate.cose import KeySigner, sign1
from bondmate.errors import RemoteError
from bondmate.records import DeviceId, Felt, How, Kind, SignedRecord, Stream
from tests.desk import (
    COULD_NOT_STORE,
    DELIVERED,
    DEVICE,
    DEVICE_KEY,
    EARLIER,
    GATEWAY_KEY,
    STORED,
    left_in,
    receipt,
    recorder,
    running,
    silence,
)
from tests.virtual import run

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
def test_only_a_receipt_that_verifies_and_matches_makes_it_delivered(
    forge: Callable[[SignedRecord], bytes], tmp_path: Path
) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:

            async def answer(record: SignedRecord) -> bytes:
                return forge(record)

            desk.bearer.answer = answer
            await desk.press()
            await asyncio.sleep(55)  # from a minute on it is felt that nothing gets out
            assert desk.state == "stored"
            assert desk.palm.pulses == STORED
            assert desk.rows()[desk.record(Kind.PANIC).digest][0] is None
            assert len(desk.bearer.sent_of(Kind.PANIC)) >= 4, "it is tried again and again"
            desk.bearer.answer = desk.bearer.hold
            await asyncio.sleep(60)
            assert desk.palm.pulses == STORED + COULD_NOT_STORE + DELIVERED

    run(story())


def test_a_receipt_that_comes_by_itself_counts_and_repeats_change_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            desk.bearer.answer = silence
            await desk.press()
            await asyncio.sleep(1)
            record = desk.record(Kind.PANIC)
            for _ in range(3):
                desk.device.take_receipt(receipt(record))
                await asyncio.sleep(3)
            assert desk.palm.pulses == STORED + DELIVERED
            kept, felt = desk.rows()[record.digest]
            assert kept is not None
            assert kept[:-64] == receipt(record)[:-64], "a signature is never the same twice"
            assert felt == Felt.DELIVERED
            with pytest.raises(RemoteError):
                desk.device.take_receipt(receipt(record, key=STRANGER))

    run(story())


def test_a_compact_receipt_counts_too(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            desk.bearer.answer = silence
            await desk.press()
            await asyncio.sleep(1)
            _, _, payload, signature = cbor2.loads(receipt(desk.record(Kind.PANIC))).value
            desk.device.take_receipt(payload + signature)
            await asyncio.sleep(3)
            assert desk.state == "delivered"

    run(story())


def test_held_unreadable_is_delivered_and_reported(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            desk.bearer.answer = lambda record: _later(receipt(record, verdict=[1]))
            await desk.press()
            await asyncio.sleep(3)
            assert desk.palm.pulses == STORED + DELIVERED
            assert "unreadable" in desk.faults

    run(story())


def test_a_signed_refusal_ends_the_tries_is_reported_and_is_not_felt_as_delivered(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            desk.bearer.answer = lambda record: _later(receipt(record, verdict=[2, 1]))
            await desk.press()
            await asyncio.sleep(600)
            assert desk.palm.pulses == STORED + COULD_NOT_STORE, "the officer must know that nobody comes"
            assert len(desk.bearer.sent_of(Kind.PANIC)) == 1
            assert "refused" in desk.faults
            assert desk.rows()[desk.record(Kind.PANIC).digest] == (None, Felt.STORED), (
                "kept: the next session tries again"
            )

    run(story())


async def _later(data: bytes) -> bytes:
    return data


@pytest.mark.parametrize("reason", [None, 2, 99])
def test_an_alert_is_refused_for_no_reason_but_a_revoked_device(reason: int | None, tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            verdict = [2] if reason is None else [2, reason]
            desk.bearer.answer = lambda record: _later(receipt(record, verdict=verdict))
            await desk.press()
            await asyncio.sleep(60)
            assert len(desk.bearer.sent_of(Kind.PANIC)) > 4, "weather: it goes on"
            assert desk.palm.pulses == STORED
            desk.bearer.answer = desk.bearer.hold
            await asyncio.sleep(60)
            assert desk.state == "delivered"

    run(story())


def test_the_refusal_of_an_older_alert_is_not_felt(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, answer=silence) as desk:
            await desk.press()
            await asyncio.sleep(2)
            older = desk.record(Kind.PANIC)
            await desk.press()
            desk.device.take_receipt(receipt(older, verdict=[2, 1]))
            await asyncio.sleep(3)
            assert desk.palm.pulses == STORED * 2
            waiting = desk.device.waiting()[Stream.ALERT]
            assert waiting == 2, "kept, though it is not sent again in this session"
            desk.device.take_receipt(receipt(older))
            await asyncio.sleep(1)
            assert desk.rows()[older.digest][0] is not None, "a receipt that comes all the same counts"

    run(story())


def test_delivered_of_one_alert_is_never_felt_behind_the_next_one(tmp_path: Path) -> None:
    """It would be taken for the next one's, which has no receipt."""

    async def story() -> None:
        async with running(tmp_path) as desk:
            desk.bearer.answer = lambda record: _later(receipt(record)) if record.id.sequence == 1 else silence(record)
            desk.device.raise_alert(Kind.PANIC)
            await asyncio.sleep(0.3)
            assert desk.state == "delivered"
            desk.device.raise_alert(Kind.PANIC)
            await asyncio.sleep(10)
            assert desk.state == "stored"
            assert desk.palm.pulses == STORED + STORED

    run(story())


def test_a_receipt_that_is_kept_while_the_next_alert_is_raised_is_not_felt_as_its_own(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, answer=silence) as desk:
            await desk.press()
            await asyncio.sleep(2)
            first = desk.record(Kind.PANIC)
            desk.disk.takes_s = 0.4
            desk.device.take_receipt(receipt(first))
            await asyncio.sleep(0.1)
            desk.device.raise_alert(Kind.PANIC)
            await asyncio.sleep(5)
            assert desk.palm.pulses[:1] == STORED
            assert 0.12 not in desk.palm.pulses, "delivered, and the newest is not"

    run(story())


def test_the_receipt_of_an_alert_that_was_taken_back_is_not_felt(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, answer=silence) as desk:
            await desk.press()
            await asyncio.sleep(2)
            desk.device.cancel_alert(How.TOOL)
            desk.device.take_receipt(receipt(desk.record(Kind.PANIC)))
            await asyncio.sleep(3)
            assert desk.palm.pulses == STORED

    run(story())


def test_the_receipt_of_an_older_alert_is_not_felt_as_that_of_the_newest(tmp_path: Path) -> None:
    async def story() -> None:
        earlier = recorder(EARLIER).make(Kind.PANIC, 1.0, None)
        await left_in(tmp_path, earlier)
        async with running(tmp_path, earlier=(earlier,), answer=silence) as desk:
            await desk.press()
            await asyncio.sleep(2)
            desk.device.take_receipt(receipt(earlier))
            await asyncio.sleep(3)
            assert desk.palm.pulses == STORED
            assert desk.rows()[earlier.digest][0] is not None
            desk.device.take_receipt(receipt(desk.record(Kind.ESCALATION)))
            await asyncio.sleep(3)
            assert desk.palm.pulses == STORED + DELIVERED

    run(story())
