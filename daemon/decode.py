"""`bondmatectl gnss decode`: a receiver's recorded octets as fixes, one a line. Reads a file or standard input alone.

Prints what the receiver said: dates stay as they are, however old. Needs no daemon and no configuration.
"""

import errno
import io
import json
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from bondmate.core.epoch import Epoch
from bondmate.core.navigation import Navigation
from bondmate.core.nmea import DAY_MS
from bondmate.core.reception import Reception
from bondmate.records import Fix, utc_text

CHUNK_OCTETS = 65536
EPOCH_S = 1.0
"""A recorded log has no clock but its receiver's: where that does not say how long one was, it counts as so long."""
PAUSE_MS = 60_000
"""A receiver's clock that goes on by more was set, or the receiver was switched off meanwhile."""
PROGRESS_S = 0.5

STDIN = Path("-")


class ReadError(Exception):
    """The log cannot be read; the text says why."""


def decode(path: Path, *, as_json: bool) -> None:
    """Print each fix of the file, and to standard error what was not used, by kind.

    Raises ReadError, and OSError where nothing can be printed.
    """
    try:
        file, size, name = _open(path)
    except OSError as problem:
        raise ReadError(problem.strerror) from problem
    with file:
        _print(file, size, name, as_json=as_json)


def fixes(chunks: Iterator[bytes], reception: Reception) -> Iterator[Fix]:
    """The fixes in these octets; `reception` counts what they held."""
    navigation, now, before_ms = Navigation(None, lead_s=math.inf), 0.0, None

    def ended(epoch: Epoch | None) -> Iterator[Fix]:
        nonlocal now, before_ms
        if epoch is None:
            return
        now += _length_s(before_ms, epoch.time_ms)
        before_ms = epoch.time_ms
        if epoch.fix is not None:
            yield epoch.fix

    for chunk in chunks:
        for heard in reception.feed(chunk, now):
            yield from ended(navigation.feed(heard.sentence, now))
    yield from ended(navigation.finish(now))


def _length_s(before_ms: int | None, time_ms: int | None) -> float:
    """How long it was from one epoch to the next."""
    if before_ms is None or time_ms is None:
        return EPOCH_S
    passed_ms = (time_ms - before_ms) % DAY_MS
    return passed_ms / 1000 if passed_ms <= PAUSE_MS else EPOCH_S


def _open(path: Path) -> tuple[io.BufferedReader, int | None, str]:
    """The file, its size where it is known, and what it is called. Raises OSError."""
    if path != STDIN:
        return path.open("rb"), path.stat().st_size, path.name
    if sys.stdin is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return cast("io.BufferedReader", sys.stdin.buffer), None, "standard input"


def _print(file: io.BufferedReader, size: int | None, name: str, *, as_json: bool) -> None:
    reception, count = Reception(None), 0
    show = _as_json if as_json else _as_text
    if not as_json:
        print(_HEAD)
    for fix in fixes(_chunks(file, size), reception):
        print(show(fix))
        count += 1
    used = sum(reception.counts.values())
    print(
        f"{name}: {used:,} sentences, {count:,} fixes; {_unused(reception.rejected, reception.noise)}", file=sys.stderr
    )


def _chunks(file: io.BufferedReader, size: int | None) -> Iterator[bytes]:
    """The octets of a file, with its progress on a terminal, and an end for a last line that has none."""
    shows, done, shown_s = bool(size) and sys.stderr.isatty(), 0, time.monotonic()
    while chunk := _read(file):
        yield chunk
        done += len(chunk)
        if shows and size and time.monotonic() - shown_s >= PROGRESS_S:
            shown_s = time.monotonic()
            print(f"\r{100 * done // size:3d} % of {size:,} octets", end="\r", file=sys.stderr, flush=True)
    yield b"\n"


def _read(file: io.BufferedReader) -> bytes:
    """What is there, at once: a pipe may come from a receiver that speaks now, and so what was found is shown first."""
    sys.stdout.flush()
    try:
        return file.read1(CHUNK_OCTETS)
    except OSError as problem:
        raise ReadError(problem.strerror) from problem


def _unused(rejected: Counter[str], noise: int) -> str:
    kinds = [
        f"{count:,} with {kind}" if kind.endswith("checksum") else f"{count:,} {kind}"
        for kind, count in rejected.items()
    ]
    if noise:
        kinds.append(f"{noise:,} octets of noise")
    return f"not used: {', '.join(kinds)}" if kinds else "nothing was left unused"


def _as_json(fix: Fix) -> str:
    told = fix.to_json(fix.taken_s)
    del told["age_s"]
    return json.dumps(told)


_HEAD = (
    f"{'time (UTC)':<24}  {'latitude':>12}  {'longitude':>13}  {'altitude':>10}  {'speed':>9}    track  fix  accuracy"
)


def _as_text(fix: Fix) -> str:
    when = "unknown" if fix.time is None else utc_text(round(fix.time.timestamp() * 1000))
    satellites = "" if fix.satellites is None else f" {fix.satellites} sat"
    suspect = f"  suspect: {', '.join(each.label for each in fix.suspect)}" if fix.suspect else ""
    where = f"{fix.lat:>12.7f}  {fix.lon:>13.7f}  {_value(fix.alt_m, 10, ' m')}"
    motion = f"{_value(fix.speed_mps, 9, ' m/s')}  {_value(fix.track_deg, 7, '°')}"
    quality = f"{fix.mode}D   {_value(fix.accuracy_m, 8, ' m')}{satellites}{suspect}"
    return f"{when:<24}  {where}  {motion}  {quality}"


def _value(value: float | None, width: int, unit: str) -> str:
    return f"{'-' if value is None else f'{value:.1f}{unit}':>{width}}"
