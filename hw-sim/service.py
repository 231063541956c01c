"""How a long-running part of the simulator begins and ends: until SIGINT or SIGTERM.

It does not start or watch other processes (see process.py).
"""

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from bondmate_sim.errors import SimulatorError


def stop_on_signals() -> asyncio.Event:
    """An event that SIGINT and SIGTERM set. Call it inside a running loop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


async def wait_or_stop(stop: asyncio.Event, seconds: float) -> bool:
    """Wait so long, or until `stop` is set; true when it was set."""
    if stop.is_set():
        return True
    try:
        await asyncio.wait_for(stop.wait(), max(seconds, 0.0))
    except TimeoutError:
        return False
    return True


@contextlib.contextmanager
def appended_lines(file: Path | None) -> Iterator[IO[str] | None]:
    """A text file to which each line goes at once; None for None. Raises SimulatorError when it cannot be opened."""
    if file is None:
        yield None
        return
    try:
        opened = file.open("a", buffering=1, encoding="utf-8")
    except OSError as error:
        raise SimulatorError(f"cannot write to {file}: {error.strerror}") from error
    with opened:
        yield opened


@contextlib.contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP raise KeyboardInterrupt inside, as Ctrl-C does: blocks that tidy up get their turn."""
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.default_int_handler) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
