import asyncio
import os
import signal
from pathlib import Path

import pytest

from bondmate_sim.errors import SimulatorError
from bondmate_sim.service import appended_lines, interrupted_by_signals, stop_on_signals, wait_or_stop


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_wait(number: signal.Signals) -> None:
    async def serve() -> bool:
        stop = stop_on_signals()
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), number)
        return await wait_or_stop(stop, 30)

    assert asyncio.run(serve()) is True


def test_without_a_signal_the_wait_ends_by_itself() -> None:
    async def serve() -> bool:
        return await wait_or_stop(stop_on_signals(), 0.001)

    assert asyncio.run(serve()) is False


def test_sigterm_interrupts_a_block_and_the_old_handler_returns() -> None:
    before = signal.getsignal(signal.SIGTERM)

    def be_stopped() -> None:
        with interrupted_by_signals():
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()

    with pytest.raises(KeyboardInterrupt):
        be_stopped()
    assert signal.getsignal(signal.SIGTERM) is before


def test_lines_are_appended_and_there_at_once(tmp_path: Path) -> None:
    file = tmp_path / "edges.jsonl"
    file.write_text("before\n")
    with appended_lines(file) as lines:
        assert lines is not None
        lines.write("after\n")
        assert file.read_text() == "before\nafter\n"
    with appended_lines(None) as lines:
        assert lines is None


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(SimulatorError, match=r"cannot write to .*nowhere/tap: No such file"),
        appended_lines(tmp_path / "nowhere" / "tap"),
    ):
        pass
