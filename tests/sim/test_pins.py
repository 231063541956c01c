import json
import subprocess
from pathlib import Path

import pytest

from bondmate_sim.board_client import BoardClient
from tests.sim.conftest import SIM, Launch


def sim(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SIM, *arguments], capture_output=True, text=True, timeout=30, check=False)


def test_press_holds_and_returns_after_the_release(board: Path) -> None:
    with BoardClient(board) as device:
        device.request("input", pin=17, pull="up")
        device.request("watch", pin=17)
        done = sim("press", "--socket", board, "--pin", "17", "--hold", "0.15")
        edges = device.edges()
        assert [next(edges).level, next(edges).level] == [0, 1]
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("pin 17 was held for 0.1")


def test_pins_shows_what_is_used(board: Path) -> None:
    assert sim("pins", "--socket", board).stdout == "no pin is in use: the device is not running\n"
    with BoardClient(board) as device:
        device.request("input", pin=17, pull="up")
        device.request("output", pin=27, level=1)
        device.request("drive", pin=5, level=1)
        shown = sim("pins", "--socket", board).stdout.splitlines()
        pins = json.loads(sim("pins", "--socket", board, "--json").stdout)["pins"]
    assert [line.split() for line in shown] == [
        ["pin", "5", "input", "high", "pull", "floating", "driven", "from", "outside"],
        ["pin", "17", "input", "high", "pull", "up"],
        ["pin", "27", "output", "high", "pull", "floating"],
    ]
    assert len(pins) == 28
    assert pins[27] == {
        "pin": 27, "function": "output", "pull": "floating", "level": 1, "driven": None, "claimed": True,
    }  # fmt: skip


@pytest.mark.parametrize("as_json", [True, False])
def test_watch_prints_each_edge_until_the_board_goes(run: Path, launch: Launch, as_json: bool) -> None:
    path = run / "board.sock"
    board = launch("board", "--socket", path)
    options = ["--json"] if as_json else []
    command = [SIM, "pins", "--socket", str(path), "--watch", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watcher:
        assert watcher.stdout is not None
        watcher.stdout.readline()  # the pins as they are; from here on it watches
        with BoardClient(path) as hand:
            hand.request("drive", pin=17, level=1)
            line = watcher.stdout.readline()
        board.stop()
        _, complaint = watcher.communicate(timeout=10)
    if as_json:
        edge = json.loads(line)["edge"]
        assert (edge["pin"], edge["level"]) == (17, 1)
    else:
        assert line.split()[1:] == ["pin", "17", "high"]
    assert watcher.returncode == 3
    assert "went away" in complaint


def test_a_contact_stays_as_it_was_put(board: Path) -> None:
    with BoardClient(board) as device:
        device.request("input", pin=24, pull="up")
        for state, level in (("closed", 0), ("closed", 0), ("open", 1)):
            done = sim("contact", "--socket", board, "--pin", "24", state)
            assert (done.returncode, done.stdout) == (0, f"the contact at pin 24 is {state}\n")
            assert device.request("read", pin=24)["level"] == level


def test_no_board_is_exit_code_3(run: Path) -> None:
    for command in (("press", "--pin", "17", "--hold", "1"), ("contact", "--pin", "24", "open"), ("pins",)):
        done = sim(command[0], "--socket", run / "nobody.sock", *command[1:])
        assert done.returncode == 3
        assert "no board answers" in done.stderr
        assert done.stdout == ""
