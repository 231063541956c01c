from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from gpiozero import PinInvalidPin

from bondmate.drivers.pins import claiming, find_factory, open_factory
from bondmate.errors import LocalError
from bondmate_sim.pin_factory import SimulatedFactory


def test_the_factory_is_the_one_that_was_named(board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BONDMATE_SIM_BOARD", str(board))
    # what gpiozero itself would take, were it asked
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "mock")
    factory = open_factory("bondmate_sim")
    factory.close()
    assert type(factory) is SimulatedFactory


def test_a_factory_is_found_without_its_hardware(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check of the configuration runs on any machine."""
    monkeypatch.delenv("BONDMATE_SIM_BOARD", raising=False)
    assert find_factory("bondmate_sim").load() is SimulatedFactory


@pytest.mark.parametrize("use", [find_factory, open_factory])
def test_an_unknown_name_is_refused_with_those_that_exist(use: Callable[[str], object]) -> None:
    with pytest.raises(LocalError, match=r"gpio.factory: no pin factory is called 'bondmate'") as refused:
        use("bondmate")
    for entry in entry_points(group="gpiozero_pin_factories"):
        assert entry.name in str(refused.value)


def test_a_factory_without_its_hardware_is_an_error_and_nothing_takes_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("BONDMATE_SIM_BOARD", raising=False)
    with pytest.raises(LocalError, match=r"gpio.factory 'bondmate_sim' does not work here: BONDMATE_SIM_BOARD is not"):
        open_factory("bondmate_sim")


def test_a_factory_whose_library_is_not_installed_is_an_error() -> None:
    with pytest.raises(LocalError, match=r"gpio.factory 'pigpio' does not work here: .*pigpio"):
        open_factory("pigpio")


@pytest.mark.parametrize("problem", [PinInvalidPin("no such pin"), OSError("no such chip"), ValueError("no number")])
def test_what_gpiozero_or_the_system_refuses_names_the_part_and_its_pin(problem: Exception) -> None:
    with (
        pytest.raises(LocalError, match=r"^the siren at pin 4 does not work: no .*; see \[gpio\]") as told,
        claiming("the siren", 4),
    ):
        raise problem
    assert told.value.__cause__ is problem


def test_an_error_of_ours_stays_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError), claiming("the siren", 4):
        raise ZeroDivisionError
