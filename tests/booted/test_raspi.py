"""The same card in QEMU's Raspberry Pi 3: U-Boot of the boot partition, its script, the slot, the daemon.

QEMU has none of the firmware, and is handed what that would load: U-Boot and the board's device tree, from the card.
"""

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bondmate_image import layout
from bondmate_image.errors import ImageError
from bondmate_sim.commands import run
from bondmate_sim.world import World
from tests.booted import judge, writes
from tests.booted.conftest import CARD_OCTETS, Image, empty_card, enrol
from tests.booted.machine import BOOT_S, eventually

STARTED_S = 3600.0
"""Of a whole first start, on a computer that does other things too: four processors are emulated on what is left."""

PENDING = "credentials/pending.json"

FIRMWARE = ("u-boot.bin", "bcm2837-rpi-3-b.dtb")
WATCHDOG = b"brcm,bcm2835-pm"
"""What the board's device tree calls it (brcm,bcm2835-pm.yaml)."""


@contextlib.contextmanager
def raspberry_pi(image: Image, card: Path) -> Iterator[Path]:
    """Start a board; yields what it writes to its second serial port, where U-Boot is."""
    folder = card.parent
    for name in FIRMWARE:
        partition = f"/folder/{card.name}@@{layout.BOOT.start}"
        image.tools.run(folder, "mcopy", "-n", "-i", partition, f"::/{name}", f"/folder/{name}")
    # QEMU's watchdog resets as soon as it is started, and systemd starts it: the kernel is shown none
    tree = folder / FIRMWARE[1]
    described = tree.read_bytes()
    assert WATCHDOG in described
    tree.write_bytes(described.replace(WATCHDOG, b"none".ljust(len(WATCHDOG), b"-")))
    command = image.tools.command(
        folder,
        [
            *("qemu-system-aarch64", "-M", "raspi3b", "-display", "none", "-monitor", "none"),
            *("-kernel", f"/folder/{FIRMWARE[0]}", "-dtb", f"/folder/{FIRMWARE[1]}"),
            *("-drive", f"if=sd,format=raw,cache=unsafe,file=/folder/{card.name}"),
            *("-serial", "null", "-serial", "file:/folder/console"),
        ],
    )
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        try:
            yield folder / "console"
        finally:
            process.kill()


def wait_for(console: Path, text: str) -> None:
    """Until U-Boot has written that."""

    def said() -> str:
        return console.read_text(errors="replace") if console.exists() else ""

    try:
        eventually(lambda: text in said(), BOOT_S, f"{text!r} on the console")
    except AssertionError as error:
        error.add_note(said()[-3000:])
        raise


def test_u_boot_starts_the_kernel(image: Image, tmp_path: Path) -> None:
    """It has room for kernel and initrd beside each other, at addresses of its own."""
    card = tmp_path / "card.img"
    writes.copy(image.file, card)
    os.truncate(card, CARD_OCTETS)
    with raspberry_pi(image, card) as console:
        wait_for(console, "slots: booting A")
        wait_for(console, "Starting kernel ...")
    card.unlink()


@pytest.mark.long
def test_the_same_card_becomes_a_device_in_a_raspberry_pi(image: Image, world: World, tmp_path: Path) -> None:
    """Kernel, slot, data partition, board file and daemon do their part, up to the keys that it makes itself.

    No further: Debian's driver finds nothing behind the USB port of QEMU's board, and that has no other network.
    """
    card = empty_card(tmp_path)
    run("bondmate-image", "flash", image.file, card)
    enrol(card, world)
    with raspberry_pi(image, card) as console:
        wait_for(console, "Starting kernel ...")
        eventually(lambda: has_keys(image, card), STARTED_S, "the device to have made its keys")
    made = json.loads((judge.files(image.tools, card) / PENDING).read_text())
    for name in ("signing_key", "dh_key"):
        assert isinstance(load_pem_private_key(made[name].encode(), None), ec.EllipticCurvePrivateKey)
    with card.open("rb") as file:
        _, entries = layout.read_table(file.read(512))
    _, start, size = entries[-1]
    assert CARD_OCTETS - (start + size) < 4 << 20
    card.unlink()


def has_keys(image: Image, card: Path) -> bool:
    """Whether it has, by now. The board writes while the card is read: what makes no sense is looked at again."""
    with contextlib.suppress(AssertionError, ImageError):
        return (judge.files(image.tools, card) / PENDING).exists()
    return False
