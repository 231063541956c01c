"""A device that the gateway takes from version to version, the bundles for it, and what it wrote meanwhile."""

import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bondmate_image import layout, slot_state
from bondmate_image.recipe import Wanted
from bondmate_image.trust import Trust
from bondmate_sim.world import World
from tests.booted import bundles
from tests.booted.conftest import PAGE, Image, release
from tests.booted.machine import Machine, eventually
from tests.booted.qemu import ANSWER_S
from tests.booted.writes import Write
from tests.image.signers import Authority

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

    def packed(
        self, version: str, slot: Path | None = None, *, force: Authority | None = None, touch: bool = False
    ) -> Path:
        """A bundle of that file system, or of nothing much; as this force or another one makes it, for that screen."""
        by = force or self.force
        wanted = replace(self.wanted(version), trust=Trust(keyring=by.pem), touch=touch)
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
            release(self.machine)
            row = self.row()
            return (row["state"], row["text"]) if row["state"] in {"done", "failed"} else None

        return eventually(look, CARRIED_OUT_S, "the device to say what came of it")

    def says(self, command: str) -> str:
        """What a command prints; nothing while the board restarts."""
        try:
            return self.machine.run(command, timeout_s=20)
        except TimeoutError:
            return ""

    def runs(self) -> str:
        """The version that runs; nothing while the board restarts."""
        release(self.machine)
        return self.says("cat /usr/share/bondmate/version").rpartition("\n")[2]

    def slots(self) -> dict[str, str]:
        """The slot state."""
        lines = self.machine.run("fw_printenv").splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)


_ASK = (
    "/usr/lib/bondmate/bin/python -I -c 'from bondmate.api.client import call; from pathlib import Path;"
    ' print(call(Path("/run/bondmate/api.sock"), "GET", "/update"))\''
)


@dataclass(frozen=True, slots=True)
class Updated:
    """What was written from a device's start until an update of slot B was kept, and what a slot may hold."""

    log: Path
    writes: list[Write]
    old: Path
    new: Path

    def in_slot(self) -> list[int]:
        """Which of the writes are in the slot that was installed to."""
        start, end = layout.SLOT_B.start, layout.SLOT_B.start + layout.SLOT_B.size
        return [number for number, each in enumerate(self.writes) if each.octets and start <= each.at < end]

    def in_state(self) -> list[int]:
        """Which of them are of the slot state."""
        places = {offset // PAGE for offset in slot_state.OFFSETS}
        return [number for number, each in enumerate(self.writes) if each.octets and each.at // PAGE in places]

    def cuts(self, number: int, seed: int) -> list[int]:
        """Where to cut the power: around each write of the state, and half of `number` in the slot, half anywhere."""
        chosen = random.Random(seed)
        around = [each + behind for each in self.in_state() for behind in (0, 1)]
        in_slot = self.in_slot()
        half = number // 2
        anywhere = [chosen.randint(0, len(self.writes)) for _ in range(half)]
        return sorted([*around, *chosen.choices(in_slot, k=half), *anywhere])
