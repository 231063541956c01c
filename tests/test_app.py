"""bondmated before it runs: its arguments, its files, and what it says of them. Its runs are tests/e2e's."""

import gc
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from bondmate.app import main
from bondmate_sim.gateway.cli import main as gateway

GOOD = """
[device]
credentials_dir = "{base}/credentials"
state_dir = "{base}/state"
runtime_dir = "{base}/run"

[gpio]
factory = "bondmate_sim"
button_pin = 17
vibration_pin = 18
led_pin = 27

[gnss]
port = "/dev/null"
"""

Prepare = Callable[..., Path]


@pytest.fixture
def prepare(tmp_path: Path) -> Prepare:
    """An enrolled device's configuration file, with replacements in its text."""
    assert gateway(["enrol", "--count", "1", "--out", str(tmp_path / "out"), "--data", str(tmp_path / "gateway")]) == 0
    (tmp_path / "credentials").mkdir()
    (tmp_path / "state").mkdir()
    [file] = (tmp_path / "out").glob("BM-*.json")
    file.rename(tmp_path / "credentials" / "credentials.json")

    def write(*replacements: tuple[str, str]) -> Path:
        text = GOOD.format(base=tmp_path)
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "device.toml"
        path.write_text(text)
        return path

    return write


def test_check_says_good_and_who_the_device_is(prepare: Prepare, capsys: pytest.CaptureFixture[str]) -> None:
    path = prepare()
    capsys.readouterr()
    assert main(["--config", str(path), "--check"]) == 0
    assert "good; this device is BM-" in capsys.readouterr().out


def test_every_fault_is_told_at_once_with_its_line(prepare: Prepare, capsys: pytest.CaptureFixture[str]) -> None:
    path = prepare(("button_pin = 17", 'button_pin = "left"'), ("led_pin = 27", "led_pni = 27"))
    for arguments in (["--check"], []):
        assert main(["--config", str(path), *arguments]) == 78
        said = capsys.readouterr().err.splitlines()
        assert f"bondmated: {path}:9: gpio.button_pin: found 'left', allowed is a whole number from 0 to 63" in said
        assert any(f"{path}:11: gpio.led_pni: unknown key; there are factory, button_pin," in line for line in said)
        assert any("gpio.led_pin: missing" in line for line in said)


def test_a_pin_factory_that_does_not_exist_is_found_by_check(
    prepare: Prepare, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--config", str(prepare(('"bondmate_sim"', '"lgpoi"'))), "--check"]) == 78
    assert "no pin factory is called 'lgpoi'; there are bondmate_sim" in capsys.readouterr().err


def test_a_device_without_credentials_is_told_what_it_lacks(
    prepare: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It runs, not armed (tests/e2e/test_not_armed.py); unless its pins cannot be had either, as here."""
    monkeypatch.delenv("BONDMATE_SIM_BOARD", raising=False)
    path = prepare()
    (tmp_path / "credentials" / "credentials.json").unlink()
    assert main(["--config", str(path), "--check"]) == 78
    assert "put the device's enrolment file there" in capsys.readouterr().err
    assert main(["--config", str(path)]) == 1
    said = capsys.readouterr().err
    assert "put the device's enrolment file there" in said
    assert f"bondmated: {path}: gpio.factory 'bondmate_sim' does not work here" in said


def test_a_device_that_cannot_be_armed_and_has_nothing_to_fall_back_to_says_why(
    prepare: Prepare, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("BONDMATE_SIM_BOARD", raising=False)
    path = prepare()
    assert main(["--config", str(path)]) == 1
    said = capsys.readouterr().err
    assert f"bondmated: {path}: gpio.factory 'bondmate_sim' does not work here" in said
    assert "BONDMATE_SIM_BOARD" in said


def test_a_file_that_is_not_there_is_told_with_where_to_look(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--config", str(tmp_path / "device.toml")]) == 78
    assert "No such file or directory: see docs/bondmate.example.toml" in capsys.readouterr().err


class Circle:
    """Hangs on itself, as what a run leaves does."""

    def __init__(self) -> None:
        self.itself = self


def test_what_a_run_left_is_gone_before_the_next_one_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[weakref.ref[Circle]] = []

    def run_once(_given: Path) -> int | None:
        if left:
            return 0 if left[0]() is None else 1
        left.append(weakref.ref(Circle()))
        return None

    monkeypatch.setattr("bondmate.app._run_once", run_once)
    gc.disable()
    try:
        assert main(["--config", str(tmp_path / "device.toml")]) == 0
    finally:
        gc.enable()
