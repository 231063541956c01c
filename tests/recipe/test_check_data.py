"""What puts /data in order before it is mounted, with the real e2fsck, on files."""

import os
import shutil
import struct
import subprocess
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


def test_a_journal_is_played_back(data: Path) -> None:
    done = run("sh", SCRIPT, data)
    assert done.returncode == 0
    assert "recovering journal" in done.stdout
    assert run("e2fsck", "-fn", data).returncode == 0
    assert "looking at all" not in done.stderr


def test_a_torn_superblock_is_taken_from_its_copy_and_all_is_looked_at(data: Path) -> None:
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
    done = run("sh", SCRIPT, data)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "looking at all" in done.stderr
    assert run("e2fsck", "-fn", data).returncode == 0
    assert run("debugfs", "-R", "cat file", data).stdout == "a press\n"


def test_what_is_no_file_system_is_said_to_be_none(tmp_path: Path) -> None:
    junk = tmp_path / "junk"
    junk.write_bytes(b"junk" * 100_000)
    assert run("sh", SCRIPT, junk).returncode != 0
