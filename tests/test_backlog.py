"""More records than memory takes, on virtual time and a real disk."""

import asyncio
from pathlib import Path

import pytest

from bondmate.backlog import WINDOW
from bondmate.keeping import RETRY_S
from bondmate.records import Kind, SignedRecord, Stream
from tests.desk import EARLIER, left_in, receipt, recorder, running, silence
from tests.virtual import run


def test_a_huge_backlog_stays_on_the_disk_and_is_delivered_the_newest_first(tmp_path: Path) -> None:
    async def story() -> None:
        count = 3 * WINDOW[Stream.ALERT]
        session = recorder(EARLIER)
        left = tuple(session.make(Kind.PANIC, 1.0, None) for _ in range(count))
        await left_in(tmp_path, *left)
        async with running(tmp_path, earlier=left, answer=silence) as desk:
            assert sum(desk.device.parts.delivery.counts().values()) <= sum(WINDOW.values())
            assert desk.device.waiting()[Stream.ALERT] == count, "what waits on the disk counts too"
            await desk.press()
            await asyncio.sleep(30)
            assert desk.device.waiting()[Stream.ALERT] == count + 1
            desk.bearer.answer = desk.bearer.hold
            sent = len(desk.bearer.sent)
            await asyncio.sleep(600)
            assert sum(desk.device.waiting().values()) == 0
            assert all(kept is not None for kept, _ in desk.rows().values())
            order = [data for _, data in desk.bearer.sent_of(Kind.PANIC)[sent:]]
            first = next(index for index, data in enumerate(order) if data.endswith(left[-1].data))
            last = next(index for index, data in enumerate(order) if data.endswith(left[0].data))
            assert first < last

    run(story())


def test_a_stream_that_nobody_takes_does_not_keep_another_on_the_disk(tmp_path: Path) -> None:
    async def story() -> None:
        session = recorder(EARLIER)
        alerts = [session.make(Kind.PANIC, 1.0, None) for _ in range(WINDOW[Stream.ALERT] + 10)]
        states = [session.make(Kind.ANCHOR, 1.0, None) for _ in range(WINDOW[Stream.STATE] + 10)]
        left = (*states, *alerts)
        await left_in(tmp_path, *left)

        async def answer(record: SignedRecord) -> bytes:
            return await (silence(record) if record.kind is Kind.PANIC else _later(receipt(record)))

        async with running(tmp_path, earlier=left, answer=answer) as desk:
            await asyncio.sleep(600)
            waiting = desk.device.waiting()
            assert (waiting[Stream.ALERT], waiting[Stream.STATE]) == (len(alerts), 0)

    run(story())


async def _later(data: bytes) -> bytes:
    return data


@pytest.mark.parametrize("made", [0, 3])
def test_what_this_session_adds_is_counted_once(made: int, tmp_path: Path) -> None:
    async def story() -> None:
        left = recorder(EARLIER).make(Kind.PANIC, 1.0, None)
        await left_in(tmp_path, left)
        async with running(tmp_path, earlier=(left,), answer=silence) as desk:
            for _ in range(made):
                await desk.press()
                await asyncio.sleep(RETRY_S)
            assert desk.device.waiting()[Stream.ALERT] == 1 + made
            assert sum(desk.device.backlog().values()) == 0

    run(story())
