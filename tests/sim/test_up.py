import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bondmate_sim.process import wait_until
from tests.sim.conftest import SIM
from tests.sim.test_world import processes_about

Up = subprocess.Popen[str]


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    process = subprocess.Popen(
        [SIM, "up"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    yield process
    process.kill()
    process.communicate()


def guide(up: Up) -> dict[str, str]:
    """What it printed when it was ready, by the first word of each line."""
    assert up.stdout is not None
    lines = {}
    for line in iter(up.stdout.readline, ""):
        name, _, rest = line.strip().partition(" ")
        lines[name] = rest.strip()
        if name == "tap":
            break
    return lines


def test_what_it_prints_can_be_typed_and_sigterm_ends_it_without_a_trace(up: Up, tmp_path: Path) -> None:
    lines = guide(up)
    typed = ("press", "second", "man-down", "case", "power", "battery", "device", "alert", "privacy", "duty", "gateway")
    for name in typed:
        done = subprocess.run(shlex.split(lines[name]), capture_output=True, text=True, timeout=30, check=False)
        assert (done.returncode, done.stderr) == (0, ""), name
    assert lines["pin"] == "1234; under duress 4321"
    [world] = tmp_path.glob("bondmate-up-*")
    assert (world / "battery" / "capacity").read_text() == "12\n"
    up.send_signal(signal.SIGTERM)
    out, err = up.communicate(timeout=20)
    assert (up.returncode, out, err) == (0, "\nstopping\n", "")
    assert processes_about(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_the_dispatcher_s_part_is_in_it_with_this_device_and_this_gateway(up: Up, tmp_path: Path) -> None:
    lines = guide(up)
    [world] = tmp_path.glob("bondmate-up-*")
    for name in ("ack", "close", "message", "group", "exercise"):
        words = shlex.split(lines[name])
        assert words[0].endswith("/bondmate-gateway")
        assert words[-2:] == ["--data", str(world / "gateway")]
    assert shlex.split(lines["message"])[2] == shlex.split(lines["exercise"])[2]
    assert lines["page"]


def test_killed_without_mercy_it_leaves_no_process(up: Up, tmp_path: Path) -> None:
    guide(up)
    assert len(processes_about(tmp_path)) >= 5
    up.kill()
    assert wait_until(lambda: processes_about(tmp_path) == [], 30, "all to be gone")


def test_a_part_that_dies_ends_it_with_the_log(up: Up, tmp_path: Path) -> None:
    lines = guide(up)
    socket = shlex.split(lines["press"])[3]
    pid = next(
        int(entry.parent.name)
        for entry in Path("/proc").glob("[0-9]*/cmdline")
        if b"\0".join((b"board", b"--socket", socket.encode())) in entry.read_bytes()
    )
    os.kill(pid, signal.SIGKILL)
    _, err = up.communicate(timeout=30)
    assert up.returncode == 1
    assert "board ended by itself" in err or "bondmated ended by itself" in err
    assert (Path(lines["logs"]) / "board.log").exists(), "the world stays for a look"
