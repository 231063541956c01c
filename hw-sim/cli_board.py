"""The commands of the board: board, press, contact, battery, pins. Part of cli.py, which knows exit codes."""

import argparse
import asyncio
from pathlib import Path
from typing import Any

from bondmate_sim import pins
from bondmate_sim.arguments import between, count, percentage
from bondmate_sim.battery import set_battery
from bondmate_sim.board import MAX_HOLD_S, run_board
from bondmate_sim.console import say
from bondmate_sim.lines import PINS

COMMANDS = ("board", "press", "contact", "battery", "pins")


def run(options: argparse.Namespace) -> None:
    """Run the command that was given; it is one of COMMANDS. Raises SimulatorError."""
    match options.command:
        case "board":
            asyncio.run(
                run_board(options.socket, bounce_s=options.bounce_ms / 1000, seed=options.seed, log=options.log)
            )
        case "press":
            pins.press(options.socket, pin=options.pin, hold_s=options.hold, times=options.times)
        case "contact":
            pins.set_contact(options.socket, pin=options.pin, closed=options.state == "closed")
        case "battery":
            percent = set_battery(options.dir, percent=options.percent, charging=options.charging)
            say(f"the battery has {percent} %, and is {'at a charger' if options.charging else 'not at a charger'}")
        case "pins":
            pins.show(options.socket, as_json=options.json, watch=options.watch)
        case _:
            raise AssertionError(options.command)


def add(commands: Any) -> None:
    """Add the commands to an argparse parser's subparsers."""
    board = commands.add_parser("board", help="the pins of a board, on a Unix socket")
    board.add_argument("--socket", type=Path, required=True, metavar="PATH", help="where it listens")
    board.add_argument("--log", type=Path, metavar="FILE", help="append every edge as a JSON line")
    board.add_argument("--bounce-ms", type=between(0, 100), default=0.0, metavar="N", help="contacts chatter so long")
    board.add_argument("--seed", type=int, metavar="N", help="repeat the same chatter")

    press = commands.add_parser("press", help="press a button and hold it")
    press.add_argument("--hold", type=between(0.001, MAX_HOLD_S), required=True, metavar="S", help="seconds")
    press.add_argument("--times", type=count, default=1, metavar="N", help="so often, slowly (default: once)")
    contact = commands.add_parser("contact", help="close a contact to ground, or open it")
    contact.add_argument("state", choices=("closed", "open"), help="it stays so")
    for command in (press, contact):
        command.add_argument("--socket", type=Path, required=True, metavar="PATH", help="of the board")
        command.add_argument("--pin", type=int, choices=PINS, required=True, metavar="N", help="BCM number")

    battery = commands.add_parser("battery", help="how full a battery is, as a directory of /sys/class/power_supply")
    battery.add_argument("--dir", type=Path, required=True, metavar="DIR", help="where it is; made if need be")
    battery.add_argument("--percent", type=percentage, metavar="N", help="0 to 100; without it, as it was")
    battery.add_argument("--charging", action="store_true", help="it is at a charger")

    show = commands.add_parser("pins", help="the levels of the pins")
    show.add_argument("--socket", type=Path, required=True, metavar="PATH", help="of the board")
    show.add_argument("--watch", action="store_true", help="print each edge until Ctrl-C")
    show.add_argument("--json", action="store_true", help="for machines")
