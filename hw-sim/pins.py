"""The hands at a board: press a button, open a contact, look at the pins. They speak to a running board and print."""

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

from bondmate_sim.board_client import BoardClient
from bondmate_sim.console import say
from bondmate_sim.errors import BoardUnreachableError

APART_S = 0.8
"""Between one press and the next of several: slow enough that they are no double or triple tap."""


def press(socket: Path, *, pin: int, hold_s: float, times: int = 1) -> None:
    """Press and hold, so many times; returns after the last release. Raises BoardUnreachableError, SimulatorError."""
    with BoardClient(socket) as board:
        for number in range(times):
            if number:
                time.sleep(APART_S)
            hold = board.hold(pin, hold_s)
            say(f"pin {pin} was held for {(hold.released_ns - hold.pressed_ns) / 1e9:.3f} s")


def set_contact(socket: Path, *, pin: int, closed: bool) -> None:
    """Close a contact to ground, or open it; it stays so. Raises BoardUnreachableError, SimulatorError."""
    with BoardClient(socket) as board:
        board.request("drive", pin=pin, level=0 if closed else None)
    say(f"the contact at pin {pin} is {'closed' if closed else 'open'}")


def show(socket: Path, *, as_json: bool, watch: bool) -> None:
    """Print the pins that somebody uses (as JSON: all), and with `watch` each edge until Ctrl-C.

    Raises BoardUnreachableError also when the board goes away while it is watched.
    """
    with BoardClient(socket) as board:
        pins = board.request("watch", pin=None)["pins"] if watch else board.request("pins")["pins"]
        say(json.dumps({"pins": pins}) if as_json else _table(pins))
        if not watch:
            return
        for edge in board.edges():
            if as_json:
                say(json.dumps({"edge": dataclasses.asdict(edge)}))
            else:
                say(f"{edge.utc}  pin {edge.pin:>2}  {'high' if edge.level else 'low'}")
    raise BoardUnreachableError(f"the board at {socket} went away; start it again")


def _table(pins: list[dict[str, Any]]) -> str:
    rows = [
        f"pin {one['pin']:>2}  {one['function']:<6}  {'high' if one['level'] else 'low':<4}  pull {one['pull']}"
        + ("" if one["driven"] is None else "  driven from outside")
        for one in pins
        if one["claimed"] or one["driven"] is not None
    ]
    return "\n".join(rows) if rows else "no pin is in use: the device is not running"
