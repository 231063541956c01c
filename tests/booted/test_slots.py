"""Which slot is started: when one does not boot, and when the power went while the slot state was written.

By U-Boot alone, but for the last one.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bondmate_image import layout, slot_state
from bondmate_sim.world import World
from tests.booted import writes
from tests.booted.conftest import Enrolled, Image, started, wait_until_ready
from tests.booted.judge import copies
from tests.booted.machine import Machine, eventually
from tests.booted.qemu import ANSWER_S

A_FIRST = {"BOOT_ORDER": "A B", "BOOT_A_LEFT": "3", "BOOT_B_LEFT": "3"}
B_FIRST = {"BOOT_ORDER": "B A", "BOOT_A_LEFT": "3", "BOOT_B_LEFT": "3"}


@pytest.fixture
def card(image: Image, tmp_path: Path) -> Iterator[Path]:
    """A card as it is flashed, to be damaged; U-Boot alone runs from it."""
    made = tmp_path / "card.img"
    writes.copy(image.file, made)
    yield made
    made.unlink()


def put(card: Path, at: int, octets: bytes) -> None:
    with card.open("r+b") as file:
        file.seek(at)
        file.write(octets)


def chosen(image: Image, card: Path) -> str:
    """The slot that U-Boot begins to start; the board is switched off then."""
    machine = Machine(image.tools, card.parent, card)
    try:
        return machine.wait_for_console("slots: booting ([AB])")[1]
    finally:
        machine.stop()


def test_a_file_system_that_is_damaged_falls_back(image: Image, card: Path) -> None:
    put(card, layout.SLOT_A.start, bytes(1 << 16))
    for number, offset in enumerate(slot_state.OFFSETS, start=1):
        put(card, offset, slot_state.encode({**A_FIRST, "BOOT_A_LEFT": "1"}, number))
    machine = Machine(image.tools, card.parent, card)
    try:
        machine.wait_for_console("slots: A does not boot")
        machine.wait_for_console("slots: booting B")
    finally:
        machine.stop()


@pytest.mark.parametrize("first", [0, 1])
def test_the_newer_copy_counts_and_the_other_is_written(image: Image, card: Path, first: int) -> None:
    """Whichever of the two is the newer one: it says B, and the older one A."""
    put(card, slot_state.OFFSETS[first], slot_state.encode(B_FIRST, 255))
    put(card, slot_state.OFFSETS[1 - first], slot_state.encode(A_FIRST, 254))
    before = copies(card)
    assert chosen(image, card) == "B"
    after = copies(card)
    assert after[first] == before[first]
    assert slot_state.newest(after) == {**B_FIRST, "BOOT_B_LEFT": "2"}
    assert after[1 - first][4] == 0  # 255 and one


@pytest.mark.parametrize("torn", [0, 1])
@pytest.mark.parametrize(
    "octets", [100, pytest.param(4, marks=pytest.mark.long), pytest.param(20, marks=pytest.mark.long)]
)
def test_a_torn_copy_leaves_the_choice_before_it(image: Image, card: Path, torn: int, octets: int) -> None:
    """B was chosen, and the power went while a third state was written over the older copy."""
    new = slot_state.encode({"BOOT_ORDER": "A", "BOOT_A_LEFT": "1", "BOOT_B_LEFT": "0"}, 9)
    # a sector that was cut in the middle of its text
    put(card, slot_state.OFFSETS[torn], new[:octets] + b"\xff" * (slot_state.OCTETS - octets))
    put(card, slot_state.OFFSETS[1 - torn], slot_state.encode(B_FIRST, 8))
    assert slot_state.decode(copies(card)[torn]) is None
    assert chosen(image, card) == "B"
    assert slot_state.newest(copies(card)) == {**B_FIRST, "BOOT_B_LEFT": "2"}


def test_with_both_copies_lost_the_device_starts_all_the_same(image: Image, card: Path) -> None:
    for offset in slot_state.OFFSETS:
        put(card, offset, b"\xff" * slot_state.OCTETS)
    assert chosen(image, card) == "A"
    assert slot_state.newest(copies(card)) == {**A_FIRST, "BOOT_A_LEFT": "2"}


def test_slots_without_tries_are_all_tried_again(image: Image, card: Path) -> None:
    """In the order that was chosen: a device that is dead helps nobody."""
    for number, offset in enumerate(slot_state.OFFSETS, start=1):
        put(card, offset, slot_state.encode({**B_FIRST, "BOOT_A_LEFT": "0", "BOOT_B_LEFT": "0"}, number))
    assert chosen(image, card) == "B"
    assert slot_state.newest(copies(card)) == {**B_FIRST, "BOOT_B_LEFT": "2"}


@pytest.mark.long
def test_a_device_with_a_broken_kernel_is_armed_from_the_other_slot(
    image: Image, enrolled: Enrolled, world: World, tmp_path: Path
) -> None:
    """A whole start: U-Boot tries A for the last time, and the same device is armed from B, and keeps that."""
    card = tmp_path / "card.img"
    writes.copy(enrolled.card, card)
    kernel = f"/folder/card.img?offset={layout.SLOT_A.start}"
    (tmp_path / "junk").write_bytes(b"no kernel\n")
    change = "rm /boot/vmlinuz\nwrite /folder/junk /boot/vmlinuz\n"
    image.tools.run(tmp_path, "debugfs", "-w", "-f", "/dev/stdin", kernel, given=change)
    for number, offset in enumerate(slot_state.OFFSETS, start=1):
        put(card, offset, slot_state.encode({**A_FIRST, "BOOT_A_LEFT": "1"}, number))
    with started(image, card, world) as machine:
        wait_until_ready(machine)
        assert "rauc.slot=B" in machine.run("cat /proc/cmdline").split()
        eventually(
            lambda: {"BOOT_ORDER=A B", "BOOT_A_LEFT=0", "BOOT_B_LEFT=3"} == set(machine.run("fw_printenv").split("\n")),
            ANSWER_S, "slot B to be marked as good",
        )  # fmt: skip
        assert re.findall("slots: (booting .|. does not boot)", machine.console.read_text(errors="replace")) == [
            *("booting A", "A does not boot", "booting B")
        ]
    card.unlink()
