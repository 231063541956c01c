"""What is to be built: the recipe's files, and where the repository is that holds them."""

import os
import subprocess
import tomllib
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from bondmate_image.errors import ImageError
from bondmate_image.trust import Trust

RECIPE = Path(__file__).resolve().parent / "recipe"

UPDATES = Path("usr/share/bondmate/updates.conf")

_PARTS_OF_DEVICE = ("pyproject.toml", "README.md", "LICENSE", "daemon", "requirements/device.txt")


class Profile(Enum):
    """For whom the image is."""

    RELEASE = "release"
    BENCH = "bench"
    """A developer's: with ssh, by key alone."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One image: its version, for whom, the time that its files have, in seconds of UNIX time, and whom it believes.

    `touch`: for devices with a touch screen, which shows the officer's page.
    """

    version: str
    profile: Profile
    epoch: int
    trust: Trust = field(default_factory=Trust)
    touch: bool = False

    @property
    def variant(self) -> str:
        """What tells images of one version apart."""
        return "-".join(self.additions)

    @property
    def screen(self) -> str:
        """What the device has to show the page on, as updates name it."""
        return "touch" if self.touch else "none"

    @property
    def additions(self) -> tuple[str, ...]:
        """The recipe's parts that come on top of what every device has, in this order."""
        return (self.profile.value, "touch") if self.touch else (self.profile.value,)

    @property
    def name(self) -> str:
        """The image's name, without a suffix."""
        return f"bondmate-{self.version}-{self.variant}"


def repository() -> Path:
    """Return the folder of the repository; ImageError if this package was installed without it."""
    top = RECIPE.parent.parent
    missing = [part for part in _PARTS_OF_DEVICE if not (top / part).exists()]
    if missing:
        raise ImageError(f"{top} is no clone of BondMate ({missing[0]} is missing): an image is built from one")
    return top


def version() -> str:
    """Return the version that the repository says it has."""
    project = tomllib.loads((repository() / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


def epoch() -> int:
    """Return SOURCE_DATE_EPOCH, or the time of the last commit: what is built twice then has the same bytes."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given is None:
        git = ["git", "-C", str(repository()), "log", "-1", "--format=%ct"]
        given = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    if not (given.isascii() and given.isdecimal()):
        raise ImageError(
            f"{given!r} is no time: set SOURCE_DATE_EPOCH to seconds of UNIX time, or build from a git clone"
        )
    return int(given)


def updates() -> dict[str, str]:
    """Return what the image says of updates, by name: the file's own words say what each is."""
    lines = (line.partition("=") for line in _names(RECIPE / "root" / UPDATES))
    return {name: value for name, _, value in lines}


def packages(wanted: Wanted) -> list[str]:
    """Return the Debian packages of an image, beside those that Debian requires."""
    return sorted({name for list_ in ("all", *wanted.additions) for name in _names(RECIPE / "packages" / list_)})


def initramfs_modules() -> list[str]:
    """Return the kernel's modules that find the slot."""
    return _names(RECIPE / "initramfs-modules")


def overlays(wanted: Wanted) -> list[Path]:
    """Return the trees that are laid over the root file system, in this order."""
    return [tree for name in ("root", *wanted.additions) if (tree := RECIPE / name).is_dir()]


def _names(file: Path) -> list[str]:
    if not file.exists():
        return []
    lines = (line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]
