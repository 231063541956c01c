"""Mailbox messages as a gateway writes them, and whatever else claims to be one."""

from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate import messages
from bondmate.errors import RemoteError
from bondmate.mail import (
    Acknowledge,
    Area,
    AreaAlert,
    Assistance,
    Close,
    Content,
    ExerciseOrder,
    Message,
    RekeyOrder,
    Text,
    Unknown,
    UpdateOrder,
    WipeOrder,
)
from tests.gateway.cddl import ValidationError, validate_message
from tests.letters import (
    ACKNOWLEDGE,
    ALERT,
    ASSISTANCE,
    BUNDLE,
    CLOSE,
    DEVICE,
    DIGEST,
    EXERCISE,
    KEYS,
    NOW_S,
    OTHER,
    OTHER_DEVICE,
    REKEY,
    STRANGER,
    TEXT,
    UPDATE,
    WIPE,
    message,
    payload,
    signed,
)

PLACE = Area(38.722252, -9.139337, 400)


def verified(data: bytes) -> Message:
    return messages.verify(data, DEVICE, KEYS)


@pytest.mark.parametrize(
    ("type_", "content"),
    [
        (TEXT, Text("Come to the station.", ("On my way", "Cannot"))),
        (ALERT, AreaAlert("A child is missing.", (), PLACE)),
        (ASSISTANCE, Assistance("A colleague called.", ("On my way",), place=Area(38.722252, -9.139337, 25), kind=1)),
        (ACKNOWLEDGE, Acknowledge((DIGEST,))),
        (CLOSE, Close((DIGEST, OTHER))),
        (EXERCISE, ExerciseOrder(3, 600)),
        (
            UPDATE,
            UpdateOrder(
                "bondmate 0.9.0",
                "http://192.0.2.7:8080/bondmate-0.9.0.raucb",
                228_000_000,
                bytes(range(32)),
                at_once=False,
            ),
        ),
        (WIPE, WipeOrder()),
        (REKEY, RekeyOrder()),
        (7, Unknown()),
        (10, Unknown()),
        (255, Unknown()),
    ],
)
def test_a_message_of_the_gateway_says_what_it_says(type_: int, content: Content) -> None:
    data = message(7, type_, expires_s=NOW_S + 60, urgency=1)
    expected = Message(
        number=7,
        type=type_,
        time_s=NOW_S,
        expires_s=NOW_S + 60,
        urgent=True,
        by="M. Costa",
        content=content,
        data=data,
    )
    assert verified(data) == expected
    assert messages.read(data) == expected, "and when it comes out of the store"


def test_an_alert_may_be_for_everywhere() -> None:
    assert verified(message(1, ALERT, ["Storm.", [], None])).content == AreaAlert("Storm.", (), None)


def test_what_stands_behind_is_of_a_later_version() -> None:
    assert verified(signed([*payload(1, TEXT), "later", {}])).content == verified(message(1, TEXT)).content
    assert verified(message(1, CLOSE, [[DIGEST], 1, "later"])).content == Close((DIGEST,))
    assert verified(message(1, WIPE, ["later"])).content == WipeOrder()
    assert verified(message(1, REKEY, [1, 2])).content == RekeyOrder()
    assert verified(message(1, UPDATE, [*BUNDLE, None])).content == verified(message(1, UPDATE)).content
    assert verified(signed(payload(1, 77)[:7])).content == Unknown(), "of an unknown type not even the body is needed"


@pytest.mark.parametrize(
    "false",
    [
        signed(payload(1, CLOSE), device=OTHER_DEVICE),
        signed(payload(1, CLOSE), key=STRANGER),
        signed(payload(1, CLOSE), key_id=b"\x63"),
        signed(payload(1, CLOSE), label="bondmate receipt 1"),
        signed(payload(1, CLOSE), label="bondmate record 1"),
        message(1, CLOSE)[:-1],
        message(1, CLOSE) + b"\x00",
        cbor2.dumps(payload(1, CLOSE)),
        b"",
        bytes(200),
    ],
    ids=["other device", "stranger", "unknown id", "receipt", "record", "cut", "tail", "unsigned", "empty", "zeros"],
)
def test_what_no_gateway_key_signed_for_this_device_as_a_message_is_refused(false: bytes) -> None:
    with pytest.raises(RemoteError):
        verified(false)


