import subprocess
import sys
from pathlib import Path

import pytest

from bondmate_image import cli


def test_without_a_command_it_says_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([])
    assert stop.value.code == 2
    assert "usage: bondmate-image" in capsys.readouterr().err


def test_it_is_installed_by_its_name() -> None:
    program = Path(sys.executable).with_name("bondmate-image")
    done = subprocess.run([program, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(command in done.stdout for command in ("build", "flash", "enrol", "labels"))
