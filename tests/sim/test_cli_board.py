from pathlib import Path

import pytest

from bondmate_sim.cli import main


@pytest.mark.parametrize(
    "arguments",
    [
        ["board"],
        ["board", "--socket", "x", "--bounce-ms", "-1"],
        ["press", "--socket", "x", "--pin", "28", "--hold", "1"],
        ["press", "--socket", "x", "--pin", "17", "--hold", "0"],
        ["press", "--socket", "x", "--pin", "17", "--hold", "nan"],
        ["contact", "--socket", "x", "--pin", "17"],
        ["contact", "--socket", "x", "--pin", "17", "ajar"],
        ["battery"],
        ["battery", "--dir", "x", "--percent", "101"],
    ],
)
def test_wrong_usage_is_exit_code_2_with_the_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: bondmate-sim")


def test_a_battery_is_set_by_one_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["battery", "--dir", str(tmp_path / "b"), "--percent", "4"]) == 0
    assert capsys.readouterr().out == "the battery has 4 %, and is not at a charger\n"
    assert main(["battery", "--dir", str(tmp_path / "b"), "--charging"]) == 0
    assert capsys.readouterr().out == "the battery has 4 %, and is at a charger\n"
    assert [(tmp_path / "b" / name).read_text() for name in ("capacity", "status")] == ["4\n", "Charging\n"]


def test_a_battery_that_cannot_be_written_is_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["battery", "--dir", str(tmp_path / "file")]) == 1
    assert capsys.readouterr().err.startswith("bondmate-sim: cannot write the battery")
