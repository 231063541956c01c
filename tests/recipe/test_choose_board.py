"""Which configuration which board gets, and that the daemon takes each."""

import datetime as dt
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from bondmate import config
from tests.recipe.machine import RECIPE

OVERLAY = RECIPE / "root"
BOARDS = OVERLAY / "usr" / "share" / "bondmate" / "boards"
MODELS = {
    "Raspberry Pi Zero 2 W Rev 1.0": "zero-2-w",
    "Raspberry Pi 3 Model B Plus Rev 1.3": "pi-3",
    "Raspberry Pi 3 Model A Plus Rev 1.0": "pi-3",
    "Raspberry Pi 4 Model B Rev 1.5": "pi-4",
    "Raspberry Pi Compute Module 4 Rev 1.1": "cm4",
    "linux,dummy-virt": "virt",
}
BUILT = dt.datetime(2026, 11, 27, 23, 59, 59, tzinfo=dt.UTC)


def choose(root: Path, model: bytes | None) -> subprocess.CompletedProcess[str]:
    """The script, where / is `root`."""
    shutil.copytree(OVERLAY / "usr" / "share", root / "usr" / "share")
    (root / "usr" / "lib").mkdir()
    (root / "usr" / "lib" / "clock-epoch").touch()
    os.utime(root / "usr" / "lib" / "clock-epoch", (BUILT.timestamp(), BUILT.timestamp()))
    (root / "run" / "bondmate-board").mkdir(parents=True)
    if model is not None:
        (root / "proc" / "device-tree").mkdir(parents=True)
        (root / "proc" / "device-tree" / "model").write_bytes(model)
    return subprocess.run(
        [OVERLAY / "usr" / "libexec" / "bondmate" / "choose-board", root],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=50,
    )


@pytest.mark.parametrize(("model", "board"), MODELS.items())
def test_each_board_gets_its_own(tmp_path: Path, model: str, board: str) -> None:
    done = choose(tmp_path, model.encode() + b"\0")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"this is a {model}: configured by {board}.toml\n"
    own = (BOARDS / f"{board}.toml").read_text(encoding="utf-8")
    text = (tmp_path / "run" / "bondmate-board" / "device.toml").read_text(encoding="utf-8")
    assert text.endswith(own.replace('not_before = "none"', "not_before = 2026-11-27"))
    chosen = config.parse(text, board)
    assert chosen.gnss.not_before == BUILT.date()
    assert chosen.device.state_dir == Path("/data/bondmate/state")
    assert chosen.device.credentials_dir == Path("/data/bondmate/credentials")


def test_there_is_a_board_for_each_file_and_a_file_for_each_board() -> None:
    assert {path.stem for path in BOARDS.iterdir()} == set(MODELS.values())


@pytest.mark.parametrize("model", [None, b"", b"Raspberry Pi 5 Model B\0", b"Raspberry Pi 30\0", b"\0\n\xff`id`$(id)"])
def test_a_board_that_nobody_knows_gets_none_and_is_named(tmp_path: Path, model: bytes | None) -> None:
    done = choose(tmp_path, model)
    assert done.returncode == 1
    assert done.stderr.startswith('choose-board: no configuration for this board, "')
    assert list((tmp_path / "run" / "bondmate-board").iterdir()) == []
