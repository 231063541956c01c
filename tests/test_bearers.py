"""A device with three ways to the gateway, on virtual time: which of them brings an alert out, when, and how often."""

import asyncio
import math
from pathlib import Path

import pytest

from bondmate.core.delivery import DeliveryPolicy
from bondmate.core.routes import over_ip, over_lte, over_sms
from bondmate.errors import LinkError
from bondmate.records import How, Kind, SignedRecord, Stream
from tests.desk import Bearer, Desk, receipt, running, silence
from tests.eventually import eventually
from tests.virtual import run

SMS_AFTER_S = 15.0
ROUTES = (over_ip(), over_lte(), over_sms(SMS_AFTER_S))
RACE_AFTER_S = DeliveryPolicy().race_after_s
ANSWERS_S = 0.2


async def answered(record: SignedRecord) -> bytes:
    await asyncio.sleep(ANSWERS_S)
    return receipt(record)


async def refused(_record: SignedRecord) -> bytes:
    raise LinkError("no route")


def by_sms(desk: Desk, after_s: float = 8.0) -> None:
    """The network takes messages; the receipt comes by itself, or is lost where `after_s` is infinite."""
    loop = asyncio.get_running_loop()

    async def taken(record: SignedRecord) -> None:
        await asyncio.sleep(2.0)
        if after_s < math.inf:
            loop.call_later(after_s, desk.device.take_receipt, receipt(record))

    bearer(desk, "sms").answer = taken


def bearer(desk: Desk, name: str) -> Bearer:
    return next(each for each in desk.bearers if each.name == name)


def sent(desk: Desk, name: str, kind: Kind = Kind.PANIC) -> list[float]:
    return [at for at, _ in bearer(desk, name).sent_of(kind)]


async def delivered(desk: Desk) -> float:
    await eventually(lambda: desk.state == "delivered", "the receipt", math.inf)
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize("dead", [silence, refused], ids=["black hole", "no route"])
def test_with_ip_dead_the_alert_is_out_over_lte_within_the_race(dead: object, tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, routes=ROUTES) as desk:
            bearer(desk, "ip").answer = dead  # type: ignore[assignment]
            bearer(desk, "lte").answer = answered
            raised_s = await desk.press()
            done_s = await delivered(desk)
            [out_s] = sent(desk, "lte")
            assert out_s - raised_s <= RACE_AFTER_S + 0.5
            assert done_s - raised_s <= RACE_AFTER_S + 0.5 + ANSWERS_S
            assert sent(desk, "sms") == []

    run(story())


def test_a_race_that_begins_late_would_be_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.desk.DeliveryPolicy", lambda: DeliveryPolicy(race_after_s=RACE_AFTER_S + 0.6))

    async def story() -> None:
        async with running(tmp_path, routes=ROUTES) as desk:
            bearer(desk, "ip").answer = silence
            raised_s = await desk.press()
            await delivered(desk)
            assert sent(desk, "lte")[0] - raised_s > RACE_AFTER_S + 0.5

    run(story())


def test_with_lte_dead_ip_delivers_and_the_modem_is_left_alone(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, routes=ROUTES) as desk:
            bearer(desk, "lte").answer = silence
            await desk.press()
            await delivered(desk)
            await asyncio.sleep(3600)
            assert sent(desk, "lte") == sent(desk, "sms") == []

    run(story())


def test_with_both_dead_for_an_hour_sms_brings_it_out_and_nothing_of_it_comes_twice(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, routes=ROUTES) as desk:
            bearer(desk, "ip").answer = bearer(desk, "lte").answer = silence
            by_sms(desk, after_s=math.inf)
            raised_s = await desk.press()
            await asyncio.sleep(3600)
            assert desk.state == "stored"
            tries = sent(desk, "sms")
            assert tries[0] - raised_s == pytest.approx(SMS_AFTER_S, abs=0.5)
            assert 5 <= len(tries) <= 9, "it is said again, and not all the time"
            assert len(sent(desk, "ip")) > 50, "what costs nothing is tried all the time"
            by_sms(desk)
            done_s = await delivered(desk)
            assert done_s - raised_s < 3600 + 900 + 60
            count = len(sent(desk, "sms"))
            bearer(desk, "ip").answer = bearer(desk, "lte").answer = answered
            await asyncio.sleep(3600)
            assert len(sent(desk, "sms")) == count
            assert desk.palm.pulses.count(0.12) == 2, "delivered is felt once"

    run(story())


def test_all_three_at_once_are_one_alert(tmp_path: Path) -> None:
    """Each bearer brings its receipt, the slowest first to begin."""

    async def story() -> None:
        async with running(tmp_path, routes=(over_ip(), over_lte(), over_sms(5.0))) as desk:

            async def slowly(record: SignedRecord) -> bytes:
                await asyncio.sleep(12.0)
                return receipt(record)

            bearer(desk, "ip").answer = bearer(desk, "lte").answer = slowly
            by_sms(desk, after_s=5.0)
            await desk.press()
            await delivered(desk)
            await asyncio.sleep(600)
            assert [len(sent(desk, name)) for name in ("ip", "lte", "sms")] == [1, 1, 1]
            assert desk.palm.pulses.count(0.12) == 2
            assert await desk.pending(Stream.ALERT) == []

    run(story())


def test_a_modem_that_hangs_for_ten_minutes_holds_up_none_of_twenty_presses(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, routes=ROUTES) as desk:
            bearer(desk, "lte").answer = bearer(desk, "sms").answer = silence
            bearer(desk, "ip").answer = answered
            for _ in range(20):
                raised_s = await desk.press()
                assert await delivered(desk) - raised_s < 1.0
                desk.device.cancel_alert(How.TOOL)
                await asyncio.sleep(30)
            assert sent(desk, "lte") == sent(desk, "sms") == []

    run(story())


def test_presses_while_ip_is_dead_and_the_modem_hangs_all_come_through_in_the_end(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, routes=ROUTES) as desk:
            for each in desk.bearers:
                each.answer = silence
            for _ in range(20):
                await desk.press()
                desk.device.cancel_alert(How.TOOL)
                await asyncio.sleep(30)
            bearer(desk, "lte").answer = answered
            await asyncio.sleep(120)
            assert await desk.pending(Stream.ALERT) == []

    run(story())


def test_a_wake_up_makes_what_waits_due(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, routes=ROUTES) as desk:
            for each in desk.bearers:
                each.answer = refused
            await desk.press()
            await asyncio.sleep(300)
            bearer(desk, "ip").answer = answered
            loop = asyncio.get_running_loop()
            before = loop.time()
            desk.device.wake_up()
            assert await delivered(desk) - before <= ANSWERS_S + 0.05

    run(story())


def test_off_duty_nothing_goes_over_the_modem_but_what_a_press_needs(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, routes=ROUTES) as desk:
            for each in desk.bearers:
                each.answer = silence
            desk.place.fault = "silent"
            await asyncio.sleep(120)
            await desk.device.set_duty(False)
            before = {each.name: len(each.sent) for each in desk.bearers}
            await asyncio.sleep(3600)
            assert {each.name: len(each.sent) for each in desk.bearers} == before
            await desk.press()
            await asyncio.sleep(SMS_AFTER_S + 1)
            assert all(sent(desk, each.name) for each in desk.bearers)

    run(story())
