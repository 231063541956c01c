import itertools
import re

import pytest

from bondmate_image import layout, recipe, slot_state
from bondmate_image.card import DATA_UUID
from bondmate_image.layout import BOOT, DATA, PARTITIONS, SLOT_A, SLOT_B

ROOT = recipe.RECIPE / "root"


def test_partitions_follow_one_another_and_data_is_last() -> None:
    for before, after in itertools.pairwise(PARTITIONS):
        assert before.start + before.size == after.start
    assert PARTITIONS[-1] is DATA
    assert SLOT_A.size == SLOT_B.size >= layout.FILE_SYSTEM_OCTETS


def test_each_copy_of_the_slot_state_has_eight_mebibytes_to_itself() -> None:
    first, second = slot_state.OFFSETS
    assert first >= 8 << 20
    assert second - first >= 8 << 20
    assert BOOT.start - second >= 8 << 20
    assert {offset % (8 << 20) for offset in slot_state.OFFSETS} == {0}


@pytest.mark.parametrize(("partition", "expected"), [(BOOT, "01"), (SLOT_A, "02"), (SLOT_B, "03"), (DATA, "04")])
def test_partitions_are_found_by_number(partition: layout.Partition, expected: str) -> None:
    assert layout.partuuid(partition) == f"424f4e44-{expected}"


def test_the_table_is_read_as_it_was_written() -> None:
    sector = bytearray(512)
    sector[440:444] = layout.DISK_ID.to_bytes(4, "little")
    sector[446 + 4] = 0x0C
    sector[446 + 8 : 446 + 16] = (2048).to_bytes(4, "little") + (4096).to_bytes(4, "little")
    sector[510:] = b"\x55\xaa"
    disk, entries = layout.read_table(bytes(sector))
    assert disk == layout.DISK_ID
    assert entries == [(0x0C, 1 << 20, 2 << 20), (0, 0, 0), (0, 0, 0), (0, 0, 0)]


def test_what_is_no_table_is_refused() -> None:
    with pytest.raises(ValueError, match="no master boot record"):
        layout.read_table(bytes(512))


def test_the_recipe_names_the_partitions_of_this_layout() -> None:
    assert "\n/dev/bondmate-data /data ext4 " in (ROOT / "etc/fstab").read_text()
    opened = (ROOT / "usr/lib/systemd/system/bondmate-open.service").read_text()
    assert f"/open-data /dev/disk/by-partuuid/{layout.partuuid(DATA)}\n" in opened
    assert DATA_UUID in (ROOT / "usr/libexec/bondmate/open-data").read_text()
    for unit in ("bondmate-enrolment", "bondmate-erase"):
        text = (ROOT / f"usr/lib/systemd/system/{unit}.service").read_text()
        assert f"/dev/disk/by-partuuid/{layout.partuuid(BOOT)}:/boot/firmware:" in text
    slots = re.findall(r"by-partuuid/(\S+)", (ROOT / "etc/rauc/system.conf").read_text())
    assert slots == [layout.partuuid(SLOT_A), layout.partuuid(SLOT_B)]
    rule = (ROOT / "usr/lib/udev/rules.d/90-bondmate-card.rules").read_text()
    assert f'"{layout.DISK_ID:08x}"' in rule
    assert f'"{layout.partuuid(DATA)}"' in rule


def test_the_recipe_names_the_places_of_the_slot_state() -> None:
    lines = (ROOT / "etc/fw_env.config").read_text().splitlines()
    places = [tuple(int(word, 16) for word in line.split()[1:]) for line in lines if not line.startswith("#")]
    assert places == [(offset, slot_state.OCTETS) for offset in slot_state.OFFSETS]
