"""One UDP socket inside a modem, as its owner sees it: a short queue, and a notice when it is no more."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from bondmate.core.dialects import MAX_DATAGRAM

log = logging.getLogger(__name__)

MAX_WAITING = 16
"""Datagrams that wait to be sent; more are dropped: what is old is sent again by its owner, or of no use."""


class ModemSocket:
    """Implements ports.DatagramSocket."""

    def __init__(self, number: int, peer: tuple[str, int], received: Callable[[bytes], None]) -> None:
        self.number = number
        self.peer = peer
        self._received = received
        self._waiting: deque[bytes] = deque()
        self._readable = False
        """Whether the modem may have something for us."""
        self._read_last = False
        """Whether it was read last, and what waits to be sent has its turn."""
        self._stirred = asyncio.Event()
        self._closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._dropped = 0

    @property
    def closed(self) -> asyncio.Future[str]:
        """See ports.DatagramSocket."""
        return self._closed

    @property
    def dropped(self) -> int:
        """See ports.DatagramSocket."""
        return self._dropped

    def send(self, datagram: bytes) -> None:
        """See ports.DatagramSocket."""
        if self._closed.done() or len(self._waiting) >= MAX_WAITING or not 0 < len(datagram) <= MAX_DATAGRAM:
            self._dropped += 1
            return
        self._waiting.append(datagram)
        self._stirred.set()

    def close(self) -> None:
        """See ports.DatagramSocket."""
        self.end("it was closed here")

    # --- for Sockets ---------------------------------------------------------------------------------

    def end(self, why: str) -> None:
        """It is no more."""
        if not self._closed.done():
            self._closed.set_result(why)
            self._dropped += len(self._waiting)
            self._waiting.clear()
        self._stirred.set()

    def readable(self) -> None:
        """Something may wait to be read."""
        self._readable = True
        self._stirred.set()

    async def work(self) -> bytes | None:
        """What is to be done next, as soon as there is something: a datagram to send, or None: to read, or to end."""
        while not (self._waiting or self._readable or self._closed.done()):
            self._stirred.clear()
            await self._stirred.wait()
        if self._waiting and (self._read_last or not self._readable):
            self._read_last = False
            return self._waiting.popleft()
        self._readable, self._read_last = False, True
        return None

    def lose(self) -> None:
        """A datagram could not be sent."""
        self._dropped += 1

    def take(self, datagram: bytes) -> None:
        """A datagram came. Whoever takes it badly stops nothing."""
        try:
            self._received(datagram)
        except Exception:
            log.exception("a datagram over the modem could not be taken; going on")
