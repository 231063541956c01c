"""`bondmate-sim`: the command line of the simulator. It parses, calls one part, and turns errors into exit codes.

0 done; 1 it failed, and standard error says what; 2 usage; 3 nobody at that socket.
"""

import argparse
import asyncio
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from bondmate_sim import cli_board, cli_modem, nmea_log, walk
from bondmate_sim.arguments import address, between, count, file, windows
from bondmate_sim.console import complain, complain_with_log
from bondmate_sim.demo import run_demo
from bondmate_sim.errors import BoardUnreachableError, ControlUnreachableError, SimulatorError
from bondmate_sim.gnss import Kind, LogSky, RouteSky, play
from bondmate_sim.mobile import Bearer, Mobile
from bondmate_sim.network import Weather, run_relay
from bondmate_sim.process import ProcessError
from bondmate_sim.serial_end import SPEEDS
from bondmate_sim.up import run_up

DONE, FAILED, UNREACHABLE = 0, 1, 3


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. Wrong usage raises SystemExit(2), as argparse does."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = _parser()
    options = parser.parse_args([_shield(argument) for argument in arguments])
    if options.command == "gnss" and options.nmea is not None and options.receiver is not None:
        parser.error("gnss: a log obeys nobody; --receiver goes with --route only")
    if options.command in ("demo", "up") and (
        (options.bearer == "ip" and options.no_ip) or (options.bearer == "lte" and options.no_lte)
    ):
        parser.error(f"{options.command}: without {options.bearer} nothing is left; another --bearer has more ways")
    try:
        return _run(options)
    except (BoardUnreachableError, ControlUnreachableError) as error:
        complain(f"bondmate-sim: {error}")
        return UNREACHABLE
    except ProcessError as error:
        complain_with_log(f"bondmate-sim: {error}", error.log)
        return FAILED
    except SimulatorError as error:
        complain(f"bondmate-sim: {error}")
        return FAILED
    except BrokenPipeError:
        # Whoever read our output has left; without this, Python would complain once more when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return FAILED


def _shield(argument: str) -> str:
    # argparse takes a southern latitude for an option; a word with a blank in it never is one.
    return f" {argument}" if re.match(r"-\d[^ ]*,", argument) else argument


def _run(options: argparse.Namespace) -> int:
    match options.command:
        case "gnss":
            asyncio.run(play(_sky(options), link=options.link, chunk=options.chunk, baud=options.baud))
        case "network":
            weather = Weather(
                loss=options.loss,
                duplicate=options.duplicate,
                delay_ms=options.delay_ms,
                jitter_ms=options.jitter_ms,
                partition=options.partition,
                rebind_every=options.rebind_every,
                seed=options.seed,
            )
            asyncio.run(run_relay(options.listen, options.upstream, weather, options.tap))
        case "demo":
            return run_demo(nmea=options.nmea, mobile=_mobile(options), keep=options.keep, as_json=options.json)
        case "up":
            return run_up(nmea=options.nmea, mobile=_mobile(options), keep=options.keep)
        case command if command in cli_board.COMMANDS:
            cli_board.run(options)
        case command if command in cli_modem.COMMANDS:
            cli_modem.run(options)
        case _:
            raise AssertionError(options.command)
    return DONE


def _sky(options: argparse.Namespace) -> LogSky | RouteSky:
    if options.route is not None:
        return RouteSky(tuple(options.route), options.receiver or "nmea")
    return LogSky(nmea_log.read(options.nmea), options.speed, options.loop)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bondmate-sim", description="The world around a BondMate device, simulated.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    cli_board.add(commands)

    gnss = commands.add_parser("gnss", help="a GNSS receiver on a pseudo-terminal")
    sky = gnss.add_mutually_exclusive_group(required=True)
    sky.add_argument("--nmea", type=Path, metavar="FILE", help="play a recorded log in its own rhythm")
    sky.add_argument("--route", type=_point, nargs="+", metavar="LAT,LON", help="walk there and back, at 1.4 m/s")
    gnss.add_argument(
        "--speed", type=between(0.01, 10_000), default=1.0, metavar="N", help="play a log so many times as fast"
    )
    gnss.add_argument("--loop", action="store_true", help="play a log again and again")
    gnss.add_argument("--link", type=Path, metavar="PATH", help="symbolic link to the port")
    gnss.add_argument(
        "--chunk", choices=("whole", "byte"), default="whole", help="sentences at once, or octet by octet"
    )
    gnss.add_argument(
        "--receiver",
        choices=get_args(Kind),
        help="whose commands it obeys; nmea, the default: nobody's. Only with --route",
    )
    gnss.add_argument(
        "--baud",
        type=int,
        choices=sorted(SPEEDS.values()),
        metavar="N",
        help="its own speed: an end of the line with another one reads garbage. Without it, every speed is right",
    )

    network = commands.add_parser("network", help="a UDP relay between device and gateway")
    network.add_argument("--listen", type=address, required=True, metavar="HOST:PORT", help="port 0: a free one")
    network.add_argument("--upstream", type=address, required=True, metavar="HOST:PORT", help="the gateway")
    network.add_argument("--tap", type=Path, metavar="FILE", help="append every datagram as a JSON line")
    network.add_argument(
        "--loss", type=between(0, 1), default=0.0, metavar="P", help="probability of losing a datagram"
    )
    network.add_argument(
        "--duplicate", type=between(0, 1), default=0.0, metavar="P", help="probability of sending it twice"
    )
    network.add_argument("--delay-ms", type=between(0, 60_000), default=0.0, metavar="N", help="in each direction")
    network.add_argument(
        "--jitter-ms", type=between(0, 60_000), default=0.0, metavar="N", help="up to so much more, each its own"
    )
    network.add_argument("--partition", type=windows, metavar="UP_S,DOWN_S", help="works so long, then does not, …")
    network.add_argument("--rebind-every", type=count, metavar="N", help="a new port upstream after N datagrams")
    network.add_argument("--seed", type=int, metavar="N", help="repeat the same luck")

    cli_modem.add(commands)

    demo = commands.add_parser("demo", help="one alert from the finger to the dispatcher")
    demo.add_argument("--json", action="store_true", help="for machines")
    up = commands.add_parser("up", help="the demo's world, until Ctrl-C")
    for command in (demo, up):
        command.add_argument("--nmea", type=file, metavar="FILE", help="the sky is this recorded log")
        command.add_argument("--keep", type=Path, metavar="DIR", help="make the world there, and let it stay")
        command.add_argument(
            "--bearer", choices=get_args(Bearer), default="ip",
            help="how the alert gets out: lte and sms with a modem where nothing else works; auto: all of them work",
        )  # fmt: skip
        command.add_argument("--no-ip", action="store_true", help="IP is a black hole")
        command.add_argument("--no-lte", action="store_true", help="so are the modem's sockets")
    return parser


def _mobile(options: argparse.Namespace) -> Mobile:
    return Mobile(options.bearer, no_ip=options.no_ip, no_lte=options.no_lte)


def _point(text: str) -> walk.Point:
    try:
        return walk.parse_point(text.strip())
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
