"""What tests/booted reads of a board's writes, and the power cuts behind them, on a log that is made by hand."""

import struct
from pathlib import Path

import pytest

from tests.booted import writes

SECTOR = 512
FLUSH, FUA, DISCARD = 1, 2, 4
A, B, C = (bytes([letter]) * SECTOR for letter in b"abc")
NONE = bytes(SECTOR)


def log_of(file: Path, *entries: tuple[int, int, bytes]) -> Path:
    """Sector, flags and content of each entry, in the form of dm-log-writes."""
    made = struct.pack("<QQQI", 0x6A736677736872, 1, len(entries), SECTOR).ljust(SECTOR, b"\0")
    for sector, flags, content in entries:
        octets = len(content)
        made += struct.pack("<QQQQ", sector, octets // SECTOR, flags, octets).ljust(SECTOR, b"\0")
        made += b"" if flags & DISCARD else content
    file.write_bytes(made)
    return file


@pytest.fixture
def card(tmp_path: Path) -> Path:
    file = tmp_path / "card"
    file.write_bytes(bytes(4 * writes.BLOCK))
    return file


def after(log: Path, card: Path, entries: list[writes.Write], at: int, octets: int = 3 * SECTOR) -> set[bytes]:
    """All that a card may hold when the power went behind so many entries: the first octets of it, of many cuts."""
    blank, found = card.read_bytes(), set()
    for seed in range(64):
        for _ in writes.cut(log, card, entries, [at], seed):
            found.add(card.read_bytes()[:octets])
        # in place: a file that is cut off and filled anew is written to the disk at once
        with card.open("r+b") as file:
            file.write(blank)
    return found


def test_what_was_not_flushed_may_be_lost_and_what_was_is_not(tmp_path: Path, card: Path) -> None:
    log = log_of(tmp_path / "log", (0, 0, A), (0, FLUSH, b""), (1, 0, B), (2, FUA, C))
    kept = writes.read(log)
    assert writes.count(log) == len(kept) == 4
    assert after(log, card, kept, 0) == {NONE * 3}
    assert after(log, card, kept, 1) == {NONE * 3, A + NONE * 2}
    assert after(log, card, kept, 2) == {A + NONE * 2}
    assert after(log, card, kept, 4) == {A + NONE + C, A + B + C}


def test_a_card_that_lies_about_its_flushes_loses_what_was_before_them(tmp_path: Path, card: Path) -> None:
    """The control: the same log, and nothing of it is sure."""
    log = log_of(tmp_path / "log", (0, 0, A), (0, FLUSH, b""), (1, FUA, B))
    kept = writes.forgetful(writes.read(log))
    assert after(log, card, kept, 3) == {first + second + NONE for first in (NONE, A) for second in (NONE, B)}


def test_a_write_that_was_not_flushed_may_be_torn_between_blocks(tmp_path: Path, card: Path) -> None:
    whole = b"".join(letter * (writes.BLOCK // SECTOR) for letter in (A, B, C))
    log = log_of(tmp_path / "log", (0, 0, whole))
    ends = range(0, len(whole) + 1, writes.BLOCK)
    assert after(log, card, writes.read(log), 1, len(whole)) == {
        whole[first:last].rjust(last, b"\0").ljust(len(whole), b"\0")
        for first in ends
        for last in ends
        if first <= last
    }


def test_a_block_is_not_torn(tmp_path: Path, card: Path) -> None:
    log = log_of(tmp_path / "log", (0, 0, A + B + C))
    assert after(log, card, writes.read(log), 1) == {NONE * 3, A + B + C}


def test_of_two_writes_to_one_place_the_later_one_counts(tmp_path: Path, card: Path) -> None:
    log = log_of(tmp_path / "log", (0, 0, A), (0, FUA, B), (0, FLUSH, b""))
    kept = writes.read(log)
    assert after(log, card, kept, 2) == after(log, card, kept, 3) == {B + NONE * 2}


def test_cuts_go_on_from_one_another(tmp_path: Path, card: Path) -> None:
    """Of what a cut left behind without a flush, nothing is there for the next one that was not drawn for it."""
    log = log_of(tmp_path / "log", (0, 0, A), (0, FLUSH, b""), (1, 0, B), (1, 0, C), (2, FLUSH, C), (2, 0, A))
    made = {
        number: card.read_bytes()[: 3 * SECTOR]
        for number in writes.cut(log, card, writes.read(log), [2, 3, 3, 3, 4, 5], 0)
    }
    assert made[2] == A + NONE * 2
    assert made[5] in {A + C + NONE, A + C + C}


def test_writes_are_read_with_their_places(tmp_path: Path) -> None:
    log = log_of(tmp_path / "log", (3, 0, A + B), (5, DISCARD, C), (7, FUA, C))
    first, discarded, last = writes.read(log)
    assert (first.at, first.octets) == (3 * SECTOR, 2 * SECTOR)
    assert (discarded.at, discarded.octets) == (5 * SECTOR, 0)
    assert (last.at, last.octets) == (7 * SECTOR, SECTOR)
    assert [each.is_sure for each in (first, discarded, last)] == [False, False, True]
    assert writes.elsewhere([first, discarded, last], (0, 5 * SECTOR)) == [last]


def test_holes_stay_holes(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    with source.open("wb") as file:
        file.seek(64 << 20)
        file.write(b"end")
        file.truncate(128 << 20)
    writes.copy(source, target)
    assert target.stat().st_size == 128 << 20
    assert target.stat().st_blocks * 512 < 1 << 20
    with target.open("rb") as file:
        file.seek(64 << 20)
        assert file.read(3) == b"end"
    writes.copy(source, target, since=(64 << 20) + 2)
    assert target.stat().st_size == (64 << 20) - 2
    with target.open("rb") as file:
        assert file.read(2) == b"d\0"
