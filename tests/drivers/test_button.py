import asyncio
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import pytest
from gpiozero.pins import Factory

from bondmate.drivers.button import Button
from bondmate.drivers.pins import open_factory
from bondmate.errors import LocalError
from bondmate_sim.board_client import BoardClient
from tests.eventually import eventually
from tests.sim.conftest import Launch

PIN = 17


class Edges:
    """Takes edges down, and in which thread they came."""

    def __init__(self) -> None:
        self.seen: list[tuple[bool, float]] = []
        self.from_start: list[bool] = []
        self.threads: set[threading.Thread] = set()

    def __call__(self, down: bool, at: float, from_start: bool) -> None:
        self.seen.append((down, at))
        self.from_start.append(from_start)
        self.threads.add(threading.current_thread())

    @property
    def levels(self) -> list[bool]:
        return [down for down, _ in self.seen]


def test_a_press_comes_into_the_loop_as_two_edges_with_their_times(factory: Factory, hand: BoardClient) -> None:
    async def main() -> None:
        edges = Edges()
        button = Button(factory, PIN, edges)
        hold = await asyncio.to_thread(hand.hold, PIN, 0.1)
        await eventually(lambda: len(edges.seen) == 2, "both edges")
        button.close()
        assert edges.levels == [True, False]
        assert edges.threads == {threading.current_thread()}, "in the loop's own thread, not in gpiozero's"
        (_, pressed), (_, released) = edges.seen
        held_from = hold.pressed_ns / 1e9
        assert held_from <= pressed < released <= monotonic()
        assert released >= held_from + 0.099
        assert edges.from_start == [False, False]

    asyncio.run(main())


def test_a_button_that_is_up_says_nothing(factory: Factory, hand: BoardClient) -> None:
    async def main() -> None:
        edges = Edges()
        button = Button(factory, PIN, edges)
        assert hand.request("read", pin=PIN)["pull"] == "up"
        # edges that come later show that none was on its way
        hand.request("drive", pin=PIN, level=0)
        hand.request("drive", pin=PIN, level=None)
        await eventually(lambda: len(edges.seen) == 2, "the press")
        assert edges.levels == [True, False]
        button.close()

    asyncio.run(main())


def test_a_button_that_is_down_already_is_pressed_from_now_on(factory: Factory, hand: BoardClient) -> None:
    hand.request("drive", pin=PIN, level=0)

    async def main() -> None:
        edges = Edges()
        before = monotonic()
        button = Button(factory, PIN, edges)
        assert edges.levels == [True], "at once, without an edge"
        assert before <= edges.seen[0][1] <= monotonic()
        hand.request("drive", pin=PIN, level=None)
        await eventually(lambda: edges.levels == [True, False], "the release")
        assert edges.from_start == [True, False], "nobody knows since when, and only of the first"
        button.close()

    asyncio.run(main())