def test_no_flipped_bit_of_a_message_is_believed() -> None:
    data = bytearray(message(1, CLOSE))
    for place in range(len(data)):
        for bit in range(8):
            data[place] ^= 1 << bit
            try:
                found = verified(bytes(data))
            except RemoteError:
                pass
            else:
                assert found.content == Close((DIGEST, OTHER)), "where the key's name is not one any more"
            data[place] ^= 1 << bit


def bundle(place: int, value: Any) -> list[Any]:
    """An update's body with something else at one place."""
    return payload(1, UPDATE, [*BUNDLE[:place], value, *BUNDLE[place + 1 :]])


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, "x"),
        (0, "é" * 32),
        (1, "https://a"),
        (1, "https://" + "x" * 192),
        (2, 1),
        (2, 2**30),
        (4, 1),
    ],
)
def test_an_update_may_be_at_its_bounds(place: int, value: Any) -> None:
    content = verified(signed(bundle(place, value))).content
    assert isinstance(content, UpdateOrder)
    assert [content.software, content.url, content.octets, content.sha256, content.at_once][place] == value
    validate_message(message(1, UPDATE, [*BUNDLE[:place], value, *BUNDLE[place + 1 :]]))


def test_the_orders_of_these_tests_are_of_the_cddl() -> None:
    for type_ in (UPDATE, WIPE, REKEY):
        validate_message(message(1, type_))
    for false in ([*BUNDLE[:4], 2], [*BUNDLE[:2], 0, *BUNDLE[3:]], [BUNDLE[0], "http://" + "x" * 194, *BUNDLE[2:]]):
        with pytest.raises(ValidationError):
            validate_message(message(1, UPDATE, false))


BAD: list[Any] = [
    7,
    {},
    [],
    payload(1, TEXT)[:6],
    payload(1, TEXT)[:7],
    payload(0, TEXT),
    payload(-1, TEXT),
    payload(2**32, TEXT),
    payload(1, TEXT, version=2),
    payload(1, TEXT, version="1"),
    payload(True, TEXT),
    payload(1.0, TEXT),
    payload(1, 256),
    payload(1, True),
    payload(1, TEXT, time_s=-1),
    payload(1, TEXT, time_s=None),
    payload(1, TEXT, expires_s=2**32),
    payload(1, TEXT, expires_s="never"),
    payload(1, TEXT, urgency=2),
    payload(1, TEXT, urgency=True),
    payload(1, TEXT, by=""),
    payload(1, TEXT, by="é" * 33),
    payload(1, TEXT, by=b"x"),
    payload(1, TEXT, "text"),
    payload(1, TEXT, ["text"]),
    payload(1, TEXT, ["", []]),
    payload(1, TEXT, ["x" * 481, []]),
    payload(1, TEXT, ["é" * 241, []]),
    payload(1, TEXT, [b"text", []]),
    payload(1, TEXT, ["text", ["a"] * 5]),
    payload(1, TEXT, ["text", ["x" * 41]]),
    payload(1, TEXT, ["text", [""]]),
    payload(1, TEXT, ["text", "yes"]),
    payload(1, ALERT, ["text", []]),
    payload(1, ALERT, ["text", [], [0, 0]]),
    payload(1, ALERT, ["text", [], [900_000_001, 0, 1]]),
    payload(1, ALERT, ["text", [], [0, -1_800_000_001, 1]]),
    payload(1, ALERT, ["text", [], [0.5, 0, 1]]),
    payload(1, ALERT, ["text", [], [True, 0, 1]]),
    payload(1, ALERT, ["text", [], [0, 0, -1]]),
    payload(1, ASSISTANCE, ["text", [], None, 1]),
    payload(1, ASSISTANCE, ["text", [], [0, 0, 1]]),
    payload(1, ASSISTANCE, ["text", [], [0, 0, 1], 256]),
    payload(1, ACKNOWLEDGE, [[]]),
    payload(1, ACKNOWLEDGE, [[DIGEST] * 17]),
    payload(1, ACKNOWLEDGE, [DIGEST]),
    payload(1, CLOSE, []),
    payload(1, CLOSE, [[DIGEST[:15]]]),
    payload(1, CLOSE, [[DIGEST, "x" * 16]]),
    payload(1, EXERCISE, [1]),
    payload(1, EXERCISE, [1, 14_401]),
    payload(1, EXERCISE, [-1, 10]),
    payload(1, EXERCISE, [2**32, 10]),
    payload(1, EXERCISE, [1, None]),
    payload(1, UPDATE, []),
    payload(1, UPDATE, BUNDLE[:4]),
    bundle(0, ""),
    bundle(0, "é" * 33),
    bundle(0, b"x"),
    bundle(1, "ftp://a/b"),
    bundle(1, "http://"),
    bundle(1, "http://" + "x" * 194),
    bundle(1, "http://a b"),
    bundle(1, "http://a/é"),
    bundle(1, "http://a/\n"),
    bundle(1, b"http://a"),
    bundle(2, 0),
    bundle(2, 2**30 + 1),
    bundle(2, True),
    bundle(3, bytes(31)),
    bundle(3, "x" * 32),
    bundle(4, 2),
    bundle(4, None),
    payload(1, WIPE, 0),
    payload(1, WIPE, {}),
    payload(1, WIPE)[:7],
    payload(1, REKEY, "x"),
    payload(1, REKEY, {}),
]


