"""What is missing on the computer that builds is said by the name of its package, before anything is made."""

from pathlib import Path

import pytest

from bondmate_image import host
from bondmate_image.errors import ImageError


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
