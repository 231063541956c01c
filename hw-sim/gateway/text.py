"""Alerts and devices in words, for a person at a terminal, from the objects of `view`."""

from collections.abc import Sequence
from typing import Any

_UNKNOWN = "unknown"
_MISSING_NAMED = 5


_RED, _PLAIN = "\x1b[1;31m", "\x1b[0m"


def alerts(shown: Sequence[dict[str, Any]], *, colour: bool = False) -> str:
    """Return a block of lines for each alert: those first that were taken back under duress and are open, in red."""
    if not shown:
        return "no alerts"
    blocks = []
    for each in sorted(shown, key=lambda alert: not _forced(alert)):
        block = _alert(each)
        blocks.append(f"{_RED}{block}{_PLAIN}" if colour and _forced(each) else block)
    return "\n\n".join(blocks)


def devices(shown: Sequence[dict[str, Any]]) -> str:
    """Return a line for each device, and one below it for each thing to look at."""
    if not shown:
        return "no devices are enrolled; enrol some with 'bondmate-gateway enrol'"
    return "\n".join(_device(each) for each in shown)


def act(shown: dict[str, Any]) -> str:
    """Return a line for something that a person did at the gateway, and one below it for what was not seen before."""
    when, device, number = moment(shown["at"]), shown["device"], shown["number"]
    if shown["alert_id"] is not None:
        done = {"acknowledge": "acknowledged", "close": "closed"}[shown["type"]]
        already = "already " if shown["already"] else ""
        line = f"{shown['alert_id']}  {already}{done} by {safe(shown['by'])} {when}, message {number} to {device}"
        return "\n".join([line, *(f"  WARNING   {warning}" for warning in _unseen(shown))])
    if shown["type"] == "exercise":
        return f"{device}  exercise until {moment(shown['until'])}, message {number}"
    if shown.get("already"):
        return f"{device}  was told already: {shown['type']} {number}; see messages"
    return f"{device}  {shown['type']} {number} waits to be fetched"


def _unseen(shown: dict[str, Any]) -> list[str]:
    warnings = []
    if shown["duress"]:
        warnings.append("DURESS: somebody forced the officer to take it back: see alerts")
    if shown["later"]:
        calls = "call" if shown["later"] == 1 else "calls"
        warnings.append(f"{shown['later']} {calls} came after the one you named: see alerts")
    return warnings


def groups(shown: dict[str, Any]) -> str:
    """Return a line with the groups of a device."""
    return f"{shown['device']}  groups  {', '.join(shown['groups']) or 'none'}"


def messages(shown: Sequence[dict[str, Any]]) -> str:
    """Return a line for each message, and one below it for what the device answered."""
    if not shown:
        return "no messages"
    return "\n".join(_message(each) for each in shown)


def _message(shown: dict[str, Any]) -> str:
    urgent = "  URGENT" if shown["urgent"] else ""
    by = f"{moment(shown['at'])} by {safe(shown['by'])}"
    lines = [f"{shown['device']}/{shown['number']}  {shown['type']}  {shown['state']}{urgent}  {by}"]
    if shown["text"] is not None:
        lines.append(f"  {safe(shown['text'])}")
    if shown["exercise_s"] is not None:
        seconds = shown["exercise_s"]
        lines.append(f"  for {seconds / 60:g} minutes" if seconds else "  the exercise is over")
    if shown["update"] is not None:
        at_once = ", at once" if shown["update"]["at_once"] else ""
        lines.append(f"  {safe(shown['update']['software'])} from {safe(shown['update']['url'])}{at_once}")
    if shown["result"]:
        lines.append(f"  {shown['state']}  {safe(shown['result'])}")
    if shown["answer"] is not None:
        lines.append(f"  answered  {safe(shown['answer'])}")
    return "\n".join(lines)


def safe(text: str) -> str:
    """Return text of somebody else's so that it cannot write on the terminal what it wants."""
    return text if text.isprintable() else ascii(text)


def _forced(shown: dict[str, Any]) -> bool:
    return bool(shown["duress"]) and shown["state"] != "closed"


