"""One sentence at a time: what it says, by the documents, by hand and by two other decoders; and what is refused."""

import datetime as dt
import math
from collections.abc import Mapping
from functools import reduce
from operator import xor
from typing import Any

import pynmea2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynmeagps import NMEAReader

from bondmate.core.fields import SentenceError
from bondmate.core.nmea import Sentence, checksum, parse
from bondmate.core.sky import Number, Satellite, View

KNOT_MPS = 1852 / 3600
"""A nautical mile an hour."""
# Sentences with their checksums, of "NMEA data" (Dale DePriest) and, from GST on, "NMEA Revealed" (Eric S. Raymond)
GGA = "GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,"
RMC = "GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W"
GLL = "GPGLL,4916.45,N,12311.12,W,225444,A,"
GSA = "GPGSA,A,3,04,05,,09,12,,,24,,,,,2.5,1.3,2.1"
GSV = "GPGSV,2,1,08,01,40,083,46,02,17,308,41,12,07,344,39,14,22,228,45"
VTG = "GPVTG,054.7,T,034.4,M,005.5,N,010.2,K"
GST = "GPGST,024603.00,3.2,6.6,4.7,47.3,5.8,5.6,22.0"
ZDA = "GPZDA,160012.71,11,03,2004,-1,00"
GNS = "GNGNS,014035.00,4332.69262,S,17235.48549,E,RR,13,0.9,25.63,11.24,,"
CHECKSUMS = {GGA: 0x47, RMC: 0x6A, GLL: 0x1D, GSA: 0x39, GSV: 0x75, VTG: 0x48, GST: 0x58, ZDA: 0x7D, GNS: 0x70}
TALKERS = ("GP", "GL", "GA", "GB", "BD", "GQ", "GI", "GN")


def framed(body: str) -> bytes:
    """With its checksum: the exclusive or of all octets between `$` and `*`."""
    return b"$%s*%02X" % (body.encode(), reduce(xor, body.encode(), 0))


def read(body: str) -> Sentence:
    return parse(framed(body))


def refusal(line: bytes) -> str:
    with pytest.raises(SentenceError) as caught:
        parse(line)
    return caught.value.kind


def values(sentence: Sentence) -> dict[str, Any]:
    """What it says, without what it does not."""
    said = sentence._asdict()
    if not said["made_up"]:
        del said["made_up"]
    return {name: value for name, value in said.items() if value not in (None, ())}


def placed(body: str, place: int, text: str) -> str:
    """The sentence with another field in that place, counted from the name."""
    said = body.split(",")
    said[place] = text
    return ",".join(said)


# --- checksums -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("body", "told"), CHECKSUMS.items(), ids=(body[2:5] for body in CHECKSUMS))
def test_checksums_are_the_documents_own(body: str, told: int) -> None:
    assert checksum(body.encode()) == told
    assert parse(b"$%s*%02x" % (body.encode(), told)) == parse(framed(body)), "small digits are digits too"


@given(st.binary(max_size=128))
def test_a_checksum_is_the_exclusive_or_of_all_octets(body: bytes) -> None:
    assert checksum(body) == reduce(xor, body, 0)


@pytest.mark.parametrize("wrong", range(1, 256))
def test_every_wrong_checksum_is_refused(wrong: int) -> None:
    assert refusal(b"$%s*%02X" % (GGA.encode(), CHECKSUMS[GGA] ^ wrong)) == "wrong checksum"


@pytest.mark.parametrize("body", CHECKSUMS)
def test_a_sentence_without_a_checksum_is_refused(body: str) -> None:
    assert refusal(b"$" + body.encode()) == "no checksum"


@given(st.sampled_from([*CHECKSUMS]), st.data())
def test_one_octet_that_changed_on_the_way_is_noticed(body: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(body) - 1))
    octet = data.draw(st.integers(0x20, 0x7E).filter(lambda code: code not in (ord("*"), ord("$"), ord(body[place]))))
    line = framed(body)
    assert refusal(line[: place + 1] + bytes((octet,)) + line[place + 2 :]) == "wrong checksum"


# --- what each sentence says -----------------------------------------------------------------------------------------

