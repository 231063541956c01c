import logging
import queue
import threading
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from gpiozero import LED, Button, DigitalOutputDevice
from gpiozero.exc import (
    BadPinFactory,
    PinError,
    PinFixedPull,
    PinInvalidBounce,
    PinInvalidEdges,
    PinInvalidFunction,
    PinInvalidPull,
    PinInvalidState,
    PinPWMUnsupported,
    PinSetInput,
)

from bondmate_sim.board_client import BoardClient
from bondmate_sim.pin_factory import SimulatedFactory
from bondmate_sim.process import wait_until
from tests.sim.conftest import Launch

BUTTON, MOTOR, LIGHT = 17, 18, 27


@pytest.fixture
def factory(board: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedFactory]:
    monkeypatch.setenv("BONDMATE_SIM_BOARD", str(board))
    made = SimulatedFactory()
    yield made
    made.close()


@pytest.fixture
def hand(board: Path) -> Iterator[BoardClient]:
    with BoardClient(board) as client:
        yield client


def button(factory: SimulatedFactory) -> Button:
    return Button(BUTTON, pull_up=True, bounce_time=None, pin_factory=factory)


def test_gpiozero_finds_it_by_the_name_that_configurations_use() -> None:
    (found,) = [one for one in entry_points(group="gpiozero_pin_factories") if one.name == "bondmate_sim"]
    assert found.load() is SimulatedFactory


def test_a_press_comes_as_edges_with_the_board_s_own_times(factory: SimulatedFactory, hand: BoardClient) -> None:
    device = button(factory)
    happened: queue.SimpleQueue[tuple[str, bool, str]] = queue.SimpleQueue()
    # Reading the pin inside the callback must not lock up: the daemon may do so.
    device.when_pressed = lambda: happened.put(("pressed", device.is_pressed, threading.current_thread().name))
    device.when_released = lambda: happened.put(("released", device.is_pressed, threading.current_thread().name))
    hold = hand.hold(BUTTON, 0.2)
    assert happened.get(timeout=5) == ("pressed", True, "board-edges")
    assert happened.get(timeout=5) == ("released", False, "board-edges")
    assert happened.empty()
    assert hold.pressed_ns / 1e9 <= device._last_changed <= factory.ticks()


def test_a_button_already_down_at_the_start_is_read_as_down(factory: SimulatedFactory, hand: BoardClient) -> None:
    hand.request("drive", pin=BUTTON, level=0)
    device = button(factory)
    assert device.is_pressed
    released = threading.Event()
    device.when_released = released.set
    hand.request("drive", pin=BUTTON, level=None)
    assert released.wait(5)
    assert not device.is_pressed


