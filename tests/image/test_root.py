from dataclasses import replace
from pathlib import Path

import pytest

from bondmate_image import root
from bondmate_image.errors import ImageError
from bondmate_image.recipe import Profile, Wanted
from bondmate_image.trust import FORCE_KEY, KEYRING, Trust

WANTED = Wanted("1.2.3", Profile.BENCH, 1_700_000_000)


def _tree(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


def test_an_overlay_is_laid_over_what_is_there(tmp_path: Path) -> None:
    tree = _tree(tmp_path / "root", {"etc/kept": "old", "etc/replaced": "old", "bin/real": "old"})
    (tree / "etc/link").symlink_to("../bin/real")
    overlay = _tree(tmp_path / "overlay", {"etc/replaced": "new", "etc/link": "new", "new/folder/file": "new"})
    (overlay / "etc/replaced").chmod(0o600)
    (overlay / "new/folder/program").write_text("new")
    (overlay / "new/folder/program").chmod(0o700)
    (overlay / "etc/kept-link").symlink_to("/nowhere")
    root.lay(overlay, tree)
    read = {str(path.relative_to(tree)): path.read_text() for path in tree.rglob("*") if path.is_file()}
    assert read == {
        "etc/kept": "old", "etc/replaced": "new", "etc/link": "new", "bin/real": "old",
        "new/folder/file": "new", "new/folder/program": "new",
    }  # fmt: skip
    assert (tree / "etc/kept-link").readlink() == Path("/nowhere")
    modes = {
        name: (tree / name).stat().st_mode & 0o777 for name in ("etc/replaced", "new/folder/program", "new/folder")
    }
    assert modes == {"etc/replaced": 0o644, "new/folder/program": 0o755, "new/folder": 0o755}


def test_an_overlay_cannot_write_through_a_link(tmp_path: Path) -> None:
    outside = _tree(tmp_path / "outside", {"file": "safe"})
    tree = tmp_path / "root"
    tree.mkdir()
    (tree / "file").symlink_to(outside / "file")
    root.lay(_tree(tmp_path / "overlay", {"file": "new"}), tree)
    assert (outside / "file").read_text() == "safe"


def test_what_only_a_builder_needs_is_removed(tmp_path: Path) -> None:
    tree = _tree(
        tmp_path,
        {
            "etc/ssh/ssh_host_ed25519_key": "secret",
            "etc/ssh/sshd_config": "",
            "etc/passwd": "",
            "etc/passwd-": "",
            "var/cache/apt/x": "",
            "var/lib/dpkg/status": "",
            "boot/vmlinuz-6": "",
            "boot/System.map-6": "",
        },
    )
    (tree / "vmlinuz").symlink_to("boot/vmlinuz-6")
    root.prune(tree)
    left = sorted(str(path.relative_to(tree)) for path in tree.rglob("*") if not path.is_dir())
    assert left == ["boot/vmlinuz-6", "etc/passwd", "etc/ssh/sshd_config", "var/lib/dpkg/status"]


def _bootable(folder: Path) -> Path:
    return _tree(
        folder,
        {"etc/x": "", "usr/lib/os-release": "ID=debian\n", "boot/vmlinuz-6": "", "boot/initrd.img-6": ""},
    )


def test_the_system_says_what_it_is(tmp_path: Path) -> None:
    tree = _bootable(tmp_path)
    root.finish(tree, WANTED)
    assert (tree / "usr/lib/os-release").read_text() == (
        "ID=debian\nIMAGE_ID=bondmate\nIMAGE_VERSION=1.2.3\nVARIANT_ID=bench\n"
    )
    assert (tree / root.VERSION).read_text() == "1.2.3\n"
    assert (tree / "etc/machine-id").read_text() == ""
    assert (tree / "boot/vmlinuz").resolve() == (tree / "boot/vmlinuz-6").resolve()
    assert (tree / "boot/initrd.img").resolve() == (tree / "boot/initrd.img-6").resolve()
    assert (tree / "data").is_dir()


def test_whom_to_believe_is_in_the_image(tmp_path: Path) -> None:
    tree = _bootable(tmp_path)
    root.finish(tree, WANTED)
    assert not any((tree / place).exists() for place in (FORCE_KEY, KEYRING))
    root.finish(tree, replace(WANTED, trust=Trust(b"a key", b"certificates")))
    assert ((tree / FORCE_KEY).read_bytes(), (tree / KEYRING).read_bytes()) == (b"a key", b"certificates")
    assert {(tree / place).stat().st_mode & 0o777 for place in (FORCE_KEY, KEYRING)} == {0o644}


@pytest.mark.parametrize("kernels", [0, 2])
def test_one_kernel_and_no_more(tmp_path: Path, kernels: int) -> None:
    tree = _bootable(tmp_path)
    (tree / "boot/vmlinuz-6").unlink()
    for number in range(kernels):
        (tree / f"boot/vmlinuz-{number}").touch()
    with pytest.raises(ImageError, match=f"{kernels} files are called vmlinuz"):
        root.finish(tree, WANTED)
