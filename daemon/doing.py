"""What bondmatectl does beyond one request: live pictures, its own files, and PINs, never on a command line.

Each function returns the exit code.
"""

import argparse
import contextlib
import getpass
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from bondmate import config, credentials, decode, evidence, officer_pin, showing, skyview
from bondmate.api.client import NotAllowedError, call, events
from bondmate.durable import replace_file
from bondmate.errors import ConfigurationError, LocalError
from bondmate.screen import live

EXIT_FAILED, EXIT_CONFIGURATION, EXIT_INTERRUPTED = 1, 78, 130
"""The last as a shell counts it: 128 and the number of SIGINT."""
DEFAULT_CONFIG = Path("/etc/bondmate/device.toml")
DEFAULT_PIN_FILE = config.DeviceSection().credentials_dir / officer_pin.PIN_FILE
STDIN = Path("-")
LOOK_S = 0.25
"""How often a self-test is looked at."""
_WITH_A_PERSON = ("button", "led", "vibration")
_MAX_PIN_LINE = 64


def watch(given: argparse.Namespace) -> int:
    """The status and the inbox, live; a line of JSON an event."""
    status: dict[str, Any] | None = None
    letters: list[dict[str, Any]] = []
    with live(as_json=given.json) as draw:
        for name, data in events(given.socket):
            if given.json:
                print(json.dumps({"event": name, "data": data}), flush=True)
                continue
            if name == "inbox":
                letters = data
            else:
                status = data
            if status is not None:
                unread = [each for each in letters if each["state"] == "taken"]
                pictures = [showing.status(status), *map(showing.message, unread)]
                draw("\n".join(pictures).splitlines())
    return 0


def sky(given: argparse.Namespace) -> int:
    """What the receiver sees, live."""
    skyview.watch(lambda: call(given.socket, "GET", "/gnss"), as_json=given.json)
    return 0


def selftest(given: argparse.Namespace) -> int:
    """Have the device test itself; 1 unless all is well. What a person has to do is told on the way."""
    test = call(given.socket, "POST", "/selftest", {})
    number = test["number"]
    is_picture = not given.json and sys.stdout.isatty()
    with live(showing.painted) if is_picture else contextlib.suppress(KeyboardInterrupt) as draw:
        told: set[str] = set()
        while test is not None and (test["number"], test["state"]) == (number, "running"):
            if draw is not None:
                draw(showing.selftest(test))
            else:
                _tell(test, told)
            time.sleep(LOOK_S)
            test = call(given.socket, "GET", "/selftest")
    if test is None or test["number"] != number:
        raise LocalError("the self-test was not ended: another one was begun, or the daemon began anew")
    if test["state"] == "running":
        return EXIT_INTERRUPTED
    if given.json:
        print(json.dumps([{key: each[key] for key in ("check", "ok", "text", "next")} for each in test["checks"]]))
    else:
        print("\n".join(map(showing.painted, showing.selftest(test))))
    if test["why"] is not None:
        raise LocalError(f"the self-test was ended: {test['why']}")
    return 0 if test["ok"] else EXIT_FAILED


def _tell(test: dict[str, Any], told: set[str]) -> None:
    """What is awaited of a person, once each; standard output is for what came of the test."""
    for each in test["checks"]:
        if each["check"] in _WITH_A_PERSON and each["state"] == "running" and each["check"] not in told:
            told.add(each["check"])
            print(f"{each['check']}: {each['text']}", file=sys.stderr, flush=True)


def decode_log(given: argparse.Namespace) -> int:
    """The fixes of a recorded log."""
    try:
        decode.decode(given.file, as_json=given.json)
        sys.stdout.flush()
    except decode.ReadError as problem:
        raise LocalError(f"{given.file} cannot be read: {problem}") from problem
    except BrokenPipeError:
        raise
    except OSError as problem:
        print(f"bondmatectl: nothing can be printed: {problem.strerror}", file=sys.stderr)
        raise BrokenPipeError from problem
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return 0


