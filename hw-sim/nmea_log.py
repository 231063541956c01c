"""A recorded receiver log as a rhythm: which octets come together, and how long after those before.

It judges nothing: broken sentences, binary frames and line ends stay as they were recorded. Only comment lines (#) go.
An epoch is what a receiver sends for one UTC time of day (NMEA 0183: field 1 of GGA, RMC, GNS, ZDA, GST and GBS, field
5 of GLL).
"""

import re
from dataclasses import dataclass
from pathlib import Path

from bondmate_sim.errors import SimulatorError

MAX_GAP_S = 1.0
"""No recorded silence is played longer; also the pause where the log has no time: receivers speak once a second."""
MAX_EPOCH_OCTETS = 4_096
"""Longer stretches without any time are cut: at 38,400 baud, the fastest usual rate, a second holds as much."""
DAY_MS = 86_400_000

_TIMED = re.compile(rb"\$([A-Z]{2}(?:GGA|RMC|GNS|ZDA|GST|GBS)),(\d{6}(?:\.\d+)?)?,", re.ASCII)
_GLL = re.compile(rb"\$([A-Z]{2}GLL),[^,\n]*,[^,\n]*,[^,\n]*,[^,\n]*,(\d{6}(?:\.\d+)?)?,", re.ASCII)


@dataclass(frozen=True, slots=True)
class Epoch:
    """Octets that a receiver sends together."""

    gap_s: float
    """Pause before them, after the epoch before; the first one's is the pause when the log is played again."""
    data: bytes


@dataclass(frozen=True, slots=True)
class _Timed:
    sentence: bytes
    time_ms: int | None


def epochs(log: bytes) -> tuple[Epoch, ...]:
    """Cut a log into epochs; all their data together is the log without its comment lines."""
    groups: list[tuple[int | None, bytearray]] = []
    seen: set[bytes] = set()
    before_ms: int | None = None
    for line in _lines(log):
        if _is_comment(line):
            continue
        timed = _timed(line)
        if not groups or _begins_epoch(timed, groups[-1], before_ms, seen):
            before_ms = groups[-1][0] if groups else None
            groups.append((None, bytearray()))
            seen = set()
        time_ms, data = groups[-1]
        if timed is not None:
            seen.add(timed.sentence)
            if time_ms is None:
                groups[-1] = (timed.time_ms, data)
        data += line
    return tuple(
        Epoch(_gap_s(groups[index - 1][0] if index else None, time_ms), bytes(data))
        for index, (time_ms, data) in enumerate(groups)
    )


def read(file: Path) -> tuple[Epoch, ...]:
    """The epochs of a log file. Raises SimulatorError when it cannot be read, or has nothing to play."""
    try:
        recorded = epochs(file.read_bytes())
    except OSError as error:
        raise SimulatorError(f"cannot read the log {file}: {error.strerror}") from error
    if not recorded:
        raise SimulatorError(f"the log {file} has nothing to play: it is empty or all comments")
    return recorded


def duration_s(recorded: tuple[Epoch, ...]) -> float:
    """How long one pass over the log takes in its own rhythm."""
    return sum(epoch.gap_s for epoch in recorded)


def _lines(log: bytes) -> list[bytes]:
    # Not bytes.splitlines: in a mixed log a lone carriage return is an octet of a binary frame.
    return [line for line in re.split(rb"(?<=\n)", log) if line]


def _is_comment(line: bytes) -> bool:
    if not line.startswith(b"#"):
        return False
    try:
        text = line.rstrip(b"\r\n").decode()
    except UnicodeDecodeError:
        return False  # a binary frame that happens to begin with this octet
    return text.replace("\t", " ").isprintable()


def _timed(line: bytes) -> _Timed | None:
    """The time-bearing sentence of a line, also behind binary octets; None when it has none."""
    found = _TIMED.search(line) or _GLL.search(line)
    if found is None:
        return None
    return _Timed(found[1], None if found[2] is None else _milliseconds(found[2]))


def _milliseconds(time_of_day: bytes) -> int:
    whole, _, fraction = time_of_day.partition(b".")
    hours, minutes, seconds = int(whole[:2]), int(whole[2:4]), int(whole[4:6])
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + int(fraction[:3].ljust(3, b"0"))


def _begins_epoch(
    timed: _Timed | None, current: tuple[int | None, bytearray], before_ms: int | None, seen: set[bytes]
) -> bool:
    time_ms, data = current
    if timed is None:
        return len(data) >= MAX_EPOCH_OCTETS
    if timed.time_ms is None:
        return timed.sentence in seen  # no time yet: the receiver goes round when it repeats itself
    # Some receivers send one sentence late, under the time before: that is no new epoch.
    return time_ms is not None and timed.time_ms not in (time_ms, before_ms)


def _gap_s(before_ms: int | None, time_ms: int | None) -> float:
    if before_ms is None or time_ms is None:
        return MAX_GAP_S
    return min((time_ms - before_ms) % DAY_MS / 1000, MAX_GAP_S) or MAX_GAP_S
