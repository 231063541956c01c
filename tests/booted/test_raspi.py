"""The same card in QEMU's Raspberry Pi 3: U-Boot of the boot partition, its script, the slot, the daemon.

QEMU has none of the firmware, and is handed what that would load: U-Boot and the board's device tree, from the card.
"""

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bondmate_image import build, layout
from bondmate_image.trust import Trust
from bondmate_sim.commands import run
from bondmate_sim.world import World
from tests.booted import writes
from tests.booted.conftest import CARD_OCTETS, Image, empty_card, enrol, force_key
from tests.booted.machine import BOOT_S, eventually

STARTED_S = 3600.0
"""Of a whole first start, on a computer that does other things too: four processors are emulated on what is left."""

FIRMWARE = ("u-boot.bin", "bcm2837-rpi-3-b.dtb")
WATCHDOG = b"brcm,bcm2835-pm"
"""What the board's device tree calls it (brcm,bcm2835-pm.yaml)."""


@contextlib.contextmanager
def raspberry_pi(image: Image, card: Path) -> Iterator[Path]:
    """Start a board, on a network by USB; yields what it writes to its second serial port, where U-Boot is."""
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
            *("-netdev", "user,id=net", "-device", "usb-net,netdev=net"),
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
def test_the_same_card_is_armed_in_a_raspberry_pi(image: Image, tmp_path: Path) -> None:
    """The gateway hears of it at its first start: kernel, slot, data partition, network and daemon did their part."""
    card = empty_card(tmp_path)
    with World(tmp_path / "world") as world:
        world.start_gateway()
        trust = Trust(force_key(world))
        made = build.image(replace(image.wanted, trust=trust), tmp_path)
        run("bondmate-image", "flash", made, card)
        made.unlink()
        enrol(card, world)
        with raspberry_pi(image, card) as console:

            def enrolled() -> bool:
                (row,) = world.at_gateway("devices")
                return bool(row["state"] == "enrolled")

            wait_for(console, "Starting kernel ...")
            eventually(enrolled, STARTED_S, "the device to be enrolled")
            assert re.findall("slots: booting .", console.read_text(errors="replace")) == ["slots: booting A"]
