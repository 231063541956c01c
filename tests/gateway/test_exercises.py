"""Orders of exercises: versions that only grow, ends, and what a clock that differs a little may do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate_sim.gateway import exercises
from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.exercises import TOLERANCE_MS, Order
from tests.gateway.device import Device

NOW_MS = 1_795_186_800_000
ORDER = Order(1, NOW_MS, NOW_MS + 600_000)


@pytest.mark.parametrize(
    ("made_ms", "expected"),
    [
        (NOW_MS, True),
        (NOW_MS + 600_000, True),
        (NOW_MS - TOLERANCE_MS, True),
        (NOW_MS - TOLERANCE_MS - 1, False),
        (NOW_MS + 600_000 + TOLERANCE_MS, True),
        (NOW_MS + 600_000 + TOLERANCE_MS + 1, False),
    ],
)
def test_a_call_may_be_an_exercise_from_the_order_to_its_end(made_ms: int, expected: bool) -> None:
    assert exercises.is_ordered([Order(0, 0, 1), ORDER], made_ms) == expected
    assert not exercises.is_ordered([], made_ms)
    assert not exercises.is_ordered([Order(1, made_ms, made_ms)], made_ms), "what says that it is over orders nothing"


@given(st.lists(st.tuples(st.booleans(), st.integers(-7200, 7200)), min_size=1, max_size=10))
def test_versions_only_grow_and_one_order_goes_on_at_most(
    one_database: Database, steps: list[tuple[bool, int]]
) -> None:
    device = Device(one_database)
    now_ms, versions = NOW_MS, []
    for begin, passed_s in steps:
        now_ms = max(NOW_MS, now_ms + passed_s * 1000)
        with one_database.transaction():
            if begin:
                draft = exercises.begin(one_database, device.made.device, 3600, "Ann", now_ms)
            else:
                draft = exercises.end(one_database, device.made.device, "Ann", now_ms)
        versions.append(draft.body[0])
        assert draft.body[1] == (3600 if begin else 0)
        assert draft.expires_s is not None
        assert draft.expires_s > now_ms // 1000
        orders = exercises.ordered(one_database, device.made.device)
        assert sum(each.until_ms > now_ms for each in orders) == begin
    assert versions == sorted(set(versions))


def test_a_restored_database_goes_on_above_what_it_lost(database: Database) -> None:
    device = Device(database)
    with database.transaction():
        for later_s in range(3):
            exercises.begin(database, device.made.device, 60, "Ann", NOW_MS + later_s * 1000)
    with database.transaction():
        database.rows("DELETE FROM exercise")
        draft = exercises.begin(database, device.made.device, 60, "Ann", NOW_MS + 60_000)
    assert draft.body[0] > NOW_MS // 1000 + 2


@pytest.mark.parametrize(("seconds", "expires_s"), [(60, 60), (exercises.MAX_S, exercises.TAKEN_WITHIN_S)])
def test_an_order_expires_no_later_than_the_exercise(database: Database, seconds: int, expires_s: int) -> None:
    device = Device(database)
    with database.transaction():
        draft = exercises.begin(database, device.made.device, seconds, "Ann", NOW_MS)
    assert draft.expires_s == NOW_MS // 1000 + expires_s


def test_an_end_outlasts_the_exercise_of_a_device_that_took_it_late(database: Database) -> None:
    device = Device(database)
    with database.transaction():
        begun = exercises.begin(database, device.made.device, 3600, "Ann", NOW_MS)
        ended = exercises.end(database, device.made.device, "Ann", NOW_MS + 60_000)
    assert begun.expires_s is not None
    assert ended.expires_s is not None
    assert ended.expires_s >= begun.expires_s + 3600
