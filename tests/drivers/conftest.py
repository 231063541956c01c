"""What the tests of the drivers share: a real board process, and gpiozero's factory of its pins."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from gpiozero.pins import Factory

from bondmate.drivers.pins import open_factory
from bondmate_sim.board_client import BoardClient
from tests.sim.conftest import board, launch, run

__all__ = ["board", "launch", "run"]


@pytest.fixture
def factory(board: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Factory]:
    monkeypatch.setenv("BONDMATE_SIM_BOARD", str(board))
    made = open_factory("bondmate_sim")
    yield made
    made.close()


@pytest.fixture
def hand(board: Path) -> Iterator[BoardClient]:
    """What presses the buttons and measures the lines."""
    with BoardClient(board) as client:
        yield client
