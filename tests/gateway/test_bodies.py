"""Bodies of records: whatever octets they are, they are read as they are defined, or not at all."""

from typing import Any

import cbor2
from hypothesis import given
from hypothesis import strategies as st

from bondmate_sim.gateway import records
from tests.gateway.cddl import validate_body
from tests.gateway.test_records import NUMBERS, of_kind


@given(st.binary(min_size=6, max_size=11))
def test_what_is_read_of_a_cancellation_validates_and_says_how(body: bytes) -> None:
    try:
        read = records.payload(of_kind(records.CANCELLATION, body)).cancellation
    except records.UnreadableError:
        assert len(body) not in (8, 9) or body[8:] > b"\3"
        return
    validate_body("cancellation-body", cbor2.dumps(body))
    assert read is not None
    assert body == read.call + (b"" if read.how is None else bytes([read.how]))


@given(
    st.tuples(st.integers(-1, 5), st.integers(-1, 86_402), st.text(max_size=125))
    | st.tuples(st.integers(0, 4), st.integers())
)
def test_what_is_read_of_a_check_in_validates_and_says_what_stands_there(body: tuple[Any, ...]) -> None:
    encoded = cbor2.dumps(list(body))
    try:
        read = records.payload(of_kind(records.CHECK_IN, list(body))).check_in
    except records.UnreadableError:
        return
    validate_body("check-in-body", encoded)
    assert read is not None
    assert (int(read.action), read.seconds, read.note or "") == (*body, "")[:3]


@given(
    st.lists(
        st.tuples(NUMBERS, st.sampled_from([0, 1, 2, 4, 5, 7]))
        | st.tuples(NUMBERS, st.sampled_from([3, 5, 6]), st.text(max_size=164)),
        max_size=17,
    )
)
def test_what_is_read_of_a_message_state_says_what_stands_there(body: list[tuple[Any, ...]]) -> None:
    try:
        read = records.payload(of_kind(records.MESSAGE_STATE, [list(each) for each in body])).states
    except records.UnreadableError:
        return
    told = [(each.number, int(each.state), each.text) for each in read]
    assert told == [(*each, None)[:3] for each in body]
    assert 1 <= len(told) <= 16
    for each in body:
        validate_body("message-state-body", cbor2.dumps([list(each)]))


CHECKS = st.tuples(st.text(max_size=26), st.sampled_from([True, False, None, 0, "yes"])) | st.tuples(
    st.text(max_size=4), st.sampled_from([True, None]), st.text(max_size=66)
)


@given(st.text(max_size=66), st.lists(CHECKS, max_size=34))
def test_what_is_read_of_an_acceptance_validates_and_says_what_stands_there(
    software: str, checks: list[tuple[Any, ...]]
) -> None:
    body = [software, [list(each) for each in checks]]
    try:
        read = records.payload(of_kind(records.ACCEPTANCE, body)).acceptance
    except records.UnreadableError:
        return
    validate_body("acceptance-body", cbor2.dumps(body))
    assert read is not None
    assert read.software == software
    assert [(each.name, each.ok, each.found) for each in read.checks] == [(*each, None)[:3] for each in checks]


@given(
    st.sampled_from([records.CANCELLATION, records.CHECK_IN, records.MESSAGE_STATE, records.ACCEPTANCE]),
    st.binary(max_size=60),
)
def test_any_octets_as_a_body_are_read_or_unreadable(kind: int, body: bytes) -> None:
    data = b"\x88" + of_kind(kind)[1:] + body
    try:
        read = records.payload(data)
    except records.UnreadableError:
        return
    assert read.kind == kind
