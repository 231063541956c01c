"""bondmatectl: looks at a running device and acts on it, through its local API."""

import argparse
import contextlib
import io
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import shtab

from bondmate import __version__, doing, showing
from bondmate.api.client import DEFAULT_SOCKET, NotAllowedError, RefusedError, UnreachableError, call
from bondmate.errors import LocalError

EXIT_FAILED, EXIT_UNREACHABLE, EXIT_NOT_ALLOWED = 1, 3, 4
EXIT_CODES = (
    "Exit codes: 0 done; 1 it failed, and standard error says why; 2 usage; 3 the daemon is not reachable;"
    " 4 not allowed, or a PIN is needed or wrong; 78 the configuration cannot be used (config check)."
)
_UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3600}


def main(argv: Sequence[str] | None = None) -> int:
    """The command's exit code, as EXIT_CODES says."""
    given = parser().parse_args(argv)
    given.json = getattr(given, "json", False)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # a terminal that knows no bars and degrees gets question marks
        sys.stdout.reconfigure(errors="replace")
    try:
        if run := getattr(given, "run", None):
            code: int = run(given)
            return code
        answer = _ask(given)
        print(json.dumps(answer) if given.json else given.show(answer))
    except NotAllowedError as error:
        left = error.answer.get("tries_left")
        return _complain(f"{error}; tries left: {left}" if left else error, EXIT_NOT_ALLOWED)
    except (RefusedError, LocalError) as error:
        return _complain(error, EXIT_FAILED)
    except UnreachableError as error:
        return _complain(error, EXIT_UNREACHABLE)
    except BrokenPipeError:
        return _output_closed()
    return 0


def _ask(given: argparse.Namespace) -> Any:
    method, resource, *body = given.request(given)
    if not hasattr(given, "pin_file"):
        return call(given.socket, method, resource, *body)
    return doing.with_pin(given, lambda pin: call(given.socket, method, resource, *({**each, **pin} for each in body)))


def _complain(error: object, code: int) -> int:
    print(f"bondmatectl: {error}", file=sys.stderr)
    return code


