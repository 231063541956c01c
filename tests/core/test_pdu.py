"""Short messages: examples worked out by hand from TS 23.040, and the answers of real phones in the corpus."""

import datetime as dt
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate.core.pdu import MAX_OCTETS, Alphabet, Other, PduError, Sms, decode, encode_submit

CENTRE = "07919461197000F0"
"""An address of a service centre, +49169107000: seven octets, international."""
SENDER = "0C91947110325476"
"""+491701234567: twelve digits, international."""
WHEN = "62110251000080"
"""2026-11-20 15:00:00, eight quarters of an hour ahead: 13:00 UTC."""


def deliver(
    data: str, *, first: str = "04", scheme: str = "04", length: int | None = None, sender: str = SENDER
) -> str:
    count = len(data) // 2 if length is None else length
    return f"{CENTRE}{first}{sender}00{scheme}{WHEN}{count:02X}{data}"


def delivered(text: str) -> Sms:
    found = decode(text)
    assert isinstance(found, Sms)
    return found


# --- out --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "octets", "text", "length"),
    [
        # centre 00 | first 01, reference 00 | 12 digits, 91, swapped | PID 00, DCS 04, UDL 02 | data
        ("+491701234567", b"\xca\xfe", "0001000C919471103254760004" + "02" + "CAFE", 15),
        ("+4917012345678", b"", "0001000D91947110325476F8000400", 14),
        ("12345", b"\x00", "000100058121" + "43F5" + "0004" + "01" + "00", 11),
        ("+491701234567", bytes(140), "0001000C9194711032547600048C" + "00" * 140, 153),
    ],
)
def test_a_message_to_be_sent_is_what_the_specification_says(
    number: str, octets: bytes, text: str, length: int
) -> None:
    assert encode_submit(number, octets) == (text, length)


@pytest.mark.parametrize("number", ["", "+", "49 170", "+49a", "1" * 21, "+4917\n", "*100#", "٣٣"])
def test_what_is_no_number_is_refused_and_not_repeated(number: str) -> None:
    with pytest.raises(PduError) as refused:
        encode_submit(number, b"x")
    assert "digits" in str(refused.value)
    assert len(number) < 2 or number not in str(refused.value)


def test_more_than_one_message_takes_is_refused() -> None:
    with pytest.raises(PduError, match="140 octets, not 141"):
        encode_submit("+49170", bytes(141))