SAYS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "GGA": (
        GGA,
        {
            "talker": "GP", "type": "GGA", "time_ms": 45_319_000, "valid": True, "lat": 48.1173, "lon": 11.5166666667,
            "alt_m": 545.4, "geoid_m": 46.9, "hdop": 0.9, "satellites": 8,
        },
    ),
    "RMC": (
        RMC,
        {
            "talker": "GP", "type": "RMC", "time_ms": 45_319_000, "date": dt.date(1994, 3, 23), "valid": True,
            # 22.4 knots times 1852 m, in 3600 s
            "lat": 48.1173, "lon": 11.5166666667, "speed_mps": 11.5235555556, "track_deg": 84.4,
        },
    ),
    "GLL": (
        GLL,
        # 49 degrees 16.45 minutes, 123 degrees 11.12 minutes; 22 h 54 min 44 s
        {
            "talker": "GP", "type": "GLL", "time_ms": 82_484_000, "valid": True,
            "lat": 49.2741666667, "lon": -123.1853333333,
        },
    ),
    "GNS": (
        GNS,
        {
            "talker": "GN", "type": "GNS", "time_ms": 6_035_000, "valid": True,
            "lat": -43.5448770, "lon": 172.5914248333, "alt_m": 25.63, "geoid_m": 11.24, "hdop": 0.9, "satellites": 13,
        },
    ),
    "GSA": (
        GSA,
        {
            "talker": "GP", "type": "GSA", "mode": 3, "hdop": 1.3,
            "used": tuple(Number("gps", number) for number in (4, 5, 9, 12, 24)),
        },
    ),
    # the root of 5.8² + 5.6², which is that of 65
    "GST": (GST, {"talker": "GP", "type": "GST", "time_ms": 9_963_000, "accuracy_m": 8.0622577483}),
    # 5.5 knots
    "VTG": (VTG, {"talker": "GP", "type": "VTG", "speed_mps": 2.8294444444, "track_deg": 54.7}),
    "ZDA": (ZDA, {"talker": "GP", "type": "ZDA", "time_ms": 57_612_710, "date": dt.date(2004, 3, 11)}),
    "GSV": (
        GSV,
        {
            "talker": "GP", "type": "GSV",
            "view": View(1, 2, "", (
                Satellite(Number("gps", 1), "", 40, 83, 46), Satellite(Number("gps", 2), "", 17, 308, 41),
                Satellite(Number("gps", 12), "", 7, 344, 39), Satellite(Number("gps", 14), "", 22, 228, 45),
            )),
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize(("body", "said"), SAYS.values(), ids=SAYS.keys())
def test_a_sentence_says_what_its_document_says(body: str, said: dict[str, Any]) -> None:
    told = values(read(body))
    assert told.keys() == said.keys()
    for name, value in said.items():
        assert told[name] == (pytest.approx(value, abs=1e-10) if isinstance(value, float) else value), name


@pytest.mark.parametrize("talker", TALKERS)
@pytest.mark.parametrize("body", [GGA, RMC, GLL, GNS, GST, VTG, ZDA], ids=lambda body: body[2:5])
def test_it_says_the_same_whoever_talks(body: str, talker: str) -> None:
    assert read(talker + body[2:]) == read(body)._replace(talker=talker)


EMPTY = {
    # as hemi.log, foretrex-201.log, ublox-8.log and the receivers of NMEA 4.1 have them before the first fix
    "GGA": ("GPGGA,,,,,,0,00,99.99,,,,,,", {"valid": False, "satellites": 0}),
    "GGA without a count": ("GPGGA,,,,,,0,,,,M,,M,,", {"valid": False}),
    "GGA of a receiver that says nothing of quality": ("GPGGA,,,,,,,,,,,,,,", {"valid": False}),
    "RMC": ("GPRMC,,V,,,,,,,,,,N", {"valid": False}),
    "RMC with a date": ("GPRMC,,V,,,,,,,260810,1.0,E,N", {"valid": False, "date": dt.date(2010, 8, 26)}),
    "GLL": ("GPGLL,,,,,,V,N", {"valid": False}),
    "GNS": ("GNGNS,,,,,,NNN,00,99.99,,,,,V", {"valid": False, "satellites": 0}),
    "GSA": ("GNGSA,A,1,,,,,,,,,,,,,99.99,99.99,99.99,1", {"mode": 1}),
    "GSA without a mode": ("GPGSA,A,,,,,,,,,,,,,,,,", {}),
    "GST": ("GPGST,,,,,,,,", {}),
    "VTG": ("GPVTG,,,,,,,,,N", {}),
    "VTG with letters": ("GPVTG,,T,,M,,N,,K,N", {}),
    "ZDA": ("GPZDA,,,,,,", {}),
    "ZDA with a time": ("GPZDA,193913.00,,,,00,00", {"time_ms": 70_753_000}),
    "GSV": ("GPGSV,1,1,00", {"view": View(1, 1, "", ())}),
    "GSV of NMEA 4.1": ("GPGSV,1,1,00,1", {"view": View(1, 1, "1", ())}),
}


@pytest.mark.parametrize(("body", "said"), EMPTY.values(), ids=EMPTY.keys())
def test_a_receiver_before_its_first_fix_says_nothing_but_that(body: str, said: dict[str, Any]) -> None:
    assert values(read(body)) == said | {"talker": body[:2], "type": body[2:5]}


VOID = {
    "GGA of quality 0": placed(GGA, 6, "0"),
    "GGA without quality": placed(GGA, 6, ""),
    "RMC of status V": placed(RMC, 2, "V"),
    "RMC without status": placed(RMC, 2, ""),
    "RMC of mode N": f"{RMC},N",
    "GLL of status V": placed(GLL, 6, "V"),
    "GLL of mode N": placed(GLL, 7, "N"),
    "GNS of mode N": placed(GNS, 6, "N"),
    "GNS of mode N for each system": placed(GNS, 6, "NNNN"),
    "GNS without a mode": placed(GNS, 6, ""),
}
GOOD = {
    "GGA of quality 2, differential": placed(GGA, 6, "2"),
    "GGA of quality 4, fixed": placed(GGA, 6, "4"),
    "GGA of quality 6, dead reckoning": placed(GGA, 6, "6"),
    "RMC of mode A": f"{RMC},A",
    "RMC of mode D": f"{RMC},D",
    # u-blox and Furuno say navigation status V for good fixes: they are not certified for safety of navigation
    "RMC of navigation status V": f"{RMC},A,V",
    "GLL of NMEA 2.0": GLL.removesuffix(","),
    "GNS of one system only": placed(GNS, 6, "NDD"),
}


@pytest.mark.parametrize("body", VOID.values(), ids=VOID.keys())
def test_a_receiver_that_says_that_it_has_no_fix_is_believed(body: str) -> None:
    assert read(body).valid is False


@pytest.mark.parametrize("body", GOOD.values(), ids=GOOD.keys())
def test_a_receiver_that_says_that_it_has_a_fix_is_believed(body: str) -> None:
    assert read(body).valid is True


def test_a_reader_that_ignores_v_would_be_noticed() -> None:
    def ignores_v(body: str) -> bool | None:
        sentence = read(body)
        return sentence.lat is not None if sentence.type != "GSA" else None

    assert all(ignores_v(body) for body in GOOD.values())
    assert any(ignores_v(body) for body in VOID.values())


VTGS = {
    "knots": ("GPVTG,054.7,T,034.4,M,005.5,N,010.2,K", 2.8294444444, 54.7),
    "kilometres an hour, where there are no knots": ("GPVTG,054.7,T,,M,,N,3.6,K", 1.0, 54.7),
    "of a receiver at rest, without a track": ("GPVTG,,T,,M,0.029,N,0.053,K,A", 0.0149188889, None),
    # NMEA 0183 up to 2.0: track, magnetic track, knots, kilometres an hour
    "without letters": ("GPVTG,054.7,034.4,005.5,010.2", 2.8294444444, 54.7),
    "without letters and knots": ("GPVTG,054.7,034.4,,3.6", 1.0, 54.7),
    "not valid": ("GPVTG,054.7,T,034.4,M,005.5,N,010.2,K,N", None, None),
}


@pytest.mark.parametrize(("body", "speed_mps", "track_deg"), VTGS.values(), ids=VTGS.keys())
def test_vtg_says_speed_and_track(body: str, speed_mps: float | None, track_deg: float | None) -> None:
    sentence = read(body)
    assert sentence.speed_mps == pytest.approx(speed_mps, abs=1e-9)
    assert sentence.track_deg == track_deg
    assert (sentence.time_ms, sentence.valid) == (None, None)


GSAS = {
    "of several constellations": ("GNGSA,A,3,80,70,73,,,,,,,,,,1.71,1.01,1.38", 3, 1.01, "glonass", (80, 70, 73)),
    "of NMEA 4.1": ("GNGSA,A,3,04,05,36,,,,,,,,,,1.5,1.3,1.0,3", 3, 1.3, "galileo", (4, 5, 36)),
    "of BeiDou, of NMEA 4.1": ("GNGSA,A,2,11,12,,,,,,,,,,,1.5,1.2,1.0,4", 2, 1.2, "beidou", (11, 12)),
    "of SiRF, with a number behind": ("GPGSA,A,3,12,25,,,,,,,,,,,2.6,1.9,1.8,0.0", 3, 1.9, "gps", (12, 25)),
    "without dilutions": ("GPGSA,A,2,02,04,27,,,,,,,,,,,,", 2, None, "gps", (2, 4, 27)),
    "with the horizontal one alone": ("GPGSA,A,2,02,04,27,,,,,,,,,,,5.3,", 2, 5.3, "gps", (2, 4, 27)),
    "with 24 satellites": ("GNGSA,A,3," + "02," * 24 + "1.6,1.0,1.3", 3, 1.0, "gps", (2,) * 24),
}


@pytest.mark.parametrize(("body", "mode", "hdop", "system", "numbers"), GSAS.values(), ids=GSAS.keys())
def test_gsa_says_the_mode_and_what_is_used(
    body: str, mode: int, hdop: float | None, system: str, numbers: tuple[int, ...]
) -> None:
    sentence = read(body)
    assert (sentence.mode, sentence.hdop, sentence.valid) == (mode, hdop, None)
    assert sentence.used == tuple(Number(system, number) for number in numbers)


def test_gst_needs_both_deviations() -> None:
    assert read("GPGST,024603.00,,,,,3.0,4.0,5.0").accuracy_m == 5.0, "3, 4, 5"
    assert read("GPGST,024603.00,,,,,3.0,,5.0").accuracy_m is None
    assert read("GPGST,024603.00,,,,,,4.0,5.0").accuracy_m is None


def test_gsv_says_unknown_angles_and_strengths_as_such() -> None:
    sentence = read("GLGSV,3,3,10,68,06,033,31,71,,,18,76,29,308,,,,,,1")
    assert sentence.view is not None
    assert (sentence.view.part, sentence.view.parts, sentence.view.signal) == (3, 3, "1")
    assert sentence.view.satellites == (
        Satellite(Number("glonass", 68), "1", 6, 33, 31),
        Satellite(Number("glonass", 71), "1", None, None, 18),
        Satellite(Number("glonass", 76), "1", 29, 308, None),
    )


# PQ is the talker of Quectel's modems for BeiDou and QZSS (146 of them in quectel-eg25-g.log)
@pytest.mark.parametrize("body", ["PQGSV,1,1,01,24,64,110,36", "PQGSA,A,3,24,,,,,,,,,,,,1.5,1.3,1.0"])
def test_a_talker_may_begin_with_the_letter_of_the_proprietary_ones(body: str) -> None:
    sentence = read(body)
    assert (sentence.talker, sentence.type) == ("PQ", body[2:5])
    assert sentence.view is not None or sentence.used


MADE_UP = {
    "GGA": (GGA, 6, "8"),
    "GGA, by hand": (GGA, 6, "7"),
    "RMC": (RMC + ",S", 12, "S"),
    "RMC, by hand": (RMC + ",M", 12, "M"),
    "GLL": (GLL + "S", 7, "S"),
    "GNS": (GNS, 6, "NS"),
}


@pytest.mark.parametrize(("body", "place", "quality"), MADE_UP.values(), ids=MADE_UP.keys())
def test_a_position_that_was_made_up_is_told_as_such(body: str, place: int, quality: str) -> None:
    told = read(placed(body, place, quality))
    assert told.made_up
    assert told.valid, "it is a fix all the same"
    for other in ("6", "E", "A", "1", "N"):
        if other.isdigit() == quality.isdigit():
            assert not read(placed(body, place, other)).made_up


ANTENNAS = {
    "u-blox, good": ("GNTXT,01,01,02,ANTSTATUS=OK", "ok"),
    "u-blox, open": ("GNTXT,01,01,02,ANTSTATUS=OPEN", "open"),
    "u-blox, short": ("GPTXT,01,01,02,ANTSTATUS=SHORT", "short"),
    "u-blox, at the start": ("GNTXT,01,01,02,ANTSTATUS=INIT", "unknown"),
    "u-blox, without means": ("GNTXT,01,01,02,ANTSTATUS=DONTKNOW", "unknown"),
    "AT6558, as in quectel-l76k-dual.log": ("GNTXT,01,01,01,ANTENNA OPEN", "open"),
    "AT6558, good": ("GPTXT,01,01,01,ANTENNA OK", "ok"),
    "Quectel, good": ("PQTMANTENNASTATUS,3,1,1,0", "ok"),
    "Quectel, open": ("PQTMANTENNASTATUS,3,2,1,0", "open"),
    "Quectel, short": ("PQTMANTENNASTATUS,3,3,1,0", "short"),
    "Quectel, unknown": ("PQTMANTENNASTATUS,3,0,1,0", "unknown"),
    "Quectel, cut short": ("PQTMANTENNASTATUS", None),
    "Quectel, cut off before the status": ("PQTMANTENNASTATUS,3", None),
    "other words": ("GNTXT,01,01,02,u-blox AG - www.u-blox.com", None),
    "words about an antenna": ("GNTXT,01,01,02,NO ANTENNA OPEN", None),
    "no words": ("GNTXT,01,01,02", None),
}


@pytest.mark.parametrize(("body", "antenna"), ANTENNAS.values(), ids=ANTENNAS.keys())
def test_what_it_says_of_its_antenna_is_heard(body: str, antenna: str | None) -> None:
    assert read(body).antenna == antenna


@pytest.mark.parametrize("body", ["PUBX,00", "PMTK001,220,3", "PGRME,15.0,M,22.5,M,26.9,M", "PSTI,00,2", "P"])
def test_what_manufacturers_add_is_named_by_its_first_field(body: str) -> None:
    assert values(read(body)) == {"type": body.partition(",")[0], "talker": ""}


@pytest.mark.parametrize("body", ["GPRTE,1,1,c,", "GPHDT,,T", "GNGBS,,,", "XX,1", "GP", "ABC"])
def test_a_sentence_that_nobody_reads_is_a_sentence_all_the_same(body: str) -> None:
    name = body.partition(",")[0]
    assert values(read(body)) == {"talker": name[:2], "type": name[2:]}


# --- what is refused -------------------------------------------------------------------------------------------------

REFUSED = {
    "GGA cut off": ("GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9", "too short"),
    "RMC cut off": ("GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4", "too short"),
    "GLL cut off": ("GPGLL,4916.45,N,12311.12,W,225444", "too short"),
    "GNS cut off": ("GNGNS,014035.00,4332.69262,S,17235.48549,E,RR,13,0.9,25.63", "too short"),
    "GSA cut off": ("GPGSA,A,3", "too short"),
    "GST cut off": ("GPGST,024603.00,3.2,6.6,4.7,47.3,5.8", "too short"),
    "VTG cut off": ("GPVTG,054.7,T,034.4", "too short"),
    "ZDA cut off": ("GPZDA,160012.71,11,03", "too short"),
    "GSV cut off": ("GPGSV,2,1", "too short"),
    "no hemisphere": (placed(GGA, 3, ""), "malformed"),
    "no latitude": (placed(RMC, 3, ""), "malformed"),
    "sixty minutes": (placed(GLL, 1, "4960.00"), "malformed"),
    "beyond the pole": (placed(GNS, 2, "9000.001"), "out of range"),
    "the hour 24": (placed(GGA, 1, "240000"), "malformed"),
    "a negative count of satellites": (placed(GGA, 7, "-8"), "malformed"),
    "a thousand satellites": (placed(GNS, 7, "1000"), "malformed"),
    "a negative dilution": (placed(GGA, 8, "-0.9"), "out of range"),
    "below the centre of the earth": (placed(GGA, 9, "-6400000"), "out of range"),
    "a separation in words": (placed(GGA, 11, "much"), "malformed"),
    "backwards": (placed(RMC, 7, "-1.0"), "out of range"),
    "faster than any rocket": (placed(RMC, 7, "20000"), "out of range"),
    "a track beyond the circle": (placed(RMC, 8, "361.0"), "out of range"),
    "the 30th of February": (placed(RMC, 9, "300294"), "out of range"),
    "a mode of GSA that is not": (placed(GSA, 2, "4"), "out of range"),
    "a mode of GSA in words": (placed(GSA, 2, "D"), "malformed"),
    "half a satellite": (placed(GSA, 3, "4.5"), "malformed"),
    "a negative deviation": (placed(GST, 6, "-1.0"), "out of range"),
    "a deviation without end": (placed(GST, 7, "1e9"), "malformed"),
    "a month in words": (placed(ZDA, 3, "MAR"), "malformed"),
    "the month 13": (placed(ZDA, 3, "13"), "out of range"),
    "a year of two digits": (placed(ZDA, 4, "04"), "out of range"),
    "a negative day": (placed(ZDA, 2, "-1"), "malformed"),
    "the part 3 of 2": (placed(GSV, 2, "3"), "out of range"),
    "the part 0": (placed(GSV, 2, "0"), "out of range"),
    "a group without a number": (placed(GSV, 1, ""), "out of range"),
    "a satellite in words": (placed(GSV, 4, "G01"), "malformed"),
    "an elevation in words": (placed(GSV, 5, "high"), "malformed"),
    "a negative strength": (placed(GSV, 7, "-46"), "malformed"),
    "an azimuth of a thousand degrees": (placed(GSV, 6, "1000"), "out of range"),
    # NMEA 0183 has a group of nine sentences at most
    "a group of 999 sentences": (placed(GSV, 1, "999"), "out of range"),
    # NMEA 0183 has the qualities 0 to 8
    "a quality that is not": (placed(GGA, 6, "Z"), "malformed"),
    "a negative quality": (placed(GGA, 6, "-1"), "malformed"),
}


@pytest.mark.parametrize(("body", "kind"), REFUSED.values(), ids=REFUSED.keys())
def test_what_no_receiver_can_mean_is_refused(body: str, kind: str) -> None:
    assert refusal(framed(body)) == kind


SHORTEST = {
    "GGA": ("GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4", {"alt_m": 545.4}),
    "RMC": ("GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,230394", {"date": dt.date(1994, 3, 23)}),
    "GLL": ("GPGLL,4916.45,N,12311.12,W,225444,A", {"valid": True}),
    "GNS": ("GNGNS,014035.00,4332.69262,S,17235.48549,E,RR,13,0.9,25.63,11.24", {"geoid_m": 11.24}),
    "GSA": ("GPGSA,A,3,", {"mode": 3}),
    "GST": ("GPGST,024603.00,,,,,3.0,4.0", {"accuracy_m": 5.0}),
    "VTG": ("GPVTG,054.7,034.4,,3.6", {"speed_mps": 1.0}),
    "ZDA": ("GPZDA,160012.71,11,03,2004", {"date": dt.date(2004, 3, 11)}),
    "GSV": ("GPGSV,1,1,00", {"view": View(1, 1, "", ())}),
}


@pytest.mark.parametrize(("body", "said"), SHORTEST.values(), ids=SHORTEST.keys())
def test_a_sentence_needs_no_more_fields_than_are_read(body: str, said: dict[str, Any]) -> None:
    """Old editions of NMEA 0183 have fewer, and some receivers leave the last ones out."""
    told = values(read(body))
    assert {name: told[name] for name in said} == {
        name: pytest.approx(value) if isinstance(value, float) else value for name, value in said.items()
    }


@given(st.sampled_from([*CHECKSUMS]), st.data())
def test_a_sentence_of_any_fields_is_read_or_refused(body: str, data: st.DataObject) -> None:
    """Whatever stands between the commas, the checksum being right."""
    printable = st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters="*$")
    fields = st.lists(st.sampled_from([*body.split(",")[1:], ""]) | st.text(printable, max_size=8), max_size=24)
    line = framed(",".join([body[:5], *data.draw(fields)])[:117])
    try:
        sentence = parse(line)
    except SentenceError as error:
        sentence = Sentence("", error.kind)
    numbers = [value for value in values(sentence).values() if isinstance(value, float)]
    assert all(math.isfinite(number) for number in numbers)


# --- the judges: pynmea2 and pynmeagps -------------------------------------------------------------------------------

_TIMES = st.times().map(lambda time: f"{time:%H%M%S}.{time.microsecond // 10_000:02}")
_LAT = st.tuples(st.integers(0, 89), st.integers(0, 5_999_999), st.sampled_from("NS"))
_LON = st.tuples(st.integers(0, 179), st.integers(0, 5_999_999), st.sampled_from("EW"))
_PLACES = st.builds(
    lambda lat, lon: (
        f"{lat[0]:02}{lat[1] // 10**5:02}.{lat[1] % 10**5:05},{lat[2]}"
        f",{lon[0]:03}{lon[1] // 10**5:02}.{lon[1] % 10**5:05},{lon[2]}"
    ),
    _LAT,
    _LON,
)  # fmt: skip
_TENTHS = st.integers(0, 9_999).map(lambda tenths: f"{tenths / 10:.1f}")
_TRACKS = st.integers(0, 35_999).map(lambda hundredths: f"{hundredths / 100:06.2f}")
_HEIGHTS = st.integers(-9_999, 99_999).map(lambda tenths: f"{tenths / 10:.1f}")
_DOPS = st.integers(50, 5_000).map(lambda hundredths: f"{hundredths / 100:.2f}")
_COUNTS = st.integers(0, 40).map(lambda count: f"{count:02}")
_DATES = st.dates(dt.date(1980, 1, 6), dt.date(2068, 12, 31))
"""To 2068: strptime, by which both judges read them, takes 69 for 1969."""
_TALKERS = st.sampled_from(TALKERS)


def judged(body: str) -> tuple[Sentence, Any, Any]:
    """What we read, and what pynmea2 and pynmeagps read."""
    line = framed(body)
    return parse(line), pynmea2.parse(line.decode(), check=True), NMEAReader.parse(line + b"\r\n")


def told_ms(time: dt.time) -> int:
    return ((time.hour * 60 + time.minute) * 60 + time.second) * 1000 + time.microsecond // 1000


def same(ours: float | None, *theirs: object) -> bool:
    """Whether the judges have that value too; they have it as text, or as a number."""
    return all(ours == pytest.approx(float(str(each)), abs=1e-9) for each in theirs)


def same_place(ours: Sentence, one: Any, other: Any) -> None:
    assert same(ours.lat, one.latitude, other.lat)
    assert same(ours.lon, one.longitude, other.lon)
    assert ours.time_ms == told_ms(one.timestamp) == told_ms(other.time)
    assert (ours.talker, ours.type) == (one.talker, one.sentence_type) == (other.talker, other.msgID)


@given(_TALKERS, _TIMES, _PLACES, st.integers(0, 8), _COUNTS, _DOPS, _HEIGHTS, _HEIGHTS)
def test_gga_as_the_judges_read_it(
    talker: str, time: str, place: str, quality: int, count: str, dop: str, height: str, geoid: str
) -> None:
    ours, one, other = judged(f"{talker}GGA,{time},{place},{quality},{count},{dop},{height},M,{geoid},M,,")
    same_place(ours, one, other)
    assert ours.valid == (one.gps_qual != 0) == (other.quality != 0)
    assert ours.satellites == int(one.num_sats) == other.numSV
    assert same(ours.alt_m, one.altitude, other.alt)
    assert same(ours.geoid_m, one.geo_sep, other.sep)
    assert same(ours.hdop, one.horizontal_dil, other.HDOP)


@given(_TALKERS, _TIMES, _PLACES, st.sampled_from("AV"), _TENTHS, _TRACKS, _DATES)
def test_rmc_as_the_judges_read_it(
    talker: str, time: str, place: str, status: str, knots: str, track: str, date: dt.date
) -> None:
    ours, one, other = judged(f"{talker}RMC,{time},{status},{place},{knots},{track},{date:%d%m%y},,,A")
    same_place(ours, one, other)
    assert ours.valid == (one.status == "A") == (other.status == "A")
    assert ours.speed_mps == pytest.approx(float(one.spd_over_grnd) * KNOT_MPS, abs=1e-9)
    assert ours.speed_mps == pytest.approx(other.spd * KNOT_MPS, abs=1e-9)
    assert same(ours.track_deg, one.true_course, other.cog)
    assert ours.date == one.datestamp == other.date == date


@given(_TALKERS, _TIMES, _PLACES, st.sampled_from("AV"))
def test_gll_as_the_judges_read_it(talker: str, time: str, place: str, status: str) -> None:
    ours, one, other = judged(f"{talker}GLL,{place},{time},{status},A")
    same_place(ours, one, other)
    assert ours.valid == (one.status == "A") == (other.status == "A")


@given(_TALKERS, _TIMES, _PLACES, st.text("ANDFR", min_size=1, max_size=6), _COUNTS, _DOPS, _HEIGHTS, _HEIGHTS)
def test_gns_as_the_judges_read_it(
    talker: str, time: str, place: str, modes: str, count: str, dop: str, height: str, geoid: str
) -> None:
    ours, one, other = judged(f"{talker}GNS,{time},{place},{modes},{count},{dop},{height},{geoid},,")
    same_place(ours, one, other)
    assert ours.valid == (set(one.mode_indicator) != {"N"}) == (set(other.posMode) != {"N"})
    assert ours.satellites == int(one.num_sats) == other.numSV
    assert same(ours.alt_m, one.altitude, other.alt)
    assert same(ours.geoid_m, one.geo_sep, other.sep)
    assert same(ours.hdop, one.hdop, other.HDOP)


@given(_TALKERS, st.integers(1, 3), st.lists(st.integers(1, 99), max_size=12), _DOPS)
def test_gsa_as_the_judges_read_it(talker: str, mode: int, numbers: list[int], dop: str) -> None:
    satellites = ",".join([*(f"{number:02}" for number in numbers), *[""] * (12 - len(numbers))])
    ours, one, other = judged(f"{talker}GSA,A,{mode},{satellites},9.9,{dop},9.9")
    assert ours.mode == int(one.mode_fix_type) == other.navMode
    assert same(ours.hdop, one.hdop, other.HDOP)
    theirs = [getattr(one, f"sv_id{place:02}") for place in range(1, 13)]
    others = [getattr(other, f"svid_{place:02}") for place in range(1, 13)]
    assert [each.number for each in ours.used] == [int(each) for each in theirs if each]
    assert [each.number for each in ours.used] == [each for each in others if each != ""]


@given(_TALKERS, _TIMES, _TENTHS, _TENTHS)
def test_gst_as_the_judges_read_it(talker: str, time: str, north: str, east: str) -> None:
    ours, one, other = judged(f"{talker}GST,{time},1.0,,,,{north},{east},9.0")
    assert ours.time_ms == told_ms(one.timestamp) == told_ms(other.time)
    if 0.0 in (other.stdLat, other.stdLong):
        assert ours.accuracy_m is None, "nobody is that good"
        return
    assert same(ours.accuracy_m, math.hypot(float(one.std_dev_latitude), float(one.std_dev_longitude)))
    assert same(ours.accuracy_m, math.hypot(other.stdLat, other.stdLong))


@given(_TALKERS, _TRACKS, _TENTHS)
def test_vtg_as_the_judges_read_it(talker: str, track: str, knots: str) -> None:
    ours, one, other = judged(f"{talker}VTG,{track},T,,M,{knots},N,9.9,K,A")
    assert same(ours.track_deg, one.true_track, other.cogt)
    assert ours.speed_mps == pytest.approx(float(one.spd_over_grnd_kts) * KNOT_MPS, abs=1e-9)
    assert ours.speed_mps == pytest.approx(other.sogn * KNOT_MPS, abs=1e-9)


@given(_TALKERS, _TIMES, _DATES)
def test_zda_as_the_judges_read_it(talker: str, time: str, date: dt.date) -> None:
    ours, one, other = judged(f"{talker}ZDA,{time},{date:%d,%m,%Y},00,00")
    assert ours.time_ms == told_ms(one.timestamp) == told_ms(other.time)
    assert ours.date == dt.date(one.year, one.month, one.day) == dt.date(other.year, other.month, other.day)


_SEEN = st.tuples(st.integers(1, 99), st.integers(0, 90), st.integers(0, 359), st.integers(0, 99))


@given(_TALKERS, st.integers(1, 9), st.lists(_SEEN, min_size=1, max_size=4))
def test_gsv_as_the_judges_read_it(talker: str, part: int, seen: list[tuple[int, int, int, int]]) -> None:
    told = ",".join(f"{number:02},{elevation:02},{azimuth:03},{cn0:02}" for number, elevation, azimuth, cn0 in seen)
    ours, one, other = judged(f"{talker}GSV,9,{part},36,{told}")
    assert ours.view is not None
    assert (
        (ours.view.part, ours.view.parts) == (int(one.msg_num), int(one.num_messages)) == (other.msgNum, other.numMsg)
    )
    for place, satellite in enumerate(ours.view.satellites, start=1):
        we_say = satellite.id.number, satellite.elevation_deg, satellite.azimuth_deg, satellite.cn0_dbhz
        names = ("sv_prn_num", "elevation_deg", "azimuth"), ("svid", "elv", "az", "cno")
        they_say = [int(getattr(one, f"{name}_{place}")) for name in (*names[0], "snr")]
        others_say = [getattr(other, f"{name}_{place:02}") for name in names[1]]
        assert list(we_say) == they_say == others_say
    assert len(ours.view.satellites) == len(seen)
