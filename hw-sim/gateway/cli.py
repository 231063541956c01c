"""The command line `bondmate-gateway`: arguments in, exit code out.

Exit codes: 0 done, 1 it failed (standard error says what, and what to do), 2 usage.
"""

import argparse
import contextlib
import getpass
import ipaddress
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import apsw

from bondmate_sim.gateway import (
    devices,
    enrol,
    enrolments,
    files,
    inventory,
    keys,
    parser,
    records,
    run,
    sent,
    text,
    text_updates,
    updating,
    view,
)
from bondmate_sim.gateway.bundles import BundleError
from bondmate_sim.gateway.database import Database, DatabaseError
from bondmate_sim.gateway.desk import Desk, DeskError
from bondmate_sim.gateway.enrolments import EnrolmentError
from bondmate_sim.gateway.messages import MessageError
from bondmate_sim.gateway.network import NetworkError
from bondmate_sim.gateway.rollouts import RolloutError
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
    except _ERRORS as error:
        print(f"bondmate-gateway: {error}", file=sys.stderr)
        return 1
    except (apsw.Error, OSError) as error:
        print(f"bondmate-gateway: {error}; check {arguments.data}: its disk and who may write there", file=sys.stderr)
        return 1
    return 0


class _CommandError(Exception):
    pass


_ERRORS = (
    BundleError,
    DatabaseError,
    DeskError,
    EnrolmentError,
    MessageError,
    NetworkError,
    RolloutError,
    keys.KeyFileError,
    run.RunError,
    _CommandError,
)


def _run(arguments: argparse.Namespace) -> None:
    if arguments.bundles is not None and arguments.bundles_url is None and _is_everywhere(arguments.bundles[0]):
        arguments.usage("--bundles on all addresses goes with --bundles-url: devices have to be told one")
    faces = run.Faces(arguments.listen, _sms_provider(arguments), arguments.bundles, arguments.bundles_url)
    run.run(arguments.data, faces, lambda line: print(line, flush=True))


def _is_everywhere(host: str) -> bool:
    try:
        return ipaddress.ip_address(host or "::").is_unspecified
    except ValueError:
        return False


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
    if arguments.cards:
        print(json.dumps(enrol.by_cards(arguments, _now_ms())))
    else:
        _print(arguments, enrol.by_credentials(arguments, _now_ms()), "\n".join)


def _force_key(arguments: argparse.Namespace) -> None:
    files.make_directory(arguments.data)
    key = keys.load_or_create(arguments.data, keys.Purpose.FORCE).public_key()
    shown = {"public_key_pem": keys.public_pem(key), "fingerprint": keys.fingerprint(keys.public_der(key))}
    _print(arguments, shown, lambda each: each["public_key_pem"].rstrip("\n"))


def _approve(arguments: argparse.Namespace) -> None:
    by = _by(arguments)
    with contextlib.closing(Database(arguments.data, create=False)) as database:
        enrolments.approve(database, arguments.device, arguments.fingerprint, by, _now_ms())
        shown = _shown(database, arguments.device)
    _print(arguments, shown, lambda each: text.devices([each]))


def _withdraw(arguments: argparse.Namespace) -> None:
    with contextlib.closing(Database(arguments.data, create=False)) as database:
        enrolments.withdraw(database, arguments.device, _now_ms())
        shown = _shown(database, arguments.device)
    _print(arguments, shown, lambda each: text.devices([each]))


def _alerts(arguments: argparse.Namespace) -> None:
    with contextlib.closing(Database(arguments.data, create=False)) as database:
        shown = view.alerts(database)
    _print(arguments, shown, lambda each: text.alerts(each, colour=sys.stdout.isatty()))


def _devices(arguments: argparse.Namespace) -> None:
    with contextlib.closing(Database(arguments.data, create=False)) as database:
        shown = inventory.devices(database, _now_ms())
    _print(arguments, shown, text.devices)


def _revoke(arguments: argparse.Namespace) -> None:
    with contextlib.closing(Database(arguments.data, create=False)) as database:
        if not devices.revoke(database, arguments.device, _now_ms()):
            raise _unknown(records.device_text(arguments.device))
        shown = _shown(database, arguments.device)
    _print(arguments, shown, lambda each: text.devices([each]))


def _wipe(arguments: argparse.Namespace) -> None:
    with _at_desk(arguments) as desk:
        desk.wipe(arguments.device)
        shown = _shown(desk.database, arguments.device)
    _print(arguments, shown, lambda each: text.devices([each]))


def _rekey(arguments: argparse.Namespace) -> None:
    with _at_desk(arguments) as desk:
        shown = desk.rekey(arguments.device)
    _print(arguments, shown, text.act)


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


def _updating(
    act: Callable[[Database, argparse.Namespace, int], T], in_words: Callable[[T], str]
) -> Callable[[argparse.Namespace], None]:
    def command(arguments: argparse.Namespace) -> None:
        if "by" in arguments:
            arguments.by = _by(arguments)
        with contextlib.closing(Database(arguments.data, create=False)) as database:
            shown = act(database, arguments, _now_ms())
        _print(arguments, shown, in_words)

    return command


_COMMANDS = {
    "run": _run,
    "enrol": _enrol,
    "approve": _approve,
    "withdraw": _withdraw,
    "force-key": _force_key,
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
    "wipe": _wipe,
    "rekey": _rekey,
    "bundle add": _updating(updating.bundle_add, text_updates.bundle),
    "bundle list": _updating(updating.bundle_list, text_updates.bundles),
    "bundle remove": _updating(updating.bundle_remove, text_updates.bundle),
    "rollout start": _updating(updating.rollout_start, text_updates.rollout),
    "rollout status": _updating(updating.rollout_status, text_updates.rollouts),
    "rollout stop": _updating(updating.rollout_stop, text_updates.rollouts),
    "rollout resume": _updating(updating.rollout_resume, text_updates.rollouts),
}


@contextlib.contextmanager
def _at_desk(arguments: argparse.Namespace) -> Iterator[Desk]:
    with contextlib.closing(Database(arguments.data, create=False)) as database:
        yield Desk(database, keys.load_or_create(arguments.data), _by(arguments), _now_ms())


def _by(arguments: argparse.Namespace) -> str:
    by = arguments.by if arguments.by is not None else _login_name()
    return str(by)


def _shown(database: Database, device: bytes) -> dict[str, Any]:
    name = records.device_text(device)
    (shown,) = (each for each in inventory.devices(database, _now_ms()) if each["device"] == name)
    return shown


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
