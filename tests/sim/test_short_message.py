import datetime

import pytest

from bondmate_sim import short_message
from bondmate_sim.short_message import Delivery, MessageError, UserData, is_seven_bit, octet_count

# 3GPP TS 23.038, clause 4: the coding groups and their alphabets.
CODINGS = {
    0x00: True, 0x04: False, 0x08: False, 0x0C: True, 0x10: True, 0x14: False, 0x24: False, 0x20: False, 0x44: False,
    0xC0: True, 0xD0: True, 0xE0: False, 0xF0: True, 0xF4: False, 0xF5: False, 0xF1: True,
}  # fmt: skip


@pytest.mark.parametrize(("coding", "seven_bit"), CODINGS.items())
def test_the_alphabet_of_a_coding_scheme(coding: int, seven_bit: bool) -> None:
    assert is_seven_bit(coding) is seven_bit


def test_160_septets_are_140_octets() -> None:
    assert octet_count(0, 160) == 140
    assert octet_count(0, 1) == 1
    assert octet_count(0, 8) == 7
    assert octet_count(4, 140) == 140


@pytest.mark.parametrize(
    "parts", [(4, False, 3, b"ab"), (0, False, 10, b"ab"), (4, False, 141, bytes(141)), (256, False, 1, b"a")]
)
def test_parts_that_do_not_fit_are_refused(parts: tuple[int, bool, int, bytes]) -> None:
    with pytest.raises(MessageError):
        UserData(*parts)


def test_a_delivery_comes_back_from_its_line() -> None:
    time = datetime.datetime(2026, 11, 26, 10, 0, 0, tzinfo=datetime.UTC)
    delivery = Delivery("c7", "+4915550001", time, UserData(4, False, 2, b"\x00\xff"))
    line = short_message.line(short_message.delivered(delivery))
    assert line.endswith(b"\n")
    assert short_message.parse(line) == {
        "type": "deliver", "id": "c7", "from": "+4915550001", "time": "2026-11-26T10:00:00Z",
        "dcs": 4, "udhi": False, "udl": 2, "ud": "00ff",
    }  # fmt: skip
    assert short_message.delivery(short_message.parse(line)) == delivery


@pytest.mark.parametrize("octets", [b"", b"{", b"[]", b'"attach"', b"\xff\xfe", b"[" * 4000])
def test_what_is_no_object_is_refused(octets: bytes) -> None:
    with pytest.raises(MessageError):
        short_message.parse(octets)


GOOD = {"id": "c1", "from": "+49", "time": "2026-11-26T10:00:00Z", "dcs": 4, "udhi": False, "udl": 1, "ud": "00"}


@pytest.mark.parametrize(
    "wrong",
    [{"id": ""}, {"from": "me"}, {"time": "now"}, {"time": "2026-11-26"}, {"dcs": "4"}, {"ud": "0"}, {"ud": "0000"},
     {"ud": "zz"}, {"udl": -1}, {"udl": 1.0}, {"udhi": 0}],
)  # fmt: skip
def test_a_wrong_delivery_is_refused(wrong: dict[str, object]) -> None:
    assert short_message.delivery(GOOD).data.octets == b"\x00"
    with pytest.raises(MessageError):
        short_message.delivery(GOOD | wrong)
