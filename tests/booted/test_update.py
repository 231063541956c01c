"""Updates on a board: ordered by a rollout of the gateway, fetched from it, installed by RAUC, tried, and kept or not.

One device goes through all of it, in this order. Runs with ./dev image-test --long. The power cuts are made of what the
board wrote (writes.py), and it knows nothing of them.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bondmate_image import build, bundle, layout
from bondmate_sim.world import World
from tests.booted import bundles, judge, writes
from tests.booted.conftest import MAY_BE_WRITTEN, READY_S, Enrolled, Image, armed, started, surroundings
from tests.booted.machine import eventually
from tests.booted.updating import CARRIED_OUT_S, Device, Updated
from tests.image import signers
from tests.image.signers import Authority

pytestmark = pytest.mark.long

CUTS = 30
SEED = 7


@pytest.fixture(scope="module")
def device(
    image: Image, enrolled: Enrolled, force: Authority, serving: World, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Device]:
    """An enrolled device, off duty, that has called its slot good."""
    folder = tmp_path_factory.mktemp("update")
    made = folder / "card.img"
    writes.copy(enrolled.card, made)
    (folder / "bundles").mkdir()
    with started(image, made, serving, logged=True) as machine:
        found = Device(machine, serving, image, force, folder / "bundles")
        eventually(lambda: found.slots()["BOOT_A_LEFT"] == "3", READY_S, "the slot to be marked as good")
        yield found
    shutil.rmtree(folder)


def test_a_bundle_of_another_signer_is_refused(device: Device) -> None:
    device.order(device.packed("0.2.0", force=signers.authority("Others")), "0.2.0")
    state, text = device.outcome()
    assert state == "failed"
    assert "certificate" in text


def test_a_version_below_the_floor_is_refused(device: Device) -> None:
    device.order(device.packed("0.0.9"), "0.0.9")
    assert device.outcome() == ("failed", "it is older than the oldest version that may be installed here")
    assert device.slots()["BOOT_ORDER"] == "A B"


def test_one_for_a_touch_screen_is_refused(device: Device) -> None:
    device.order(device.packed("0.2.1", touch=True), "0.2.1")
    assert device.outcome() == ("failed", "it is for devices with another screen")
    assert device.slots()["BOOT_ORDER"] == "A B"


@pytest.fixture(scope="module")
def updated(device: Device) -> Updated:
    """The device was told to take 0.3.0, and has said that it did."""
    wanted = device.wanted("0.3.0")
    device.order(bundle.bundle(wanted, device.force.signer(device.folder), device.folder), "0.3.0")
    assert device.outcome() == ("done", "0.3.0")
    log = device.machine.folder / "writes"
    with device.machine.paused():
        kept = writes.read(log)
    return Updated(log, kept, *(build.parts(each).slot.file_system for each in (device.image.wanted, wanted)))


@pytest.mark.usefixtures("updated")
def test_a_newer_one_is_installed_started_and_kept(device: Device) -> None:
    assert device.runs() == "0.3.0"
    assert "rauc.slot=B" in device.machine.run("cat /proc/cmdline")
    assert device.slots() == {"BOOT_ORDER": "B A", "BOOT_A_LEFT": "3", "BOOT_B_LEFT": "3"}
    assert device.machine.run("ls -A /data/bondmate-updater") == ""
    assert device.machine.run("systemctl --failed --plain --no-legend --no-pager") == ""


def test_the_slot_that_runs_is_not_written(updated: Updated) -> None:
    other = (layout.SLOT_B.start, layout.SLOT_B.start + layout.SLOT_B.size)
    assert writes.elsewhere(updated.writes, *MAY_BE_WRITTEN, other) == []


def test_after_a_power_cut_what_is_started_is_whole(
    device: Device, updated: Updated, enrolled: Enrolled, tmp_path: Path
) -> None:
    """Whichever slot U-Boot would try has one of the two versions, octet by octet; the device is itself in each."""
    card = tmp_path / "card.img"
    writes.copy(enrolled.card, card)
    seen = set()
    for at in writes.cut(updated.log, card, updated.writes, updated.cuts(CUTS, SEED), SEED):
        where = f"behind {at} of {len(updated.writes)} writes"
        slots = judge.to_be_tried(card)
        assert slots, f"{where}: no slot would be tried"
        for slot in slots:
            found = [file for file in (updated.old, updated.new) if judge.holds(card, judge.SLOTS[slot], file)]
            assert found, f"{where}: {slot} would be tried, and is not whole"
            seen.add((slot, found[0] == updated.new))
        judge.alerts(device.image.tools, card, enrolled.device)
    # else nothing was proven
    assert seen == {("A", False), ("B", False), ("B", True)}


def test_a_slot_that_lost_writes_is_found_out(updated: Updated, enrolled: Enrolled, tmp_path: Path) -> None:
    """The control: the same judge, and a card that lost the second half of what was installed."""
    card = tmp_path / "card.img"
    writes.copy(enrolled.card, card)
    in_slot = updated.in_slot()
    lost = set(in_slot[len(in_slot) // 2 :])
    told = [write for number, write in enumerate(updated.writes) if number not in lost]
    for _ in writes.cut(updated.log, card, told, [len(told)], SEED):
        assert judge.to_be_tried(card)[0] == "B"
        assert not judge.holds(card, layout.SLOT_B, updated.new)
        assert not judge.holds(card, layout.SLOT_B, updated.old)


def test_a_kernel_that_does_not_start_is_fallen_back_from(device: Device) -> None:
    """Three times U-Boot tries it; then the version before runs again, and says so."""
    device.order(device.broken("0.4.0", bundles.KERNEL), "0.4.0")
    assert device.outcome() == ("failed", "0.3.0 runs: 0.4.0 did not prove good")
    assert device.runs() == "0.3.0"
    assert device.slots()["BOOT_A_LEFT"] == "0"
    # told before each try; whether U-Boot finds out itself depends on what its memory still holds of another kernel
    tried = re.findall("slots: booting (.)", device.machine.console.read_text(errors="replace"))
    assert tried[-4:] == ["A", "A", "A", "B"]


def test_a_daemon_that_does_not_start_is_fallen_back_from(device: Device) -> None:
    """The kernel starts, and the updater finds that the device is not well; U-Boot would have taken it for good."""
    device.order(device.broken("0.5.0", bundles.DAEMON), "0.5.0")
    eventually(lambda: device.runs() == "0.5.0", CARRIED_OUT_S, "it to be started")
    assert device.outcome() == ("failed", "0.3.0 runs: 0.5.0 did not prove good")
    assert device.runs() == "0.3.0"
    assert device.slots()["BOOT_ORDER"] == "B"


def test_a_device_starts_after_a_power_cut(
    device: Device, updated: Updated, enrolled: Enrolled, tmp_path: Path
) -> None:
    """The slot is written, and the power goes while it is being chosen. The other board stands still meanwhile."""
    at = next(number for number in updated.in_state() if number > updated.in_slot()[-1]) + 1
    card, left = tmp_path / "card.img", tmp_path / "left.img"
    writes.copy(enrolled.card, card)
    for _ in writes.cut(updated.log, card, updated.writes, [at], SEED):
        writes.copy(card, left)
    card.unlink()
    # with a modem of its own: two boards would take the octets from each other
    with (
        surroundings(tmp_path / "world") as elsewhere,
        device.machine.paused(),
        started(device.image, left, elsewhere) as machine,
    ):
        status = eventually(lambda: armed(machine), READY_S, "the device to be armed")
        assert status["device"] == enrolled.device
        assert machine.run("cat /usr/share/bondmate/version") in {device.image.wanted.version, "0.3.0"}
    left.unlink()
