"""The satellites over the walker: where each stands and how strong it is. Pure: time comes in.

Not the true sky of any day, and the same over every place; but of its kind: satellites of several systems, high and
strong ones, low and weak ones, some heard and not used, some expected and not heard. They drift, each in its own time.
"""

import datetime
import enum
import math
from dataclasses import dataclass
from typing import Literal


class System(enum.Enum):
    """A satellite system, by the name that people use."""

    GPS = "GPS"
    SBAS = "SBAS"
    GLONASS = "GLONASS"
    GALILEO = "Galileo"
    BEIDOU = "BeiDou"
    QZSS = "QZSS"


@dataclass(frozen=True, slots=True)
class Satellite:
    """One satellite. It swings around a height, and passes round the horizon, as slowly as real ones."""

    system: System
    number: int
    """In its own system: the PRN, for GLONASS the slot."""
    elevation_deg: float
    azimuth_deg: float
    part: Literal["used", "heard", "expected"]
    """`used` in the fix; `heard` only; `expected` there by the almanac, but not heard."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A satellite at a moment: whole degrees, and dB-Hz, None when it is not heard."""

    satellite: Satellite
    elevation_deg: int
    azimuth_deg: int
    cn0_dbhz: int | None


SATELLITES = (
    Satellite(System.GPS, 5, 68, 40, "used"),
    Satellite(System.GPS, 7, 47, 296, "used"),
    Satellite(System.GPS, 13, 33, 112, "used"),
    Satellite(System.GPS, 20, 26, 205, "used"),
    Satellite(System.GPS, 28, 54, 171, "used"),
    Satellite(System.GPS, 30, 12, 330, "heard"),
    Satellite(System.SBAS, 136, 39, 163, "heard"),
    Satellite(System.GLONASS, 3, 41, 68, "used"),
    Satellite(System.GLONASS, 13, 58, 241, "used"),
    Satellite(System.GLONASS, 20, 14, 18, "heard"),
    Satellite(System.GALILEO, 4, 61, 132, "used"),
    Satellite(System.GALILEO, 11, 36, 274, "used"),
    Satellite(System.GALILEO, 27, 22, 51, "used"),
    Satellite(System.BEIDOU, 21, 44, 93, "used"),
    Satellite(System.BEIDOU, 34, 11, 148, "expected"),
)
"""QZSS stands over Japan and Australia, and none of it here."""

SWING_DEG = 4.0
PASS_S = 12 * 3600.0
"""A GPS satellite goes round in half a sidereal day."""
FADING_DB = 2.0
FADING_S = 75.0
"""Reflections from the ground make a signal a little stronger and weaker within about a minute."""
HORIZON_DBHZ, ZENITH_DBHZ = 26.0, 48.0
"""What a small antenna hears of a satellite that rises, and of one right above."""


def look(utc: datetime.datetime) -> tuple[Sighting, ...]:
    """All satellites over the horizon at that time, in the order of `SATELLITES`."""
    seconds = utc.timestamp()
    return tuple(_sight(satellite, seconds) for satellite in SATELLITES)


def _sight(satellite: Satellite, seconds: float) -> Sighting:
    # Each its own phase, so that they do not rise and fade together; a geostationary one stands still.
    phase = satellite.number * 2.4
    moves = satellite.system is not System.SBAS
    swing = SWING_DEG * math.sin(2 * math.pi * seconds / PASS_S + phase) if moves else 0.0
    elevation = satellite.elevation_deg + swing
    azimuth = satellite.azimuth_deg + (SWING_DEG * 3 * math.sin(2 * math.pi * seconds / PASS_S) if moves else 0.0)
    clear = HORIZON_DBHZ + (ZENITH_DBHZ - HORIZON_DBHZ) * math.sin(math.radians(elevation))
    cn0 = clear + FADING_DB * math.sin(2 * math.pi * seconds / FADING_S + phase)
    return Sighting(
        satellite, round(elevation), round(azimuth) % 360, None if satellite.part == "expected" else round(cn0)
    )
