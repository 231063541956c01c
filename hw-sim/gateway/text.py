"""Alerts and devices in words, for a person at a terminal, from the objects of `view`."""

from collections.abc import Sequence
from typing import Any

_UNKNOWN = "unknown"
_MISSING_NAMED = 5


def alerts(shown: Sequence[dict[str, Any]]) -> str:
    """Return a block of lines for each alert."""
    if not shown:
        return "no alerts"
    return "\n\n".join(_alert(each) for each in shown)


def devices(shown: Sequence[dict[str, Any]]) -> str:
    """Return a line for each device, and one below it for each thing to look at."""
    if not shown:
        return "no devices are enrolled; enrol some with 'bondmate-gateway enrol'"
    return "\n".join(_device(each) for each in shown)


def _alert(shown: dict[str, Any]) -> str:
    identity = shown["alert_id"] or f"a record of {shown['device']}"
    title = "UNREADABLE" if shown["kind"] is None else shown["kind"].upper()
    raised = f"{_moment(shown['raised_at'])} by the device's clock" if shown["raised_at"] else _UNKNOWN
    received = f"{_moment(shown['received_at'])} over {shown['bearer']}"
    lines = [
        f"{title}  {identity}",
        f"  raised    {raised}",
        f"  received  {received}",
        f"  where     {_where(shown['fix'])}",
        *_before(shown),
        f"  state     {_state(shown)}",
    ]
    return "\n".join([*lines, *(f"  WARNING   {warning}" for warning in _warnings(shown))])


def _where(fix: dict[str, Any] | None) -> str:
    if fix is None:
        return f"{_UNKNOWN}: no record that was read carries a position"
    uncertainty = "" if fix["accuracy_m"] is None else f";u={fix['accuracy_m']:g}"
    accuracy = "accuracy unknown" if fix["accuracy_m"] is None else f"within {fix['accuracy_m']:g} m"
    coarse = ", coarse on purpose" if fix["coarse"] else ""
    taken = f"taken {_moment(fix['time'])}, {fix['age_s']:g} s before it was sent"
    return f"geo:{fix['lat']:.7f},{fix['lon']:.7f}{uncertainty} ({accuracy}{coarse}, {taken})"


def _before(shown: dict[str, Any]) -> list[str]:
    return [f"  before    {_where(each)}" for each in shown["before"]]


def _state(shown: dict[str, Any]) -> str:
    positions = f"{shown['positions']} position{'' if shown['positions'] == 1 else 's'} followed"
    if shown["state"] == "cancelled":
        return f"CANCELLED by the officer, received {_moment(shown['cancelled_at'])}; {positions}"
    return f"{shown['state']}; {positions}"


def _warnings(shown: dict[str, Any]) -> list[str]:
    warnings = []
    if shown["kind"] is None:
        warnings.append(f"UNREADABLE: {shown['why']}. The device is authentic: treat it as an alert.")
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
    state = f"REVOKED {_moment(shown['revoked_at'])}" if shown["revoked"] else "active"
    session = shown["sessions"][-1] if shown["sessions"] else "none"
    times = f"enrolled {_moment(shown['enrolled_at'])}  last seen {_moment(shown['last_seen_at'])}"
    lines = [f"{shown['device']}  {state}  {times}  session {session}"]
    lines += [f"  FORK: more than one record under {identity}" for identity in shown["forks"]]
    lines += [
        f"  BRANCH: {len(each['sessions'])} sessions continue {each['record']}, the last {each['sessions'][-1]}."
        " The card was cloned or restored, or does not keep what it is told: check the device."
        for each in shown["branches"]
    ]
    lines += _missing(shown)
    lines += [
        f"  STORE LOST: {each['record']} says so, received {_moment(each['received_at'])}"
        for each in shown["store_lost"]
    ]
    if shown["lost_with_store"]:
        lines.append(f"  STORE LOST: routine records that may have gone with it: {shown['lost_with_store']}")
    if shown["presence"] is not None and shown["presence"]["fix"] is not None:
        presence = shown["presence"]
        lines.append(f"  presence  {_where(presence['fix'])}, received {_moment(presence['received_at'])}")
    if shown["health"] is not None and shown["health"]["faults"]:
        faults = ", ".join(each if each.isprintable() else ascii(each) for each in shown["health"]["faults"])
        lines.append(f"  FAULTS: {faults}, received {_moment(shown['health']['received_at'])}")
    if shown["attempts"]:
        last = _moment(shown["attempts"][-1]["received_at"])
        lines.append(f"  ATTEMPTS since it was revoked: {len(shown['attempts'])}, the last {last}")
    return "\n".join(lines)


def _missing(shown: dict[str, Any]) -> list[str]:
    before_loss = set(shown["missing_before_loss"])
    lines = [
        f"  MISSING: {identity}{', from before the device lost its store' if identity in before_loss else ''}"
        for identity in shown["missing"][:_MISSING_NAMED]
    ]
    more = shown["missing_count"] - len(lines)
    return [*lines, f"  MISSING: {more} more"] if more else lines


def _moment(text: str | None) -> str:
    return _UNKNOWN if text is None else f"{text[:10]} {text[11:19]} UTC"
