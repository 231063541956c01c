"""The commands of the mobile network: modem, modem-do, smsc. Part of cli.py, which turns errors into exit codes."""

import argparse
import asyncio
from pathlib import Path
from typing import Any, get_args

from bondmate_sim.arguments import address, between, delays, telephone_number
from bondmate_sim.control import ControlClient
from bondmate_sim.errors import SimulatorError
from bondmate_sim.message_centre import Manners
from bondmate_sim.modem import run_modem
from bondmate_sim.modem_body import Dialect, Setup
from bondmate_sim.modem_radio import LEAST_DBM, MOST_DBM, Registration
from bondmate_sim.smsc import run_smsc

COMMANDS = ("modem", "modem-do", "smsc")
ACTIONS = (
    "signal DBM|none, registration STATE, sim in|out, lose-socket LINK, lose-context, fail-sends N, lose-prompts N, "
    "storm N, garbage N, hang [S], deaf [S], unplug S, reset, brown-out, pwrkey S, rail-off, rail-on"
)


def run(options: argparse.Namespace) -> None:
    """Run the command that was given; it is one of COMMANDS. Raises SimulatorError."""
    match options.command:
        case "modem":
            asyncio.run(
                run_modem(
                    _setup(options),
                    link=options.link,
                    chunk=options.chunk,
                    centre=options.smsc,
                    reach=options.reach,
                    control=options.control,
                )
            )
        case "modem-do":
            with ControlClient(options.control) as modem:
                modem.request(options.action, **_fields(options.action, options.value))
        case "smsc":
            manners = Manners(options.delay_s, options.loss, options.duplicate, options.reorder, options.seed)
            asyncio.run(run_smsc(options.listen, manners, options.tap))
        case _:
            raise AssertionError(options.command)


def _setup(options: argparse.Namespace) -> Setup:
    return Setup(
        dialect=options.dialect,
        number=options.number,
        pin=None if options.pin_file is None else _pin(options.pin_file),
        blocked=options.puk_locked,
        has_sim=not options.no_sim,
        rsrp_dbm=options.signal_dbm,
        registration=options.registration,
        echo=not options.no_echo,
        apn=options.apn,
    )


def _pin(file: Path) -> str:
    try:
        pin = file.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise SimulatorError(f"cannot read the PIN in {file}: {error}") from error
    if not (pin.isdecimal() and 4 <= len(pin) <= 8):
        raise SimulatorError(f"{file} has no PIN: it is 4 to 8 digits")
    return pin


def _fields(action: str, value: str | None) -> dict[str, Any]:
    """What the modem's control socket wants to know with this action; what it does not know, it refuses."""
    try:
        match action, value:
            case "signal", str():
                return {"dbm": None if value == "none" else int(value)}
            case "registration", str():
                return {"state": value}
            case "sim", "in" | "out":
                return {"inserted": value == "in"}
            case "lose-socket", str():
                return {"link": int(value)}
            case "fail-sends" | "lose-prompts" | "storm", str():
                return {"count": int(value)}
            case "garbage", str():
                return {"octets": int(value)}
            case "hang" | "deaf", _:
                return {"seconds": None if value is None else float(value)}
            case "unplug" | "pwrkey", str():
                return {"seconds": float(value)}
            case _, None:
                return {}
            case _:
                raise SimulatorError(f"{action} does not go with {value!r}")
    except ValueError as error:
        raise SimulatorError(f"{action}: {value!r} is no number") from error


def add(commands: Any) -> None:
    """Add them to the subparsers of `bondmate-sim`."""
    _add_modem(commands.add_parser("modem", help="an LTE modem on a pseudo-terminal"))
    do = commands.add_parser("modem-do", help="do something to a running modem", epilog=f"actions: {ACTIONS}")
    do.add_argument("control", type=Path, metavar="PATH", help="the modem's --control socket")
    do.add_argument("action", metavar="ACTION", help="what to do")
    do.add_argument("value", nargs="?", metavar="VALUE", help="how much of it")
    _add_smsc(commands.add_parser("smsc", help="a message centre: short messages between modems and gateway"))


def _add_modem(modem: argparse.ArgumentParser) -> None:
    modem.add_argument("--link", type=Path, metavar="PATH", help="symbolic link to the port")
    modem.add_argument("--dialect", choices=get_args(Dialect), default="quectel", help="whose modem it is")
    modem.add_argument("--number", type=telephone_number, default="+4915550001", metavar="NUMBER", help="its own")
    modem.add_argument(
        "--smsc", type=address, metavar="HOST:PORT", help="the message centre; without it, no message goes"
    )
    modem.add_argument(
        "--reach", type=address, metavar="HOST:PORT", help="who answers in its network, whatever address it is told"
    )
    modem.add_argument("--pin-file", type=Path, metavar="FILE", help="the SIM asks for the PIN in it")
    sim = modem.add_mutually_exclusive_group()
    sim.add_argument("--no-sim", action="store_true", help="there is no SIM")
    sim.add_argument("--puk-locked", action="store_true", help="the SIM asks for its PUK, 12345678")
    modem.add_argument(
        "--signal-dbm", type=_dbm, default=-85, metavar="N", help=f"RSRP, {LEAST_DBM} to {MOST_DBM}, or none"
    )
    modem.add_argument("--registration", choices=get_args(Registration), default="home", help="what the network says")
    modem.add_argument("--chunk", choices=("whole", "byte"), default="whole", help="answers at once, or octet by octet")
    modem.add_argument("--no-echo", action="store_true", help="echo is off from the start")
    modem.add_argument("--apn", metavar="NAME", help="the only one that the network takes")
    modem.add_argument("--control", type=Path, metavar="SOCKET", help="where modem-do reaches it")


def _add_smsc(smsc: argparse.ArgumentParser) -> None:
    smsc.add_argument(
        "--listen", type=address, default=("127.0.0.1", 0), metavar="HOST:PORT", help="port 0, the default: a free one"
    )
    smsc.add_argument("--tap", type=Path, metavar="FILE", help="append every message as a JSON line")
    smsc.add_argument(
        "--delay-s", type=delays, default=(0.0, 0.0), metavar="A[,B]", help="a message takes so long, or between"
    )
    smsc.add_argument("--loss", type=between(0, 1), default=0.0, metavar="P", help="probability of forgetting one")
    smsc.add_argument("--duplicate", type=between(0, 1), default=0.0, metavar="P", help="of delivering it twice")
    smsc.add_argument(
        "--reorder", type=between(0, 1), default=0.0, metavar="P", help="of delivering the next one first"
    )
    smsc.add_argument("--seed", type=int, metavar="N", help="repeat the same luck")


def _dbm(text: str) -> int | None:
    return None if text == "none" else int(between(LEAST_DBM, MOST_DBM)(text))
