"""Sentences out of a line's octets, whole and in any pieces, and everything else counted as noise."""

from collections.abc import Callable, Iterable
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pyubx2 import GET, UBXMessage

from bondmate.core.lines import MAX_OCTETS, SAMPLE_OCTETS, SentenceSplitter

GGA = b"$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47"
RMC = b"$GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W*6A"
WITHOUT_CHECKSUM = b"$GPGLL,4916.45,N,12311.12,W,225444,A,"
UBX: bytes = UBXMessage("NAV", "NAV-PVT", GET, lat=48.1173, lon=11.5167).serialize()
"""A binary frame as pyubx2 makes it."""
Found = tuple[list[bytes], int, bytes]
"""Sentences, octets of noise, and the newest noise."""
Split = Callable[[Iterable[bytes]], Found]


def split(chunks: Iterable[bytes]) -> Found:
    splitter = SentenceSplitter()
    return [sentence for chunk in chunks for sentence in splitter.feed(chunk)], splitter.noise, splitter.sample


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    bounds = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[begin:end] for begin, end in pairwise(bounds)]


def octets(data: bytes) -> list[bytes]:
    return cut(data, range(len(data)))


STREAMS = {
    "any end of line": (GGA + b"\r\n" + RMC + b"\n" + GGA + b"\r", [GGA, RMC, GGA], b""),
    "empty lines": (b"\r\n\n" + GGA + b"\r\n\r\n", [GGA], b""),
    "without an end": (GGA, [GGA], b""),
    "small digits": (GGA[:-1] + b"a", [GGA[:-1] + b"a"], b""),
    "glued to one another": (GGA + RMC + GGA, [GGA, RMC, GGA], b""),
    "without a checksum": (WITHOUT_CHECKSUM + b"\r\n" + GGA, [WITHOUT_CHECKSUM, GGA], b""),
    "behind binary": (UBX + GGA + b"\r\n", [GGA], UBX),
    "before binary": (GGA + UBX, [GGA], UBX),
    "between binary": (UBX + GGA + UBX + RMC + UBX, [GGA, RMC], UBX * 3),
    "behind one that was cut off": (GGA[:30] + RMC + b"\r\n", [RMC], GGA[:30]),
    "behind one that was cut off at its end": (GGA[:-1] + RMC, [RMC], GGA[:-1]),
    "behind a lone dollar": (b"$" + GGA, [GGA], b"$"),
    "behind many dollars": (b"$" * 200 + GGA, [GGA], b"$" * 200),
    "a checksum that is none": (GGA[:-2] + b"G7\r\n" + RMC, [RMC], GGA[:-2] + b"G7"),
    "spoilt by an octet": (GGA[:20] + b"\xff" + GGA[20:] + b"\n" + RMC, [RMC], GGA[:20] + b"\xff" + GGA[20:]),
    "spoilt by a line's end": (GGA[:20] + b"\n" + GGA[20:] + b"\n" + RMC, [GGA[:20], RMC], GGA[20:]),
    "text": (b"login: \r\n" + GGA, [GGA], b"login: "),
    "a ship's radio": (b"!AIVDM,1,1,,A,15,0*00\r\n" + GGA, [GGA], b"!AIVDM,1,1,,A,15,0*00"),
    "nothing": (b"", [], b""),
}


@pytest.mark.parametrize(("stream", "sentences", "noise"), STREAMS.values(), ids=STREAMS.keys())
@pytest.mark.parametrize("pieces", [lambda data: [data], octets], ids=["whole", "octet by octet"])
def test_sentences_are_found_and_all_else_is_noise(
    pieces: Callable[[bytes], list[bytes]], stream: bytes, sentences: list[bytes], noise: bytes
) -> None:
    stream += b"\n"  # what may still become a sentence is neither
    # a line's end is no noise, also within a frame that happens to have one
    noise = noise.translate(None, b"\r\n")
    assert split(pieces(stream)) == (sentences, len(noise), noise[-SAMPLE_OCTETS:])


def test_a_sentence_is_there_with_the_last_digit_of_its_checksum() -> None:
    splitter = SentenceSplitter()
    assert splitter.feed(GGA[:-1]) == []
    assert splitter.feed(GGA[-1:]) == [GGA]
    assert splitter.feed(WITHOUT_CHECKSUM) == []
    assert splitter.feed(b"\r") == [WITHOUT_CHECKSUM], "without one at the line's end"
    assert (splitter.octets, splitter.noise) == (len(GGA + WITHOUT_CHECKSUM) + 1, 0)


@pytest.mark.parametrize("end", [b"*00", b"\n"], ids=["with a checksum", "without"])
def test_the_longest_sentence_passes_and_a_longer_one_does_not(end: bytes) -> None:
    assert MAX_OCTETS == 120
    longest = b"$" + b"A" * 116 + end
    assert split([longest])[0] == [longest.rstrip()]
    longer = longest.replace(b"$", b"$A")
    assert split([longer, b"\n"]) == ([], len(longer.rstrip()), longer.rstrip())


