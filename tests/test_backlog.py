"""More records than memory takes, on virtual time and a real disk."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bondmate.backlog import WINDOW
from bondmate.errors import StoreError, StoreTrouble
from bondmate.keeping import RETRY_S
from bondmate.records import Kind, Moment, SignedRecord, Stream
from bondmate.store.outbox import SqliteOutbox
from tests.desk import EARLIER, left_in, outbox_on, receipt, recorder, running, silence
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


def test_a_read_that_fails_once_does_not_leave_the_backlog_where_it_is(tmp_path: Path) -> None:
    async def story() -> None:
        left = recorder(EARLIER).make(Kind.PANIC, 1.0, None)
        await left_in(tmp_path, left)
        failures = [StoreError("the card says no", StoreTrouble.IO)]

        def fails_once(outbox: SqliteOutbox) -> None:
            waiting = outbox.waiting

            async def failing() -> Mapping[Stream, int]:
                if failures:
                    raise failures.pop()
                return await waiting()

            outbox.waiting = failing  # type: ignore[method-assign]

        async with running(tmp_path, earlier=(left,), built=fails_once) as desk:
            await asyncio.sleep(2 * RETRY_S)
            assert failures == []
            assert desk.state == "delivered"

    run(story())


def test_what_waits_is_loaded_though_nothing_can_be_written(tmp_path: Path) -> None:
    async def story() -> None:
        session = recorder(EARLIER)
        left = tuple(session.make(Kind.PANIC, 1.0, None) for _ in range(WINDOW[Stream.ALERT] + 50))
        await left_in(tmp_path, *left)
        async with running(tmp_path, earlier=left) as desk:

            async def fails(*_arguments: Any, **_named: Any) -> None:
                raise StoreError("the card says no", StoreTrouble.IO)

            for name in ("add", "restore", "mark_delivered", "mark_felt", "thin", "upkeep", "shift"):
                setattr(desk.outbox, name, fails)
            await asyncio.sleep(600)
            assert {data[7:] for _, data in desk.bearer.sent_of(Kind.PANIC)} == {one.data for one in left}

    run(story())


def test_a_press_is_the_youngest_whatever_a_damaged_file_says_of_ages(tmp_path: Path) -> None:
    async def story() -> None:
        session = recorder(EARLIER)
        left = tuple(session.make(Kind.PANIC, 1.0, None) for _ in range(20))
        await left_in(tmp_path, *left, moment=Moment(100 * 86_400.0, None))
        outbox = outbox_on(tmp_path)
        await outbox.open()
        assert outbox._connection is not None
        outbox._connection.execute("DELETE FROM clock")
        await outbox.close()
        async with running(tmp_path, earlier=left, answer=silence) as desk:
            await asyncio.sleep(10)
            recognized = await desk.press()
            await asyncio.sleep(1)
            fresh = desk.record(Kind.ESCALATION).data
            [sent_s] = [sent_s for sent_s, data in desk.bearer.sent if data.endswith(fresh)]
            assert sent_s - recognized < 0.1

    run(story())
