"""What tests/booted reads of a board's writes, on a log that is made by hand."""

import struct
from pathlib import Path

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


def test_writes_are_read_with_their_places(tmp_path: Path) -> None:
    log = log_of(tmp_path / "log", (3, 0, A + B), (5, DISCARD, C), (7, FUA, C))
    first, discarded, last = writes.read(log)
    assert (first.at, first.octets) == (3 * SECTOR, 2 * SECTOR)
    assert (discarded.at, discarded.octets) == (5 * SECTOR, 0)
    assert (last.at, last.octets) == (7 * SECTOR, SECTOR)
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
