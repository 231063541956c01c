from importlib.metadata import entry_points
from pathlib import Path

import pytest

from bondmate.drivers.pins import open_factory
from bondmate.errors import LocalError
from bondmate_sim.pin_factory import SimulatedFactory


def test_the_factory_is_the_one_that_was_named(board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BONDMATE_SIM_BOARD", str(board))
    # what gpiozero itself would take, were it asked
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "mock")
    factory = open_factory("bondmate_sim")
    factory.close()
    assert type(factory) is SimulatedFactory


def test_an_unknown_name_is_refused_with_those_that_exist() -> None:
    with pytest.raises(LocalError, match=r"gpio.factory: no pin factory is called 'bondmate'") as refused:
        open_factory("bondmate")
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
