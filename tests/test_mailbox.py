"""The mailbox on virtual time: what is fetched when, and that nothing has effect before it is durable."""

import asyncio
from pathlib import Path
from typing import Any

import cbor2
import pytest

from bondmate.errors import LocalError, StoreError, StoreTrouble
from bondmate.mail import MessageState
from bondmate.records import Kind, Opened, SignedRecord
from bondmate.store.outbox import SqliteOutbox
from tests.desk import recorder
from tests.letters import (
    ACKNOWLEDGE,
    ALERT,
    CLOSE,
    EXERCISE,
    NOW_S,
    OTHER,
    OTHER_DEVICE,
    STRANGER,
    TEXT,
    message,
    payload,
    signed,
)
from tests.mailbox_desk import Desk, Gateway, on_desk, running
from tests.virtual import run

BY = "M. Costa"
FULL = StoreError("the disk is full", StoreTrouble.FULL)


def call(kind: Kind = Kind.PANIC) -> SignedRecord:
    return recorder().make(kind, 1.0, None)


# --- effects ------------------------------------------------------------------------------------------


def test_everything_that_is_there_is_taken_in_order_and_told(tmp_path: Path) -> None:
    raised = call()

    async def work(made: Desk) -> None:
        await made.outbox.add(raised, made.moment())
        made.gateway.says(TEXT, urgency=1)
        made.gateway.says(ACKNOWLEDGE, [[raised.digest, OTHER]])
        made.gateway.says(EXERCISE, [4, 600], expires_s=NOW_S + 600)
        made.gateway.says(CLOSE, [[raised.digest]])
        made.gateway.says(TEXT, expires_s=NOW_S - 1)
        made.gateway.says(77)
        await made.fetch()
        assert made.ears.heard == [
            ("arrived", 1),
            ("seen", raised.digest, BY),
            ("seen", OTHER, BY),
            ("exercise", 4, 600),
            ("closed", raised.digest, BY),
        ]
        assert made.ears.records == [[[1, 1], [2, 1], [3, 1], [4, 1], [5, 4], [6, 4]]]
        assert (made.mailbox.unread, made.ears.changes) == (1, 1)
        assert (await made.outbox.cursor(), await made.outbox.kept("exercise")) == (6, b"4 for 600")
        newest = await made.outbox.latest_alert()
        assert newest is not None
        assert (newest.acknowledged_by, newest.closed_by) == (BY, BY)

    on_desk(work, tmp_path)


def test_more_than_one_answer_is_asked_for_at_once_and_a_record_has_16_states(tmp_path: Path) -> None:
    async def work(made: Desk) -> None:
        for _ in range(40):
            made.gateway.says(CLOSE)
        for _ in range(20):
            made.gateway.says(TEXT, ["x" * 400, []])
        async with running(made):
            await asyncio.sleep(1)
        assert {at for at, _ in made.line.asked} == {made.line.asked[0][0]}, "in no time"
        assert made.line.asked[-1][1] == 60, "until there is none"
        assert sorted(made.ears.states) == [[number, 1] for number in range(1, 61)]
        assert made.mailbox.unread == 20

    on_desk(work, tmp_path)


def test_a_repeat_changes_nothing_and_another_devices_message_stops_all(tmp_path: Path) -> None:
    async def work(made: Desk) -> None:
        made.gateway.says(CLOSE)
        await made.fetch()
        heard = list(made.ears.heard)
        made.line.answer = lambda _: answered(made.gateway.messages[0])
        await made.fetch()
        assert made.ears.heard == heard
        assert "mailbox" not in made.faults
        for false in (
            signed(payload(3, CLOSE), key=STRANGER),
            signed(payload(3, CLOSE), device=OTHER_DEVICE),
            message(4, CLOSE),
            message(3, CLOSE) + b"\0",
            b"\xff",
        ):
            made.line.answer = lambda _, false=false: answered(message(2, TEXT), false)
            await made.fetch()
            assert made.ears.heard == heard
            assert await made.outbox.cursor() == 1, "not even what is true in it"
            [fault] = made.faults.to_json()
            assert fault["code"] == "mailbox"
            assert "not accepted" in str(fault["text"])
            assert "tell the control room" in str(fault["next"])
        made.line.answer = None
        await made.fetch()
        assert "mailbox" not in made.faults

    on_desk(work, tmp_path)


async def answered(*found: bytes) -> bytes:
    return cbor2.dumps(list(found))


