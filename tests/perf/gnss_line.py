"""A process that listens to a receiver and prints what that costs: CPU milliseconds a second, a window a line.

`python -m tests.perf.gnss_line gnss|bare LINE SPEED WINDOWS`: the driver with all that it does, or a bare reader.
"""

import asyncio
import os
import sys
import time

import serial

from bondmate.core.receivers import Wanted
from bondmate.drivers.gnss import GnssReceiver, GnssSettings
from tests.perf.gnss import WARM_UP_S, WINDOW_S


async def drive(line: str, speed_baud: int) -> None:
    """The driver, down to the fix."""
    settings = GnssSettings(
        port=line, speed_baud=speed_baud, receiver=None, wanted=Wanted(rate_hz=1, constellations=()), not_before=None
    )
    receiver = GnssReceiver(settings)
    receiver.wake(True)
    await receiver.run(lambda _fix: None)


async def read(line: str, speed_baud: int) -> None:
    """Octets as they come, and nothing else."""
    loop = asyncio.get_running_loop()
    with serial.Serial(line, speed_baud, timeout=0, inter_byte_timeout=0) as port:
        loop.add_reader(port.fileno(), os.read, port.fileno(), 4096)
        try:
            await asyncio.Event().wait()
        finally:
            loop.remove_reader(port.fileno())


async def main(what: str, line: str, speed_baud: int, windows: int) -> None:
    work = asyncio.ensure_future(drive(line, speed_baud) if what == "gnss" else read(line, speed_baud))
    await asyncio.sleep(WARM_UP_S)
    for _ in range(windows):
        wall, cpu = time.monotonic(), time.process_time()
        await asyncio.sleep(WINDOW_S)
        print((time.process_time() - cpu) * 1000 / (time.monotonic() - wall), flush=True)
    work.cancel()


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
