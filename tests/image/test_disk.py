import os
import stat
from pathlib import Path

import pytest

from bondmate_image import disk
from tests.image import cards

USB = "devices/pci0000:00/0000:00:14.0/usb1/1-2/1-2:1.0/host0/target0:0:0/0:0:0:0/block"
NVME = "devices/pci0000:00/0000:00:1d.0/nvme/nvme0"
MMC = "devices/platform/soc/fe340000.mmc/mmc_host/mmc0/mmc0:aaaa/block"
VIRTUAL = "devices/virtual/block"


class Kernel:
    """Directories as the kernel shows them under /sys and /proc."""

    def __init__(self, top: Path) -> None:
        self.sys, self.proc = top / "sys", top / "proc/self"
        (self.sys / "dev/block").mkdir(parents=True)
        self.proc.mkdir(parents=True)
        (self.proc / "mountinfo").write_text("22 27 0:21 / /proc rw,relatime - proc proc rw\n")
        (self.proc.parent / "swaps").write_text("Filename Type Size Used Priority\n")
        self.nodes: dict[str, Path] = {}

    def add(self, where: str, number: str, **files: str) -> None:
        node = self.sys / where
        node.mkdir(parents=True)
        for name, text in ({"dev": number, "size": "62333952", "removable": "0", "ro": "0"} | files).items():
            (node / name).parent.mkdir(parents=True, exist_ok=True)
            (node / name).write_text(f"{text}\n")
        (node / "holders").mkdir()
        (self.sys / "dev/block" / number).symlink_to(node)
        self.nodes[node.name] = node

    def hold(self, part: str, holder: str) -> None:
        (self.nodes[part] / "holders" / holder).symlink_to(self.nodes[holder])

    def mount(self, number: str, place: str, source: str = "/dev/x") -> None:
        with (self.proc / "mountinfo").open("a") as file:
            file.write(f"30 27 {number} / {place} rw,relatime shared:1 - ext4 {source} rw\n")

    def refusal(self, number: str) -> str | None:
        return disk.refusal(disk.read(number, self.sys, self.proc))


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    """A notebook with an encrypted system on LVM, and a reader with a card."""
    made = Kernel(tmp_path)
    made.add(f"{NVME}/nvme0n1", "259:0", **{"device/model": "SAMSUNG 980"})
    made.add(f"{NVME}/nvme0n1/nvme0n1p1", "259:1", partition="1")
    made.add(f"{NVME}/nvme0n1/nvme0n1p2", "259:2", partition="2")
    made.add(f"{VIRTUAL}/dm-0", "254:0", **{"dm/name": "crypt"})
    made.add(f"{VIRTUAL}/dm-1", "254:1", **{"dm/name": "vg-root"})
    made.hold("nvme0n1p2", "dm-0")
    made.hold("dm-0", "dm-1")
    made.add(f"{USB}/sdb", "8:16", **{"device/vendor": "Generic ", "device/model": "SD Reader"}, removable="1")
    made.add(f"{USB}/sdb/sdb1", "8:17", partition="1")
    made.add(f"{USB}/sdb/sdb2", "8:18", partition="2")
    return made


def test_a_card_in_a_reader_may_be_written(kernel: Kernel) -> None:
    assert kernel.refusal("8:16") is None
    known = disk.read("8:16", kernel.sys, kernel.proc)
    assert (known.name, known.model, known.size) == ("sdb", "Generic SD Reader", 62333952 * 512)


def test_a_card_in_the_computers_own_slot_may_be_written(kernel: Kernel) -> None:
    kernel.add(f"{MMC}/mmcblk0", "179:0", **{"device/name": "SD32G"})
    assert kernel.refusal("179:0") is None
    assert disk.read("179:0", kernel.sys, kernel.proc).model == "SD32G"


def test_a_usb_disk_that_calls_itself_fixed_may_be_written(kernel: Kernel) -> None:
    kernel.add(f"{USB}/sdc", "8:32")
    assert kernel.refusal("8:32") is None


