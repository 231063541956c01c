"""What bondmatectl says to people of what the daemon answered. Text from values alone; colour on a terminal."""

import json
import sys
import textwrap
from typing import Any

_WIDTH = 100
"""Of paragraphs: what is longer is hard to read."""
_BOLD, _RED, _GREEN, _OFF = "\033[1m", "\033[31m", "\033[32m", "\033[0m"

_VERDICTS = {True: "ok", False: "FAILED", None: "none"}
_AWAITED = "..."
_NAME_WIDTH = 14
"""Of the checks of a self-test."""
_STORE = {True: "ok", None: "not open"}


def status(state: dict[str, Any]) -> str:
    """The device on one screen."""
    color = _GREEN if state["state"] == "armed" else _RED
    session = f"  session {state['session']}" if state["session"] else ""
    head = f"{_paint(_BOLD, state['device'] or 'a device without a name')}  {_paint(color, state['state'])}{session}"
    if state["exercise"]:
        head += f"  {_paint(_BOLD, 'EXERCISE')}"
    lines = [head, f"  duty     {state['duty']}", f"  fix      {_fix(state)}"]
    waiting = ", ".join(f"{count} {stream}" for stream, count in state["queue"].items() if count)
    lines.append(f"  queue    {waiting or 'empty: everything is delivered'}")
    lines += [_bearer(bearer) for bearer in state["bearers"]]
    clock = state["clock"]
    known = clock["source"] and f"UTC from {clock['source']}, uncertainty {_or_unknown(clock['uncertainty_ms'], ' ms')}"
    lines.append(f"  clock    {known or 'UTC is not known yet'}")
    lines.append(f"  store    {_STORE.get(state['store']['ok']) or _paint(_RED, 'not working')}")
    lines += _officer(state)
    if state["alert"] is not None:
        lines.append(alert(state["alert"]))
    lines += [f"  {_paint(_RED, fault['code'])}: {fault['text']}; {fault['next']}" for fault in state["faults"]]
    return "\n".join(lines)


def _officer(state: dict[str, Any]) -> list[str]:
    """What there is to say only sometimes."""
    lines = []
    if (battery := state["battery"]) is not None:
        lines.append(f"  battery  {_or_unknown(battery['percent'], ' %')}{', charging' if battery['charging'] else ''}")
    if state["inbox"]["unread"]:
        lines.append(f"  inbox    {state['inbox']['unread']} not read yet")
    if state["checkin"] is not None:
        lines.append(f"  checkin  {_check_in(state['checkin'])}")
    if (countdown := state["countdown"]) is not None:
        lines.append(f"  {_paint(_RED, 'ALERT')}    {countdown['kind']} is raised in {countdown['in_s']:.0f} s")
    if not state["covert"]:
        lines.append("  covert   no: the device shows light, and sounds if it can")
    return lines


def _bearer(bearer: dict[str, Any]) -> str:
    last = "not used yet" if bearer["last_success_s"] is None else f"last answer {bearer['last_success_s']:g} s ago"
    state = f"up, {last}" if bearer["up"] else f"down: {bearer['why_not']}"
    return f"  {bearer['name']:<8} {state}"


def bearers(answer: dict[str, Any]) -> str:
    """The ways to the gateway, and the modem."""
    lines = [_bearer(bearer).strip() for bearer in answer["bearers"]]
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


def _fix(status: dict[str, Any]) -> str:
    fix = status["fix"]
    if fix is None:
        asleep = status["duty"] == "off" and status["alert"] is None
        return "none: off duty the receiver sleeps, until an alert" if asleep else "none yet"
    accuracy = _or_unknown(fix["accuracy_m"], " m")
    age = "of unknown age" if fix["age_s"] is None else f"{fix['age_s']:.1f} s old"
    text = f"{fix['lat']:.6f}, {fix['lon']:.6f}  accuracy {accuracy}, {age}"
    return text + (f"  suspect: {', '.join(fix['suspect'])}" if fix["suspect"] else "")


def queue(rows: list[dict[str, Any]]) -> str:
    """A row a record."""
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


def duty(state: dict[str, Any]) -> str:
    """Duty in a sentence."""
    if state["duty"] == "off" and state["alert_open"]:
        text = "Off duty; but an alert is open, and positions are recorded until it is closed."
    elif state["duty"] == "off":
        text = "Off duty. The receiver sleeps, and no position is recorded; the button works."
    else:
        ends = f"at {state['ends_at']}" if state["ends_at"] else "by itself; when, can be told when UTC is known"
        text = f"On duty. The shift ends {ends}."
    if state.get("stored") is False:
        text += "\nIt could not be stored yet: a restart would forget it. `bondmatectl status` says what is wrong."
    return text


def privacy(report: dict[str, Any]) -> str:
    """What is collected, in paragraphs."""
    lines = [_paint(_BOLD, "What this device collects right now")]
    if not report["collected"]:
        lines.append("  Nothing. You are off duty: the receiver sleeps, and the device does not know where you are.")
    for each in report["collected"]:
        lines += [
            f"  {each['text'].capitalize()}",
            f"    why        {each['why']}",
            f"    precision  {each['precision']}",
            f"    until      {each['until_text']}",
        ]
    waiting = ", ".join(f"{count} {stream}" for stream, count in report["waiting"].items() if count)
    lines += [
        _paint(_BOLD, "If you press"),
        _paragraph(report["if_pressed"]),
        _paint(_BOLD, "What the device keeps"),
        _paragraph(report["kept"]),
        f"  Not delivered yet: {waiting or 'nothing'}.",
    ]
    return "\n".join(lines)


