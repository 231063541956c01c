from pathlib import Path

from bondmate_image import card, host
from bondmate_image.host import Tools
from bondmate_image.packages import DebianPackage


def test_the_packages_of_the_boot_partition_are_named_and_no_other(tmp_path: Path) -> None:
    """QEMU's boot loader is fetched with them, for tests: it lies on no card."""
    names = [each.partition(":")[0] for each in host.FIRMWARE]
    assert names == ["raspi-firmware", "u-boot-rpi", "u-boot-qemu"]
    for name in names:
        fields = f"Package: {name}\nVersion: 1\nArchitecture: all\nSHA256: {'ab' * 32}\n"
        (tmp_path / f"{name}.control").write_text(fields)
    assert card.firmware(Tools(Path("/"), tmp_path)) == (
        DebianPackage("raspi-firmware", "1", "all", "ab" * 32),
        DebianPackage("u-boot-rpi", "1", "all", "ab" * 32),
    )
