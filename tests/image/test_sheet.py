from collections.abc import Sequence

import pypdfium2
import zxingcpp

from bondmate_image import sheet
from bondmate_image.label import Label, qr_text
from tests.image.desk import ISSUED_DAY, ISSUED_S

FINGERPRINT = "ABCD-EFGH-IJKL-MNOP"


def some(count: int) -> list[Label]:
    return [Label(f"BM-{index:08x}", ISSUED_S, None if index % 2 else FINGERPRINT) for index in range(count)]


def pages(labels: Sequence[Label]) -> list[pypdfium2.PdfPage]:
    return list(pypdfium2.PdfDocument(sheet.pdf(labels)))


def text(page: pypdfium2.PdfPage) -> str:
    return str(page.get_textpage().get_text_bounded())


def test_a_scanner_reads_each_code_from_the_printed_page() -> None:
    """By ZXing, which has nothing in common with what made them."""
    (page,) = pages(some(24))
    found = zxingcpp.read_barcodes(page.render(scale=150 / 72).to_pil())
    assert {each.text for each in found} == {qr_text(label) for label in some(24)}


def test_people_read_the_device_the_day_and_the_fingerprint() -> None:
    (page,) = pages([Label("BM-7f3a09c1", ISSUED_S, FINGERPRINT)])
    read = text(page)
    assert "BM-7f3a09c1" in read
    assert ISSUED_DAY in read
    assert read.split()[-2:] == ["ABCD-EFGH", "IJKL-MNOP"]


def test_a_label_without_a_key_has_no_fingerprint_and_without_a_day_none() -> None:
    (page,) = pages([Label("BM-7f3a09c1", None, None)])
    assert text(page).split() == ["BM-7f3a09c1", "BondMate", "Key"]


def test_the_25th_label_begins_a_new_sheet() -> None:
    first, second = pages(some(25))
    assert text(first).count("BM-") == 24
    assert text(second).count("BM-") == 1
    assert (round(first.get_width()), round(first.get_height())) == (595, 842)  # A4 in points


def test_the_same_labels_are_the_same_octets() -> None:
    assert sheet.pdf(some(3)) == sheet.pdf(some(3))
