"""bondmatectl: looks at a running device and acts on it, through its local API."""

import argparse
import io
import json
import os
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bondmate import __version__, decode, skyview
from bondmate.api.client import DEFAULT_SOCKET, NotAllowedError, RefusedError, UnreachableError, call

EXIT_FAILED, EXIT_UNREACHABLE, EXIT_NOT_ALLOWED = 1, 3, 4
EXIT_INTERRUPTED = 130
"""As a shell counts it: 128 and the number of SIGINT."""
_WIDTH = 100
"""Of paragraphs: what is longer is hard to read."""
_BOLD, _RED, _GREEN, _OFF = "\033[1m", "\033[31m", "\033[32m", "\033[0m"


def main(argv: Sequence[str] | None = None) -> int:
    """The command's exit code: 0 done, 1 failed, 2 usage, 3 the daemon is not reachable, 4 not allowed."""
    arguments = _parser().parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # a terminal that knows no bars and degrees gets question marks
        sys.stdout.reconfigure(errors="replace")
    try:
        if run := getattr(arguments, "run", None):
            code: int = run(arguments)
            return code
        answer = call(arguments.socket, *arguments.request(arguments))
    except RefusedError as error:
        print(f"bondmatectl: {error}", file=sys.stderr)
        return EXIT_FAILED
    except UnreachableError as error:
        print(f"bondmatectl: {error}", file=sys.stderr)
        return EXIT_UNREACHABLE
    except NotAllowedError as error:
        print(f"bondmatectl: {error}", file=sys.stderr)
        return EXIT_NOT_ALLOWED
    if arguments.json:
        print(json.dumps(answer))
    else:
        print(arguments.show(answer))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bondmatectl",
        description="Look at a running BondMate device and act on it.",
        epilog="Exit codes: 0 done, 1 it failed, 2 usage, 3 the daemon is not reachable, 4 not allowed.",
    )
    parser.add_argument("--version", action="version", version=f"bondmatectl {__version__}")
    parser.add_argument(
        "--socket",
        type=Path,
        default=Path(os.environ.get("BONDMATE_SOCKET", DEFAULT_SOCKET)),
        help=f"the daemon's socket (default: $BONDMATE_SOCKET, else {DEFAULT_SOCKET})",
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="for machines: one JSON document")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    status = commands.add_parser("status", parents=[common], help="how the device is")
    status.set_defaults(request=lambda _: ("GET", "/status"), show=_status_text)
    queue = commands.add_parser("queue", parents=[common], help="what waits for a receipt, why, and until when")
    queue.set_defaults(request=lambda _: ("GET", "/queue"), show=_queue_text)

    alert = commands.add_parser("alert", help="raise an alert, take it back, or show the newest")
    actions = alert.add_subparsers(required=True, metavar="ACTION")
    raise_ = actions.add_parser("raise", parents=[common], help="raise an alert now")
    raise_.add_argument("--kind", default="panic", help="the kind of alert (default: panic)")
    raise_.set_defaults(request=lambda given: ("POST", "/alert", {"kind": given.kind}), show=_alert_text)
    cancel = actions.add_parser("cancel", parents=[common], help="take the open alert back; the dispatcher sees both")
    cancel.set_defaults(request=lambda _: ("POST", "/alert/cancel"), show=_alert_text)
    show = actions.add_parser("show", parents=[common], help="the newest alert")
    show.set_defaults(request=lambda _: ("GET", "/alert"), show=_alert_text)

    duty = commands.add_parser("duty", help="begin a shift (anew) or end it, or show whether it is on")
    duty.add_argument("duty", nargs="?", choices=("on", "off"), help="without it: show")
    duty.add_argument("--json", action="store_true", help="for machines: one JSON document")
    duty.set_defaults(
        request=lambda given: ("POST", "/duty", {"duty": given.duty}) if given.duty else ("GET", "/duty"),
        show=_duty_text,
    )

    gnss = commands.add_parser("gnss", help="the GNSS receiver: look at the sky, or decode a recorded log")
    looks = gnss.add_subparsers(required=True, metavar="ACTION")
    watch = looks.add_parser("watch", parents=[common], help="the sky, live, until Ctrl-C")
    watch.set_defaults(run=_watch)
    decode_ = looks.add_parser(
        "decode",
        parents=[common],
        help="the fixes of a recorded log, one a line; needs no daemon",
        description="Prints each fix of a receiver's raw log, also one mixed with binary frames, and to standard error"
        " what was not used, by kind.",
    )
    decode_.add_argument("file", type=Path, metavar="FILE", help="- for standard input")
    decode_.set_defaults(run=_decode)

    bearers = commands.add_parser(
        "bearers", parents=[common], help="the ways to the gateway: which works, and why not; the modem and its signal"
    )
    bearers.set_defaults(request=lambda _: ("GET", "/bearers"), show=_bearers_text)

    privacy = commands.add_parser(
        "privacy", parents=[common], help="what is being collected right now, why, how precisely, and until when"
    )
    privacy.set_defaults(request=lambda _: ("GET", "/privacy"), show=_privacy_text)
    return parser


