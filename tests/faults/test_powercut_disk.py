import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.faults.powercut_disk import (
    SECTOR,
    Create,
    Delete,
    Disk,
    Fate,
    Operation,
    Rename,
    Sync,
    SyncDirectory,
    Truncate,
    Write,
)

SOFT = [Fate.CUT, Fate.SOME, Fate.TORN]


Left = dict[str, bytes]


def after(operations: Sequence[Operation], names: Fate, contents: Fate, rng: random.Random | None = None) -> Left:
    disk = Disk({"old": b"old"})
    for operation in operations:
        disk.do(operation)
    return disk.after_cut(names, contents, rng or random.Random(0))


def all_after(operations: Sequence[Operation], names: Fate, contents: Fate) -> list[Left]:
    """All that may come of it, as far as chance finds it."""
    found: list[Left] = []
    for seed in range(200):
        left = after(operations, names, contents, random.Random(seed))
        if left not in found:
            found.append(left)
    return found


def test_what_was_not_synced_is_there_or_not() -> None:
    operations: list[Operation] = [Write(0, 3, b"er"), Truncate(0, 4)]
    assert after(operations, Fate.LOST, Fate.LOST) == {"old": b"old"}
    assert after(operations, Fate.LOST, Fate.KEPT) == {"old": b"olde"}
    cut, some = (all_after(operations, Fate.LOST, fate) for fate in (Fate.CUT, Fate.SOME))
    assert sorted(map(str, cut)) == sorted(map(str, [{"old": b"old"}, {"old": b"older"}, {"old": b"olde"}]))
    assert {"old": b"old\0"} in some, "the length that was asked for last, without what was written before it"


def test_a_name_is_there_when_the_directory_was_synced_and_not_only_the_file() -> None:
    operations: list[Operation] = [Create("new", 1), Write(1, 0, b"new"), Sync(1)]
    assert after(operations, Fate.LOST, Fate.KEPT) == {"old": b"old"}
    assert after([*operations, SyncDirectory()], Fate.LOST, Fate.LOST) == {"old": b"old", "new": b"new"}


def test_a_synced_name_of_an_unsynced_file_is_that_of_an_empty_one() -> None:
    operations: list[Operation] = [Create("new", 1), Write(1, 0, b"new"), SyncDirectory()]
    assert after(operations, Fate.LOST, Fate.LOST) == {"old": b"old", "new": b""}


def test_a_name_that_was_replaced_is_one_or_the_other_and_never_nothing() -> None:
    operations: list[Operation] = [Create("part", 1), Write(1, 0, b"new"), Sync(1), Rename("part", "old")]
    found = all_after(operations, Fate.SOME, Fate.SOME)
    assert {left["old"] for left in found} == {b"old", b"new"}
    assert after(operations, Fate.KEPT, Fate.LOST) == {"old": b"new"}


def test_a_deleted_file_comes_back_until_the_directory_was_synced() -> None:
    assert after([Delete("old")], Fate.LOST, Fate.KEPT) == {"old": b"old"}
    assert after([Delete("old")], Fate.KEPT, Fate.KEPT) == {}
    assert after([Delete("old"), SyncDirectory()], Fate.LOST, Fate.LOST) == {}
    new: list[Operation] = [Delete("old"), Create("old", 1), Write(1, 0, b"new"), Sync(1)]
    assert after(new, Fate.LOST, Fate.KEPT) == {"old": b"old"}, "the earlier file of that name"


def test_a_write_is_torn_between_sectors_and_nowhere_else() -> None:
    operations: list[Operation] = [Write(0, SECTOR - 100, b"n" * (2 * SECTOR))]
    found = all_after(operations, Fate.LOST, Fate.TORN)
    borders = {0, 100, 100 + SECTOR, 2 * SECTOR}
    for left in found:
        written = left["old"][SECTOR - 100 :]
        assert {index for index in range(1, len(written)) if written[index] != written[index - 1]} <= borders
    assert len(found) >= 8, "each of three sectors is there or not"


@pytest.mark.parametrize("fate", SOFT)
@given(
    writes=st.lists(st.tuples(st.integers(0, 2000), st.binary(min_size=1, max_size=1500)), max_size=6),
    synced=st.integers(0, 6),
    seed=st.integers(0, 1000),
)
def test_what_was_synced_is_always_there(fate: Fate, writes: list[tuple[int, bytes]], synced: int, seed: int) -> None:
    before, later = writes[:synced], writes[synced:]
    expected = bytearray(b"old")
    for offset, data in before:
        expected.extend(bytes(max(0, offset - len(expected))))
        expected[offset : offset + len(data)] = data
    operations: list[Operation] = [
        *(Write(0, *write) for write in before),
        Sync(0),
        *(Write(0, *write) for write in later),
    ]
    left = after(operations, Fate.LOST, fate, random.Random(seed))
    touched = {at for offset, data in later for at in range(offset, offset + len(data))}
    assert all(left["old"][at] == octet for at, octet in enumerate(expected) if at not in touched)
