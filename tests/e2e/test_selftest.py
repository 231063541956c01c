"""A technician's self-test: real processes, from the command line and from the button alone."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bondmate_sim.board_client import BoardClient
from bondmate_sim.mobile import Mobile
from bondmate_sim.process import WaitedError, wait_until
from bondmate_sim.world import BUTTON_PIN, LED_PIN, Settings, World
from tests.e2e.bearers import await_modem, tell_modem
from tests.e2e.conftest import ctl, make_world, wait_for_alerts
from tests.e2e.not_armed import start_without_credentials, wait_until_it_says

__all__ = ["make_world"]

BIN = Path(sys.executable).parent
HOLD_S, TAP_S = 2.0, 0.1
"""A press that a busy machine makes much longer is still no hold."""
TEST_S = 260.0
ASKED = "button: waiting for a press: press the button once, briefly\n"
NONE_HERE = {"gateway-sms"}
"""No SMS was sent in this world, so no receipt came by one."""

pytestmark = pytest.mark.timeout(400)


class Technician:
    """One run of `bondmatectl selftest` beside the world; does what he is asked to."""

    def __init__(self, world: World, *options: str) -> None:
        self._world = world
        self._process = subprocess.Popen(
            [BIN / "bondmatectl", "--socket", world.api_socket, "selftest", *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def is_asked(self) -> str:
        """Returns when he is asked for the press, with the words."""
        assert self._process.stderr is not None
        return self._process.stderr.readline()

    def reads(self) -> tuple[int, str, str]:
        """The exit code, and what he read: standard output, and the rest of standard error."""
        out, err = self._process.communicate(timeout=TEST_S)
        return self._process.returncode, out, err


def tap(world: World) -> None:
    world.press(TAP_S)


def outcome(world: World) -> tuple[int, dict[str, dict[str, Any]]]:
    """A whole test; its exit code, and the checks by name."""
    technician = Technician(world, "--json")
    assert technician.is_asked() == ASKED
    tap(world)
    code, out, _ = technician.reads()
    checks = json.loads(out)
    assert out.count("\n") == 1
    assert all(list(each) == ["check", "ok", "text", "next"] for each in checks)
    assert all((each["next"] is not None) == (each["ok"] is False) for each in checks)
    return code, {each["check"]: each for each in checks}


def await_acceptance(world: World, number: int) -> None:
    """Until the gateway's receipt for that acceptance was verified: it is there, and signed."""
    world.daemon.wait_for_line(rf".*/report/{number} delivered", 60.0)


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An equipped world that all tests leave as it was; off duty, as a device on a technician's table."""
    settings = Settings(hold_s=HOLD_S, on_duty=False, equipped=True, mobile=Mobile("auto"))
    with World(tmp_path_factory.mktemp("selftest") / "world", settings) as made:
        made.start()
        await_modem(made)
        yield made


def test_all_is_well_on_one_screen_and_the_gateway_has_it_signed(lasting: World) -> None:
    technician = Technician(lasting)
    assert technician.is_asked() == ASKED
    tap(lasting)
    code, out, err = technician.reads()
    lines = out.splitlines()
    verdicts = {line.split()[0].lower(): line.split()[1] for line in lines}
    assert {name for name, verdict in verdicts.items() if verdict != "ok"} == NONE_HERE, out
    assert (code, len(lines)) == (0, 15)
    assert re.fullmatch(r"GNSS +ok +sentences come at \d+ baud", lines[0])
    assert re.fullmatch(r"BUTTON +ok +pressed for \d\.\d\d s", lines[5])
    assert re.fullmatch(r"GATEWAY-SMS +none +not tried, for each SMS costs", lines[14])
    assert "\033" not in out, "no colour but on a terminal"
    assert err.splitlines() == [
        "led: waiting for the LED to flash three times, twice: look at it",
        "vibration: waiting for two very long vibrations: feel them",
    ]
    await_acceptance(lasting, 1)