def _output_closed() -> int:
    """Whoever read our output has left; without this, Python would complain once more when it flushes at the end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return EXIT_FAILED


class _Commands:
    """Makes the parser of one level of commands."""

    def __init__(self, parser: argparse.ArgumentParser, metavar: str, *, required: bool = True) -> None:
        self._commands = parser.add_subparsers(required=required, metavar=metavar)

    def add(self, name: str, help_: str, **defaults: Any) -> argparse.ArgumentParser:
        """A command; `defaults` say what it asks and how the answer is shown, or what is run instead."""
        # no short forms: `--pin 1234` must not be one of --pin-file
        command = self._commands.add_parser(
            name, help=help_, description=f"{help_[0].upper()}{help_[1:]}.", allow_abbrev=False
        )
        command.add_argument(
            "--json", action="store_true", default=argparse.SUPPRESS, help="for machines: JSON, one document a line"
        )
        command.set_defaults(**defaults)
        return command


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    made = argparse.ArgumentParser(
        prog="bondmatectl", description="Look at a running BondMate device and act on it.", epilog=EXIT_CODES
    )
    made.add_argument("--version", action="version", version=f"bondmatectl {__version__}")
    shtab.add_argument_to(made, ["--print-completion"], help="print a completion script for this shell, and end")
    made.add_argument(
        "--socket",
        type=Path,
        default=Path(os.environ.get("BONDMATE_SOCKET", DEFAULT_SOCKET)),
        help=f"the daemon's socket (default: $BONDMATE_SOCKET, else {DEFAULT_SOCKET})",
    )
    commands = _Commands(made, "COMMAND")
    commands.add("status", "how the device is", request=_get("/status"), show=showing.status)
    commands.add("watch", "how the device is, live, until Ctrl-C", run=doing.watch)
    commands.add("queue", "what waits for a receipt, why, and until when", request=_get("/queue"), show=showing.queue)
    bearers = "the ways to the gateway: which works, and why not; the modem and its signal"
    commands.add("bearers", bearers, request=_get("/bearers"), show=showing.bearers)
    privacy = "what is being collected right now, why, how precisely, and until when"
    commands.add("privacy", privacy, request=_get("/privacy"), show=showing.privacy)
    _add_alert(commands)
    _add_duty(commands)
    _add_check_in(commands)
    _add_inbox(commands)
    test = commands.add("selftest", "test every part, and the ways to the gateway and back", run=doing.selftest)
    test.description = (
        "Tests every part of the device, and each way to the gateway and back. Asks for a short press of the button."
        " Needs up to three minutes; an alert ends it at once. What came of it is told to the gateway, if the button"
        " was pressed."
    )
    _add_gnss(commands)
    _add_config(commands)
    _add_verify(commands)
    return made


def _get(resource: str) -> Any:
    return lambda _: ("GET", resource)


def _add_alert(commands: _Commands) -> None:
    alert = _Commands(commands.add("alert", "raise an alert, take it back, or show the newest"), "ACTION")
    raised = alert.add(
        "raise",
        "raise an alert now; again, if one is open",
        request=lambda given: ("POST", "/alert", {"kind": given.kind}),
        show=showing.alert,
    )
    raised.add_argument("--kind", default="panic", help="panic, assistance or medical (default: panic)")
    cancel = alert.add(
        "cancel",
        "take the open alert back; the dispatcher sees both",
        request=lambda _: ("POST", "/alert/cancel", {}),
        show=showing.alert,
    )
    _add_pin_file(cancel)
    alert.add("show", "the newest alert", request=_get("/alert"), show=showing.alert)


def _add_pin_file(command: argparse.ArgumentParser) -> None:
    file = command.add_argument(
        "--pin-file",
        type=Path,
        metavar="FILE",
        help="its first line is the officer's PIN; - for standard input. Without it the PIN is asked for, if needed",
    )
    file.complete = shtab.FILE  # type: ignore[attr-defined]


def _add_duty(commands: _Commands) -> None:
    duty = commands.add(
        "duty",
        "begin a shift (anew) or end it, or show whether it is on",
        request=lambda given: ("POST", "/duty", {"duty": given.duty}) if given.duty else ("GET", "/duty"),
        show=showing.duty,
    )
    duty.add_argument("duty", nargs="?", choices=("on", "off"), help="without it: show")
    _add_pin_file(duty)


def _add_check_in(commands: _Commands) -> None:
    command = commands.add(
        "checkin", "begin a check-in, extend it, end it, or show it", request=_get("/checkin"), show=showing.check_in
    )
    actions = _Commands(command, "ACTION", required=False)
    begin = actions.add(
        "begin",
        "an alert is raised unless it is ended in time",
        request=lambda given: (
            "POST",
            "/checkin",
            {"action": "begin", "seconds": given.duration, "note": given.note},
        ),
    )
    begin.add_argument("--note", default="", help="where, what for: the dispatcher reads it; 120 octets at most")
    extend = actions.add(
        "extend",
        "more time",
        request=lambda given: ("POST", "/checkin", {"action": "extend", "seconds": given.duration}),
    )
    for each in (begin, extend):
        each.add_argument("duration", type=_seconds, metavar="DURATION", help="20m, 90s, 1h; without a letter seconds")
    actions.add("end", "the officer is back", request=lambda _: ("POST", "/checkin", {"action": "end"}))
    actions.add("show", "the one that is under way")


def _seconds(text: str) -> int:
    match = re.fullmatch(r"([0-9]{1,6})([smh]?)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration: 20m, 90s, 1h, 1200")
    return int(match[1]) * _UNITS_S[match[2]]


def _add_inbox(commands: _Commands) -> None:
    command = commands.add(
        "inbox",
        "messages to the officer; mark one as read, or answer it",
        request=_get("/inbox"),
        show=showing.inbox,
    )
    actions = _Commands(command, "ACTION", required=False)
    read = actions.add(
        "read",
        "the officer has read it",
        request=lambda given: ("POST", f"/inbox/{given.number}/read", {}),
        show=showing.message,
    )
    answer = actions.add(
        "answer",
        "the officer answers it",
        request=lambda given: ("POST", f"/inbox/{given.number}/answer", {"text": given.text}),
        show=showing.message,
    )
    for each in (read, answer):
        each.add_argument("number", type=int, metavar="N", help="the message's number")
    answer.add_argument("text", metavar="TEXT", help="a quick reply, or other words; 160 octets at most")


def _add_gnss(commands: _Commands) -> None:
    help_ = "the GNSS receiver: look at the sky, or decode a recorded log"
    looks = _Commands(commands.add("gnss", help_), "ACTION")
    looks.add("watch", "the sky, live, until Ctrl-C", run=doing.sky)
    decode = looks.add("decode", "the fixes of a recorded log, one a line; needs no daemon", run=doing.decode_log)
    decode.description = (
        "Prints each fix of a receiver's raw log, also one mixed with binary frames, and to standard error what was not"
        " used, by kind."
    )
    _add_file(decode, "- for standard input")


def _add_file(command: argparse.ArgumentParser, help_: str, **more: Any) -> None:
    command.add_argument("file", type=Path, metavar="FILE", help=help_, **more).complete = shtab.FILE  # type: ignore[attr-defined]


def _add_config(commands: _Commands) -> None:
    config = _Commands(commands.add("config", "the configuration: show or check it, set the officer's PIN"), "ACTION")
    config.add("show", "the configuration in use", request=_get("/config"), show=showing.configuration)
    check = config.add("check", "whether the daemon could run with a file; needs no daemon", run=doing.check_config)
    _add_file(check, f"default: {doing.DEFAULT_CONFIG}", nargs="?", default=doing.DEFAULT_CONFIG)
    pin = config.add("pin", "set the officer's PIN and duress PIN; needs no daemon, and no restart", run=doing.set_pin)
    pin.description = (
        "Asks for both on a terminal; else reads two lines from standard input, the PIN and the duress PIN, which may"
        " be empty. A PIN has 4 to 12 digits. The duress PIN seems to take an alert back, and tells the dispatcher that"
        " the officer was forced to."
    )
    out = pin.add_argument(
        "--out", type=Path, default=doing.DEFAULT_PIN_FILE, metavar="FILE", help=f"default: {doing.DEFAULT_PIN_FILE}"
    )
    out.complete = shtab.FILE  # type: ignore[attr-defined]


def _add_verify(commands: _Commands) -> None:
    verify = commands.add(
        "verify", "whether a device's key signed a record, and what it says; needs no daemon", run=doing.verify
    )
    _add_file(verify, "a tagged COSE_Sign1, as it is or in hexadecimal")
    key = verify.add_argument(
        "--key", type=Path, required=True, metavar="PEM", help="the device's public key, from whoever enrolled it"
    )
    key.complete = shtab.FILE  # type: ignore[attr-defined]
    verify.add_argument(
        "--aad", metavar="HEX", help="what is signed beside it: device and session (docs/protocol.md, section 3)"
    )


if __name__ == "__main__":
    sys.exit(main())