def _alert(shown: dict[str, Any]) -> str:
    identity = shown["alert_id"] or f"a record of {shown['device']}"
    title = "UNREADABLE" if shown["kind"] is None else shown["kind"].upper()
    if shown["duress"]:
        title = f"DURESS {title}"
    raised = f"{moment(shown['raised_at'])} by the device's clock" if shown["raised_at"] else _UNKNOWN
    received = f"{moment(shown['received_at'])} over {shown['bearer']}"
    lines = [
        f"{title}  {identity}",
        f"  raised    {raised}",
        f"  received  {received}",
        f"  where     {_where(shown['fix'])}",
        *_before(shown),
        *_check_in(shown),
        *(
            f"  escalated {each['alert_id']}, received {moment(each['received_at'])} over {each['bearer']}"
            for each in shown["escalations"]
        ),
        f"  state     {_state(shown)}",
    ]
    return "\n".join([*lines, *(f"  WARNING   {warning}" for warning in _warnings(shown))])


def _where(fix: dict[str, Any] | None) -> str:
    if fix is None:
        return f"{_UNKNOWN}: no record that was read carries a position"
    uncertainty = "" if fix["accuracy_m"] is None else f";u={fix['accuracy_m']:g}"
    accuracy = "accuracy unknown" if fix["accuracy_m"] is None else f"within {fix['accuracy_m']:g} m"
    coarse = ", coarse on purpose" if fix["coarse"] else ""
    taken = f"taken {moment(fix['time'])}, {fix['age_s']:g} s before it was sent"
    return f"geo:{fix['lat']:.7f},{fix['lon']:.7f}{uncertainty} ({accuracy}{coarse}, {taken})"


def _before(shown: dict[str, Any]) -> list[str]:
    return [f"  before    {_where(each)}" for each in shown["before"]]


def _state(shown: dict[str, Any]) -> str:
    positions = f"{shown['positions']} position{'' if shown['positions'] == 1 else 's'} followed"
    seen = [f"by {safe(each['by'])} {moment(each['at'])}" for each in shown["acknowledged"]]
    if shown["state"] == "cancelled":
        return f"CANCELLED by the officer{_how(shown)}, received {moment(shown['cancelled_at'])}; {positions}"
    if shown["closed"] is not None:
        return f"closed by {safe(shown['closed']['by'])} {moment(shown['closed']['at'])}; {positions}"
    if shown["state"] == "acknowledged":
        return f"acknowledged {', '.join(seen)}; {positions}"
    before = f", acknowledged before {', '.join(seen)}" if seen else ""
    return f"{shown['state']}{before}; {positions}"


def _how(shown: dict[str, Any]) -> str:
    words = {"tool": " at a tool of the technician", "pin": ", by PIN", "gesture": ", by a gesture"}
    return words.get(shown["cancelled_how"], "")


def _check_in(shown: dict[str, Any]) -> list[str]:
    if shown["check_in"] is None:
        return []
    missed = shown["check_in"]
    note = "" if missed["note"] is None else f": {safe(missed['note'])}"
    return [f"  check-in  begun {moment(missed['began_at'])}, due {moment(missed['due_at'])}{note}"]


def _warnings(shown: dict[str, Any]) -> list[str]:
    warnings = []
    if shown["kind"] is None:
        warnings.append(f"UNREADABLE: {shown['why']}. The device is authentic: treat it as an alert.")
    if shown["duress"]:
        warnings.append("DURESS: somebody forced the officer to take it back. It is not over, and worse than before.")
    if shown["kind"] == "exercise" and not shown["exercise"]:
        warnings.append(f"REAL: {shown['why'] or 'it was an exercise, and something real came of it'}.")
    if shown["chain"] == "broken":
        warnings.append("BROKEN CHAIN: a record before this one is missing or was changed. Ask the officer's station.")
    if shown["chain"] == "waiting":
        warnings.append("the record before this one has not arrived yet")
    if shown["store_lost"]:
        warnings.append("the device lost its store before this record")
    if shown["forks"]:
        warnings.append(
            f"FORK: {len(shown['forks'])} other record under the same identity. The device may be cloned: check it."
        )
    if shown["fix"] is not None and shown["fix"]["suspect"]:
        warnings.append(f"the position is suspect: {', '.join(shown['fix']['suspect'])}")
    return warnings


