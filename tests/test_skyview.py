"""One picture of the sky, from what the API says of a receiver; and the terminal that shows it again and again."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from typing import Any

import pytest

from bondmate import skyview
from tests.terminal import rest


def satellite(**changed: Any) -> dict[str, Any]:
    return {
        "system": "gps", "number": 5, "signal": "1", "elevation_deg": 40, "azimuth_deg": 83, "cn0_dbhz": 30,
        "used": True,
    } | changed  # fmt: skip


FIX = {
    "time": "2026-11-20T15:00:00.120Z", "lat": 38.7222525, "lon": -9.139337, "alt_m": 12.3, "speed_mps": 1.4,
    "track_deg": 181.2, "mode": 3, "hdop": 0.9, "accuracy_m": 3.1, "satellites": 9, "age_s": 0.4, "source": "gnss",
    "suspect": [], "geoid_m": 53.4,
}  # fmt: skip


def state(**changed: Any) -> dict[str, Any]:
    """Of an awake receiver, as `GET /gnss` has it."""
    return {
        "awake": True, "port": "/dev/gnss", "speed_baud": 38400, "receiver": "u-blox M10", "antenna": "ok",
        "why_not": [], "satellites": [satellite()], "sentences": {"GGA": 10, "RMC": 10}, "rejected": {}, "octets": 5000,
        "noise_octets": 0, "at_s": 100.0, "fix": FIX,
    } | changed  # fmt: skip


def shown(now: dict[str, Any], before: dict[str, Any] | None = None) -> str:
    return "\n".join(skyview.picture(now, before))


def test_a_picture_of_a_receiver_that_works() -> None:
    said = shown(state(at_s=102.0, sentences={"GGA": 30, "RMC": 12, "ZDA": 5}, octets=7500), state())
    assert said.splitlines() == [
        "receiver   /dev/gnss: awake, 38400 baud, u-blox M10, antenna ok",
        "",
        "fix        3D  38.7222525, -9.1393370  12.3 m",
        "           accuracy 3.1 m  HDOP 0.9",
        "           1.4 m/s towards 181°",
        "           2026-11-20T15:00:00.120Z, 0.4 s old",
        "",
        "satellites 1 signals in view, 1 used",
        "                     up  from",
        "  ● GPS 5 L1        40°   83°  ████████████·············  30 dB-Hz",
        "",
        "a second   1250 octets; GGA 10, RMC 1, ZDA 2",
        "errors     none",
    ]


def test_what_is_unknown_is_a_dash() -> None:
    bare = dict.fromkeys(FIX) | {"lat": 1.0, "lon": 2.0, "mode": 2, "suspect": [], "age_s": None}
    said = shown(state(fix=bare, speed_baud=None, receiver=None, antenna=None, satellites=[]))
    assert "awake, speed not found yet" in said
    assert "no date yet, -" in said
    assert "None" not in said


def test_a_receiver_that_sleeps_says_how_it_is_woken() -> None:
    said = shown(state(awake=False, fix=None, satellites=[]))
    assert said.startswith("receiver   /dev/gnss: asleep.")
    assert "bondmatectl duty on" in said


@pytest.mark.parametrize(
    ("why_not", "ending"), [(["too few satellites"], "none: too few satellites"), ([], "none: nothing was heard yet")]
)
def test_why_there_is_no_fix_is_said(why_not: list[str], ending: str) -> None:
    assert f"fix        {ending}" in shown(state(fix=None, why_not=why_not)).splitlines()


def test_a_fix_that_is_not_believed_says_why() -> None:
    assert "SUSPECT    jump, frozen" in shown(state(fix=FIX | {"suspect": ["jump", "frozen"]})).splitlines()


def test_a_fix_that_gets_old_says_why_no_other_comes() -> None:
    assert "now        no fix: the antenna is open" in shown(state(why_not=["the antenna is open"])).splitlines()


def test_satellites_that_are_used_come_first_and_the_strongest_of_them() -> None:
    sky = [
        satellite(number=1, cn0_dbhz=None, used=False),
        satellite(number=2, cn0_dbhz=50, used=False),
        satellite(number=3, cn0_dbhz=20),
        satellite(number=4, cn0_dbhz=99),
        satellite(number=5, cn0_dbhz=10, elevation_deg=None, azimuth_deg=None),
    ]
    lines = [line for line in shown(state(satellites=sky)).splitlines() if line.startswith("  ")]
    numbers = [re.search(r"GPS (\d)", line) for line in lines if "GPS" in line]
    assert [each and each[1] for each in numbers] == ["4", "3", "5", "2", "1"]
    bars = {match[1]: match[0].count("█") for line in lines if (match := re.search(r"GPS (\d).*", line))}
    assert bars == {"4": 25, "3": 6, "5": 1, "2": 25, "1": 0}
    assert "satellites 5 signals in view, 3 used" in shown(state(satellites=sky))
    assert "not tracked" in shown(state(satellites=sky))


@pytest.mark.parametrize(
    ("system", "signal", "name"),
    [
        ("galileo", "7", "Galileo 5 E1"),
        ("beidou", "B", "BeiDou 5 B2I"),
        ("sbas", None, "SBAS 5"),
        ("gps", "9", "GPS 5 signal 9"),
    ],
)
def test_a_signal_is_called_as_people_call_it(system: str, signal: str | None, name: str) -> None:
    assert f"● {name} " in shown(state(satellites=[satellite(system=system, signal=signal)]))


def test_errors_are_counted_by_kind() -> None:
    said = shown(state(rejected={"unknown": 4, "bad checksum": 2}, noise_octets=77))
    assert "errors     2 bad checksum, 4 unknown, 77 octets of noise" in said.splitlines()


def until_ctrl_c(*states: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Gives these, and then somebody presses Ctrl-C."""
    left = iter(states)

    def look() -> dict[str, Any]:
        try:
            return next(left)
        except StopIteration:
            raise KeyboardInterrupt from None

    return look


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skyview, "EVERY_S", 0.0)


