import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate_sim import nmea
from bondmate_sim.uart import resample

SENTENCE = nmea.frame("GNGGA,120000.00,3843.33500,N,00908.36040,W,1,11,0.9,12.3,M,53.4,M,,")
SPEEDS = (4_800, 9_600, 19_200, 38_400, 57_600, 115_200, 230_400, 460_800, 921_600)


@pytest.mark.parametrize(
    ("sent", "sent_baud", "read_baud", "read"),
    [
        # Drawn by hand: the line in sent bits, and where the reader looks by its own clock from a fall on.
        (b"\x00", 9_600, 19_200, b"\x00"),  # low for nine bits: an octet without a stop bit, and no second fall
        (b"\xff", 9_600, 19_200, b"\xfe"),  # the start bit is a start bit and a zero
        (b"\xff", 9_600, 4_800, b""),  # half a bit is no start bit
        (b"\x0f", 9_600, 19_200, b"\xfe\x80"),  # 0 1111 0000 1: the second fall is a start bit, seven zeros and a one
        (b"\xf0", 9_600, 4_800, b"\xfe"),  # 0 0000 1111 1: looks at the second, fourth, sixth, … bit
    ],
)
def test_what_is_read_at_another_speed(sent: bytes, sent_baud: int, read_baud: int, read: bytes) -> None:
    assert resample(sent, sent_baud, read_baud) == read


@given(st.binary(max_size=200), st.sampled_from(SPEEDS))
def test_at_the_same_speed_everything_arrives(data: bytes, baud: int) -> None:
    assert resample(data, baud, baud) == data


@given(st.binary(min_size=1, max_size=200))
def test_clocks_that_differ_by_two_in_a_hundred_understand_each_other(data: bytes) -> None:
    assert resample(data, 9_600, 9_792) == data
    assert resample(data, 9_600, 9_408) == data


@pytest.mark.parametrize("sent_baud", SPEEDS)
@pytest.mark.parametrize("read_baud", SPEEDS)
def test_another_speed_is_garbage_of_a_likely_length(sent_baud: int, read_baud: int) -> None:
    if sent_baud == read_baud:
        return
    read = resample(SENTENCE, sent_baud, read_baud)
    assert read == resample(SENTENCE, sent_baud, read_baud), "the same each time"
    assert SENTENCE[:6] not in read
    # A slower reader has time for fewer octets; a faster one sees at most the falls that the line has, five an octet.
    most = len(SENTENCE) * 5 if read_baud > sent_baud else len(SENTENCE) * read_baud / sent_baud + 1
    assert len(SENTENCE) * min(read_baud / sent_baud, 1) * 0.5 <= len(read) <= most


@given(st.binary(max_size=300), st.sampled_from(SPEEDS), st.sampled_from(SPEEDS))
def test_nothing_is_too_strange_to_be_read(data: bytes, sent_baud: int, read_baud: int) -> None:
    assert len(resample(data, sent_baud, read_baud)) <= 5 * len(data) + 1
