"""What is seen of the parts: on a device on virtual time, by its faults and its health records."""

import asyncio
from pathlib import Path

from bondmate.core.health import LASTS_S
from bondmate.observer import OBSERVE_S
from bondmate.ports import NOTHING_SENT
from bondmate.records import Kind, Stream
from tests.desk import payload, running, silence
from tests.virtual import run


def test_a_fault_of_the_receiver_is_seen_and_goes(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            desk.place.fault = "nothing was heard for 5 s"
            await asyncio.sleep(2 * OBSERVE_S)
            [seen] = desk.faults.to_json()
            assert (seen["code"], seen["text"], seen["next"]) == (
                "gnss-silent",
                "nothing was heard for 5 s",
                "check the cable",
            )
            desk.place.fault = None
            await asyncio.sleep(2 * OBSERVE_S)
            assert desk.faults.codes() == []

    run(story())


def test_a_fault_that_lasts_is_a_health_record_and_one_that_passes_is_none(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            desk.place.fault = "nothing was heard for 5 s"
            await asyncio.sleep(LASTS_S / 2)
            desk.place.fault = None
            await asyncio.sleep(LASTS_S)
            assert desk.records(Kind.HEALTH) == []
            desk.place.fault = "nothing was heard for 5 s"
            await asyncio.sleep(LASTS_S + 2 * OBSERVE_S)
            assert payload(desk.record(Kind.HEALTH))[7] == ["gnss-silent"]

    run(story())


def test_a_bearer_that_does_not_work_is_a_fault_only_while_something_waits_for_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            await asyncio.sleep(2 * OBSERVE_S)
            desk.bearer.why_not = "the network is unreachable"
            await asyncio.sleep(2 * OBSERVE_S)
            assert desk.faults.codes() == [], "everything was delivered before"
            desk.bearer.answer = silence
            await desk.press()
            await asyncio.sleep(2 * OBSERVE_S)
            [seen] = desk.faults.to_json()
            assert (seen["code"], seen["text"]) == (
                "bearer-ip",
                "nothing can be delivered over ip: the network is unreachable",
            )
            desk.bearer.why_not = None
            await asyncio.sleep(2 * OBSERVE_S)
            assert desk.faults.codes() == []

    run(story())


def test_off_duty_a_bearer_is_no_fault_until_a_press_needs_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, on_duty=None, answer=silence) as desk:
            desk.bearer.why_not = "no answer in time"
            await asyncio.sleep(LASTS_S + 2 * OBSERVE_S)
            assert desk.device.waiting()[Stream.STATE] > 0
            assert desk.faults.codes() == []
            assert desk.records(Kind.HEALTH) == []
            await desk.press()
            await asyncio.sleep(2 * OBSERVE_S)
            assert desk.faults.codes() == ["bearer-ip"]

    run(story())


def test_one_bearer_that_works_is_enough_and_one_that_was_not_tried_is_no_fault(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, answer=silence, bearers=("ip", "lte", "sms")) as desk:
            ip, lte, sms = desk.bearers
            for states, codes in (
                ((NOTHING_SENT, NOTHING_SENT, NOTHING_SENT), []),
                (("dead", None, NOTHING_SENT), []),
                (("dead", NOTHING_SENT, NOTHING_SENT), ["bearer-ip"]),
                (("dead", "dead", NOTHING_SENT), ["bearer-ip", "bearer-lte"]),
                (("dead", "dead", "dead"), ["bearer-ip", "bearer-lte", "bearer-sms"]),
                (("dead", "dead", None), []),
            ):
                ip.why_not, lte.why_not, sms.why_not = states
                await asyncio.sleep(2 * OBSERVE_S)
                assert sorted(desk.faults.codes()) == codes

    run(story())
