"""`bondmatectl gnss watch`: the sky as a person wants to see it, again and again, on a terminal; or as JSON lines.

Text from values; where they come from is the caller's business.
"""

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from bondmate.screen import live

EVERY_S = 1.0
_BOLD, _GREEN, _YELLOW, _DIM, _OFF = "\033[1m", "\033[32m", "\033[33m", "\033[2m", "\033[0m"
_SYSTEMS = {
    "gps": "GPS", "glonass": "GLONASS", "galileo": "Galileo", "beidou": "BeiDou", "qzss": "QZSS", "sbas": "SBAS",
    "navic": "NavIC",
}  # fmt: skip
_SIGNALS = {
    ("gps", "1"): "L1", ("gps", "5"): "L2C", ("gps", "6"): "L2C", ("gps", "7"): "L5", ("gps", "8"): "L5",
    ("sbas", "1"): "L1", ("glonass", "1"): "L1", ("glonass", "3"): "L2", ("galileo", "1"): "E5a",
    ("galileo", "2"): "E5b", ("galileo", "7"): "E1", ("beidou", "1"): "B1I", ("beidou", "3"): "B1C",
    ("beidou", "5"): "B2a", ("beidou", "B"): "B2I", ("qzss", "1"): "L1", ("qzss", "5"): "L2C", ("qzss", "6"): "L2C",
    ("qzss", "8"): "L5", ("navic", "1"): "L5",
}  # fmt: skip
"""What the signal numbers of NMEA 0183, 4.11, are called (u-blox M10 interface description, GNSS identifiers)."""
_BAR = 25
_STRONG_DBHZ, _WEAK_DBHZ = 50, 10
"""The bars' ends: no signal is stronger on the ground, and none weaker is tracked."""


def watch(look: Callable[[], dict[str, Any]], *, as_json: bool) -> None:
    """Show what `look` gives once a second, until Ctrl-C; whatever is no terminal gets one picture after the other.

    Raises what `look` raises.
    """
    before: dict[str, Any] | None = None
    with live(_painted, as_json=as_json) as draw:
        while True:
            state = look()
            if as_json:
                print(json.dumps(state), flush=True)
            else:
                draw(picture(state, before))
            before = state
            time.sleep(EVERY_S)


def picture(state: dict[str, Any], before: dict[str, Any] | None) -> list[str]:
    """The lines of one picture; `before` is the state of the picture before, which tells rates."""
    return [*_head(state), "", *_fix(state), "", *_satellites(state["satellites"]), "", *_traffic(state, before)]


def _head(state: dict[str, Any]) -> list[str]:
    if not state["awake"]:
        return [f"receiver   {state['port']}: asleep. Off duty nobody listens to it; `bondmatectl duty on` wakes it."]
    speed = f"{state['speed_baud']} baud" if state["speed_baud"] else "speed not found yet"
    identity = f", {state['receiver']}" if state["receiver"] else ""
    antenna = f", antenna {state['antenna']}" if state["antenna"] else ""
    return [f"receiver   {state['port']}: awake, {speed}{identity}{antenna}"]


def _fix(state: dict[str, Any]) -> list[str]:
    fix = state["fix"]
    if fix is None:
        return [f"fix        none: {'; '.join(state['why_not']) or 'nothing was heard yet'}"]
    lines = [
        f"fix        {fix['mode']}D  {fix['lat']:.7f}, {fix['lon']:.7f}  {_or_dash(fix['alt_m'], '.1f', ' m')}",
        f"           accuracy {_or_dash(fix['accuracy_m'], '.1f', ' m')}  HDOP {_or_dash(fix['hdop'], '.1f', '')}",
        f"           {_or_dash(fix['speed_mps'], '.1f', ' m/s')} towards {_or_dash(fix['track_deg'], '.0f', '°')}",
        f"           {fix['time'] or 'no date yet'}, {_or_dash(fix['age_s'], '.1f', ' s old')}",
    ]
    if fix["suspect"]:
        lines.append(f"SUSPECT    {', '.join(fix['suspect'])}")
    elif state["why_not"]:
        lines.append(f"now        no fix: {'; '.join(state['why_not'])}")
    return lines


def _satellites(satellites: Sequence[dict[str, Any]]) -> list[str]:
    used = sum(1 for each in satellites if each["used"])
    lines = [f"satellites {len(satellites)} signals in view, {used} used"]
    if satellites:
        lines.append(f"    {'':<14} {'up':>4} {'from':>5}")
    for each in sorted(satellites, key=lambda one: (not one["used"], -(one["cn0_dbhz"] or 0))):
        name = _name(each["system"], each["number"], each["signal"])
        where = f"{_or_dash(each['elevation_deg'], 'd', '°'):>4} {_or_dash(each['azimuth_deg'], 'd', '°'):>5}"
        mark = "●" if each["used"] else "○"
        lines.append(f"  {mark} {name:<14} {where}  {_bar(each['cn0_dbhz'])}")
    return lines


def _name(system: str, number: int, signal: str | None) -> str:
    band = "" if signal is None else f" {_SIGNALS.get((system, signal), f'signal {signal}')}"
    return f"{_SYSTEMS.get(system, system)} {number}{band}"


def _bar(cn0_dbhz: int | None) -> str:
    if not cn0_dbhz:
        return "·" * _BAR + "  not tracked"
    share = (cn0_dbhz - _WEAK_DBHZ) / (_STRONG_DBHZ - _WEAK_DBHZ)
    length = max(1, min(_BAR, round(share * _BAR)))
    return "█" * length + "·" * (_BAR - length) + f"  {cn0_dbhz} dB-Hz"


def _traffic(state: dict[str, Any], before: dict[str, Any] | None) -> list[str]:
    lines = []
    if before is not None and (seconds := state["at_s"] - before["at_s"]) > 0:
        rates = [
            f"{kind} {(count - before['sentences'].get(kind, 0)) / seconds:.0f}"
            for kind, count in sorted(state["sentences"].items())
            if count > before["sentences"].get(kind, 0)
        ]
        octets = (state["octets"] - before["octets"]) / seconds
        lines.append(f"a second   {octets:.0f} octets; {', '.join(rates) or 'no sentences'}")
    errors = [f"{count} {kind}" for kind, count in sorted(state["rejected"].items())]
    if state["noise_octets"]:
        errors.append(f"{state['noise_octets']} octets of noise")
    lines.append(f"errors     {', '.join(errors) or 'none'}")
    return lines


def _painted(line: str) -> str:
    """Colour for a terminal: what is used green, what is suspect yellow."""
    if line.startswith("SUSPECT"):
        return f"{_YELLOW}{line}{_OFF}"
    if line.startswith(("receiver", "fix ")):
        return f"{_BOLD}{line}{_OFF}"
    if "●" in line:
        return line.replace("█", f"{_GREEN}█{_OFF}")
    return f"{_DIM}{line}{_OFF}" if "○" in line else line


def _or_dash(value: float | None, form: str, unit: str) -> str:
    return "-" if value is None else f"{value:{form}}{unit}"
