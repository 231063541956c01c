"""Sheets of labels, as PDF. Pure.

24 labels of 70 x 37 mm on A4, as Avery 3474 and many others; on plain paper the hair-lines are for scissors.
"""

import datetime
import io
from collections.abc import Sequence

import segno
from fpdf import FPDF

from bondmate_image.label import Label, qr_text

_COLUMNS, _ROWS = 3, 8
_WIDTH_MM, _HEIGHT_MM = 70.0, 37.0
_TOP_MM = 0.5
_QR_MM = 29.0
_GREY = 200


def pdf(labels: Sequence[Label]) -> bytes:
    """Return the sheets, as many as it takes; at least one label."""
    document = FPDF(format="A4")
    document.set_margin(0)
    document.set_auto_page_break(auto=False)
    document.set_title("BondMate labels")
    # The day of the newest, so that the same labels are the same file.
    document.set_creation_date(_day(max(label.day_s or 0 for label in labels)))
    for index, label in enumerate(labels):
        place = index % (_COLUMNS * _ROWS)
        if place == 0:
            document.add_page()
        _draw(document, label, place % _COLUMNS * _WIDTH_MM, _TOP_MM + place // _COLUMNS * _HEIGHT_MM)
    return bytes(document.output())


def _draw(document: FPDF, label: Label, left: float, top: float) -> None:
    document.set_draw_color(_GREY)
    document.set_line_width(0.1)
    document.rect(left, top, _WIDTH_MM, _HEIGHT_MM)
    document.image(_qr(label), left + 3, top + 4, _QR_MM, _QR_MM)
    text = left + 3 + _QR_MM + 1.5
    document.set_font("Helvetica", "B", 15)
    document.text(text, top + 11.5, label.device)
    document.set_font("Helvetica", "", 8)
    document.text(text, top + 16.5, "BondMate" if label.day_s is None else f"BondMate  {_day(label.day_s):%Y-%m-%d}")
    document.text(text, top + 22.5, "Key")
    if label.fingerprint is None:
        document.set_draw_color(0)
        for line in (26.5, 32.5):
            document.line(text, top + line, left + _WIDTH_MM - 4, top + line)
        return
    document.set_font("Courier", "B", 11)
    groups = label.fingerprint.split("-")
    document.text(text, top + 27.0, "-".join(groups[:2]))
    document.text(text, top + 32.0, "-".join(groups[2:]))


def _qr(label: Label) -> io.BytesIO:
    picture = io.BytesIO()
    segno.make_qr(qr_text(label), error="m").save(picture, kind="png", scale=8)
    picture.seek(0)
    return picture


def _day(seconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)
