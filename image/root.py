"""One slot: Debian's packages, the daemon and the recipe's files, as a file system with kernel and initrd in it.

A file of an overlay goes where its path says, over what is there; it is root's, and 0755 if git calls it executable,
else 0644. Users come from sysusers.d, and what starts from presets; nothing of the tree runs for that.
"""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bondmate_image import cache, host, layout, recipe
from bondmate_image.cache import Cache
from bondmate_image.environment import Environment
from bondmate_image.errors import ImageError
from bondmate_image.host import Tools
from bondmate_image.packages import Packages
from bondmate_image.recipe import Wanted

UUID = "0b0d3a7e-0000-4000-8000-000000000001"
"""Of every slot's file system: they are found by partition, and the same input makes the same bytes."""

_NOT_ON_A_DEVICE = (
    "boot/firmware/*", "boot/System.map-*", "boot/config-*", "dev/*", "etc/hostname", "etc/machine-id",
    "etc/resolv.conf",
    "etc/apt/sources.list*", "etc/ssh/ssh_host_*", "etc/*-", "initrd.img*", "vmlinuz*", "run/*", "tmp/*",
    "usr/lib/linux-image-*", "var/cache/*", "var/lib/apt/*", "var/lib/dpkg/*-old", "var/lib/initramfs-tools/*",
    "var/log/*",
    # graphics drivers with their compilers: what draws on a touch screen does that by itself
    "usr/lib/*/libLLVM*", "usr/lib/*/libgallium-*", "usr/lib/*/libz3.so*", "usr/lib/chromium/libvk_swiftshader.so",
    "usr/lib/chromium/libVkLayer_*",
)  # fmt: skip
VERSION = Path("usr/share/bondmate/version")
"""One line: what the image calls itself."""
SCREEN = Path("usr/share/bondmate/screen")
"""One line: what the page is shown on, "touch" or "none"."""

_DIRECTORIES = ("boot/firmware", "data", "run", "tmp", "dev")

_PACK = """
set -e
cd /folder/root
systemd-sysusers --root=/folder/root
systemctl --root=/folder/root preset-all
rm -f etc/.pwd.lock etc/*-
tar --create --file=/folder/root.tar --sort=name --numeric-owner --format=posix \
  --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime --mtime="@$SOURCE_DATE_EPOCH" --clamp-mtime .
truncate -s "$1" /folder/slot.ext4
mke2fs -q -t ext4 -b 4096 -m 0 -O ^has_journal,^orphan_file,^metadata_csum_seed -L bondmate -U "$2" \
  -E hash_seed="$2",root_owner=0:0,lazy_itable_init=0 -d /folder/root.tar /folder/slot.ext4
"""


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot's file system, and beside it the kernel's descriptions of boards."""

    file_system: Path
    device_trees: Path


def slot(cache_: Cache, tools: Tools, wanted: Wanted, packages: Packages, environment: Environment) -> Slot:
    """Return one slot's file system."""
    overlays = recipe.overlays(wanted)
    octets = str(layout.SLOT_A.size if wanted.touch else layout.FILE_SYSTEM_OCTETS)
    what = "putting the root file system together"
    inputs = [
        *(wanted.version, wanted.variant, str(wanted.epoch), _PACK, UUID, octets),
        *(*_NOT_ON_A_DEVICE, packages.archive.parent.name, environment.tree.parent.name),
        *(cache.tree(overlay) for overlay in overlays),
        *(part for place, pem in wanted.trust.files().items() for part in (str(place), pem)),
    ]

    def make(folder: Path) -> None:
        root = folder / "root"
        root.mkdir()
        host.run([
            "tar", "--extract", "--numeric-owner", "--preserve-permissions", "--exclude=./dev/*",
            f"--file={packages.archive}", f"--directory={root}",
        ])  # fmt: skip
        trees = folder / "device-trees"
        trees.mkdir()
        for file in sorted(root.glob("usr/lib/linux-image-*/broadcom/bcm2[78]*-rpi-*.dtb")):
            shutil.copy(file, trees / file.name)
        prune(root)
        for overlay in (environment.tree, *overlays):
            lay(overlay, root)
        finish(root, wanted)
        tools.run(
            folder,
            *("sh", "-c", _PACK, "sh", octets, UUID),
            environment={"SOURCE_DATE_EPOCH": str(wanted.epoch)},
        )
        shutil.rmtree(root)
        (folder / "root.tar").unlink()

    made = cache_.stage(f"slot-{wanted.variant}", what, inputs, make)
    return Slot(made / "slot.ext4", made / "device-trees")


def prune(root: Path, patterns: Sequence[str] = _NOT_ON_A_DEVICE) -> None:
    """Remove from a tree what only the computer that made it needs."""
    for pattern in patterns:
        for path in root.glob(pattern):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def lay(overlay: Path, root: Path) -> None:
    """Lay a tree over another one; a link there is replaced and never followed."""
    for path in sorted(overlay.rglob("*")):
        place = root / path.relative_to(overlay)
        if path.is_dir() and not path.is_symlink():
            if not place.is_dir():
                place.mkdir(mode=0o755)
                place.chmod(0o755)
            continue
        place.unlink(missing_ok=True)
        if path.is_symlink():
            place.symlink_to(path.readlink())
        else:
            shutil.copyfile(path, place)
            place.chmod(0o755 if os.access(path, os.X_OK) else 0o644)


def finish(root: Path, wanted: Wanted) -> None:
    """Write what no file of the recipe can say: the version, whom to believe, empty names, where the kernel is."""
    for name in _DIRECTORIES:
        (root / name).mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)
    (root / "etc/hostname").write_text("bondmate\n")
    # empty: each start makes one that lives in memory
    (root / "etc/machine-id").write_text("")
    with (root / "usr/lib/os-release").open("a", encoding="utf-8") as file:
        file.write(f"IMAGE_ID=bondmate\nIMAGE_VERSION={wanted.version}\nVARIANT_ID={wanted.variant}\n")
    said = {VERSION: f"{wanted.version}\n".encode(), SCREEN: f"{wanted.screen}\n".encode()}
    for place, content in {**said, **wanted.trust.files()}.items():
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_bytes(content)
        (root / place).chmod(0o644)
    for link, pattern in (("vmlinuz", "vmlinuz-*"), ("initrd.img", "initrd.img-*")):
        found = list((root / "boot").glob(pattern))
        if len(found) != 1:
            raise ImageError(
                f"{len(found)} files are called {pattern} in /boot, and one is needed: the recipe has one kernel"
            )
        (root / "boot" / link).unlink(missing_ok=True)
        (root / "boot" / link).symlink_to(found[0].name)
