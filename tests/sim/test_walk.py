import datetime
from dataclasses import replace
from typing import get_args

import pynmea2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynmeagps import VALCKSUM, VALMSGID, NMEAMessage, NMEAReader

from bondmate_sim.programme import NMEA_40, NMEA_411, NMEA_MEDIATEK, TALKER, Edition, Programme, Sentence
from bondmate_sim.receiver_pmtk import FACTORY as FACTORY_PMTK
from bondmate_sim.receiver_pqtm import Pqtm
from bondmate_sim.receiver_ublox_m8 import FACTORY as FACTORY_M8
from bondmate_sim.receiver_ublox_m10 import M10Configuration
from bondmate_sim.sky import System
from bondmate_sim.walk import Motion, Point, parse_point, speak, walk

NOON = datetime.datetime(2026, 11, 20, 12, 0, 0, 250_000, datetime.UTC)
# One minute of arc along a meridian is 1,853.25 m on the mean sphere.
NORTHWARD = (Point(38.0, -9.0), Point(38.0 + 1 / 60, -9.0))
MINUTE_M = 1853.25


def test_the_walker_goes_there_and_back_at_its_pace() -> None:
    quarter_s = MINUTE_M / 4 / 1.4
    out, back = walk(NORTHWARD, quarter_s), walk(NORTHWARD, 7 * quarter_s)
    assert out.point.lat == pytest.approx(38 + 0.25 / 60, abs=1e-7)
    assert back.point.lat == pytest.approx(38 + 0.25 / 60, abs=1e-7)
    assert (out.track_deg, back.track_deg) == (0.0, 180.0)
    assert out.speed_mps == back.speed_mps == 1.4
    assert walk(NORTHWARD, 0).point == walk(NORTHWARD, 0.0).point == NORTHWARD[0]


def test_a_route_of_many_points_passes_each() -> None:
    route = (Point(0, 0), Point(0, 0.001), Point(0.001, 0.001))
    leg_s = 111.195 / 1.4  # a thousandth of a degree at the equator
    assert walk(route, leg_s / 2).track_deg == pytest.approx(90)
    assert walk(route, leg_s * 1.5).track_deg == pytest.approx(0, abs=0.001)
    assert walk(route, leg_s * 2.5).track_deg == pytest.approx(180)
    assert walk(route, leg_s * 3.5).track_deg == pytest.approx(270)


def test_one_point_is_a_standing_walker() -> None:
    assert walk((Point(38, -9),), 1000.0) == Motion(Point(38, -9), 0.0, 0.0)


def sentences(programme: Programme, epoch: int = 0, now: datetime.datetime = NOON) -> dict[str, list[NMEAMessage]]:
    """By name; each judged by pynmeagps, checksum and all."""
    spoken = speak(Motion(Point(38.72225, -9.13934), 1.4, 181.2), now, programme, epoch)
    assert spoken.endswith(b"\r\n")
    found: dict[str, list[NMEAMessage]] = {}
    for line in spoken.splitlines(keepends=True):
        message = NMEAReader.parse(line, validate=VALCKSUM | VALMSGID)
        found.setdefault(message.msgID, []).append(message)
    return found


def everything(edition: Edition = NMEA_411) -> Programme:
    return replace(TALKER, rates=dict.fromkeys(get_args(Sentence), 1), edition=edition)


def numbers(message: NMEAMessage) -> list[int]:
    """The satellites that a GSA or GSV names."""
    places = (getattr(message, f"svid_{place:02d}", "") for place in range(1, 13))
    return [int(number) for number in places if number != ""]


def test_an_independent_parser_reads_what_was_meant() -> None:
    lines = speak(Motion(Point(38.72225, -9.13934), 1.4, 181.2), NOON).decode("ascii").split("\r\n")
    assert lines.pop() == "", "each sentence ends with CR LF"
    by_name = {line[3:6]: pynmea2.parse(line, check=True) for line in lines}
    assert list(by_name) == ["GGA", "RMC", "GSA", "GSV", "GST", "VTG"]
    gga, rmc, gsa, _, gst, vtg = by_name.values()
    assert gga.latitude == pytest.approx(38.72225, abs=1e-7)
    assert gga.longitude == pytest.approx(-9.13934, abs=1e-7)
    assert (gga.num_sats, float(gga.horizontal_dil), gga.gps_qual) == ("11", 0.9, 1)
    assert rmc.datetime.replace(tzinfo=datetime.UTC) == NOON
    assert (rmc.status, rmc.mode_indicator, rmc.nav_status) == ("A", "A", "V")
    assert rmc.spd_over_grnd == pytest.approx(1.4 / 0.514444, abs=0.01)
    assert rmc.true_course == 181.2
    assert (gsa.mode_fix_type, gsa.hdop) == ("3", "0.9")
    assert 1 < gst.std_dev_latitude < 5
    assert vtg.spd_over_grnd_kmph == pytest.approx(5.04, abs=0.01)


def test_gll_zda_and_gns_say_the_same_place_and_time() -> None:
    said = sentences(everything())
    [gll], [zda], [gns] = said["GLL"], said["ZDA"], said["GNS"]
    assert (gll.lat, gll.lon) == (gns.lat, gns.lon) == pytest.approx((38.72225, -9.13934), abs=1e-7)
    assert gll.time == gns.time == zda.time == NOON.time()
    assert (zda.day, zda.month, zda.year) == (20, 11, 2026)
    assert (gll.status, gns.posMode, gns.numSV, gns.navStatus) == ("A", "AAAA", 11, "V")


