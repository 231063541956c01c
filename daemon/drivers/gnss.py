"""The GNSS receiver: NMEA 0183 on a serial line to the latest fix.

Reads sentences with pynmea2; which sentences make a fix is core.epoch's business.
"""

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Callable
from datetime import time
from time import monotonic
from typing import Any

import pynmea2

from bondmate.core.epoch import EpochAssembler, Sentence
from bondmate.core.lines import SentenceSplitter
from bondmate.drivers.serial_link import SerialLink
from bondmate.records import Fix

log = logging.getLogger(__name__)

SILENT_S = 5.0
"""A receiver that sends nothing for this long is reported: the slowest sends once a second."""
_KNOTS_MPS = 1852 / 3600
_KMH_MPS = 1 / 3.6


class GnssReceiver:
    """Implements ports.Locator."""

    def __init__(self, port: str, speed_baud: int) -> None:
        self._link = SerialLink(port, speed_baud, self._received)
        self._port = port
        self._on_fix: Callable[[Fix], None] = lambda _: None
        self._splitter = SentenceSplitter()
        self._assembler = EpochAssembler()
        self._timer: asyncio.TimerHandle | None = None
        self._heard_s: float | None = None
        self.fix: Fix | None = None
        self.rejected: Counter[str] = Counter()
        """Sentences that were not used, by reason."""

    async def run(self, on_fix: Callable[[Fix], None]) -> None:
        """Serve the receiver until cancelled; `on_fix` is called for each new fix, in the event loop."""
        self._on_fix = on_fix
        self._heard_s = monotonic()
        await self._link.run()

    @property
    def fault(self) -> str | None:
        """See ports.Locator."""
        if self._link.fault is not None:
            return self._link.fault
        if self._heard_s is not None and monotonic() - self._heard_s > SILENT_S:
            return f"no NMEA sentence from {self._port} for {monotonic() - self._heard_s:.0f} s"
        return None

    def _received(self, data: bytes) -> None:
        now = monotonic()
        for text in self._splitter.feed(data):
            sentence = parse(text, self.rejected)
            if sentence is not None:
                self._heard_s = now
                self._take(self._assembler.feed(sentence, now))
        self._schedule()

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._assembler.next_due()
        if due is not None:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, due - monotonic()), self._quiet)

    def _quiet(self) -> None:
        self._timer = None
        self._take(self._assembler.poll(monotonic()))
        self._schedule()

    def _take(self, fix: Fix | None) -> None:
        if fix is not None:
            self.fix = fix
            self._on_fix(fix)


def parse(text: str, rejected: Counter[str]) -> Sentence | None:
    """What a sentence says, or None (counted by reason) when its checksum, form or ranges are wrong."""
    try:
        message = pynmea2.parse(text, check=True)
        if not isinstance(message, pynmea2.TalkerSentence):
            rejected["proprietary"] += 1
            return None
        return _sentence(message)
    except pynmea2.ChecksumError:
        rejected["checksum"] += 1
    # a crafted sentence makes pynmea2 raise nearly anything, and the next one must still be read
    except Exception as problem:  # noqa: BLE001
        rejected[type(problem).__name__] += 1
    return None


def _sentence(message: Any) -> Sentence | None:
    kind = message.sentence_type
    match kind:
        case "GGA":
            return Sentence(
                type=kind,
                time_ms=_time_ms(message.timestamp),
                valid=str(message.gps_qual) not in ("0", "None", ""),
                lat=_degrees(message.lat, message.lat_dir, "NS"),
                lon=_degrees(message.lon, message.lon_dir, "EW"),
                alt_m=_number(message.altitude),
                hdop=_number(message.horizontal_dil),
                satellites=_count(message.num_sats),
            )
        case "RMC":
            return Sentence(
                type=kind,
                time_ms=_time_ms(message.timestamp),
                date=message.datestamp or None,
                valid=message.status == "A" and getattr(message, "mode_indicator", "A") != "N",
                lat=_degrees(message.lat, message.lat_dir, "NS"),
                lon=_degrees(message.lon, message.lon_dir, "EW"),
                speed_mps=_number(message.spd_over_grnd, _KNOTS_MPS),
                track_deg=_number(message.true_course),
            )
        case "GLL":
            return Sentence(
                type=kind,
                time_ms=_time_ms(message.timestamp),
                valid=message.status == "A",
                lat=_degrees(message.lat, message.lat_dir, "NS"),
                lon=_degrees(message.lon, message.lon_dir, "EW"),
            )
        case "GNS":
            return Sentence(
                type=kind,
                time_ms=_time_ms(message.timestamp),
                valid=bool(message.mode_indicator.strip("N")),
                lat=_degrees(message.lat, message.lat_dir, "NS"),
                lon=_degrees(message.lon, message.lon_dir, "EW"),
                alt_m=_number(message.altitude),
                hdop=_number(message.hdop),
                satellites=_count(message.num_sats),
            )
        case "GSA":
            mode = _count(message.mode_fix_type)
            return Sentence(type=kind, valid=mode in (2, 3), mode=mode, hdop=_number(message.hdop))
        case "VTG":
            return Sentence(
                type=kind,
                speed_mps=_number(message.spd_over_grnd_kmph, _KMH_MPS),
                track_deg=_number(message.true_track),
            )
        case "GST":
            lat_m, lon_m = _number(message.std_dev_latitude), _number(message.std_dev_longitude)
            accuracy_m = None if lat_m is None or lon_m is None else math.hypot(lat_m, lon_m)
            return Sentence(type=kind, time_ms=_time_ms(message.timestamp), accuracy_m=accuracy_m)
        case "ZDA":
            return Sentence(type=kind, time_ms=_time_ms(message.timestamp), date=message.datestamp)
        case _:
            return Sentence(type=kind)


def _time_ms(value: time | str | None) -> int | None:
    if not isinstance(value, time):
        return None
    return ((value.hour * 60 + value.minute) * 60 + value.second) * 1000 + value.microsecond // 1000


def _degrees(text: str | None, hemisphere: str | None, allowed: str) -> float | None:
    """ddmm.mmmm and a hemisphere to signed degrees; None when empty, ValueError when out of range or half there."""
    if not text and not hemisphere:
        return None
    if not text or not hemisphere or hemisphere not in allowed:
        raise ValueError("a coordinate without its hemisphere")
    point = text.find(".") if "." in text else len(text)
    degrees, minutes = int(text[: point - 2] or "0"), float(text[point - 2 :])
    value = degrees + minutes / 60
    if not 0 <= minutes < 60 or not 0 <= value <= (90 if allowed == "NS" else 180):
        raise ValueError("a coordinate out of range")
    return -value if hemisphere in "SW" else value


def _number(value: Any, factor: float = 1.0) -> float | None:
    if value is None or value == "":
        return None
    number = float(value) * factor
    if not math.isfinite(number):
        raise ValueError("a number that is not finite")
    return number


def _count(value: Any) -> int | None:
    return None if value is None or value == "" else int(value)
