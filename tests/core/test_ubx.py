"""Frames against pyubx2's, whole and in any pieces."""

import struct
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyubx2 import GET, POLL, SET, UBXMessage, isvalid_checksum

from bondmate.core.ubx import MAX_PAYLOAD, SYNC, FrameSplitter, frame

# u-blox's own examples: the poll of MON-VER as u-center shows it, and the acknowledgement of a CFG-MSG
MON_VER_POLL = bytes.fromhex("b5 62 0a 04 00 00 0e 34")
ACK_OF_CFG_MSG = bytes.fromhex("b5 62 05 01 02 00 06 01 0f 38")
MADE: dict[str, bytes] = {
    "MON-VER poll": UBXMessage("MON", "MON-VER", POLL).serialize(),
    "ACK-ACK": UBXMessage("ACK", "ACK-ACK", GET, clsID=0x06, msgID=0x8A).serialize(),
    "ACK-NAK": UBXMessage("ACK", "ACK-NAK", GET, clsID=0x06, msgID=0x3E).serialize(),
    "CFG-RATE": UBXMessage("CFG", "CFG-RATE", SET, measRate=200, navRate=1, timeRef=1).serialize(),
    "NAV-PVT": UBXMessage("NAV", "NAV-PVT", GET, lat=48.1173, lon=11.5167).serialize(),
    "RXM-PMREQ": UBXMessage("RXM", "RXM-PMREQ", SET, version=0, backup=1).serialize(),
}
FILLER = b"\xff" * (MAX_PAYLOAD + 8)
"""As much as a false beginning can wait for; zeros would make it an empty frame."""
_KINDS = st.tuples(st.integers(0, 255), st.integers(0, 255))
_FRAMES = st.builds(frame, _KINDS, st.binary(max_size=40))


def split(chunks: Iterable[bytes]) -> list[bytes]:
    splitter = FrameSplitter()
    return [found for chunk in chunks for found in splitter.feed(chunk)]


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    bounds = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[begin:end] for begin, end in pairwise(bounds)]


def octets(data: bytes) -> list[bytes]:
    return cut(data, range(len(data)))


# --- frames that we make ---------------------------------------------------------------------------------------------


def test_frames_are_the_maker_s_own() -> None:
    assert frame((0x0A, 0x04)) == MON_VER_POLL
    assert frame((0x05, 0x01), bytes((0x06, 0x01))) == ACK_OF_CFG_MSG


@pytest.mark.parametrize("made", MADE.values(), ids=MADE.keys())
def test_frames_are_as_pyubx2_makes_them(made: bytes) -> None:
    assert frame((made[2], made[3]), made[6:-2]) == made


@given(_KINDS, st.binary(max_size=600))
def test_every_frame_has_the_checksum_that_pyubx2_expects(kind: tuple[int, int], payload: bytes) -> None:
    ours = frame(kind, payload)
    assert isvalid_checksum(ours)
    assert ours[:6] == struct.pack("<2sBBH", SYNC, *kind, len(payload))
    assert ours[6:-2] == payload


# --- frames in a stream ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("made", MADE.values(), ids=MADE.keys())
def test_a_frame_is_found_between_sentences_and_noise(made: bytes) -> None:
    stream = b"$GNRMC,,V,,,,,,,,,,N*4D\r\n" + made + b"\xb5$GN\x62\xb5" + made + made + b"\xb5\x62"
    for chunks in ([stream], octets(stream)):
        assert split(chunks) == [made, made, made]


@pytest.mark.parametrize("made", MADE.values(), ids=MADE.keys())
def test_a_frame_with_a_wrong_octet_is_none(made: bytes) -> None:
    for place in range(2, len(made)):
        broken = made[:place] + bytes((made[place] ^ 0x10,)) + made[place + 1 :]
        assert split([broken, FILLER, made]) == [made], f"octet {place}"


def test_the_longest_frame_passes_and_a_longer_one_hides_nothing() -> None:
    longest, longer = frame((1, 2), bytes(MAX_PAYLOAD)), frame((1, 2), bytes(MAX_PAYLOAD + 1))
    assert split([longest]) == [longest]
    assert split([longer, MON_VER_POLL]) == [MON_VER_POLL]


def test_a_frame_hides_in_none_that_never_ends() -> None:
    """A false beginning costs as many octets as it wants, and no frame."""
    false = SYNC + b"\x01\x02" + MAX_PAYLOAD.to_bytes(2, "little")
    splitter = FrameSplitter()
    assert splitter.feed(false + MON_VER_POLL) == [], "this may still be its payload"
    assert splitter.feed(bytes(MAX_PAYLOAD)) == [MON_VER_POLL]


@pytest.mark.parametrize("endless", [SYNC * 500, bytes(1000), b"\xb5" * 1000, (SYNC + b"\x01\x02\x00\x02") * 200])
def test_what_never_ends_is_not_kept(endless: bytes) -> None:
    splitter = FrameSplitter()
    for _ in range(50):
        assert splitter.feed(endless) == []
        assert len(splitter._begun) < MAX_PAYLOAD + 8
    assert splitter.feed(FILLER + MON_VER_POLL) == [MON_VER_POLL]


_STREAM = st.lists(
    _FRAMES | st.sampled_from([*MADE.values(), SYNC, SYNC[:1], MON_VER_POLL[:5]]) | st.binary(max_size=12), max_size=10
).map(b"".join)


@given(_STREAM, st.lists(st.integers(0, 2000), max_size=20))
def test_pieces_make_no_difference(stream: bytes, places: list[int]) -> None:
    assert split(cut(stream, places)) == split([stream]) == split(octets(stream))


@given(st.lists(_FRAMES, max_size=6), st.lists(st.integers(0, 2000), max_size=20))
def test_every_frame_is_found_and_pyubx2_accepts_it(frames: list[bytes], places: list[int]) -> None:
    found = split(cut(b"".join(frames), places))
    assert found == frames
    for each in found:
        assert isvalid_checksum(each)


def test_a_splitter_that_forgets_at_each_chunk_s_end_would_be_noticed() -> None:
    def forgetful(chunks: Iterable[bytes]) -> list[bytes]:
        return [found for chunk in chunks for found in FrameSplitter().feed(chunk)]

    assert forgetful([MON_VER_POLL]) == [MON_VER_POLL]
    assert forgetful(octets(MON_VER_POLL)) == []
    assert split(octets(MON_VER_POLL)) == [MON_VER_POLL]
