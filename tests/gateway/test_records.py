from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from bondmate_sim.gateway import bodies, cose, records
from tests.gateway import twin
from tests.gateway.cddl import ValidationError, validate_body, validate_record, validate_record_payload
from tests.gateway.device import fix_at

SESSION = bytes.fromhex("00125be2aa10")
DEVICE = bytes.fromhex("7f3a09c1")
KEY = ec.generate_private_key(ec.SECP256R1())
NAMED = [0, SESSION, 3, bytes(16)]
GAP = [2, SESSION, 1, [1, [3, 9], 2**32 - 1]]
HIGHEST = 2**32 - 1


def payload(*replaced: tuple[int, Any], extra: tuple[Any, ...] = ()) -> bytes:
    elements: list[Any] = [1, records.PANIC, 1, None, 1000, twin.CLOCK, twin.FIX]
    for index, value in replaced:
        elements[index] = value
    return cbor2.dumps([*elements, *extra], canonical=True)


def of_kind(kind: int, *body: Any) -> bytes:
    return payload((1, kind), extra=body)


def test_a_panic_is_read() -> None:
    read = records.payload(payload((3, b"\1\2\3\4")))
    assert (read.kind, read.stream, read.sequence) == (records.PANIC, records.ALERT, 1)
    assert (read.previous, read.elapsed_ms) == (b"\1\2\3\4", 1000)
    assert read.clock is not None
    assert read.fix is not None


def test_what_is_unknown_is_null_and_what_comes_later_is_ignored() -> None:
    read = records.payload(payload((5, None), (6, None), extra=(None, {"new": [1, 2]}, "text")))
    assert (read.previous, read.clock, read.fix) == (None, None, None)


def test_a_gap_is_read() -> None:
    read = records.payload(of_kind(records.GAP, [GAP, [4, SESSION, 2, [[1, HIGHEST]]]]))
    assert read.gaps == (
        records.Gap(records.POSITIONS, SESSION, records.Reason.SUPERSEDED, ((1, 1), (3, 9), (HIGHEST, HIGHEST))),
        records.Gap(records.HEALTH_STREAM, SESSION, records.Reason.EXPIRED, ((1, HIGHEST),)),
    )
    assert read.stream == records.STATE


@pytest.mark.parametrize("faults", [[], ["gnss.silent", "x" * 32], [str(number) for number in range(16)]])
def test_a_health_record_is_read(faults: list[str]) -> None:
    read = records.payload(of_kind(records.HEALTH, faults))
    assert read.faults == tuple(faults)
    assert read.stream == records.HEALTH_STREAM


@pytest.mark.parametrize("count", [1, 2])
def test_positions_from_before_an_alert_are_read(count: int) -> None:
    read = records.payload(of_kind(records.POSITIONS_BEFORE, [fix_at(20_000_000, long=True), fix_at(-5)][:count]))
    assert [each.lat for each in read.before] == [2.0, -5e-7][:count]
    assert read.stream == records.POSITIONS


def test_a_lost_store_is_told_by_its_own_kind_and_by_an_opening() -> None:
    said = {
        kind: records.payload(data).store_lost
        for kind, data in {
            "store-lost": of_kind(records.STORE_LOST),
            "one stream of an opening": of_kind(records.OPENING, [NAMED, [1, None]]),
            "an opening": of_kind(records.OPENING, [NAMED]),
            "an anchor": of_kind(records.ANCHOR),
        }.items()
    }
    assert said == {"store-lost": True, "one stream of an opening": True, "an opening": False, "an anchor": False}


def test_at_most_128_numbers_and_ranges_are_named_in_all_entries_together() -> None:
    numbers = [[2 * number, 2 * number + 1] for number in range(1, 65)]
    full = [[2, SESSION, 1, numbers], [3, SESSION, 2, numbers]]
    assert len(records.payload(of_kind(records.GAP, full)).gaps) == 2
    with pytest.raises(records.UnreadableError, match="129 numbers and ranges"):
        records.payload(of_kind(records.GAP, [*full, [4, SESSION, 2, [1]]]))


