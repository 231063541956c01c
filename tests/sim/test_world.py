import json
import os
import signal
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from bondmate_sim.errors import SimulatorError
from bondmate_sim.mobile import Mobile
from bondmate_sim.process import wait_until
from bondmate_sim.world import BUTTON_PIN, VIBRATION_PIN, Settings, World, settings_for


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path / ("a-name-too-long-for-a-unix-socket-" * 4)) as made:
        yield made


def processes_about(*paths: Path) -> list[str]:
    """The command lines of all processes that name one of these paths."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if any(str(path).encode() in word for path in paths for word in words):
            found.append(b" ".join(words).decode())
    return found


def test_the_whole_world_runs_and_leaves_no_process_behind(world: World) -> None:
    world.start()
    assert world.ctl("status")["state"] in ("armed", "degraded")
    assert [process.name for process in world.processes() if process.pid is None] == []

    hold = world.press(1.2)
    pressed, released = world.edges(BUTTON_PIN, hold.pressed_ns)
    assert (pressed.level, released.level) == (0, 1)
    assert world.daemon.wait_until(lambda: world.edges(VIBRATION_PIN, hold.pressed_ns), 5, "to vibrate")
    sent = world.daemon.wait_until(
        lambda: [one for one in world.datagrams() if one.t_ns > hold.pressed_ns], 5, "to send something"
    )
    assert sent[0].direction == "up"
    assert sent[0].data
    alert = world.ctl("alert", "show")
    assert alert["alert_id"].startswith(f"{world.device}/")
    shown = wait_until(lambda: world.at_gateway("alerts"), 10, "the gateway to show it")
    assert [one["alert_id"] for one in shown] == [alert["alert_id"]]

    world.close()
    assert processes_about(world.directory, world.run) == []
    assert not world.run.exists()
    assert (world.directory / "logs" / "daemon.log").exists()


def test_the_daemon_can_be_killed_and_started_again(world: World) -> None:
    world.start()
    first = world.daemon.pid
    assert world.daemon.kill() == -signal.SIGKILL
    world.start_daemon()
    assert world.daemon.pid not in (None, first)
    assert len(world.notify.notices("READY")) == 2
    assert world.ctl("status")["state"] in ("armed", "degraded")


def test_the_gateway_and_the_network_come_back_at_the_same_ports(world: World) -> None:
    world.start_gateway()
    world.start_network()
    ports = (world.gateway_port, world.relay_port)
    world.gateway.kill()
    world.network.kill()
    world.start_gateway()
    world.start_network()
    assert (world.gateway_port, world.relay_port) == ports
    assert 0 not in ports


def test_the_device_gets_credentials_and_configuration(world: World) -> None:
    world.start_gateway()
    world.start_network()
    world.enrol()
    credentials = world.directory / "credentials" / "credentials.json"
    assert stat.S_IMODE(credentials.stat().st_mode) == 0o600
    enrolled = json.loads(credentials.read_text())
    assert enrolled["device"] == world.device
    assert enrolled["gateways"][0]["addresses"] == [f"coap://127.0.0.1:{world.relay_port}"], "through the relay"
    config = tomllib.loads(world.config_file.read_text())
    assert config["device"]["credentials_dir"] == str(world.directory / "credentials")
    assert config["gpio"]["factory"] == "bondmate_sim"
    assert config["gnss"]["port"] == str(world.receiver_link)
    assert config["clock"]["source"] == "system"
    assert config["panic"]["hold_s"] == 1.0


def test_sockets_fit_whatever_the_directory_is_called(world: World) -> None:
    assert len(str(world.directory)) > 107
    for path in (world.board_socket, world.api_socket, world.notify.path):
        assert len(os.fsencode(path)) < 60


def test_a_directory_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(SimulatorError, match=r"is not empty; remove it or name another"):
        World(tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_log_is_played_fast_enough_but_never_slow(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"".join(b"$GPRMC,12%02d%02d,A*00\n" % (n // 60, n % 60) for n in range(80)))
    settings = settings_for(log, Mobile())
    assert settings.receiver == ("--nmea", str(log), "--speed", "10.000", "--loop")
    assert settings.clock_source == "system"
    log.write_bytes(b"$GPRMC,120000,A*00\n")
    assert settings_for(log, Mobile()).receiver[3] == "1.000"
    assert settings_for(None, Mobile()) == Settings()
