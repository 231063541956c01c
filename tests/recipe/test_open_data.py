"""What is encrypted at a first start, what never, and what is on the card when the power goes meanwhile.

With the real cryptsetup and e2fsprogs, on files. For the TPM, and for what the kernel makes of a key, programs stand in
that write down how they were called; tests/booted/test_tpm.py has both.
"""

import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bondmate_image.card import DATA_UUID
from tests.recipe.machine import RECIPE

SCRIPT = RECIPE / "root/usr/libexec/bondmate/open-data"
SBIN = "/usr/sbin:/sbin"
PROGRAMS = ("cryptsetup", "mke2fs", "dumpe2fs", "debugfs")
HEADER = 4 << 20
PAGE = 4096
SECTOR = 512

pytestmark = pytest.mark.skipif(
    any(shutil.which(name, path=f"{os.environ['PATH']}:{SBIN}") is None for name in PROGRAMS),
    reason="needs Debian's cryptsetup-bin and e2fsprogs",
)


def program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ['PATH']}:{SBIN}")
    assert found is not None
    return found


@dataclass
class Board:
    """A card's data partition, and what a board did with it at a start."""

    folder: Path

    @property
    def partition(self) -> Path:
        return self.folder / "partition"

    @property
    def work(self) -> Path:
        return self.folder / "work"

    @property
    def tpm(self) -> Path:
        return self.folder / "tpmrm0"

    @property
    def device_tree(self) -> Path:
        return self.folder / "device-tree"

    @property
    def opened(self) -> Path:
        """What lies in it, as the kernel shows it."""
        return self.folder / "mapper" / "bondmate-data"

    def start(self) -> list[str]:
        """Start the board, and run the script; what it asked of TPM, kernel and file system."""
        self.opened.unlink(missing_ok=True)
        return self.run()

    def run(self) -> list[str]:
        """Run it within the same start."""
        (self.folder / "calls").write_text("")
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir()
        text = SCRIPT.read_text()
        places = {
            "/run/bondmate-open": self.work, "/dev/tpmrm0": self.tpm, "/proc/device-tree": self.device_tree,
            "/dev/mapper": self.opened.parent,
        }  # fmt: skip
        for place, here in places.items():
            assert place in text
            text = text.replace(place, str(here))
        path = f"{self.folder}/bin:{os.environ['PATH']}:{SBIN}"
        self.done = subprocess.run(
            ["sh", "-c", text, "open-data", self.partition],
            env={"PATH": path, "OPENED": str(self.opened)}, capture_output=True, text=True, check=False, timeout=50,
        )  # fmt: skip
        return (self.folder / "calls").read_text().splitlines()


ENCRYPTS = ["systemd-cryptenroll", "systemd-cryptsetup attach", "mke2fs", "udevadm settle"]
OPENS = ["systemd-cryptsetup attach"]
CRYPTSETUP = """
echo "systemd-cryptsetup $1"
case $1 in
  attach) if [ -e "$OPENED" ]; then echo "already active"; else touch "$OPENED"; fi ;;
  detach) rm "$OPENED" ;;
esac
""".strip()
"""Of systemd 257: what is open already stays as it is, and that is no error."""


@pytest.fixture
def board(tmp_path: Path) -> Board:
    """With a TPM, and a card as it is flashed."""
    (tmp_path / "bin").mkdir()
    stand_in(tmp_path, "udevadm", 'echo "udevadm $1"')
    stand_in(tmp_path, "systemd-cryptsetup", CRYPTSETUP)
    stand_in(tmp_path, "systemd-cryptenroll", "echo systemd-cryptenroll")
    stand_in(tmp_path, "mke2fs", "echo mke2fs")
    # the real one, which says what it was asked for
    (tmp_path / "bin/dd").write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/puts\nexec {program("dd")} "$@"\n')
    (tmp_path / "bin/dd").chmod(0o755)
    made = Board(tmp_path)
    made.tpm.touch()
    made.opened.parent.mkdir()
    flash(made)
    return made


