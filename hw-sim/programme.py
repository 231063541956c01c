"""What a receiver says, how often, and in which edition of the language: the settings that its commands change.

Values only; walk.py speaks them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bondmate_sim.sky import System

Sentence = Literal["GGA", "RMC", "GNS", "GSA", "GSV", "GST", "VTG", "GLL", "ZDA"]
MAJOR = (System.GPS, System.GLONASS, System.GALILEO, System.BEIDOU)
"""The systems that have satellites all round the earth; SBAS and QZSS only add to GPS."""


@dataclass(frozen=True, slots=True)
class Edition:
    """How satellites are called. A system without a number here is not spoken of."""

    v411: bool
    """NMEA 4.11: system and signal identifiers, and the navigational status in RMC."""
    offsets: Mapping[System, int]
    """What is added to a satellite's own number."""
    talkers: Mapping[System, str]
    gsa_by_system: bool
    """GSA under the system's own talker, and not under GN."""


_TALKERS = {System.GPS: "GP", System.GLONASS: "GL", System.GALILEO: "GA", System.BEIDOU: "GB"}

NMEA_411 = Edition(
    v411=True,
    offsets={System.GPS: 0, System.SBAS: -87, System.GLONASS: 64, System.GALILEO: 0, System.BEIDOU: 0},
    talkers=_TALKERS,
    gsa_by_system=False,
)
"""u-blox M10 interface description UBX-21035062, table 3; Quectel LG290P protocol specification V1.2, tables 4, 27."""
NMEA_40 = Edition(
    v411=False,
    offsets={System.GPS: 0, System.SBAS: -87, System.GLONASS: 64},
    talkers=_TALKERS,
    gsa_by_system=False,
)
"""The default of u-blox M8. "BeiDou and Galileo: only NMEA version 4.10 and later have support for these systems"
(UBX-21035062, section 2.4)."""
NMEA_MEDIATEK = Edition(
    v411=False,
    offsets={System.GPS: 0, System.SBAS: -87, System.GLONASS: 64, System.GALILEO: 300, System.BEIDOU: 200},
    talkers={**_TALKERS, System.BEIDOU: "BD"},
    gsa_by_system=True,
)
"""MediaTek's NMEA 3.01 with numbers of its own beyond GPS and GLONASS."""


@dataclass(frozen=True, slots=True)
class Programme:
    """One receiver's output on its port."""

    interval_ms: int
    rates: Mapping[Sentence, int]
    """Once every so many epochs; 0, or absent: never."""
    systems: frozenset[System]
    edition: Edition

    def says(self, sentence: Sentence, epoch: int) -> bool:
        """Whether the sentence belongs to this epoch, counted from 0."""
        rate = self.rates.get(sentence, 0)
        return rate > 0 and epoch % rate == 0


TALKER = Programme(
    interval_ms=1000,
    rates={"GGA": 1, "RMC": 1, "GSA": 1, "GSV": 1, "GST": 1, "VTG": 1},
    systems=frozenset((*MAJOR, System.SBAS)),
    edition=NMEA_411,
)
"""What a receiver of today says that nobody has told anything."""
