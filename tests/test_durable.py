import os
import resource
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bondmate.durable import lock_directory, replace_file, sync_directory
from tests.rights import as_nobody


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_a_new_file_is_for_its_owner_alone(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        replace_file(tmp_path / "counter", b"1\n")
    finally:
        os.umask(before)
    assert (tmp_path / "counter").read_bytes() == b"1\n"
    assert stat.S_IMODE((tmp_path / "counter").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["counter"], "nothing temporary is left beside it"


def test_the_new_content_takes_the_place_of_the_old(tmp_path: Path) -> None:
    path = tmp_path / "counter"
    for content in (b"a long old content", b"short", b""):
        replace_file(path, content)
        assert path.read_bytes() == content


def test_the_rest_of_an_earlier_attempt_is_no_part_of_the_next(tmp_path: Path) -> None:
    (tmp_path / "counter.part").write_bytes(b"torn, and longer than what comes")
    replace_file(tmp_path / "counter", b"whole")
    assert (tmp_path / "counter").read_bytes() == b"whole"
    assert not (tmp_path / "counter.part").exists()


def test_what_somebody_put_in_its_place_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"somebody else's")
    (tmp_path / "counter.part").symlink_to(victim)
    replace_file(tmp_path / "counter", b"new", tmp_path.stat())
    assert victim.read_bytes() == b"somebody else's"
    assert not (tmp_path / "counter").is_symlink()


def test_content_then_name_then_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order is the promise: a name that is durable before its octets would be a torn file after a power cut."""
    path = tmp_path / "counter"
    path.write_bytes(b"old")
    done: list[tuple[str, bytes]] = []
    fsync, replace = os.fsync, os.replace

    def watched_fsync(descriptor: int) -> None:
        fsync(descriptor)
        is_directory = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        what = "directory" if is_directory else Path(f"/proc/self/fd/{descriptor}").readlink().name
        done.append((f"sync {what}", path.read_bytes()))

    def watched_replace(source: Path, target: Path) -> None:
        assert source.read_bytes() == b"new"
        replace(source, target)
        done.append(("replace", path.read_bytes()))

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "replace", watched_replace)
    replace_file(path, b"new")
    assert done == [("sync counter.part", b"old"), ("replace", b"new"), ("sync directory", b"new")]


@contextmanager
def files_of_at_most(octets: int) -> Iterator[None]:
    """No file may grow beyond that: a disk that is full in the middle of a write."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (octets, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "counter"
    replace_file(path, b"old")
    with files_of_at_most(2), pytest.raises(OSError, match="File too large"):
        replace_file(path, b"new content")
    assert path.read_bytes() == b"old"
    replace_file(path, b"new")
    assert path.read_bytes() == b"new"


def test_writing_in_place_would_have_torn_it(tmp_path: Path) -> None:
    """The control of the test above."""
    path = tmp_path / "counter"
    path.write_bytes(b"old")
    with files_of_at_most(2), pytest.raises(OSError, match="File too large"):
        path.write_bytes(b"new content")
    assert path.read_bytes() == b"ne"


def test_a_directory_that_is_not_there_or_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        replace_file(tmp_path / "nowhere" / "counter", b"1")
    with pytest.raises(FileNotFoundError):
        sync_directory(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        sync_directory(tmp_path / "file")


HOLDER = """
import sys
from pathlib import Path
from bondmate.durable import lock_directory

lock_directory(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_two_processes_cannot_hold_one_directory_and_the_end_of_the_first_frees_it(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        before = len(list(Path("/proc/self/fd").iterdir()))
        with pytest.raises(BlockingIOError):
            lock_directory(tmp_path)
        assert len(list(Path("/proc/self/fd").iterdir())) == before, "no descriptor is left over"
        (tmp_path / "other").mkdir()
        os.close(lock_directory(tmp_path / "other"))
        # without a chance to let go by itself
        holder.kill()
        holder.wait(10)
        os.close(lock_directory(tmp_path))


def test_a_claim_is_not_handed_down_to_child_processes(tmp_path: Path) -> None:
    """A child that outlives the daemon must not keep the next one out."""
    claim = lock_directory(tmp_path)
    assert not os.get_inheritable(claim)
    with subprocess.Popen(
        ["/bin/sh", "-c", "echo up; read -r _"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        close_fds=False,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "up\n"
        os.close(claim)
        os.close(lock_directory(tmp_path))


def test_a_directory_without_permission_to_write_can_be_held() -> None:
    with tempfile.TemporaryDirectory(prefix="bms-") as name:
        directory = Path(name)
        directory.chmod(0o555)
        with as_nobody():
            claim = lock_directory(directory)
            with pytest.raises(PermissionError):
                (directory / "probe").touch()
            with pytest.raises(BlockingIOError):
                lock_directory(directory)
            os.close(claim)
        directory.chmod(0o700)


def test_what_is_no_directory_cannot_be_held(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        lock_directory(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        lock_directory(tmp_path / "file")