def stand_in(folder: Path, name: str, does: str) -> None:
    file = folder / "bin" / name
    file.write_text(f"#!/bin/sh\n{{ {does}; }} >>{folder}/calls\n")
    file.chmod(0o755)


def flash(board: Board, uuid: str = DATA_UUID) -> None:
    """As card.py makes it with the image's own mke2fs, on a card that is larger: grown already."""
    board.partition.write_bytes(b"")
    features = ("-t", "ext4", "-O", "orphan_file", "-b", "4096", "-m", "0")
    run("mke2fs", "-q", *features, "-L", "data", "-U", uuid, board.partition, "64M")
    os.truncate(board.partition, 80 << 20)


def run(name: str, *arguments: object) -> None:
    subprocess.run([program(name), *map(str, arguments)], check=True, capture_output=True, timeout=50)


def test_a_card_as_it_is_flashed_is_encrypted(board: Board) -> None:
    assert board.start() == ENCRYPTS
    assert board.done.returncode == 0, board.done.stderr
    run("cryptsetup", "isLuks", "--type", "luks2", board.partition)
    assert list(board.work.iterdir()) == []


def test_and_opened_at_each_start_after_that(board: Board) -> None:
    board.start()
    before = board.partition.read_bytes()
    assert board.start() == OPENS
    assert board.partition.read_bytes() == before


def test_also_if_the_tpm_does_not_answer_at_once(board: Board) -> None:
    board.start()
    stand_in(board.folder, "systemd-cryptsetup", f"echo attach; [ -e {board.folder}/awake ]")
    stand_in(board.folder, "sleep", f"touch {board.folder}/awake")
    assert board.start() == ["attach", "attach"]
    assert board.done.returncode == 0


def test_an_encrypted_one_waits_for_a_tpm_of_any_name(board: Board) -> None:
    """It was there once."""
    board.start()
    board.tpm.unlink()
    stand_in(board.folder, "sleep", f"touch {board.tpm}")
    assert board.start() == OPENS


@pytest.mark.parametrize("missing", ["key", "TPM"])
def test_one_that_the_tpm_does_not_open_stays_as_it_is(board: Board, missing: str) -> None:
    """Or that is in a board without one."""
    board.start()
    before = board.partition.read_bytes()
    if missing == "TPM":
        board.tpm.unlink()
    stand_in(board.folder, "systemd-cryptsetup", "exit 1")
    stand_in(board.folder, "sleep", "true")
    assert board.start() == []
    assert board.done.returncode == 1
    assert "flash and enrol it anew" in board.done.stderr
    assert board.partition.read_bytes() == before


def test_one_that_the_device_tree_has_switched_off_is_none(board: Board) -> None:
    node = board.device_tree / "soc/spi@7e204000/tpm@1"
    node.mkdir(parents=True)
    (node / "status").write_bytes(b"disabled\0")
    board.tpm.unlink()
    before = board.partition.read_bytes()
    assert board.start() == []
    assert board.done.returncode == 0, board.done.stderr
    assert board.partition.read_bytes() == before


@pytest.mark.parametrize("node", ["platform-bus/tpm_tis@0", "soc/spi@7e204000/tpm@1", "soc/spi@7e204000/slb9670@1"])
def test_a_tpm_whose_driver_is_late_is_waited_for(board: Board, node: str) -> None:
    """The device tree names it before any driver is there."""
    (board.device_tree / node).mkdir(parents=True)
    board.tpm.unlink()
    stand_in(board.folder, "sleep", f"echo sleep; touch {board.tpm}")
    assert board.start() == ["sleep", *ENCRYPTS]


def test_without_it_nothing_is_stored_in_the_clear(board: Board) -> None:
    (board.device_tree / "soc/spi@7e204000/tpm@1").mkdir(parents=True)
    board.tpm.unlink()
    stand_in(board.folder, "sleep", "echo sleep $1")
    before = board.partition.read_bytes()
    assert board.start() == ["sleep 1"] * 120
    assert board.done.returncode == 1
    assert "nothing is stored without it" in board.done.stderr
    assert board.partition.read_bytes() == before


