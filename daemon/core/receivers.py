"""What makers' receivers are told at the start, and how they are put to sleep: scripts for talk. Pure.

Settings are told anew at each start, to the receiver's memory alone, so that they wear no flash out; but for a receiver
that takes some of them from its flash only, and is asked first whether they are there already.
"""

import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bondmate.core import ubx
from bondmate.core.nmea import checksum
from bondmate.core.talk import Answer, Ask, Outcome, Script

SENTENCES = ("GGA", "RMC", "GSA", "GSV", "GST")
"""What a fix is made of, and what is shown of the sky. All others are turned off: they say the same again."""
TURNED_OFF = frozenset({"GLL", "VTG"})
"""Those of them that every receiver sends by itself when it has no settings: a sign that it restarted."""
CONSTELLATIONS = ("gps", "glonass", "galileo", "beidou", "qzss", "sbas")


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a receiver is to be set. Without constellations they stay as the receiver has them."""

    rate_hz: float
    constellations: tuple[str, ...]

    @property
    def period_ms(self) -> int:
        """Between two fixes."""
        return round(1000 / self.rate_hz)

    def every(self, name: str) -> int:
        """With each how many-th fix a sentence is to come; 0 for never. The sky once a second: it is half of all."""
        if name == "GSV":
            return round(self.rate_hz)
        return int(name in SENTENCES)


@dataclass(frozen=True, slots=True)
class Receiver:
    """One maker's way to be talked to."""

    set_up: Callable[[Wanted, Outcome], Script]
    """What is told at each start; fills in the outcome."""
    sleep: Callable[[Outcome], Script]
    """Stop everything that can be stopped, until octets come."""
    wake: bytes
    """Sent first when the line is opened, whether it slept or not."""
    speaks_ubx: bool = False
    """Whether its answers are frames of u-blox's, else they are sentences."""


def sentence(body: str) -> bytes:
    """A sentence as it is sent."""
    return b"$%s*%02X\r\n" % (body.encode(), checksum(body.encode()))


def _fields(message: bytes) -> list[str]:
    return message[1:].partition(b"*")[0].decode("ascii", "replace").split(",")


def _note(outcome: Outcome, what: str, answer: Answer | None) -> None:
    if answer is None:
        outcome.problems.append(f"no answer to {what}")
    elif not answer.done:
        outcome.problems.append(f"{what} was refused{answer.text and f' ({answer.text})'}")


def _note_unknown(outcome: Outcome, wanted: Wanted, known: Sequence[str]) -> None:
    """What this maker's command has no place for."""
    if unknown := [name for name in wanted.constellations if name not in known]:
        outcome.problems.append(f"it cannot be told to search {', '.join(unknown)}")


# --- Quectel: L70, L76, L80, L86 and others with MediaTek's commands --------------------------------------------
# By the "L80 GPS Protocol Specification" and the "L76 Series GNSS Protocol Specification".

_PMTK_FLAGS = ("invalid", "not supported", "failed", "")
_PMTK_SENTENCES = ("GLL", "RMC", "VTG", "GGA", "GSA", "GSV", "GRS", "GST")
"""The fields of PMTK314 in their order; eleven more follow. Each is 0 to 5: with each how many-th fix."""
_PMTK_EVERY_MOST = 5
_PMTK_CONSTELLATIONS = ("gps", "glonass", "galileo", "", "beidou")
"""Of PMTK353; the fourth is Galileo's full mode."""


def _pmtk(command: str, *arguments: int) -> Ask:
    def understand(message: bytes) -> Answer | None:
        match _fields(message):
            case ["PMTK001", number, flag, *_] if number == command and flag in ("0", "1", "2", "3"):
                return Answer(flag == "3", _PMTK_FLAGS[int(flag)])
            case _:
                return None

    return Ask(sentence(",".join((f"PMTK{command}", *map(str, arguments)))), understand)


def _pmtk_release(message: bytes) -> Answer | None:
    match _fields(message):
        case ["PMTK705", release, *more]:
            return Answer(True, " ".join((release, *more[1:2])).strip())
        case _:
            return None


def _set_up_pmtk(wanted: Wanted, outcome: Outcome) -> Script:
    release = yield Ask(sentence("PMTK605"), _pmtk_release)
    outcome.identity = None if release is None else release.text
    if wanted.constellations:  # first: it makes the receiver restart
        _note_unknown(outcome, wanted, _PMTK_CONSTELLATIONS)
        searched = [int(name in wanted.constellations) for name in _PMTK_CONSTELLATIONS]
        _note(outcome, f"the constellations {', '.join(wanted.constellations)}", (yield _pmtk("353", *searched)))
    fields = [min(wanted.every(name), _PMTK_EVERY_MOST) for name in _PMTK_SENTENCES] + [0] * 11
    _note(outcome, "the choice of sentences", (yield _pmtk("314", *fields)))
    _note(outcome, f"{wanted.rate_hz:g} fixes a second", (yield _pmtk("220", wanted.period_ms)))