def test_bounces_are_not_filtered_here(run: Path, launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    socket = run / "worn.sock"
    launch("board", "--socket", socket, "--bounce-ms", "20", "--seed", "3", "--log", run / "edges.jsonl")
    monkeypatch.setenv("BONDMATE_SIM_BOARD", str(socket))
    factory = open_factory("bondmate_sim")

    async def main() -> None:
        edges = Edges()
        with BoardClient(socket) as hand:
            button = Button(factory, PIN, edges)
            before = len((run / "edges.jsonl").read_text().splitlines())
            await asyncio.to_thread(hand.hold, PIN, 0.1)
            logged = len((run / "edges.jsonl").read_text().splitlines()) - before
            await eventually(lambda: len(edges.seen) == logged, "every edge of the board")
            button.close()
        assert logged > 2
        assert edges.levels == [number % 2 == 0 for number in range(logged)]

    try:
        asyncio.run(main())
    finally:
        factory.close()


def test_an_edge_that_is_told_late_has_the_time_when_it_was(factory: Factory, hand: BoardClient) -> None:
    """A machine too busy to tell a tap's release must not make a hold of it."""

    async def main() -> None:
        edges = Edges()
        button = Button(factory, PIN, edges)
        told, go_on = threading.Event(), threading.Event()

        def tell_late(ticks: float, level: int) -> None:
            button._changed(ticks, level)
            told.set()
            go_on.wait(5)

        # the pin refers to it weakly
        button._input.pin.when_changed = tell_late
        hold = await asyncio.to_thread(hand.hold, PIN, 0.05)
        await asyncio.to_thread(told.wait, 5)
        await eventually(lambda: monotonic() > hold.released_ns / 1e9 + 0.1, "the release to be old")
        go_on.set()
        await eventually(lambda: len(edges.seen) == 2, "both edges")
        assert edges.seen[1][1] - edges.seen[0][1] < 0.09
        assert edges.seen[1][1] <= hold.released_ns / 1e9 < monotonic() - 0.1
        button.close()

    asyncio.run(main())


@pytest.mark.parametrize("clock", [lambda ticks: ticks + 1.8e9, lambda ticks: ticks - 5], ids=["UTC", "long ago"])
def test_an_edge_with_the_time_of_another_clock_is_of_now(
    factory: Factory, hand: BoardClient, clock: Callable[[float], float]
) -> None:
    class Elsewhere(Button):
        def _changed(self, ticks: float, level: int) -> None:
            super()._changed(clock(ticks), level)

    async def main() -> None:
        edges = Edges()
        before = monotonic()
        button = Elsewhere(factory, PIN, edges)
        await asyncio.to_thread(hand.hold, PIN, 0.05)
        await eventually(lambda: len(edges.seen) == 2, "both edges")
        assert before <= edges.seen[0][1] < edges.seen[1][1] <= monotonic()
        button.close()

    asyncio.run(main())


def test_another_button_is_called_what_it_is(factory: Factory) -> None:
    async def main() -> None:
        with pytest.raises(LocalError, match=r"the second button at pin 99 does not work"):
            Button(factory, 99, Edges(), "the second button")

    asyncio.run(main())


def test_an_edge_after_the_end_of_the_loop_is_nobody_s_and_no_error(
    factory: Factory, hand: BoardClient, caplog: pytest.LogCaptureFixture
) -> None:
    edges = Edges()

    async def main() -> Button:
        return Button(factory, PIN, edges)

    button = asyncio.run(main())
    changed = threading.Event()
    with caplog.at_level(logging.DEBUG):
        hand.request("drive", pin=PIN, level=0)
        hand.request("drive", pin=PIN, level=None)

        # edges are delivered in order by one thread: when this one came, it outlived the others
        def tell(_ticks: float, _level: int) -> None:
            changed.set()

        button._input.pin.when_changed = tell
        hand.request("drive", pin=PIN, level=0)
        assert changed.wait(5)
    assert edges.seen == []
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_closed_button_lets_go_of_its_pin(factory: Factory, hand: BoardClient) -> None:
    async def main() -> None:
        button = Button(factory, PIN, Edges())
        assert hand.request("read", pin=PIN)["claimed"]
        button.close()
        assert not hand.request("read", pin=PIN)["claimed"]

    asyncio.run(main())


def test_whether_it_is_pressed_is_read_from_the_contact_itself(factory: Factory, hand: BoardClient) -> None:
    async def main() -> None:
        button = Button(factory, PIN, Edges())
        seen = [button.is_pressed]
        for level in (0, None):
            hand.request("drive", pin=PIN, level=level)
            seen.append(button.is_pressed)
        assert seen == [False, True, False]
        button.close()

    asyncio.run(main())


@pytest.mark.parametrize("pin", [99, -1])
def test_a_pin_that_does_not_exist_is_an_error_with_its_number(pin: int, factory: Factory) -> None:
    async def main() -> None:
        with pytest.raises(LocalError, match=rf"the button at pin {pin} does not work: .*; see \[gpio\]"):
            Button(factory, pin, Edges())

    asyncio.run(main())


def test_a_pin_that_another_part_has_is_an_error(factory: Factory) -> None:
    async def main() -> None:
        button = Button(factory, PIN, Edges())
        with pytest.raises(LocalError, match=rf"the button at pin {PIN} does not work: .*in use"):
            Button(factory, PIN, Edges())
        button.close()

    asyncio.run(main())


def test_a_button_whose_board_is_gone_is_dead_and_says_so(
    run: Path, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = launch("board", "--socket", run / "dying.sock")
    monkeypatch.setenv("BONDMATE_SIM_BOARD", str(run / "dying.sock"))
    factory = open_factory("bondmate_sim")

    async def main() -> None:
        button = Button(factory, PIN, Edges())
        assert not button.is_pressed
        board.stop()
        with pytest.raises(LocalError, match=rf"the button at pin {PIN} does not work"):
            _ = button.is_pressed
        with pytest.raises(LocalError, match=r"the button at pin 5 does not work"):
            Button(factory, 5, Edges())
        button.close()

    try:
        asyncio.run(main())
    finally:
        factory.close()
