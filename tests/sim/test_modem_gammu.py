"""gammu, which many modems have taught, speaks to the simulated one: an independent reading of the same standards."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from bondmate_sim.process import Process
from tests.sim.conftest import Launch
from tests.sim.test_smsc import GATEWAY, Connect, centre, connect

__all__ = ["centre", "connect"]  # fixtures

DEVICE = "+4915550001"
Gammu = Callable[..., str]

pytestmark = pytest.mark.skipif(shutil.which("gammu") is None, reason="gammu is not installed (Debian package gammu)")


@pytest.fixture(params=["quectel", pytest.param("simcom", marks=pytest.mark.long)])
def modem(request: pytest.FixtureRequest, run: Path, launch: Launch, centre: Process) -> Process:
    """A registered modem that the centre knows, at `modem`."""
    port = centre.wait_for_line(r".*:(\d+)$", 5)[1]
    options = ("--dialect", request.param, "--number", DEVICE, "--smsc", f"127.0.0.1:{port}")
    process = launch("modem", "--link", run / "modem", *options)
    process.wait_for_line("registration home", 10)
    return process


@pytest.fixture
def gammu(run: Path, modem: Process) -> Gammu:
    """Let gammu do all these commands in one go; returns what it prints."""
    config = run / "gammurc"
    config.write_text(f"[gammu]\nport = {run / 'modem'}\nconnection = at115200\nsynchronizetime = no\n")

    def gammu(*commands: str) -> str:
        (run / "batch").write_text("".join(f"{command}\n" for command in commands))
        done = subprocess.run(
            ["gammu", "-c", str(config), "batch", str(run / "batch")],
            capture_output=True, text=True, timeout=40, check=False, env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return gammu


def test_gammu_knows_the_modem_and_reads_what_the_gateway_sent(gammu: Gammu, modem: Process, connect: Connect) -> None:
    gateway = connect().attach(GATEWAY)
    gateway.send(type="submit", id="1", to=DEVICE, dcs=0, udhi=False, udl=10, ud="E8329BFD4697D9EC37")
    gateway.send(type="submit", id="2", to=DEVICE, dcs=8, udhi=False, udl=6, ud="00df6f2220ac")
    gateway.send(type="submit", id="3", to=DEVICE, dcs=4, udhi=False, udl=3, ud="00ff41")
    modem.wait_for_line("message kept in SM 2", 10)
    said = gammu("identify", "networkinfo", "getallsms")
    assert "IMEI                 : 490154203237518" in said
    assert "SIM IMSI             : 001010123456789" in said
    assert "Quectel" in said or "SIMCOM" in said
    assert "Network state        : home network" in said
    assert 'Name in phone        : "Test Network"' in said
    assert "GPRS                 : attached" in said
    assert said.count(f'Remote number        : "{GATEWAY}"') == 3
    assert "3 SMS parts in 3 SMS sequences" in said
    assert "\nhellohello\n" in said
    assert "\nß漢€\n" in said
    assert "Coding               : 8-bit" in said


def test_gammu_sends_and_the_gateway_has_the_septets(gammu: Gammu, connect: Connect) -> None:
    gateway = connect().attach(GATEWAY)
    said = gammu(
        f"sendsms TEXT {GATEWAY} -text hellohello", f"sendsms TEXT {GATEWAY} -len 400 -text {'0123456789' * 20}"
    )
    assert "message reference=0" in said
    message, first, second = gateway.read(), gateway.read(), gateway.read()
    # the packed octets of the well-known example
    assert message["from"] == DEVICE
    assert (message["dcs"], message["udl"], message["ud"].upper()) == (0, 10, "E8329BFD4697D9EC37")
    # 3GPP TS 23.040, clause 9.2.3.24.1: header of 5, element 0 of 3 octets: reference, of 2, number
    assert (first["udhi"], second["udhi"]) == (True, True)
    assert first["ud"][:6] == second["ud"][:6] == "050003"
    assert first["ud"][6:8] == second["ud"][6:8]
    assert (first["ud"][8:12], second["ud"][8:12]) == ("0201", "0202")
