"""A Quectel L76-L, of MediaTek's MT3333 generation: it obeys PMTK commands and acknowledges each. Pure.

It obeys 161, 220, 314, 353 and 605; every other command it takes for unsupported.

Sources: Quectel L80 GPS protocol specification, sections 3.1, 3.3, 3.8, 3.19 and 3.30; u-blox "NMEA manual based on
MediaTek chipset" UBX-13003181 R16, sections 2, 2.2, 2.3, 2.11 and 2.26. The answer to PMTK353 is what modules were seen
to answer.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from bondmate_sim import nmea
from bondmate_sim.programme import NMEA_MEDIATEK, Programme, Sentence
from bondmate_sim.receiver import ASLEEP, AWAKE, Reaction, obeyed_rate, obeyed_sentence, obeyed_system, together
from bondmate_sim.sky import System

INVALID, UNSUPPORTED, FAILED, SUCCEEDED = range(4)
"""The flags of PMTK001."""
RELEASE = "PMTK705,AXN_5.1.6_3333_19010218,0007,Quectel-L76L,1.0"
STARTUP = ("PMTK011,MTKGPS", "PMTK010,001")
BACK = "PMTK010,002"
RESTART_S = 0.5
"""PMTK353 restarts the module, and what comes meanwhile is lost (Quectel L76 series GNSS protocol specification V3.3,
section 3.29, as others quote it; they wait a second)."""
MIN_FIX_MS, MAX_FIX_MS = 100, 10_000
FIELDS = 19
MAX_RATE = 5
SENTENCE_FIELDS: dict[int, Sentence] = {
    0: "GLL", 1: "RMC", 2: "VTG", 3: "GGA", 4: "GSA", 5: "GSV", 7: "GST", 17: "ZDA",
}  # fmt: skip
SEARCHED = (System.GPS, System.GLONASS, System.GALILEO, System.GALILEO, System.BEIDOU)
"""The fields of PMTK353; the fourth is GALILEO_FULL, and Galileo too."""
SEARCH_BITS = {System.GPS: 1, System.GLONASS: 2, System.GALILEO: 12, System.BEIDOU: 48}
"""What its acknowledgement adds up at its end."""
FACTORY = Programme(
    interval_ms=1000,
    rates={"RMC": 1, "VTG": 1, "GGA": 1, "GSA": 1, "GSV": 1, "GLL": 1},
    systems=frozenset((System.GPS, System.SBAS, System.GLONASS)),
    edition=NMEA_MEDIATEK,
)


@dataclass(frozen=True, slots=True)
class Normal:
    """It speaks and obeys."""


@dataclass(frozen=True, slots=True)
class Standby:
    """Until an octet comes."""


@dataclass(frozen=True, slots=True)
class Restarting:
    """Deaf and dumb until then."""

    until_s: float


class Pmtk:
    """The receiver; `state` says whether it is awake, `settings` what it says when it is."""

    def __init__(self) -> None:
        self.state: Normal | Standby | Restarting = Normal()
        self.settings = FACTORY
        self._commands = nmea.Commands()

    @property
    def programme(self) -> Programme | None:
        return self.settings if isinstance(self.state, Normal) else None

    @property
    def due_s(self) -> float | None:
        return self.state.until_s if isinstance(self.state, Restarting) else None

    def hear(self, data: bytes, now_s: float) -> Reaction:
        return together([self._pass_time(now_s), *(self._hear(octet, now_s) for octet in data)])

    def _pass_time(self, now_s: float) -> Reaction:
        if not isinstance(self.state, Restarting) or now_s < self.state.until_s:
            return Reaction()
        self.state = Normal()
        return Reaction(b"".join(map(nmea.frame, STARTUP)))

    def _hear(self, octet: int, now_s: float) -> Reaction:
        match self.state:
            case Standby():
                self.state = Normal()
                return Reaction(nmea.frame(BACK), (AWAKE,))
            case Restarting():
                return Reaction()
            case Normal():
                command = self._commands.push(octet)
                name, *fields = [""] if command is None else command.split(",")
                kind = name.removeprefix("PMTK")
                return self._obey(kind, fields, now_s) if len(kind) == 3 and kind.isdecimal() else Reaction()

    def _obey(self, kind: str, fields: list[str], now_s: float) -> Reaction:
        match kind, fields:
            case "605", []:
                return Reaction(nmea.frame(RELEASE))
            case "161", ["0"]:
                self.state = Standby()
                return _acknowledge(kind, SUCCEEDED, ASLEEP)
            case "220", [interval] if interval.isdecimal():
                return self._set_interval(int(interval))
            case "314", _:
                return self._set_rates(fields)
            case "353", _:
                return self._set_systems(fields, now_s)
            case (("605" | "161" | "220"), _):
                return _acknowledge(kind, INVALID)
            case _:
                return _acknowledge(kind, UNSUPPORTED)

    def _set_interval(self, interval_ms: int) -> Reaction:
        if not MIN_FIX_MS <= interval_ms <= MAX_FIX_MS:
            return _acknowledge("220", FAILED)
        self.settings = replace(self.settings, interval_ms=interval_ms)
        return _acknowledge("220", SUCCEEDED, obeyed_rate(interval_ms))

    def _set_rates(self, fields: list[str]) -> Reaction:
        """-1 alone is the factory's choice."""
        if fields == ["-1"]:
            rates = dict(FACTORY.rates)
        elif len(fields) == FIELDS and all(field.isdecimal() and int(field) <= MAX_RATE for field in fields):
            rates = {sentence: int(fields[at]) for at, sentence in SENTENCE_FIELDS.items()}
        else:
            return _acknowledge("314", INVALID)
        self.settings = replace(self.settings, rates=rates)
        return _acknowledge("314", SUCCEEDED, *(obeyed_sentence(*each) for each in rates.items()))

    def _set_systems(self, fields: list[str], now_s: float) -> Reaction:
        """Two to five switches. The radio can be tuned to GLONASS or to BeiDou beside GPS, not to both."""
        if not (2 <= len(fields) <= len(SEARCHED) and set(fields) <= {"0", "1"}):
            return _acknowledge("353", INVALID)
        chosen = {system for system, field in zip(SEARCHED, fields, strict=False) if field == "1"}
        if not chosen or {System.GLONASS, System.BEIDOU} <= chosen:
            return _acknowledge("353", FAILED)
        self.settings = replace(self.settings, systems=frozenset((*chosen, System.SBAS)))
        self.state = Restarting(now_s + RESTART_S)
        bits = sum(SEARCH_BITS[system] for system in chosen)
        echo = ",".join([*fields, *["0"] * (len(SEARCHED) - len(fields)), str(bits)])
        return _acknowledge(f"353,{SUCCEEDED},{echo}", None, *_told(chosen))


def _told(chosen: set[System]) -> Iterator[str]:
    return (obeyed_system(system, system in chosen) for system in SEARCH_BITS)


def _acknowledge(kind: str, flag: int | None, *news: str) -> Reaction:
    return Reaction(nmea.frame(f"PMTK001,{kind}" if flag is None else f"PMTK001,{kind},{flag}"), news)
