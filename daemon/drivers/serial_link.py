"""A serial line that comes and goes: opened with pyserial, read by the event loop, reopened after a loss.

Moves bytes; what they mean is the driver's business.
"""

import asyncio
import contextlib
import logging
import os
import termios
from collections.abc import Callable
from time import monotonic

import serial

log = logging.getLogger(__name__)

CHUNK_OCTETS = 4096
BACKOFF_S = 0.2
"""The first wait before a line is opened again: a receiver that was re-plugged is back within a second."""
BACKOFF_CAP_S = 5.0


class SerialLink:
    """Keeps a line open and calls `received` with its bytes, in the event loop."""

    def __init__(self, port: str, speed_baud: int, received: Callable[[bytes], None]) -> None:
        self._port = port
        self._speed_baud = speed_baud
        self._received = received
        self._wait_s = BACKOFF_S
        self.fault: str | None = None
        """Why nothing can be read now, in words; None while the line is open, and before the first attempt ended."""
        self.opened_s: float | None = None
        """Monotonic time when the line was opened last."""

    async def run(self) -> None:
        """Serve the line until cancelled."""
        while True:
            try:
                line = await asyncio.to_thread(self._open)
            # pyserial lets a termios.error through when the line goes while it is being set up
            except (serial.SerialException, OSError, ValueError, termios.error) as problem:
                self._report(f"{self._port} cannot be opened: {problem}")
            else:
                self.fault, self.opened_s = None, monotonic()
                log.info("%s open at %d baud", self._port, self._speed_baud)
                try:
                    self._report(await self._read_until_gone(line.fileno()))
                finally:
                    # closed before it is opened again, else it comes back under another name
                    with contextlib.suppress(OSError):
                        line.close()
            await asyncio.sleep(self._wait_s)
            self._wait_s = min(self._wait_s * 2, BACKOFF_CAP_S)

    def _open(self) -> serial.Serial:
        # opening can block in the kernel for as long as the device likes, so this runs in a thread
        # inter_byte_timeout=0 makes VMIN 1: with pyserial's 0, a line that is idle reads like one that is gone
        return serial.Serial(self._port, self._speed_baud, timeout=0, inter_byte_timeout=0, exclusive=True)

    async def _read_until_gone(self, descriptor: int) -> str:
        loop = asyncio.get_running_loop()
        gone: asyncio.Future[str] = loop.create_future()

        def readable() -> None:
            try:
                data = os.read(descriptor, CHUNK_OCTETS)
            except BlockingIOError:
                return
            except OSError as problem:
                data, why = b"", f"{self._port} is gone: {problem.strerror}"
            else:
                why = f"{self._port} is gone: end of file"
            if data:
                # not already when it opens: a broken line may open and go five times a second, for ever
                self._wait_s = BACKOFF_S
                self._received(data)
            else:
                # at once: a line that is gone stays readable, and would keep the loop busy
                loop.remove_reader(descriptor)
                if not gone.done():
                    gone.set_result(why)

        loop.add_reader(descriptor, readable)
        try:
            return await gone
        finally:
            loop.remove_reader(descriptor)

    def _report(self, fault: str) -> None:
        if fault != self.fault:
            log.warning("%s; trying again", fault)
        self.fault = fault
