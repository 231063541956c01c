import io
from pathlib import Path

import pytest

from bondmate_sim.console import complain, complain_with_log, say


def test_each_goes_to_its_own_stream(capsys: pytest.CaptureFixture[str]) -> None:
    say("ready")
    complain("broken")
    assert capsys.readouterr() == ("ready\n", "broken\n")


def test_a_complaint_shows_the_end_of_its_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "part.log"
    log.write_bytes(b"".join(b"line %d\n" % number for number in range(100)) + b"\xff\n")
    complain_with_log("it broke", log)
    lines = capsys.readouterr().err.splitlines()
    assert lines[:3] == ["it broke", f"its log is {log}; it ends with:", "    line 89"]
    assert lines[-2:] == ["    line 99", "    \ufffd"]


def test_a_log_that_was_never_written_is_said_to_be_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    complain_with_log("it broke", tmp_path / "none.log")
    assert capsys.readouterr().err == f"it broke\nits log {tmp_path / 'none.log'} is empty\n"


def test_a_terminal_that_lacks_a_letter_gets_a_question_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    octets = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(octets, encoding="ascii"))
    say("✓ stored")
    assert octets.getvalue() == b"? stored\n"
