"""The computer that builds: what it needs, and Debian's tools of the image's own release in a folder beside it.

Only `mmdebstrap`, `arch-test` and `qemu-user-static` are the host's. All else runs in that folder: every host makes the
same bytes.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bondmate_image.cache import Cache
from bondmate_image.errors import ImageError

RELEASE = "trixie"
ARCHITECTURE = "arm64"

_BINFMT = Path("/proc/sys/fs/binfmt_misc")
_FORMAT = "qemu-aarch64"
_NEEDED = {
    "mmdebstrap": "mmdebstrap",
    "arch-test": "arch-test",  # which mmdebstrap asks before it installs for another architecture
    "qemu-aarch64-static": "qemu-user-static",
    "unshare": "util-linux",
}

_PACKAGES = (
    "bmap-tools", "dosfstools", "e2fsprogs", "fdisk", "genimage", "libarchive13t64", "libubootenv-tool", "mtools",
    "openssl", "python3", "qemu-system-arm", "rauc", "squashfs-tools", "systemd", "u-boot-tools", "util-linux",
)  # fmt: skip
FIRMWARE = ("raspi-firmware", f"u-boot-rpi:{ARCHITECTURE}", "u-boot-qemu")
"""Debian packages of which only files are taken: what their installation does is for a system that runs on a board."""

_ENTER = """
set -e
mount --make-rprivate /
mount --bind /dev "$1/dev"
mount -t proc proc "$1/proc"
mount -t tmpfs tmp "$1/tmp"
mount --bind "$2" "$1/folder"
root=$1
shift 2
exec chroot "$root" "$@"
"""


class CommandError(ImageError):
    """A command failed; the text has the end of what it said."""


@dataclass(frozen=True, slots=True)
class Tools:
    """The folder with Debian's tools. A command in it sees one folder of the host, as /folder."""

    root: Path
    firmware: Path

    def command(self, work: Path, argv: Sequence[str | Path]) -> list[str]:
        """Return the command line that runs `argv` in there; its process becomes the program itself."""
        enter = ["unshare", "--mount", "--", "sh", "-c", _ENTER, "sh"]
        return [*enter, str(self.root), str(work.resolve()), *map(str, argv)]

    def run(self, work: Path, *argv: str | Path, environment: dict[str, str] | None = None, given: str = "") -> str:
        """Run a command to its end and return what it printed; CommandError if it failed. `given` is what it reads."""
        return run(self.command(work, argv), environment, given)


def run(argv: Sequence[str | Path], environment: dict[str, str] | None = None, given: str = "") -> str:
    """Run a command of the host to its end and return what it printed; CommandError if it failed.

    `given` is what it reads from its standard input.
    """
    done = subprocess.run(
        [str(each) for each in argv],
        env={**os.environ, "LC_ALL": "C.UTF-8", **(environment or {})},
        input=given,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines()
        name = next((word for word in map(str, argv) if not word.startswith("-")), "")
        raise CommandError("\n".join([f"{name} failed ({done.returncode}). It said, at its end:", *said[-20:]]))
    return done.stdout


def prepare() -> None:
    """See that the host can build, and that the image's programs run on it; ImageError says what is missing."""
    missing = sorted({package for program, package in _NEEDED.items() if shutil.which(program) is None})
    if missing:
        raise ImageError(
            f"missing on this computer, by Debian's names: {' '.join(missing)}. Install them, then run this again"
        )
    if os.geteuid() != 0:
        raise ImageError("file systems are made with their owners here, which root alone can do: run this with sudo")
    if os.uname().machine == "aarch64" or (_BINFMT / _FORMAT).exists():
        return
    if not (_BINFMT / "register").exists():
        run(["mount", "-t", "binfmt_misc", "binfmt_misc", _BINFMT])
    if not (_BINFMT / _FORMAT).exists():
        (_BINFMT / "register").write_text(_registration())


def _registration() -> str:
    # F: the kernel opens the emulator now, so that it need not be in the folder that is entered
    for folder in ("/etc/binfmt.d", "/usr/lib/binfmt.d"):
        file = Path(folder) / f"{_FORMAT}.conf"
        if file.exists():
            return file.read_text().strip()
    raise ImageError(f"no {_FORMAT}.conf under /usr/lib/binfmt.d: install qemu-user-static anew, then run this again")


def tools(cache: Cache) -> Tools:
    """Return Debian's tools, which are fetched the first time."""
    made = cache.stage("tools", "fetching Debian's tools", [RELEASE, *_PACKAGES, *FIRMWARE, "4"], _make)
    return Tools(made / "root", made / "firmware")


def _make(folder: Path) -> None:
    root, firmware = folder / "root", folder / "firmware"
    architectures = ",".join(dict.fromkeys([run(["dpkg", "--print-architecture"]).strip(), ARCHITECTURE]))
    run([
        "mmdebstrap", "--mode=root", "--variant=apt", f"--architectures={architectures}",
        "--components=main,non-free-firmware",
        f"--include={','.join(_PACKAGES)}", "--aptopt=APT::Install-Recommends false",
        *(f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in ("man", "doc", "locale")),
        "--skip=cleanup/apt/lists", RELEASE, root,
    ])  # fmt: skip
    (root / "folder").mkdir()
    firmware.mkdir()
    bound = Tools(root, firmware)
    bound.run(
        firmware, "sh", "-c", 'cd /folder && apt-get -q download -o APT::Sandbox::User=root "$@"', "sh", *FIRMWARE
    )
    for archive in sorted(firmware.glob("*.deb")):
        unpack(bound, archive)


def unpack(tools: Tools, archive: Path) -> None:
    """Put the files of a Debian package into a folder beside it, and what the papers say of it into PACKAGE.control.

    The archive is removed. Its hash is taken before: apt compared it with what Debian signed.
    """
    folder, package = archive.parent, archive.name.partition("_")[0]
    tools.run(folder, "dpkg-deb", "-x", f"/folder/{archive.name}", f"/folder/{package}")
    fields = tools.run(folder, "dpkg-deb", "-f", f"/folder/{archive.name}", "Package", "Version", "Architecture")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    (folder / f"{package}.control").write_text(f"{fields}SHA256: {digest}\n", encoding="utf-8")
    archive.unlink()
