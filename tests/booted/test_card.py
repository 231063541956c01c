"""A card whose data is late, or gone, or that takes no write any more. Runs with ./dev image-test --long."""

import json
from contextlib import suppress
from pathlib import Path

import pytest

from bondmate_image import layout, progress
from bondmate_sim.world import World
from tests.booted import writes
from tests.booted.conftest import (
    BUTTON,
    READY_S,
    VIBRATION,
    Bench,
    Enrolled,
    Image,
    armed,
    started,
    wait_until_ready,
)
from tests.booted.machine import Machine, Worn, eventually
from tests.booted.qemu import ANSWER_S
from tests.recipe.machine import RECIPE

pytestmark = pytest.mark.long

WAITS_S = 60.0
"""So long the daemon waits for /data: 30 s (data.mount.d/bondmate.conf), and what a busy computer takes more."""

CHECK = "/usr/libexec/bondmate/check-data"
FOURTH = slice(446 + 3 * 16, 446 + 4 * 16)
"""Octets of the partition table's last entry."""


@pytest.fixture
def card(enrolled: Enrolled, tmp_path: Path) -> Path:
    """Of an enrolled device whose power was cut."""
    made = tmp_path / "card.img"
    writes.copy(enrolled.card, made)
    return made


def test_data_that_is_looked_at_for_long_is_no_dead_button_and_taken_when_it_comes(
    card: Path, image: Image, world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    slot = f"/folder/{card.name}?offset={layout.SLOT_A.start}"
    slow = card.with_name("slow")
    own = (RECIPE / f"root{CHECK}").read_text().removeprefix("#!/bin/sh\n")
    slow.write_text(f"#!/bin/sh\nuntil [ -e /run/go ]; do sleep 1; done\n{own}")
    slow.chmod(0o755)
    change = f"rm {CHECK}\nwrite /folder/slow {CHECK}\n"
    image.tools.run(card.parent, "debugfs", "-w", "-f", "/dev/stdin", slot, given=change)
    with started(image, card, world) as machine:
        not_armed_is_told_and_felt(machine, capfd)
        pid = machine.run("systemctl show bondmated -p MainPID")
        machine.run("touch /run/go")
        eventually(lambda: armed(machine), READY_S, "the device to be armed")
        assert machine.run("systemctl show bondmated -p MainPID") == pid
        assert "rw" in machine.run("findmnt -n -o OPTIONS /data").split(",")
        bench = Bench(machine, world)
        bench.press()
        bench.delivered()
        bench.close()
        # the updater waits for /data too
        eventually(lambda: "BOOT_A_LEFT=3" in machine.run("fw_printenv"), READY_S, "the slot to be marked good")
        for unit in ("bondmate-data.service", "bondmate-wifi.path", "bondmate-erase.path"):
            assert machine.run(f"systemctl is-active {unit}") == "active"
        assert machine.run("systemctl --failed --plain --no-legend --no-pager") == ""


def test_without_its_data_partition_it_is_no_dead_button(
    card: Path, image: Image, world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    with card.open("r+b") as file:
        file.seek(FOURTH.start)
        file.write(bytes(FOURTH.stop - FOURTH.start))
    with started(image, card, world) as machine:
        not_armed_is_told_and_felt(machine, capfd)


@pytest.mark.parametrize("worn", ["read-only", "errors"])
def test_a_card_that_takes_no_write_any_more_still_calls_for_help(
    card: Path, image: Image, world: World, worn: Worn
) -> None:
    """Its journal is not empty, and cannot be played back."""
    with started(image, card, world, worn=worn) as machine:
        status = eventually(lambda: armed(machine), READY_S, "the device to be armed")
        assert machine.run("cat /sys/class/block/vda/ro") == str(int(worn == "read-only"))
        assert {"ro", "nosuid", "nodev", "noexec"} <= set(machine.run("findmnt -n -o OPTIONS /data").split(","))
        assert status["state"] == "degraded"
        bench = Bench(machine, world)
        bench.press()
        alert = bench.delivered()
        (held,) = [each for each in world.at_gateway("alerts") if each["alert_id"] == alert["alert_id"]]
        assert held["verdict"] == "held"
        world.at_gateway("close", str(alert["alert_id"]))


def not_armed_is_told_and_felt(machine: Machine, capfd: pytest.CaptureFixture[str]) -> None:
    """Soon: whatever /data does, the daemon does not wait for it longer."""
    wait_until_ready(machine)
    given_up = json.loads(machine.run("journalctl -b -u data.mount -o json --grep='timed out' | head -n 1"))
    given_up_s = int(given_up["__MONOTONIC_TIMESTAMP"]) / 1e6
    first_s, ready_s = (
        int(machine.run(f"systemctl show {unit} --property={name} --value")) / 1e6
        for unit, name in (("", "UserspaceTimestampMonotonic"), ("bondmated", "ActiveEnterTimestampMonotonic"))
    )
    with capfd.disabled():
        progress.say(f"/data was given up {given_up_s - first_s:.1f} s after the first program")
        progress.say(f"not armed {ready_s - first_s:.1f} s after it")
    assert given_up_s - first_s < WAITS_S

    def told() -> str | None:
        with suppress(ValueError):  # its API is not there yet
            status = json.loads(machine.run("bondmatectl status --json"))
            assert status["state"] == "not_armed", status
            return "".join(fault["text"] for fault in status["faults"] if fault["code"] == "not-armed")
        return None

    assert "the disk with the credentials is not mounted" in eventually(told, ANSWER_S, "the device to say so")
    with machine.lines() as lines:
        lines.pulses(VIBRATION)  # what is felt at the start
    with machine.lines() as lines:
        lines.set(BUTTON, high=False)
        lines.wait_for_output(VIBRATION)
        lines.set(BUTTON, high=True)
