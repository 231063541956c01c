"""Runs the story of one alert in a world of its own, and tidies up whatever happens; the answer is an exit code.

The steps themselves are in story.py, the processes in world.py.
"""

import shutil
import tempfile
import traceback
from pathlib import Path
from typing import Any

from bondmate_sim.console import complain_with_log
from bondmate_sim.errors import SimulatorError
from bondmate_sim.mobile import Mobile
from bondmate_sim.narrator import Narrator
from bondmate_sim.process import ProcessError
from bondmate_sim.service import interrupted_by_signals
from bondmate_sim.story import Story
from bondmate_sim.world import World, settings_for

UNKNOWN: dict[str, Any] = dict.fromkeys((
    "alert_id", "bearer", "press_to_stored_ms", "press_to_receipt_ms", "fix", "record_file", "external_aad_hex",
    "public_key_file", "onair_octets",
))  # fmt: skip
"""What a result line says of steps that were not reached."""


def run_demo(*, nmea: Path | None, mobile: Mobile, keep: Path | None, as_json: bool) -> int:
    """Tell the story; 0 only if the receipt was verified and the gateway shows the alert, else 1.

    `keep` names the directory of the world and lets it stay. Without it the world goes at the end, except where
    somebody still needs its files: after a failure, and in JSON mode. Raises SimulatorError when no world can be made.
    """
    settings = settings_for(nmea, mobile)
    narrator = Narrator(as_json=as_json)
    directory = keep if keep is not None else Path(tempfile.mkdtemp(prefix="bondmate-demo-"))
    with interrupted_by_signals(), World(directory, settings) as world:
        ok = _tell(Story(world, _describe_sky(nmea)), world, narrator)
    if ok and keep is None and not as_json:
        shutil.rmtree(directory)
    else:
        narrator.remark(f"The world stays in {directory}: logs, taps (*.jsonl), evidence.")
    return 0 if ok else 1


def _describe_sky(nmea: Path | None) -> str:
    if nmea is None:
        return "a GNSS receiver walks through Lisbon on a serial port"
    return f"a GNSS receiver plays {nmea.name} on a serial port"


def _tell(story: Story, world: World, narrator: Narrator) -> bool:
    for name, deed, process in story.steps():
        log = process.log
        try:
            text = deed()
            narrator.step(name, text)
            continue
        except KeyboardInterrupt:
            why = "interrupted"
        except SimulatorError as error:
            why = str(error)
            log = error.log if isinstance(error, ProcessError) else log
        except Exception as error:  # noqa: BLE001 - supervisor: the result must come
            log = world.logs / "demo.log"
            log.write_text(traceback.format_exc(), encoding="utf-8")
            why = f"unexpected {type(error).__name__}: {error}"
        narrator.failure(name, why)
        failure = {"failed_step": name, "why": why, "logs": str(world.logs), "log": str(log)}
        narrator.result({"ok": False, **UNKNOWN, **story.result, **failure})
        complain_with_log(f"the demo failed at the step {name}: {why}", log)
        return False
    narrator.block(story.dispatcher_view)
    narrator.result({"ok": True, **UNKNOWN, **story.result, "failed_step": None, "logs": str(world.logs)})
    return True
