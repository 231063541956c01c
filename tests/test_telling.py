"""What became of messages, in records."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bondmate.errors import StoreError
from bondmate.mail import KeptMessage, MessageState
from bondmate.records import Kind, Moment
from bondmate.store.outbox import SqliteOutbox
from bondmate.telling import TOLD_AT_ONCE, StateTeller
from tests.store.samples import DEVICE

MOMENT = Moment(1.0, None)


def kept(number: int, state: MessageState = MessageState.TAKEN, answer: str | None = None) -> KeptMessage:
    return KeptMessage(number, 1, b"octets", None, MOMENT, state, answer)


async def opened(directory: Path) -> SqliteOutbox:
    outbox = SqliteOutbox(directory, DEVICE)
    await outbox.open()
    return outbox


def test_a_record_has_up_to_16_states_and_each_is_told_once(tmp_path: Path) -> None:
    made: list[tuple[Kind, Any]] = []

    async def main() -> None:
        outbox = await opened(tmp_path)
        teller = StateTeller(outbox, lambda kind, fix=None, body=None: made.append((kind, body)))
        assert not teller.tell()
        teller.add(*map(kept, range(1, 19)))
        teller.add(kept(1, MessageState.ANSWERED, "yes"))
        assert teller.tell()
        assert not teller.tell()
        await outbox.close()

    asyncio.run(main())
    assert [kind for kind, _ in made] == [Kind.MESSAGE_STATE] * 2
    assert [len(body) for _, body in made] == [TOLD_AT_ONCE, 3]
    assert made[1][1] == [[17, 1], [18, 1], [1, 3, "yes"]]


def test_the_store_knows_what_was_told_only_when_it_is_settled(tmp_path: Path) -> None:
    async def main() -> None:
        outbox = await opened(tmp_path)
        await outbox.take_message(kept(1))
        teller = StateTeller(outbox, lambda *_, **__: None)
        teller.add(kept(1))
        await teller.settle()
        assert await outbox.untold() == [kept(1)], "no record tells it yet"
        teller.tell()
        assert await outbox.untold() == [kept(1)], "the record has to be stored first"
        await teller.settle()
        assert await outbox.untold() == []
        await outbox.mark_message(1, MessageState.READ, None, MOMENT)
        teller.add(kept(1, MessageState.READ))
        teller.tell()
        await outbox.close()
        with pytest.raises(StoreError):
            await teller.settle()
        outbox = teller._outbox = await opened(tmp_path)
        await teller.settle()
        assert await outbox.untold() == [], "it tries again"
        await outbox.close()

    asyncio.run(main())
