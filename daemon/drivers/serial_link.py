"""A serial line that comes and goes: opened with pyserial, read and written by the event loop, reopened after a loss.

Moves octets; what they mean is the driver's business.
"""

import asyncio
import contextlib
import errno
import logging
import os
import termios
from collections.abc import Callable
from time import monotonic

import serial

log = logging.getLogger(__name__)

CHUNK_OCTETS = 4096
REST_S = 0.1
"""After each read the line rests for so long: a line of 115,200 baud would wake the process 700 times a second, each
time for a few octets. Even at 921,600 baud no more comes meanwhile than the kernel keeps for a reader (64 kB)."""
BACKOFF_S = 0.2
"""The first wait before a line is opened again: a receiver that was re-plugged is back within a second."""
BACKOFF_CAP_S = 5.0
ABSENT_S = 0.5
"""A port that has no name in /dev is looked for so often: a look costs nothing, and the first fix after a receiver was
plugged in again waits for it."""
UNSENT_OCTETS = 4096
"""More than a line that takes nothing may owe: what is written then is dropped, and its sender will ask again."""


class SerialLink:
    """Keeps a line open and calls `received` with its octets, in the event loop."""

    def __init__(
        self,
        port: str,
        speed_baud: int,
        received: Callable[[bytes], None],
        *,
        opened: Callable[[], None] = lambda: None,
        lost: Callable[[], None] = lambda: None,
        rest_s: float = REST_S,
    ) -> None:
        """`opened` is called after each opening, before anything is received; `lost` when that line is gone."""
        self._port = port
        self._speed_baud = speed_baud
        self._received = received
        self._opened = opened
        self._lost = lost
        self._rest_s = rest_s
        self._wait_s = BACKOFF_S
        self._line: serial.Serial | None = None
        """The line while it is open."""
        self._unsent = b""
        self._resting: asyncio.TimerHandle | None = None
        self._changes = 0
        """How many changes of the speed are under way: what comes meanwhile is garbage of two speeds."""
        self.fault: str | None = None
        """Why nothing can be read now, in words; None while the line is open, and before the first attempt ended."""
        self.opened_s: float | None = None
        """Monotonic time when the line was opened last."""
        self.reads = 0
        """How often it was read, with or without octets."""

    async def run(self) -> None:
        """Serve the line until cancelled."""
        while True:
            try:
                line = await asyncio.to_thread(self._open)
            # pyserial lets a termios.error through when the line goes while it is being set up
            except (serial.SerialException, OSError, ValueError, termios.error) as problem:
                self._report(f"{self._port} cannot be opened: {problem}")
                is_absent = getattr(problem, "errno", None) == errno.ENOENT
            else:
                is_absent = False
                self._line, self.fault, self.opened_s = line, None, monotonic()
                log.info("%s open at %d baud", self._port, line.baudrate)
                try:
                    self._report(await self._serve_until_gone(line.fileno()))
                finally:
                    self._line, self._unsent = None, b""
                    self._lost()
                    # closed before it is opened again, else it comes back under another name
                    await asyncio.shield(asyncio.to_thread(_close, line))
            if is_absent:
                await asyncio.sleep(ABSENT_S)
            else:
                await asyncio.sleep(self._wait_s)
                self._wait_s = min(self._wait_s * 2, BACKOFF_CAP_S)

    async def change_speed(self, speed_baud: int) -> None:
        """Go on at another speed, from now and at each opening; what came at the one before is dropped."""
        self._speed_baud = speed_baud
        if (line := self._line) is None:
            return
        self._changes += 1
        try:
            # in a thread: the driver of a USB port asks the device, which may be hung
            await asyncio.to_thread(_set_speed, line, speed_baud)
        except (serial.SerialException, OSError, ValueError, termios.error) as problem:
            if self._line is line:
                log.warning("%s does not take %d baud: %s", self._port, speed_baud, problem)
        finally:
            self._changes -= 1

    def write(self, data: bytes) -> None:
        """Send octets; what the line does not take now follows as it does. Nothing is sent while it is not open."""
        if self._line is None or len(self._unsent) > UNSENT_OCTETS:
            return
        self._unsent += data
        self._writable(self._line.fileno())

    def _open(self) -> serial.Serial:
        # opening can block in the kernel for as long as the device likes, so this runs in a thread
        # inter_byte_timeout=0 makes VMIN 1: with pyserial's 0, a line that is idle reads like one that is gone
        return serial.Serial(self._port, self._speed_baud, timeout=0, inter_byte_timeout=0, exclusive=True)

    async def _serve_until_gone(self, descriptor: int) -> str:
        loop = asyncio.get_running_loop()
        gone: asyncio.Future[str] = loop.create_future()
        self._opened()
        loop.add_reader(descriptor, self._readable, descriptor, gone)
        try:
            return await gone
        finally:
            if self._resting is not None:
                self._resting.cancel()
            loop.remove_reader(descriptor)
            loop.remove_writer(descriptor)

    def _readable(self, descriptor: int, gone: asyncio.Future[str]) -> None:
        loop = asyncio.get_running_loop()
        self.reads += 1
        try:
            data = os.read(descriptor, CHUNK_OCTETS)
        except BlockingIOError:
            return
        except OSError as problem:
            data, why = b"", f"{self._port} is gone: {problem.strerror}"
        else:
            why = f"{self._port} is gone: end of file"
        # at once, also when it is gone: a line that is gone stays readable, and would keep the loop busy
        loop.remove_reader(descriptor)
        if data:
            # a line that has as much as this may have more than the kernel keeps, and is not left alone meanwhile
            rest_s = self._rest_s if len(data) < CHUNK_OCTETS // 2 else 0.0
            # not already when it opens: a broken line may open and go five times a second, for ever
            self._wait_s = BACKOFF_S
            self._resting = loop.call_later(rest_s, loop.add_reader, descriptor, self._readable, descriptor, gone)
            if not self._changes:
                self._received(data)
        elif not gone.done():
            gone.set_result(why)

    def _writable(self, descriptor: int) -> None:
        loop = asyncio.get_running_loop()
        try:
            sent = os.write(descriptor, self._unsent)
        except BlockingIOError:
            sent = 0
        except OSError as problem:
            # the reader notices by itself that the line is gone
            log.debug("%s takes nothing: %s", self._port, problem)
            sent = len(self._unsent)
        self._unsent = self._unsent[sent:]
        if self._unsent:
            loop.add_writer(descriptor, self._writable, descriptor)
        else:
            loop.remove_writer(descriptor)

    def _report(self, fault: str) -> None:
        if fault != self.fault:
            log.warning("%s; trying again", fault)
        self.fault = fault


def _set_speed(line: serial.Serial, speed_baud: int) -> None:
    line.baudrate = speed_baud
    line.reset_input_buffer()


def _close(line: serial.Serial) -> None:
    """In a thread: the kernel waits for what was written to leave, up to 30 s, if nobody takes it."""
    with contextlib.suppress(OSError, termios.error):
        line.reset_output_buffer()
    with contextlib.suppress(OSError):
        line.close()
