"""The demo's world without its story: it stays for somebody to play with, until Ctrl-C."""

import shlex
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from bondmate_sim.commands import command_line
from bondmate_sim.console import complain_with_log, say
from bondmate_sim.mobile import Mobile
from bondmate_sim.pin_file import DURESS_PIN, PIN
from bondmate_sim.service import interrupted_by_signals
from bondmate_sim.settings import (
    BUTTON_PIN,
    CASE_PIN,
    LISBON,
    MAN_DOWN_PIN,
    POWER_PIN,
    SECOND_BUTTON_PIN,
    Settings,
    settings_for,
)
from bondmate_sim.world import World

LOOK_S = 0.5
PRESS_S = 1.2
GROUP = "patrol"
"""In which the device is."""


def run_up(*, nmea: Path | None, mobile: Mobile, keep: Path | None) -> int:
    """Run a world until SIGINT, SIGTERM or SIGHUP: 0. When one of its processes ends by itself: 1, and the world stays.

    `keep` names the directory of the world and lets it stay. Raises SimulatorError when it cannot be made or started.
    """
    settings = _equipped(settings_for(nmea, mobile))
    directory = keep if keep is not None else Path(tempfile.mkdtemp(prefix="bondmate-up-"))
    ended = None
    with interrupted_by_signals(), World(directory, settings) as world:
        try:
            world.start()
            world.at_gateway("group", world.device or "", GROUP)
            say(_guide(world, world.start_console()))
            while (ended := next((one for one in world.processes() if one.pid is None), None)) is None:
                time.sleep(LOOK_S)
        except KeyboardInterrupt:
            say("\nstopping")
    if ended is None:
        if keep is None:
            shutil.rmtree(directory)
        return 0
    complain_with_log(f"{ended.name} ended by itself", ended.log)
    return 1


def _equipped(settings: Settings) -> Settings:
    """The same with all that a board may have, and a gesture for each of its buttons."""
    return replace(settings, equipped=True, gestures={"double": "assistance", "second_hold": "medical"})


def _guide(world: World, page: str) -> str:
    board, device, gateway = _board(world), _device(world), _gateway(world)
    mobile = world.mobile
    modem = f"""
  modem       {_command("bondmate-sim", "modem-do", mobile.modem_control, "hang", "20")}"""
    messages = f"""
  sms         {mobile.centre_tap_file}"""
    return f"""\
{world.device} is up, and its officer on duty. Ctrl-C ends it.

  page        {page}
  pin         {PIN}; under duress {DURESS_PIN}

{board}{modem if mobile.mobile.has_modem else ""}

{device}

{gateway}

What is written down
  logs        {world.logs}{messages if mobile.mobile.has_modem else ""}
  tap         {world.tap_file}"""


def _board(world: World) -> str:
    def at_pin(command: str, pin: int, *arguments: str) -> str:
        return _command("bondmate-sim", command, "--socket", world.board_socket, "--pin", str(pin), *arguments)

    return f"""\
The device in the hand (contacts: open, closed)
  press       {at_pin("press", BUTTON_PIN, "--hold", str(PRESS_S))}
  second      {at_pin("press", SECOND_BUTTON_PIN, "--hold", str(PRESS_S))}
  man-down    {at_pin("contact", MAN_DOWN_PIN, "closed")}
  case        {at_pin("contact", CASE_PIN, "open")}
  power       {at_pin("contact", POWER_PIN, "open")}
  battery     {_command("bondmate-sim", "battery", "--dir", world.battery, "--percent", "12")}
  pins        {_command("bondmate-sim", "pins", "--socket", world.board_socket, "--watch")}"""


def _device(world: World) -> str:
    def ctl(*arguments: str) -> str:
        return _command("bondmatectl", "--socket", world.api_socket, *arguments)

    return f"""\
What it says of itself
  device      {ctl("status")}
  alert       {ctl("alert", "show")}
  check-in    {ctl("checkin", "begin", "20m", "--note", "cellar of number 7")}
  inbox       {ctl("inbox")}
  watch       {ctl("watch")}
  duty        {ctl("duty", "off")}
  sky         {ctl("gnss", "watch")}
  bearers     {ctl("bearers")}
  privacy     {ctl("privacy")}
  self-test   {ctl("selftest")}"""


def _gateway(world: World) -> str:
    def gateway(*arguments: str) -> str:
        return _command("bondmate-gateway", *arguments, "--data", str(world.gateway_data))

    device = str(world.device)
    area = f"{LISBON[0]},800"
    return f"""\
The dispatcher (ID: an alert's, as the first line shows it)
  gateway     {gateway("alerts")}
  ack         {gateway("ack", "ID", "--by", "Ana")}
  close       {gateway("close", "ID", "--by", "Ana")}
  message     {gateway("message", device, "Call me when you can")}
  group       {gateway("alert", "--group", GROUP, "--area", area, "Keep away from the square")}
  exercise    {gateway("exercise", device, "--minutes", "10")}"""


def _command(name: str, *arguments: str | Path) -> str:
    return shlex.join(command_line(name, *arguments))
