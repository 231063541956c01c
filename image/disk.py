"""What the kernel says of a block device, and why nothing may be written to it. It opens no device.

From sysfs (Documentation/ABI/stable/sysfs-block), /proc/self/mountinfo (proc_pid_mountinfo(5)) and /proc/swaps.
"""

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

SYS = Path("/sys")
PROC = Path("/proc/self")

_SECTOR = 512
"""sysfs counts in these, whatever the device's own are."""

_SYSTEM = re.compile(r"/|/(boot|efi|home|nix|opt|root|snap|srv|usr|var)(/.*)?")
"""Where a computer's own file systems are mounted. All that is mounted is refused; this only chooses the words."""

_ON_A_CARD_READER = re.compile(r"/(usb[0-9]+|mmc_host)/")


@dataclass(frozen=True, slots=True)
class Disk:
    """A block device, and what stands on it."""

    name: str
    model: str
    size: int
    """Octets."""

    whole: str | None
    """The disk that it is a partition of."""

    taken_out: bool
    """Whether it can be: a memory card, a USB device, or a loop device, which is a file."""

    read_only: bool
    mounts: tuple[tuple[str, str], ...]
    """What is mounted of it, however deep below: the device's name, and where."""

    swaps: tuple[str, ...]
    holders: tuple[tuple[str, str], ...]
    """Which of its parts belong to LVM, RAID, encryption, or another device over it: the part, and to what."""


def read(number: str, sys: Path = SYS, proc: Path = PROC) -> Disk:
    """Return what is known of the device `MAJOR:MINOR`. OSError when it just went away."""
    node = (sys / "dev/block" / number).resolve(strict=True)
    mounted, swapped = _mounts(proc), _swaps(proc)
    below = _below(node)
    partition = (node / "partition").exists()
    disk = node.parent if partition else node
    return Disk(
        name=node.name,
        model=" ".join(f"{_text(disk / 'device/vendor')} {_text(disk / 'device/model')}".split())
        or _text(disk / "device/name"),
        size=int(_text(node / "size") or 0) * _SECTOR,
        whole=disk.name if partition else None,
        taken_out=_text(disk / "removable") == "1"
        or _ON_A_CARD_READER.search(f"{disk}/") is not None
        or (disk / "loop").exists(),
        read_only=_text(node / "ro") == "1",
        mounts=tuple((each.name, place) for each in below for place in mounted.get(_text(each / "dev"), ())),
        swaps=tuple(each.name for each in below if _text(each / "dev") in swapped),
        holders=tuple(
            (each.name, f"{holder.name} ({_text(holder / 'dm/name')})" if (holder / "dm").exists() else holder.name)
            for each in below
            for holder in sorted((each / "holders").glob("*"))
        ),
    )


def refusal(disk: Disk) -> str | None:
    """Return why nothing may be written to it and what to do next, or None. The text begins behind the name."""
    system = [place for _, place in disk.mounts if _SYSTEM.fullmatch(place)]
    if system:
        return f"holds this computer's system ({', '.join(system)}). Name the card: 'lsblk' shows which it is"
    if disk.mounts:
        places = ", ".join(f"{name} at {place}" for name, place in disk.mounts)
        names = " ".join(dict.fromkeys(f"/dev/{name}" for name, _ in disk.mounts))
        return f"is mounted ({places}). Run 'umount {names}', then this again"
    if disk.swaps:
        return f"holds this computer's swap ({', '.join(disk.swaps)}). Name the card: 'lsblk' shows which it is"
    if disk.holders:
        parts = ", ".join(f"{name} in {holder}" for name, holder in disk.holders)
        return f"is in use by LVM, RAID or encryption ({parts}). Name the card: 'lsblk' shows which it is"
    if disk.whole is not None:
        return f"is a partition. Name the whole card: /dev/{disk.whole}"
    if not disk.taken_out:
        return "is built in: neither a memory card nor a USB device. Name the card: 'lsblk' shows which it is"
    if disk.size == 0:
        return "has no card in it. Put one in, then run this again"
    if disk.read_only:
        return "is write-protected. Move the lock at the card's side, then run this again"
    return None


def backing_file(number: str, sys: Path = SYS) -> Path | None:
    """Return the file behind the loop device `MAJOR:MINOR`, or None."""
    text = _text(sys / "dev/block" / number / "loop/backing_file")
    return Path(text) if text else None


def _below(node: Path) -> list[Path]:
    """Return a device, its partitions, and what is made of them, and so on."""
    found: list[Path] = []
    waiting = [node]
    while waiting:
        each = waiting.pop(0)
        if each in found:
            continue
        found.append(each)
        waiting += sorted(path.parent for path in each.glob("*/partition"))
        waiting += [path.resolve() for path in sorted((each / "holders").glob("*"))]
    return found


def _mounts(proc: Path) -> dict[str, list[str]]:
    mounts: dict[str, list[str]] = {}
    for line in (proc / "mountinfo").read_text(errors="surrogateescape").splitlines():
        fields = line.split()
        place = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[4])
        source = fields[fields.index("-") + 2]
        # btrfs and overlays have numbers of their own; the source then says which device is below.
        for number in {fields[2], _number(source)} - {None}:
            mounts.setdefault(str(number), []).append(place)
    return mounts


def _swaps(proc: Path) -> set[str]:
    lines = (proc.parent / "swaps").read_text(errors="surrogateescape").splitlines()[1:]
    return {number for line in lines if (number := _number(line.split()[0])) is not None}


def _number(path: str) -> str | None:
    if not path.startswith("/dev/"):
        return None
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}" if stat.S_ISBLK(found.st_mode) else None


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
