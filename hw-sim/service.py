"""How a long-running part of the simulator begins and ends: until SIGINT or SIGTERM.

It does not start or watch other processes (see process.py).
"""

import asyncio
import contextlib
import os
import signal
import socket
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


def listen_unix(path: Path, what: str, option: str) -> socket.socket:
    """A Unix socket that only its owner can connect to, in place of one that nobody serves. Its user removes it.

    `what` it is, and the option that names it, are for SimulatorError, which it raises when it cannot be made.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path, what, option)
        # The mode must be right from the first moment: whoever can connect can press the button.
        before = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(before)
    except OSError as error:
        listener.close()
        raise SimulatorError(f"cannot make the {what}'s socket {path}: {error}; name another with {option}") from error
    except SimulatorError:
        listener.close()
        raise
    return listener


def _remove_stale(path: Path, what: str, option: str) -> None:
    """A socket that nobody serves, left by a killed process, makes room for the new one."""
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        else:
            raise SimulatorError(f"a {what} serves {path} already; stop it or name another with {option}")
