"""The battery, as Linux shows it: a directory of /sys/class/power_supply, read again and again.

Source: Documentation/ABI/testing/sysfs-class-power. A fuel gauge on a bus that hangs makes a read hang: each reading
has a thread of its own, one at a time, and nothing waits for it at the end of the process. What a reading means is
core's business.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bondmate.ports import PartFault

log = logging.getLogger(__name__)

READ_EVERY_S = 30.0
READ_S = 5.0
"""A reading that takes longer has failed; the next waits until it has ended."""
SILENT_AFTER = 3
"""So many failed readings in a row are a fault: one alone is a gauge that was busy."""
MAX_OCTETS = 64
"""Of a file: a number, or a word or two."""
_CHARGING = {"Charging": True, "Full": True, "Discharging": False, "Not charging": False}
"""By the words of `status`. Full is a charger that has done its work; "Unknown" is not in it."""


@dataclass(frozen=True, slots=True)
class _Reading:
    percent: int | None
    charging: bool | None


_NOTHING = _Reading(None, None)


class PowerSupply:
    """Calls `on_reading(percent, charging)` in the event loop after each reading; None for what it does not say."""

    def __init__(self, directory: Path, on_reading: Callable[[int | None, bool | None], None]) -> None:
        """Nothing is read before `run`."""
        self._directory = directory
        self._on_reading = on_reading
        self._thread: threading.Thread | None = None
        self._failures = 0

    async def run(self) -> None:
        """Read, until cancelled. A battery that says nothing is no error."""
        while True:
            reading = await self._read()
            self._failures = 0 if reading.percent is not None else self._failures + 1
            self._on_reading(reading.percent, reading.charging)
            await asyncio.sleep(READ_EVERY_S)

    def faults(self) -> tuple[PartFault, ...]:
        """What is wrong with it."""
        if self._failures < SILENT_AFTER:
            return ()
        text = f"the battery does not say how full it is: {self._directory}/capacity gives no percentage"
        return (PartFault("battery-silent", text, "look at battery.path in the configuration, and at the battery"),)

    async def _read(self) -> _Reading:
        if self._thread is not None and self._thread.is_alive():
            return _NOTHING
        loop = asyncio.get_running_loop()
        done: asyncio.Future[_Reading] = loop.create_future()

        def tell(reading: _Reading) -> None:
            if not done.done():
                done.set_result(reading)

        def read() -> None:
            reading = _Reading(_percent(self._directory / "capacity"), _charging(self._directory / "status"))
            with contextlib.suppress(RuntimeError):  # nobody waits any more, and the event loop has ended
                loop.call_soon_threadsafe(tell, reading)

        self._thread = threading.Thread(target=read, name="battery", daemon=True)
        self._thread.start()
        try:
            return await asyncio.wait_for(done, READ_S)
        except TimeoutError:
            log.warning("reading %s hangs", self._directory)
            return _NOTHING


def _percent(file: Path) -> int | None:
    text = _text(file)
    return int(text) if text.isascii() and text.isdecimal() and int(text) <= 100 else None


def _charging(file: Path) -> bool | None:
    return _CHARGING.get(_text(file))


def _text(file: Path) -> str:
    """The start of a file; nothing for one that cannot be read."""
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_OCTETS).decode("ascii", errors="replace").strip()
    except OSError as error:
        log.debug("%s", error)
        return ""
