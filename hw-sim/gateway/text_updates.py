"""Bundles and rollouts in words, for a person at a terminal, from the objects of `updating`."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from bondmate_sim.gateway.rollout import DeviceState
from bondmate_sim.gateway.text import moment, safe


def bundle(shown: dict[str, Any]) -> str:
    """Return a line for a bundle."""
    added = f"added {moment(shown['added_at'])}"
    return f"{shown['version']}  {shown['octets']} octets  {added}  sha256 {shown['sha256']}"


def bundles(shown: Sequence[dict[str, Any]]) -> str:
    """Return a line for each bundle."""
    return "\n".join(map(bundle, shown)) or "no bundles; add one with 'bondmate-gateway bundle add'"


def rollout(shown: dict[str, Any]) -> str:
    """Return a line for a rollout, one for how many devices are how far, and one for each that is to be looked at."""
    state = shown["state"].upper() if shown["state"] == "stopped" else shown["state"]
    why = "" if shown["why"] is None else f": {safe(shown['why'])}"
    counted = Counter(each["state"] for each in shown["devices"])
    counts = ", ".join(f"{counted[state]} {state}" for state in DeviceState if counted[state])
    lines = [f"rollout {shown['rollout']} of {shown['version']}  {state}{why}", f"  {counts or 'no devices'}"]
    for each in shown["devices"]:
        if each["state"] in (DeviceState.FAILED, DeviceState.OVERDUE):
            text = f"  {safe(each['text'])}" if each["text"] else ""
            lines.append(f"  {each['device']}  {each['state'].upper()}{text}")
    return "\n".join(lines)


def rollouts(shown: Sequence[dict[str, Any]]) -> str:
    """Return some lines for each rollout."""
    return "\n".join(map(rollout, shown)) or "no rollouts; begin one with 'bondmate-gateway rollout start'"
