"""The demo's world without its story: it stays for somebody to play with, until Ctrl-C."""

import shlex
import shutil
import sys
import tempfile
import time
from pathlib import Path

from bondmate_sim.console import complain_with_log, say
from bondmate_sim.mobile import Mobile
from bondmate_sim.service import interrupted_by_signals
from bondmate_sim.world import BUTTON_PIN, World, settings_for

LOOK_S = 0.5
PRESS_S = 1.2


def run_up(*, nmea: Path | None, mobile: Mobile, keep: Path | None) -> int:
    """Run a world until SIGINT, SIGTERM or SIGHUP: 0. When one of its processes ends by itself: 1, and the world stays.

    `keep` names the directory of the world and lets it stay. Raises SimulatorError when it cannot be made or started.
    """
    settings = settings_for(nmea, mobile)
    directory = keep if keep is not None else Path(tempfile.mkdtemp(prefix="bondmate-up-"))
    ended = None
    with interrupted_by_signals(), World(directory, settings) as world:
        try:
            world.start()
            say(_guide(world))
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


def _guide(world: World) -> str:
    programs = Path(sys.executable).parent

    def command(name: str, *arguments: str | Path) -> str:
        return shlex.join([str(programs / name), *map(str, arguments)])

    board, device = ("--socket", world.board_socket), ("--socket", world.api_socket)
    mobile = world.mobile
    modem = f"""
  modem     {command("bondmate-sim", "modem-do", mobile.modem_control, "hang", "20")}
  sms       {mobile.centre_tap_file}"""
    press = command("bondmate-sim", "press", *board, "--pin", str(BUTTON_PIN), "--hold", str(PRESS_S))
    return f"""\
{world.device} is up, and its officer on duty. Ctrl-C ends it.

  press     {press}
  pins      {command("bondmate-sim", "pins", *board, "--watch")}
  device    {command("bondmatectl", *device, "status")}
  alert     {command("bondmatectl", *device, "alert", "show")}
  duty      {command("bondmatectl", *device, "duty", "off")}
  sky       {command("bondmatectl", *device, "gnss", "watch")}
  bearers   {command("bondmatectl", *device, "bearers")}
  privacy   {command("bondmatectl", *device, "privacy")}
  gateway   {command("bondmate-gateway", "alerts", "--data", world.gateway_data)}
  logs      {world.logs}
  tap       {world.tap_file}{modem if mobile.mobile.has_modem else ""}"""
