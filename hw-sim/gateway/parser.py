"""The options of `bondmate-gateway`: what can be said on its command line, and what of it is not understood.

It does nothing with them; which function does what, `cli` says.
"""

import argparse
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from bondmate_sim.gateway import exercises, messages
from bondmate_sim.gateway.messages import Place

DEFAULT_ADDRESS = "127.0.0.1:5683"

_DATA_VARIABLE = "BONDMATE_GATEWAY_DATA"
_MAX_DEVICES = 1000
_MAX_SMPP_USER = 15
"""SMPP 3.4, section 4.1.5: a C-octet string of at most 16 octets, with its end."""

DEFAULT_DAYS = 14
_MAX_DAYS = 366
_MAX_GROUP = 64
_MAX_MINUTES = exercises.MAX_S // 60
_MAX_RADIUS_M = 2**32 - 1

Command = Callable[[argparse.Namespace], None]


def parser(commands: Mapping[str, Command]) -> argparse.ArgumentParser:
    """Return the parser; each command's function is found under its name in `commands`."""
    made = argparse.ArgumentParser(
        prog="bondmate-gateway",
        description="The reference gateway: takes alerts from devices, shows them, and answers officers.",
    )
    parsers = made.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, summary: str, *, json_flag: bool = True) -> argparse.ArgumentParser:
        added = parsers.add_parser(name, help=summary, description=summary)
        added.set_defaults(command=commands[name], usage=added.error)
        added.add_argument(
            "--data",
            type=Path,
            default=Path(os.environ.get(_DATA_VARIABLE) or Path.home() / ".local/share/bondmate-gateway"),
            metavar="DIR",
            help=f"where the gateway keeps its database and key (default: ${_DATA_VARIABLE}, else %(default)s)",
        )
        if json_flag:
            added.add_argument("--json", action="store_true", help="print JSON")
        return added

    _run(command("run", "Answer devices until stopped.", json_flag=False))
    _enrol(command("enrol", "Make new devices, and an enrolment file for each."))
    approve = command("approve", "Approve a new device's key, by the fingerprint that the device shows.")
    _device(approve)
    approve.add_argument("--fingerprint", type=_fingerprint, required=True, metavar="ABCD-EFGH-IJKL-MNOP")
    approve.add_argument("--by", metavar="NAME", help="your name (default: the login name)")
    _device(command("withdraw", "Let the enrolment file of a device that is not enrolled yet not be used any more."))
    command("force-key", "Show the public key that enrolment files are signed with, for the devices' image.")
    command("alerts", "Show the alerts that are held.")
    _alert_id(command("ack", "Tell an officer that a human saw the alert."))
    _alert_id(command("close", "End an alert: the officer's device takes it as over."))
    message = command("message", "Write to one device.")
    _device(message)
    _text(message)
    alert = command("alert", "Alert all devices of a group.")
    alert.add_argument("--group", type=_group, required=True, metavar="GROUP", help="whose devices get it")
    alert.add_argument(
        "--area",
        type=_area,
        metavar="LAT,LON,RADIUS_M",
        help="where it matters: degrees, and metres around; write --area=LAT,... where LAT is negative",
    )
    _text(alert)
    exercise = command("exercise", "Let a device's calls be exercises for a time, or end that.")
    _device(exercise)
    exercise.add_argument("off", nargs="?", choices=["off"], help="end the exercise that goes on")
    exercise.add_argument("--minutes", type=_minutes, metavar="N", help=f"how long, 1 to {_MAX_MINUTES}")
    _by(exercise)
    group = command("group", "Set the groups that a device is in; none takes it out of all.")
    _device(group)
    group.add_argument("groups", type=_group, nargs="*", metavar="GROUP")
    sent = command("messages", "Show what was sent to devices, and what became of it.")
    sent.add_argument("device", type=_device_id, nargs="?", metavar="DEVICE", help="show one device's alone")
    command("devices", "Show the devices, enrolled or on their way to it.")
    _device(command("revoke", "Refuse a device's records from now on."))
    wipe = command(
        "wipe", "Let a device deliver its calls, forget all else, and be enrolled anew; there is no way back."
    )
    _device(wipe)
    _by(wipe)
    rekey = command("rekey", "Let a device change the keys of its channel.")
    _device(rekey)
    _by(rekey)
    return made


def _run(serve: argparse.ArgumentParser) -> None:
    serve.add_argument(
        "--listen",
        type=_host_port,
        default=_host_port(DEFAULT_ADDRESS),
        metavar="HOST:PORT",
        help=f"the address to listen on; port 0 takes a free one (default: {DEFAULT_ADDRESS})",
    )
    sms = serve.add_argument_group("SMS", "Serve devices by SMS too. What fails here never stops what --listen serves.")
    sms.add_argument(
        "--sms",
        type=_sms,
        metavar="PROVIDER",
        help="how messages come and go: centre:HOST:PORT is the message centre of 'bondmate-sim smsc';"
        " smpp:NAME@HOST:PORT is an operator's, over SMPP 3.4 (it needs the extra 'smpp')",
    )
    sms.add_argument(
        "--sms-number",
        type=_number,
        metavar="NUMBER",
        help="the gateway's own number, as +4915550001, to which devices send",
    )
    sms.add_argument(
        "--sms-password-file",
        type=Path,
        metavar="FILE",
        help="for smpp: the file with the password of NAME, one line",
    )