def _paragraph(text: str) -> str:
    return textwrap.fill(text, _WIDTH, initial_indent="  ", subsequent_indent="  ")


def alert(newest: dict[str, Any] | None) -> str:
    """One line an alert."""
    if newest is None:
        return "No alert was ever raised on this device."
    times = " ".join(
        f"{name} {newest[f'{name}_at']}"
        for name in ("raised", "stored", "delivered", "acknowledged", "closed")
        if newest[f"{name}_at"]
    )
    more = ""
    if newest["acknowledged_by"]:
        more += f" by {_printable(newest['acknowledged_by'])}"
    if newest["escalates"]:
        more += f"  escalates {newest['escalates']}"
    return f"  {newest['kind']}  {_paint(_RED, newest['state'])}  {newest['alert_id']}  {times}{more}"


def check_in(answer: dict[str, Any]) -> str:
    """A check-in in a sentence."""
    running = answer["checkin"]
    return "No check-in is under way." if running is None else f"A check-in is under way: {_check_in(running)}."


def _check_in(running: dict[str, Any]) -> str:
    due_s = running["due_s"]
    when = f"due in {_minutes(due_s)}" if due_s >= 0 else f"overdue since {_minutes(-due_s)}"
    at = f" (at {running['due_at']})" if running["due_at"] else ""
    note = f", {_printable(running['note'])}" if running["note"] else ""
    return f"{when}{at}{note}"


def _minutes(seconds: float) -> str:
    minutes, left = divmod(round(seconds), 60)
    return f"{minutes} min {left} s" if minutes else f"{left} s"


def selftest(test: dict[str, Any]) -> list[str]:
    """A line a check, without colour, and one with what to do next behind each that failed."""
    lines = []
    for each in test["checks"]:
        word = _VERDICTS[each["ok"]] if each["state"] == "done" else _AWAITED if each["state"] == "running" else ""
        lines.append(f"{each['check'].upper():<{_NAME_WIDTH}}{word:<8}{_printable(each['text'])}")
        if each["next"] is not None:
            lines.append(f"{'':<{_NAME_WIDTH + 8}}next: {_printable(each['next'])}")
    return lines


def painted(line: str) -> str:
    """A line of a self-test, on a terminal with its verdict in colour, and bold while something is awaited."""
    name, rest = line[:_NAME_WIDTH], line[_NAME_WIDTH:]
    if rest.startswith(f"{_AWAITED} "):
        return _paint(_BOLD, line)
    for word, color in ((_VERDICTS[True], _GREEN), (_VERDICTS[False], _RED)):
        if rest.startswith(f"{word} "):
            return f"{name}{_paint(color, word)}{rest.removeprefix(word)}"
    return line


def inbox(messages: list[dict[str, Any]]) -> str:
    """A paragraph a message, the newest first."""
    return "\n".join(map(message, messages)) if messages else "The inbox is empty."


def message(told: dict[str, Any]) -> str:
    """One message."""
    head = f"{told['number']:>5}  {told['sent_at']}  {told['type']}, {_printable(told['by'])}"
    if told["urgent"]:
        head += f"  {_paint(_RED, 'urgent')}"
    if told["state"] == "taken":
        head += f"  {_paint(_BOLD, 'not read yet')}"
    lines = [head]
    lines += [textwrap.indent(textwrap.fill(part, _WIDTH), " " * 7) for part in _printable(told["text"]).splitlines()]
    if told["distance_m"] is not None:
        bearing = "" if told["bearing_deg"] is None else f" towards {told['bearing_deg']:.0f}°"
        lines.append(f"       {told['kind'] or 'place'}: {told['distance_m']:.0f} m from here{bearing}")
    if told["answer"] is not None:
        lines.append(f"       answered: {_printable(told['answer'])}")
    elif told["replies"]:
        lines.append(f"       quick replies: {' | '.join(map(_printable, told['replies']))}")
    return "\n".join(lines)


def configuration(sections: dict[str, Any] | None) -> str:
    """The sections and keys as the file has them."""
    if sections is None:
        return "The daemon was started without a configuration file."
    lines: list[str] = []
    for section, keys in sections.items():
        lines += [_paint(_BOLD, f"[{section}]"), *(f"{key} = {json.dumps(value)}" for key, value in keys.items()), ""]
    return "\n".join(lines[:-1])


def _printable(text: str) -> str:
    """Without what a terminal would obey: the text is somebody else's."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "\N{REPLACEMENT CHARACTER}" for letter in text)


def _or_unknown(value: float | None, unit: str) -> str:
    return "unknown" if value is None else f"{value:g}{unit}"


def _paint(color: str, text: str) -> str:
    return f"{color}{text}{_OFF}" if sys.stdout.isatty() else text
