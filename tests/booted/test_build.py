"""The image as it is built: twice, from what is kept and from what is not, and what lies where."""

import json
from pathlib import Path

import pytest

from bondmate_image import build, cache, layout, papers, slot_state
from tests.booted.conftest import Image
from tests.booted.test_boards import BOARDS


def test_the_same_packages_make_the_same_bytes(
    image: Image, fresh_cache: cache.Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "standard_directory", lambda: fresh_cache.directory)
    again = build.image(image.wanted, tmp_path / "out")
    names = [f"{image.wanted.name}{suffix}" for suffix in (".img", ".manifest.json", ".cdx.json")]
    assert [papers.sha256(again.with_name(name)) for name in names] == [
        papers.sha256(image.file.with_name(name)) for name in names
    ]


def test_the_papers_name_all_that_runs_on_a_board(image: Image) -> None:
    manifest = json.loads(image.file.with_name(f"{image.wanted.name}.manifest.json").read_text())
    assert {"linux-image-arm64", "raspi-firmware", "u-boot-rpi"} <= {each["package"] for each in manifest["debian"]}
    without = [each["package"] for each in manifest["debian"] + manifest["python"] if each["sha256"] is None]
    assert without == ["bondmate"]


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


def test_what_a_board_starts_from_is_on_the_boot_partition(image: Image) -> None:
    """A Zero 2 W and a 3 take bootcode.bin and start.elf, a 4 and a CM4 have the first in their own memory."""
    partition = f"/folder/{image.file.name}@@{layout.BOOT.start}"
    listed = image.tools.run(image.file.parent, "mdir", "-b", "-i", partition, "::").splitlines()
    assert {f"::/{name}.dtb" for name in BOARDS} <= set(listed)
    needed = (
        "bootcode.bin",
        "start.elf",
        "fixup.dat",
        "start4.elf",
        "fixup4.dat",
        "config.txt",
        "u-boot.bin",
        "boot.scr",
    )
    assert {f"::/{name}" for name in needed} <= set(listed)
