"""The flashable image: boot partition, slot state, two slots, data, put together without mounting anything."""

import shutil
from pathlib import Path

from bondmate_image import layout, packages, recipe, slot_state
from bondmate_image.host import Tools
from bondmate_image.packages import DebianPackage
from bondmate_image.recipe import Wanted
from bondmate_image.root import Slot

DATA_UUID = "0b0d3a7e-0000-4000-8000-000000000004"
"""Of the data partition as it is flashed: by it, among others, a device knows that nobody has used it yet."""

_FIRMWARE = {
    "raspi-firmware": [
        f"usr/lib/raspi-firmware/{name}"
        for name in ("bootcode.bin", "start.elf", "start4.elf", "fixup.dat", "fixup4.dat")
    ],
    "u-boot-rpi": ["usr/lib/u-boot/rpi_arm64/u-boot.bin"],
}
"""What the boot partition has of Debian packages that are installed in no slot, by package."""

# Names are sorted and times given: the order in which a host lists its folders changes nothing.
_MAKE = """
set -e
cd /folder
mkimage -A arm64 -T script -C none -n slots -d boot.cmd boot/boot.scr >&2
mkfs.vfat -F 32 -i "$1" -n BONDMATE --invariant -C boot.vfat "$2" >&2
find boot -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
for file in $(cd boot && find . -type f | sort); do
  mcopy -m -i boot.vfat "boot/$file" "::/${file#./}"
done
truncate -s "$3" data.ext4
mke2fs -q -t ext4 -b 4096 -m 0 -L data -U "$4" -E hash_seed="$4",root_owner=0:0,lazy_itable_init=0 data.ext4
mkdir empty
genimage --config genimage.cfg --rootpath empty --inputpath . --outputpath . --tmppath tmp >&2
bmaptool create -o card.bmap card.img
"""


def script() -> str:
    """Return U-Boot's script, with the places on the card that it reads."""
    sectors = [f"{offset // 512:x}" for offset in slot_state.OFFSETS]
    text = (recipe.RECIPE / "boot/boot.cmd").read_text(encoding="utf-8")
    for name, value in {"@ONE@": sectors[0], "@TWO@": sectors[1], "@DISK@": f"{layout.DISK_ID:08x}"}.items():
        text = text.replace(name, value)
    return text


def firmware(tools: Tools) -> tuple[DebianPackage, ...]:
    """Return the packages that boot the board, by name: of each, only files lie on the card."""
    return packages.read_list("\n".join((tools.firmware / f"{name}.control").read_text() for name in _FIRMWARE))


def make(folder: Path, tools: Tools, wanted: Wanted, slot: Slot) -> None:
    """Put `card.img` and `card.bmap` into an empty folder."""
    boot = folder / "boot"
    boot.mkdir()
    for package, names in _FIRMWARE.items():
        for name in names:
            shutil.copyfile(tools.firmware / package / name, boot / Path(name).name)
    for file in slot.device_trees.iterdir():
        shutil.copyfile(file, boot / file.name)
    shutil.copyfile(recipe.RECIPE / "boot/config.txt", boot / "config.txt")
    (folder / "boot.cmd").write_text(script(), encoding="utf-8")
    for number in (1, 2):
        # both valid from the start: one that was lost then never means that nobody knows which slot was chosen
        (folder / f"slot-state-{number}").write_bytes(slot_state.encode(slot_state.FRESH, number))
    clone(slot.file_system, folder / "slot.ext4")
    files = {"boot": "boot.vfat", "slot-a": "slot.ext4", "slot-b": "slot.ext4", "data": "data.ext4"}
    (folder / "genimage.cfg").write_text(layout.genimage_config(files), encoding="utf-8")
    tools.run(
        folder,
        *("sh", "-c", _MAKE, "sh", f"{layout.DISK_ID:08x}", str(layout.BOOT.size // 1024), str(layout.DATA.size)),
        DATA_UUID,
        environment={"SOURCE_DATE_EPOCH": str(wanted.epoch)},
    )
    for path in folder.iterdir():
        if path.name in {"card.img", "card.bmap"}:
            continue
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def clone(source: Path, target: Path) -> None:
    """Link a file where both are on one disk; copy it elsewhere."""
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)