def test_a_hold_in_the_test_is_an_alert_like_any_other_and_ends_it(make_world: Callable[..., World]) -> None:
    world = make_world(hold_s=0.2, on_duty=False)
    world.start()
    technician = Technician(world, "--json")
    technician.is_asked()
    world.press(0.4)
    code, out, err = technician.reads()
    assert (code, err) == (1, "bondmatectl: the self-test was ended: an alert was raised\n")
    undone = [each for each in json.loads(out) if each["text"] == "not done: an alert was raised"]
    assert {each["check"] for each in undone} >= {"button", "led", "vibration"}
    [alert] = wait_for_alerts(world, 1)
    assert alert["kind"] == "panic"
    refused = Technician(world)
    assert refused.is_asked() == "bondmatectl: an alert is open: the self-test waits until it is over\n"
    assert refused.reads()[0] == 1


def test_all_that_can_be_broken_is_red_with_what_to_do_next(make_world: Callable[..., World]) -> None:
    world = make_world(hold_s=HOLD_S, on_duty=False, equipped=True, mobile=Mobile("auto"))
    world.start_gateway()
    world.start_network()
    world.enrol()
    world.start_board()
    world.start_receiver()
    world.start_modem()
    (world.directory / "state" / "outbox.db").mkdir()
    tell_modem(world, "sim", inserted=False)
    world.network.kill()
    with BoardClient(world.board_socket) as board:
        board.request("short", pin=LED_PIN, level=0)
    receiver = world.receiver.pid
    assert receiver is not None
    os.kill(receiver, signal.SIGSTOP)
    try:
        world.start_daemon()
        code, checks = outcome(world)
    finally:
        os.kill(receiver, signal.SIGCONT)
    assert code == 1
    assert {name: each["next"] for name, each in checks.items() if each["ok"] is False} == {
        "gnss": "check the receiver's power and its cable; whether its transmit line is connected",
        "fix": "see gnss",
        "sim": "put a SIM in, the contacts down",
        "registration": "see sim",
        "led": "check the wiring of the LED for a short circuit, and its pin in [gpio]",
        "storage": checks["storage"]["next"],
        "gateway-ip": "check the network, the gateway's address, and that its UDP port is open",
        "gateway-lte": "see registration",
        "gateway-sms": "see registration",
    }
    assert "alerts are sent from memory" in checks["storage"]["next"]
    assert checks["led"]["text"] == f"the LED at pin {LED_PIN} stays low when it is driven high"
    well = {"modem", "button", "vibration", "battery", "clock", "keys"}
    assert {name for name, each in checks.items() if each["ok"] is True} == well


def test_from_the_button_alone_and_what_came_of_it_is_shown_by_the_led(lasting: World) -> None:
    world = lasting
    log = world.daemon.log

    def began() -> bool:
        return "five short presses: a self-test is wanted" in log.read_text()

    for _ in range(4):
        # a machine that is busy enough makes another gesture of it
        world.daemon.stop()
        log.unlink()
        world.start_daemon()
        done = subprocess.run(
            [BIN / "bondmate-sim", "press", "--socket", world.board_socket, "--pin", str(BUTTON_PIN),
             "--hold", "0.15", "--times", "5"],
            capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        assert done.stdout.count("was held for") == 5
        with contextlib.suppress(WaitedError):
            wait_until(began, 10, "the self-test to be wanted")
            break
    assert began()
    assert ctl(world, "alert", "show") is None
    since_ns = time.monotonic_ns()
    wait_until(lambda: len(world.edges(LED_PIN, since_ns)) >= 4, 30, "the LED to ask for a press, covert or not")
    tap(world)
    world.daemon.wait_for_line(".*self-test 1 is over: all is well", TEST_S)
    await_acceptance(world, 1)
    since_ns = time.monotonic_ns()
    wait_until(lambda: len(world.edges(LED_PIN, since_ns)) >= 2, 30, "the LED to show that")


def test_a_device_that_is_not_armed_says_so_and_why(make_world: Callable[..., World]) -> None:
    world = make_world(on_duty=False)
    start_without_credentials(world)
    world.start_daemon()
    wait_until_it_says(world, "no credentials")
    for options in ((), ("--json",)):
        code, out, err = Technician(world, *options).reads()
        assert (code, out) == (1, "")
        assert err.startswith("bondmatectl: the device is not armed: no credentials: ")