def test_each_system_has_its_satellites_under_its_talker_its_identifier_and_its_signal() -> None:
    said = sentences(TALKER)
    assert {one.talker for name in ("GGA", "RMC", "GSA", "GST", "VTG") for one in said[name]} == {"GN"}
    # NMEA 4.11: GPS 1, GLONASS 2, Galileo 3, BeiDou 4; L1 C/A 1, G1 1, E1 7, B1C 3.
    assert [(one.systemId, numbers(one)) for one in said["GSA"]] == [
        ("1", [5, 7, 13, 20, 28]), ("2", [67, 77]), ("3", [4, 11, 27]), ("4", [21]),
    ]  # fmt: skip
    assert [(one.talker, one.msgNum, one.numMsg, one.numSV, one.signalID) for one in said["GSV"]] == [
        ("GP", 1, 2, 7, "1"), ("GP", 2, 2, 7, "1"), ("GL", 1, 1, 3, "1"), ("GA", 1, 1, 3, "7"), ("GB", 1, 1, 2, "3"),
    ]  # fmt: skip
    assert [numbers(one) for one in said["GSV"]] == [
        [5, 7, 13, 20], [28, 30, 49], [67, 77, 84], [4, 11, 27], [21, 34],
    ]  # fmt: skip
    assert said["GSV"][4].cno_02 == "", "expected, and not heard"
    used = sum(len(numbers(one)) for one in said["GSA"])
    assert used == said["GGA"][0].numSV


def test_systems_that_are_off_disappear() -> None:
    said = sentences(replace(everything(), systems=frozenset((System.GPS, System.GALILEO))))
    assert [one.systemId for one in said["GSA"]] == ["1", "3"]
    assert [one.talker for one in said["GSV"]] == ["GP", "GP", "GA"]
    assert numbers(said["GSV"][1]) == [28, 30], "without SBAS"
    assert (said["GGA"][0].numSV, said["GNS"][0].posMode) == (8, "ANAN")


def test_one_system_alone_speaks_under_its_own_talker() -> None:
    for system, talker in ((System.GPS, "GP"), (System.GALILEO, "GA")):
        said = sentences(replace(everything(), systems=frozenset((system, System.QZSS))))
        assert {one.talker for messages in said.values() for one in messages} == {talker}


def test_older_editions_have_no_identifiers_and_call_satellites_otherwise() -> None:
    forty, mediatek = sentences(everything(NMEA_40)), sentences(everything(NMEA_MEDIATEK))
    raw = speak(Motion(Point(38.7, -9.1), 1.4, 181.2), NOON, everything(NMEA_40)).decode()
    [rmc] = [line for line in raw.splitlines() if "RMC" in line]
    assert rmc.partition("*")[0].endswith(",,,A"), "no navigational status"
    assert [(one.talker, numbers(one)) for one in forty["GSA"]] == [("GN", [5, 7, 13, 20, 28]), ("GN", [67, 77])]
    assert {one.talker for one in forty["GSV"]} == {"GP", "GL"}, "Galileo and BeiDou came with 4.10"
    assert forty["GGA"][0].numSV == 11, "but they count"
    assert [(one.talker, numbers(one)) for one in mediatek["GSA"]] == [
        ("GP", [5, 7, 13, 20, 28]), ("GL", [67, 77]), ("GA", [304, 311, 327]), ("BD", [221]),
    ]  # fmt: skip
    for messages in (forty, mediatek):
        assert all(getattr(one, "systemId", "") == "" for one in messages["GSA"])
        assert all(getattr(one, "signalID", "") == "" for one in messages["GSV"])


def test_sentences_come_in_their_turn_only() -> None:
    programme = replace(TALKER, rates={"GGA": 1, "GSV": 5, "RMC": 0})
    assert set(sentences(programme, 0)) == {"GGA", "GSV"}
    for epoch in range(1, 5):
        assert set(sentences(programme, epoch)) == {"GGA"}
    assert set(sentences(programme, 5)) == {"GGA", "GSV"}
    assert speak(Motion(Point(0, 0), 0, 0), NOON, replace(TALKER, rates={})) == b""


@pytest.mark.parametrize(
    "programme", [TALKER, M10Configuration().programme, FACTORY_M8, FACTORY_PMTK, Pqtm().programme]
)
def test_an_epoch_fits_into_a_second_of_9600_baud(programme: Programme) -> None:
    longest = Motion(Point(-38.72225, -109.13934), 22.222, 359.9)
    assert 300 < len(speak(longest, NOON, programme)) <= 960


@given(st.floats(-89, 89), st.floats(-180, 180))
def test_every_place_on_earth_keeps_its_position(lat: float, lon: float) -> None:
    gga = pynmea2.parse(speak(Motion(Point(lat, lon), 0, 0), NOON).split(b"\r\n")[0].decode(), check=True)
    assert gga.latitude == pytest.approx(lat, abs=1.7e-7)
    assert gga.longitude == pytest.approx(lon, abs=1.7e-7)
    assert float(gga.lat[2:]) < 60 > float(gga.lon[3:])


def test_points_are_read_strictly() -> None:
    assert parse_point("-33.9,18.4") == Point(-33.9, 18.4)
    for bad in ("38.7", "north,west", "91,0", "0,181", "nan,0", "1,2,3"):
        with pytest.raises(ValueError, match=r".+"):
            parse_point(bad)
