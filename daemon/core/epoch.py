"""From the sentences of one UTC time of day to one fix. Pure: `now` is the monotonic clock in seconds.

An epoch is complete when a sentence of another time comes, or when the receiver has been quiet for QUIET_S.
"""

import datetime as dt
from dataclasses import dataclass

from bondmate.records import Fix

QUIET_S = 0.15
"""Sentences of one epoch follow one another without a pause; at 25 Hz epochs are 40 ms apart, and end by the next."""
USER_RANGE_ERROR_M = 5.0
"""Horizontal accuracy = HDOP times this where the receiver sends no GST: about 95 % of civil single-frequency fixes."""
_DAY_MS = 86_400_000
_POSITION_ORDER = ("GGA", "GNS", "RMC", "GLL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """What one sentence says; None where it says nothing. Times in milliseconds of the UTC day.

    Whoever reads the sentence refuses numbers that are not finite or out of range: here they are believed.
    """

    type: str
    time_ms: int | None = None
    date: dt.date | None = None
    valid: bool | None = None
    lat: float | None = None
    lon: float | None = None
    alt_m: float | None = None
    speed_mps: float | None = None
    track_deg: float | None = None
    mode: int | None = None
    hdop: float | None = None
    accuracy_m: float | None = None
    satellites: int | None = None


class EpochAssembler:
    """Feed it sentences, get a fix for each epoch that has one."""

    def __init__(self) -> None:
        self._epoch: dict[str, Sentence] = {}
        self._time_ms: int | None = None
        self._last_at = 0.0
        self._dated: tuple[dt.date, int] | None = None
        """The date, and the time of day up to which it was carried on, to notice midnight."""

    def feed(self, sentence: Sentence, now: float) -> Fix | None:
        """Take a sentence; the fix of the epoch that it ends, if that had one."""
        ended = None
        if sentence.time_ms is not None:
            if self._time_ms is not None and sentence.time_ms != self._time_ms:
                ended = self._finish()
            self._time_ms = sentence.time_ms
        self._last_at = now
        self._epoch[sentence.type] = sentence
        if sentence.date is not None and sentence.time_ms is not None:
            self._dated = sentence.date, sentence.time_ms
        return ended

    def poll(self, now: float) -> Fix | None:
        """The fix of an epoch that ended by silence."""
        if self._time_ms is None or now < self._last_at + QUIET_S:
            return None
        return self._finish()

    def next_due(self) -> float | None:
        """When `poll` has something to say, if no sentence comes before."""
        return None if self._time_ms is None else self._last_at + QUIET_S

    def _finish(self) -> Fix | None:
        sentences, time_ms = self._epoch, self._time_ms
        self._epoch, self._time_ms = {}, None
        if time_ms is None or any(sentence.valid is False for sentence in sentences.values()):
            return None
        source = next((sentences[kind] for kind in _POSITION_ORDER if _has_position(sentences.get(kind))), None)
        if source is None or source.lat is None or source.lon is None:
            return None
        hdop = _first(sentences, "hdop", ("GGA", "GNS", "GSA"))
        accuracy_m = _first(sentences, "accuracy_m", ("GST",))
        if accuracy_m is None and hdop is not None:
            accuracy_m = hdop * USER_RANGE_ERROR_M
        alt_m = _first(sentences, "alt_m", ("GGA", "GNS"))
        mode = _first(sentences, "mode", ("GSA",))
        satellites = _first(sentences, "satellites", ("GGA", "GNS"))
        return Fix(
            taken_s=self._last_at,
            time=self._utc(time_ms),
            lat=source.lat,
            lon=source.lon,
            alt_m=alt_m,
            speed_mps=_first(sentences, "speed_mps", ("RMC", "VTG")),
            track_deg=_first(sentences, "track_deg", ("RMC", "VTG")),
            mode=int(mode) if mode is not None else 3 if alt_m is not None else 2,
            hdop=hdop,
            accuracy_m=accuracy_m,
            satellites=None if satellites is None else int(satellites),
        )

    def _utc(self, time_ms: int) -> dt.datetime | None:
        """The date comes with some sentences; between them it is carried on, across midnight too."""
        if self._dated is None:
            return None
        date, dated_ms = self._dated
        if time_ms < dated_ms - _DAY_MS // 2:
            date += dt.timedelta(days=1)
        self._dated = date, time_ms
        return dt.datetime.combine(date, dt.time(), dt.UTC) + dt.timedelta(milliseconds=time_ms)


def _has_position(sentence: Sentence | None) -> bool:
    return sentence is not None and sentence.lat is not None and sentence.lon is not None


def _first(sentences: dict[str, Sentence], name: str, order: tuple[str, ...]) -> float | None:
    for kind in order:
        if kind in sentences:
            value: float | None = getattr(sentences[kind], name)
            if value is not None:
                return value
    return None
