from pathlib import Path

import pytest

from bondmate_sim import commands
from bondmate_sim.commands import CommandError, run, run_json


def test_output_is_returned_and_json_is_parsed(board: Path) -> None:
    assert run("bondmate-sim", "pins", "--socket", board) == "no pin is in use: the device is not running\n"
    assert len(run_json("bondmate-sim", "pins", "--socket", board)["pins"]) == 28


def test_a_command_that_fails_says_what_it_said(run: Path) -> None:
    with pytest.raises(
        CommandError, match=r"bondmate-sim pins .* ended with exit code 3: .*no board answers"
    ) as caught:
        commands.run("bondmate-sim", "pins", "--socket", run / "nobody.sock")
    assert caught.value.code == 3


def test_what_is_no_json_or_not_there_or_hangs_is_told(
    board: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CommandError, match=r"cannot run no-such-command --help: .*No such file"):
        run("no-such-command", "--help")
    with pytest.raises(CommandError, match="printed no JSON"):
        run_json("bondmate-sim", "press", "--socket", board, "--pin", "17", "--hold", "0.01", "--help")
    monkeypatch.setattr(commands, "COMMAND_S", 0.3)
    with pytest.raises(CommandError, match=r"bondmate-sim press .* did not end in 0\.3 s"):
        run("bondmate-sim", "press", "--socket", board, "--pin", "17", "--hold", "30")