def _decode(arguments: argparse.Namespace) -> int:
    try:
        decode.decode(arguments.file, as_json=arguments.json)
        sys.stdout.flush()
    except decode.ReadError as problem:
        print(f"bondmatectl: {arguments.file} cannot be read: {problem}", file=sys.stderr)
        return EXIT_FAILED
    except BrokenPipeError:
        return _output_closed()
    except OSError as problem:
        print(f"bondmatectl: nothing can be printed: {problem.strerror}", file=sys.stderr)
        return _output_closed()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return 0


def _watch(arguments: argparse.Namespace) -> int:
    try:
        skyview.watch(lambda: call(arguments.socket, "GET", "/gnss"), as_json=arguments.json)
    except BrokenPipeError:
        return _output_closed()
    return 0


def _output_closed() -> int:
    """Whoever read our output has left; without this, Python would complain once more when it flushes at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return EXIT_FAILED


def _status_text(status: dict[str, Any]) -> str:
    color = _GREEN if status["state"] == "armed" else _RED
    lines = [f"{_paint(_BOLD, status['device'])}  {_paint(color, status['state'])}  session {status['session']}"]
    lines.append(f"  duty     {status['duty']}")
    lines.append(f"  fix      {_fix_text(status)}")
    waiting = ", ".join(f"{count} {stream}" for stream, count in status["queue"].items() if count)
    lines.append(f"  queue    {waiting or 'empty: everything is delivered'}")
    lines += [_bearer_text(bearer) for bearer in status["bearers"]]
    clock = status["clock"]
    known = clock["source"] and f"UTC from {clock['source']}, uncertainty {_or_unknown(clock['uncertainty_ms'], ' ms')}"
    lines.append(f"  clock    {known or 'UTC is not known yet'}")
    lines.append(f"  store    {'ok' if status['store']['ok'] else _paint(_RED, 'not working')}")
    if status["alert"] is not None:
        lines.append(_alert_text(status["alert"]))
    lines += [f"  {_paint(_RED, fault['code'])}: {fault['text']}; {fault['next']}" for fault in status["faults"]]
    return "\n".join(lines)


def _bearer_text(bearer: dict[str, Any]) -> str:
    last = "not used yet" if bearer["last_success_s"] is None else f"last answer {bearer['last_success_s']:g} s ago"
    state = f"up, {last}" if bearer["up"] else f"down: {bearer['why_not']}"
    return f"  {bearer['name']:<8} {state}"


def _bearers_text(answer: dict[str, Any]) -> str:
    lines = [_bearer_text(bearer).strip() for bearer in answer["bearers"]]
    modem = answer["modem"]
    if modem is None:
        return "\n".join([*lines, "modem    none is configured"])
    lines.append(f"modem    {modem['port']}: {modem['model'] or 'its model is not known yet'}")
    if modem["present"]:
        home = "roaming" if modem["roaming"] else "at home"
        network = f"{modem['operator'] or 'operator unknown'}, {modem['rat'] or 'network unknown'}, {home}"
        lines.append(f"network  {modem['registration'] or 'registration unknown'}: {network}")
        levels = (("RSRP", "rsrp_dbm", "dBm"), ("RSRQ", "rsrq_db", "dB"), ("SINR", "sinr_db", "dB"))
        signal = ", ".join(f"{name} {_or_unknown(modem[key], f' {unit}')}" for name, key, unit in levels)
        lines.append(f"signal   {signal}")
        lines.append(f"SIM      {modem['sim'] or 'unknown'}")
    if modem["why_not"]:
        lines.append(f"why not  {modem['why_not']}")
    if modem["recovery"]:
        lines.append(f"recovery {modem['recovery']}")
    if modem["troubles"]:
        lines.append(f"troubles {', '.join(f'{count} {what}' for what, count in sorted(modem['troubles'].items()))}")
    return "\n".join(lines)


def _fix_text(status: dict[str, Any]) -> str:
    fix = status["fix"]
    if fix is None:
        asleep = status["duty"] == "off" and status["alert"] is None
        return "none: off duty the receiver sleeps, until an alert" if asleep else "none yet"
    accuracy = _or_unknown(fix["accuracy_m"], " m")
    age = "of unknown age" if fix["age_s"] is None else f"{fix['age_s']:.1f} s old"
    text = f"{fix['lat']:.6f}, {fix['lon']:.6f}  accuracy {accuracy}, {age}"
    return text + (f"  suspect: {', '.join(fix['suspect'])}" if fix["suspect"] else "")


def _queue_text(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "The queue is empty: every record has its receipt."
    lines = []
    for row in rows:
        if row["record"] is None:
            lines.append(f"and {row['count']:,} more: {row['why']}")
            continue
        words = [row["kind"], row["state"], f"attempts {row['attempts']}"]
        if row["state"] == "in_flight":
            words.append("under way")
        elif row["next_try_s"] is not None:
            words.append(f"next try in {row['next_try_s']:.1f} s")
        lines.append(f"{row['record']}  {', '.join(words)}: {row['why']}")
    return "\n".join(lines)


def _duty_text(duty: dict[str, Any]) -> str:
    if duty["duty"] == "off" and duty["alert_open"]:
        text = "Off duty; but an alert is open, and positions are recorded until it is closed."
    elif duty["duty"] == "off":
        text = "Off duty. The receiver sleeps, and no position is recorded; the button works."
    else:
        ends = f"at {duty['ends_at']}" if duty["ends_at"] else "by itself; when, can be told when UTC is known"
        text = f"On duty. The shift ends {ends}."
    if duty.get("stored") is False:
        text += "\nIt could not be stored yet: a restart would forget it. `bondmatectl status` says what is wrong."
    return text


def _privacy_text(privacy: dict[str, Any]) -> str:
    lines = [_paint(_BOLD, "What this device collects right now")]
    if not privacy["collected"]:
        lines.append("  Nothing. You are off duty: the receiver sleeps, and the device does not know where you are.")
    for each in privacy["collected"]:
        lines += [
            f"  {each['text'].capitalize()}",
            f"    why        {each['why']}",
            f"    precision  {each['precision']}",
            f"    until      {each['until_text']}",
        ]
    waiting = ", ".join(f"{count} {stream}" for stream, count in privacy["waiting"].items() if count)
    lines += [
        _paint(_BOLD, "If you press"),
        _paragraph(privacy["if_pressed"]),
        _paint(_BOLD, "What the device keeps"),
        _paragraph(privacy["kept"]),
        f"  Not delivered yet: {waiting or 'nothing'}.",
    ]
    return "\n".join(lines)


def _paragraph(text: str) -> str:
    return textwrap.fill(text, _WIDTH, initial_indent="  ", subsequent_indent="  ")


def _alert_text(alert: dict[str, Any] | None) -> str:
    if alert is None:
        return "No alert was ever raised on this device."
    times = " ".join(
        f"{name} {alert[f'{name}_at']}" for name in ("raised", "stored", "delivered") if alert[f"{name}_at"]
    )
    return f"  {alert['kind']}  {_paint(_RED, alert['state'])}  {alert['alert_id']}  {times}"


def _or_unknown(value: float | None, unit: str) -> str:
    return "unknown" if value is None else f"{value:g}{unit}"


def _paint(color: str, text: str) -> str:
    return f"{color}{text}{_OFF}" if sys.stdout.isatty() else text


if __name__ == "__main__":
    sys.exit(main())
