"""From the start of the process to armed, beside an interpreter that does nothing."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bondmate_sim.world import World
from tests.perf.table import Row

MAX_ROUNDS = 10


def measure(rounds: int) -> list[Row]:
    """Start to READY=1 over the start of a bare interpreter."""
    armed_ms, bare_ms = [], []
    with tempfile.TemporaryDirectory(prefix="bondmate-perf-") as directory, World(Path(directory) / "world") as world:
        world.start()
        for _ in range(min(rounds, MAX_ROUNDS)):
            world.daemon.stop()
            armed_ms.append(world.start_daemon() * 1000)
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", "pass"], check=True)
            bare_ms.append((time.perf_counter() - start) * 1000)
    return [Row("start to armed", armed_ms, "a bare interpreter", bare_ms)]
