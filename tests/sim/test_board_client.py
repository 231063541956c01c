import threading
from pathlib import Path

import pytest

from bondmate_sim.board_client import BoardClient
from bondmate_sim.errors import BoardUnreachableError, SimulatorError
from bondmate_sim.process import wait_until
from tests.sim.conftest import Launch


def test_no_board_is_said_with_the_path_and_what_to_do(run: Path) -> None:
    with pytest.raises(BoardUnreachableError, match=r"nobody\.sock .*start one: bondmate-sim board --socket"):
        BoardClient(run / "nobody.sock")


def test_a_path_too_long_for_a_socket_is_no_traceback(run: Path) -> None:
    with pytest.raises(BoardUnreachableError, match="too long"):
        BoardClient(run / ("x" * 200))


def test_a_refusal_carries_the_board_s_reason(board: Path) -> None:
    with BoardClient(board) as client, pytest.raises(SimulatorError, match="there is no pin 99"):
        client.request("read", pin=99)


def test_answers_find_their_requests_while_a_hold_is_on(board: Path) -> None:
    with BoardClient(board) as client:
        client.request("input", pin=17, pull="up")
        holder = threading.Thread(target=client.hold, args=(17, 0.5))
        holder.start()
        wait_until(lambda: client.request("read", pin=17)["level"] == 0, 30, "the press")
        assert holder.is_alive(), "the answer to the hold is still to come"
        holder.join()
        assert client.request("read", pin=17)["level"] == 1


def test_a_board_that_dies_ends_waiting_requests_and_edges(run: Path, launch: Launch) -> None:
    path = run / "board.sock"
    process = launch("board", "--socket", path)
    with BoardClient(path) as client:
        client.request("watch", pin=None)
        failures: list[BoardUnreachableError] = []

        def hold() -> None:
            try:
                client.hold(17, 60)
            except BoardUnreachableError as error:
                failures.append(error)

        holder = threading.Thread(target=hold)
        holder.start()
        wait_until(lambda: client.request("read", pin=17)["driven"] == 0, 30, "the press")
        process.kill()
        holder.join(10)
        assert "went away" in str(failures[0])
        assert list(client.edges()) == []
        with pytest.raises(BoardUnreachableError, match="went away"):
            client.request("pins")


def test_a_silent_board_is_given_up_after_the_time(run: Path, launch: Launch) -> None:
    path = run / "board.sock"
    launch("board", "--socket", path)
    with BoardClient(path) as client, pytest.raises(BoardUnreachableError, match=r"did not answer hold in 0\.05 s"):
        client.request("hold", timeout_s=0.05, pin=17, seconds=30)