@pytest.mark.parametrize("content", BAD, ids=str)
def test_what_a_gateway_signed_but_is_no_message_is_refused(content: Any) -> None:
    with pytest.raises(RemoteError):
        verified(signed(content))


def test_the_longest_message_passes_and_a_longer_one_is_not_even_read() -> None:
    largest = verified(message(2**32 - 1, ASSISTANCE, ["x" * 480, ["é" * 20] * 4, [-900_000_000, 1_800_000_000, 1], 8]))
    assert len(largest.data) < messages.MAX_MESSAGE_OCTETS
    assert messages.split(cbor2.dumps([largest.data]))
    padded = signed([*payload(1, TEXT), bytes(900)])
    with pytest.raises(RemoteError, match=f"{len(padded)} octets, where 1024"):
        verified(padded)


@pytest.mark.parametrize("answer", [b"", b"\xff", cbor2.dumps({}), cbor2.dumps(b"x"), cbor2.dumps([1]), bytes(1201)])
def test_an_answer_that_is_no_array_of_octets_is_refused(answer: bytes) -> None:
    with pytest.raises(RemoteError):
        messages.split(answer)


def test_an_answer_is_split_into_its_messages() -> None:
    assert messages.split(cbor2.dumps([])) == ()
    assert messages.split(cbor2.dumps([b"one", b"two"])) == (b"one", b"two")
    assert messages.split(cbor2.dumps([bytes(1196)])) == (bytes(1196),), "1,200 octets"


@given(st.binary(max_size=1300))
def test_arbitrary_octets_are_refused_and_nothing_else_happens(data: bytes) -> None:
    for read in (verified, messages.read):
        with pytest.raises(RemoteError):
            read(data)


leaves: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.binary(max_size=20)
)
leaves |= st.text(max_size=20) | st.just(DIGEST)
anything = st.recursive(leaves, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(leaves, inner, max_size=3))


@given(
    number=st.integers(0, 3) | anything,
    type_=st.integers(1, 7) | anything,
    body=anything
    | st.lists(st.text(max_size=9) | st.lists(st.just(DIGEST) | st.integers()) | st.integers(), max_size=4),
    tail=st.lists(anything, max_size=2),
    place=st.integers(0, 7),
    instead=anything,
)
def test_whatever_a_gateway_signs_is_read_or_refused(
    number: Any, type_: Any, body: Any, tail: list[Any], place: int, instead: Any
) -> None:
    content = [*payload(number, type_, body), *tail]
    if place < 7:
        content[place] = instead
    try:
        found = verified(signed(content))
    except RemoteError:
        return
    assert 1 <= found.number < 2**32
    assert 1 <= len(found.by.encode()) <= 64
    if isinstance(found.content, Acknowledge | Close):
        assert {len(each) for each in found.content.digests} == {16}
