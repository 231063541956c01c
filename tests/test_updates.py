"""Which update is wanted, what may be done of it, and what came of it: over restarts, and told in a record."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bondmate.core.updating import Situation
from bondmate.errors import LocalError
from bondmate.updates import Updates
from tests.core.test_updating import READY
from tests.letters import BUNDLE, NOW_S, REKEY, UPDATE, WIPE
from tests.mailbox_desk import Desk, Gateway, desk
from tests.virtual import run


def on_desk(directory: Path, *sessions: Any) -> None:
    """Sessions one after the other on the same store and at the same gateway."""
    gateway = Gateway()

    async def main() -> None:
        for session in sessions:
            async with desk(directory, gateway) as made:
                await made.mailbox.orders.resume()
                await session(made)

    run(main())


def updates(made: Desk, situation: Situation = READY) -> Updates:
    return Updates(made.mailbox.orders, lambda: situation)


def wanted(made: Desk) -> tuple[int, str] | None:
    found = updates(made).wanted
    return None if found is None else (found[0].number, found[1].software)


def of(software: str, when: int = 0) -> list[Any]:
    return [software, *BUNDLE[1:4], when]


def test_the_newest_order_takes_the_place_of_those_before(tmp_path: Path) -> None:
    async def first(made: Desk) -> None:
        assert wanted(made) is None
        made.gateway.says(UPDATE, of("1.0.0"))
        made.gateway.says(UPDATE, of("1.1.0"))
        made.gateway.says(REKEY)
        await made.fetch()
        assert wanted(made) == (2, "1.1.0")
        made.ears.records.clear()
        await updates(made).settle()
        assert made.ears.states == [[1, 4]]
        await updates(made).settle()
        assert made.ears.states == [[1, 4]], "told once"

    async def second(made: Desk) -> None:
        assert wanted(made) == (2, "1.1.0")
        assert [order.number for order in made.mailbox.orders.open] == [2, 3], "other orders are not its business"

    on_desk(tmp_path, first, second)


@pytest.mark.parametrize(("done", "state"), [(True, 5), (False, 6)])
def test_what_came_of_it_is_told_and_it_is_wanted_no_more(tmp_path: Path, done: bool, state: int) -> None:
    async def first(made: Desk) -> None:
        made.gateway.says(UPDATE)
        await made.fetch()
        made.ears.records.clear()
        await updates(made).came_of(1, done=done, text="1.0.0")
        assert made.ears.states == [[1, state, "1.0.0"]]
        assert wanted(made) is None
        with pytest.raises(LocalError, match="message 1 orders no update that is still wanted"):
            await updates(made).came_of(1, done=not done, text="something else")

    async def second(made: Desk) -> None:
        assert wanted(made) is None

    on_desk(tmp_path, first, second)


def test_what_is_being_installed_when_it_would_expire_is_told_afterwards(tmp_path: Path) -> None:
    async def first(made: Desk) -> None:
        made.gateway.says(UPDATE, expires_s=NOW_S + 60)
        await made.fetch()
        await updates(made).begin(1)
        made.utc_s = NOW_S + 61.0
        assert wanted(made) is not None

    async def second(made: Desk) -> None:
        made.utc_s = NOW_S + 62.0
        await made.outbox.upkeep(made.moment(), 0.0)
        await made.mailbox.orders.resume()
        await updates(made).came_of(1, done=True, text="1.0.0")
        assert made.ears.states == [[1, 5, "1.0.0"]]

    on_desk(tmp_path, first, second)


def test_what_expired_before_it_was_begun_is_not_begun(tmp_path: Path) -> None:
    async def first(made: Desk) -> None:
        made.gateway.says(UPDATE, expires_s=NOW_S + 60)
        await made.fetch()
        made.utc_s = NOW_S + 60.0
        assert wanted(made) is None
        with pytest.raises(LocalError, match="message 1 orders no update that is still wanted"):
            await updates(made).begin(1)
        await made.outbox.upkeep(made.moment(), 0.0)

    async def second(made: Desk) -> None:
        assert wanted(made) is None, "whatever the clock says after a restart"

    on_desk(tmp_path, first, second)


def test_another_order_is_not_answered_for(tmp_path: Path) -> None:
    async def first(made: Desk) -> None:
        made.gateway.says(REKEY)
        await made.fetch()
        with pytest.raises(LocalError):
            await updates(made).came_of(1, done=True, text="1.0.0")
        assert [order.number for order in made.mailbox.orders.open] == [1]

    on_desk(tmp_path, first)


def test_a_device_that_is_to_be_wiped_is_not_updated_any_more(tmp_path: Path) -> None:
    async def first(made: Desk) -> None:
        made.gateway.says(UPDATE)
        await made.fetch()
        assert wanted(made) is not None
        made.gateway.says(WIPE)
        await made.fetch()
        assert wanted(made) is None

    on_desk(tmp_path, first)


def test_at_once_is_what_the_newest_order_says(tmp_path: Path) -> None:
    in_use = replace(READY, in_use=True)

    async def first(made: Desk) -> None:
        made.gateway.says(UPDATE, of("1.0.0", when=1))
        await made.fetch()
        assert updates(made, in_use).permission().why_not is None
        made.gateway.says(UPDATE, of("1.1.0"))
        await made.fetch()
        assert updates(made, in_use).permission().why_not is not None

    on_desk(tmp_path, first)
