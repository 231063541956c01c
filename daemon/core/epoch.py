"""From the sentences of one UTC time of day to one fix. Pure: `now` is the monotonic clock in seconds.

An epoch is complete when a sentence of another time comes, when the receiver begins to repeat itself, or when it has
been quiet for QUIET_S. The same sentences come to the same fixes, however their octets were chunked.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from bondmate.core.fields import END_YEAR, FIRST_YEAR
from bondmate.core.nmea import DAY_MS, Sentence
from bondmate.core.sky import Number
from bondmate.records import Fix

QUIET_S = 0.15
"""Sentences of one epoch follow one another without a pause; at 25 Hz epochs are 40 ms apart, and end by the next."""
USER_RANGE_ERROR_M = 5.0
"""Accuracy is HDOP times this where the receiver sends no GST: one standard deviation of the ranges of a civil receiver
of one frequency, with what buildings add (Kaplan and Hegarty, Understanding GPS, 7.2). GST is one deviation too."""
OUT_OF_ORDER_MS = 3_600_000
"""A time so much less than a day later than the one before is no gap of nearly a day, but of the evening before."""
WEEKS_1024 = dt.timedelta(weeks=1024)
"""GPS counts weeks with ten bits: a receiver whose firmware is too old is so much behind."""
_ONCE = frozenset({"GGA", "RMC", "GNS", "GLL", "ZDA", "VTG"})
"""Said once an epoch by each talker."""
_USED = _ONCE | {"GSA", "GST"}
"""What a fix is made of; whatever else comes is not gathered."""
MOST = 64
"""So many sentences, and satellites of them, are gathered at most: real receivers have a dozen, and two dozens."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch came to: a fix, or in words why there is none."""

    fix: Fix | None
    why_not: tuple[str, ...] = ()
    time_ms: int | None = None
    """The time of day of its position: a receiver that tells no date has one too."""
    made_up: bool = False
    """Whether a sentence says that the position was entered by hand, or is simulated."""


class _Key(NamedTuple):
    talker: str
    type: str


@dataclass(slots=True)
class _Gathered:
    """The epoch under way."""

    time_ms: int | None = None
    sentences: dict[_Key, Sentence] = field(default_factory=dict)
    modes: set[int] = field(default_factory=set)
    used: set[Number] = field(default_factory=set)
    """What each GSA says, of however many constellations."""
    timeless: bool = False
    """Whether the receiver says whether it has a fix, but no time."""
    last_s: float = 0.0
    """When the last sentence came."""

    @property
    def begun(self) -> bool:
        """Whether it is more than sentences without a time, which may belong to the one before."""
        return self.time_ms is not None or self.timeless

    def take(self, key: _Key, sentence: Sentence, now: float) -> None:
        """One more sentence; of each talker and type the last counts."""
        if self.time_ms is None:
            self.time_ms = sentence.time_ms
        self.timeless = self.timeless or (self.time_ms is None and sentence.valid is not None)
        if sentence.mode is not None:
            self.modes.add(sentence.mode)
        if len(self.used) < MOST:
            self.used.update(sentence.used)
        if key in self.sentences or len(self.sentences) < MOST:
            self.sentences[key] = sentence
        self.last_s = now


