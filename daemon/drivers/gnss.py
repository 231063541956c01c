"""The GNSS receiver: NMEA 0183 on a serial line to the latest fix.

Reads sentences with pynmea2; which sentences make a fix is core.epoch's business.
"""

import asyncio
import logging
import math
import re
from collections import Counter
from collections.abc import Callable
from datetime import date, time
from time import monotonic
from typing import Any

import pynmea2

from bondmate.core.epoch import QUIET_S, EpochAssembler, Sentence
from bondmate.core.lines import SentenceSplitter
from bondmate.drivers.serial_link import SerialLink
from bondmate.records import Fix

log = logging.getLogger(__name__)

SILENT_S = 5.0
"""A receiver that sends nothing for this long is reported: the slowest sends once a second."""
_KNOTS_MPS = 1852 / 3600
_KMH_MPS = 1 / 3.6
_COORDINATE = re.compile(r"([0-9]{0,3})([0-9]{2}(?:\.[0-9]*)?)")
"""NMEA's ddmm.mmmm and dddmm.mmmm; some receivers leave leading zeros out."""
# What lies outside is a fault of the receiver or of the line, whatever the checksum says. Wide: unusual is not wrong
_ALTITUDE_M = (-100_000.0, 100_000.0)
_DOP = (0.0, 1_000.0)
_SPEED = (0.0, 10_000.0)
_TRACK_DEG = (0.0, 360.0)
_DEVIATION_M = (0.0, 10_000_000.0)


class GnssReceiver:
    """Implements ports.Locator."""

    def __init__(self, port: str, speed_baud: int) -> None:
        self._link = SerialLink(port, speed_baud, self._received)
        self._port = port
        self._on_fix: Callable[[Fix], None] = lambda _: None
        self._splitter = SentenceSplitter()
        self._assembler = EpochAssembler()
        self._timer: asyncio.TimerHandle | None = None
        self._received_s = 0.0
        """When octets came last, of whatever they were a part."""
        self._heard_s: float | None = None
        """When a sentence came last; before the first, when the receiver was to be served."""
        self.fix: Fix | None = None
        self.rejected: Counter[str] = Counter()
        """Sentences that were not used, by reason."""

    async def run(self, on_fix: Callable[[Fix], None]) -> None:
        """Serve the receiver until cancelled; `on_fix` is called for each new fix, in the event loop."""
        self._on_fix = on_fix
        self._heard_s = monotonic()
        try:
            await self._link.run()
        finally:
            self._cancel_timer()

    @property
    def fault(self) -> str | None:
        """See ports.Locator."""
        if self._link.fault is not None:
            return self._link.fault
        # a line that is open again is given its time: that it was silent while it was gone is no news
        heard = [at for at in (self._heard_s, self._link.opened_s) if at is not None]
        if heard and monotonic() - max(heard) > SILENT_S:
            return f"no NMEA sentence from {self._port} for more than {SILENT_S:.0f} s"
        return None

    def _received(self, data: bytes) -> None:
        self._received_s = now = monotonic()
        for text in self._splitter.feed(data):
            sentence = parse(text, self.rejected)
            if sentence is not None:
                self._heard_s = now
                self._take(self._assembler.feed(sentence, now))
        self._schedule()

    def _schedule(self) -> None:
        self._cancel_timer()
        if self._assembler.next_due() is not None:
            # quiet means no octets: at 4800 baud one sentence takes longer than QUIET_S to arrive
            due = self._received_s + QUIET_S
            self._timer = asyncio.get_running_loop().call_later(max(0.0, due - monotonic()), self._quiet)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

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
                alt_m=_number(message.altitude, *_ALTITUDE_M),
                hdop=_number(message.horizontal_dil, *_DOP),
                satellites=_count(message.num_sats),
            )
        case "RMC":
            return Sentence(
                type=kind,
                time_ms=_time_ms(message.timestamp),
                date=_date(message.datestamp),
                valid=message.status == "A" and getattr(message, "mode_indicator", "A") != "N",
                lat=_degrees(message.lat, message.lat_dir, "NS"),
                lon=_degrees(message.lon, message.lon_dir, "EW"),
                speed_mps=_number(message.spd_over_grnd, *_SPEED, factor=_KNOTS_MPS),
                track_deg=_number(message.true_course, *_TRACK_DEG),
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
                alt_m=_number(message.altitude, *_ALTITUDE_M),
                hdop=_number(message.hdop, *_DOP),
                satellites=_count(message.num_sats),
            )
        case "GSA":
            mode = _count(message.mode_fix_type)
            return Sentence(type=kind, valid=mode in (2, 3), mode=mode, hdop=_number(message.hdop, *_DOP))
        case "VTG":
            return Sentence(
                type=kind,
                speed_mps=_number(message.spd_over_grnd_kmph, *_SPEED, factor=_KMH_MPS),
                track_deg=_number(message.true_track, *_TRACK_DEG),
            )
        case "GST":
            lat_m = _number(message.std_dev_latitude, *_DEVIATION_M)
            lon_m = _number(message.std_dev_longitude, *_DEVIATION_M)
            accuracy_m = None if lat_m is None or lon_m is None else math.hypot(lat_m, lon_m)
            return Sentence(type=kind, time_ms=_time_ms(message.timestamp), accuracy_m=accuracy_m)
        case "ZDA":
            known = message.year is not None
            return Sentence(
                type=kind, time_ms=_time_ms(message.timestamp), date=_date(message.datestamp) if known else None
            )
        case _:
            return Sentence(type=kind)


def _time_ms(value: time | str | None) -> int | None:
    if value is None:
        return None
    if not isinstance(value, time):
        raise ValueError("a time that is none")  # noqa: TRY004 - pynmea2 hands on the text that it cannot read
    return ((value.hour * 60 + value.minute) * 60 + value.second) * 1000 + value.microsecond // 1000


def _date(value: date | str | None) -> date | None:
    if value is None:
        return None
    if not isinstance(value, date) or not 1980 <= value.year < 2100:
        raise ValueError("a date that is none, or out of range")
    return value


def _degrees(text: str | None, hemisphere: str | None, allowed: str) -> float | None:
    """ddmm.mmmm and a hemisphere to signed degrees; None when empty, ValueError when out of range or half there."""
    if not text and not hemisphere:
        return None
    match = _COORDINATE.fullmatch(text or "")
    if match is None or hemisphere not in tuple(allowed):
        raise ValueError("a coordinate of another form, or without its hemisphere")
    minutes = float(match[2])
    value = int(match[1] or "0") + minutes / 60
    if minutes >= 60 or value > (90 if allowed == "NS" else 180):
        raise ValueError("a coordinate out of range")
    return -value if hemisphere in "SW" else value


def _number(value: Any, least: float, most: float, *, factor: float = 1.0) -> float | None:
    if value is None or value == "":
        return None
    number = float(value)
    if not least <= number <= most:  # which no NaN is
        raise ValueError("a number out of range")
    return number * factor


def _count(value: Any) -> int | None:
    if value is None or value == "":
        return None
    number = int(value)
    if not 0 <= number <= 255:
        raise ValueError("a count out of range")
    return number
