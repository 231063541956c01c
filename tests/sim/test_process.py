import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bondmate_sim.process import Process, ProcessError, WaitedError, wait_until

READY = 10.0
PATIENT = "import time; print('ready', flush=True); time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + PATIENT


@pytest.fixture
def made(tmp_path: Path) -> Iterator[list[Process]]:
    processes: list[Process] = []
    yield processes
    for process in processes:
        process.kill()


def python(made: list[Process], tmp_path: Path, program: str, **environment: str) -> Process:
    process = Process("part", [sys.executable, "-c", program], tmp_path / "part.log", environment)
    made.append(process)
    return process


def test_a_line_of_the_log_says_ready(made: list[Process], tmp_path: Path) -> None:
    process = python(made, tmp_path, "import os; print('port', os.environ['PORT'], flush=True); input()", PORT="4711")
    process.start()
    assert process.wait_for_line(r"port (\d+)", READY)[1] == "4711"


def test_an_end_before_the_line_is_told_at_once_with_its_log(made: list[Process], tmp_path: Path) -> None:
    process = python(made, tmp_path, "import sys; print('no such port'); sys.exit(78)")
    process.start()
    with pytest.raises(ProcessError, match=r"part ended \(exit code 78\)") as caught:
        process.wait_for_line("ready", 600)
    assert caught.value.log == tmp_path / "part.log"
    assert caught.value.log.read_text() == "no such port\n"


def test_a_line_printed_just_before_the_end_still_counts(made: list[Process], tmp_path: Path) -> None:
    process = python(made, tmp_path, "print('ready')")
    process.start()
    wait_until(lambda: process.pid is None, READY, "the end")
    assert process.wait_for_line("ready", READY)[0] == "ready"


def test_silence_ends_with_the_time(made: list[Process], tmp_path: Path) -> None:
    process = python(made, tmp_path, PATIENT)
    process.start()
    with pytest.raises(ProcessError, match=r"waited 0\.05 s for part to say 'never'"):
        process.wait_for_line("never", 0.05)


def test_kill_leaves_no_time_and_a_restart_reads_its_own_lines_only(made: list[Process], tmp_path: Path) -> None:
    process = python(made, tmp_path, "import os, time; print('pid', os.getpid(), flush=True); time.sleep(600)")
    process.start()
    first = process.wait_for_line(r"pid (\d+)", READY)[1]
    pid = process.pid
    assert pid == int(first), "what we start is what we kill"
    assert process.kill() == -signal.SIGKILL
    assert process.pid is None
    process.start()
    second = process.wait_for_line(r"pid (\d+)", READY)[1]
    assert second != first
    assert process.log.read_text().splitlines() == [f"pid {first}", f"pid {second}"], "one log for all runs"


def test_stop_asks_first_and_then_kills(made: list[Process], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    polite = python(made, tmp_path, "import signal; print('ready', flush=True); signal.pause()")
    polite.start()
    polite.wait_for_line("ready", READY)
    assert polite.stop() == -signal.SIGTERM
    monkeypatch.setattr("bondmate_sim.process.STOP_S", 0.1)
    stubborn = python(made, tmp_path, STUBBORN)
    stubborn.start()
    stubborn.wait_for_line("ready", READY)
    assert stubborn.stop() == -signal.SIGKILL


def test_two_runs_at_once_are_refused(made: list[Process], tmp_path: Path) -> None:
    process = python(made, tmp_path, PATIENT)
    process.start()
    with pytest.raises(ProcessError, match="part runs already"):
        process.start()


def test_what_never_ran_has_nothing_to_stop(made: list[Process], tmp_path: Path) -> None:
    process = python(made, tmp_path, PATIENT)
    assert process.stop() is None
    assert process.kill() is None


def test_a_program_that_is_not_there_is_told(made: list[Process], tmp_path: Path) -> None:
    process = Process("part", [str(tmp_path / "no-such-program")], tmp_path / "part.log")
    made.append(process)
    process.start()
    with pytest.raises(ProcessError, match=r"part ended \(exit code 127\)"):
        process.wait_for_line("ready", READY)
    assert "no-such-program" in process.log.read_text()


def test_nothing_lingers_when_the_parent_is_killed(tmp_path: Path) -> None:
    parent = f"""
import sys, time
from pathlib import Path
from bondmate_sim.process import Process
child = Process("child", [sys.executable, "-c", {STUBBORN!r}], Path({str(tmp_path / "child.log")!r}))
child.start()
child.wait_for_line("ready", 10)
print(child.pid, flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        os.kill(child, 0)  # it lives
        process.kill()

    def gone() -> bool:
        # An orphan is reaped by init, which a container may lack: a zombie has ended too.
        try:
            return Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except FileNotFoundError:
            return True

    assert wait_until(gone, READY, "the child's end")


def test_waiting_looks_at_the_real_thing_and_says_what_for() -> None:
    looks = iter([None, 0, "", "here"])
    assert wait_until(lambda: next(looks), READY, "it") == "here"
    start = time.monotonic()
    with pytest.raises(WaitedError, match=r"waited 0\.05 s for a miracle"):
        wait_until(lambda: None, 0.05, "a miracle")
    assert time.monotonic() - start >= 0.05
