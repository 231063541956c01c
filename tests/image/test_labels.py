import json
from pathlib import Path
from typing import Any

import pytest

from bondmate_image import cli, labels
from bondmate_image.errors import ImageError
from bondmate_image.label import Label
from tests.image.desk import Desk

FINGERPRINT = "ABCD-EFGH-IJKL-MN23"


def device(**members: Any) -> dict[str, Any]:
    known = {
        "device": "BM-7f3a09c1",
        "state": "enrolled",
        "fingerprint": FINGERPRINT,
        "enrolled_at": "2026-11-27T00:00:00.000Z",
        "revoked": False,
    }
    return known | members


def test_a_device_with_a_key_has_a_label() -> None:
    assert labels.of([device()]) == [Label("BM-7f3a09c1", 1795737600, FINGERPRINT)]


def test_one_that_waits_for_a_human_has_one_without_a_day() -> None:
    assert labels.of([device(enrolled_at=None)]) == [Label("BM-7f3a09c1", None, FINGERPRINT)]


def test_one_without_a_key_or_revoked_has_none() -> None:
    assert labels.of([device(fingerprint=None), device(revoked=True)]) == []


@pytest.mark.parametrize(
    "answer", [None, {"a": 1}, [1], [{}], [device(fingerprint="?")], [device(device="?")], [device(enrolled_at="?")]]
)
def test_what_is_no_list_of_devices_is_refused(answer: Any) -> None:
    with pytest.raises(ImageError, match="no list of devices"):
        labels.of(answer)


def test_the_sheet_is_written(desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    desk.will_say(json.dumps([device()]))
    sheet = tmp_path / "sheet.pdf"
    assert cli.main(["labels", "--gateway", str(desk.data), "--out", str(sheet)]) == 0
    assert capsys.readouterr().out == f"{sheet}  1 label\n"
    assert sheet.read_bytes().startswith(b"%PDF")
    assert desk.asked == [(["devices", "--data", str(desk.data), "--json"], "")]


def test_without_devices_it_says_what_to_do(desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    desk.will_say("[]")
    assert cli.main(["labels", "--gateway", str(desk.data), "--out", str(tmp_path / "sheet.pdf")]) == 1
    assert "no device has made its key yet" in capsys.readouterr().err
    assert not (tmp_path / "sheet.pdf").exists()
