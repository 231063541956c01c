"""The options of `bondmate-gateway`: what can be said on its command line, and what of it is not understood.

It does nothing with them; which function does what, `cli` says.
"""

import argparse
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bondmate_sim.gateway import bundles, messages, values

DEFAULT_ADDRESS = "127.0.0.1:5683"

_DATA_VARIABLE = "BONDMATE_GATEWAY_DATA"

DEFAULT_DAYS = 14
DEFAULT_OVERDUE_DAYS = 7
DEFAULT_PERCENT = 10
DEFAULT_TOLERATED = 5

Command = Callable[[argparse.Namespace], None]


def parser(commands: Mapping[str, Command]) -> argparse.ArgumentParser:
    """Return the parser; each command's function is found under its name in `commands`."""
    made = argparse.ArgumentParser(
        prog="bondmate-gateway",
        description="The reference gateway: takes alerts from devices, shows them, and answers officers.",
    )
    parsers = made.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, summary: str, *, json_flag: bool = True, family: Any = parsers) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = family.add_parser(name.rpartition(" ")[2], help=summary, description=summary)
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
    approve.add_argument("--fingerprint", type=values.fingerprint, required=True, metavar="ABCD-EFGH-IJKL-MNOP")
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
    alert.add_argument("--group", type=values.group, required=True, metavar="GROUP", help="whose devices get it")
    alert.add_argument(
        "--area",
        type=values.area,
        metavar="LAT,LON,RADIUS_M",
        help="where it matters: degrees, and metres around; write --area=LAT,... where LAT is negative",
    )
    _text(alert)
    exercise = command("exercise", "Let a device's calls be exercises for a time, or end that.")
    _device(exercise)
    exercise.add_argument("off", nargs="?", choices=["off"], help="end the exercise that goes on")
    exercise.add_argument("--minutes", type=values.minutes, metavar="N", help=f"how long, 1 to {values.MAX_MINUTES}")
    _by(exercise)
    group = command("group", "Set the groups that a device is in; none takes it out of all.")
    _device(group)
    group.add_argument("groups", type=values.group, nargs="*", metavar="GROUP")
    sent = command("messages", "Show what was sent to devices, and what became of it.")
    sent.add_argument("device", type=values.device_id, nargs="?", metavar="DEVICE", help="show one device's alone")
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
    bundle = "Keep the bundles of software that devices are updated by."
    _bundle(command, parsers.add_parser("bundle", help=bundle, description=bundle))
    rollout = "Let an update go through devices, in batches, and stop when too many fail."
    _rollout(command, parsers.add_parser("rollout", help=rollout, description=rollout))
    return made


def _run(serve: argparse.ArgumentParser) -> None:
    serve.add_argument(
        "--listen",
        type=values.host_port,
        default=values.host_port(DEFAULT_ADDRESS),
        metavar="HOST:PORT",
        help=f"the address to listen on; port 0 takes a free one (default: {DEFAULT_ADDRESS})",
    )
    updates = serve.add_argument_group("Updates", "Rollouts go on where one of these is given.")
    updates.add_argument(
        "--bundles",
        type=values.host_port,
        metavar="HOST:PORT",
        help="serve the bundles that were added by HTTP on this address; port 0 takes a free one",
    )
    updates.add_argument(
        "--bundles-url",
        type=values.base_url,
        metavar="URL",
        help="where devices find the bundles, if not at --bundles, as behind a proxy",
    )
    sms = serve.add_argument_group("SMS", "Serve devices by SMS too. What fails here never stops what --listen serves.")
    sms.add_argument(
        "--sms",
        type=values.sms,
        metavar="PROVIDER",
        help="how messages come and go: centre:HOST:PORT is the message centre of 'bondmate-sim smsc';"
        " smpp:NAME@HOST:PORT is an operator's, over SMPP 3.4 (it needs the extra 'smpp')",
    )
    sms.add_argument(
        "--sms-number",
        type=values.number,
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
    enrol.add_argument("--count", type=values.count, required=True, metavar="N", help="how many devices")
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
        type=values.address,
        action="append",
        metavar="coap://HOST:PORT",
        help=f"an address of the gateway to write into the files; may be repeated (default: coap://{DEFAULT_ADDRESS})",
    )
    enrol.add_argument(
        "--group",
        type=values.group,
        action="append",
        default=[],
        dest="groups",
        metavar="GROUP",
        help="a group that they are in; may be repeated",
    )
    cards = enrol.add_argument_group("cards", "What --cards takes beside these.")
    cards.add_argument(
        "--valid-days",
        type=values.days,
        metavar="D",
        help=f"for how many days a device can begin with its file, 1 to {values.MAX_DAYS} (default: {DEFAULT_DAYS})",
    )
    cards.add_argument("--approve", action="store_true", help="let a human approve each device's key")
    cards.add_argument(
        "--network",
        metavar="FILE",
        help="what the devices need to know of the network, in TOML; - reads it from standard input",
    )


