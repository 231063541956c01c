from hypothesis import given
from hypothesis import strategies as st
from pyubx2 import POLL, SET, UBXMessage

from bondmate_sim.ubx import HEADER_OCTETS, MAX_PAYLOAD_OCTETS, Frames, Message, frame

MESSAGES = st.builds(
    Message, st.tuples(st.integers(0, 255), st.integers(0, 255)), st.binary(max_size=MAX_PAYLOAD_OCTETS)
)


def found_in(data: bytes) -> list[Message]:
    frames = Frames()
    return [message for octet in data if (message := frames.push(octet)) is not None]


def test_an_independent_implementation_makes_the_same_frames() -> None:
    poll = UBXMessage("MON", "MON-VER", POLL).serialize()
    assert frame(Message((0x0A, 0x04), b"")) == poll
    rate = UBXMessage("CFG", "CFG-RATE", SET, measRate=200, navRate=1, timeRef=1).serialize()
    assert found_in(rate) == [Message((0x06, 0x08), b"\xc8\x00\x01\x00\x01\x00")]
    assert frame(found_in(rate)[0]) == rate


@given(MESSAGES)
def test_what_is_framed_is_found(message: Message) -> None:
    assert found_in(frame(message)) == [message]


@given(MESSAGES, st.data())
def test_one_wrong_octet_and_there_is_no_message(message: Message, data: st.DataObject) -> None:
    whole = bytearray(frame(message))
    # Not in the length: a shorter frame could fit by chance.
    at = data.draw(st.sampled_from([*range(4), *range(HEADER_OCTETS, len(whole))]))
    whole[at] ^= data.draw(st.integers(1, 255))
    assert found_in(bytes(whole)) == []


@given(st.binary(max_size=3000), MESSAGES)
def test_after_any_garbage_and_a_pause_for_one_frame_it_understands_again(garbage: bytes, message: Message) -> None:
    pause = bytes(MAX_PAYLOAD_OCTETS + 8)
    assert found_in(garbage + pause + frame(message))[-1:] == [message]


def test_doubled_sync_octets_are_no_trap() -> None:
    poll = frame(Message((0x0A, 0x04), b""))
    assert found_in(b"\xb5" + poll + b"\xb5\xb5" + poll) == [Message((0x0A, 0x04), b"")] * 2


def test_a_length_that_nothing_has_is_not_waited_for() -> None:
    frames = Frames()
    for octet in b"\xb5\x62\x06\x8a\xff\xff":
        assert frames.push(octet) is None
    assert not frames._held