def verify(given: argparse.Namespace) -> int:
    """Whether a record is a device's, and what it says."""
    told = evidence.verify(given.file, given.key, given.aad)
    if given.json:
        print(json.dumps(told))
    else:
        print(f"valid, {told['alg']}" if told["valid"] else f"NOT VALID: {told['why_not']}")
        print("no record can be read in it" if told["record"] is None else json.dumps(told["record"], indent=2))
    return 0 if told["valid"] else EXIT_FAILED


def check_config(given: argparse.Namespace) -> int:
    """Whether the daemon could run with a file, and all that is wrong with it."""
    problems: list[str] = []
    device = None
    try:
        configuration, _ = config.load(given.file)
        directory = configuration.device.credentials_dir
        device = str(credentials.load(directory).device)
        if open_to_others := credentials.exposed(directory):
            problems.append(f"{open_to_others}: chmod it to 0600; enrol anew if somebody read it")
    except ConfigurationError as error:
        problems = error.problems
    if given.json:
        print(json.dumps({"ok": not problems, "device": device, "problems": problems}))
    elif problems:
        for problem in problems:
            print(f"bondmatectl: {problem}", file=sys.stderr)
    else:
        print(f"{given.file}: good; this device is {device}")
    return EXIT_CONFIGURATION if problems else 0


def set_pin(given: argparse.Namespace) -> int:
    """Write the file with the PINs: asked for twice on a terminal, else two lines of standard input."""
    try:
        pin, duress = _ask_for_both() if sys.stdin.isatty() else _two_lines(sys.stdin)
        content = officer_pin.document(pin, duress or None)
    except ValueError as error:
        raise LocalError(f"no PIN was set: {error}") from None
    try:
        # the daemon reads it, and is who has the directory
        replace_file(given.out, content, given.out.parent.stat() if os.geteuid() == 0 else None)
    except OSError as error:
        raise LocalError(f"{given.out} cannot be written: {error.strerror}") from error
    if given.json:
        print(json.dumps({"file": str(given.out), "duress": bool(duress)}))
    else:
        print(f"{given.out} is written, {'with' if duress else 'without'} a duress PIN; it is valid at once.")
    return 0


def _ask_for_both() -> tuple[str, str]:
    return (
        _ask_twice("PIN (4 to 12 digits): "),
        _ask_twice("Duress PIN, which seems to work and calls for help (empty: none): "),
    )


def _ask_twice(prompt: str) -> str:
    first = getpass.getpass(prompt)
    if first and getpass.getpass("The same again: ") != first:
        raise ValueError("they differ")
    return first


def _two_lines(lines: Iterable[str]) -> tuple[str, str]:
    both = [line.rstrip("\r\n") for line, _ in zip(lines, range(2), strict=False)]
    if not both:
        raise ValueError("two lines are read, the PIN and the duress PIN, which may be empty")
    return both[0], both[1] if len(both) > 1 else ""


def with_pin(given: argparse.Namespace, ask: Callable[[dict[str, Any]], Any]) -> Any:
    """What `ask` answers; with the PIN of --pin-file, or one that is typed when the daemon wants it."""
    if given.pin_file is not None:
        return ask({"pin": _pin_in(given.pin_file)})
    try:
        return ask({})
    except NotAllowedError as refusal:
        if not refusal.answer.get("pin_needed"):
            raise
        if not sys.stdin.isatty():
            raise NotAllowedError(f"{refusal}: give a file with it, or - for standard input: --pin-file FILE") from None
    return ask({"pin": getpass.getpass("The officer's PIN: ")})


def _pin_in(file: Path) -> str:
    try:
        if file == STDIN:
            return sys.stdin.readline(_MAX_PIN_LINE).strip()
        with file.open(encoding="ascii") as opened:
            return opened.readline(_MAX_PIN_LINE).strip()
    except (OSError, UnicodeDecodeError):
        raise LocalError(f"{file} cannot be read: it has the PIN in its first line") from None
