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


def test_keys_for_ssh_are_refused_where_there_is_no_ssh(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = tmp_path / "id_ed25519.pub"
    assert cli.main(["build", "--ssh-keys", str(keys), "-o", str(tmp_path / "out")]) == 1
    assert "--ssh-keys is for --profile bench" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
