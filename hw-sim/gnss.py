"""Plays a GNSS receiver on a serial line: a recorded log in its rhythm, or a walk along a route, until told to stop.

What the sentences say is decided in nmea_log.py and walk.py; here is only their time.
"""

import asyncio
import datetime
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, assert_never

from bondmate_sim import nmea_log, walk
from bondmate_sim.console import say
from bondmate_sim.serial_end import SerialEnd
from bondmate_sim.service import stop_on_signals, wait_or_stop

Chunk = Literal["whole", "byte"]
OCTET_S = 10 / 9600
"""One octet at 9,600 baud, 8N1."""
WALK_EPOCH_S = 1.0
SETTLE_S = 0.5
"""The kernel moves what we wrote to where a reader finds it, and where it is counted, a moment later."""
LAST_READ_S = 2.0
"""How long the end of a log then waits for a slow reader, before the line is unplugged and the rest is lost."""


@dataclass(frozen=True, slots=True)
class LogSky:
    """A recorded log, `speed` times as fast as it was recorded; `loop`: again and again."""

    recorded: tuple[nmea_log.Epoch, ...]
    speed: float
    loop: bool


@dataclass(frozen=True, slots=True)
class RouteSky:
    """A walk there and back, once a second, with the real time."""

    route: tuple[walk.Point, ...]


async def play(sky: LogSky | RouteSky, *, link: Path | None, chunk: Chunk) -> None:
    """Be the receiver until SIGINT or SIGTERM, or until a log that does not loop is over.

    Raises SimulatorError when the link cannot be made.
    """
    stop = stop_on_signals()
    with SerialEnd(link) as line:
        say(f"receiver on {line.path}")
        match sky:
            case LogSky():
                await _play_log(sky, line, chunk, stop)
            case RouteSky():
                await _walk(sky, line, chunk, stop)
            case _:
                assert_never(sky)


async def _play_log(sky: LogSky, line: SerialEnd, chunk: Chunk, stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    due = loop.time() - sky.recorded[0].gap_s / sky.speed  # the very first epoch comes at once
    for _ in itertools.count() if sky.loop else range(1):
        for epoch in sky.recorded:
            gap_s = epoch.gap_s / sky.speed
            due += gap_s
            if await wait_or_stop(stop, due - loop.time()):
                return
            await _send(line, epoch.data, chunk, gap_s)
    await wait_or_stop(stop, SETTLE_S)
    deadline = loop.time() + LAST_READ_S
    while line.unread() and loop.time() < deadline and not await wait_or_stop(stop, OCTET_S):
        pass


async def _walk(sky: RouteSky, line: SerialEnd, chunk: Chunk, stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    start = loop.time()
    for second in itertools.count():
        if await wait_or_stop(stop, start + second * WALK_EPOCH_S - loop.time()):
            return
        sentences = walk.speak(walk.walk(sky.route, second * WALK_EPOCH_S), datetime.datetime.now(datetime.UTC))
        await _send(line, sentences, chunk, WALK_EPOCH_S)


async def _send(line: SerialEnd, data: bytes, chunk: Chunk, room_s: float) -> None:
    """Octet by octet takes as long as on a 9,600 baud line, but less than the rhythm leaves."""
    match chunk:
        case "whole":
            line.send(data)
        case "byte":
            pause_s = min(OCTET_S, 0.5 * room_s / len(data))
            for octet in data:
                line.send(bytes([octet]))
                await asyncio.sleep(pause_s)
        case _:
            assert_never(chunk)
