import os
import subprocess
from pathlib import Path

import pytest

from bondmate_sim.cli import _parser, _shield, main
from bondmate_sim.walk import Point
from tests.sim.conftest import SIM


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["gnss"],
        ["gnss", "--route", "north"],
        ["gnss", "--nmea", "x", "--route", "1,2"],
        ["gnss", "--nmea", "x", "--speed", "0"],
        ["gnss", "--nmea", "x", "--receiver", "ublox"],
        ["gnss", "--nmea", "x", "--receiver", "nmea"],
        ["gnss", "--route", "1,2", "--receiver", "sirf"],
        ["gnss", "--route", "1,2", "--baud", "9601"],
        ["gnss", "--route", "1,2", "--baud", "0"],
        ["network", "--listen", "here", "--upstream", "127.0.0.1:1"],
        ["network", "--listen", "127.0.0.1:70000", "--upstream", "127.0.0.1:1"],
        ["network", "--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:1", "--loss", "1.1"],
        ["network", "--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:1", "--rebind-every", "0"],
        ["demo", "--nmea", "no-such-file.log"],
    ],
)
def test_wrong_usage_is_exit_code_2_with_the_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: bondmate-sim")


def test_southern_and_western_points_are_no_options() -> None:
    words = ["gnss", "--route", "-33.9,-18.4", "38.7,-9.1", "-1,2", "--link", "x"]
    options = _parser().parse_args([_shield(word) for word in words])
    assert options.route == [Point(-33.9, -18.4), Point(38.7, -9.1), Point(-1, 2)]
    assert options.link == Path("x")


def test_a_receiver_goes_with_a_route_and_a_speed_with_both() -> None:
    options = _parser().parse_args(["gnss", "--route", "1,2", "--receiver", "quectel-pqtm", "--baud", "460800"])
    assert (options.receiver, options.baud) == ("quectel-pqtm", 460_800)
    options = _parser().parse_args(["gnss", "--nmea", "x", "--baud", "4800"])
    assert (options.receiver, options.baud) == (None, 4_800)


def test_a_failure_is_exit_code_1_and_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "empty.log"
    log.write_bytes(b"")
    assert main(["gnss", "--nmea", str(log)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"bondmate-sim: the log {log} has nothing to play: it is empty or all comments\n"


def test_a_reader_that_leaves_early_gets_no_traceback(board: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as pipe:
        done = subprocess.run(
            [SIM, "pins", "--socket", board, "--json"], stdout=pipe, stderr=subprocess.PIPE, timeout=20, check=False
        )
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("words", [("demo", "--no-ip"), ("up", "--bearer", "lte", "--no-lte")])
def test_a_world_without_any_way_is_a_usage_error(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    assert ended.value.code == 2
    assert "nothing is left; another --bearer has more ways" in capsys.readouterr().err
