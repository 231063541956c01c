"""The root file system of Debian's packages alone: a tar archive, and what is known of each package."""

from dataclasses import dataclass
from pathlib import Path

from bondmate_image import host, recipe
from bondmate_image.cache import Cache
from bondmate_image.recipe import Wanted

_LEFT_OUT = ("man", "locale", "i18n", "info", "lintian", "bug", "doc")

# The first file system of the kernel is made once, and not each time that a package asks for it.
_HOOK = """
set -e
printf '%s\\n' "MODULES=list" "COMPRESS=zstd" > "$1/etc/initramfs-tools/conf.d/bondmate"
printf '%s\\n' $BONDMATE_MODULES >> "$1/etc/initramfs-tools/modules"
INITRD= chroot "$1" update-initramfs -c -k all
dpkg-query --admindir="$1/var/lib/dpkg" -W -f '${Package}:${Architecture}=${Version}\\n' |
  sed 's/:all=/=/' | APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" xargs apt-cache show > "$BONDMATE_LIST"
"""


@dataclass(frozen=True, order=True, slots=True)
class DebianPackage:
    """One package of the image; `sha256` is that of its archive, as Debian signed it."""

    name: str
    version: str
    architecture: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Packages:
    """The archive, and the list of what is in it."""

    archive: Path
    installed: tuple[DebianPackage, ...]


def packages(cache: Cache, wanted: Wanted) -> Packages:
    """Return Debian's part of the image, which is fetched and unpacked the first time."""
    names, modules = recipe.packages(wanted), recipe.initramfs_modules()

    def make(folder: Path) -> None:
        listed = folder / "packages"
        host.run(
            [
                *("mmdebstrap", "--mode=root", "--variant=minbase", f"--architectures={host.ARCHITECTURE}"),
                *("--components=main,non-free-firmware", f"--include={','.join(names)}"),
                "--aptopt=APT::Install-Recommends false",
                *(f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in _LEFT_OUT),
                "--dpkgopt=path-include=/usr/share/doc/*/copyright",
                f"--customize-hook={_HOOK}",
                *(host.RELEASE, folder / "root.tar"),
            ],
            {"INITRD": "No", "BONDMATE_MODULES": " ".join(modules), "BONDMATE_LIST": str(listed)},
        )

    what = f"fetching and unpacking Debian's packages for {host.ARCHITECTURE} (6 to 15 minutes)"
    inputs = [host.RELEASE, host.ARCHITECTURE, _HOOK, *_LEFT_OUT, "names", *names, "modules", *modules]
    made = cache.stage(f"packages-{wanted.variant}", what, inputs, make)
    return Packages(made / "root.tar", read_list((made / "packages").read_text(encoding="utf-8")))


def read_list(text: str) -> tuple[DebianPackage, ...]:
    """Return the packages of a list as `apt-cache show` prints it, by name."""
    found = {}
    for paragraph in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if ": " in line and line[0] != " ")
        if "Package" in fields:
            key = fields["Package"], fields["Version"], fields["Architecture"]
            found[key] = DebianPackage(*key, fields["SHA256"])
    return tuple(found[key] for key in sorted(found))
