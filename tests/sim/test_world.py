import json
import os
import signal
import stat
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from bondmate_sim.board_client import BoardClient
from bondmate_sim.commands import CommandError, command_line, run, run_json
from bondmate_sim.errors import SimulatorError
from bondmate_sim.process import wait_until
from bondmate_sim.world import (
    BUTTON_PIN,
    CASE_PIN,
    MAN_DOWN_PIN,
    POWER_PIN,
    SECOND_BUTTON_PIN,
    VIBRATION_PIN,
    Settings,
    World,
)


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
    assert world.daemon.wait_until(lambda: world.edges(VIBRATION_PIN, hold.pressed_ns), 30, "to vibrate")
    sent = world.daemon.wait_until(
        lambda: [one for one in world.datagrams() if one.t_ns > hold.pressed_ns], 5, "to send something"
    )
    assert sent[0].direction == "up"
    assert sent[0].data
    alert = world.ctl("alert", "show")
    assert alert["alert_id"].startswith(f"{world.device}/")
    shown = wait_until(lambda: world.at_gateway("alerts"), 30, "the gateway to show it")
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
    pin = world.directory / "credentials" / "pin.json"
    assert stat.S_IMODE(pin.stat().st_mode) == 0o600
    assert json.loads(pin.read_text())["version"] == 1


def levels(world: World, *pins: int) -> list[int]:
    shown = run_json("bondmate-sim", "pins", "--socket", world.board_socket)["pins"]
    return [shown[pin]["level"] for pin in pins]


def test_a_world_with_everything_is_good_and_its_contacts_and_battery_do_as_told(tmp_path: Path) -> None:
    settings = Settings(
        equipped=True,
        gestures={"double": "assistance", "second_hold": "medical", "cancel": "triple"},
        automatic={"countdown_s": 5, "man_down_s": 6.5},
    )
    with World(tmp_path / "world", settings) as world:
        world.start_gateway()
        world.start_network()
        world.enrol()
        assert "good; this device is BM-" in run("bondmated", "--config", world.config_file, "--check")
        world.start_board()
        with BoardClient(world.board_socket) as device:
            for pin in (CASE_PIN, POWER_PIN, MAN_DOWN_PIN, SECOND_BUTTON_PIN):
                device.request("input", pin=pin, pull="up")
            contacts = (CASE_PIN, POWER_PIN, MAN_DOWN_PIN)
            assert levels(world, *contacts) == [0, 0, 1], "the case is shut, the supply there, and nobody lies"
            world.set_contact(CASE_PIN, closed=False)
            world.set_contact(MAN_DOWN_PIN, closed=True)
            assert levels(world, *contacts) == [1, 0, 0]
            hold = world.press(0.01, SECOND_BUTTON_PIN)
            assert [edge.level for edge in world.edges(SECOND_BUTTON_PIN, hold.pressed_ns)] == [0, 1]
    assert (world.battery / "capacity").read_text() == "87\n"
    world.set_battery(4, charging=True)
    assert [(world.battery / name).read_text() for name in ("capacity", "status")] == ["4\n", "Charging\n"]


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of the officer's page: what the world expects of one, and no more."""
    program = tmp_path / "page.py"
    program.write_text(
        "import pathlib, sys, time\n"
        "given = dict(zip(sys.argv[1::2], sys.argv[2::2]))\n"
        "host, _, port = given['--listen'].rpartition(':')\n"
        "pathlib.Path(given['--runtime'], 'token').write_text('secret')\n"
        "print(f'INFO page: page at http://{host}:{port if port != \"0\" else 4711}/', flush=True)\n"
        "time.sleep(600)\n"
    )
    commands = {"bondmate-console": [sys.executable, str(program)]}

    def command(name: str, *arguments: str | Path) -> list[str]:
        return [*commands[name], *map(str, arguments)] if name in commands else command_line(name, *arguments)

    monkeypatch.setattr("bondmate_sim.world.command_line", command)


def test_the_page_is_started_where_it_is_asked_for_and_comes_back_at_the_same_port(page: None, world: World) -> None:
    assert world.console not in world.processes()
    assert world.start_console() == "http://127.0.0.1:4711/#secret"
    assert world.processes()[0] is world.console, "it ends before what it talks to"
    words = world.console.command
    assert words[words.index("--api") + 1] == str(world.console_socket)
    assert words[words.index("--runtime") + 1] == str(world.console_dir)
    assert world.console.kill() == -signal.SIGKILL
    assert world.start_console() == "http://127.0.0.1:4711/#secret"
    assert "127.0.0.1:4711" in world.console.command


def test_the_gateway_is_asked_anything(world: World) -> None:
    world.start_gateway()
    assert world.at_gateway("alerts") == world.at_gateway("devices") == []
    with pytest.raises(CommandError, match="--no-such-option"):
        world.at_gateway("alerts", "--no-such-option")


def test_sockets_fit_whatever_the_directory_is_called(world: World) -> None:
    assert len(str(world.directory)) > 107
    for path in (world.board_socket, world.api_socket, world.notify.path):
        assert len(os.fsencode(path)) < 60


def test_a_directory_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(SimulatorError, match=r"is not empty; remove it or name another"):
        World(tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["thesis.txt"]
