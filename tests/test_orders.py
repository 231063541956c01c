"""What the gateway ordered: there until something came of it, over restarts, and told in a record."""

from pathlib import Path
from typing import Any

import cbor2
import pytest

from bondmate.errors import StoreError, StoreTrouble
from bondmate.mail import MessageState, RekeyOrder, UpdateOrder, WipeOrder
from tests.gateway.cddl import validate_body
from tests.letters import NOW_S, REKEY, TEXT, UPDATE, WIPE
from tests.mailbox_desk import Desk, Gateway, desk
from tests.virtual import run

CARRIED_OUT, FAILED, WITHOUT_EFFECT = MessageState.CARRIED_OUT, MessageState.FAILED, MessageState.WITHOUT_EFFECT


def on_desk(directory: Path, *sessions: Any, gateway: Gateway | None = None) -> None:
    """Sessions one after the other on the same store."""
    gateway = gateway or Gateway()

    async def main() -> None:
        for session in sessions:
            async with desk(directory, gateway) as made:
                await made.mailbox.orders.resume()
                await session(made)

    run(main())


def there(made: Desk) -> list[tuple[int, str]]:
    return [(order.number, type(order.content).__name__) for order in made.mailbox.orders.open]


def test_an_order_is_there_when_it_is_stored_and_again_in_a_later_session(tmp_path: Path) -> None:
    async def first(made: Desk) -> None:
        made.gateway.says(TEXT)
        made.gateway.says(UPDATE)
        made.gateway.says(WIPE)
        made.gateway.says(REKEY)
        made.gateway.says(UPDATE, expires_s=NOW_S - 1)
        await made.fetch()
        assert there(made) == [(2, "UpdateOrder"), (3, "WipeOrder"), (4, "RekeyOrder")]
        assert made.ears.heard.count(("ordered",)) == 3
        assert made.ears.states == [[1, 1], [2, 1], [3, 1], [4, 1], [5, 4]]

    async def second(made: Desk) -> None:
        assert there(made) == [(2, "UpdateOrder"), (3, "WipeOrder"), (4, "RekeyOrder")]
        update, wipe, rekey = made.mailbox.orders.open
        assert isinstance(update.content, UpdateOrder)
        assert (update.by, update.content.octets) == ("M. Costa", 228_000_000)
        assert (wipe.content, rekey.content) == (WipeOrder(), RekeyOrder())
        await made.fetch()
        assert len(made.ears.heard) == 3, "what the first session took is not told twice"

    on_desk(tmp_path, first, second)


def test_what_came_of_it_is_told_once_and_it_is_done(tmp_path: Path) -> None:
    async def first(made: Desk) -> None:
        for type_ in (UPDATE, UPDATE, REKEY):
            made.gateway.says(type_)
        await made.fetch()
        made.ears.records.clear()
        await made.mailbox.orders.tell(1, WITHOUT_EFFECT, "not said")
        await made.mailbox.orders.tell(2, FAILED, "é" * 100)
        await made.mailbox.orders.tell(3, CARRIED_OUT)
        await made.mailbox.orders.tell(3, FAILED, "too late")
        await made.mailbox.orders.tell(77, FAILED, "never ordered")
        assert made.ears.states == [[1, 4], [2, 6, "é" * 80], [3, 5, ""]]
        for body in made.ears.records:
            validate_body("message-state-body", cbor2.dumps(body))
        assert there(made) == []

    async def second(made: Desk) -> None:
        assert there(made) == []
        await made.fetch()  # the store had not heard that it was told: a repeat is harmless
        assert made.ears.states == [[1, 4], [2, 6, "é" * 80], [3, 5, ""]]
        await made.fetch()

    async def third(made: Desk) -> None:
        await made.fetch()
        assert made.ears.states == []

    on_desk(tmp_path, first, second, third)


def test_what_the_store_does_not_take_is_not_told_and_stays_to_be_done(tmp_path: Path) -> None:
    async def work(made: Desk) -> None:
        made.gateway.says(UPDATE)
        await made.fetch()
        made.ears.records.clear()
        made.disk.failure = StoreError("the disk is full", StoreTrouble.FULL)
        with pytest.raises(StoreError):
            await made.mailbox.orders.tell(1, CARRIED_OUT, "0.9.0")
        assert (there(made), made.ears.states) == ([(1, "UpdateOrder")], [])
        made.disk.failure = None
        await made.mailbox.orders.tell(1, CARRIED_OUT, "0.9.0")
        assert (there(made), made.ears.states) == ([], [[1, 5, "0.9.0"]])

    on_desk(tmp_path, work)


def test_an_order_that_expires_meanwhile_is_none_any_more(tmp_path: Path) -> None:
    async def first(made: Desk) -> None:
        made.gateway.says(UPDATE, expires_s=NOW_S + 60)
        made.gateway.says(REKEY)
        await made.fetch()
        made.utc_s = NOW_S + 59.0
        assert there(made) == [(1, "UpdateOrder"), (2, "RekeyOrder")]
        made.utc_s = NOW_S + 60.0
        assert there(made) == [(2, "RekeyOrder")]

    async def later(made: Desk) -> None:
        made.utc_s = NOW_S + 61.0
        await made.mailbox.orders.resume()
        assert there(made) == [(2, "RekeyOrder")]

    on_desk(tmp_path, first, later)


def test_an_order_that_comes_again_into_a_fresh_store_is_one_order(tmp_path: Path) -> None:
    async def work(made: Desk) -> None:
        made.gateway.says(WIPE)
        await made.fetch()
        assert made.outbox._connection is not None
        made.outbox._connection.execute("DELETE FROM message")
        made.outbox._connection.execute("DELETE FROM mailbox")
        await made.fetch()
        assert there(made) == [(1, "WipeOrder")]

    on_desk(tmp_path, work)
