"""The configuration of a u-blox M10 (SPG 5.10): keys and values in layers. Pure.

It knows the keys that decide what is said, how often and of which systems, and no other; there is no UBX output, and no
transaction, and no reading of values.

Source: u-blox M10 interface description UBX-21035062 R02: section 3.10.5 (UBX-CFG-VALSET), 4.9.15, 4.9.17 and 4.9.21
(keys), tables 4.10 (defaults), 3.16.6 (UBX-RXM-PMREQ).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from bondmate_sim.programme import MAJOR, NMEA_411, Programme, Sentence
from bondmate_sim.receiver import obeyed_rate, obeyed_sentence, obeyed_system
from bondmate_sim.receiver_ublox import FLAG_BACKUP, FLAG_FORCE, WAKE_UARTRX, Obeyed, Sleep
from bondmate_sim.sky import System
from bondmate_sim.ubx import Message

CFG_VALSET = (0x06, 0x8A)
RAM, BBR, FLASH = 1, 2, 4
MAX_PAIRS = 64
KEY_OCTETS = 4
VALUE_OCTETS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8}
"""By bits 28 to 30 of the key."""
RATE_MEAS, RATE_NAV = 0x30210001, 0x30210002
MIN_MEAS_MS = 25
MAX_NAV = 127
SENTENCE_KEYS: dict[int, Sentence] = {
    0x209100BB: "GGA", 0x209100CA: "GLL", 0x209100B6: "GNS", 0x209100C0: "GSA", 0x209100D4: "GST",
    0x209100C5: "GSV", 0x209100AC: "RMC", 0x209100B1: "VTG", 0x209100D9: "ZDA",
}  # fmt: skip
"""CFG-MSGOUT-NMEA_ID_…_UART1."""
SYSTEM_KEYS = {
    0x1031001F: System.GPS, 0x10310020: System.SBAS, 0x10310021: System.GALILEO,
    0x10310022: System.BEIDOU, 0x10310024: System.QZSS, 0x10310025: System.GLONASS,
}  # fmt: skip
"""CFG-SIGNAL-…_ENA."""
ON_AT_FIRST = ("GGA", "GLL", "GSA", "GSV", "RMC", "VTG", System.GPS, System.SBAS, System.GALILEO, System.QZSS)
DEFAULTS = {
    RATE_MEAS: 1000,
    RATE_NAV: 1,
    **{key: int(one in ON_AT_FIRST) for key, one in (SENTENCE_KEYS | SYSTEM_KEYS).items()},
}
PMREQ_OCTETS = 16


@dataclass(frozen=True, slots=True)
class _Request:
    layers: int
    values: dict[int, int]


class M10Configuration:
    """Values by layer: RAM is what counts, and is built anew from the others when it was lost."""

    version: tuple[str, ...] = (
        "ROM SPG 5.10 (7b202e)",
        "000A0000",
        "FWVER=SPG 5.10",
        "PROTVER=34.10",
        "GPS;GLO;GAL;BDS",
        "SBAS;QZSS",
    )

    def __init__(self) -> None:
        self.kept: dict[int, dict[int, int]] = {FLASH: {}, BBR: {}}
        self.ram = dict(DEFAULTS)

    @property
    def programme(self) -> Programme:
        return Programme(
            interval_ms=self.ram[RATE_MEAS] * self.ram[RATE_NAV],
            rates={sentence: self.ram[key] for key, sentence in SENTENCE_KEYS.items()},
            systems=frozenset(system for key, system in SYSTEM_KEYS.items() if self.ram[key]),
            edition=NMEA_411,
        )

    def obey(self, message: Message) -> Obeyed | None:
        request = _valset(message.payload) if message.name == CFG_VALSET else None
        if request is None:
            return None
        before, ram = self.ram, {**self.ram, **request.values} if request.layers & RAM else self.ram
        kept = {
            layer: {**values, **request.values} if request.layers & layer else values
            for layer, values in self.kept.items()
        }
        if not (_valid(ram) and _valid(_started(kept))):
            return None
        self.ram, self.kept = ram, kept
        if not request.layers & RAM:
            return Obeyed(())
        return Obeyed(
            tuple(self._news(request.values)), resets_gnss=any(before[key] != ram[key] for key in SYSTEM_KEYS)
        )

    def sleep(self, payload: bytes) -> Sleep | None:
        """Sleep only by the form of 16 octets, the one that is documented for this generation.

        "The 'force' flag must be set in UBX-RXM-PMREQ to enter software standby mode" (UBX-21028173, section 3.6.3.2).
        """
        if len(payload) != PMREQ_OCTETS or payload[0] != 0:
            return None
        duration_ms, flags, sources = (int.from_bytes(payload[at : at + 4], "little") for at in (4, 8, 12))
        if not (flags & FLAG_BACKUP and flags & FLAG_FORCE):
            return None
        return Sleep(duration_ms / 1000 if duration_ms else None, bool(sources & WAKE_UARTRX))

    def forget(self) -> None:
        self.ram = _started(self.kept)

    def _news(self, values: dict[int, int]) -> Iterator[str]:
        if RATE_MEAS in values or RATE_NAV in values:
            yield obeyed_rate(self.programme.interval_ms)
        for key, value in values.items():
            if key in SENTENCE_KEYS:
                yield obeyed_sentence(SENTENCE_KEYS[key], value)
            elif key in SYSTEM_KEYS:
                yield obeyed_system(SYSTEM_KEYS[key], bool(value))


def _valset(payload: bytes) -> _Request | None:
    """Version 0, or version 1 outside of a transaction; None when it names no layer or has a key that is not known."""
    if len(payload) < 4 or payload[0] > 1 or (payload[0] == 1 and payload[2] & 3):
        return None
    layers = payload[1] & (RAM | BBR | FLASH)
    values: dict[int, int] = {}
    rest, pairs = payload[4:], 0
    while rest:
        key = int.from_bytes(rest[:KEY_OCTETS], "little")
        end = KEY_OCTETS + VALUE_OCTETS.get(key >> 28 & 7, 0)
        if key not in DEFAULTS or len(rest) < end:
            return None
        values[key] = int.from_bytes(rest[KEY_OCTETS:end], "little")  # the last of several counts
        rest, pairs = rest[end:], pairs + 1
    return _Request(layers, values) if layers and pairs <= MAX_PAIRS else None


def _started(kept: dict[int, dict[int, int]]) -> dict[int, int]:
    """What RAM has after a start."""
    return {**DEFAULTS, **kept[FLASH], **kept[BBR]}


def _valid(ram: dict[int, int]) -> bool:
    """At least one system with satellites all round the earth must be on (section 4.9.21)."""
    return (
        ram[RATE_MEAS] >= MIN_MEAS_MS
        and 1 <= ram[RATE_NAV] <= MAX_NAV
        and all(ram[key] <= 1 for key in SYSTEM_KEYS)
        and any(ram[key] and system in MAJOR for key, system in SYSTEM_KEYS.items())
    )