class EpochAssembler:
    """Feed it sentences, get an epoch for each UTC time of day."""

    def __init__(self, not_before: dt.date | None = None) -> None:
        """Dates before `not_before` are moved on by 1024 weeks, until they are not; None: as the receiver says."""
        self._not_before = not_before
        self._now = _Gathered()
        self._ended_ms: int | None = None
        """The time of day of the epoch before."""
        self._ended_with: frozenset[_Key] = frozenset()
        """The sentences that it had, also those that came late."""
        self._octets_s = 0.0
        """When octets came last, of whatever they were a part."""
        self._dated: tuple[dt.date, int] | None = None
        """The date, and the time of day up to which it was carried on, to notice midnight."""

    def feed(self, sentence: Sentence, now: float) -> Epoch | None:
        """Take a sentence; the epoch that it ends."""
        if sentence.type not in _USED:
            return None
        key, time_ms = _Key(sentence.talker, sentence.type), sentence.time_ms
        dated = None if sentence.date is None or time_ms is None else (sentence.date, time_ms)
        if time_ms is not None and self._is_late(key, time_ms):
            self._dated = dated or self._dated
            if len(self._ended_with) < MOST:
                self._ended_with |= {key}
            return None
        ended = None
        if self._now.begun:
            if self._begins_another(key, sentence):
                ended = self._finish()
        elif now > self._now.last_s + QUIET_S:
            self._now = _Gathered()  # they were the last of the epoch before
        self._now.take(key, sentence, now)
        self._octets_s = now
        self._dated = dated or self._dated
        return ended

    def heard(self, now: float) -> None:
        """Octets came: at 4800 baud one sentence takes longer than QUIET_S to arrive."""
        self._octets_s = now

    def poll(self, now: float) -> Epoch | None:
        """The epoch that ended by silence."""
        due = self.next_due()
        return self._finish() if due is not None and now >= due else None

    def next_due(self) -> float | None:
        """When `poll` has something to say, if nothing comes before."""
        return self._octets_s + QUIET_S if self._now.begun else None

    def finish(self) -> Epoch | None:
        """The epoch under way, where nothing follows."""
        return self._finish() if self._now.begun else None

    def _is_late(self, key: _Key, time_ms: int) -> bool:
        """Whether a sentence belongs to the epoch before: some receivers send one after a pause, or behind the next."""
        if time_ms != self._ended_ms:
            return False
        under_way_ms = self._now.time_ms
        return key not in self._ended_with if under_way_ms is None else time_ms != under_way_ms

    def _begins_another(self, key: _Key, sentence: Sentence) -> bool:
        epoch, time_ms = self._now, sentence.time_ms
        if key in epoch.sentences and key.type in _ONCE:
            return True
        if time_ms is None:
            return sentence.valid is False and not epoch.timeless
        return epoch.timeless or epoch.time_ms not in (None, time_ms)

    def _finish(self) -> Epoch:
        epoch, self._now = self._now, _Gathered()
        self._ended_ms, self._ended_with = epoch.time_ms, frozenset(epoch.sentences)
        said = list(epoch.sentences.values())
        why_not = tuple(f"{each.talker}{each.type} says that there is none" for each in said if each.valid is False)
        if epoch.modes and max(epoch.modes) == 1:
            why_not += ("GSA says that there is none",)
        if why_not:
            return Epoch(None, why_not)
        where = next((each for each in _of(said, "GGA", "GNS", "RMC", "GLL") if each.lat is not None), None)
        if where is None or where.lat is None or where.lon is None:
            return Epoch(None, ("no sentence has a position",))
        motion = next((each for each in _of(said, "RMC", "VTG") if each.speed_mps is not None), None)
        height = next((each for each in _of(said, "GGA", "GNS") if each.alt_m is not None), None)
        hdop = next((each.hdop for each in _of(said, "GGA", "GNS", "GSA") if each.hdop is not None), None)
        accuracy_m = next((each.accuracy_m for each in _of(said, "GST") if each.accuracy_m is not None), None)
        if accuracy_m is None and hdop is not None:
            accuracy_m = hdop * USER_RANGE_ERROR_M
        satellites = next((each.satellites for each in _of(said, "GGA", "GNS") if each.satellites is not None), None)
        if satellites is None and epoch.used:
            satellites = len(epoch.used)
        time_ms = where.time_ms if where.time_ms is not None else epoch.time_ms
        fix = Fix(
            taken_s=epoch.last_s,
            time=self._utc(time_ms),
            lat=where.lat,
            lon=where.lon,
            alt_m=height and height.alt_m,
            geoid_m=height and height.geoid_m,
            speed_mps=motion and motion.speed_mps,
            track_deg=motion and motion.track_deg,
            mode=max(epoch.modes) if epoch.modes else 3 if height else 2,
            hdop=hdop,
            accuracy_m=accuracy_m,
            satellites=satellites,
        )
        return Epoch(fix, time_ms=time_ms, made_up=any(each.made_up for each in said))

    def _utc(self, time_ms: int | None) -> dt.datetime | None:
        """The date comes with some sentences; between them it is carried on, across midnight too."""
        if self._dated is None or time_ms is None:
            return None
        date, dated_ms = self._dated
        if time_ms < dated_ms - DAY_MS // 2:
            date += dt.timedelta(days=1)
        elif time_ms > dated_ms + DAY_MS - OUT_OF_ORDER_MS:
            date -= dt.timedelta(days=1)
        if not FIRST_YEAR <= date.year < END_YEAR:
            self._dated = None  # carried away by a receiver that makes its times up
            return None
        self._dated = date, time_ms
        if self._not_before is not None:
            while date < self._not_before:
                date += WEEKS_1024
        # 23:59:60 is told as 00:00:00 of the next day, as by everybody whose days have 86,400 s
        return dt.datetime.combine(date, dt.time(), dt.UTC) + dt.timedelta(milliseconds=time_ms)


def _of(sentences: Iterable[Sentence], *types: str) -> list[Sentence]:
    """Those of these types, the first type first."""
    return [sentence for wanted in types for sentence in sentences if sentence.type == wanted]
