import sys
from pathlib import Path

import pytest

from bondmate_image import label
from bondmate_image.errors import ImageError
from bondmate_image.label import Label


def test_a_scanner_reads_the_device_and_the_fingerprint() -> None:
    assert label.qr_text(Label("BM-7f3a09c1", None, None)) == "BM-7f3a09c1"
    assert label.qr_text(Label("BM-7f3a09c1", 0, "ABCD-EFGH-IJKL-MNOP")) == "BM-7f3a09c1 ABCD-EFGH-IJKL-MNOP"


def test_it_prints_and_says_what(tmp_path: Path) -> None:
    path = tmp_path / "labels.pdf"
    assert label.printer(path)([Label("BM-7f3a09c1", 0, None)] * 2) == f"{path}  2 labels"
    assert path.read_bytes().startswith(b"%PDF")


def test_without_the_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "bondmate_image.sheet", raising=False)
    monkeypatch.delattr("bondmate_image.sheet", raising=False)
    monkeypatch.setitem(sys.modules, "fpdf", None)  # what an import of a package that is not there is like
    with pytest.raises(ImageError, match="install bondmate with the extra 'image'"):
        label.printer(tmp_path / "labels.pdf")


def test_a_place_that_is_not_there_is_said_before_anything_is_done(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="is no directory that you may write to"):
        label.printer(tmp_path / "none/labels.pdf")
