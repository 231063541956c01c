"""What the tests of the simulator share: real processes of its own commands, and places short enough for sockets."""

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bondmate_sim.process import Process

SIM = str(Path(sys.executable).with_name("bondmate-sim"))
READY_S = 15.0


@pytest.fixture
def run() -> Iterator[Path]:
    """A directory for Unix sockets, whose paths have at most 107 octets."""
    with tempfile.TemporaryDirectory(prefix="bms-") as directory:
        yield Path(directory)


Launch = Callable[..., Process]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """Start `bondmate-sim` with these arguments, wait for its ready line; ended with the test."""
    started: list[Process] = []

    def start(*arguments: str | Path) -> Process:
        name = f"{arguments[0]}-{len(started)}"
        process = Process(name, [SIM, *map(str, arguments)], tmp_path / f"{name}.log")
        started.append(process)
        process.start()
        process.wait_for_line(r"(\S+ )+on \S+", READY_S)
        return process

    yield start
    for process in started:
        process.stop()


@pytest.fixture
def board(run: Path, launch: Launch) -> Path:
    """The socket of a running board with clean contacts, which logs to edges.jsonl beside it."""
    socket = run / "board.sock"
    launch("board", "--socket", socket, "--log", run / "edges.jsonl")
    return socket
