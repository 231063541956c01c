"""Bundles for a board: of a slot that works, of one in which something does not start, or of nothing much."""

import os
import shutil
from pathlib import Path

from bondmate_image import build, bundle, card, recipe
from bondmate_image.bundle import Signer
from bondmate_image.host import Tools
from bondmate_image.recipe import Wanted

KERNEL = "/boot/vmlinuz"
DAEMON = "/usr/lib/bondmate/bin/bondmated"


def pack(tools: Tools, wanted: Wanted, signer: Signer, folder: Path, slot: Path | None = None) -> Path:
    """A bundle that calls itself `wanted`, of that file system, or of a megabyte that is none; made in `folder`."""
    work = folder / wanted.version
    (work / "content").mkdir(parents=True)
    if slot is None:
        (work / "content/rootfs.ext4").write_bytes(os.urandom(1 << 20))
    else:
        card.clone(slot, work / "content/rootfs.ext4")
    bundle.sign(tools, work, bundle.manifest(wanted, recipe.updates()), signer, wanted)
    return work / "made.raucb"


def broken(tools: Tools, wanted: Wanted, program: str, folder: Path) -> Path:
    """The slot of a version, in which a program or the kernel is none; made in `folder`."""
    work = folder / f"slot-{wanted.version}"
    work.mkdir()
    shutil.copyfile(build.parts(wanted).slot.file_system, work / "slot.ext4")
    (work / "junk").write_bytes(b"no program\n")
    script = f"cd /folder; debugfs -w -R 'rm {program}' slot.ext4; debugfs -w -R 'write junk {program}' slot.ext4"
    tools.run(work, "sh", "-ec", script)
    return work / "slot.ext4"
