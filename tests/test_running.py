"""What every run has: its claim, and the watchdog that is fed while the button can be read."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from bondmate.durable import lock_directory
from bondmate.errors import LocalError
from bondmate.running import claim, end_in, live, until_told
from tests.eventually import eventually


class Manager:
    """As much of notify.ServiceManager as is spoken to."""

    watchdog_s = 0.01

    def __init__(self) -> None:
        self.fed = 0
        self.said: list[str] = []

    def alive(self) -> None:
        self.fed += 1

    def status(self, text: str) -> None:
        self.said.append(text)


class Pin:
    """As much of a button."""

    def __init__(self) -> None:
        self.fails = False

    @property
    def is_pressed(self) -> bool:
        if self.fails:
            raise LocalError("the pin cannot be read")
        return False


def test_the_watchdog_is_fed_while_the_pin_can_be_read_and_each_text_is_said_once() -> None:
    async def main() -> None:
        manager, pin, text = Manager(), Pin(), ["a"]
        task = asyncio.ensure_future(live(pin, manager, lambda: text[0]))  # type: ignore[arg-type]
        await eventually(lambda: manager.fed > 3, "it to be fed")
        text[0] = "b"
        await eventually(lambda: manager.said == ["a", "b"], "the other text")
        pin.fails = True
        with pytest.raises(LocalError, match="the pin cannot be read"):
            await task

    asyncio.run(main())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_runs_until_it_is_told_to_end_or_has_ended(number: signal.Signals) -> None:
    ends: list[threading.Timer] = []
    closed: list[str] = []

    async def for_ever(stack: contextlib.AsyncExitStack) -> None:
        stack.callback(closed.append, "closed")
        signal.raise_signal(number)
        await asyncio.Event().wait()

    async def at_once(_stack: contextlib.AsyncExitStack) -> None:
        return

    async def badly(_stack: contextlib.AsyncExitStack) -> None:
        raise LocalError("no pin")

    async def told(run: Any) -> bool:
        return await until_told(run, ends.append)

    assert asyncio.run(told(for_ever)) is False
    assert closed == ["closed"]
    assert asyncio.run(told(at_once)) is True
    with pytest.raises(LocalError, match="no pin"):
        asyncio.run(told(badly))
    assert len(ends) == 3
    for end in ends:
        assert end.daemon
        end.cancel()


def test_two_runs_do_not_drive_the_same_pins(tmp_path: Path) -> None:
    held = lock_directory(tmp_path)

    async def main() -> None:
        async with contextlib.AsyncExitStack() as stack:
            with pytest.raises(LocalError, match="in use by another bondmated"):
                claim(tmp_path, stack)
            claim(tmp_path / "none", stack)  # no disk is no reason to have no button

    asyncio.run(main())
    os.close(held)

    async def again() -> None:
        async with contextlib.AsyncExitStack() as stack:
            claim(tmp_path, stack)

    asyncio.run(again())
    os.close(lock_directory(tmp_path))


def test_a_guard_that_is_cancelled_ends_nothing() -> None:
    guard = end_in(60.0, 1)
    guard.cancel()
    guard.join(10)
    assert not guard.is_alive()


def test_an_end_that_hangs_is_said_and_made_all_the_same() -> None:
    code = "import time; from bondmate.running import end_in; end_in(0.1, 7); time.sleep(60)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 7
    assert done.stderr == "bondmated: its end took longer than 0 s: something hung, and the process ends now\n"
