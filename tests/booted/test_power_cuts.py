"""The power goes behind any write of a start and of presses: what was felt as stored is kept, and nothing else touched.

QEMU keeps what the board writes, and the cuts are made from that: the board itself runs through.
"""

import itertools
import random
import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from bondmate_image import layout
from bondmate_sim.world import World
from tests.booted import judge, writes
from tests.booted.conftest import (
    BUTTON,
    MAY_BE_WRITTEN,
    READY_S,
    VIBRATION,
    Bench,
    Enrolled,
    Image,
    armed,
    started,
)
from tests.booted.machine import eventually
from tests.booted.writes import Write

CUTS = 200
PRESSES, ATTEMPTS = 3, 9
SEED = 7

SUPERBLOCK_AT, CHECKSUM_AT = 1024, 0x3FC
"""Octets, of ext4 and its s_checksum (the kernel's Documentation/filesystems/ext4/super.rst)."""

STORED_AND_DELIVERED = 3
"""Pulses: a long one and two short ones (docs/officer.md)."""


@dataclass(frozen=True, slots=True)
class Press:
    """A press that was felt as stored: as the store has it, and how many writes were kept before and by then."""

    alert: str
    before: int
    since: int


@dataclass(frozen=True, slots=True)
class Kept:
    """The card as it was before the start, what was written to it since, and the presses."""

    card: Path
    log: Path
    writes: list[Write]
    presses: list[Press]


@pytest.fixture(scope="module")
def kept(bench: Bench, enrolled: Enrolled) -> Kept:
    log = bench.machine.folder / "writes"
    presses: list[Press] = []
    with bench.machine.lines() as lines:
        lines.pulses(VIBRATION)  # of what was before
    for _ in range(ATTEMPTS):
        before = writes.count(log)
        with bench.machine.lines() as lines:
            lines.set(BUTTON, high=False)
            lines.wait_for_output(VIBRATION)
            # whatever is written from here on, this one is there
            since = writes.count(log)
            lines.set(BUTTON, high=True)
            alert = bench.delivered()
            # anything else: this computer was so busy that the store was late, and something else was felt first
            if 1 + lines.pulses(VIBRATION) == STORED_AND_DELIVERED:
                presses.append(Press(judge.as_stored(str(alert["alert_id"])), before, since))
        if len(presses) == PRESSES:
            break
    bench.close()
    with bench.machine.paused():
        return Kept(enrolled.card, log, writes.read(log), presses)


def test_nothing_is_written_but_data_and_the_slot_state(kept: Kept) -> None:
    assert writes.elsewhere(kept.writes, *MAY_BE_WRITTEN) == []


def test_confirmed_presses_outlive_power_cuts(kept: Kept, image: Image, enrolled: Enrolled, tmp_path: Path) -> None:
    chosen = random.Random(SEED)
    bounds = [0, *(press.since for press in kept.presses), len(kept.writes)]
    # as many in the start as behind each press, one of them at the moment in which it was felt
    stretches = list(itertools.pairwise(bounds))
    cuts = sorted([
        *bounds[1:],
        *(chosen.randint(*stretches[place % len(stretches)]) for place in range(CUTS - len(stretches))),
    ])  # fmt: skip
    seen = set()
    card = tmp_path / "card.img"
    writes.copy(kept.card, card)
    for at in writes.cut(kept.log, card, kept.writes, cuts, SEED):
        promised = {press.alert for press in kept.presses if press.since <= at}
        held = judge.alerts(image.tools, card, enrolled.device)
        assert promised <= held, f"behind {at} of {len(kept.writes)} writes: {promised - held} was felt, and is lost"
        seen.add(len(promised))
    # else nothing was proven
    assert seen == set(range(PRESSES + 1))


def test_a_card_that_forgets_what_it_flushed_is_found_out(
    kept: Kept, image: Image, enrolled: Enrolled, tmp_path: Path
) -> None:
    """The control: the same log and the same judge, with a card that keeps nothing since the finger came."""
    press = kept.presses[0]
    told = [*kept.writes[: press.before], *writes.forgetful(kept.writes[press.before :])]
    card = tmp_path / "card.img"
    writes.copy(kept.card, card)
    lost = 0
    for _ in writes.cut(kept.log, card, told, [press.since] * 4, SEED):
        with suppress(AssertionError, sqlite3.DatabaseError):
            lost += press.alert not in judge.alerts(image.tools, card, enrolled.device)
    assert lost


@pytest.mark.long
def test_a_card_that_tears_blocks_between_sectors_is_put_in_order(
    enrolled: Enrolled, image: Image, world: World, tmp_path: Path
) -> None:
    """The superblock's end is of another write than its beginning: the kernel would not mount it."""
    card = tmp_path / "card.img"
    writes.copy(enrolled.card, card)
    with card.open("r+b") as file:
        file.seek(layout.DATA.start + SUPERBLOCK_AT + CHECKSUM_AT)
        file.write(b"\xff\xff\xff\xff")
    with started(image, card, world) as machine:
        status = eventually(lambda: armed(machine), READY_S, "the device to be armed")
        assert status["device"] == enrolled.device
        assert "trying backup blocks" in machine.run("journalctl -b --no-pager -u 'systemd-fsck@*'")