@pytest.mark.parametrize(
    ("rule", "kind", "body"),
    [
        ("cancellation-body", records.CANCELLATION, bytes(8)),
        ("cancellation-body", records.CANCELLATION, bytes(8) + b"\3"),
        ("check-in-body", records.CHECK_IN, [1, 86_400, "\u00e4" * 60]),
        ("check-in-body", records.CHECK_IN, [3, 0]),
        ("message-state-body", records.MESSAGE_STATE, [[1, 1], [HIGHEST, 4]]),
        ("message-state-body", records.MESSAGE_STATE, [[1, 3, "a" * 160]]),
        ("message-state-body", records.MESSAGE_STATE, [[1, 2]] * 16),
        ("message-state-body", records.MESSAGE_STATE, [[1, 5, ""], [2, 6, "a" * 160]]),
        ("opening-body", records.OPENING, []),
        ("gap-body", records.GAP, [GAP]),
        ("gap-body", records.GAP, [[15, SESSION, 2, [[1, HIGHEST]]]] * 16),
        ("before-body", records.POSITIONS_BEFORE, [fix_at(1)]),
        ("before-body", records.POSITIONS_BEFORE, [fix_at(1, long=True), fix_at(2)]),
        ("health-body", records.HEALTH, []),
        ("health-body", records.HEALTH, ["gnss.silent"] * 16),
        ("acceptance-body", records.ACCEPTANCE, ["1.2.0", [["gnss", True, ""], ["sim", None], ["led", False, "dark"]]]),
        ("acceptance-body", records.ACCEPTANCE, ["s" * 64, [["c" * 24, True, "t" * 64]] * 32]),
    ],
)
def test_bodies_that_are_read_validate_against_the_cddl(rule: str, kind: int, body: Any) -> None:
    records.payload(of_kind(kind, body))
    validate_body(rule, cbor2.dumps(body))


NUMBERS = st.integers(0, 12) | st.sampled_from([HIGHEST, HIGHEST + 1])
ENTRIES = st.tuples(
    st.integers(0, 16),
    st.sampled_from([SESSION, SESSION, SESSION, b"short"]),
    st.integers(0, 3),
    st.lists(NUMBERS | st.lists(NUMBERS, min_size=1, max_size=3), max_size=3),
)


@given(st.lists(ENTRIES, max_size=2))
def test_what_is_read_of_a_gap_validates_and_says_what_stands_there(body: list[Any]) -> None:
    encoded = cbor2.dumps(body)
    try:
        read = records.payload(of_kind(records.GAP, body))
    except records.UnreadableError:
        return
    validate_body("gap-body", encoded)
    for gap, (stream, session, reason, numbers) in zip(read.gaps, body, strict=True):
        assert (gap.stream, gap.session, gap.reason) == (stream, session, reason)
        assert stream not in records.CHAINED
        assert [list(each) if each[0] < each[1] else each[0] for each in gap.numbers] == numbers
        flat = [number for each in gap.numbers for number in sorted(set(each))]
        assert flat == sorted(set(flat))


@given(st.lists(st.text(max_size=34) | st.integers(), max_size=17))
def test_what_is_read_of_a_health_record_validates(body: list[Any]) -> None:
    try:
        read = records.payload(of_kind(records.HEALTH, body))
    except records.UnreadableError:
        return
    validate_body("health-body", cbor2.dumps(body))
    assert list(read.faults) == body


def test_calls_are_what_a_human_has_to_see() -> None:
    bodies_of = {records.CANCELLATION: bytes(8), records.CHECK_IN: [3, 0]}
    calls = [kind for kind in range(1, 16) if records.payload(of_kind(kind, bodies_of.get(kind))).is_call]
    assert calls == [1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 14, 15]
    assert not records.payload(of_kind(records.ANCHOR)).is_call


