"""What every run of bondmated has, armed or not: its end, its claim on the disk, and the life of its button."""

import asyncio
import contextlib
import importlib
import logging
import os
import signal
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from bondmate.drivers.button import Button
from bondmate.durable import lock_directory
from bondmate.errors import LocalError
from bondmate.notify import ServiceManager

log = logging.getLogger(__name__)

EXIT_FAILED = 1
LAST_GOOD_FILE = "last-good.toml"
"""In the state directory: the configuration with which the device was armed last."""
LIVE_S = 1.0
"""How often the button's pin is read, at least, to know that it can be."""
END_S = 5.0
"""An end takes no longer, whatever hangs: systemd waits for it before it starts the button again."""


def end_in(seconds: float, code: int) -> threading.Timer:
    """End the process then, whatever hangs in it, unless that is cancelled."""

    def end() -> None:
        # written by hand: what hangs may hold the log's lock
        os.write(2, b"bondmated: its end took longer than %.0f s: something hung, and the process ends now\n" % seconds)
        os._exit(code)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    return timer


async def until_told(
    run: Callable[[contextlib.AsyncExitStack], Awaitable[None]], ending: Callable[[threading.Timer], None]
) -> bool:
    """Run it until it returns, or until SIGTERM or SIGINT; whether it returned. Raises what ended it otherwise.

    `ending` is told of the guard that ends the process, should something hang, before anything is let go.
    """
    loop = asyncio.get_running_loop()
    async with contextlib.AsyncExitStack() as stack:
        running = asyncio.ensure_future(run(stack))
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, running.cancel)
        try:
            await running
        except asyncio.CancelledError:
            log.info("ended on request")
            return False
        finally:
            ending(end_in(END_S, EXIT_FAILED))
    return True


def claim(state_dir: Path, stack: contextlib.AsyncExitStack) -> None:
    """Claim the state directory for this run. Raises LocalError where another process has it."""
    try:
        stack.callback(os.close, lock_directory(state_dir))
    except BlockingIOError:
        raise LocalError(f"{state_dir} is in use by another bondmated: stop that one first") from None
    except OSError as error:
        # no directory, no disk: the store says so too, and the button works all the same
        log.warning("%s cannot be claimed: %s", state_dir, error)


async def api_server() -> Any:
    """The module `api.server`: imported late and in a thread, for aiohttp takes longer than all that a press needs."""
    return await asyncio.to_thread(importlib.import_module, "bondmate.api.server")


async def live(button: Button, manager: ServiceManager, text: Callable[[], str]) -> None:
    """Feed the watchdog from the event loop while the button can be read; end the process when it cannot.

    `text` is what there is to be said of the service, in one line.
    """
    every_s = min(LIVE_S, (manager.watchdog_s or LIVE_S) / 2)
    said = ""
    while True:
        if button.is_pressed in (True, False):
            manager.alive()
        if (now := text()) != said:
            manager.status(now)
            said = now
        await asyncio.sleep(every_s)
