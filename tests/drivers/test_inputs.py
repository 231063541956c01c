"""Contacts on the pins of a real board process. Real time, but nothing is waited for but the thing itself."""

import asyncio
import logging
from pathlib import Path

import pytest
from gpiozero.pins import Factory

from bondmate.drivers import inputs
from bondmate.drivers.inputs import STABLE_S, Contact
from bondmate.drivers.pins import open_factory
from bondmate.errors import LocalError
from bondmate_sim.board_client import BoardClient
from tests.eventually import eventually
from tests.sim.conftest import Launch

PIN = 5
CLOSED, OPEN = 0, None
"""What the world drives."""


class Changes:
    """Takes down what was told."""

    def __init__(self) -> None:
        self.seen: list[tuple[bool, float]] = []

    def __call__(self, closed: bool, at: float) -> None:
        self.seen.append((closed, at))

    @property
    def states(self) -> list[bool]:
        return [closed for closed, _ in self.seen]


@pytest.mark.parametrize(("level", "closed"), [(CLOSED, True), (OPEN, False)])
def test_how_it_is_is_told_at_once(level: int | None, closed: bool, factory: Factory, hand: BoardClient) -> None:
    hand.request("drive", pin=PIN, level=level)

    async def main() -> None:
        changes = Changes()
        contact = Contact(factory, PIN, changes, "the case")
        assert changes.states == [closed]
        assert contact.is_closed is closed
        assert hand.request("read", pin=PIN)["pull"] == "up"
        contact.close()

    asyncio.run(main())


def test_each_change_is_told_once_and_only_after_it_lasted(factory: Factory, hand: BoardClient) -> None:
    async def main() -> None:
        loop, changes = asyncio.get_running_loop(), Changes()
        contact = Contact(factory, PIN, changes, "the case")
        for level in (CLOSED, OPEN):
            before, number = loop.time(), len(changes.seen)
            hand.request("drive", pin=PIN, level=level)
            await eventually(lambda number=number: len(changes.seen) > number, "the change")  # type: ignore[misc]
            assert before + STABLE_S <= changes.seen[-1][1] <= loop.time()
        assert changes.states == [False, True, False]
        contact.close()

    asyncio.run(main())


def test_what_does_not_last_is_no_change(factory: Factory, hand: BoardClient, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0

    def counted(contact: Contact) -> bool:
        nonlocal looks
        looks += 1
        return read(contact)

    read = Contact._read
    monkeypatch.setattr(Contact, "_read", counted)
    monkeypatch.setattr(inputs, "LOOK_S", 0.01)
    monkeypatch.setattr(inputs, "STABLE_S", 0.5)

    async def main() -> None:
        changes = Changes()
        contact = Contact(factory, PIN, changes, "the case")
        for level in (CLOSED, OPEN) * 3:
            seen = looks
            hand.request("drive", pin=PIN, level=level)
            await eventually(lambda seen=seen: looks > seen + 2, "it to be seen so")  # type: ignore[misc]
        assert changes.states == [False]
        hand.request("drive", pin=PIN, level=CLOSED)
        await eventually(lambda: len(changes.seen) == 2, "what does last")
        contact.close()

    asyncio.run(main())


def test_a_closed_contact_lets_go_of_its_pin_and_looks_no_more(factory: Factory, hand: BoardClient) -> None:
    async def main() -> None:
        contact = Contact(factory, PIN, Changes(), "the case")
        assert hand.request("read", pin=PIN)["claimed"]
        contact.close()
        assert not hand.request("read", pin=PIN)["claimed"]
        assert contact._next.cancelled()

    asyncio.run(main())


def test_a_pin_that_cannot_be_had_is_an_error_that_names_it(factory: Factory) -> None:
    async def main() -> None:
        with pytest.raises(LocalError, match=r"the case at pin 99 does not work: .*; see \[gpio\]"):
            Contact(factory, 99, Changes(), "the case")

    asyncio.run(main())


def test_a_pin_that_can_be_read_no_more_changes_nothing_and_is_logged_once(
    run: Path, launch: Launch, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    board = launch("board", "--socket", run / "dying.sock")
    monkeypatch.setenv("BONDMATE_SIM_BOARD", str(run / "dying.sock"))
    monkeypatch.setattr(inputs, "LOOK_S", 0.01)
    factory = open_factory("bondmate_sim")

    async def main() -> None:
        loop, changes = asyncio.get_running_loop(), Changes()
        contact = Contact(factory, PIN, changes, "the case")
        board.stop()
        await eventually(lambda: contact._fails, "it to fail")
        ended = loop.time() + 0.1
        await eventually(lambda: loop.time() > ended, "ten looks more")
        assert changes.states == [False]
        contact.close()

    with caplog.at_level(logging.ERROR, "bondmate.drivers.inputs"):
        asyncio.run(main())
    told = [record.message for record in caplog.records if record.name == inputs.log.name]
    assert [message.partition(" does not work")[0] for message in told] == [f"the case at pin {PIN}"]
    factory.close()