def test_the_bodies_are_read() -> None:
    cancellation = records.payload(payload((1, records.CANCELLATION), extra=(b"12345678",)))
    opening = records.payload(payload((1, records.OPENING), extra=([NAMED, [1, None]],)))
    assert (cancellation.cancels, cancellation.cancellation) == (b"12345678", bodies.Cancellation(b"12345678", None))
    assert opening.predecessors == (
        records.Predecessor(0, SESSION, 3, bytes(16)),
        records.Predecessor(1, None, None, None),
    )


@pytest.mark.parametrize(
    ("data", "why", "identity"),
    [
        (b"", "ends in the middle", (None, None)),
        (b"\x80", "it is empty", (None, None)),
        (payload((0, 2)), "version 2", (None, None)),
        (cbor2.dumps([1, 1, 1]), "at least 7", (None, None)),
        (payload((1, 256)), "256 is not between", (None, None)),
        (payload((2, 0)), "0 is not between", (None, None)),
        (payload((2, 2**32)), "not between", (None, None)),
        (payload((1, 0x91)), "stream 9", (9, 1)),
        (payload((3, b"123")), "0 or 4 octets, not 3", (0, 1)),
        (payload((4, -1)), "unsigned integer", (0, 1)),
        (payload((5, bytes(6))), "no source", (0, 1)),
        (payload((6, bytes(12))), "11 or 20 octets", (0, 1)),
        (payload((1, records.CANCELLATION)), "names no alert", (0, 1)),
        (payload((1, records.CANCELLATION), extra=(b"1234567",)), "8 octets of a digest and how, not 7", (0, 1)),
        (of_kind(records.CANCELLATION, bytes(10)), "and how, not 10", (0, 1)),
        (of_kind(records.CANCELLATION, bytes(8) + b"\4"), "in way 4, which is not defined", (0, 1)),
        (of_kind(records.CHECK_IN), "the check-in has no body", (0, 1)),
        (of_kind(records.CHECK_IN, [1]), "2 or 3 elements, not 1", (0, 1)),
        (of_kind(records.CHECK_IN, [1, 60, "note", 1]), "2 or 3 elements, not 4", (0, 1)),
        (of_kind(records.CHECK_IN, [0, 60]), "0 is not between 1 and 3", (0, 1)),
        (of_kind(records.CHECK_IN, [4, 60]), "4 is not between 1 and 3", (0, 1)),
        (of_kind(records.CHECK_IN, [1, 86_401]), "86401 is not between", (0, 1)),
        (of_kind(records.CHECK_IN, [1, 60, ""]), "1 to 120 octets, not 0", (0, 1)),
        (of_kind(records.CHECK_IN, [1, 60, "\u00e4" * 61]), "1 to 120 octets, not 122", (0, 1)),
        (of_kind(records.MESSAGE_STATE), "the message-state has no body", (1, 1)),
        (of_kind(records.MESSAGE_STATE, []), "the message-state has no entry", (1, 1)),
        (of_kind(records.MESSAGE_STATE, [[1, 1]] * 17), "17 entries", (1, 1)),
        (of_kind(records.MESSAGE_STATE, [[1]]), "2 or 3 elements, not 1", (1, 1)),
        (of_kind(records.MESSAGE_STATE, [[0, 1]]), "0 is not between", (1, 1)),
        (of_kind(records.MESSAGE_STATE, [[1, 7]]), "7 is not between 1 and 6", (1, 1)),
        (of_kind(records.MESSAGE_STATE, [[1, 3]]), "stands beside the states answered", (1, 1)),
        (of_kind(records.MESSAGE_STATE, [[1, 2, "yes"]]), "stands beside the states answered", (1, 1)),
        (of_kind(records.MESSAGE_STATE, [[1, 5]]), "stands beside the states answered", (1, 1)),
        (of_kind(records.MESSAGE_STATE, [[1, 6, "a" * 161]]), "has 0 to 160 octets, not 161", (1, 1)),
        (of_kind(records.ACCEPTANCE), "the software and the checks", (5, 1)),
        (of_kind(records.ACCEPTANCE, ["1.0", []]), "has 1 to 32 checks, not 0", (5, 1)),
        (of_kind(records.ACCEPTANCE, ["1.0", [["gnss", True]] * 33]), "has 1 to 32 checks, not 33", (5, 1)),
        (of_kind(records.ACCEPTANCE, ["", [["gnss", True]]]), "the software has 1 to 64 octets", (5, 1)),
        (of_kind(records.ACCEPTANCE, ["1.0", [["gnss"]]]), "a check has 2 or 3 elements", (5, 1)),
        (of_kind(records.ACCEPTANCE, ["1.0", [["gnss", 1]]]), "false or true was expected", (5, 1)),
        (of_kind(records.ACCEPTANCE, ["1.0", [["gnss", True, "a" * 65]]]), "has 0 to 64 octets, not 65", (5, 1)),
        (of_kind(records.MESSAGE_STATE, [[1, 3, "a" * 161]]), "1 to 160 octets, not 161", (1, 1)),
        (payload((1, records.OPENING)), "has no body", (1, 1)),
        (payload((1, records.OPENING), extra=([[0, SESSION, 3]],)), "2 or 4 elements", (1, 1)),
        (payload((1, records.OPENING), extra=([[0, SESSION, 3, bytes(15)]],)), "a digest of 16", (1, 1)),
        (payload((1, records.OPENING), extra=([[0, None]] * 17,)), "17 entries", (1, 1)),
        (of_kind(records.GAP), "the gap has no body", (1, 1)),
        (of_kind(records.GAP, []), "no entry", (1, 1)),
        (of_kind(records.GAP, [GAP] * 17), "17 entries", (1, 1)),
        (of_kind(records.GAP, [GAP[:3]]), "4 elements, not 3", (1, 1)),
        (of_kind(records.GAP, [[*GAP, None]]), "4 elements, not 5", (1, 1)),
        (of_kind(records.GAP, [[0, *GAP[1:]]]), "in the stream alert, which has none", (1, 1)),
        (of_kind(records.GAP, [[1, *GAP[1:]]]), "in the stream state, which has none", (1, 1)),
        (of_kind(records.GAP, [[16, *GAP[1:]]]), "16 is not between", (1, 1)),
        (of_kind(records.GAP, [[2, bytes(5), 1, [1]]]), "6 octets, not 5", (1, 1)),
        (of_kind(records.GAP, [[2, SESSION, 0, [1]]]), "0 is not between", (1, 1)),
        (of_kind(records.GAP, [[2, SESSION, 3, [1]]]), "3 is not between", (1, 1)),
        (of_kind(records.GAP, [[2, SESSION, 1, []]]), "names no number", (1, 1)),
        (of_kind(records.GAP, [[2, SESSION, 1, [0]]]), "0 is not between", (1, 1)),
        (of_kind(records.GAP, [[2, SESSION, 1, [HIGHEST + 1]]]), "not between", (1, 1)),
        (of_kind(records.GAP, [[2, SESSION, 1, [[3, 3]]]]), "3 is not between 4", (1, 1)),
        (of_kind(records.GAP, [[2, SESSION, 1, [[1, 2, 3]]]]), "2 ends, not 3", (1, 1)),
        (of_kind(records.GAP, [[2, SESSION, 1, [2, 1]]]), "do not ascend", (1, 1)),
        (of_kind(records.GAP, [[2, SESSION, 1, [[1, 5], 5]]]), "overlap", (1, 1)),
        (of_kind(records.GAP, [[2, SESSION, 1, ["1"]]]), "unsigned integer", (1, 1)),
        (of_kind(records.POSITIONS_BEFORE), "the record of positions before has no body", (2, 1)),
        (of_kind(records.POSITIONS_BEFORE, []), "1 or 2 positions from before, not 0", (2, 1)),
        (of_kind(records.POSITIONS_BEFORE, [fix_at(1)] * 3), "1 or 2 positions from before, not 3", (2, 1)),
        (of_kind(records.POSITIONS_BEFORE, [bytes(12)]), "a fix has 11 or 20 octets, not 12", (2, 1)),
        (of_kind(records.POSITIONS_BEFORE, fix_at(1)), "an array was expected", (2, 1)),
        (of_kind(records.HEALTH), "the health record has no body", (4, 1)),
        (of_kind(records.HEALTH, ["a"] * 17), "17 entries", (4, 1)),
        (of_kind(records.HEALTH, [""]), "octets, not 0", (4, 1)),
        (of_kind(records.HEALTH, ["a" * 33]), "octets, not 33", (4, 1)),
        (of_kind(records.HEALTH, [b"octets"]), "a text string was expected", (4, 1)),
        (of_kind(records.HEALTH, [1]), "a text string was expected", (4, 1)),
        (of_kind(records.HEALTH, "text"), "an array was expected", (4, 1)),
    ],
)
def test_what_is_not_understood_says_why_and_as_much_of_the_identity_as_was_read(
    data: bytes, why: str, identity: tuple[int | None, int | None]
) -> None:
    with pytest.raises(records.UnreadableError, match=why) as caught:
        records.payload(data)
    assert (caught.value.stream, caught.value.sequence) == identity


