"""The parts of ./dev that cost nothing to try: none of these runs may install anything or touch .venv."""

import shutil
import subprocess
from pathlib import Path

import pytest

DEV = Path(__file__).parent.parent / "dev"


def dev(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([DEV, *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=20)


@pytest.mark.parametrize("word", ["help", "--help", "-h"])
def test_help_names_every_command_from_any_directory(word: str, tmp_path: Path) -> None:
    done = dev(word, cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr == ""
    listed = {line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ") and line[2] != " "}
    assert listed == {"demo", "up", "test", "image-test", "check", "perf", "lock", "help"}


def test_an_unknown_command_is_named_and_the_usage_goes_to_standard_error(tmp_path: Path) -> None:
    done = dev("dmeo", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "unknown command: dmeo" in done.stderr
    assert "usage: ./dev" in done.stderr


def test_no_command_is_a_usage_error(tmp_path: Path) -> None:
    done = dev(cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("usage: ./dev")


def test_check_refuses_arguments_that_it_would_ignore(tmp_path: Path) -> None:
    done = dev("check", "mypy", cwd=tmp_path)
    assert done.returncode == 2
    assert "check takes no arguments: mypy" in done.stderr


def test_a_link_to_dev_finds_the_repository(tmp_path: Path) -> None:
    link = tmp_path / "a link"
    link.symlink_to(DEV)
    done = subprocess.run([link, "help"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 0


def test_without_root_the_exact_line_is_printed_and_nothing_is_installed(tmp_path: Path) -> None:
    # A PATH with what the script needs to get as far as its first question, and neither shellcheck nor sudo.
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("dirname", "readlink"):
        (tools / name).symlink_to(shutil.which(name) or name)
    called = tmp_path / "called"
    for name, script in (("id", "echo 1000"), ("apt-get", f"echo called > '{called}'")):
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)
    done = subprocess.run(
        [DEV, "check"], env={"PATH": str(tools)}, capture_output=True, text=True, check=False, timeout=20
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.endswith("\napt-get update && apt-get install -y --no-install-recommends shellcheck\n")
    assert not called.exists()
