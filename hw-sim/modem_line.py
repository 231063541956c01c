"""The modem's end of its serial line. With USB's flow control: what the host does not read waits for it, a while.

A port that goes takes the line with it; the next one has the same link, and another device behind it.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import assert_never

from bondmate_sim.console import say
from bondmate_sim.modem_effects import Ears, PortBack, PortGone, Say
from bondmate_sim.serial_end import SerialEnd

MAX_WAITING_OCTETS = 4_194_304
"""What waits for the host beyond that is lost: the newest."""
RETRY_S = 0.005
STALE_S = 5.0
"""A host that read nothing for so long has lost what waits for it."""


class ModemLine:
    """A port that comes and goes, on the running loop."""

    def __init__(self, link: Path | None, *, octet_by_octet: bool, heard: Callable[[bytes], None]) -> None:
        """`heard` gets what the host sends. Raises SimulatorError when the link cannot be made."""
        self._loop = asyncio.get_running_loop()
        self._link = link
        self._octet_by_octet = octet_by_octet
        self._heard = heard
        self._waiting = bytearray()
        self._moved_s = 0.0
        self._retry: asyncio.Handle | None = None
        self._listening = True
        self._end: SerialEnd | None = None
        self._open()

    @property
    def path(self) -> Path:
        """What a host opens; without a link, the port that is there now."""
        if self._link is not None:
            return self._link
        return Path("/dev/null") if self._end is None else self._end.path

    def do(self, effect: Say | PortGone | PortBack | Ears) -> None:
        """Carry out what the modem wants."""
        match effect:
            case Say(octets):
                self._say(octets)
            case PortGone(abrupt):
                if not abrupt:
                    self._write()
                self.close()
            case PortBack():
                if self._end is None:
                    self._open()
                    if self._link is None:
                        say(f"port is {self.path}")
            case Ears(is_open):
                self._listening = is_open
                self._listen()
            case _:
                assert_never(effect)

    def close(self) -> None:
        """Let the port go, with what the host has not read."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._waiting.clear()
        if self._end is not None:
            self._loop.remove_reader(self._end.fileno())
            self._end.close()
            self._end = None

    def _open(self) -> None:
        self._end = SerialEnd(self._link)
        self._listen()

    def _listen(self) -> None:
        if self._end is None:
            return
        if self._listening:
            self._loop.add_reader(self._end.fileno(), self._hear, self._end)
        else:
            self._loop.remove_reader(self._end.fileno())

    def _hear(self, end: SerialEnd) -> None:
        self._heard(end.receive())

    def _say(self, octets: bytes) -> None:
        if self._end is None:
            return
        if not self._waiting:
            self._moved_s = self._loop.time()
        self._waiting += octets[: max(0, MAX_WAITING_OCTETS - len(self._waiting))]
        if self._retry is None:
            self._write()

    def _write(self) -> None:
        """As much as the line takes now; the rest soon."""
        self._retry = None
        if self._end is None or not self._waiting:
            return
        written = self._end.offer(bytes(self._waiting[:1] if self._octet_by_octet else self._waiting[:65_536]))
        del self._waiting[:written]
        now = self._loop.time()
        if written:
            self._moved_s = now
        elif now > self._moved_s + STALE_S:
            self._waiting.clear()
            self._end.flush()
            return
        if not self._waiting:
            return
        if written:
            self._retry = self._loop.call_soon(self._write)
        else:
            self._retry = self._loop.call_later(RETRY_S, self._write)
