"""The power cuts of tests/booted, on a log of writes that is made by hand."""

import struct
from pathlib import Path

import pytest

from tests.booted import writes

SECTOR = 512
FLUSH, FUA, DISCARD = 1, 2, 4
A, B, C = (bytes([letter]) * SECTOR for letter in b"abc")


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
    file.write_bytes(bytes(8 * SECTOR))
    return file


def cuts(log: Path, card: Path, at: int) -> set[bytes]:
    """All that a card may hold after so many entries, of many cuts."""
    found = set()
    blank = card.read_bytes()
    for seed in range(64):
        card.write_bytes(blank)
        ((_, made),) = [
            (number, path.read_bytes()) for number, path in writes.cut(log, card, writes.read(log), [at], seed)
        ]
        found.add(made[: 3 * SECTOR])
    card.write_bytes(blank)
    return found


def test_what_was_not_flushed_may_be_lost_and_what_was_is_not(tmp_path: Path, card: Path) -> None:
    log = log_of(tmp_path / "log", (0, 0, A), (0, FLUSH, b""), (1, 0, B), (2, FUA, C))
    none = bytes(SECTOR)
    assert writes.count(log) == 4
    assert cuts(log, card, 0) == {none * 3}
    assert cuts(log, card, 1) == {none * 3, A + none * 2}
    assert cuts(log, card, 2) == {A + none * 2}
    assert cuts(log, card, 4) == {A + none + C, A + B + C}


def test_writes_are_read_with_their_places(tmp_path: Path) -> None:
    log = log_of(tmp_path / "log", (3, 0, A + B), (5, DISCARD, C), (7, FUA, C))
    first, discarded, last = writes.read(log)
    assert (first.at, first.octets) == (3 * SECTOR, 2 * SECTOR)
    assert (discarded.at, discarded.octets) == (5 * SECTOR, 0)
    assert (last.at, last.is_sure) == (7 * SECTOR, True)


def test_cuts_go_on_from_one_another_and_leave_nothing(tmp_path: Path, card: Path) -> None:
    log = log_of(tmp_path / "log", (0, 0, A), (0, FLUSH, b""), (1, 0, B), (0, FLUSH, b""))
    made = [path.read_bytes()[: 2 * SECTOR] for _, path in writes.cut(log, card, writes.read(log), [2, 4], 0)]
    assert made == [A + bytes(SECTOR), A + B]
    assert {path.name for path in tmp_path.iterdir()} == {"log", "card"}


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
