"""The image as it is flashed: built twice, booted in QEMU, and pressed. Runs with ./dev image-test."""

import json
import re
from pathlib import Path

import pytest

from bondmate_image import build, cache, layout, papers, slot_state
from tests.booted.conftest import BUTTON, Bench, Image
from tests.booted.machine import ANSWER_S, eventually

OPEN_SOCKETS = {("udp", "systemd-network"), ("udp", "bondmated"), ("udp", "chronyd")}
"""DHCP's, and those from which the gateway and time servers are asked; nftables lets in only what was asked for."""


def test_the_same_packages_make_the_same_bytes(
    image: Image, fresh_cache: cache.Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "standard_directory", lambda: fresh_cache.directory)
    again = build.image(image.wanted, tmp_path / "out")
    names = [f"{image.wanted.name}{suffix}" for suffix in (".img", ".manifest.json", ".cdx.json")]
    assert [papers.sha256(again.with_name(name)) for name in names] == [
        papers.sha256(image.file.with_name(name)) for name in names
    ]


def test_the_card_has_the_layout_that_is_written_down(image: Image) -> None:
    with image.file.open("rb") as file:
        disk, entries = layout.read_table(file.read(512))
        copies = []
        for offset in slot_state.OFFSETS:
            file.seek(offset)
            copies.append(file.read(slot_state.OCTETS))
    assert disk == layout.DISK_ID
    assert entries == [(each.kind, each.start, each.size) for each in layout.PARTITIONS]
    assert [slot_state.decode(copy) for copy in copies] == [slot_state.FRESH] * 2


def test_nothing_failed_at_the_start(bench: Bench) -> None:
    assert bench.machine.run("systemctl --failed --plain --no-legend --no-pager") == ""
    assert eventually(
        lambda: bench.machine.run("systemctl is-system-running") == "running", ANSWER_S, "the system to have started"
    )


def test_the_root_file_system_is_read_only(bench: Bench) -> None:
    assert bench.machine.run("findmnt -n -o OPTIONS /").split(",")[0] == "ro"
    assert "Read-only file system" in bench.machine.run("touch /etc/x 2>&1")


def test_the_data_partition_fills_the_card(bench: Bench) -> None:
    sectors = int(bench.machine.run("cat /sys/class/block/vda/size"))
    start, size = (int(bench.machine.run(f"cat /sys/class/block/vda4/{name}")) for name in ("start", "size"))
    assert sectors - (start + size) < 8192
    blocks = int(bench.machine.run("stat -f -c %b /data"))
    assert blocks * 4096 > 0.9 * size * 512
    options = bench.machine.run("findmnt -n -o OPTIONS /data").split(",")
    assert {"rw", "nosuid", "nodev", "noexec"} <= set(options)


def test_nothing_listens_but_what_has_to(bench: Bench) -> None:
    lines = [line.split() for line in bench.machine.run("ss -Hltunp").splitlines()]
    reachable = [words for words in lines if not re.match(r"(127\.|\[::1\])", words[4])]
    assert {(words[0], words[6].split('"')[1]) for words in reachable} <= OPEN_SOCKETS


def test_a_start_that_worked_keeps_its_slot(bench: Bench) -> None:
    def state() -> bool:
        return "BOOT_A_LEFT=3" in bench.machine.run("fw_printenv")

    eventually(state, ANSWER_S, "the slot to be marked good")
    assert "BOOT_ORDER=A B" in bench.machine.run("fw_printenv")
    assert "slots: booting A" in bench.machine.console.read_text(errors="replace")


def test_there_is_no_way_in(bench: Bench) -> None:
    """No password, and no shell but the tests' own."""
    shadow = bench.machine.run("cut -d: -f1,2 /etc/shadow").splitlines()
    assert [line for line in shadow if not re.fullmatch(r"[\w-]+:(\*|!|!\*|!!)", line)] == []
    assert bench.machine.run("ls /usr/sbin/sshd 2>/dev/null") == ""
    assert bench.machine.run("pgrep -l getty") == ""


def test_a_press_on_a_real_line_becomes_a_verified_receipt(bench: Bench) -> None:
    def status() -> dict[str, object]:
        found: dict[str, object] = json.loads(bench.machine.run("bondmatectl status --json"))
        return found

    eventually(lambda: status()["fix"], ANSWER_S, "a fix")
    assert status()["alert"] is None
    with bench.machine.lines() as lines:
        lines.set(BUTTON, high=False)
        alert = eventually(lambda: status()["alert"], ANSWER_S, "the press to be felt")
        lines.set(BUTTON, high=True)

    def delivered() -> bool:
        now = status()["alert"]
        return isinstance(now, dict) and now["state"] == "delivered"

    eventually(delivered, ANSWER_S, "a verified receipt")
    (held,) = bench.world.at_gateway("alerts")
    assert isinstance(alert, dict)
    assert held["alert_id"] == alert["alert_id"]
    assert held["kind"] == "panic"
    assert held["fix"] is not None
