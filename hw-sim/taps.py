"""What the taps of a world saw: datagrams and short messages, read from their files of JSON lines."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bondmate_sim.mobile import GATEWAY_NUMBER


@dataclass(frozen=True, slots=True)
class Datagram:
    """A datagram that a network's tap saw; `t_ns` is CLOCK_MONOTONIC."""

    t_ns: int
    direction: Literal["up", "down"]
    client: str
    data: bytes
    fate: str
    """sent, lost or duplicated; a message centre has more words."""


def datagrams(tap_file: Path) -> list[Datagram]:
    """All datagrams, in order."""
    return [
        Datagram(entry["t_ns"], entry["direction"], entry["client"], bytes.fromhex(entry["hex"]), entry["fate"])
        for entry in json_lines(tap_file)
    ]


def messages(tap_file: Path) -> list[Datagram]:
    """All short messages, in order; `client` is the sender's number."""
    return [
        Datagram(
            entry["t_ns"],
            "up" if entry["to"] == GATEWAY_NUMBER else "down",
            entry["from"],
            bytes.fromhex(entry["ud"]),
            entry["fate"],
        )
        for entry in json_lines(tap_file)
    ]


def json_lines(file: Path) -> list[dict[str, Any]]:
    """The complete lines of a file that another process appends to; none while there is no file."""
    if not file.exists():
        return []
    *lines, _unfinished = file.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines]