def _sleep_pmtk(outcome: Outcome) -> Script:
    _note(outcome, "standby", (yield _pmtk("161", 0)))


# --- Quectel: LG290P and others with PQTM commands ----------------------------------------------------------------
# By the "LG290P(03)&LGx80P(03) GNSS Protocol Specification", section 2.3.


def _pqtm(command: str, *arguments: str | int) -> Ask:
    def understand(message: bytes) -> Answer | None:
        match _fields(message):
            case [name, "OK", *values] if name == command:
                return Answer(True, ",".join(values))
            case [name, "ERROR", *code] if name == command:
                return Answer(False, f"error {''.join(code[:1]) or 'unknown'}")
            case _:
                return None

    return Ask(sentence(",".join((command, *map(str, arguments)))), understand)


def _pqtm_version(message: bytes) -> Answer | None:
    match _fields(message):
        case ["PQTMVERNO", version, *_]:
            return Answer(version != "ERROR", version)
        case _:
            return None


def _set_up_pqtm(wanted: Wanted, outcome: Outcome) -> Script:
    version = yield Ask(sentence("PQTMVERNO"), _pqtm_version)
    outcome.identity = version.text if version is not None and version.done else None
    _note(outcome, "the start of its engine", (yield _pqtm("PQTMGNSSSTART")))
    for name in (*SENTENCES, *sorted(TURNED_OFF)):
        _note(outcome, f"the sentence {name}", (yield _pqtm("PQTMCFGMSGRATE", "W", name, wanted.every(name))))
    restart = False
    asked: list[tuple[str, str, list[int]]] = [
        (f"{wanted.rate_hz:g} fixes a second", "PQTMCFGFIXRATE", [wanted.period_ms])
    ]
    if wanted.constellations:
        order = ("gps", "glonass", "galileo", "beidou", "qzss")
        _note_unknown(outcome, wanted, order)
        searched = [*(int(name in wanted.constellations) for name in order), 0]
        asked.append((f"the constellations {', '.join(wanted.constellations)}", "PQTMCFGCNST", searched))
    for what, command, values in asked:
        has = yield _pqtm(command, "R")
        if has is None or has.text.split(",") != [str(value) for value in values]:
            answer = yield _pqtm(command, "W", *values)
            _note(outcome, what, answer)
            restart = restart or (answer is not None and answer.done)
    if restart:
        # these two are used after a restart only, which takes them from where they are saved; it is not answered
        _note(outcome, "saving", (yield _pqtm("PQTMSAVEPAR")))
        yield Ask(sentence("PQTMSRR"), None, pause_s=1.0)


def _sleep_pqtm(outcome: Outcome) -> Script:
    _note(outcome, "the end of its engine", (yield _pqtm("PQTMGNSSSTOP")))


# --- u-blox -------------------------------------------------------------------------------------------------------
# By the "u-blox M10 SPG 5.10 Interface description" (UBX-21035062) and the "u-blox 8 / M8 Receiver description"
# (UBX-13003221).

_ACK_NAK, _ACK_ACK, _MON_VER, _RXM_PMREQ = (0x05, 0x00), (0x05, 0x01), (0x0A, 0x04), (0x02, 0x41)
_CFG_VALSET, _CFG_MSG, _CFG_RATE, _CFG_GNSS = (0x06, 0x8A), (0x06, 0x01), (0x06, 0x08), (0x06, 0x3E)
_VALSET_PROTOCOL = 27.0
"""From this protocol version on (M9, F9, M10) a receiver has the new configuration interface."""
_RATE_MEAS = 0x30210001
_MSGOUT_UART1 = {
    "GGA": 0x209100BB, "GLL": 0x209100CA, "GSA": 0x209100C0, "GSV": 0x209100C5, "RMC": 0x209100AC, "VTG": 0x209100B1,
    "ZDA": 0x209100D9, "GST": 0x209100D4,
}  # fmt: skip
_USB_FROM_UART1 = 2
"""The key of a sentence on USB is so much further."""
_SIGNAL = {
    "gps": 0x1031001F, "sbas": 0x10310020, "galileo": 0x10310021, "beidou": 0x10310022, "qzss": 0x10310024,
    "glonass": 0x10310025,
}  # fmt: skip
_RAM = 1
_MSG_IDS = {"GGA": 0x00, "GLL": 0x01, "GSA": 0x02, "GSV": 0x03, "RMC": 0x04, "VTG": 0x05, "GST": 0x07, "ZDA": 0x08}
_GNSS_IDS = {"gps": 0, "sbas": 1, "galileo": 2, "beidou": 3, "qzss": 5, "glonass": 6}
_GNSS_CHANNELS = {
    "gps": (8, 16),
    "sbas": (1, 3),
    "galileo": (4, 10),
    "beidou": (8, 16),
    "qzss": (0, 3),
    "glonass": (8, 14),
}
"""Reserved and most channels, as the receiver description has them by default."""
_BACKUP, _FORCE, _BY_UART_RX = 0x02, 0x04, 0x08


