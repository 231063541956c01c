import datetime

import pynmea2
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def test_an_independent_parser_reads_what_was_meant() -> None:
    lines = speak(Motion(Point(38.72225, -9.13934), 1.4, 181.2), NOON).decode("ascii").split("\r\n")
    assert lines.pop() == "", "each sentence ends with CR LF"
    gga, rmc, gsa, gst, vtg = (pynmea2.parse(line, check=True) for line in lines)
    assert gga.latitude == pytest.approx(38.72225, abs=1e-7)
    assert gga.longitude == pytest.approx(-9.13934, abs=1e-7)
    assert (gga.num_sats, float(gga.horizontal_dil), gga.gps_qual) == ("09", 0.9, 1)
    assert rmc.datetime.replace(tzinfo=datetime.UTC) == NOON
    assert (rmc.status, rmc.mode_indicator) == ("A", "A")
    assert rmc.spd_over_grnd == pytest.approx(1.4 / 0.514444, abs=0.01)
    assert rmc.true_course == 181.2
    assert (gsa.mode_fix_type, gsa.hdop) == ("3", "0.9")
    assert sum(bool(getattr(gsa, f"sv_id{number:02d}")) for number in range(1, 13)) == 9
    assert 1 < gst.std_dev_latitude < 5
    assert vtg.spd_over_grnd_kmph == pytest.approx(5.04, abs=0.01)


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
