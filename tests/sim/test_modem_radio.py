import pytest

from bondmate_sim.modem_radio import cesq, csq, rsrq_db, sinr_db


# 27.007, 8.5: 0 is -113 dBm or less, 31 is -51 or more; the RSSI is 28 dB over the RSRP here.
@pytest.mark.parametrize(("rsrp_dbm", "index"), [(None, 99), (-141, 0), (-139, 1), (-85, 28), (-79, 31), (-44, 31)])
def test_csq(rsrp_dbm: int | None, index: int) -> None:
    assert csq(rsrp_dbm) == index


# 27.007, 8.69: <rsrp> 1 is -140 <= RSRP < -139, 97 is -44 or more; <rsrq> 20 is -10 <= RSRQ < -9.5.
@pytest.mark.parametrize(
    ("rsrp_dbm", "indexes"), [(None, (255, 255)), (-140, (4, 1)), (-150, (4, 0)), (-85, (20, 56)), (-44, (20, 97))]
)
def test_cesq(rsrp_dbm: int | None, indexes: tuple[int, int]) -> None:
    assert cesq(rsrp_dbm) == indexes


def test_a_weaker_cell_is_never_better() -> None:
    cells = range(-140, -43)
    assert [sinr_db(one) for one in cells] == sorted(sinr_db(one) for one in cells)
    assert [rsrq_db(one) for one in cells] == sorted(rsrq_db(one) for one in cells)
    assert {sinr_db(-140), sinr_db(-44)} == {-20, 30}
