"""The satellites that a receiver sees: which, how strong, and which of them it uses.

Pure: `now` is the monotonic clock in seconds. Put together from GSV (in view) and GSA (used), of however many
constellations and signals.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

STALE_S = 6.0
"""What was not said again for so long is not so any more: the slowest usual setting is a GSV each five seconds."""
MAX_GROUPS = 32
"""Constellations and signals that are kept apart: real receivers have up to a dozen, and a liar gets no more memory."""

_BY_TALKER: Mapping[str, str] = {
    "GL": "glonass", "GA": "galileo", "GB": "beidou", "BD": "beidou", "GQ": "qzss", "QZ": "qzss", "PQ": "beidou",
    "GI": "navic",
}  # fmt: skip
_BY_SYSTEM_ID: Mapping[str, str] = {"2": "glonass", "3": "galileo", "4": "beidou", "5": "qzss", "6": "navic"}
"""NMEA 0183, 4.11: the last field of a GSA. 1 is GPS, and with it SBAS."""
_BY_NUMBER = (
    (range(1, 33), "gps"), (range(33, 65), "sbas"), (range(65, 97), "glonass"), (range(120, 159), "sbas"),
    (range(193, 203), "qzss"), (range(201, 264), "beidou"), (range(301, 337), "galileo"), (range(401, 465), "beidou"),
)  # fmt: skip
"""NMEA's own numbers, and those that receivers use above 200 where the talker does not say the system."""


class Number(NamedTuple):
    """Which satellite: the system, and its number in it as the receiver says it."""

    system: str
    number: int


class Satellite(NamedTuple):
    """One signal of a satellite in view. `cn0_dbhz` is its strength; None where it is not tracked."""

    id: Number
    signal: str
    elevation_deg: int | None
    azimuth_deg: int | None
    cn0_dbhz: int | None


class View(NamedTuple):
    """What one GSV says: satellites in view, `part` of `parts` (from 1), of one signal."""

    part: int
    parts: int
    signal: str
    satellites: tuple[Satellite, ...]


@lru_cache(maxsize=2048)
def number_of(talker: str, number: int, system_id: str) -> Number:
    """Which satellite a number in a sentence means; `system_id` is that of a GSA, or empty."""
    system = _BY_SYSTEM_ID.get(system_id) or _BY_TALKER.get(talker)
    if system is None:
        system = next((name for numbers, name in _BY_NUMBER if number in numbers), "gps")
    return Number(system, number)


class Sky:
    """Feed it each view and each list of used satellites."""

    def __init__(self) -> None:
        self._under_way: tuple[tuple[str, str], int, tuple[Satellite, ...]] | None = None
        """The group that is being said: talker and signal, the part that was last, and what it had so far."""
        self._groups: dict[tuple[str, str], tuple[float, tuple[Satellite, ...]]] = {}
        """The last whole group of each talker and signal, and when it was complete."""
        self._used: dict[Number, float] = {}
        """When each satellite was named as used last."""

    def see(self, talker: str, view: View, now: float) -> None:
        """One GSV. A group that is not whole, or out of order, counts for nothing."""
        group, before = (talker, view.signal), self._under_way
        self._under_way = None
        if view.part == 1:
            found = view.satellites
        elif before is not None and before[:2] == (group, view.part - 1):
            found = before[2] + view.satellites
        else:
            return
        if view.part < view.parts:
            self._under_way = group, view.part, found
            return
        self._groups[group] = now, found
        if len(self._groups) > MAX_GROUPS:
            self._forget(now)

    def use(self, used: tuple[Number, ...], now: float) -> None:
        """One GSA."""
        for number in used:
            self._used[number] = now
        if len(self._used) > MAX_GROUPS * 32:
            self._forget(now)

    def satellites(self, now: float) -> tuple[tuple[Satellite, bool], ...]:
        """What is in view, by system and number, each with whether it is used."""
        self._forget(now)
        return tuple((satellite, satellite.id in self._used) for satellite in sorted(self._in_view(), key=_by_name))

    def strengths(self, now: float) -> tuple[int, ...]:
        """C/N0 in dB-Hz of every signal that is tracked."""
        self._forget(now)
        return tuple(satellite.cn0_dbhz for satellite in self._in_view() if satellite.cn0_dbhz)

    def _in_view(self) -> list[Satellite]:
        return [satellite for _, group in self._groups.values() for satellite in group]

    def _forget(self, now: float) -> None:
        self._groups = {group: kept for group, kept in self._groups.items() if now - kept[0] <= STALE_S}
        self._used = {number: at for number, at in self._used.items() if now - at <= STALE_S}
        while len(self._groups) > MAX_GROUPS:
            del self._groups[next(iter(self._groups))]


def _by_name(satellite: Satellite) -> tuple[Number, str]:
    return satellite.id, satellite.signal
