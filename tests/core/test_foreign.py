"""Protocols told by their octets: frames by their makers' own rules, logs of others, and noise that is nobody's."""

import itertools
import random
import re
import string
from collections.abc import Iterator
from functools import reduce
from operator import xor
from pathlib import Path

import pytest
from pyubx2 import GET, UBXMessage

from bondmate.core import foreign
from bondmate.core.foreign import recognize
from bondmate.core.lines import SAMPLE_OCTETS, SentenceSplitter
from bondmate.core.reception import SPEEDS_BAUD, Reception
from bondmate_sim.uart import resample


def sirf(payload: bytes) -> bytes:
    """SiRF binary protocol reference: A0 A2, length and payload, the sum of its octets in 15 bits, B0 B3."""
    total = sum(payload) & 0x7FFF
    return b"\xa0\xa2" + len(payload).to_bytes(2) + payload + total.to_bytes(2) + b"\xb0\xb3"


def skytraq(payload: bytes) -> bytes:
    """SkyTraq application note AN0003: A0 A1, length and payload, the exclusive or of its octets, 0D 0A."""
    total = 0
    for octet in payload:
        total ^= octet
    return b"\xa0\xa1" + len(payload).to_bytes(2) + payload + bytes((total,)) + b"\r\n"


def tsip(kind: int, payload: bytes) -> bytes:
    """Trimble Standard Interface Protocol: DLE, kind, payload with each DLE doubled, DLE ETX."""
    return b"\x10" + bytes((kind,)) + payload.replace(b"\x10", b"\x10\x10") + b"\x10\x03"


def rtcm(payload: bytes) -> bytes:
    """RTCM 10403: D3, six bits of zero and ten of length, payload, 24 bits of a check that nobody looks at here."""
    return b"\xd3" + len(payload).to_bytes(2) + payload + b"\x12\x34\x56"


NAV_PVT: bytes = UBXMessage("NAV", "NAV-PVT", GET, lat=48.1173, lon=11.5167).serialize()
FOREIGN = {
    "UBX": (NAV_PVT * 3, "u-blox's binary protocol (UBX)"),
    "SiRF": (sirf(b"\x02" + bytes(40)) * 3, "SiRF's binary protocol"),
    "SkyTraq": (skytraq(b"\xa8" + bytes(58)) * 3, "SkyTraq's binary protocol"),
    # CASIC protocol specification: BA CE, length, class, id, payload, check
    "Casic": (b"\xba\xce\x50\x00\x01\x03" + bytes(84) + b"\xba\xce\x50\x00\x01\x03", "Casic's binary protocol"),
    # MediaTek binary: 04 24, length, command, data, check, 0D 0A
    "MediaTek": (b"\x04\x24\x0e\x00\xfd\x00\x00\xff\x0c\x0d\x0a" * 3, "MediaTek's binary protocol"),
    "RTCM 3": (rtcm(b"\x3e\xd0" + bytes(17)) * 3, "RTCM 3 corrections"),
    "TSIP": (tsip(0x8F, b"\xab" + bytes(16)) * 3, "Trimble's or Garmin's binary protocol"),
    # NovAtel OEM7: AA 44 12, the length of the header (28)
    "NovAtel": (b"\xaa\x44\x12\x1c\x2a\x00\x00\x20" * 3, "NovAtel's binary protocol"),
    "AIS": (b"!AIVDM,1,1,,A,15MgK45P3@G?fl0E`JbR0OwT0@MS,0*4E\r\n" * 2, "a ship's radio (AIS)"),
    "a modem": (b"RDY\r\n+CFUN: 1\r\n+CPIN: READY\r\n", "a modem (AT commands)"),
    "a modem that is asked": (b"+CSQ: 20,99\r\nOK\r\n+CREG: 0,1\r\nOK\r\n", "a modem (AT commands)"),
    "a computer": (
        b"U-Boot 2024.01\r\n[    0.000000] Linux version 6.1.0\r\nraspberrypi login: ",
        "a computer's console",
    ),
    "gpsd": (b'{"class":"VERSION"}\r\n{"class":"TPV","mode":3}\r\n', "gpsd's JSON"),
}


@pytest.mark.parametrize(("line", "name"), FOREIGN.values(), ids=FOREIGN.keys())
def test_what_speaks_is_told_by_its_octets(line: bytes, name: str) -> None:
    splitter = SentenceSplitter()
    assert splitter.feed(line + b"\n") == []
    assert recognize(splitter.sample) == name


@pytest.mark.parametrize(("line", "name"), FOREIGN.values(), ids=FOREIGN.keys())
def test_it_is_told_octet_by_octet_too(line: bytes, name: str) -> None:
    splitter = SentenceSplitter()
    for place in range(len(line)):
        splitter.feed(line[place : place + 1])
    splitter.feed(b"\n")
    assert recognize(splitter.sample) == name


