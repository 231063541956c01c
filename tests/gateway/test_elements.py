import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate_sim.gateway import cbor, elements


def packed(lat: int = 0, lon: int = 0, accuracy: int = 255, age: int = 0, flags: int = 0) -> bytes:
    return lat.to_bytes(4, "big", signed=True) + lon.to_bytes(4, "big", signed=True) + bytes([accuracy, age, flags])


def test_a_clock_counts_seconds_and_256ths_and_names_source_and_uncertainty() -> None:
    read = elements.clock((1_700_000_000).to_bytes(4, "big") + bytes([128, 1 << 6 | 4]))
    assert read == elements.Clock(1_700_000_000_500, "gnss", 16)


@pytest.mark.parametrize(("quality", "source", "uncertainty_ms"), [(0x80, "network", 1), (0xFF, "system", None)])
def test_the_quality_of_a_clock(quality: int, source: str, uncertainty_ms: int | None) -> None:
    assert elements.clock(bytes([0, 0, 0, 0, 0, quality])) == elements.Clock(0, source, uncertainty_ms)


def test_the_last_256th_of_a_second_stays_in_its_second() -> None:
    assert elements.clock(bytes([0, 0, 0, 0, 255, 0x40])).utc_ms == 996


def test_a_short_fix() -> None:
    read = elements.fix(packed(387_222_520, -91_393_370, 0, 0, 1))
    assert (read.lat, read.lon) == (38.722252, -9.139337)
    assert (read.accuracy_m, read.age_s, read.age_open) == (0.0, 0.0, False)
    assert read.three_dimensional
    assert (read.suspect, read.coarse) == ((), False)
    assert (read.alt_m, read.speed_mps, read.track_deg, read.hdop, read.satellites) == (None,) * 5


def test_the_accuracy_code_is_that_of_3gpp_ts_23_032() -> None:
    # The specification's own table: K = 1 is 1 m, K = 20 is 57.3 m, K = 127 is 1800 km.
    assert elements.fix(packed(accuracy=1)).accuracy_m == pytest.approx(1.0)
    assert elements.fix(packed(accuracy=20)).accuracy_m == pytest.approx(57.3, abs=0.05)
    assert elements.fix(packed(accuracy=127)).accuracy_m == pytest.approx(1_800_000, rel=0.01)
    assert elements.fix(packed(accuracy=255)).accuracy_m is None


@pytest.mark.parametrize(
    ("code", "age_s"), [(0, 0.0), (1, 1.125 / 1024), (8, 2 / 1024), (80, 1.0), (84, 1.5), (127, 60.0), (248, 2**21)]
)
def test_the_age_code_is_that_of_rfc_5497(code: int, age_s: float) -> None:
    read = elements.fix(packed(age=code))
    assert read.age_s == age_s
    assert not read.age_open


def test_the_last_age_code_means_or_more() -> None:
    assert elements.fix(packed(age=255)).age_open


def test_each_flag_has_its_word() -> None:
    read = elements.fix(packed(flags=0b1111_1110))
    assert read.suspect == ("jump", "time_backwards", "frozen", "equal_signal", "antenna_open", "made_up")
    assert read.coarse
    assert not read.three_dimensional


def test_a_long_fix() -> None:
    read = elements.fix(packed(flags=1) + bytes.fromhex("ffff85 0028 46d3 09 0b"))
    assert (read.alt_m, read.speed_mps, read.track_deg, read.hdop, read.satellites) == (-12.3, 0.4, 181.31, 0.9, 11)


def test_what_a_long_fix_does_not_know_is_none() -> None:
    read = elements.fix(packed() + bytes.fromhex("800000 ffff ffff ff ff"))
    assert (read.alt_m, read.speed_mps, read.track_deg, read.hdop, read.satellites) == (None,) * 5


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (packed(lat=900_000_001), "outside the globe"),
        (packed(lat=-900_000_001), "outside the globe"),
        (packed(lon=1_800_000_001), "outside the globe"),
        (packed(accuracy=128), "accuracy code 128"),
        (packed() + bytes.fromhex("000000 0000 8ca0 00 00"), "track 36000"),
        (packed()[:10], "not 10"),
    ],
)
def test_a_fix_out_of_its_ranges_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(cbor.MalformedError, match=why):
        elements.fix(data)


@pytest.mark.parametrize("data", [bytes(6), bytes(5), b""])
def test_a_clock_without_source_or_of_another_length_is_refused(data: bytes) -> None:
    with pytest.raises(cbor.MalformedError, match="clock"):
        elements.clock(data)


@given(st.binary(min_size=20, max_size=20) | st.binary(max_size=24))
def test_any_octets_are_a_fix_or_malformed(data: bytes) -> None:
    try:
        read = elements.fix(data)
    except cbor.MalformedError:
        return
    assert -90 <= read.lat <= 90
    assert -180 <= read.lon <= 180
    assert read.track_deg is None or read.track_deg < 360
