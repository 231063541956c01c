import itertools

from hypothesis import given
from hypothesis import strategies as st

from bondmate_sim.gateway import ranges
from bondmate_sim.gateway.ranges import Range

RANGES = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 6)).map(lambda pair: (pair[0], sum(pair))), max_size=12)


def numbers(of: list[Range]) -> set[int]:
    return {number for first, last in of for number in range(first, last + 1)}


def is_a_set(of: list[Range]) -> bool:
    return all(first <= last for first, last in of) and all(
        before[1] < after[0] for before, after in itertools.pairwise(of)
    )


@given(RANGES)
def test_a_union_has_every_number_once_in_the_fewest_ranges(some: list[Range]) -> None:
    merged = ranges.union(some)
    assert numbers(merged) == numbers(some)
    assert ranges.count(merged) == len(numbers(some))
    assert all(before[1] + 1 < after[0] for before, after in itertools.pairwise(merged))


@given(RANGES, RANGES)
def test_a_difference_is_that_of_the_numbers(one: list[Range], other: list[Range]) -> None:
    rest = ranges.subtract(ranges.union(one), ranges.union(other))
    assert numbers(rest) == numbers(one) - numbers(other)
    assert is_a_set(rest)


def test_four_billion_numbers_are_one_range() -> None:
    highest = 2**32 - 1
    assert ranges.subtract([(1, highest)], [(2, 2), (highest, highest)]) == [(1, 1), (3, highest - 1)]
    assert ranges.count([(1, highest)]) == highest