def test_nmea_s_own_longest_sentence_passes() -> None:
    # NMEA 0183: 82 octets from `$` to the line feed
    assert len(split([b"$GPTXT," + b"A" * 70 + b"*00\r\n"])[0]) == 1


@pytest.mark.parametrize(
    "endless", [b"x" * 1000, b"$" + b"y" * 1000, b"$" * 1000, b"$GPGGA,*4" * 100, b"\xb5\x62$" * 300, b"\x00" * 1000]
)
def test_what_never_ends_is_not_kept(endless: bytes) -> None:
    splitter = SentenceSplitter()
    for _ in range(50):
        assert splitter.feed(endless) == []
        assert len(splitter._begun) < MAX_OCTETS
        assert len(splitter.sample) <= SAMPLE_OCTETS
    assert splitter.feed(b"\r\n" + GGA) == [GGA], "and hides no sentence behind it"
    assert (splitter.octets, splitter.noise) == (50 * len(endless) + 2 + len(GGA), 50 * len(endless))


# --- any pieces ------------------------------------------------------------------------------------------------------

_PIECES = st.sampled_from([
    GGA, RMC, GGA[:40], GGA[:-1], GGA[:-2], WITHOUT_CHECKSUM, UBX, b"\r\n", b"\n", b"\r", b"$", b"*", b"*4", b"$AB*41",
    b"$ABC*41", b"\xb5b\x01", b"noise", b"$" + b"x" * 130, b"$" + b"A" * 116, b"$" + b"A" * 117,
    b"$" + b"A" * 115 + b"*",
])  # fmt: skip
STREAM = st.lists(_PIECES | st.binary(max_size=12) | st.text("$*4A\r\n", max_size=8).map(str.encode), max_size=14).map(
    b"".join
)
PLACES = st.lists(st.integers(0, 2000), max_size=30)


@given(STREAM, PLACES)
@example(GGA + b"\r\n", [20])
def test_pieces_make_no_difference(stream: bytes, places: list[int]) -> None:
    assert split(cut(stream, places)) == split([stream])


@given(STREAM)
def test_octet_by_octet_makes_no_difference(stream: bytes) -> None:
    assert split(octets(stream)) == split([stream])


@given(STREAM, PLACES)
def test_every_octet_is_a_sentence_s_or_noise_or_a_line_s_end(stream: bytes, places: list[int]) -> None:
    stream += b"\n"
    sentences, noise, _ = split(cut(stream, places))
    ends = stream.count(b"\r") + stream.count(b"\n")
    assert sum(map(len, sentences)) + noise + ends == len(stream)


@given(STREAM, PLACES)
def test_a_sentence_begins_with_its_only_dollar_and_stands_in_the_stream(stream: bytes, places: list[int]) -> None:
    at = 0
    for sentence in split(cut(stream, places))[0]:
        assert sentence[:1] == b"$"
        assert sentence.count(b"$") == 1
        assert b"*" not in sentence[:-3]
        assert len(sentence) <= MAX_OCTETS
        at = stream.index(sentence, at) + len(sentence)


@given(st.binary(max_size=600))
def test_no_noise_hides_the_sentence_behind_it(noise: bytes) -> None:
    assert split([noise + GGA])[0][-1:] == [GGA]


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_a_sentence_between_frames_is_found(before: bytes, behind: bytes) -> None:
    assert GGA in split([before + GGA + behind])[0]


# --- that these tests notice -----------------------------------------------------------------------------------------


def by_chunks(chunks: Iterable[bytes]) -> Found:
    """Forgets at each chunk's end what was begun in it."""
    return [line for chunk in chunks for line in chunk.splitlines() if line.startswith(b"$") and b"*" in line], 0, b""


def by_lines(chunks: Iterable[bytes]) -> Found:
    """Looks at lines alone: what is glued to them is lost, or hides them."""
    data = b"".join(chunks)
    return [line for line in data.splitlines() if line.startswith(b"$")], 0, b""


def test_a_splitter_that_depends_on_its_chunks_would_be_noticed() -> None:
    assert by_chunks([GGA + b"\r\n"]) != by_chunks(cut(GGA + b"\r\n", [20]))
    assert split([GGA + b"\r\n"]) == split(cut(GGA + b"\r\n", [20]))


@pytest.mark.parametrize("name", ["behind binary", "glued to one another", "behind one that was cut off"])
def test_a_splitter_of_lines_would_be_noticed(name: str) -> None:
    stream, sentences, _ = STREAMS[name]
    assert by_lines([stream])[0] != sentences
    assert split([stream])[0] == sentences
