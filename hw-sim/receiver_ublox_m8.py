"""The configuration of a u-blox M8 (SPG 3.01): a message for each kind of setting, all of it in RAM. Pure.

It knows the messages that decide what is said, how often and of which systems, and no other: there is no UBX output, no
saving, and no reading of settings.

Source: u-blox 8 / M8 receiver description UBX-13003221: UBX-CFG-MSG, UBX-CFG-RATE, UBX-CFG-GNSS, UBX-RXM-PMREQ.
"""

from dataclasses import replace

from bondmate_sim.programme import MAJOR, NMEA_40, Programme, Sentence
from bondmate_sim.receiver import obeyed_rate, obeyed_sentence, obeyed_system
from bondmate_sim.receiver_ublox import FLAG_BACKUP, WAKE_UARTRX, Obeyed, Sleep
from bondmate_sim.sky import System
from bondmate_sim.ubx import Message

CFG_MSG, CFG_RATE, CFG_GNSS = (0x06, 0x01), (0x06, 0x08), (0x06, 0x3E)
CLASS_NMEA = 0xF0
SENTENCES: dict[int, Sentence] = {
    0x00: "GGA", 0x01: "GLL", 0x02: "GSA", 0x03: "GSV", 0x04: "RMC", 0x05: "VTG", 0x07: "GST", 0x08: "ZDA", 0x0D: "GNS",
}  # fmt: skip
RATE_HERE, RATE_UART1 = 2, 3
"""Where the rate is in UBX-CFG-MSG: for the port that it came by; or after that of the port 0 (I2C)."""
MIN_MEAS_MS = 50
MAX_NAV = 127
SYSTEMS = {
    0: System.GPS, 1: System.SBAS, 2: System.GALILEO, 3: System.BEIDOU, 5: System.QZSS, 6: System.GLONASS,
}  # fmt: skip
"""By gnssId; 4 is IMES, which nobody sends here."""
CHANNELS = 32
CHANNELS_OF_MAJOR = 4
MAX_MAJOR = 3
BLOCK_OCTETS = 8
FACTORY = Programme(
    interval_ms=1000,
    rates={"GGA": 1, "GLL": 1, "GSA": 1, "GSV": 1, "RMC": 1, "VTG": 1},
    systems=frozenset((System.GPS, System.SBAS, System.QZSS, System.GLONASS)),
    edition=NMEA_40,
)


class M8Configuration:
    """One programme; what it was when the receiver left the factory comes back with every start."""

    version: tuple[str, ...] = (
        "ROM CORE 3.01 (107888)",
        "00080000",
        "FWVER=SPG 3.01",
        "PROTVER=18.00",
        "GPS;GLO;GAL;BDS",
        "SBAS;IMES;QZSS",
    )

    def __init__(self) -> None:
        self.programme = FACTORY

    def obey(self, message: Message) -> Obeyed | None:
        if message.name == CFG_MSG:
            return self._set_sentence(message.payload)
        if message.name == CFG_RATE:
            return self._set_rate(message.payload)
        if message.name == CFG_GNSS:
            return self._set_systems(message.payload)
        return None

    def sleep(self, payload: bytes) -> Sleep | None:
        """The form of 8 octets names nothing that wakes: any activity on UART RX does."""
        match len(payload):
            case 8:
                at, sources = 0, WAKE_UARTRX
            case 16 if payload[0] == 0:
                at, sources = 4, int.from_bytes(payload[12:16], "little")
            case _:
                return None
        duration_ms, flags = (int.from_bytes(payload[start : start + 4], "little") for start in (at, at + 4))
        if not flags & FLAG_BACKUP:
            return None
        return Sleep(duration_ms / 1000 if duration_ms else None, bool(sources & WAKE_UARTRX))

    def forget(self) -> None:
        self.programme = FACTORY

    def _set_sentence(self, payload: bytes) -> Obeyed | None:
        if len(payload) not in (3, 8) or payload[0] != CLASS_NMEA or payload[1] not in SENTENCES:
            return None
        sentence = SENTENCES[payload[1]]
        rate = payload[RATE_HERE if len(payload) == 3 else RATE_UART1]
        self.programme = replace(self.programme, rates={**self.programme.rates, sentence: rate})
        return Obeyed((obeyed_sentence(sentence, rate),))

    def _set_rate(self, payload: bytes) -> Obeyed | None:
        if len(payload) != 6:
            return None
        meas_ms, nav, _time_ref = (int.from_bytes(payload[at : at + 2], "little") for at in (0, 2, 4))
        if meas_ms < MIN_MEAS_MS or not 1 <= nav <= MAX_NAV:
            return None
        self.programme = replace(self.programme, interval_ms=meas_ms * nav)
        return Obeyed((obeyed_rate(meas_ms * nav),))

    def _set_systems(self, payload: bytes) -> Obeyed | None:
        """Systems that the message does not name stay as they were."""
        if len(payload) < 4 or payload[0] != 0 or len(payload) != 4 + payload[3] * BLOCK_OCTETS:
            return None
        before = self.programme.systems
        systems, news, reserved = set(before), [], 0
        for at in range(4, len(payload), BLOCK_OCTETS):
            system, on = SYSTEMS.get(payload[at]), bool(payload[at + 4] & 1)
            reserved += payload[at + 1] if on else 0
            if system is None:
                if on:
                    return None
                continue
            if on and system in MAJOR and payload[at + 2] < CHANNELS_OF_MAJOR:
                return None
            systems = systems | {system} if on else systems - {system}
            news.append(obeyed_system(system, on))
        if reserved > CHANNELS or not _can_be_heard_together(systems):
            return None
        self.programme = replace(self.programme, systems=frozenset(systems))
        return Obeyed(tuple(news), resets_gnss=self.programme.systems != before)


def _can_be_heard_together(systems: set[System]) -> bool:
    """Two radio paths: GPS and Galileo share one; the other is tuned to GLONASS or to BeiDou."""
    majors = [system for system in MAJOR if system in systems]
    return System.GPS in majors and len(majors) <= MAX_MAJOR and not {System.GLONASS, System.BEIDOU}.issubset(majors)
