"""Sentences out of a line's bytes, whole and in any pieces."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bondmate.core.lines import MAX_SENTENCE_OCTETS, SentenceSplitter

GGA = b"$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47"
RMC = b"$GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W*6A"


def split(*chunks: bytes) -> tuple[list[str], int]:
    splitter = SentenceSplitter()
    return [sentence for chunk in chunks for sentence in splitter.feed(chunk)], splitter.dropped


def cut(data: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[begin:end] for begin, end in pairwise(bounds)]


def test_sentences_end_with_any_end_of_line() -> None:
    assert split(GGA + b"\r\n" + RMC + b"\n" + GGA + b"\r") == ([GGA.decode(), RMC.decode(), GGA.decode()], 0)


def test_a_sentence_without_its_end_is_not_there_yet() -> None:
    splitter = SentenceSplitter()
    assert splitter.feed(GGA) == []
    assert splitter.feed(b"\r") == [GGA.decode()]


def test_a_sentence_is_found_behind_binary_and_behind_another_that_was_cut_off() -> None:
    assert split(b"\xb5\x62\x01\x07\x00" + GGA + b"\r\n") == ([GGA.decode()], 0)
    assert split(GGA[:30] + RMC + b"\r\n") == ([RMC.decode()], 0)


def test_lines_without_a_sentence_are_counted_and_empty_ones_are_not() -> None:
    assert split(b"noise\r\n\r\n\n!AIVDM,1\n" + GGA + b"\n") == ([GGA.decode()], 2)


def test_octets_that_are_not_ascii_spoil_their_sentence_alone() -> None:
    assert split(GGA[:20] + b"\xff" + GGA[20:] + b"\n" + RMC + b"\n") == ([RMC.decode()], 1)


def test_the_longest_sentence_passes_and_a_longer_one_does_not() -> None:
    longest = b"$" + b"A" * (MAX_SENTENCE_OCTETS - 1)
    assert split(longest + b"\n") == ([longest.decode()], 0)
    assert split(longest + b"A\n") == ([], 1)


def test_an_endless_line_is_not_kept() -> None:
    splitter = SentenceSplitter()
    for _ in range(100):
        assert splitter.feed(b"x" * 1000) == []
        assert splitter.feed(b"$" + b"y" * 1000) == []
        assert len(splitter._buffer) <= MAX_SENTENCE_OCTETS
    assert splitter.feed(b"\r\n" + GGA + b"\r\n") == [GGA.decode()]
    assert splitter.dropped == 1


_PIECES = st.sampled_from([
    GGA, RMC, GGA[:40], b"\r\n", b"\n", b"\r", b"$", b"\xb5b\x01", b"noise", b"$" + b"x" * 130, b"$" + b"A" * 119,
])  # fmt: skip
_STREAMS = st.lists(st.one_of(_PIECES, st.binary(max_size=12)), max_size=14).map(b"".join)


@given(_STREAMS, st.lists(st.integers(0, 2000), max_size=30))
def test_pieces_make_no_difference(stream: bytes, places: list[int]) -> None:
    assert split(*cut(stream, places)) == split(stream)


@given(_STREAMS)
def test_octet_by_octet_makes_no_difference(stream: bytes) -> None:
    assert split(*(stream[index : index + 1] for index in range(len(stream)))) == split(stream)


def test_a_splitter_of_chunks_would_lose_what_lies_across_two() -> None:
    def naive(*chunks: bytes) -> list[bytes]:
        return [line for chunk in chunks for line in chunk.splitlines() if line.startswith(b"$") and b"*" in line]

    data = GGA + b"\r\n"
    assert naive(data) != naive(*cut(data, [20]))
    assert split(*cut(data, [20])) == ([GGA.decode()], 0)


@given(_STREAMS)
def test_every_sentence_begins_with_its_dollar_and_is_a_part_of_one_line(stream: bytes) -> None:
    sentences, _ = split(stream)
    lines = stream.replace(b"\r", b"\n").split(b"\n")
    for sentence in sentences:
        assert sentence.startswith("$")
        assert len(sentence) <= MAX_SENTENCE_OCTETS
        assert any(line.endswith(sentence.encode("ascii")) for line in lines)
