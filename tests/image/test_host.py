"""The computer that builds: what is missing is named before anything is made; what is taken of a Debian package."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from bondmate_image import host, packages
from bondmate_image.errors import ImageError
from bondmate_image.packages import DebianPackage
from tests.image.here import HERE


def test_all_that_is_missing_is_named_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImageError, match=r"names: arch-test mmdebstrap qemu-user-static util-linux\. Install"):
        host.prepare()


def test_what_is_there_is_not_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for program in ("mmdebstrap", "qemu-aarch64-static", "unshare"):
        (tmp_path / program).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImageError, match=r"names: arch-test\. Install"):
        host.prepare()


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="makes a package: it needs dpkg-deb, of Debian's dpkg")
def test_a_package_of_which_files_are_taken_keeps_its_name_and_its_hash(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "DEBIAN").mkdir(parents=True)
    (source / "DEBIAN/control").write_text(
        "Package: u-boot-rpi\nVersion: 1:2025.01-3\nArchitecture: arm64\nMaintainer: nobody\n"
        "Description: a boot loader\n"
    )
    (source / "usr/lib").mkdir(parents=True)
    (source / "usr/lib/u-boot.bin").write_text("boots")
    folder = tmp_path / "firmware"
    folder.mkdir()
    archive = folder / "u-boot-rpi_1%3a2025.01-3_arm64.deb"
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", source, archive], check=True, capture_output=True)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    host.unpack(HERE, archive)
    assert sorted(path.name for path in folder.iterdir()) == ["u-boot-rpi", "u-boot-rpi.control"]
    assert (folder / "u-boot-rpi/usr/lib/u-boot.bin").read_text() == "boots"
    assert packages.read_list((folder / "u-boot-rpi.control").read_text()) == (
        DebianPackage("u-boot-rpi", "1:2025.01-3", "arm64", digest),
    )