def test_an_old_exercise_is_not_begun_again(tmp_path: Path) -> None:
    async def work(made: Desk) -> None:
        made.gateway.says(EXERCISE, [2, 600], expires_s=NOW_S + 600)
        made.gateway.says(EXERCISE, [2, 600], expires_s=NOW_S + 600)
        made.gateway.says(EXERCISE, [1, 600], expires_s=NOW_S + 600)
        made.gateway.says(EXERCISE, [3, 0], expires_s=NOW_S + 600)
        await made.fetch()
        assert made.ears.heard == [("exercise", 2, 600), ("exercise", 3, 0)]
        assert made.ears.states == [[1, 1], [2, 4], [3, 4], [4, 1]]

    on_desk(work, tmp_path)


# --- the store ------------------------------------------------------------------------------------------


def test_without_a_store_an_acknowledgement_is_told_once_and_nothing_else(tmp_path: Path) -> None:
    raised = call()

    async def work(made: Desk) -> None:
        await made.fetch()
        made.gateway.says(TEXT, urgency=1)
        made.gateway.says(ACKNOWLEDGE, [[raised.digest]])
        made.gateway.says(EXERCISE, [1, 600], expires_s=NOW_S + 600)
        made.gateway.says(CLOSE, [[raised.digest]])
        made.disk.failure = FULL
        for _ in range(3):
            await made.fetch()
        assert made.ears.heard == [("seen", raised.digest, BY)]
        assert (made.ears.records, [cursor for _, cursor in made.line.asked]) == ([], [0] * 4)
        made.disk.failure = None
        await made.fetch()
        assert made.ears.heard[1:] == [("arrived", 1), ("exercise", 1, 600), ("closed", raised.digest, BY)]
        assert made.ears.states == [[number, 1] for number in range(1, 5)]

    on_desk(work, tmp_path)


def test_while_a_commit_hangs_an_acknowledgement_is_told_and_a_close_only_behind_it(tmp_path: Path) -> None:
    raised = call()

    async def work(made: Desk) -> None:
        loop = asyncio.get_running_loop()
        began, told = 0.0, list[tuple[float, str]]()
        await made.fetch()
        made.gateway.says(ACKNOWLEDGE, [[raised.digest]])
        made.gateway.says(CLOSE, [[raised.digest]])
        listen = made.mailbox._listener
        object.__setattr__(listen, "acknowledged", lambda *_: told.append((loop.time() - began, "seen")))
        object.__setattr__(listen, "closed", lambda *_: told.append((loop.time() - began, "closed")))
        made.disk.takes_s = 10.0
        began = loop.time()
        await made.fetch()
        assert [what for _, what in told] == ["seen"]
        assert told[0][0] < 3, "after the deadlines of what the store was asked, and its commit's"
        made.disk.takes_s = 0.0
        await asyncio.sleep(30)
        await made.fetch()
        await made.fetch()
        assert [what for _, what in told] == ["seen", "closed"], "and the close when it was durable"

    on_desk(work, tmp_path)