@given(
    st.binary(max_size=300) | st.lists(st.none() | st.integers() | st.binary(max_size=21), max_size=9).map(cbor2.dumps)
)
def test_any_payload_is_read_or_unreadable(data: bytes) -> None:
    try:
        read = records.payload(data)
    except records.UnreadableError:
        return
    validate_record_payload(data)
    assert read.stream < len(records.STREAMS)


@given(st.binary(min_size=1, max_size=300))
def test_any_submission_is_split_and_parsed_or_unreadable(data: bytes) -> None:
    submission = records.submission(data, SESSION)
    assert data.endswith(submission.form)
    if submission.form:
        tagged = records.tagged(submission.form, KEY.public_key())
        assert submission.form == tagged or twin.compact(tagged) == submission.form


def test_a_submission_is_of_the_channels_session_unless_it_names_another() -> None:
    other = bytes.fromhex("00110a0b0c0d")
    assert records.submission(b"\xd2...", SESSION) == records.Submission(SESSION, b"\xd2...")
    assert records.submission(b"\x46" + other + b"\xd2...", SESSION) == records.Submission(other, b"\xd2...")
    assert records.submission(b"\x46" + other, SESSION) == records.Submission(other, b"")
    assert records.submission(b"\x46" + other[:5], SESSION) == records.Submission(SESSION, b"\x46" + other[:5])