@pytest.mark.parametrize("noise", [b"", b"\x00", bytes(SAMPLE_OCTETS), b"\xff" * SAMPLE_OCTETS, b"U" * SAMPLE_OCTETS])
def test_nothing_and_a_line_that_is_held_are_nobody_s(noise: bytes) -> None:
    assert recognize(noise) is None


def test_one_sign_alone_may_be_chance() -> None:
    assert recognize(NAV_PVT) is None
    assert recognize(NAV_PVT + bytes(100)) is None
    assert recognize(NAV_PVT + bytes(100) + NAV_PVT) == "u-blox's binary protocol (UBX)"


def test_sentences_with_octets_missing_are_nobody_s() -> None:
    """A line that loses octets is a bad line, not another protocol."""
    chance = random.Random(1)
    sentence = b"$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n"
    splitter = SentenceSplitter()
    for _ in range(200):
        place = chance.randrange(len(sentence))
        splitter.feed(sentence[:place] + sentence[place + 1 + chance.randrange(9) :])
    assert splitter.noise > SAMPLE_OCTETS
    assert recognize(splitter.sample) is None


def test_noise_is_taken_for_a_protocol_less_than_once_in_a_thousand() -> None:
    # a sign of two octets is expected 511 / 65,536 = 0.0078 times, and so comes twice in 0.0078² / 2 = 1 of 33,000;
    # each has more of its head to fit
    chance = random.Random(20261120)
    taken = sum(recognize(chance.randbytes(SAMPLE_OCTETS)) is not None for _ in range(5000))
    assert taken <= 5


def test_noise_of_printable_characters_is_nobody_s() -> None:
    chance = random.Random(20261120)
    letters = (string.ascii_letters + string.digits + " .,:;-").encode()
    assert [recognize(bytes(chance.choices(letters, k=SAMPLE_OCTETS))) for _ in range(500)] == [None] * 500


def at_a_wrong_speed() -> Iterator[bytes]:
    """What one hears of sentences that are spoken at another speed."""
    sentences = b"".join(
        b"$%s*%02X\r\n" % (body.encode(), reduce(xor, body.encode()))
        for second in range(60, 90)
        for body in (
            f"GPRMC,1235{second % 60:02}.00,A,4807.{second:03},N,01131.{3 * second:03},E,022.4,084.4,230394,,,A",
            f"GPGGA,1235{second % 60:02}.00,4807.{second:03},N,01131.{3 * second:03},E,1,08,0.9,545.4,M,46.9,M,,",
            "GPGSA,A,3,04,05,,09,12,,,24,,,,,2.5,1.3,2.1",
            f"GPGSV,2,1,08,01,40,083,{second - 40},02,17,308,41,12,07,344,39,14,22,228,45",
        )
    )
    for sent_baud, read_baud in itertools.permutations(SPEEDS_BAUD, 2):
        splitter = SentenceSplitter()
        heard = resample(sentences, sent_baud, read_baud)
        for place in range(0, len(heard), 500):
            splitter.feed(heard[place : place + 500])
            yield splitter.sample


def test_sentences_at_a_wrong_speed_are_nobody_s() -> None:
    """They are far from random: some signs of two octets come in them again and again."""
    assert {recognize(sample) for sample in at_a_wrong_speed()} == {None}


def test_signs_of_two_octets_would_be_seen_in_them(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = [(name, re.compile(re.escape(sign))) for name, sign in (("MediaTek", b"\x04\x24"), ("UBX", b"\xb5\x62"))]
    monkeypatch.setattr(foreign, "_SIGNS", bare)
    assert {recognize(sample) for sample in at_a_wrong_speed()} != {None}


# What each log holds beside NMEA, by its own header
MIXED = {
    "ublox-zed-f9r.log": "u-blox's binary protocol (UBX)",
    "quectel-l76k-dual.log": "Casic's binary protocol",
    "ais-nmea.log": "a ship's radio (AIS)",
    "saab-r4.log": "a ship's radio (AIS)",
    "jl-micro-jlt.log": "gpsd's JSON",
}


@pytest.mark.parametrize(("log", "name"), MIXED.items())
def test_what_real_logs_hold_beside_sentences_is_told(corpus: Path, log: str, name: str) -> None:
    path = corpus / "gnss" / log
    if not path.exists():
        pytest.skip(f"this corpus has no {log}")
    splitter = SentenceSplitter()
    splitter.feed(path.read_bytes())
    assert recognize(splitter.sample) == name


def test_the_noise_of_a_log_of_sentences_alone_is_nobody_s(corpus: Path) -> None:
    """Each begins with a header in words, and some lines are broken."""
    told = {}
    for path in sorted((corpus / "gnss").glob("*.log")):
        reception = Reception(9600)
        reception.feed(path.read_bytes(), 0.0)
        told[path.name] = recognize(reception._splitter.sample)
    others = {name: what for name, what in told.items() if name not in MIXED}
    assert others == dict.fromkeys(others)
