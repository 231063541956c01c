"""When another run may begin: what would be lost by it, and what the gateway has still to get."""

import asyncio
from pathlib import Path

from bondmate.errors import StoreError, StoreTrouble
from bondmate.records import How, Kind, SignedRecord
from tests.desk import HOLD_S, Desk, letter, receipt, running, silence
from tests.virtual import run


def owes(desk: Desk) -> bool:
    return desk.device._rooms.ending.owes()


def is_idle(desk: Desk) -> bool:
    return desk.device._rooms.ending.is_idle()


def test_a_device_that_did_nothing_yet_is_idle(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            assert not owes(desk)
            assert is_idle(desk)

    run(story())


def test_a_finger_on_the_button_holds_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            desk.device.on_edge(0, True, asyncio.get_running_loop().time())
            assert owes(desk)
            assert not is_idle(desk)
            desk.device.on_edge(0, False, asyncio.get_running_loop().time())
            await asyncio.sleep(HOLD_S)
            assert is_idle(desk)

    run(story())


def test_an_alert_holds_it_until_it_is_delivered_and_closed(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, answer=silence) as desk:
            await desk.press()
            await asyncio.sleep(2)
            desk.bearer.mail.append(letter(1, 5, [[desk.record(Kind.PANIC).digest]]))
            desk.device.wake_up()
            await asyncio.sleep(2)
            assert not desk.device.alert_open
            assert owes(desk), "closed, and nobody signed that it came"
            desk.device.take_receipt(receipt(desk.record(Kind.PANIC)))
            await asyncio.sleep(2)
            assert not owes(desk)

    run(story())


def test_a_press_that_is_taken_back_at_once_counts_while_neither_record_is_queued(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            desk.disk.takes_s = 0.4
            desk.device.raise_alert(Kind.PANIC)
            desk.device.cancel_alert(How.PIN)
            assert sum(desk.device.waiting().values()) == 0
            assert owes(desk)

    run(story())


def test_before_the_store_told_what_it_has_there_may_be_a_call(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            desk.device._rooms.keeper._settled = False
            assert owes(desk)

    run(story())


def test_what_is_in_memory_alone_would_be_lost(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            desk.bearer.answer = silence
            desk.disk.failure = StoreError("no card", StoreTrouble.IO)
            await desk.device.set_duty(False)
            await desk.device.set_duty(True)
            await asyncio.sleep(5)
            assert not is_idle(desk)
            desk.disk.failure = None
            desk.bearer.answer = desk.bearer.hold
            await asyncio.sleep(60)
            assert is_idle(desk)

    run(story())


def test_of_a_revoked_device_a_refusal_is_enough_though_its_alert_is_open(tmp_path: Path) -> None:
    async def story() -> None:
        async def refused(record: SignedRecord) -> bytes:
            return receipt(record, verdict=[2, 1])

        async with running(tmp_path, answer=refused) as desk:
            await desk.press()
            await asyncio.sleep(5)
            assert desk.device.alert_open
            assert not owes(desk)

    run(story())
