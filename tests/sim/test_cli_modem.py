from pathlib import Path
from typing import Any

import pytest

from bondmate_sim.cli import _parser, main
from bondmate_sim.cli_modem import _fields, _setup
from bondmate_sim.errors import SimulatorError
from bondmate_sim.modem_body import Setup


@pytest.mark.parametrize(
    "arguments",
    [
        ["modem", "--dialect", "hayes"],
        ["modem", "--number", "112"],
        ["modem", "--signal-dbm", "5"],
        ["modem", "--registration", "lost"],
        ["modem", "--no-sim", "--puk-locked"],
        ["modem", "--chunk", "half"],
        ["modem", "--smsc", "5683"],
        ["modem-do"],
        ["smsc", "--loss", "2"],
        ["smsc", "--delay-s", "2,1"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("usage: bondmate-sim")


def test_a_modem_s_beginning(tmp_path: Path) -> None:
    assert _setup(_parser().parse_args(["modem"])) == Setup()
    (tmp_path / "pin").write_text("1234\n")
    words = ["--dialect", "simcom", "--number", "+491", "--pin-file", str(tmp_path / "pin"), "--signal-dbm", "none"]
    words += ["--registration", "roaming", "--no-echo", "--apn", "x", "--puk-locked"]
    setup = _setup(_parser().parse_args(["modem", *words]))
    assert setup == Setup("simcom", "+491", "1234", True, True, None, "roaming", False, "x")
    assert "1234" not in repr(setup)


@pytest.mark.parametrize("content", ["", "12", "123456789", "12a4", "\udcff"])
def test_a_file_without_a_pin_is_refused_and_not_shown(tmp_path: Path, content: str) -> None:
    (tmp_path / "pin").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(SimulatorError) as caught:
        _setup(_parser().parse_args(["modem", "--pin-file", str(tmp_path / "pin")]))
    assert not content or content not in str(caught.value).replace(str(tmp_path), "")


FIELDS: list[tuple[str, str | None, dict[str, Any]]] = [
    ("signal", "-100", {"dbm": -100}),
    ("signal", "none", {"dbm": None}),
    ("registration", "denied", {"state": "denied"}),
    ("sim", "out", {"inserted": False}),
    ("lose-socket", "0", {"link": 0}),
    ("storm", "10", {"count": 10}),
    ("garbage", "10", {"octets": 10}),
    ("hang", None, {"seconds": None}),
    ("hang", "2.5", {"seconds": 2.5}),
    ("pwrkey", "0.7", {"seconds": 0.7}),
    ("reset", None, {}),
]


@pytest.mark.parametrize(("action", "value", "fields"), FIELDS)
def test_an_action_s_value_is_what_the_modem_wants(action: str, value: str | None, fields: dict[str, Any]) -> None:
    assert _fields(action, value) == fields


@pytest.mark.parametrize(("action", "value"), [("signal", "x"), ("reset", "1"), ("sim", "half"), ("unplug", "soon")])
def test_a_value_that_does_not_go_with_it(action: str, value: str) -> None:
    with pytest.raises(SimulatorError):
        _fields(action, value)
