"""What is taken from a card's boot partition, and what the daemon says of it then."""

import os
import subprocess
from pathlib import Path

import pytest

from bondmate import enrolment_file
from bondmate.errors import RemoteError
from bondmate_image.enrolment import NAME
from tests.enrolment_desk import Force
from tests.recipe.machine import RECIPE

SCRIPT = RECIPE / "root" / "usr" / "libexec" / "bondmate" / "take-enrolment"


def take(root: Path, file: bytes | None) -> tuple[str, Path]:
    """The script, where / is `root`; what it said, and where the daemon looks."""
    (root / "boot/firmware").mkdir(parents=True)
    (root / "run/bondmate-enrolment").mkdir(parents=True)
    if file is not None:
        (root / "boot/firmware" / NAME).write_bytes(file)
    done = subprocess.run(
        [SCRIPT, root], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True, timeout=50
    )
    assert done.stderr == ""
    return done.stdout.strip(), root / "run/bondmate-enrolment"


def test_a_file_is_taken_as_it_is(tmp_path: Path) -> None:
    force = Force()
    said, there = take(tmp_path, force.file())
    assert said == f"{NAME} is on the card"
    assert {path.name for path in there.iterdir()} == {NAME, "on-card"}
    enrolment_file.load(there / NAME, force.key.public_key())


def test_without_one_nothing_is_there(tmp_path: Path) -> None:
    said, there = take(tmp_path, None)
    assert said == f"no {NAME} on the card"
    assert list(there.iterdir()) == []


def test_of_one_that_is_too_large_so_much_is_taken_that_the_daemon_says_so(tmp_path: Path) -> None:
    _, there = take(tmp_path, bytes(1 << 20))
    assert (there / NAME).stat().st_size < 1 << 14
    with pytest.raises(RemoteError, match="larger than"):
        enrolment_file.load(there / NAME, Force().key.public_key())
