"""The command line `bondmate-gateway`: arguments in, exit code out.

Exit codes: 0 done, 1 it failed (standard error says what, and what to do), 2 usage.
"""

import argparse
import contextlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import apsw

from bondmate_sim.gateway import credentials, devices, files, inventory, keys, records, run, text, view
from bondmate_sim.gateway.database import Database, DatabaseError
from bondmate_sim.gateway.sms import SmsProvider
from bondmate_sim.gateway.sms_centre import Centre

_DATA_VARIABLE = "BONDMATE_GATEWAY_DATA"
_DEFAULT_ADDRESS = "127.0.0.1:5683"
_MAX_DEVICES = 1000
_MAX_SMPP_USER, _MAX_SMPP_PASSWORD = 15, 8
"""SMPP 3.4, section 4.1.5: C-octet strings of at most 16 and 9 octets, with their ends."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.command(arguments)
    except (DatabaseError, keys.KeyFileError, run.RunError, _CommandError) as error:
        print(f"bondmate-gateway: {error}", file=sys.stderr)
        return 1
    except (apsw.Error, OSError) as error:
        print(f"bondmate-gateway: {error}; check {arguments.data}: its disk and who may write there", file=sys.stderr)
        return 1
    return 0


class _CommandError(Exception):
    pass


def _run(arguments: argparse.Namespace) -> None:
    host, port = arguments.listen
    sms = _sms_provider(arguments)
    run.run(arguments.data, host, port, lambda address: print(f"listening on {address}", flush=True), sms)


def _sms_provider(arguments: argparse.Namespace) -> SmsProvider | None:
    if (arguments.sms is None) != (arguments.sms_number is None):
        arguments.usage("--sms and --sms-number go together")
    if arguments.sms is None:
        return None
    user, host, port = arguments.sms
    if (user is None) != (arguments.sms_password_file is None):
        arguments.usage("--sms smpp:NAME@HOST:PORT and --sms-password-file go together")
    if user is None:
        return Centre(host, port, arguments.sms_number)
    try:
        from bondmate_sim.gateway import sms_smpp  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise _CommandError("SMPP needs one package more: install bondmate with the extra 'smpp'") from error
    return sms_smpp.Smpp(host, port, arguments.sms_number, user, _password(arguments.sms_password_file))


def _password(file: Path) -> str:
    try:
        password = file.read_text(encoding="ascii", errors="replace").removesuffix("\n")
    except OSError as error:
        raise _CommandError(f"cannot read the password: {error}; give another --sms-password-file") from error
    if not (password.isascii() and password.isprintable()) or not 1 <= len(password) <= _MAX_SMPP_PASSWORD:
        raise _CommandError(f"{file} holds no SMPP password: one line of 1 to {_MAX_SMPP_PASSWORD} ASCII characters")
    return password


def _enrol(arguments: argparse.Namespace) -> None:
    with contextlib.closing(Database(arguments.data, create=True)) as database:
        public_key = keys.load_or_create(arguments.data).public_key()
        files.make_directory(arguments.out)
        addresses = arguments.address or [f"coap://{_DEFAULT_ADDRESS}"]
        made = [credentials.generate() for _ in range(arguments.count)]
        written: list[Path] = []
        try:
            # By extend, which keeps the names of those that were written when one fails.
            written.extend(credentials.write(each, arguments.out, addresses, public_key) for each in made)
            devices.add(database, made, _now_ms())
        except BaseException:
            # A file whose device the gateway does not know is a device that no one would answer.
            for path in written:
                path.unlink()
            raise
    names = [str(path) for path in written]
    print(json.dumps(names) if arguments.json else "\n".join(names))


def _alerts(arguments: argparse.Namespace) -> None:
    with contextlib.closing(Database(arguments.data, create=False)) as database:
        shown = view.alerts(database)
    print(json.dumps(shown) if arguments.json else text.alerts(shown))


def _devices(arguments: argparse.Namespace) -> None:
    with contextlib.closing(Database(arguments.data, create=False)) as database:
        shown = inventory.devices(database)
    print(json.dumps(shown) if arguments.json else text.devices(shown))


def _revoke(arguments: argparse.Namespace) -> None:
    name = records.device_text(arguments.device)
    with contextlib.closing(Database(arguments.data, create=False)) as database:
        if not devices.revoke(database, arguments.device, _now_ms()):
            raise _CommandError(f"no device {name} is enrolled here; 'bondmate-gateway devices' lists them")
        (shown,) = (each for each in inventory.devices(database) if each["device"] == name)
    print(json.dumps(shown) if arguments.json else text.devices([shown]))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bondmate-gateway", description="The reference gateway: takes alerts from devices and shows them."
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(
        name: str, do: Callable[[argparse.Namespace], None], summary: str, *, json_flag: bool = True
    ) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=summary, description=summary)
        made.set_defaults(command=do)
        made.add_argument(
            "--data",
            type=Path,
            default=Path(os.environ.get(_DATA_VARIABLE) or Path.home() / ".local/share/bondmate-gateway"),
            metavar="DIR",
            help=f"where the gateway keeps its database and key (default: ${_DATA_VARIABLE}, else %(default)s)",
        )
        if json_flag:
            made.add_argument("--json", action="store_true", help="print JSON")
        return made

    serve = command("run", _run, "Answer devices until stopped.", json_flag=False)
    serve.set_defaults(usage=serve.error)
    serve.add_argument(
        "--listen",
        type=_host_port,
        default=_host_port(_DEFAULT_ADDRESS),
        metavar="HOST:PORT",
        help=f"the address to listen on; port 0 takes a free one (default: {_DEFAULT_ADDRESS})",
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
    enrol = command("enrol", _enrol, "Make new devices and write an enrolment file for each.")
    enrol.add_argument("--count", type=_count, required=True, metavar="N", help="how many devices")
    enrol.add_argument("--out", type=Path, required=True, metavar="DIR", help="where to write the files")
    enrol.add_argument(
        "--address",
        type=_address,
        action="append",
        metavar="coap://HOST:PORT",
        help=f"where devices reach this gateway; repeatable (default: coap://{_DEFAULT_ADDRESS})",
    )
    command("alerts", _alerts, "Show the alerts that are held.")
    command("devices", _devices, "Show the enrolled devices.")
    revoke = command("revoke", _revoke, "Refuse a device's records from now on.")
    revoke.add_argument("device", type=_device_id, metavar="DEVICE", help="its id, as BM-7f3a09c1")
    return parser


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
    if not value.isascii() or not value.isdigit() or not 1 <= int(value) <= _MAX_DEVICES:
        raise argparse.ArgumentTypeError(f"{value!r} is not a number from 1 to {_MAX_DEVICES}")
    return int(value)


def _device_id(value: str) -> bytes:
    found = re.fullmatch(r"BM-([0-9a-f]{8})", value)
    if found is None:
        raise argparse.ArgumentTypeError(f"{value!r} is not a device id such as BM-7f3a09c1")
    return bytes.fromhex(found[1])
