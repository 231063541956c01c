import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bondmate_sim.demo import _tell, run_demo
from bondmate_sim.errors import SimulatorError
from bondmate_sim.mobile import Mobile
from bondmate_sim.narrator import Narrator
from bondmate_sim.process import Process
from bondmate_sim.story import Story
from bondmate_sim.world import World
from tests.sim.conftest import SIM
from tests.sim.test_story import NAMES

RESULT = {
    "event", "ok", "alert_id", "bearer", "press_to_stored_ms", "press_to_receipt_ms", "fix", "record_file",
    "external_aad_hex", "public_key_file", "onair_octets", "failed_step", "logs",
}  # fmt: skip


def demo(tmp_path: Path, *options: str | Path, path: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command with its temporary directories below ours."""
    environment = os.environ | {"TMPDIR": str(tmp_path)} | ({} if path is None else {"PATH": path})
    command = [SIM, "demo", *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=50, check=False)


def test_for_a_machine_every_step_and_a_result_whose_files_stay(tmp_path: Path) -> None:
    done = demo(tmp_path, "--json")
    *steps, result = map(json.loads, done.stdout.splitlines())
    assert done.returncode == 0, done.stderr
    assert [step["name"] for step in steps] == NAMES
    times = [step["t_ms"] for step in steps]
    assert times == sorted(times)
    assert result.keys() == RESULT
    assert (result["event"], result["ok"], result["failed_step"], result["bearer"]) == ("result", True, None, "ip")
    assert result["fix"]["lat"] == pytest.approx(38.7235, abs=0.002)
    for name in ("record_file", "public_key_file", "logs"):
        assert Path(result[name]).exists()


def test_for_a_person_the_story_ends_with_the_dispatcher_s_view_and_nothing_stays(tmp_path: Path) -> None:
    done = demo(tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[3] for line in lines if "✓" in line] == NAMES
    assert "geo:38.72" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_failed_step_is_named_with_its_log_and_the_world_stays(tmp_path: Path) -> None:
    done = demo(tmp_path, "--json", "--keep", tmp_path / "kept", path="/nonexistent")
    result = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == 1
    assert (result["ok"], result["failed_step"], result["alert_id"]) == (False, "gateway", None)
    assert result.keys() >= RESULT
    assert "the demo failed at the step gateway: cannot start bondmate-gateway" in done.stderr
    assert str(tmp_path / "kept" / "logs" / "gateway.log") in done.stderr
    assert (tmp_path / "kept" / "logs").is_dir()


class _Broken(Story):
    """A story in which one step meets something that nobody foresaw."""

    def steps(self) -> tuple[tuple[str, Callable[[], str], Process], ...]:
        def fail() -> str:
            fields: dict[str, Any] = {}
            return str(fields["state"])

        return (("armed", fail, self._world.daemon),)


def test_the_unforeseen_still_ends_with_a_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with World(tmp_path / "world") as world:
        assert _tell(_Broken(world, "a sky"), world, Narrator(as_json=True)) is False
    out, err = capsys.readouterr()
    result = json.loads(out.splitlines()[-1])
    assert (result["ok"], result["failed_step"]) == (False, "armed")
    assert result["why"] == "unexpected KeyError: 'state'"
    assert "KeyError" in Path(result["log"]).read_text()
    assert "unexpected KeyError: 'state'" in err


def test_a_world_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "something").touch()
    with pytest.raises(SimulatorError, match="is not empty"):
        run_demo(nmea=None, mobile=Mobile(), keep=tmp_path, as_json=True)
