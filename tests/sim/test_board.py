import contextlib
import json
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bondmate_sim.board_client import BoardClient
from bondmate_sim.errors import SimulatorError
from bondmate_sim.lines import Edge
from bondmate_sim.process import wait_until
from tests.sim.conftest import SIM, Launch

BUTTON, MOTOR = 17, 18


class Raw:
    """A client that says whatever it likes."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(10)
        self.socket.connect(str(path))
        self._file = self.socket.makefile("rb")

    def say(self, line: bytes) -> None:
        self.socket.sendall(line)

    def hear(self) -> Any:
        line = self._file.readline()
        return json.loads(line) if line else None

    def close(self) -> None:
        self._file.close()
        self.socket.close()


@pytest.fixture
def raw(board: Path) -> Iterator[Raw]:
    with contextlib.closing(Raw(board)) as client:
        yield client


def logged(board: Path) -> list[Edge]:
    text = board.with_name("edges.jsonl").read_text()
    return [Edge(**json.loads(line)) for line in text.splitlines()]


def test_only_the_owner_may_speak_to_it(board: Path) -> None:
    assert stat.S_IMODE(board.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense\n",
        b"\xff\xfe\n",
        b"[" * 9000 + b"\n",
        b"17\n",
        b"{}\n",
        b'{"id": 1, "op": "explode", "pin": 17}\n',
        b'{"id": 1, "op": "read", "pin": 28}\n',
        b'{"id": 1, "op": "read", "pin": "17"}\n',
        b'{"id": 1, "op": "input", "pin": 17, "pull": "sideways"}\n',
        b'{"id": 1, "op": "output", "pin": 17, "level": 2}\n',
        b'{"id": 1, "op": "hold", "pin": 17, "seconds": NaN}\n',
        b'{"id": 1, "op": "hold", "pin": 17, "seconds": 1e9}\n',
    ],
)
def test_a_bad_request_is_refused_and_the_next_one_served(raw: Raw, line: bytes) -> None:
    raw.say(line)
    assert "error" in raw.hear()
    raw.say(b'{"id": 2, "op": "read", "pin": 17}\n')
    assert raw.hear() == {
        "id": 2, "pin": 17, "function": "input", "pull": "floating", "level": 0, "driven": None, "claimed": False,
    }  # fmt: skip


def test_an_endless_line_ends_the_connection(raw: Raw) -> None:
    raw.say(b"x" * 20_000)
    assert "at most" in raw.hear()["error"]
    assert raw.hear() is None


def test_a_client_that_never_reads_is_cut_off(raw: Raw, board: Path) -> None:
    raw.say(b'{"id": 1, "op": "watch", "pin": null}\n')
    with BoardClient(board) as hand:
        for toggle in range(7_000):
            hand.request("drive", pin=BUTTON, level=toggle % 2)
    received = 0
    with contextlib.suppress(ConnectionResetError):
        while data := raw.socket.recv(65_536):
            received += len(data)
    assert received < 7_000 * len(b'{"edge": {"pin": 17, "level": 0, "t_ns": 1, "utc": ""}}')


def test_a_line_belongs_to_one_client_until_it_goes(board: Path) -> None:
    with BoardClient(board) as second:
        with BoardClient(board) as first:
            first.request("output", pin=MOTOR, level=1)
            with pytest.raises(SimulatorError, match="pin 18 is in use by another process"):
                second.request("output", pin=MOTOR, level=0)
            assert second.request("read", pin=MOTOR)["level"] == 1
        # The first one is gone: its motor stops, and the line is free.
        wait_until(lambda: not second.request("read", pin=MOTOR)["claimed"], 30, "the line to be free")
        assert second.request("read", pin=MOTOR)["level"] == 0
        assert second.request("output", pin=MOTOR, level=1)["claimed"] is True


def test_a_change_is_of_when_the_device_made_it_however_busy_the_board_was(board: Path) -> None:
    made_ns = time.monotonic_ns() - 1_000_000
    with BoardClient(board) as device, BoardClient(board) as hand:
        hand.request("watch", pin=MOTOR)
        device.request("output", pin=MOTOR, level=1, t_ns=made_ns)
        assert next(iter(hand.edges())).t_ns == made_ns
        for no_time in (-1, 0, time.monotonic_ns() + 60_000_000_000, "now"):
            with pytest.raises(SimulatorError, match="t_ns is no time of CLOCK_MONOTONIC up to now"):
                device.request("output", pin=MOTOR, level=0, t_ns=no_time)
        assert device.request("read", pin=MOTOR)["level"] == 1


def test_a_hold_presses_to_ground_and_lets_go_and_is_timed_by_the_board(board: Path) -> None:
    with BoardClient(board) as device, BoardClient(board) as hand:
        device.request("input", pin=BUTTON, pull="up")
        device.request("watch", pin=BUTTON)
        hold = hand.hold(BUTTON, 0.2)
        edges = device.edges()
        pressed, released = next(edges), next(edges)
        assert [edge.level for edge in logged(board)] == [1, 0, 1], "pulled up, pressed, released"
    assert (pressed.level, released.level) == (0, 1)
    assert released.t_ns - pressed.t_ns >= 0.2e9
    assert hold.pressed_ns <= pressed.t_ns < released.t_ns <= hold.released_ns


def test_a_hold_ends_although_its_client_went_away(board: Path, raw: Raw) -> None:
    with BoardClient(board) as device:
        device.request("input", pin=BUTTON, pull="up")
        device.request("watch", pin=BUTTON)
        raw.say(b'{"id": 1, "op": "hold", "pin": 17, "seconds": 0.2}\n')
        edges = device.edges()
        assert next(edges).level == 0
        raw.close()
        assert next(edges).level == 1


def test_a_held_button_is_refused_to_other_hands(board: Path, raw: Raw) -> None:
    with BoardClient(board) as device, BoardClient(board) as hand:
        device.request("input", pin=BUTTON, pull="up")
        raw.say(b'{"id": 1, "op": "hold", "pin": 17, "seconds": 30}\n')
        wait_until(lambda: hand.request("read", pin=BUTTON)["level"] == 0, 30, "the press")
        with pytest.raises(SimulatorError, match="pin 17 is being held"):
            hand.hold(BUTTON, 0.1)
        with pytest.raises(SimulatorError, match="pin 17 is being held"):
            hand.request("drive", pin=BUTTON, level=None)


def test_a_press_stays_down_when_the_device_dies_and_the_next_one_finds_it(board: Path) -> None:
    with BoardClient(board) as hand:
        hand.request("drive", pin=BUTTON, level=0)
        with BoardClient(board) as device:
            assert device.request("input", pin=BUTTON, pull="up")["level"] == 0
        wait_until(lambda: not hand.request("read", pin=BUTTON)["claimed"], 30, "the device to be gone")
        with BoardClient(board) as device:
            assert device.request("input", pin=BUTTON, pull="up")["level"] == 0
            hand.request("drive", pin=BUTTON, level=None)
            assert device.request("read", pin=BUTTON)["level"] == 1


def press_edges(socket: Path, launch: Launch, *options: str) -> list[int]:
    """The levels of the edges of one press on a board with these options."""
    launch("board", "--socket", socket, "--log", socket.with_suffix(".jsonl"), *options)
    with BoardClient(socket) as device:
        device.request("input", pin=BUTTON, pull="up")
        device.hold(BUTTON, 0.1)
        text = socket.with_suffix(".jsonl").read_text()
    return [json.loads(line)["level"] for line in text.splitlines()]


def test_worn_contacts_chatter_and_settle_and_a_seed_repeats_them(run: Path, launch: Launch) -> None:
    first = press_edges(run / "a", launch, "--bounce-ms", "10", "--seed", "5")
    assert first == press_edges(run / "b", launch, "--bounce-ms", "10", "--seed", "5")
    assert len(first) > 3, "more than pulled up, pressed, released"
    assert first == [(index + 1) % 2 for index in range(len(first))], "each edge differs from the one before"
    assert first[-1] == 1


def test_a_second_board_does_not_take_the_socket_of_a_running_one(board: Path) -> None:
    done = subprocess.run([SIM, "board", "--socket", board], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert f"a board serves {board} already" in done.stderr
    with BoardClient(board) as hand:
        assert hand.request("read", pin=BUTTON)["level"] == 0


def test_a_killed_board_leaves_a_socket_that_the_next_one_replaces(run: Path, launch: Launch) -> None:
    socket_path = run / "board.sock"
    launch("board", "--socket", socket_path).kill()
    assert socket_path.is_socket()
    second = launch("board", "--socket", socket_path)
    with BoardClient(socket_path) as hand:
        assert hand.request("read", pin=BUTTON)["level"] == 0
        assert second.stop() == 0
    assert not socket_path.exists()
    assert second.log.read_text() == f"board on {socket_path}\n", "an end with clients is no accident to report"


def test_an_impossible_socket_is_an_error_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "board.sock"
    done = subprocess.run([SIM, "board", "--socket", path], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert str(path) in done.stderr
    assert "Traceback" not in done.stderr
