"""Plays a GNSS receiver on a serial line: a recorded log in its rhythm, or a walk along a route, until told to stop.

What the sentences say is decided in nmea_log.py and walk.py, and what commands do in receiver_….py. Here is only their
time, and what passes between them and the line.
"""

import asyncio
import contextlib
import datetime
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, assert_never

from bondmate_sim import nmea_log, walk
from bondmate_sim.console import say
from bondmate_sim.receiver import Receiver, Talker
from bondmate_sim.receiver_pmtk import Pmtk
from bondmate_sim.receiver_pqtm import Pqtm
from bondmate_sim.receiver_ublox import Ublox
from bondmate_sim.receiver_ublox_m8 import M8Configuration
from bondmate_sim.receiver_ublox_m10 import M10Configuration
from bondmate_sim.serial_end import SerialEnd
from bondmate_sim.service import stop_on_signals, wait_or_stop

Chunk = Literal["whole", "byte"]
Kind = Literal["nmea", "ublox", "ublox-m8", "quectel-pmtk", "quectel-pqtm"]
USUAL_BAUD = 9_600
"""How fast octets follow one another one by one, when the line has no speed of its own."""
OCTET_BITS = 10
"""8N1."""
ANSWER_ROOM_S = 1.0
"""An answer may take as long as its octets do."""
UNHEARD_LIMIT = 65_536
"""So much is kept of what a receiver is told while it speaks; beyond that, the oldest is lost."""
SETTLE_S = 0.5
"""The kernel moves what we wrote to where a reader finds it, and where it is counted, a moment later."""
LAST_READ_S = 2.0
"""How long the end of a log then waits for a slow reader, before the line is unplugged and the rest is lost."""
LAST_LOOK_S = 0.001


@dataclass(frozen=True, slots=True)
class LogSky:
    """A recorded log, `speed` times as fast as it was recorded; `loop`: again and again."""

    recorded: tuple[nmea_log.Epoch, ...]
    speed: float
    loop: bool


@dataclass(frozen=True, slots=True)
class RouteSky:
    """A walk there and back with the real time, told by a receiver of this kind."""

    route: tuple[walk.Point, ...]
    receiver: Kind = "nmea"


async def play(sky: LogSky | RouteSky, *, link: Path | None, chunk: Chunk, baud: int | None = None) -> None:
    """Be the receiver until SIGINT or SIGTERM, or until a log that does not loop is over.

    Raises SimulatorError when the link cannot be made.
    """
    stop = stop_on_signals()
    with SerialEnd(link, baud) as line, _told_by(line) as told:
        say(f"receiver on {line.path}")
        mouth = _Mouth(line, None if chunk == "whole" else OCTET_BITS / (baud or USUAL_BAUD))
        match sky:
            case LogSky():
                await _play_log(sky, mouth, stop)
            case RouteSky():
                await _walk(sky.route, _receiver(sky.receiver), mouth, told, stop)
            case _:
                assert_never(sky)


class _Mouth:
    """Speaks whole chunks at once; or octet by octet, each as long as on the line where the rhythm leaves room."""

    def __init__(self, line: SerialEnd, octet_s: float | None) -> None:
        self.line = line
        self._octet_s = octet_s

    async def say(self, data: bytes, room_s: float) -> None:
        if self._octet_s is None or not data:
            self.line.send(data)
            return
        loop = asyncio.get_running_loop()
        pause_s, due_s = min(self._octet_s, 0.5 * room_s / len(data)), loop.time()
        for octet in data:
            self.line.send(bytes([octet]))
            # the loop sleeps for whole milliseconds: of a fast line it makes small groups, as a UART's FIFO does
            due_s += pause_s
            if (wait_s := due_s - loop.time()) > 0:
                await asyncio.sleep(wait_s)


class _Told:
    """What came over the line and has not been heard yet."""

    def __init__(self) -> None:
        self.came = asyncio.Event()
        self._data = bytearray()

    def collect(self, data: bytes) -> None:
        self._data += data
        del self._data[:-UNHEARD_LIMIT]
        self.came.set()

    def take(self) -> bytes:
        data = bytes(self._data)
        self._data.clear()
        self.came.clear()
        return data


@contextlib.contextmanager
def _told_by(line: SerialEnd) -> Iterator[_Told]:
    """Everything is read, by whatever receiver: a reader that writes to a deaf one does not wait either."""
    told, loop = _Told(), asyncio.get_running_loop()
    loop.add_reader(line.fileno(), lambda: told.collect(line.receive()))
    try:
        yield told
    finally:
        loop.remove_reader(line.fileno())


def _receiver(kind: Kind) -> Receiver:
    match kind:
        case "nmea":
            return Talker()
        case "ublox":
            return Ublox(M10Configuration())
        case "ublox-m8":
            return Ublox(M8Configuration())
        case "quectel-pmtk":
            return Pmtk()
        case "quectel-pqtm":
            return Pqtm()
        case _:
            assert_never(kind)


async def _play_log(sky: LogSky, mouth: _Mouth, stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    due = loop.time() - sky.recorded[0].gap_s / sky.speed  # the very first epoch comes at once
    for _ in itertools.count() if sky.loop else range(1):
        for epoch in sky.recorded:
            gap_s = epoch.gap_s / sky.speed
            due += gap_s
            if await wait_or_stop(stop, due - loop.time()):
                return
            await mouth.say(epoch.data, gap_s)
    await wait_or_stop(stop, SETTLE_S)
    deadline = loop.time() + LAST_READ_S
    while mouth.line.unread() and loop.time() < deadline and not await wait_or_stop(stop, LAST_LOOK_S):
        pass


async def _walk(
    route: tuple[walk.Point, ...], receiver: Receiver, mouth: _Mouth, told: _Told, stop: asyncio.Event
) -> None:
    loop = asyncio.get_running_loop()
    start = loop.time()
    spoke, epoch = float("-inf"), 0
    while not stop.is_set():
        now = loop.time()
        reaction = receiver.hear(told.take(), now)
        await mouth.say(reaction.octets, ANSWER_ROOM_S)
        for news in reaction.news:
            say(news)
        wake_s = [] if receiver.due_s is None else [receiver.due_s]
        programme = receiver.programme
        if programme is not None:
            interval_s = programme.interval_ms / 1000
            if now >= spoke + interval_s:
                # In time with the epoch before; anew after a silence, or when it cannot keep up.
                spoke = spoke + interval_s if now < spoke + 2 * interval_s else now
                motion = walk.walk(route, spoke - start)
                sentences = walk.speak(motion, datetime.datetime.now(datetime.UTC), programme, epoch)
                await mouth.say(sentences, interval_s)
                epoch += 1
            wake_s.append(spoke + interval_s)
        await _wait_for_any(stop, told.came, until_s=min(wake_s, default=None))


async def _wait_for_any(*events: asyncio.Event, until_s: float | None) -> None:
    """Until one of them is set, or until then by the loop's clock."""
    timeout_s = None if until_s is None else max(until_s - asyncio.get_running_loop().time(), 0.0)
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
