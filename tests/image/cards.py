"""Images and cards for tests: files, and loop devices where this machine lets us have them."""

import contextlib
import hashlib
import os
import random
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

BLOCK = 4096
BOOT_OFFSET = 1 << 20
BOOT_OCTETS = 34 << 20
"""FAT32 needs 65,525 clusters."""


def image(
    path: Path, *, blocks: int = 3000, used: tuple[range, ...] = (range(40), range(1500, 2600)), seed: int = 1
) -> Path:
    """A sparse file with random octets in the blocks that are used."""
    luck = random.Random(seed)
    with path.open("wb") as file:
        for each in used:
            file.seek(each.start * BLOCK)
            file.write(luck.randbytes(len(each) * BLOCK))
        file.truncate(blocks * BLOCK)
    return path


def bmap(path: Path, used: tuple[range, ...] = (range(40), range(1500, 2600))) -> Path:
    """The map of an image, beside it, written from the format's description and not by what is tested."""
    data = path.read_bytes()
    ranges = "".join(
        f'<Range chksum="{hashlib.sha256(data[each.start * BLOCK : each.stop * BLOCK]).hexdigest()}">'
        f" {each.start}-{each.stop - 1} </Range>\n"
        for each in used
    )
    return seal(
        path.with_name(path.name + ".bmap"),
        f"""<?xml version="1.0" ?>
<bmap version="2.0">
<ImageSize> {len(data)} </ImageSize>
<BlockSize> {BLOCK} </BlockSize>
<BlocksCount> {-(-len(data) // BLOCK)} </BlocksCount>
<MappedBlocksCount> {sum(map(len, used))} </MappedBlocksCount>
<ChecksumType> sha256 </ChecksumType>
<BmapFileChecksum> {"0" * 64} </BmapFileChecksum>
<BlockMap>
{ranges}</BlockMap>
</bmap>
""",
    )


def seal(path: Path, text: str) -> Path:
    """Write a map with its own checksum in the place of the zeros."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(text.replace("0" * 64, digest, 1))
    return path


def blank(path: Path, octets: int = 3000 * BLOCK) -> Path:
    """A card that holds something else."""
    path.write_bytes(b"\xa5" * octets)
    return path


def bootable(path: Path, label: str = "BONDMATE") -> Path:
    """A card with a master boot record whose first partition is a FAT file system."""
    need("mformat", "mtools")
    path.write_bytes(b"")
    os.truncate(path, BOOT_OFFSET + BOOT_OCTETS + (1 << 20))
    entry = struct.pack("<B3sB3sII", 0x80, b"\0\0\0", 0x0C, b"\0\0\0", BOOT_OFFSET // 512, BOOT_OCTETS // 512)
    with path.open("r+b") as file:
        file.seek(446)
        file.write(entry + bytes(48) + b"\x55\xaa")
    sectors = str(BOOT_OCTETS // 512)
    subprocess.run(["mformat", "-i", f"{path}@@{BOOT_OFFSET}", "-T", sectors, "-F", "-v", label, "::"], check=True)
    return path


def need(program: str, package: str) -> None:
    """Skip where a program is missing."""
    if shutil.which(program) is None:
        pytest.skip(f"needs {program}, of Debian's package {package}")


@contextlib.contextmanager
def loop(path: Path) -> Iterator[Path]:
    """A loop device over a file, for as long as the block lasts."""
    if os.geteuid() != 0 or shutil.which("losetup") is None:
        pytest.skip("needs root, and losetup of Debian's package mount")
    made = subprocess.run(["losetup", "--find", "--show", str(path)], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        pytest.skip(f"this machine gives no loop device: {made.stderr.strip()}")
    device = Path(made.stdout.strip())
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", str(device)], check=True)