@given(st.from_regex(r"\+?[0-9]{1,20}", fullmatch=True), st.binary(max_size=MAX_OCTETS))
def test_what_is_sent_arrives(number: str, octets: bytes) -> None:
    """As a service centre would deliver it: the address and the data as they are, the rest its own."""
    text, length = encode_submit(number, octets)
    assert len(text) == 2 * (1 + length)
    raw = bytes.fromhex(text)
    digits = raw[3]
    address = raw[3 : 5 + (digits + 1) // 2]
    rest = raw[len(address) + 3 :]
    assert rest[:3] == bytes((0, 4, len(octets)))
    found = delivered((b"\0\x04" + address + b"\0\x04" + bytes.fromhex(WHEN) + rest[2:]).hex())
    assert (found.sender, found.octets, found.is_8_bit) == (number, octets, True)


def packed(septets: list[int], skip: int = 0) -> bytes:
    """By one large number, bit for bit."""
    number = sum(septet << (7 * place + skip) for place, septet in enumerate(septets))
    return number.to_bytes((7 * len(septets) + skip + 7) // 8, "little")


# --- in ---------------------------------------------------------------------------------------------------------------


def test_octets_are_taken_as_they_are() -> None:
    sent_at = dt.datetime(2026, 11, 20, 13, 0, tzinfo=dt.UTC)
    assert delivered(deliver("00FF1B")) == Sms("+491701234567", sent_at, Alphabet.OCTETS, (), b"\x00\xff\x1b", None)


@pytest.mark.parametrize(
    ("scheme", "alphabet"),
    [
        ("00", Alphabet.SEPTETS), ("04", Alphabet.OCTETS), ("08", Alphabet.UCS2), ("0C", Alphabet.SEPTETS),
        ("14", Alphabet.OCTETS), ("20", Alphabet.COMPRESSED), ("44", Alphabet.OCTETS), ("84", Alphabet.SEPTETS),
        ("C0", Alphabet.SEPTETS), ("D8", Alphabet.SEPTETS), ("E8", Alphabet.UCS2),
        ("F0", Alphabet.SEPTETS), ("F5", Alphabet.OCTETS),
    ],
)  # fmt: skip
def test_the_alphabet_is_that_of_the_coding_scheme(scheme: str, alphabet: Alphabet) -> None:
    found = delivered(deliver("00410042", scheme=scheme, length=4))
    assert found.alphabet is alphabet
    assert found.is_8_bit is (alphabet is Alphabet.OCTETS)


def test_words_in_both_alphabets_of_words() -> None:
    # "hellohello" as 23.038 packs it, the best known example of all
    assert delivered(deliver("E8329BFD4697D9EC37", scheme="00", length=10)).text == "hellohello"
    assert delivered(deliver("00500065006E00EF006300200021", scheme="08")).text == "Penïc !"
    # an escape and 0x65 is the euro sign: septets 1B 65, packed 9B 32
    assert delivered(deliver("9B32", scheme="00", length=2)).text == "€"


@pytest.mark.parametrize(
    ("sender", "read"),
    [
        ("0B919471103254F6", "+49170123456"),
        ("05812143F5", "12345"),
        ("06A1A0CBED", "0*#abc"),
        ("06D04F5904", "O2_"),
        ("0091", "+"),
    ],
)
def test_senders_of_all_kinds(sender: str, read: str) -> None:
    assert delivered(deliver("00", sender=sender)).sender == read


def test_a_sender_may_be_a_name() -> None:
    septets = [ord(letter) for letter in "Polis"]
    raw = packed(septets)
    half_octets = -(-7 * len(septets) // 4)
    sender = f"{half_octets:02X}D0{raw.hex()}"
    assert delivered(deliver("00", sender=sender)).sender == "Polis"


def test_a_filler_inside_an_address_is_refused() -> None:
    with pytest.raises(PduError, match="filler"):
        decode(deliver("00", sender="0491F143"))


@pytest.mark.parametrize(
    ("when", "read"),
    [
        ("62110251000000", dt.datetime(2026, 11, 20, 15, 0, tzinfo=dt.UTC)),
        ("62110251000080", dt.datetime(2026, 11, 20, 13, 0, tzinfo=dt.UTC)),
        ("6211025100008A", dt.datetime(2026, 11, 20, 22, 0, tzinfo=dt.UTC)),
        ("99213132959500", dt.datetime(1999, 12, 13, 23, 59, 59, tzinfo=dt.UTC)),
        ("62310251000000", None),
        ("00000000000000", None),
        ("FFFFFFFFFFFFFF", None),
    ],
)
def test_the_time_is_that_of_the_service_centre(when: str, read: dt.datetime | None) -> None:
    assert delivered(f"{CENTRE}04{SENDER}0004{when}0100").sent_at == read


def test_parts_of_longer_messages_are_recognised() -> None:
    part = delivered(deliver("050003A10201" + "CAFE", first="44"))
    assert part.header == ((0x00, b"\xa1\x02\x01"),)
    assert (part.octets, part.is_concatenated) == (b"\xca\xfe", True)
    wide = delivered(deliver("0608041234" + "0201" + "CAFE", first="44"))
    assert (wide.octets, wide.is_concatenated) == (b"\xca\xfe", True)
    ports = delivered(deliver("06050415800000" + "CAFE", first="44"))
    assert (ports.octets, ports.is_concatenated) == (b"\xca\xfe", False)


def test_words_behind_a_header_begin_at_the_next_septet() -> None:
    """9.2.3.24: six octets of header are 48 bits, and 49 are seven septets."""
    raw = bytes.fromhex("050003A10201") + packed([ord(letter) for letter in "two"], 1)
    found = delivered(deliver(raw.hex(), first="44", scheme="00", length=7 + 3))
    assert (found.text, found.is_concatenated) == ("two", True)


@pytest.mark.parametrize("data", ["05000310", "FF", "0100", "020005CA"])
def test_a_header_that_does_not_add_up_is_refused(data: str) -> None:
    with pytest.raises(PduError):
        decode(deliver(data, first="44"))


def test_what_is_no_incoming_message_is_named() -> None:
    assert decode(encode_submit("+49170", b"x")[0]) == Other("a message that was to be sent")
    # 9.2.2.3: first octet 06, reference, recipient, two times, status
    assert decode(f"{CENTRE}06E8{SENDER}{WHEN}{WHEN}00") == Other("a status report")
    with pytest.raises(PduError, match="kind"):
        decode(f"{CENTRE}03{SENDER}")


@pytest.mark.parametrize("text", ["", "0", "0G", "00", "07", "0004", "FF" * 300, "00 04", deliver("00", length=141)])
def test_what_is_no_message_is_refused(text: str) -> None:
    with pytest.raises(PduError):
        decode(text)


def test_every_beginning_of_a_message_is_refused() -> None:
    whole = deliver("050003A10201CAFE", first="44")
    decode(whole)
    for end in range(0, len(whole), 2):
        with pytest.raises(PduError):
            decode(whole[:end])


@given(st.binary(max_size=200), st.sampled_from(["", CENTRE + "04", CENTRE + "44" + SENDER + "00"]))
def test_no_octets_raise_anything_else(octets: bytes, before: str) -> None:
    try:
        found = decode(before + octets.hex())
    except PduError:
        return
    if isinstance(found, Sms):
        assert len(found.octets) <= MAX_OCTETS
        assert found.is_8_bit == (found.alphabet is Alphabet.OCTETS)


def test_neither_a_sender_nor_words_are_in_a_representation() -> None:
    found = delivered(deliver("E8329BFD4697D9EC37", scheme="00", length=10))
    assert "hello" not in repr(found)
    assert "4917" not in repr(found)


# --- real phones ------------------------------------------------------------------------------------------------------

_ANSWER = re.compile(r"\+CMGR: [^\r\n]*[\r\n]+([0-9A-Fa-f]+)")


def _of(corpus: Path, name: str) -> Sms | Other:
    found = _ANSWER.search((corpus / "sms" / name).read_text("ascii"))
    assert found is not None
    return decode(found[1])


def test_every_answer_of_a_real_phone_is_read(corpus: Path) -> None:
    names = sorted(path.name for path in (corpus / "sms").glob("*.dump"))
    assert len(names) >= 15
    kinds = [type(_of(corpus, name)).__name__ for name in names]
    assert kinds.count("Sms") >= 10
    assert kinds.count("Other") >= 5


def test_what_real_phones_say_is_understood(corpus: Path) -> None:
    """Read off the octets by hand."""
    named = _of(corpus, "04.dump")
    assert isinstance(named, Sms)
    assert named.sender == "O2_"
    assert named.text is not None
    assert named.text.isprintable()
    assert named.sent_at == dt.datetime(2006, 11, 19, 8, 26, 34, tzinfo=dt.UTC)
    picture = _of(corpus, "26.dump")
    assert isinstance(picture, Sms)
    assert picture.sender.startswith("+3519")
    assert picture.is_8_bit
    assert not picture.is_concatenated
    [(name, data)] = picture.header
    assert (name, len(data), picture.octets) == (0x12, 129, b""), "a variable picture (9.2.3.24.10.1.9)"
    report = _of(corpus, "30.dump")
    assert report == Other("a status report")
