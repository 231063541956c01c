import json
import os
import pty

import pytest

from bondmate_sim.narrator import Narrator


def test_for_a_machine_there_is_json_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    narrator = Narrator(as_json=True)
    narrator.step("world", "made")
    narrator.failure("fix", "none")
    narrator.block("for people")
    narrator.remark("for people")
    narrator.result({"ok": False, "failed_step": "fix"})
    out, err = capsys.readouterr()
    step, result = map(json.loads, out.splitlines())
    assert step == {"event": "step", "name": "world", "t_ms": step["t_ms"], "text": "made"}
    assert isinstance(step["t_ms"], int)
    assert result == {"event": "result", "ok": False, "failed_step": "fix"}
    assert err == ""


def test_for_a_person_there_are_aligned_lines_without_colour_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    narrator = Narrator(as_json=False)
    narrator.step("stored", "the device vibrated once")
    narrator.failure("sent", "nothing")
    narrator.block("one\n\ntwo\n")
    narrator.remark("the end")
    narrator.result({"ok": True})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].index("the device") == lines[1].index("nothing")
    assert "✓ stored" in lines[0]
    assert "✗ sent" in lines[1]
    assert lines[2:] == ["", "    one", "", "    two", "", "the end"]
    assert not any("\x1b" in line for line in lines)


def test_a_terminal_gets_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as terminal:
        monkeypatch.setattr("sys.stdout", terminal)
        Narrator(as_json=False).step("world", "made")
    assert b"\x1b[32m" in os.read(master, 4096)
    os.close(master)