def _bundle(command: Callable[..., argparse.ArgumentParser], bundle: argparse.ArgumentParser) -> None:
    family = bundle.add_subparsers(metavar="COMMAND", required=True)
    add = command("bundle add", "Copy a bundle into the data directory, for devices to fetch.", family=family)
    add.add_argument(
        "file",
        type=Path,
        metavar="FILE",
        help=f"1 to {bundles.MAX_OCTETS} octets; at most {bundles.MAX_BUNDLES} are kept",
    )
    add.add_argument("--version", type=values.version, required=True, metavar="V", help="the version that it brings")
    command("bundle list", "Show the bundles.", family=family)
    remove = command("bundle remove", "Serve a bundle no more.", family=family)
    remove.add_argument("version", type=values.version, metavar="VERSION")


def _rollout(command: Callable[..., argparse.ArgumentParser], rollout: argparse.ArgumentParser) -> None:
    family = rollout.add_subparsers(metavar="COMMAND", required=True)
    start = command("rollout start", "Begin to update devices to the version of a bundle.", family=family)
    start.add_argument("version", type=values.version, metavar="VERSION")
    start.add_argument(
        "--group",
        type=values.group,
        action="append",
        default=[],
        dest="groups",
        metavar="GROUP",
        help="whose devices get it; may be repeated (default: all devices)",
    )
    size = start.add_mutually_exclusive_group()
    size.add_argument(
        "--batch", type=values.batch, metavar="N", help=f"so many devices at a time, 1 to {values.MAX_BATCH}"
    )
    size.add_argument(
        "--percent",
        type=values.percent,
        default=DEFAULT_PERCENT,
        metavar="P",
        help="so many of a hundred at a time (default: %(default)s)",
    )
    start.add_argument("--at-once", action="store_true", help="let them not wait until they are off duty and charging")
    start.add_argument(
        "--tolerate",
        type=values.tolerated,
        default=DEFAULT_TOLERATED,
        metavar="P",
        help="stop when more than so many of a hundred that were told failed or are overdue; one alone never stops it,"
        " unless P is 0 (default: %(default)s)",
    )
    start.add_argument(
        "--overdue-days",
        type=values.days,
        default=DEFAULT_OVERDUE_DAYS,
        metavar="D",
        help=f"after how many days a device is overdue, 1 to {values.MAX_DAYS} (default: %(default)s)",
    )
    _by(start)
    command("rollout status", "Show the rollouts, and how far each device is.", family=family)
    stop = command("rollout stop", "Tell no more devices of an update; those that were told go on.", family=family)
    stop.add_argument("rollout", type=values.rollout, nargs="?", metavar="ROLLOUT", help="its number (default: all)")
    _by(stop)
    resume = command("rollout resume", "Go on with a rollout; what failed until now counts no more.", family=family)
    resume.add_argument(
        "rollout",
        type=values.rollout,
        nargs="?",
        metavar="ROLLOUT",
        help="its number (default: the one that is stopped)",
    )


def _device(command: argparse.ArgumentParser) -> None:
    command.add_argument("device", type=values.device_id, metavar="DEVICE", help="its id, as BM-7f3a09c1")


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