def test_worn_contacts_reach_the_device_as_they_are(run: Path, launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    path = run / "worn.sock"
    launch("board", "--socket", path, "--bounce-ms", "20", "--seed", "3")
    monkeypatch.setenv("BONDMATE_SIM_BOARD", str(path))
    with SimulatedFactory() as factory, BoardClient(path) as hand:
        device = button(factory)
        happened: list[str] = []
        device.when_pressed = lambda: happened.append("pressed")
        device.when_released = lambda: happened.append("released")
        hand.hold(BUTTON, 0.2)
        wait_until(lambda: happened[-1:] == ["released"] and not device.is_pressed, 30, "the release")
        assert happened.count("pressed") > 1, "nothing debounces on the way"


def test_outputs_are_seen_from_outside(factory: SimulatedFactory, hand: BoardClient) -> None:
    hand.request("watch", pin=MOTOR)
    hand.request("watch", pin=LIGHT)
    motor = DigitalOutputDevice(MOTOR, pin_factory=factory)
    light = LED("GPIO27", initial_value=True, pin_factory=factory)
    edges = hand.edges()
    assert (light.is_lit, motor.is_active) == (True, False)
    first = next(edges)
    assert (first.pin, first.level) == (LIGHT, 1)
    motor.blink(0.02, 0.02, n=2, background=False)
    assert [(edge.pin, edge.level) for _, edge in zip(range(4), edges, strict=False)] == [
        (MOTOR, 1), (MOTOR, 0), (MOTOR, 1), (MOTOR, 0),
    ]  # fmt: skip
    light.off()
    assert hand.request("read", pin=LIGHT)["level"] == 0


def test_closing_lets_the_lines_float_and_be_used_again(factory: SimulatedFactory, hand: BoardClient) -> None:
    DigitalOutputDevice(MOTOR, initial_value=True, pin_factory=factory).close()
    motor = hand.request("read", pin=MOTOR)
    assert (motor["function"], motor["level"], motor["claimed"]) == ("input", 0, False)
    again = button(factory)
    again.close()
    assert not button(factory).is_pressed


def test_no_variable_and_no_board_are_said_in_words(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BONDMATE_SIM_BOARD", raising=False)
    with pytest.raises(BadPinFactory, match="BONDMATE_SIM_BOARD is not set"):
        SimulatedFactory()
    monkeypatch.setenv("BONDMATE_SIM_BOARD", str(run / "nobody.sock"))
    with pytest.raises(BadPinFactory, match=r"BONDMATE_SIM_BOARD=.*nobody\.sock: no board answers"):
        SimulatedFactory()


def test_a_board_that_dies_is_logged_once_and_reads_raise(
    run: Path, launch: Launch, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = run / "board.sock"
    process = launch("board", "--socket", path)
    monkeypatch.setenv("BONDMATE_SIM_BOARD", str(path))
    factory = SimulatedFactory()
    device, motor = button(factory), DigitalOutputDevice(MOTOR, pin_factory=factory)
    process.kill()
    wait_until(lambda: caplog.records, 30, "the log")
    with pytest.raises(PinError, match="went away"):
        _ = device.is_pressed
    with pytest.raises(PinError, match="went away"):
        motor.on()
    factory.close()  # and closing does not raise
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.getMessage() for record in errors] == [
        "BONDMATE_SIM_BOARD: the simulated board went away; its pins can no longer be read"
    ]


def test_a_factory_that_is_closed_logs_nothing(
    board: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("BONDMATE_SIM_BOARD", str(board))
    with SimulatedFactory() as factory:
        button(factory)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_handler_that_fails_is_logged_and_the_next_edge_still_comes(
    factory: SimulatedFactory, hand: BoardClient, caplog: pytest.LogCaptureFixture
) -> None:
    device = button(factory)
    released = threading.Event()

    def fail() -> None:
        raise RuntimeError("the handler is broken")

    device.when_pressed = fail
    device.when_released = released.set
    hand.hold(BUTTON, 0.05)
    assert released.wait(5)
    assert "handler of GPIO17 failed on an edge to 0" in caplog.text
    assert "the handler is broken" in caplog.text


def test_two_processes_do_not_share_a_line(factory: SimulatedFactory, hand: BoardClient) -> None:
    hand.request("output", pin=MOTOR, level=0)
    with pytest.raises(PinError, match="pin 18 is in use by another process"):
        DigitalOutputDevice(MOTOR, pin_factory=factory)


def test_only_the_chosen_edges_are_delivered(factory: SimulatedFactory, hand: BoardClient) -> None:
    pin = factory.pin(BUTTON)
    pin.input_with_pull("up")
    levels: queue.SimpleQueue[int] = queue.SimpleQueue()

    def changed(ticks: float, level: int) -> None:
        levels.put(level)

    pin.edges = "rising"
    pin.when_changed = changed
    hand.hold(BUTTON, 0.05)
    assert levels.get(timeout=5) == 1
    assert levels.empty()


def test_what_a_pin_cannot_do_is_gpiozero_s_own_error(factory: SimulatedFactory) -> None:
    pin = factory.pin(MOTOR)
    with pytest.raises(PinInvalidFunction):
        pin.function = "analogue"
    with pytest.raises(PinSetInput):
        pin.state = 1
    with pytest.raises(PinInvalidPull):
        pin.pull = "sideways"
    with pytest.raises(PinInvalidBounce):
        pin.bounce = 0.1
    with pytest.raises(PinInvalidEdges):
        pin.edges = "sometimes"
    with pytest.raises(PinFixedPull):
        factory.pin(2).input_with_pull("down")
    pin.function = "output"
    with pytest.raises(PinInvalidState):
        pin.state = 0.5
    with pytest.raises(PinFixedPull):
        pin.pull = "up"
    with pytest.raises(PinPWMUnsupported):
        pin.frequency = 100
