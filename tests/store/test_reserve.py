import errno
import os
import stat
from pathlib import Path

import pytest

from bondmate.errors import StoreError, StoreTrouble
from bondmate.store.reserve import PIECE_OCTETS, RESERVE_FILE, RESERVE_OCTETS, Reserve
from tests.rights import as_nobody

PIECES = RESERVE_OCTETS // PIECE_OCTETS


def refused(number: int) -> None:
    raise OSError(number, os.strerror(number))


def never_enough() -> None:
    raise StoreError("full", StoreTrouble.FULL)


@pytest.mark.parametrize("unsupported", [None, errno.EOPNOTSUPP, errno.EINVAL])
def test_it_takes_its_room_on_the_disk_for_certain_whatever_the_file_system(
    unsupported: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if unsupported is not None:
        monkeypatch.setattr(os, "posix_fallocate", lambda *_: refused(unsupported))
    Reserve(tmp_path).fill()
    found = (tmp_path / RESERVE_FILE).stat()
    assert found.st_size == RESERVE_OCTETS
    assert found.st_blocks * 512 >= RESERVE_OCTETS, "no holes"
    assert stat.S_IMODE(found.st_mode) == 0o600


def test_a_file_that_was_only_made_long_would_have_holes(tmp_path: Path) -> None:
    """The control of the test above."""
    with (tmp_path / RESERVE_FILE).open("wb") as file:
        file.truncate(RESERVE_OCTETS)
    assert (tmp_path / RESERVE_FILE).stat().st_blocks == 0


def test_it_is_given_up_piece_by_piece_until_the_call_has_enough(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path)
    reserve.fill()
    sizes: list[int] = []

    def third_time() -> str:
        sizes.append((tmp_path / RESERVE_FILE).stat().st_size)
        if len(sizes) < 3:
            never_enough()
        return "done"

    assert reserve.spend(third_time) == "done"
    assert sizes == [RESERVE_OCTETS - pieces * PIECE_OCTETS for pieces in range(3)]
    assert reserve.spent
    assert Reserve(tmp_path).spent, "also after a restart"
    reserve.fill()
    assert not reserve.spent


def test_when_all_of_it_is_given_up_the_disk_is_full(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path)
    reserve.fill()
    tried: list[int] = []

    def try_again() -> None:
        tried.append(1)
        never_enough()

    for tries in (PIECES + 1, 1):
        tried.clear()
        with pytest.raises(StoreError, match="full"):
            reserve.spend(try_again)
        assert len(tried) == tries
    assert reserve.spent
    assert (tmp_path / RESERVE_FILE).stat().st_size == 0


def test_other_errors_cost_nothing_of_it(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path)
    reserve.fill()

    def fails() -> None:
        raise StoreError("the card", StoreTrouble.IO)

    with pytest.raises(StoreError, match="the card"):
        reserve.spend(fails)
    assert not reserve.spent


def test_before_it_was_first_made_nothing_is_spent_and_nothing_can_be(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path)
    assert not reserve.spent
    with pytest.raises(StoreError, match="full"):
        reserve.spend(never_enough)
    assert not (tmp_path / RESERVE_FILE).exists()


def test_where_the_room_is_missing_it_says_how_much_there_is_and_takes_what_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allocate = os.posix_fallocate

    def five_pieces(descriptor: int, offset: int, length: int) -> None:
        if offset >= 5 * PIECE_OCTETS:
            refused(errno.ENOSPC)
        allocate(descriptor, offset, length)

    monkeypatch.setattr(os, "posix_fallocate", five_pieces)
    with pytest.raises(
        StoreError,
        match=rf"reserve has 160 KiB of the {RESERVE_OCTETS >> 10} KiB .*the disk has \d+ KiB left$",
    ) as caught:
        Reserve(tmp_path).fill()
    assert caught.value.trouble is StoreTrouble.FULL
    assert Reserve(tmp_path).spent


def test_it_cannot_be_made_where_nothing_can_be_written(run: Path) -> None:
    run.chmod(0o555)
    with as_nobody(), pytest.raises(StoreError, match=r"reserve cannot be made: .*Permission denied") as caught:
        Reserve(run).fill()
    assert caught.value.trouble is StoreTrouble.READ_ONLY


def test_what_cannot_be_given_up_does_not_hide_that_the_disk_is_full(run: Path) -> None:
    reserve = Reserve(run)
    reserve.fill()
    (run / RESERVE_FILE).chmod(0o444)
    with as_nobody(), pytest.raises(StoreError, match="full"):
        reserve.spend(never_enough)
    assert not reserve.spent


def test_where_not_even_its_name_has_room_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "open", lambda *_: refused(errno.ENOSPC))
    with pytest.raises(StoreError, match=r"reserve has 0 KiB of the 2048 KiB") as caught:
        Reserve(tmp_path).fill()
    assert caught.value.trouble is StoreTrouble.FULL
    assert not (tmp_path / RESERVE_FILE).exists()
