"""A Quectel LG290P: it obeys PQTM commands, each answered by its own name. Pure.

Message rates count at once. The fix interval and the systems count only after PQTMSAVEPAR and a restart: the systems
after any, the interval after that of the whole module, PQTMSRR.

Sources: Quectel LG29xP & LGx80P series GNSS protocol specification V1.2.0, sections 2.3.1 to 2.3.9, 2.3.15, 2.3.19,
2.3.20, 2.3.28 and 2.3.30, table 5, and the note above 2.3.1 ("save the configuration … and then restart the module to
ensure that all configurations take effect"). What that means for each command was measured by others: see
plan/quectel-config.md of jclark/satpulse (firmware R02A01S), and `setFixInterval` of SparkFun's LG290P library 3.1
("Needs reset, not hotStart").
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bondmate_sim import nmea
from bondmate_sim.programme import NMEA_411, Programme, Sentence
from bondmate_sim.receiver import ASLEEP, AWAKE, Reaction, obeyed_rate, obeyed_sentence, obeyed_system, together
from bondmate_sim.sky import System

INVALID_PARAMETERS, UNSUPPORTED_COMMAND = 1, 3
"""Error codes (table 5); 2, a failed execution, does not happen here."""
VERSION = "LG290P03AANR01A06S,2025/09/18,12:00:00"
BANNER = f"PQTMVER,1,MODULE,{VERSION}"
""""Upon each successful startup, the module will output this message first" (section 2.3.1)."""
RESTART_S = 1.0
"""Up to 15 s were measured; tests need not wait so long."""
MIN_FIX_MS, MAX_FIX_MS = 50, 10_000
"""The manual gives no range; 0 is refused, and 50 to 1000 ms were seen to be taken."""
MAX_RATE = 255
SENTENCES: tuple[Sentence, ...] = ("RMC", "GGA", "GSV", "GSA", "VTG", "GLL", "GNS", "GST", "ZDA")
ONCE_A_SECOND: tuple[Sentence, ...] = ("GSA", "GSV")
"""Whatever the fix interval is (section 2.3.15, note 6)."""
SYSTEMS = (System.GPS, System.GLONASS, System.GALILEO, System.BEIDOU, System.QZSS)
"""The fields of PQTMCFGCNST; NavIC, the sixth, is not to be heard here."""
COMMANDS = ("PQTMVERNO", "PQTMSAVEPAR", "PQTMHOT", "PQTMWARM", "PQTMCOLD", "PQTMSRR", "PQTMGNSSSTOP", "PQTMGNSSSTART")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set, saved and loaded."""

    interval_ms: int
    rates: Mapping[Sentence, int]
    systems: tuple[str, ...]
    """Six switches, `0` or `1`."""


FACTORY = Settings(
    interval_ms=100,  # "in rover mode, the fix rate is 10 Hz before changing the default value" (section 2.3.28)
    rates={"RMC": 1, "GGA": 1, "GSV": 1, "GSA": 1, "VTG": 1, "GLL": 1},
    systems=("1",) * 6,
)


@dataclass(frozen=True, slots=True)
class Running:
    """The engine finds positions."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The engine stands still; commands are obeyed all the same."""


@dataclass(frozen=True, slots=True)
class Restarting:
    """Deaf and dumb until then; and what will be different."""

    until_s: float
    news: tuple[str, ...]


