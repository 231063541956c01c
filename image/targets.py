"""Which of the named cards may be written to: all of them, or nothing is written at all."""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bondmate_image import disk
from bondmate_image.errors import ImageError


@dataclass(frozen=True, slots=True)
class Target:
    """A card, or a plain file that stands for one."""

    path: Path
    """As it was named."""

    device: bool
    model: str
    size: int
    """Octets."""


def check(paths: Sequence[Path], needed: int, image: Path | None = None) -> tuple[Target, ...]:
    """Return the cards, each with room for so many octets. ImageError names each that may not be used, and why."""
    targets: list[Target] = []
    refusals: list[str] = []
    seen: dict[object, Path] = {}
    if image is not None:
        seen[_identity(image.stat())] = image
    for path in paths:
        try:
            found = path.stat()
            target, refusal = _look(path, found)
        except OSError as error:
            refusals.append(f"{path}: {error.strerror}. Name a card ('lsblk' shows them) or a file that is there")
            continue
        identity = _identity(found)
        if refusal is None and identity in seen:
            refusal = f"is the same as {seen[identity]}. Name each once"
        elif refusal is None and target.size < needed:
            refusal = f"has {target.size} octets, and {needed} are needed. Take a larger one"
        seen.setdefault(identity, path)
        if refusal is None:
            targets.append(target)
        else:
            refusals.append(f"{path} {refusal}")
    if refusals:
        raise ImageError("nothing was written:\n  " + "\n  ".join(refusals))
    return tuple(targets)


def claim(target: Target, flags: int) -> int:
    """Open a card, so that nobody mounts it meanwhile. ImageError when somebody has it; OSError."""
    try:
        # For a block device O_EXCL means: fail where anything of it is mounted or claimed, in whatever namespace.
        return os.open(target.path, flags | os.O_CLOEXEC | (os.O_EXCL if target.device else 0))
    except PermissionError as error:
        raise ImageError("may not be opened. Run this as root") from error
    except OSError as error:
        raise ImageError(
            f"could not be opened: {error.strerror}. Close what uses it, or take it out and in again"
        ) from error


def _look(path: Path, found: os.stat_result) -> tuple[Target, str | None]:
    if stat.S_ISREG(found.st_mode):
        return Target(path, device=False, model="a file", size=found.st_size), None
    if stat.S_ISBLK(found.st_mode):
        known = disk.read(_number(found))
        return Target(path, device=True, model=known.model, size=known.size), disk.refusal(known)
    return Target(path, device=False, model="", size=0), "is neither a card nor a file. 'lsblk' shows the cards"


def _number(found: os.stat_result) -> str:
    return f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"


def _identity(found: os.stat_result) -> object:
    if stat.S_ISBLK(found.st_mode):
        backing = disk.backing_file(_number(found))
        if backing is None:
            return ("device", found.st_rdev)
        try:
            found = backing.stat()
        except OSError:  # its name is gone; the loop device then stands for itself
            return ("device", found.st_rdev)
    return ("file", found.st_dev, found.st_ino)