def test_the_system_disk_is_refused_through_encryption_and_lvm(kernel: Kernel) -> None:
    kernel.mount("254:1", "/")
    kernel.mount("259:1", "/boot/efi")
    assert kernel.refusal("259:0") == (
        "holds this computer's system (/boot/efi, /). Name the card: 'lsblk' shows which it is"
    )
    assert "holds this computer's system (/)" in str(kernel.refusal("259:2"))


def test_a_mounted_partition_is_named_with_its_place(kernel: Kernel) -> None:
    kernel.mount("8:17", "/media/ann/BOND\\040MATE")
    assert kernel.refusal("8:16") == (
        "is mounted (sdb1 at /media/ann/BOND MATE). Run 'umount /dev/sdb1', then this again"
    )


def test_a_disk_with_swap_is_refused(kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "_number", {"/dev/sdb2": "8:18"}.get)
    (kernel.proc.parent / "swaps").write_text("Filename Type Size Used Priority\n/dev/sdb2 partition 9 0 -2\n")
    assert "holds this computer's swap (sdb2)" in str(kernel.refusal("8:16"))


def test_a_file_system_with_a_number_of_its_own_is_found_by_its_source(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "_number", {"/dev/sdb2": "8:18"}.get)
    kernel.mount("0:45", "/home", source="/dev/sdb2")
    assert "holds this computer's system (/home)" in str(kernel.refusal("8:16"))


def test_a_member_of_a_raid_is_refused(kernel: Kernel) -> None:
    kernel.add(f"{VIRTUAL}/md0", "9:0")
    kernel.hold("sdb2", "md0")
    assert "is in use by LVM, RAID or encryption (sdb2 in md0)" in str(kernel.refusal("8:16"))


def test_a_member_of_lvm_is_refused_with_its_name(kernel: Kernel) -> None:
    assert "(nvme0n1p2 in dm-0 (crypt), dm-0 in dm-1 (vg-root))" in str(kernel.refusal("259:0"))


def test_a_partition_is_refused_and_its_disk_named(kernel: Kernel) -> None:
    assert kernel.refusal("8:17") == "is a partition. Name the whole card: /dev/sdb"


@pytest.mark.parametrize("where", [f"{NVME}/nvme1n1", f"{VIRTUAL}/dm-7", f"{VIRTUAL}/zram0"])
def test_what_is_built_in_is_refused(kernel: Kernel, where: str) -> None:
    kernel.add(where, "260:0")
    assert "is built in: neither a memory card nor a USB device" in str(kernel.refusal("260:0"))


def test_an_empty_reader_and_a_locked_card_are_refused(kernel: Kernel) -> None:
    kernel.add(f"{USB}/sdc", "8:32", removable="1", size="0")
    assert "has no card in it" in str(kernel.refusal("8:32"))
    kernel.add(f"{USB}/sdd", "8:48", removable="1", ro="1")
    assert "is write-protected" in str(kernel.refusal("8:48"))


def test_a_device_that_went_away_is_an_error_of_the_system(kernel: Kernel) -> None:
    with pytest.raises(FileNotFoundError):
        disk.read("8:99", kernel.sys, kernel.proc)


def test_this_computers_own_system_disk_is_refused() -> None:
    root = Path("/").stat().st_dev
    number = f"{os.major(root)}:{os.minor(root)}"
    if not (disk.SYS / "dev/block" / number).exists():
        pytest.skip("the root file system is on no block device here")
    if f" {number} / / " not in (disk.PROC / "mountinfo").read_text():
        pytest.skip("no mount at / is told here, as in a chroot: the disk is refused as a built-in one alone")
    assert "holds this computer's system (/" in str(disk.refusal(disk.read(number)))


def test_a_loop_device_is_a_file_and_may_be_written(tmp_path: Path) -> None:
    with cards.loop(cards.blank(tmp_path / "card")) as device:
        found = device.stat()
        assert stat.S_ISBLK(found.st_mode)
        number = f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
        assert disk.refusal(disk.read(number)) is None
        assert disk.backing_file(number) == tmp_path / "card"