def _ubx(kind: tuple[int, int], payload: bytes) -> Ask:
    def understand(message: bytes) -> Answer | None:
        about = bytes(kind)
        if message[6:8] != about or message[2:4] not in (bytes(_ACK_ACK), bytes(_ACK_NAK)):
            return None
        return Answer(message[2:4] == bytes(_ACK_ACK))

    return Ask(ubx.frame(kind, payload), understand)


def _ubx_version(message: bytes) -> Answer | None:
    """MON-VER: software (30 octets), hardware (10), and extensions of 30 octets each, all ended by zeros."""
    if message[2:4] != bytes(_MON_VER):
        return None
    payload = message[6:-2]
    texts = [payload[:30], payload[30:40], *(payload[at : at + 30] for at in range(40, len(payload), 30))]
    said = " ".join(text.partition(b"\0")[0].decode("ascii", "replace").strip() for text in texts)
    return Answer(True, "".join(each if each.isprintable() else "?" for each in said))


def _valset(values: Mapping[int, int]) -> Ask:
    """Keys with their values; bits 28 to 30 of a key tell the size of its value: 1 and 2 one octet, 3 two."""
    payload = bytes((0, _RAM, 0, 0))
    for key, value in values.items():
        payload += struct.pack("<I", key) + value.to_bytes(2 if key >> 28 & 7 == 3 else 1, "little")
    return _ubx(_CFG_VALSET, payload)


def _set_up_ubx(wanted: Wanted, outcome: Outcome) -> Script:
    version = yield Ask(ubx.frame(_MON_VER), _ubx_version)
    outcome.identity = None if version is None else version.text
    found = re.search(r"PROTVER[= ]([0-9]+\.[0-9]+)", version.text) if version else None
    new = found is not None and float(found[1]) >= _VALSET_PROTOCOL
    yield from (_set_up_by_keys if new else _set_up_by_messages)(wanted, outcome)


def _set_up_by_keys(wanted: Wanted, outcome: Outcome) -> Script:
    chosen = {key: wanted.every(name) for name, key in _MSGOUT_UART1.items()}
    _note(outcome, "the choice of sentences", (yield _valset(chosen)))
    # not every receiver has USB, and whoever has none refuses; that one has can only be told by asking
    yield _valset({key + _USB_FROM_UART1: value for key, value in chosen.items()})
    _note(outcome, f"{wanted.rate_hz:g} fixes a second", (yield _valset({_RATE_MEAS: wanted.period_ms})))
    if wanted.constellations:
        searched = {key: int(name in wanted.constellations) for name, key in _SIGNAL.items()}
        answer = yield _valset(searched)
        if answer is not None and not answer.done:
            yield from _set_up_signals(wanted, outcome)
        else:
            _note(outcome, f"the constellations {', '.join(wanted.constellations)}", answer)


def _set_up_signals(wanted: Wanted, outcome: Outcome) -> Script:
    """One by one, for a model refuses all keys for one that it does not have: what is wanted first, never none."""
    for name, key in sorted(_SIGNAL.items(), key=lambda each: each[0] not in wanted.constellations):
        answer = yield _valset({key: int(name in wanted.constellations)})
        if name in wanted.constellations:
            _note(outcome, f"the constellation {name}", answer)


def _set_up_by_messages(wanted: Wanted, outcome: Outcome) -> Script:
    for name, number in _MSG_IDS.items():
        choice = bytes((0xF0, number, wanted.every(name)))
        _note(outcome, f"the sentence {name}", (yield _ubx(_CFG_MSG, choice)))
    rate = struct.pack("<HHH", wanted.period_ms, 1, 1)
    _note(outcome, f"{wanted.rate_hz:g} fixes a second", (yield _ubx(_CFG_RATE, rate)))
    if wanted.constellations:
        blocks = b"".join(
            struct.pack("<BBBBI", number, *_GNSS_CHANNELS[name], 0, 0x01_00_00 | (name in wanted.constellations))
            for name, number in _GNSS_IDS.items()
        )
        searched = bytes((0, 0, 0xFF, len(_GNSS_IDS))) + blocks
        _note(outcome, f"the constellations {', '.join(wanted.constellations)}", (yield _ubx(_CFG_GNSS, searched)))


def _sleep_ubx(_: Outcome) -> Script:
    """RXM-PMREQ: for ever, in backup, until something comes over the line. It is not acknowledged."""
    yield Ask(ubx.frame(_RXM_PMREQ, struct.pack("<B3xIII", 0, 0, _BACKUP | _FORCE, _BY_UART_RX)), None, pause_s=0.2)


RECEIVERS: Mapping[str, Receiver] = {
    "ublox": Receiver(_set_up_ubx, _sleep_ubx, b"\xff" * 8, speaks_ubx=True),
    "quectel-pmtk": Receiver(_set_up_pmtk, _sleep_pmtk, b"\r\n"),
    "quectel-pqtm": Receiver(_set_up_pqtm, _sleep_pqtm, sentence("PQTMGNSSSTART")),
}
"""By the names that the configuration uses."""
