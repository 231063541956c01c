"""A board that wakes up in 1970, as one does whose clock has no battery. Runs with ./dev image-test --long."""

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bondmate_image import bundle, recipe
from bondmate_sim.world import World
from tests.booted import writes
from tests.booted.conftest import READY_S, Bench, Enrolled, Image, release, wait_until_ready
from tests.booted.machine import Machine, eventually
from tests.booted.outside import outside
from tests.image.signers import Authority

pytestmark = pytest.mark.long

YEAR_S = 365 * 86_400


@pytest.fixture(scope="module")
def early(image: Image, enrolled: Enrolled, world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """An enrolled device of whose receiver nothing is heard yet; no time server is reached either."""
    folder = tmp_path_factory.mktemp("early")
    writes.copy(enrolled.card, folder / "card.img")
    machine = Machine(image.tools, folder, folder / "card.img", clock="1970-01-01T00:00:00")
    try:
        release(machine)
        machine.wait_for_shell()
        yield Bench(machine, world)
    finally:
        machine.stop()
    shutil.rmtree(folder)


def test_it_is_armed_at_the_images_date(early: Bench, image: Image) -> None:
    """The daemon asks nobody what time it is, and the manager knows that it is not earlier than the image."""
    wait_until_ready(early.machine)
    assert int(early.machine.run("cat /sys/class/rtc/rtc0/since_epoch")) < YEAR_S, "the board's own clock"
    now, uptime = early.machine.run("date +%s; cut -d. -f1 /proc/uptime").split()
    assert image.wanted.epoch <= int(now) <= image.wanted.epoch + int(uptime)


def test_an_update_is_believed_in_1970(early: Bench, image: Image, force: Authority, tmp_path: Path) -> None:
    """Its signer's certificate was issued long after: when the bundle was signed counts, and that is signed too."""
    (tmp_path / "content").mkdir()
    (tmp_path / "content/rootfs.ext4").write_bytes(os.urandom(4096))
    newer = replace(image.wanted, version="9.0.0")
    bundle.sign(image.tools, tmp_path, bundle.manifest(newer, recipe.updates()), force.signer(tmp_path), newer)
    early.machine.put((tmp_path / "made.raucb").read_bytes(), "/run/made.raucb")
    # not 0: the kernel sets no time that is before its own start. And whoever tells the time by then, would
    early.machine.run("systemctl stop chrony; date --set=@86400")
    said = early.machine.run("rauc info --output-format=json /run/made.raucb 2>/run/why || cat /run/why")
    assert '"version":"9.0.0"' in said, said
    assert int(early.machine.run("date +%s")) < YEAR_S
    early.machine.run("systemctl start chrony")


def test_a_fix_tells_it_the_time(early: Bench) -> None:
    """The receiver is the only one who knows it: by the daemon, chrony hears of it, and sets the clock."""
    early.machine.run("bondmatectl duty on")  # off duty the receiver sleeps
    with outside(early.machine):
        eventually(lambda: int(early.machine.run("date +%s")) > YEAR_S, READY_S, "the clock to be set")
        eventually(lambda: "GNSS" in early.machine.run("chronyc -n tracking"), READY_S, "chrony to follow the receiver")
        before = time.time()
        now = float(early.machine.run("date +%s.%N"))
        assert before - 1.0 < now < time.time() + 1.0