def test_as_json_each_state_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    skyview.watch(until_ctrl_c(state(at_s=1.0), state(at_s=2.0)), as_json=True)
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["at_s"] for line in lines] == [1.0, 2.0]


def test_what_is_no_terminal_gets_one_picture_after_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    skyview.watch(until_ctrl_c(state(), state(at_s=101.0, octets=5100)), as_json=False)
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert out.count("receiver   /dev/gnss") == 2
    assert "a second   100 octets; no sentences" in out


SHOW = """
import json, sys
from bondmate import skyview
skyview.watch(lambda: json.loads(sys.argv[1]), as_json=False)
"""


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_terminal_shows_no_more_than_fits_and_is_given_back_as_it_was(ending: signal.Signals) -> None:
    many = state(satellites=[satellite(number=number) for number in range(1, 60)])
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 60, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key not in ("LINES", "COLUMNS")}
    with subprocess.Popen([sys.executable, "-c", SHOW, json.dumps(many)], stdout=end, env=environment) as process:
        os.close(end)
        out = bytearray()
        while out.count(b"\x1b[H") < 2:
            out += os.read(terminal, 4096)
        process.send_signal(ending)
        out += rest(terminal)
        assert process.wait(20) == 0
    os.close(terminal)
    text = out.decode(errors="replace")  # a signal may end it in the middle of a bar
    assert text.startswith("\x1b[?1049h\x1b[?25l")
    assert text.endswith("\x1b[?25h\x1b[?1049l")
    first = text.split("\x1b[H")[1]
    lines = [re.sub(r"\x1b\[[?\d]*[A-Za-z]", "", line) for line in first.split("\r\n")]
    assert 0 < len(lines) <= 20
    assert max(map(len, lines)) <= 60
    assert lines[0].startswith("receiver   /dev/gnss: awake")
