import tomllib
from pathlib import Path
from typing import Any

import pytest

from bondmate_sim.mobile import Mobile
from bondmate_sim.settings import Places, Settings, configuration, settings_for

PLACES = Places(Path("/c"), Path("/s"), Path("/r"), Path("/r/gnss"), Path('/a "b"/battery'))


def written(**settings: Any) -> dict[str, Any]:
    return tomllib.loads(configuration(Settings(**settings), PLACES, ""))


def test_only_what_differs_from_the_defaults_is_written() -> None:
    plain = written()
    assert set(plain) == {"device", "gpio", "panic", "gnss", "clock", "indicator", "api"}
    assert plain["gpio"] == {"factory": "bondmate_sim", "button_pin": 17, "vibration_pin": 18, "led_pin": 27}


def test_a_board_with_everything_has_a_pin_for_each_and_a_battery() -> None:
    full = written(equipped=True)
    pins = {key: pin for key, pin in full["gpio"].items() if key.endswith("_pin")}
    assert set(pins) == {
        "button_pin", "vibration_pin", "led_pin", "second_button_pin", "buzzer_pin", "case_pin", "power_pin",
        "man_down_pin",
    }  # fmt: skip
    assert len(set(pins.values())) == len(pins)
    assert full["battery"] == {"path": '/a "b"/battery'}, "whatever a directory is called"


def test_gestures_and_countdowns_are_the_world_s() -> None:
    made = written(gestures={"double": "assistance"}, automatic={"countdown_s": 5}, hold_s=0.2)
    assert made["gestures"] == {"double": "assistance"}
    assert made["automatic"] == {"countdown_s": 5}
    assert made["panic"] == {"hold_s": 0.2}


def test_the_modem_s_sections_follow() -> None:
    text = configuration(Settings(), PLACES, '\n[modem]\nport = "/dev/m"\n')
    assert tomllib.loads(text)["modem"] == {"port": "/dev/m"}


def test_the_page_runs_as_whoever_made_the_world_if_that_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getuid", lambda: 0)
    assert written()["api"] == {"console_user": "root"}
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    assert "api" not in written()


def test_a_log_is_played_fast_enough_but_never_slow(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"".join(b"$GPRMC,12%02d%02d,A*00\n" % (n // 60, n % 60) for n in range(80)))
    settings = settings_for(log, Mobile())
    assert settings.receiver == ("--nmea", str(log), "--speed", "10.000", "--loop")
    assert settings.clock_source == "system"
    log.write_bytes(b"$GPRMC,120000,A*00\n")
    assert settings_for(log, Mobile()).receiver[3] == "1.000"
    assert settings_for(None, Mobile()) == Settings()
