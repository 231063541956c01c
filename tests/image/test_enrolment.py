import base64
import json
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate_image import enrolment
from bondmate_image.errors import ImageError
from tests.image.desk import ISSUED_S, file, offer


def test_a_file_says_whose_it_is_and_since_when() -> None:
    found = enrolment.read(file("BM-7f3a09c1"))
    assert found is not None
    assert (found.device, found.issued_s) == ("BM-7f3a09c1", ISSUED_S)
    assert found.file == file("BM-7f3a09c1")


def test_its_secret_is_in_no_log() -> None:
    assert "ssss" not in repr(enrolment.read(file()))


@pytest.mark.parametrize(
    "signed",
    [
        [b"", {}, b"", b""],
        cbor2.CBORTag(17, [b"", {}, b"", b""]),
        cbor2.CBORTag(18, [b"", {}, b"", b"", b""]),
        cbor2.CBORTag(18, [b"", {}, b"\xff", b""]),
        cbor2.CBORTag(18, [b"", {}, cbor2.dumps([2, b"1234", b"", b"", [], 0, None]), b""]),
        cbor2.CBORTag(18, [b"", {}, cbor2.dumps([1, b"123", b"", b"", [], 0, None]), b""]),
        cbor2.CBORTag(18, [b"", {}, cbor2.dumps([1, b"1234", b"", b"", [], 1 << 32, None]), b""]),
        cbor2.CBORTag(18, [b"", {}, cbor2.dumps([1, b"1234", b"", b"", [], "today", None]), b""]),
    ],
)
def test_what_is_no_enrolment_file_is_nobodys(signed: Any) -> None:
    assert enrolment.read(cbor2.dumps(signed)) is None


def test_too_large_a_file_is_nobodys() -> None:
    assert enrolment.read(file() + bytes(enrolment.MAX_OCTETS)) is None


@given(st.binary(max_size=100) | st.binary(max_size=60).map(lambda data: b"\xd2\x84\x40\xa0\x58\x3c" + data))
def test_any_octets_are_read_without_an_error(data: bytes) -> None:
    found = enrolment.read(data)
    assert found is None or found.file == data


def test_what_a_gateway_made_is_taken() -> None:
    made = enrolment.answered(json.loads(offer("BM-00000001", "BM-00000002")), 2)
    assert [each.device for each in made] == ["BM-00000001", "BM-00000002"]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (offer("BM-00000001"), "made 1 enrolment files, and 2 were asked for"),
        (offer("BM-00000001", "BM-00000001"), "and 2 were asked for"),
        ("{}", "made 0 enrolment files"),
        ("[1, 2]", "no enrolment file"),
        (offer("BM-00000001", "BM-00000002").replace("BM-00000002", "BM-00000003"), "no enrolment file"),
        (json.dumps([{"device": "BM-00000001", "file": "?"}] * 2), "no enrolment file"),
        (json.dumps([{"device": "BM-00000001", "file": base64.b64encode(b"x").decode()}] * 2), "no enrolment file"),
        (json.dumps([{"device": "../etc", "file": base64.b64encode(file()).decode()}] * 2), "no enrolment file"),
    ],
)
def test_an_answer_with_anything_else_is_refused(answer: str, why: str) -> None:
    with pytest.raises(ImageError, match=why):
        enrolment.answered(json.loads(answer), 2)