def _enrol(enrol: argparse.ArgumentParser) -> None:
    enrol.add_argument("--count", type=_count, required=True, metavar="N", help="how many devices")
    kind = enrol.add_mutually_exclusive_group(required=True)
    kind.add_argument(
        "--out", type=Path, metavar="DIR", help="make devices with their keys, and write their credentials here"
    )
    kind.add_argument(
        "--cards",
        action="store_true",
        help="print, with --json, the signed files for the cards of devices that make their keys themselves",
    )
    enrol.add_argument(
        "--address",
        type=_address,
        action="append",
        metavar="coap://HOST:PORT",
        help=f"an address of the gateway to write into the files; may be repeated (default: coap://{DEFAULT_ADDRESS})",
    )
    enrol.add_argument(
        "--group",
        type=_group,
        action="append",
        default=[],
        dest="groups",
        metavar="GROUP",
        help="a group that they are in; may be repeated",
    )
    cards = enrol.add_argument_group("cards", "What --cards takes beside these.")
    cards.add_argument(
        "--valid-days",
        type=_days,
        metavar="D",
        help=f"for how many days a device can begin with its file, 1 to {_MAX_DAYS} (default: {DEFAULT_DAYS})",
    )
    cards.add_argument("--approve", action="store_true", help="let a human approve each device's key")
    cards.add_argument(
        "--network",
        metavar="FILE",
        help="what the devices need to know of the network, in TOML; - reads it from standard input",
    )


def _device(command: argparse.ArgumentParser) -> None:
    command.add_argument("device", type=_device_id, metavar="DEVICE", help="its id, as BM-7f3a09c1")


def _alert_id(command: argparse.ArgumentParser) -> None:
    command.add_argument("alert_id", metavar="ID", help="the alert's id, as 'alerts' shows it")
    _by(command)


def _text(command: argparse.ArgumentParser) -> None:
    command.add_argument("text", metavar="TEXT", help=f"at most {messages.MAX_TEXT_OCTETS} octets")
    command.add_argument(
        "--reply",
        action="append",
        default=[],
        dest="replies",
        metavar="TEXT",
        help=f"a quick reply to choose, at most {messages.MAX_REPLY_OCTETS} octets; up to {messages.MAX_REPLIES}",
    )
    command.add_argument("--urgent", action="store_true", help="let it be felt at once")
    _by(command)


def _by(command: argparse.ArgumentParser) -> None:
    command.add_argument("--by", metavar="NAME", help="your name, as officers see it (default: the login name)")


def _host_port(value: str) -> tuple[str, int]:
    host, colon, port = value.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 0xFFFF:
        raise argparse.ArgumentTypeError(f"{value!r} is not HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _sms(value: str) -> tuple[str | None, str, int]:
    kind, _, place = value.partition(":")
    user, at, address = place.rpartition("@")
    if kind == "centre" and not at:
        return None, *_host_port(address)
    if kind == "smpp" and user.isascii() and user.isprintable() and 1 <= len(user) <= _MAX_SMPP_USER:
        return user, *_host_port(address)
    raise argparse.ArgumentTypeError(
        f"{value!r} is neither centre:HOST:PORT nor smpp:NAME@HOST:PORT with a NAME of 1 to {_MAX_SMPP_USER} characters"
    )


def _number(value: str) -> str:
    if not re.fullmatch(r"\+[0-9]{3,15}", value, re.ASCII):
        raise argparse.ArgumentTypeError(f"{value!r} is not a number with its country code, as +4915550001")
    return value


def _address(value: str) -> str:
    if not value.startswith("coap://"):
        raise argparse.ArgumentTypeError(f"{value!r} is not coap://HOST:PORT")
    _host_port(value.removeprefix("coap://"))
    return value


def _count(value: str) -> int:
    return _whole(value, _MAX_DEVICES)


def _days(value: str) -> int:
    return _whole(value, _MAX_DAYS)


def _fingerprint(value: str) -> str:
    if not re.fullmatch(r"[A-Z2-7]{4}(-[A-Z2-7]{4}){3}", value, re.ASCII):
        raise argparse.ArgumentTypeError(f"{value!r} is no fingerprint: four groups of four, as ABCD-EFGH-IJKL-MNOP")
    return value


def _minutes(value: str) -> int:
    return _whole(value, _MAX_MINUTES)


def _whole(value: str, most: int) -> int:
    if not value.isascii() or not value.isdigit() or not 1 <= int(value) <= most:
        raise argparse.ArgumentTypeError(f"{value!r} is not a number from 1 to {most}")
    return int(value)


def _device_id(value: str) -> bytes:
    found = re.fullmatch(r"BM-([0-9a-f]{8})", value)
    if found is None:
        raise argparse.ArgumentTypeError(f"{value!r} is not a device id such as BM-7f3a09c1")
    return bytes.fromhex(found[1])


def _group(value: str) -> str:
    if not value.isprintable() or re.search(r"[\s,]", value) or not 1 <= len(value) <= _MAX_GROUP:
        raise argparse.ArgumentTypeError(
            f"{value!r} is no name of a group: 1 to {_MAX_GROUP} printable characters without a space or comma"
        )
    return value


def _area(value: str) -> Place:
    number = r"(-?[0-9]{1,3}(?:\.[0-9]{1,9})?)"
    parts = re.fullmatch(rf"{number},{number},([0-9]{{1,10}})", value, re.ASCII)
    if parts is not None:
        lat, lon, radius_m = float(parts[1]), float(parts[2]), int(parts[3])
        if abs(lat) <= 90 and abs(lon) <= 180 and 1 <= radius_m <= _MAX_RADIUS_M:
            return Place(lat, lon, radius_m)
    raise argparse.ArgumentTypeError(f"{value!r} is not LAT,LON,RADIUS_M, as 38.7223,-9.1393,500")