def test_both_forms_give_the_same_tagged_octets() -> None:
    tagged = twin.sign(payload(), ["x"], KEY)
    assert records.tagged(tagged, KEY.public_key()) == tagged
    assert records.tagged(twin.compact(tagged), KEY.public_key()) == tagged


def test_identities_as_text() -> None:
    assert records.record_text(DEVICE, SESSION, records.ALERT, 1) == "BM-7f3a09c1/0012-5be2aa10/alert/1"
    assert records.record_text(DEVICE, SESSION, 9, 7) == "BM-7f3a09c1/0012-5be2aa10/9/7"
    assert [records.kind_name(kind) for kind in (records.PANIC, records.ESCALATION, 11)] == [
        "panic",
        "escalation",
        "11",
    ]


def test_the_external_aad_is_that_of_the_specification() -> None:
    expected = cbor2.dumps(["bondmate record 1", DEVICE, SESSION], canonical=True)
    assert records.external_aad(DEVICE, SESSION) == expected


def test_a_record_and_its_payload_validate_against_the_cddl() -> None:
    tagged = twin.sign(payload(extra=({"new": 1},)), ["x"], KEY)
    validate_record(tagged)
    validate_record_payload(cose.parse(tagged).payload)
    with pytest.raises(ValidationError):
        validate_record_payload(payload((2, 0)))
