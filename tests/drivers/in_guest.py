#!/usr/bin/python3
"""The first process of the guest (guest.py): does what the host calls by name, with the drivers of the device.

It imports nothing of the tests: nothing else of them is there.
"""

import asyncio
import ctypes
import json
import logging
import os
import sys
import threading
import traceback
import tty
from collections.abc import Awaitable, Callable
from functools import partial
from time import monotonic
from typing import Any

import gpiod
from gpiozero import DigitalOutputDevice

from bondmate.drivers import gpiod_factory
from bondmate.drivers.button import Button
from bondmate.drivers.indicator import PinIndicator
from bondmate.drivers.inputs import Contact
from bondmate.drivers.pins import open_factory
from bondmate.errors import LocalError

CHIP = "9030000.pl061"
BUTTON, MOTOR, LED, BUZZER, CONTACT = 1, 4, 5, 6, 2


def say(what: Any, word: str = "says") -> None:
    sys.stdout.write(f"guest-{word} {json.dumps(what)}\n")
    sys.stdout.flush()


class Watched:
    """A button; it says its edges as they come."""

    def __init__(self, factory: Any, pin: int = BUTTON, *, aloud: bool = True) -> None:
        self.aloud = aloud
        self.edges: asyncio.Queue[tuple[bool, float, bool]] = asyncio.Queue()
        self.button = Button(factory, pin, self._on_edge)

    def _on_edge(self, down: bool, at: float, from_start: bool) -> None:
        self.edges.put_nowait((down, at, from_start))
        if self.aloud:
            say((down, at, from_start))


def refusal(make: Callable[[], Any]) -> str:
    try:
        make()
    except LocalError as error:
        return str(error)
    return "it was not refused"


def board(chip: str = CHIP) -> Any:
    return open_factory("gpiod", chip)


async def press() -> None:
    factory = board()
    watched = Watched(factory)
    say(monotonic())
    for _ in range(2):
        await watched.edges.get()
    say([monotonic(), threading.active_count()])
    watched.button.close()
    factory.close()


async def down_already() -> None:
    factory = board()
    watched = Watched(factory)
    for _ in range(2):
        await watched.edges.get()
    say(watched.button.is_pressed)
    watched.button.close()
    factory.close()


async def deaf() -> None:
    """The loop hangs while the contact chatters."""
    gpiod_factory.EVENTS = 16
    factory = board()
    watched = Watched(factory, aloud=False)
    with Warnings() as warnings:
        say("wired")
        sys.stdin.readline()
        edges = [await watched.edges.get()]
        while not (edges[-1][0] and watched.edges.empty()):
            edges.append(await watched.edges.get())
        say([edges, watched.button.is_pressed, warnings.texts])
    watched.button.close()
    factory.close()


class Warnings(logging.Handler):
    """The texts of what is logged meanwhile."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())

    def __enter__(self) -> "Warnings":
        logging.getLogger().addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self)


async def outputs() -> None:
    factory = board()
    indicator = PinIndicator(factory, MOTOR, LED, BUZZER, covert=False)
    acts: tuple[Callable[[], None], ...] = (
        partial(indicator.vibrate, on=False),
        partial(indicator.vibrate, on=True),
        partial(indicator.light, on=True),
        indicator.close,
    )
    for act in acts:
        act()
        say("done")
        sys.stdin.readline()
    factory.close()


async def contact() -> None:
    factory = board()
    changes: asyncio.Queue[bool] = asyncio.Queue()
    found = Contact(factory, CONTACT, lambda closed, _: changes.put_nowait(closed), "the case's contact")
    for _ in range(3):
        say(await changes.get())
    found.close()
    factory.close()


async def refusals() -> None:
    factory = board()
    told: dict[str, Any] = {
        "auto": refusal(lambda: board("auto")),
        "chip": refusal(lambda: board("pinctrl-nobody")),
        "line": refusal(lambda: Watched(factory, 8)),
    }
    with gpiod.request_lines("/dev/gpiochip0", {BUTTON: None}, consumer="somebody"):
        told["busy"] = refusal(lambda: Watched(factory))
    watched = Watched(factory)
    told["twice"] = refusal(lambda: Watched(factory))
    with gpiod.Chip("/dev/gpiochip0") as chip:
        told["consumer"] = chip.get_line_info(BUTTON).consumer
        watched.button.close()
        told["closed"] = chip.get_line_info(BUTTON).used
        light = DigitalOutputDevice(LED, pin_factory=factory)
        factory.close()
        told["all closed"] = chip.get_line_info(LED).used
        del light
    say(told)


async def again() -> None:
    """A pin that was given back can be had again, and tells nothing of what was between."""
    factory = board()
    Watched(factory).button.close()
    say("closed")
    sys.stdin.readline()
    watched = Watched(factory)
    say("wired")
    for _ in range(2):
        await watched.edges.get()
    watched.button.close()
    factory.close()


SCENARIOS: dict[str, Callable[[], Awaitable[None]]] = {
    each.__name__: each for each in (press, down_already, deaf, outputs, contact, refusals, again)
}


def main() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    for kind, place in ((b"devtmpfs", b"/dev"), (b"proc", b"/proc"), (b"sysfs", b"/sys")):
        if libc.mount(kind, place, kind, 0, None) != 0:
            raise OSError(ctypes.get_errno(), f"cannot mount {place!r}")
    port = os.open("/dev/ttyS0", os.O_RDWR)
    tty.setraw(port)
    for number in (0, 1, 2):
        os.dup2(port, number)
    say(sys.version, "up")
    for line in sys.stdin:
        try:
            asyncio.run(SCENARIOS[line.strip()]())  # type: ignore[arg-type]
        except Exception:
            traceback.print_exc()
            raise


if __name__ == "__main__":
    main()