@pytest.mark.parametrize("held", [True, False])
def test_a_commit_that_failed_and_is_there_all_the_same_has_its_effect_once(
    held: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_message = SqliteOutbox.take_message

    async def failing(outbox: SqliteOutbox, message: Any, **effects: Any) -> bool:
        if held:
            await take_message(outbox, message, **effects)
        monkeypatch.undo()
        raise StoreError("the card says that it failed", StoreTrouble.IO)

    async def work(made: Desk) -> None:
        await made.fetch()
        made.gateway.says(CLOSE)
        monkeypatch.setattr(SqliteOutbox, "take_message", failing)
        await made.fetch()
        assert made.ears.heard == []
        await made.fetch()
        assert [what for what, *_ in made.ears.heard] == ["closed", "closed"], "two calls, each once"
        await made.fetch()
        assert len(made.ears.heard) == 2
        assert made.ears.states == [[1, 1]]

    on_desk(work, tmp_path)


def test_a_fresh_file_is_given_everything_again(tmp_path: Path) -> None:
    async def work(made: Desk) -> None:
        made.gateway.says(TEXT)
        made.gateway.says(TEXT)
        await made.fetch()
        connection = made.outbox._connection
        assert connection is not None
        made.outbox._give_up(connection)
        await made.fetch()
        assert await made.outbox.open() is Opened.REPLACED
        await made.fetch()
        assert [cursor for _, cursor in made.line.asked] == [0, 2, 0]
        assert [letter.kept.number for letter in await made.mailbox.messages()] == [2, 1]

    on_desk(work, tmp_path)


def test_before_the_store_told_what_it_has_nobody_is_asked(tmp_path: Path) -> None:
    async def main() -> None:
        made = Desk(tmp_path)
        async with running(made):
            await asyncio.sleep(12)
            assert made.line.asked == []
            await made.begin()
            await asyncio.sleep(30)
            assert len(made.line.asked) == 1
        await made.end()

    run(main())


@pytest.mark.parametrize("was_felt", [True, False])
def test_after_a_restart_what_is_urgent_and_was_not_felt_is_told_again(was_felt: bool, tmp_path: Path) -> None:
    gateway = Gateway()
    urgent = gateway.says(TEXT, urgency=1)
    gateway.says(TEXT)
    read = gateway.says(ALERT, urgency=1)
    expired = gateway.says(TEXT, urgency=1, expires_s=NOW_S + 5)

    async def before(made: Desk) -> None:
        await made.fetch()
        assert made.ears.heard == [("arrived", number) for number in range(1, 5)]
        await made.mailbox.read(read)
        if was_felt:
            await made.outbox.mark_message_felt(urgent)

    async def after(made: Desk) -> None:
        made.utc_s = NOW_S + 10
        for _ in range(2):
            await made.fetch()
        assert made.ears.heard == ([] if was_felt else [("arrived", urgent)])
        assert made.mailbox.unread == 2, expired

    on_desk(before, tmp_path, gateway)
    on_desk(after, tmp_path, gateway)


def test_a_state_that_no_record_told_before_the_end_is_told_after_the_restart(tmp_path: Path) -> None:
    gateway = Gateway()
    gateway.says(TEXT)
    gateway.says(CLOSE)

    async def first(made: Desk) -> None:
        await made.fetch()
        assert made.ears.states == [[1, 1], [2, 1]]

    async def second(made: Desk) -> None:
        await made.fetch()
        assert made.ears.states == [[1, 1], [2, 1]], "the record may have been lost with the power"
        await made.fetch()
        await made.mailbox.answer(1, "On my way")
        assert made.ears.states[2:] == [[1, 3, "On my way"]]

    async def third(made: Desk) -> None:
        await made.fetch()
        assert made.ears.states == [[1, 3, "On my way"]]
        await made.fetch()

    async def fourth(made: Desk) -> None:
        await made.fetch()
        assert made.ears.states == []

    for work in (first, second, third, fourth):
        on_desk(work, tmp_path, gateway)


# --- what the officer does ------------------------------------------------------------------------------


def test_reading_and_answering(tmp_path: Path) -> None:
    async def work(made: Desk) -> None:
        made.gateway.says(TEXT)
        made.gateway.says(CLOSE)
        made.gateway.says(TEXT, expires_s=NOW_S - 1)
        await made.fetch()
        mailbox, changes = made.mailbox, made.ears.changes
        assert (await mailbox.read(1)).kept.state is MessageState.READ
        assert (await mailbox.read(1)).kept.state is MessageState.READ
        assert (mailbox.unread, made.ears.changes) == (0, changes + 1)
        letter = await mailbox.answer(1, "On my way")
        assert (letter.kept.state, letter.kept.answer) == (MessageState.ANSWERED, "On my way")
        assert await mailbox.answer(1, "On my way") == letter
        assert (await mailbox.read(1)).kept.answer == "On my way", "it stays answered"
        assert await mailbox.messages() == [letter]
        assert made.ears.states[3:] == [[1, 2], [1, 3, "On my way"]]
        with pytest.raises(LocalError, match="was answered already: On my way"):
            await mailbox.answer(1, "Cannot")
        for unknown in (0, 2, 3, 77):
            with pytest.raises(LocalError, match=f"there is no message {unknown}"):
                await mailbox.read(unknown)
        for text in ("", "x" * 161, "é" * 81):
            with pytest.raises(LocalError, match="1 to 160 octets"):
                await mailbox.answer(1, text)

    on_desk(work, tmp_path)


def test_what_the_store_does_not_take_is_not_read(tmp_path: Path) -> None:
    async def work(made: Desk) -> None:
        made.gateway.says(TEXT)
        await made.fetch()
        made.disk.failure = FULL
        with pytest.raises(StoreError):
            await made.mailbox.answer(1, "yes")
        made.disk.failure = None
        [letter] = await made.mailbox.messages()
        assert letter.kept.state is MessageState.TAKEN
        assert made.ears.states == [[1, 1]]

    on_desk(work, tmp_path)
