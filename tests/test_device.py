"""The device's promises on virtual time: what is felt, when, and what changes it."""

import asyncio
import datetime as dt
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from bondmate import wire
from bondmate.cose import KeySigner, sign1
from bondmate.errors import LocalError, RemoteError
from bondmate.records import ClockSource, DeviceId, Felt, How, Kind, SignedRecord, Stream, Suspicion, UtcTime
from tests.desk import (
    COULD_NOT_STORE,
    DELIVERED,
    DEVICE,
    DEVICE_KEY,
    EARLIER,
    GATEWAY_KEY,
    STORED,
    UTC_MS,
    fix_at,
    left_in,
    payload,
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


def test_an_anchor_is_recorded_once_utc_becomes_known(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, utc_ms=None) as desk:
            loop = asyncio.get_running_loop()
            clock = UtcTime(UTC_MS, ClockSource.GNSS, 500)
            assert desk.device.utc(loop.time()) is None
            desk.device.on_fix(fix_at(loop.time()))
            desk.device._gnss_clock.utc = lambda _now: clock  # type: ignore[method-assign,assignment]
            for _ in range(3):
                desk.device.on_fix(fix_at(loop.time()))
            await asyncio.sleep(1)
            anchors = [record for record in desk.bearer.made.values() if record.kind is Kind.ANCHOR]
            assert len(anchors) == 1
            told = payload(anchors[0])
            assert told[5][:4] == (UTC_MS // 1000).to_bytes(4)
            assert len(told) == 7

    run(story())


def test_what_keeps_the_systems_clock_is_told_the_time_of_fixes_that_agree_and_of_no_others(tmp_path: Path) -> None:
    async def story() -> None:
        told: list[int] = []
        async with running(tmp_path, utc_ms=None) as desk:
            loop = asyncio.get_running_loop()
            desk.device.parts.time_keeper = types.SimpleNamespace(tell=told.append)

            def see(**more: Any) -> None:
                time = dt.datetime(2026, 11, 20, 15, tzinfo=dt.UTC) + dt.timedelta(seconds=loop.time())
                desk.device.on_fix(replace(fix_at(loop.time()), time=time, **more))

            for _ in range(3):
                see()
                await asyncio.sleep(1)
            assert not told, "they have not agreed for long enough"
            see()
            since_ms = loop.time() * 1000
            assert len(told) == 1
            await asyncio.sleep(1)
            see(suspect=(Suspicion.JUMP,))
            assert len(told) == 1
            await asyncio.sleep(1)
            see()
            assert told[1] - told[0] == pytest.approx(loop.time() * 1000 - since_ms, abs=1)

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


def test_a_cancellation_names_the_alert_and_both_are_kept(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            with pytest.raises(LocalError, match="no alert is open"):
                desk.device.cancel_alert(How.TOOL)
            await desk.press()
            await asyncio.sleep(1)
            alert = desk.record(Kind.PANIC)
            desk.device.cancel_alert(How.TOOL)
            await asyncio.sleep(1)
            told = payload(desk.record(Kind.CANCELLATION))
            assert told[7] == alert.digest[:8] + bytes([How.TOOL])
            assert told[2:4] == [2, alert.digest[:4]]
            assert desk.state == "cancelled"
            assert len(desk.bearer.sent_of(Kind.CANCELLATION)) == 1

    run(story())


def test_an_error_in_the_delivery_core_ends_the_device(tmp_path: Path) -> None:
    """Systemd starts it again; going on without the core would be a dead button that looks alive."""

    async def story() -> None:
        with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012 - the context manager is what raises
            async with running(tmp_path) as desk:

                def broken(_now: float) -> None:
                    raise ZeroDivisionError

                desk.device.parts.delivery.poll = broken  # type: ignore[method-assign,assignment]
                await desk.press()
                await asyncio.sleep(5)
        assert caught.group_contains(ZeroDivisionError)

    run(story())
