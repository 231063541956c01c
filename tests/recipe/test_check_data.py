"""What puts /data in order before it is mounted, with the real e2fsck, on files."""

import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.recipe.machine import RECIPE

SCRIPT = RECIPE / "root/usr/libexec/bondmate/check-data"
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
SUPERBLOCK, COPY = 1024, 32768 * 4096
MAGIC, INCOMPATIBLE, RECOVER = 0x38, 0x60, 4
"""Offsets in a superblock, and the flag of a journal that is to be played back (ext4.rst, "Super Block")."""

pytestmark = pytest.mark.skipif(
    any(shutil.which(name, path=PATH) is None for name in ("e2fsck", "mke2fs", "debugfs")),
    reason="needs Debian's e2fsprogs",
)


def run(*words: object, given: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [shutil.which(str(words[0]), path=PATH) or str(words[0]), *map(str, words[1:])],
        env={"PATH": PATH}, input=given, capture_output=True, text=True, check=False, timeout=50,
    )  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A file system with a file, whose journal is not empty: the power went."""
    made = tmp_path / "data"
    made.touch()
    os.truncate(made, 300 << 20)
    (tmp_path / "file").write_text("a press\n")
    (tmp_path / "block").write_bytes(bytes(4096))
    assert run("mke2fs", "-q", "-t", "ext4", "-b", "4096", "-O", "^metadata_csum", made).returncode == 0
    run("debugfs", "-w", made, given=f"write {tmp_path}/file file\njo\njw -b 20000 {tmp_path}/block\njc\n")
    return made


def test_a_journal_is_played_back(data: Path, tmp_path: Path) -> None:
    done = run("sh", SCRIPT, data, tmp_path)
    assert done.returncode == 0
    assert "recovering journal" in done.stdout
    assert run("e2fsck", "-fn", data).returncode == 0
    assert "looking at all" not in done.stderr


def test_a_torn_superblock_is_taken_from_its_copy_and_all_is_looked_at(data: Path, tmp_path: Path) -> None:
    """A copy that was made while the file system was mounted, as when it was grown, says that there is a journal."""
    with data.open("r+b") as file:
        file.seek(COPY + INCOMPATIBLE)
        (flags,) = struct.unpack("<I", file.read(4))
        file.seek(COPY + INCOMPATIBLE)
        file.write(struct.pack("<I", flags | RECOVER))
        file.seek(SUPERBLOCK + MAGIC)
        file.write(bytes(2))
    once = data.with_name("once")
    shutil.copyfile(data, once)
    # the control: asked once, as systemd-fsck asks it, it gives up
    assert run("e2fsck", "-y", once).returncode > 1
    done = run("sh", SCRIPT, data, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "looking at all" in done.stderr
    assert run("e2fsck", "-fn", data).returncode == 0
    assert run("debugfs", "-R", "cat file", data).stdout == "a press\n"


def test_what_is_no_file_system_is_said_to_be_none(tmp_path: Path) -> None:
    junk = tmp_path / "junk"
    junk.write_bytes(b"junk" * 100_000)
    assert run("sh", SCRIPT, junk, tmp_path).returncode != 0


@contextmanager
def read_only(file: Path) -> Iterator[str]:
    """A block device of which the kernel knows that it takes no write."""
    done = run("losetup", "--read-only", "--find", "--show", file)
    if done.returncode != 0:
        pytest.skip(f"no block device of its own here: {done.stderr.strip()}")
    try:
        yield done.stdout.strip()
    finally:
        run("losetup", "--detach", done.stdout.strip())


@pytest.mark.parametrize("journal", ["empty", "not empty"])
def test_a_card_that_takes_no_write_any_more_is_mounted_to_be_read(data: Path, tmp_path: Path, journal: str) -> None:
    if journal == "empty":
        assert "recovering journal" in run("e2fsck", "-y", data).stdout
    before = data.read_bytes()
    with read_only(data) as device:

        def mounted(how: str) -> "subprocess.CompletedProcess[str]":
            """Mounted where nobody else sees it."""
            shown = f'{how} && cat "$2/file" && findmnt --noheadings --output OPTIONS "$2"'
            return run("unshare", "--mount", "--propagation", "private", "sh", "-c", shown, "sh", device, tmp_path)

        # the control: as data.mount does it, where mount(8) falls back to read-only by itself
        control = mounted('mount -t ext4 -o data=journal,commit=1 "$1" "$2"')
        assert (control.returncode == 0) == (journal == "empty"), control.stderr
        done = mounted(f'sh {SCRIPT} "$1" "$2"')
    assert done.returncode == 0, done.stdout + done.stderr
    assert "it is only read" in done.stderr
    *_, text, options = done.stdout.splitlines()
    assert text == "a press"
    assert {"ro", "nosuid", "nodev", "noexec"} <= set(options.split(","))
    assert data.read_bytes() == before