def _device(shown: dict[str, Any]) -> str:
    if shown["enrolled_at"] is None:
        return _under_way(shown)
    state = f"REVOKED {moment(shown['revoked_at'])}" if shown["revoked"] else "active"
    if shown["state"] == "wiped":
        state = f"WIPED {moment(shown['wiped_at'])}"
    elif shown["state"] == "wiping":
        state += "  WIPING: it was told to, and did not say yet that it is done"
    session = shown["sessions"][-1] if shown["sessions"] else "none"
    times = f"enrolled {moment(shown['enrolled_at'])}  last seen {moment(shown['last_seen_at'])}"
    lines = [f"{shown['device']}  {state}  {times}  session {session}"]
    if shown["groups"]:
        lines.append(f"  groups    {', '.join(shown['groups'])}")
    mailbox = shown["mailbox"]
    if mailbox["fetched"] < mailbox["newest"] and shown["state"] != "wiped":
        lines.append(f"  mailbox   {mailbox['newest'] - mailbox['fetched']} of {mailbox['newest']} not fetched")
    lines += [f"  FORK: more than one record under {identity}" for identity in shown["forks"]]
    lines += [
        f"  BRANCH: {len(each['sessions'])} sessions continue {each['record']}, the last {each['sessions'][-1]}."
        " The card was cloned or restored, or does not keep what it is told: check the device."
        for each in shown["branches"]
    ]
    lines += _missing(shown)
    lines += [
        f"  STORE LOST: {each['record']} says so, received {moment(each['received_at'])}"
        for each in shown["store_lost"]
    ]
    if shown["lost_with_store"]:
        lines.append(f"  STORE LOST: routine records that may have gone with it: {shown['lost_with_store']}")
    if shown["presence"] is not None and shown["presence"]["fix"] is not None:
        presence = shown["presence"]
        lines.append(f"  presence  {_where(presence['fix'])}, received {moment(presence['received_at'])}")
    if shown["accepted"] is not None:
        accepted = shown["accepted"]
        failed = f"NOT ACCEPTED: {', '.join(map(safe, accepted['failed']))} failed,"
        by = f"{moment(accepted['at'])} by its own test of {safe(accepted['software'])}"
        lines.append(f"  {'accepted ' if accepted['ok'] else failed} {by}")
        lines += [
            f"    {safe(each['check'])}: {safe(each['text'] or 'no reason given')}"
            for each in accepted["checks"]
            if each["ok"] is False
        ]
    if shown["health"] is not None and shown["health"]["faults"]:
        faults = ", ".join(map(safe, shown["health"]["faults"]))
        lines.append(f"  FAULTS: {faults}, received {moment(shown['health']['received_at'])}")
    if shown["attempts"]:
        last = moment(shown["attempts"][-1]["received_at"])
        lines.append(f"  ATTEMPTS since it was revoked: {len(shown['attempts'])}, the last {last}")
    return "\n".join(lines)


def _under_way(shown: dict[str, Any]) -> str:
    line = f"{shown['device']}  {shown['state']}"
    match shown["state"]:
        case "withdrawn":
            line += f" {moment(shown['revoked_at'])}"
        case "offered":
            line += f"  not asked yet, its file expires {moment(shown['expires_at'])}"
        case "expired":
            line += f" {moment(shown['expires_at'])}"
        case "waiting":
            line += f"  approve it if the device shows {shown['fingerprint']}"
        case "taken":
            line += f"  its key is {shown['fingerprint']}, it uses no channel keys of its own yet"
        case _:
            pass
    software = "" if not shown["software"] else f"  software {safe(shown['software'])}"
    groups = f"  groups {', '.join(shown['groups'])}" if shown["groups"] else ""
    return f"{line}{software}{groups}"


def _missing(shown: dict[str, Any]) -> list[str]:
    before_loss = set(shown["missing_before_loss"])
    lines = [
        f"  MISSING: {identity}{', from before the device lost its store' if identity in before_loss else ''}"
        for identity in shown["missing"][:_MISSING_NAMED]
    ]
    more = shown["missing_count"] - len(lines)
    return [*lines, f"  MISSING: {more} more"] if more else lines


def moment(text: str | None) -> str:
    """Return a time in RFC 3339 as people read it, to the second."""
    return _UNKNOWN if text is None else f"{text[:10]} {text[11:19]} UTC"
