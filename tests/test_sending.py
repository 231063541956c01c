"""How records get out, on virtual time: over bearers that fail, hang, and come back."""

import asyncio
import itertools
from pathlib import Path

import pytest

from bondmate.core.delivery import DeliveryPolicy
from bondmate.errors import LinkError, UnauthorizedError
from bondmate.records import Kind, SessionId, SignedRecord, Stream
from tests.desk import (
    SESSION,
    fix_at,
    receipt,
    running,
    silence,
)
from tests.virtual import run


def test_after_an_hour_without_network_it_is_delivered_soon_after_the_network_is_back(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:

            async def dead(_record: SignedRecord) -> bytes:
                raise LinkError("no route")

            desk.bearer.answer = dead
            await desk.press()
            await asyncio.sleep(3600)
            tries = len(desk.bearer.sent_of(Kind.PANIC))
            policy = DeliveryPolicy()
            assert 3600 / (policy.alert_cap_s * (1 + policy.jitter)) - 8 <= tries <= 700
            desk.bearer.answer = desk.bearer.hold
            await asyncio.sleep(policy.alert_cap_s * (1 + policy.jitter) + 1)
            assert desk.state == "delivered"

    run(story())


def test_a_routine_exchange_that_gets_no_answer_does_not_hold_an_alert_up(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:

            async def answer(record: SignedRecord) -> bytes:
                return await (silence(record) if record.kind is Kind.POSITION else desk.bearer.hold(record))

            desk.bearer.answer = answer
            await desk.press()
            await asyncio.sleep(2)
            desk.device.on_fix(fix_at(asyncio.get_running_loop().time()))
            await asyncio.sleep(1)
            assert len(desk.bearer.sent_of(Kind.POSITION)) == 1
            recognized = await desk.press()
            await asyncio.sleep(1)
            assert desk.bearer.sent_of(Kind.PANIC)[-1][0] - recognized < 0.1
            assert desk.state == "delivered"

    run(story())


def test_a_bearer_that_hangs_for_ever_does_not_strand_an_alert(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            answers = itertools.chain([silence], itertools.repeat(desk.bearer.hold))

            async def answer(record: SignedRecord) -> bytes:
                answered: bytes = await next(answers)(record)
                return answered

            desk.bearer.answer = answer
            await desk.press()
            await asyncio.sleep(60)
            first, second = (sent_s for sent_s, _ in desk.bearer.sent_of(Kind.PANIC))
            policy = DeliveryPolicy()
            assert policy.attempt_s < second - first < policy.attempt_s + 2 * policy.backoff_s
            assert desk.state == "delivered"

    run(story())


def test_a_fresh_press_goes_out_at_once_though_older_alerts_get_no_answer(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            desk.bearer.answer = silence
            for _ in range(10):
                recognized = await desk.press()
                await asyncio.sleep(30)
                mine = [sent_s for sent_s, data in desk.bearer.sent if data.endswith(desk.record(Kind.PANIC).data)]
                assert mine, "it was sent"
                assert mine[0] - recognized < 0.1
            answered = desk.bearer.hold
            desk.bearer.answer = answered
            await asyncio.sleep(60)
            assert desk.state == "delivered"

    run(story())


def test_a_bearer_that_fails_in_an_unknown_way_costs_one_attempt_and_no_more(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:

            async def broken(_record: SignedRecord) -> bytes:
                raise IndexError("out of range")

            desk.bearer.answer = broken
            await desk.press()
            await asyncio.sleep(3)
            assert "the bearer ip failed" in caplog.text
            desk.bearer.answer = desk.bearer.hold
            await asyncio.sleep(10)
            assert desk.state == "delivered"

    run(story())


def test_a_new_session_of_the_channel_is_used_at_once_and_the_record_keeps_its_own(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            ahead = SessionId(bytes.fromhex("1012bbbbbbbb"))

            async def refuse(_record: SignedRecord) -> bytes:
                if len(desk.bearer.sent_of(Kind.PANIC)) == 6:
                    desk.bearer.session = ahead
                    desk.bearer.answer = desk.bearer.hold
                raise UnauthorizedError("4.01")

            desk.bearer.answer = refuse
            await desk.press()
            await asyncio.sleep(100)
            *_, (refused_s, _), (sent_s, submission) = desk.bearer.sent_of(Kind.PANIC)
            assert sent_s == refused_s, "no backoff after the way was changed"
            assert submission == b"\x46" + SESSION.octets + desk.record(Kind.PANIC).data
            assert desk.state == "delivered"

    run(story())


def test_when_a_way_works_again_everything_that_waits_is_tried_at_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            up = False

            async def answer(record: SignedRecord) -> bytes:
                if not up:
                    desk.bearer.why_not = "no route"
                    raise LinkError("no route")
                desk.bearer.why_not = None
                return receipt(record)

            desk.bearer.answer = answer
            for _ in range(3):
                await desk.press()
                await asyncio.sleep(20)
            await asyncio.sleep(600)
            up = True
            before = len(desk.bearer.sent_calls())
            policy = DeliveryPolicy()
            await asyncio.sleep(policy.alert_cap_s * (1 + policy.jitter))
            times = [sent_s for sent_s, _ in desk.bearer.sent_calls()[before:]]
            assert len(times) == 3
            assert times[2] - times[0] < 0.1

    run(story())


def test_a_press_that_hangs_goes_again_as_soon_as_another_ones_receipt_shows_that_the_way_works(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            desk.bearer.answer = silence
            await desk.press()
            hangs = desk.record(Kind.PANIC)
            await asyncio.sleep(9)
            desk.bearer.answer = desk.bearer.hold
            works_s = await desk.press()
            await asyncio.sleep(1)
            times = [sent_s for sent_s, data in desk.bearer.sent if data.endswith(hangs.data)]
            assert len(times) == 2
            assert times[1] - works_s < 0.1
            assert desk.device.parts.delivery.find(hangs.digest) is None

    run(story())


def test_a_way_that_gave_no_answer_is_not_taken_for_one_that_works_when_the_receipt_came_over_another(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        async with running(tmp_path, bearers=("ip", "lte")) as desk:
            first, second = desk.bearers
            first.answer = second.answer = silence
            await desk.press()
            await asyncio.sleep(10)
            second.answer = second.hold
            await desk.press()
            await asyncio.sleep(60)
            assert desk.device.parts.delivery.counts().get(Stream.ALERT, 0) == 0
            assert len(first.sent_calls()) == 2, "nothing was sent again over the way that is dead"

    run(story())
