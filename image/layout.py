"""The card: a master boot record, the slot state, and four partitions. docs/image.md has the reasons."""

from dataclasses import dataclass

from bondmate_image import slot_state

DISK_ID = 0x424F4E44
"""The disk signature, which makes partitions findable by PARTUUID whatever the kernel calls the card."""

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Partition:
    """One entry of the partition table; `start` and `size` in octets, `kind` the table's octet for what is in it."""

    name: str
    kind: int
    start: int
    size: int


BOOT = Partition("boot", 0x0C, 24 * _MIB, 128 * _MIB)
SLOT_A = Partition("slot-a", 0x83, BOOT.start + BOOT.size, 1024 * _MIB)
SLOT_B = Partition("slot-b", 0x83, SLOT_A.start + SLOT_A.size, SLOT_A.size)
DATA = Partition("data", 0x83, SLOT_B.start + SLOT_B.size, 64 * _MIB)
"""As it is flashed; the device makes it fill the card."""

FILE_SYSTEM_OCTETS = 768 * _MIB
"""Of a slot's file system, which an update writes as a whole; with a browser in it, it fills its slot."""

PARTITIONS = (BOOT, SLOT_A, SLOT_B, DATA)

CARD_OCTETS = DATA.start + DATA.size


def partuuid(partition: Partition) -> str:
    """Return the name of a partition under /dev/disk/by-partuuid."""
    return f"{DISK_ID:08x}-{PARTITIONS.index(partition) + 1:02x}"


def genimage_config(files: dict[str, str]) -> str:
    """Return what genimage needs to put the card together; `files` names the file of each partition, by its name."""
    raw = "".join(
        f"""  partition slot-state-{number} {{
    in-partition-table = false
    offset = {offset}
    image = "slot-state-{number}"
  }}
"""
        for number, offset in enumerate(slot_state.OFFSETS, start=1)
    )
    partitions = "".join(
        f"""  partition {partition.name} {{
    partition-type = {partition.kind:#04x}
    {'bootable = "true"' if partition is BOOT else ""}
    offset = {partition.start}
    size = {partition.size}
    image = "{files[partition.name]}"
  }}
"""
        for partition in PARTITIONS
    )
    return f"""image card.img {{
  hdimage {{
    partition-table-type = "mbr"
    disk-signature = {DISK_ID:#010x}
  }}
{raw}{partitions}}}
"""


def read_table(sector: bytes) -> tuple[int, list[tuple[int, int, int]]]:
    """Return the signature and the kind, start and size (octets) of each partition of a master boot record."""
    if sector[510:512] != b"\x55\xaa":
        raise ValueError("no master boot record")
    entries = []
    for at in range(446, 510, 16):
        entry = sector[at : at + 16]
        start, size = (int.from_bytes(entry[place : place + 4], "little") * 512 for place in (8, 12))
        entries.append((entry[4], start, size))
    return int.from_bytes(sector[440:444], "little"), entries
