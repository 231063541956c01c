from hypothesis import given
from hypothesis import strategies as st

from bondmate.api.pace import Pace


def test_some_at_once_then_one_after_the_other_and_after_a_rest_some_at_once_again() -> None:
    pace = Pace(0.1, 3)
    assert [round(pace.wait_s(10.0), 6) for _ in range(6)] == [0, 0, 0, 0.1, 0.2, 0.3]
    assert [round(pace.wait_s(20.0), 6) for _ in range(4)] == [0, 0, 0, 0.1]


@given(st.lists(st.floats(0, 1), max_size=200))
def test_in_no_time_are_there_more_than_the_rate_and_the_burst(gaps: list[float]) -> None:
    pace, now, begun = Pace(0.01, 5), 0.0, []
    for gap in gaps:
        now += gap
        begun.append(now + pace.wait_s(now))
    assert begun == sorted(begun)
    for first, start in enumerate(begun):
        within = sum(1 for each in begun[first:] if each <= start + 1)
        assert within <= 5 + 1 / 0.01 + 1