class Pqtm:
    """The receiver; `state` says whether its engine runs."""

    def __init__(self) -> None:
        self.state: Running | Stopped | Restarting = Running()
        self.wanted = FACTORY
        """What was set last, and what a question is answered with."""
        self.saved = FACTORY
        self.effective = FACTORY
        self._commands = nmea.Commands()

    @property
    def programme(self) -> Programme | None:
        if not isinstance(self.state, Running):
            return None
        epochs_a_second = max(1, round(1000 / self.effective.interval_ms))
        return Programme(
            interval_ms=self.effective.interval_ms,
            rates={
                sentence: epochs_a_second if rate and sentence in ONCE_A_SECOND else rate
                for sentence, rate in self.effective.rates.items()
            },
            systems=_systems(self.effective.systems),
            edition=NMEA_411,
        )

    @property
    def due_s(self) -> float | None:
        return self.state.until_s if isinstance(self.state, Restarting) else None

    def hear(self, data: bytes, now_s: float) -> Reaction:
        return together([self._pass_time(now_s), *(self._hear(octet, now_s) for octet in data)])

    def _pass_time(self, now_s: float) -> Reaction:
        if not isinstance(self.state, Restarting) or now_s < self.state.until_s:
            return Reaction()
        news, self.state = self.state.news, Running()
        return Reaction(nmea.frame(BANNER), news)

    def _hear(self, octet: int, now_s: float) -> Reaction:
        if isinstance(self.state, Restarting):
            return Reaction()
        command = self._commands.push(octet)
        if command is None or not command.startswith("PQTM"):
            return Reaction()
        name, *fields = command.split(",")
        return self._obey(name, fields, now_s)

    def _obey(self, name: str, fields: list[str], now_s: float) -> Reaction:
        match name, fields:
            case "PQTMVERNO", []:
                return Reaction(nmea.frame(f"PQTMVERNO,{VERSION}"))
            case "PQTMSAVEPAR", []:
                self.saved = self.wanted
                return _ok(name)
            case (("PQTMHOT" | "PQTMWARM" | "PQTMCOLD" | "PQTMSRR"), []):
                return self._restart(whole=name == "PQTMSRR", now_s=now_s)
            case "PQTMGNSSSTOP", []:
                return self._switch(name, Stopped(), ASLEEP)
            case "PQTMGNSSSTART", []:
                return self._switch(name, Running(), AWAKE)
            case (("PQTMCFGFIXRATE" | "PQTMCFGCNST" | "PQTMCFGMSGRATE"), _):
                return self._configure(name, fields)
            case _:
                return _error(name, INVALID_PARAMETERS if name in COMMANDS else UNSUPPORTED_COMMAND)

    def _configure(self, name: str, fields: list[str]) -> Reaction:
        match name, fields:
            case "PQTMCFGFIXRATE", ["R"]:
                return _ok(name, str(self.wanted.interval_ms))
            case "PQTMCFGFIXRATE", ["W", interval]:
                return self._set_interval(name, interval)
            case "PQTMCFGCNST", ["R"]:
                return _ok(name, *self.wanted.systems)
            case "PQTMCFGCNST", ["W", *switches]:
                return self._set_systems(name, tuple(switches))
            case "PQTMCFGMSGRATE", ["R", *port, sentence] if port in ([], ["1", "1"]):
                return self._tell_rate(name, port, sentence)
            case "PQTMCFGMSGRATE", ["W", *port, sentence, rate] if port in ([], ["1", "1"]):
                return self._set_rate(name, sentence, rate)
            case _:
                return _error(name, INVALID_PARAMETERS)

    def _restart(self, *, whole: bool, now_s: float) -> Reaction:
        """Without an answer. The whole module forgets what was not saved; the engine only takes up its systems."""
        before, saved = self.effective, self.saved
        self.effective = saved if whole else replace(before, systems=saved.systems)
        if whole:
            self.wanted = saved
        self.state = Restarting(now_s + RESTART_S, _changes(before, self.effective))
        return Reaction()

    def _switch(self, name: str, state: Running | Stopped, news: str) -> Reaction:
        answer = _ok(name)
        if self.state == state:
            return answer
        self.state = state
        return Reaction(answer.octets, (news,))

    def _set_interval(self, name: str, interval: str) -> Reaction:
        if not (_is_number(interval) and MIN_FIX_MS <= int(interval) <= MAX_FIX_MS):
            return _error(name, INVALID_PARAMETERS)
        self.wanted = replace(self.wanted, interval_ms=int(interval))
        return _ok(name)

    def _set_systems(self, name: str, switches: tuple[str, ...]) -> Reaction:
        if len(switches) != len(FACTORY.systems) or not set(switches) <= {"0", "1"} or "1" not in switches:
            return _error(name, INVALID_PARAMETERS)
        self.wanted = replace(self.wanted, systems=switches)
        return _ok(name)

    def _tell_rate(self, name: str, port: list[str], sentence: str) -> Reaction:
        if sentence not in SENTENCES:
            return _error(name, INVALID_PARAMETERS)
        return _ok(name, *port, sentence, str(self.wanted.rates.get(sentence, 0)))

    def _set_rate(self, name: str, sentence: str, rate: str) -> Reaction:
        if sentence not in SENTENCES or not _is_number(rate) or int(rate) > MAX_RATE:
            return _error(name, INVALID_PARAMETERS)
        rates: dict[Sentence, int] = {**self.wanted.rates, sentence: int(rate)}
        self.wanted, self.effective = replace(self.wanted, rates=rates), replace(self.effective, rates=rates)
        return Reaction(_ok(name).octets, (obeyed_sentence(sentence, int(rate)),))


def _systems(switches: tuple[str, ...]) -> frozenset[System]:
    """SBAS has a switch of its own, PQTMCFGSBAS, and is on."""
    return frozenset(
        (System.SBAS, *(system for system, switch in zip(SYSTEMS, switches, strict=False) if switch == "1"))
    )


def _changes(before: Settings, after: Settings) -> tuple[str, ...]:
    news = [] if before.interval_ms == after.interval_ms else [obeyed_rate(after.interval_ms)]
    changed = _systems(before.systems) ^ _systems(after.systems)
    news += [obeyed_system(system, system in _systems(after.systems)) for system in SYSTEMS if system in changed]
    return tuple(news)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 5


def _ok(name: str, *fields: str) -> Reaction:
    return Reaction(nmea.frame(",".join([name, "OK", *fields])))


def _error(name: str, code: int) -> Reaction:
    return Reaction(nmea.frame(f"{name},ERROR,{code}"))
