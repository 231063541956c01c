import asyncio
import os
import signal

import pytest

from bondmate_sim.service import interrupted_by_signals, stop_on_signals, wait_or_stop


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