@pytest.mark.parametrize("broken", ["systemd-cryptenroll", "systemd-cryptsetup", "mke2fs"])
def test_one_that_cannot_be_encrypted_is_not_used_and_tried_again(board: Board, broken: str) -> None:
    before, good = board.partition.read_bytes(), (board.folder / "bin" / broken).read_text()
    stand_in(board.folder, broken, "exit 1")
    board.start()
    assert board.done.returncode != 0
    assert board.partition.read_bytes() == before
    (board.folder / "bin" / broken).write_text(good)
    assert board.start() == ENCRYPTS


def test_an_attempt_within_the_same_start_begins_with_a_key_of_its_own(board: Board) -> None:
    """What was opened before has another one, and what was written through it could never be read again."""
    good = (board.folder / "bin/mke2fs").read_text()
    stand_in(board.folder, "mke2fs", "exit 1")
    board.start()
    assert board.opened.exists()
    (board.folder / "bin/mke2fs").write_text(good)
    assert board.run() == ["systemd-cryptsetup detach", *ENCRYPTS]


def mounted_once(board: Board) -> None:
    run("debugfs", "-w", "-R", "set_super_value mtime 20261127120000", board.partition)


def with_a_file(board: Board) -> None:
    run("debugfs", "-w", "-R", f"write {SCRIPT} file", board.partition)


def of_somebody_else(board: Board) -> None:
    flash(board, uuid="0b0d3a7e-0000-4000-8000-000000000005")


def damaged(board: Board) -> None:
    with board.partition.open("r+b") as file:
        file.write(random.Random(7).randbytes(1 << 16))


def erased(board: Board) -> None:
    with board.partition.open("r+b") as file:
        file.write(bytes(1 << 20))


@pytest.mark.parametrize("use", [mounted_once, with_a_file, of_somebody_else, damaged, erased])
def test_whatever_else_is_there_stays(board: Board, use: Callable[[Board], None]) -> None:
    """As after an update from an image that did not encrypt."""
    use(board)
    before = board.partition.read_bytes()
    assert board.start() == []
    assert board.done.returncode == 0
    assert board.partition.read_bytes() == before


def written(board: Board) -> Iterator[range]:
    """The sectors of the partition, by their first octets, that were written and flushed at once; in order."""
    for line in (board.folder / "puts").read_text().splitlines():
        words = dict(word.split("=", 1) for word in line.split())
        assert (words["of"], words["bs"]) == (str(board.partition), str(PAGE))
        assert "fsync" in words["conv"]
        begin = int(words["seek"]) * PAGE
        yield range(begin, begin + int(words["count"]) * PAGE, SECTOR)


def test_the_power_may_go_at_any_sector(board: Board) -> None:
    """Of what is written between two flushes, any sectors are on the card: then it is as flashed, or can be opened."""
    before = board.partition.read_bytes()[:HEADER]
    board.start()
    sealed = board.partition.read_bytes()[:HEADER]
    chance = random.Random(9)
    seen = set()
    for sectors in list(written(board)):
        cuts = [[each for each in sectors if chance.random() < part] for part in (0, 0.1, 0.5, 0.5, 0.9, 1)]
        cuts += [list(sectors[:number]) for number in range(1, min(len(sectors), 9))]
        cuts += [[each] for each in sectors[:8]]
        for cut in cuts:
            torn = bytearray(before)
            for each in cut:
                torn[each : each + SECTOR] = sealed[each : each + SECTOR]
            with board.partition.open("r+b") as file:
                file.write(torn)
            calls = board.start()
            assert calls in (OPENS, ENCRYPTS), (cut, calls, board.done.stderr)
            if calls == OPENS:
                # mended by what opens it, and its keys are whole
                run("cryptsetup", "repair", "--batch-mode", board.partition)
                assert board.partition.read_bytes()[8 * PAGE : HEADER] == sealed[8 * PAGE : HEADER]
            seen.add(calls == OPENS)
        whole = slice(sectors.start, sectors.stop)
        before = before[: sectors.start] + sealed[whole] + before[sectors.stop :]
    assert before == sealed
    assert seen == {True, False}
