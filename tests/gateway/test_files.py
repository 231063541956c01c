import fcntl
import os
import stat
from pathlib import Path

import pytest

from bondmate_sim.gateway import files


def test_a_secret_is_created_whole_with_mode_0600_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        files.create_secret(tmp_path / "secret", b"content")
    finally:
        os.umask(before)
    assert (tmp_path / "secret").read_bytes() == b"content"
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["secret"]


def test_a_secret_that_exists_is_left_alone(tmp_path: Path) -> None:
    files.create_secret(tmp_path / "secret", b"first")
    with pytest.raises(FileExistsError):
        files.create_secret(tmp_path / "secret", b"second")
    assert (tmp_path / "secret").read_bytes() == b"first"
    assert [each.name for each in tmp_path.iterdir()] == ["secret"]


def test_a_locked_directory_is_entered_by_one_at_a_time(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        with files.locked(tmp_path), pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(descriptor)


def test_directories_are_made_with_mode_0700_and_left_as_they_are_when_there(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    files.make_directory(tmp_path / "a" / "b")
    assert [stat.S_IMODE((tmp_path / each).stat().st_mode) for each in ("", "a", "a/b")] == [0o755, 0o700, 0o700]
