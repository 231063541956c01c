"""Sets of numbers as ranges: few and long where the numbers themselves could be four billion.

A set is a list of ranges (first, last), both included, ascending and apart. It does not know what the numbers count.
"""

from collections.abc import Iterable, Sequence

Range = tuple[int, int]


def union(ranges: Iterable[Range]) -> list[Range]:
    """Return any ranges, overlapping and in any order, as a set."""
    merged: list[Range] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(last, merged[-1][1])
        else:
            merged.append((first, last))
    return merged


def subtract(minuend: Sequence[Range], subtrahend: Sequence[Range]) -> list[Range]:
    """Return the numbers of the set `minuend` that are not in the set `subtrahend`."""
    rest = []
    at = 0
    for first, last in minuend:
        start = first
        while at < len(subtrahend) and subtrahend[at][0] <= last:
            taken_first, taken_last = subtrahend[at]
            if start < taken_first:
                rest.append((start, taken_first - 1))
            start = max(start, taken_last + 1)
            if taken_last > last:
                # It may reach into the next range too.
                break
            at += 1
        if start <= last:
            rest.append((start, last))
    return rest


def count(ranges: Iterable[Range]) -> int:
    """Return how many numbers a set has."""
    return sum(last - first + 1 for first, last in ranges)
