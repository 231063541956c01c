import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate_sim import tpdu
from bondmate_sim.short_message import Delivery, MessageError, UserData

# The example that most manuals print: "hellohello" to +46708251358, 7 bit, relative validity, default centre.
SUBMIT = bytes.fromhex("0011000B916407281553F80000AA0AE8329BFD4697D9EC37")
# And a delivery of it from +27838890001, by +27381000015, at 13:12:27 on 4 January 1999 in UTC+2.
DELIVERED = "07917283010010F5040BC87238880900F10000993092516195800AE8329BFD4697D9EC37"


def test_a_submission_by_the_book() -> None:
    centre, octets = tpdu.split_centre(SUBMIT)
    assert centre == ""
    submission = tpdu.submission(octets)
    assert submission.to == "+46708251358"
    assert submission.data == UserData(0, False, 10, bytes.fromhex("E8329BFD4697D9EC37"))


def test_eight_bit_with_a_header_and_no_validity() -> None:
    octets = bytes.fromhex("41 00 04 81 21 43 00 04 08 06 05 04 0B 84 23 F0 41".replace(" ", ""))
    submission = tpdu.submission(octets)
    assert submission.to == "1234"
    assert submission.data == UserData(4, True, 8, bytes.fromhex("0605040B8423F041"))


def test_a_delivery_by_the_book() -> None:
    time = datetime.datetime(1999, 3, 29, 15, 16, 59, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))
    delivery = Delivery("c1", "+27838890001", time, UserData(0, False, 10, bytes.fromhex("E8329BFD4697D9EC37")))
    expected = bytes.fromhex(DELIVERED.replace("0BC8", "0B91").replace("99309251619580", "99309231619500"))
    assert tpdu.centre("+27381000015") + tpdu.deliver(delivery) == expected


def test_a_centre_may_be_named() -> None:
    centre, octets = tpdu.split_centre(bytes.fromhex("07917283010010F5") + SUBMIT[1:])
    assert (centre, octets) == ("+27381000015", SUBMIT[1:])


@pytest.mark.parametrize(
    "octets",
    ["", "00", "0011", "07", "0007", "FF91", "0004" + SUBMIT.hex()[4:], SUBMIT.hex()[:-2], SUBMIT.hex() + "00",
     "001100FF91" + "00" * 200, "001100029100FF0000AA0141"],
)  # fmt: skip
def test_what_is_no_submission(octets: str) -> None:
    with pytest.raises(MessageError):
        tpdu.submission(tpdu.split_centre(bytes.fromhex(octets))[1])


@given(st.binary(max_size=200))
def test_no_octets_are_an_error_but_a_message_error(octets: bytes) -> None:
    try:
        submission = tpdu.submission(tpdu.split_centre(octets)[1])
    except MessageError:
        return
    assert len(submission.data.octets) <= 140


@given(st.from_regex(r"\+?[0-9]{1,20}", fullmatch=True), st.binary(max_size=140))
def test_numbers_and_octets_stand_in_a_delivery_as_they_are(sender: str, octets: bytes) -> None:
    time = datetime.datetime(2026, 11, 26, 10, 0, 5, tzinfo=datetime.UTC)
    written = tpdu.deliver(Delivery("c1", sender, time, UserData(4, False, len(octets), octets)))
    digits = sender.removeprefix("+")
    assert written[1] == len(digits)
    swapped = written[3 : 3 + (len(digits) + 1) // 2].hex()
    assert "".join(b + a for a, b in zip(swapped[::2], swapped[1::2], strict=True)).rstrip("f") == digits
    assert written[-len(octets) - 1 :] == bytes([len(octets)]) + octets
