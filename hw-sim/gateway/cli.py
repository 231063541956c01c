"""The command line `bondmate-gateway`: arguments in, exit code out.

Exit codes: 0 done, 1 it failed (standard error says what, and what to do), 2 usage.
"""

import argparse
import contextlib
import getpass
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import apsw

from bondmate_sim.gateway import credentials, devices, files, inventory, keys, parser, records, run, sent, text, view
from bondmate_sim.gateway.database import Database, DatabaseError
from bondmate_sim.gateway.desk import Desk, DeskError
from bondmate_sim.gateway.messages import MessageError
from bondmate_sim.gateway.sms import SmsProvider
from bondmate_sim.gateway.sms_centre import Centre

T = TypeVar("T")

_MAX_SMPP_PASSWORD = 8
"""SMPP 3.4, section 4.1.5: a C-octet string of at most 9 octets, with its end."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = parser.parser(_COMMANDS).parse_args(argv)
    try:
        arguments.command(arguments)
    except (DatabaseError, DeskError, MessageError, keys.KeyFileError, run.RunError, _CommandError) as error:
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
        addresses = arguments.address or [f"coap://{parser.DEFAULT_ADDRESS}"]
        made = [credentials.generate() for _ in range(arguments.count)]
        written: list[Path] = []
        try:
            # By extend, which keeps the names of those that were written when one fails.
            written.extend(credentials.write(each, arguments.out, addresses, public_key) for each in made)
            devices.add(database, made, _now_ms(), arguments.groups)
        except BaseException:
            # A file whose device the gateway does not know is a device that no one would answer.
            for path in written:
                path.unlink()
            raise
    names = [str(path) for path in written]
    _print(arguments, names, "\n".join)


def _alerts(arguments: argparse.Namespace) -> None:
    with contextlib.closing(Database(arguments.data, create=False)) as database:
        shown = view.alerts(database)
    _print(arguments, shown, lambda each: text.alerts(each, colour=sys.stdout.isatty()))


def _devices(arguments: argparse.Namespace) -> None:
    with contextlib.closing(Database(arguments.data, create=False)) as database:
        shown = inventory.devices(database)
    _print(arguments, shown, text.devices)


def _revoke(arguments: argparse.Namespace) -> None:
    name = records.device_text(arguments.device)
    with contextlib.closing(Database(arguments.data, create=False)) as database:
        if not devices.revoke(database, arguments.device, _now_ms()):
            raise _unknown(name)
        (shown,) = (each for each in inventory.devices(database) if each["device"] == name)
    _print(arguments, shown, lambda each: text.devices([each]))


def _group(arguments: argparse.Namespace) -> None:
    name = records.device_text(arguments.device)
    with contextlib.closing(Database(arguments.data, create=False)) as database:
        if not devices.group(database, arguments.device, arguments.groups):
            raise _unknown(name)
        shown = {"device": name, "groups": devices.groups(database, arguments.device)}
    _print(arguments, shown, text.groups)


def _ack(arguments: argparse.Namespace) -> None:
    with _at_desk(arguments) as desk:
        shown = desk.handle(arguments.alert_id, close=False)
    _print(arguments, shown, text.act)


def _close(arguments: argparse.Namespace) -> None:
    with _at_desk(arguments) as desk:
        shown = desk.handle(arguments.alert_id, close=True)
    _print(arguments, shown, text.act)


def _message(arguments: argparse.Namespace) -> None:
    with _at_desk(arguments) as desk:
        shown = desk.message(arguments.device, arguments.text, arguments.replies, urgent=arguments.urgent)
    _print(arguments, shown, text.act)


def _alert(arguments: argparse.Namespace) -> None:
    with _at_desk(arguments) as desk:
        shown = desk.alert(arguments.group, arguments.text, arguments.replies, arguments.area, urgent=arguments.urgent)
    _print(arguments, shown, lambda acts: "\n".join(map(text.act, acts)))


def _exercise(arguments: argparse.Namespace) -> None:
    if (arguments.off is None) == (arguments.minutes is None):
        arguments.usage("give either --minutes N or off")
    with _at_desk(arguments) as desk:
        shown = desk.exercise(arguments.device, (arguments.minutes or 0) * 60)
    _print(arguments, shown, text.act)


def _messages(arguments: argparse.Namespace) -> None:
    with contextlib.closing(Database(arguments.data, create=False)) as database:
        if arguments.device is not None and not devices.is_enrolled(database, arguments.device):
            raise _unknown(records.device_text(arguments.device))
        shown = sent.sent(database, arguments.device)
    _print(arguments, shown, text.messages)


_COMMANDS = {
    "run": _run,
    "enrol": _enrol,
    "alerts": _alerts,
    "ack": _ack,
    "close": _close,
    "message": _message,
    "alert": _alert,
    "exercise": _exercise,
    "group": _group,
    "messages": _messages,
    "devices": _devices,
    "revoke": _revoke,
}


@contextlib.contextmanager
def _at_desk(arguments: argparse.Namespace) -> Iterator[Desk]:
    with contextlib.closing(Database(arguments.data, create=False)) as database:
        by = arguments.by if arguments.by is not None else _login_name()
        yield Desk(database, keys.load_or_create(arguments.data), by, _now_ms())


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:
        raise _CommandError("this login has no name here; give yours with --by") from error


def _unknown(device: str) -> _CommandError:
    return _CommandError(f"no device {device} is enrolled here; 'bondmate-gateway devices' lists them")


def _print(arguments: argparse.Namespace, shown: T, in_words: Callable[[T], str]) -> None:
    print(json.dumps(shown) if arguments.json else in_words(shown))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
