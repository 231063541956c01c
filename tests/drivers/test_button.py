import asyncio
import logging
import threading
from pathlib import Path
from time import monotonic

import pytest
from gpiozero.pins import Factory

from bondmate.drivers.button import PanicButton
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
        self.threads: set[threading.Thread] = set()

    def __call__(self, down: bool, at: float) -> None:
        self.seen.append((down, at))
        self.threads.add(threading.current_thread())

    @property
    def levels(self) -> list[bool]:
        return [down for down, _ in self.seen]


def test_a_press_comes_into_the_loop_as_two_edges_with_their_times(factory: Factory, hand: BoardClient) -> None:
    async def main() -> None:
        edges = Edges()
        button = PanicButton(factory, PIN, edges)
        hold = await asyncio.to_thread(hand.hold, PIN, 0.1)
        await eventually(lambda: len(edges.seen) == 2, "both edges")
        button.close()
        assert edges.levels == [True, False]
        assert edges.threads == {threading.current_thread()}, "in the loop's own thread, not in gpiozero's"
        (_, pressed), (_, released) = edges.seen
        held_from = hold.pressed_ns / 1e9
        assert held_from <= pressed < released <= monotonic()
        assert released >= held_from + 0.099

    asyncio.run(main())


def test_a_button_that_is_up_says_nothing(factory: Factory, hand: BoardClient) -> None:
    async def main() -> None:
        edges = Edges()
        button = PanicButton(factory, PIN, edges)
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
        button = PanicButton(factory, PIN, edges)
        assert edges.levels == [True], "at once, without an edge"
        assert before <= edges.seen[0][1] <= monotonic()
        hand.request("drive", pin=PIN, level=None)
        await eventually(lambda: edges.levels == [True, False], "the release")
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
            button = PanicButton(factory, PIN, edges)
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


def test_an_edge_after_the_end_of_the_loop_is_nobody_s_and_no_error(
    factory: Factory, hand: BoardClient, caplog: pytest.LogCaptureFixture
) -> None:
    edges = Edges()

    async def main() -> PanicButton:
        return PanicButton(factory, PIN, edges)

    button = asyncio.run(main())
    changed = threading.Event()
    with caplog.at_level(logging.DEBUG):
        hand.request("drive", pin=PIN, level=0)
        hand.request("drive", pin=PIN, level=None)
        # edges are delivered in order by one thread: when this one came, it outlived the others
        button._button.when_pressed = changed.set
        hand.request("drive", pin=PIN, level=0)
        assert changed.wait(5)
    assert edges.seen == []
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_closed_button_lets_go_of_its_pin(factory: Factory, hand: BoardClient) -> None:
    async def main() -> None:
        button = PanicButton(factory, PIN, Edges())
        assert hand.request("read", pin=PIN)["claimed"]
        button.close()
        assert not hand.request("read", pin=PIN)["claimed"]

    asyncio.run(main())


def test_whether_it_is_pressed_is_read_from_the_contact_itself(factory: Factory, hand: BoardClient) -> None:
    async def main() -> None:
        button = PanicButton(factory, PIN, Edges())
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
            PanicButton(factory, pin, Edges())

    asyncio.run(main())


def test_a_pin_that_another_part_has_is_an_error(factory: Factory) -> None:
    async def main() -> None:
        button = PanicButton(factory, PIN, Edges())
        with pytest.raises(LocalError, match=rf"the button at pin {PIN} does not work: .*in use"):
            PanicButton(factory, PIN, Edges())
        button.close()

    asyncio.run(main())


def test_a_button_whose_board_is_gone_is_dead_and_says_so(
    run: Path, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = launch("board", "--socket", run / "dying.sock")
    monkeypatch.setenv("BONDMATE_SIM_BOARD", str(run / "dying.sock"))
    factory = open_factory("bondmate_sim")

    async def main() -> None:
        button = PanicButton(factory, PIN, Edges())
        assert not button.is_pressed
        board.stop()
        with pytest.raises(LocalError, match=rf"the button at pin {PIN} does not work"):
            _ = button.is_pressed
        with pytest.raises(LocalError, match=r"the button at pin 5 does not work"):
            PanicButton(factory, 5, Edges())
        button.close()

    try:
        asyncio.run(main())
    finally:
        factory.close()
