import datetime

from hypothesis import given
from hypothesis import strategies as st

from bondmate_sim.sky import SATELLITES, System, look

NOON = datetime.datetime(2026, 11, 20, 12, 0, 0, tzinfo=datetime.UTC)
TIMES = st.timedeltas(datetime.timedelta(days=-5_000), datetime.timedelta(days=5_000)).map(NOON.__add__)


def test_the_sky_has_satellites_of_several_systems_and_not_all_are_used() -> None:
    assert 12 <= len(SATELLITES) <= 16
    used = {one.system for one in SATELLITES if one.part == "used"}
    assert used == {System.GPS, System.GLONASS, System.GALILEO, System.BEIDOU}
    assert 0 < sum(one.part != "used" for one in SATELLITES) < len(SATELLITES) / 2
    assert len({(one.system, one.number) for one in SATELLITES}) == len(SATELLITES)


@given(TIMES)
def test_every_satellite_stands_over_the_horizon_and_the_higher_is_the_stronger(utc: datetime.datetime) -> None:
    sky = look(utc)
    assert [sighting.satellite for sighting in sky] == list(SATELLITES)
    for sighting in sky:
        assert 5 <= sighting.elevation_deg <= 90
        assert 0 <= sighting.azimuth_deg <= 359
        assert (sighting.cn0_dbhz is None) == (sighting.satellite.part == "expected")
        assert sighting.cn0_dbhz is None or 20 <= sighting.cn0_dbhz <= 55
    heard = sorted((one.elevation_deg, one.cn0_dbhz) for one in sky if one.cn0_dbhz is not None)
    low, high = [cn0 for _, cn0 in heard[:4]], [cn0 for _, cn0 in heard[-4:]]
    assert max(low) < min(high) + 4
    assert len({sighting.cn0_dbhz for sighting in sky}) > 6, "they differ"


@given(TIMES)
def test_the_same_time_is_the_same_sky_and_a_second_later_hardly_another(utc: datetime.datetime) -> None:
    assert look(utc) == look(utc)
    for before, after in zip(look(utc), look(utc + datetime.timedelta(seconds=1)), strict=True):
        assert abs(after.elevation_deg - before.elevation_deg) <= 1
        assert (after.azimuth_deg - before.azimuth_deg) % 360 in (0, 1, 359)
        if before.cn0_dbhz is not None and after.cn0_dbhz is not None:
            assert abs(after.cn0_dbhz - before.cn0_dbhz) <= 1


def test_it_drifts() -> None:
    now, later = look(NOON), look(NOON + datetime.timedelta(hours=3))
    moved = [one.satellite.system for one, other in zip(now, later, strict=True) if one != other]
    assert len(moved) >= len(SATELLITES) - 1
    minute = [look(NOON + datetime.timedelta(seconds=second))[0].cn0_dbhz for second in range(80)]
    assert len(set(minute)) > 2, "signals fade within a minute"
