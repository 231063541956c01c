"""The rooms of a device are wired: what one of them says is heard in the others."""

import asyncio
from pathlib import Path

from bondmate.core.feedback import Pattern
from bondmate.mail import MessageState
from bondmate.records import Felt, Kind, utc_text
from bondmate.wiring import CORES
from tests.desk import UTC_MS, letter, running, silence
from tests.letters import TEXT
from tests.virtual import run


def test_a_change_wakes_every_core_and_whoever_looks(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            rooms, count = desk.device._rooms, desk.device.changes.count
            assert rooms.wake.keys() == set(CORES)
            await asyncio.sleep(0)
            rooms.obey()
            assert all(wake.is_set() for wake in rooms.wake.values())
            assert desk.device.changes.count > count

    run(story())


def test_what_was_felt_of_an_alert_is_kept_and_of_anything_else_is_not(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, answer=silence) as desk:
            desk.device._rooms.palm.play(Pattern.ATTENTION)
            await desk.press()
            await asyncio.sleep(5)
            felt = {digest: felt for digest, (_, felt) in desk.rows().items() if felt}
            assert felt == {desk.record(Kind.PANIC).digest: Felt.STORED}

    run(story())


def test_a_message_that_comes_is_felt_and_shown(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            count = desk.device.changes.count
            desk.bearer.mail.append(letter(1, TEXT, ["Come to the station.", []]))
            desk.device.wake_up()
            await asyncio.sleep(5)
            assert desk.palm.pulses
            assert desk.device.changes.count > count
            assert desk.device.mailbox.unread == 1

    run(story())


def test_what_came_of_an_order_goes_out_off_duty_and_other_states_do_not(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, on_duty=False) as desk:
            record = desk.device._rooms.record
            read = record(Kind.MESSAGE_STATE, body=[[1, int(MessageState.READ)]])
            carried_out = record(Kind.MESSAGE_STATE, body=[[1, int(MessageState.CARRIED_OUT), ""]])
            await asyncio.sleep(10)
            [(_, sent)] = desk.bearer.sent_of(Kind.MESSAGE_STATE)
            assert sent.endswith(carried_out.data)
            assert desk.device.parts.delivery.is_open(read.digest)

    run(story())


def test_a_fault_is_reported_with_the_time_and_ends(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            desk.device._rooms.report("refused", "refused by the gateway", "ask the control room")
            [fault] = desk.faults.to_json()
            assert fault["code"] == "refused"
            assert fault["since"] == utc_text(UTC_MS)
            desk.device._rooms.report("refused", None, "")
            assert desk.faults.to_json() == []

    run(story())
