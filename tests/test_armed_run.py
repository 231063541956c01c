"""An armed run whose small files hang, and what it knows of its chains. All else of such runs is tests/e2e's."""

import os
import time
from pathlib import Path

import pytest

from bondmate.armed_run import history_of
from bondmate.records import History, SessionId
from bondmate.running import END_S, LAST_GOOD_FILE
from bondmate.session import COUNTER_FILE
from bondmate_sim.world import World
from tests.desk import DEADLINE_S, Disk, outbox_on
from tests.e2e.conftest import make_world, press, wait_for_alerts, wait_for_state, world
from tests.virtual import run

__all__ = ["make_world", "world"]


def test_small_files_that_hang_hold_up_no_press_and_no_end(world: World) -> None:
    assert world.daemon.stop() == 0
    state = world.directory / "state"
    fifos = [state / COUNTER_FILE, state / f"{COUNTER_FILE}.part", state / LAST_GOOD_FILE]
    for fifo in fifos:
        fifo.unlink(missing_ok=True)
        os.mkfifo(fifo)
    world.start_daemon()
    press(world)
    wait_for_state(world, "delivered")
    assert len(wait_for_alerts(world, 1)) == 1
    # raises if nobody hangs at the other end: all that was done without the counter; now it hangs in the next file
    os.close(os.open(fifos[0], os.O_WRONLY | os.O_NONBLOCK))
    began = time.monotonic()
    assert world.daemon.stop() == 0, "by itself, and not by the guard of its end"
    assert time.monotonic() - began < END_S


@pytest.mark.parametrize(("is_first", "known"), [(True, History({})), (False, History.lost())])
def test_a_store_that_is_slow_to_open_lost_nothing_where_nothing_was_ever_kept(
    tmp_path: Path, is_first: bool, known: History
) -> None:
    outbox = outbox_on(tmp_path, Disk(takes_s=2 * DEADLINE_S))
    session = SessionId(bytes.fromhex("000112345678"))
    assert run(history_of(outbox, session, DEADLINE_S, is_first=is_first)) == known
