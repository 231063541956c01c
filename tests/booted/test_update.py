"""Updates on a board: ordered by a rollout of the gateway, fetched from it, installed by RAUC, tried, and kept or not.

One device goes through all of it, in this order. Runs with ./dev image-test --long.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bondmate_image import bundle
from bondmate_image.recipe import Wanted
from bondmate_image.trust import Trust
from bondmate_sim.world import World
from tests.booted import bundles, writes
from tests.booted.conftest import BUTTON, HOST, READY_S, Enrolled, Image, free_port, started
from tests.booted.machine import ANSWER_S, Machine, eventually
from tests.image import signers
from tests.image.signers import Authority

pytestmark = pytest.mark.long

CARRIED_OUT_S = 3600.0
"""Of an update, on a computer that emulates a board and does other things too; an idle one takes four minutes."""


@dataclass
class Device:
    """The board, and how the gateway takes it through versions."""

    machine: Machine
    world: World
    image: Image
    force: Authority
    folder: Path
    ordered: int = 0

    def wanted(self, version: str) -> Wanted:
        """The image of another version, that believes the same."""
        return replace(self.image.wanted, version=version)

    def packed(self, version: str, slot: Path | None = None, force: Authority | None = None) -> Path:
        """A bundle of that file system, or of nothing much; as this force or another one makes it."""
        by = force or self.force
        wanted = replace(self.wanted(version), trust=Trust(keyring=by.pem))
        return bundles.pack(self.image.tools, wanted, by.signer(self.folder), self.folder, slot)

    def broken(self, version: str, program: str) -> Path:
        """A bundle of a version, in which a program or the kernel is none."""
        return self.packed(version, bundles.broken(self.image.tools, self.wanted(version), program, self.folder))

    def order(self, file: Path, version: str) -> None:
        """Have the gateway tell the device; it looks, as at the beginning of a shift, and the shift ends."""
        self.world.at_gateway("bundle", "add", str(file), "--version", version)
        self.world.at_gateway("rollout", "start", version, "--tolerate", "100")
        self.ordered += 1
        self.machine.run("bondmatectl duty on")
        eventually(lambda: self.row()["state"] != "waiting", ANSWER_S, "the gateway to send the order")
        eventually(lambda: version in self.machine.run(_ASK), ANSWER_S, "the device to have the order")
        self.machine.run("bondmatectl duty off")

    def row(self) -> dict[str, Any]:
        """How the gateway has it of this device, in the newest rollout."""
        rollouts = {each["rollout"]: each for each in self.world.at_gateway("rollout", "status")}
        row: dict[str, Any] = rollouts[self.ordered]["devices"][0]
        return row

    def outcome(self) -> tuple[str, str]:
        """What the device said that came of it."""

        def look() -> tuple[str, str] | None:
            self.release()
            row = self.row()
            return (row["state"], row["text"]) if row["state"] in {"done", "failed"} else None

        return eventually(look, CARRIED_OUT_S, "the device to say what came of it")

    def release(self) -> None:
        """A restart takes the chip's inputs down, and low is pressed: nothing is done in an open alert."""
        with self.machine.lines() as lines:
            lines.set(BUTTON, high=True)

    def says(self, command: str) -> str:
        """What a command prints; nothing while the board restarts."""
        try:
            return self.machine.run(command, timeout_s=20)
        except TimeoutError:
            return ""

    def runs(self) -> str:
        """The version that runs; nothing while the board restarts."""
        self.release()
        return self.says("cat /usr/share/bondmate/version").rpartition("\n")[2]

    def slots(self) -> dict[str, str]:
        """The slot state."""
        lines = self.machine.run("fw_printenv").splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)


_ASK = (
    "/usr/lib/bondmate/bin/python -I -c 'from bondmate.api.client import call; from pathlib import Path;"
    ' print(call(Path("/run/bondmate/api.sock"), "GET", "/update"))\''
)


@pytest.fixture(scope="module")
def serving(world: World) -> Iterator[World]:
    """The gateway, which serves bundles too."""
    port = free_port()
    world.gateway.stop()
    world.gateway_options = ("--bundles", f"127.0.0.1:{port}", "--bundles-url", f"http://{HOST}:{port}")
    world.start_gateway()
    yield world
    world.gateway_options = ()


@pytest.fixture(scope="module")
def device(
    image: Image, enrolled: Enrolled, force: Authority, serving: World, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Device]:
    """An enrolled device, off duty, that has called its slot good."""
    folder = tmp_path_factory.mktemp("update")
    made = folder / "card.img"
    writes.copy(enrolled.card, made)
    (folder / "bundles").mkdir()
    with started(image, made, serving) as machine:
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


def test_a_newer_one_is_installed_started_and_kept(device: Device) -> None:
    made = bundle.bundle(device.wanted("0.3.0"), device.force.signer(device.folder), device.folder)
    device.order(made, "0.3.0")
    assert device.outcome() == ("done", "0.3.0")
    assert device.runs() == "0.3.0"
    assert "rauc.slot=B" in device.machine.run("cat /proc/cmdline")
    assert device.slots() == {"BOOT_ORDER": "B A", "BOOT_A_LEFT": "3", "BOOT_B_LEFT": "3"}
    assert device.machine.run("ls -A /data/bondmate-updater") == ""
    assert device.machine.run("systemctl --failed --plain --no-legend --no-pager") == ""


def test_a_kernel_that_does_not_start_is_fallen_back_from(device: Device) -> None:
    """Three times U-Boot tries it; then the version before runs again, and says so."""
    device.order(device.broken("0.4.0", bundles.KERNEL), "0.4.0")
    assert device.outcome() == ("failed", "0.3.0 runs: 0.4.0 did not prove good")
    assert device.runs() == "0.3.0"
    assert device.slots()["BOOT_A_LEFT"] == "0"
    assert device.machine.console.read_text(errors="replace").count("slots: A does not boot") == 3


def test_a_daemon_that_does_not_start_is_fallen_back_from(device: Device) -> None:
    """The kernel starts, and the updater finds that the device is not well; U-Boot would have taken it for good."""
    device.order(device.broken("0.5.0", bundles.DAEMON), "0.5.0")
    eventually(lambda: device.runs() == "0.5.0", CARRIED_OUT_S, "it to be started")
    assert device.outcome() == ("failed", "0.3.0 runs: 0.5.0 did not prove good")
    assert device.runs() == "0.3.0"
    assert device.slots()["BOOT_ORDER"] == "B"
