"""The power goes at any write of a start and of alerts: what was confirmed is kept, and nothing else was touched."""

import itertools
import random
import shutil
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bondmate_image import layout
from bondmate_image.host import Tools
from bondmate_sim.world import World
from tests.booted import writes
from tests.booted.conftest import MAY_BE_WRITTEN, Bench, Image
from tests.booted.machine import ANSWER_S, eventually

CUTS, LONG_CUTS = 20, 200
PRESSES = 3
SEED = 7


def test_confirmed_presses_outlive_power_cuts(
    bench: Bench, image: Image, world: World, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    log = bench.machine.folder / "writes"
    confirmed: list[tuple[int, str]] = []
    for _ in range(PRESSES):
        world.gateway.stop()
        bench.press()
        stored = eventually(lambda: _alert_that_is(bench, "stored"), ANSWER_S, "the alert to be stored")
        # whatever is written from here on, this one is there
        confirmed.append((writes.count(log), _name(stored["alert_id"])))
        world.start_gateway()
        eventually(lambda: _alert_that_is(bench, "delivered"), ANSWER_S, "the alert to be delivered")
        world.at_gateway("close", str(stored["alert_id"]))
        eventually(lambda: not _alert_that_is(bench, "delivered"), ANSWER_S, "the alert to be over")

    kept = writes.read(log)
    assert writes.elsewhere(kept, *MAY_BE_WRITTEN) == []

    number = LONG_CUTS if request.config.getoption("--long") else CUTS
    chosen = random.Random(SEED)
    # as many in the start as behind each of the alerts
    bounds = [0, *(since for since, _ in confirmed), len(kept) + 1]
    stretches = list(itertools.pairwise(bounds))
    cuts = sorted(chosen.randrange(*stretches[place % len(stretches)]) for place in range(number))
    seen = set()
    for at, data in writes.cut(log, bench.before, writes.moved(kept, layout.DATA.start), cuts, SEED):
        held = alerts(image.tools, data, tmp_path)
        promised = {alert for since, alert in confirmed if since <= at}
        assert promised <= held, f"cut after {at} of {len(kept)} writes: {promised - held} was confirmed, and is lost"
        seen.add(len(promised))
    # else nothing was proven
    assert seen == set(range(PRESSES + 1))


def alerts(tools: Tools, data: Path, folder: Path) -> set[str]:
    """The alerts in the store of a data partition, after its file system was put in order as at a start."""
    state = folder / "state"
    shutil.rmtree(state, ignore_errors=True)
    data = data.rename(folder / "data.ext4")
    check = tools.command(folder, ["e2fsck", "-fy", "/work/data.ext4"])
    checked = subprocess.run(check, capture_output=True, text=True, check=False)
    assert checked.returncode in {0, 1}, checked.stdout
    tools.run(folder, "debugfs", "-R", "rdump /bondmate/state /work", "/work/data.ext4")
    if not (state / "outbox.db").exists():  # the device had not opened its store for the first time
        return set()
    with sqlite3.connect(state / "outbox.db") as store:
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = store.execute("SELECT session, sequence FROM record WHERE stream = 0").fetchall()
    return {f"{session.hex()}/{sequence}" for session, sequence in rows}


def _name(alert_id: str) -> str:
    """An alert as the store has it: BM-7f3a09c1/0012-5be2aa10/alert/1 is 00125be2aa10/1."""
    _, session, _, sequence = alert_id.split("/")
    return f"{session.replace('-', '')}/{sequence}"


def _alert_that_is(bench: Bench, state: str) -> dict[str, Any] | None:
    alert = bench.alert()
    return alert if alert is not None and alert["state"] == state else None
