"""Records as they come into being, read back by the gateway's own reader, which is written from the specification."""

import hashlib
from itertools import chain

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from bondmate import wire
from bondmate.core.surplus import in_one_gap
from bondmate.cose import KeySigner
from bondmate.errors import RemoteError
from bondmate.recorder import Recorder
from bondmate.records import (
    CHAINED,
    ClockSource,
    DeviceId,
    Head,
    History,
    Kind,
    Reason,
    RecordId,
    SessionId,
    SignedRecord,
    Stream,
    Surplus,
    UtcTime,
)
from bondmate_sim.gateway import cose, records
from tests.gateway.cddl import ValidationError, validate_body, validate_record

DEVICE = DeviceId(bytes.fromhex("7f3a09c1"))
SESSION = SessionId(bytes.fromhex("00125be2aa10"))
EARLIER = SessionId(bytes.fromhex("0011cafe0011"))
LATER = SessionId(bytes.fromhex("00130badcafe"))
KEY = ec.generate_private_key(ec.SECP256R1())
NEW = History({})
LOST = History.lost()
KNOWN = History({
    Stream.ALERT: Head(EARLIER, 3, bytes(range(16))),
    Stream.STATE: Head(EARLIER, 9, bytes(range(16, 32))),
})  # fmt: skip
HALF_LOST = History({Stream.ALERT: None, Stream.STATE: KNOWN.heads[Stream.STATE]})


def recorder(history: History = NEW) -> Recorder:
    return Recorder(DEVICE, SESSION, KeySigner(KEY), history, 100.0)


def read(record: SignedRecord) -> records.Record:
    """The gateway's reading of a record, whose signature it has verified."""
    validate_record(record.data)
    sign1 = cose.parse(record.data)
    cose.verify(sign1, records.external_aad(DEVICE.octets, record.id.session.octets), KEY.public_key())
    return records.payload(sign1.payload)


def test_a_record_says_what_it_was_made_from() -> None:
    made_at = UtcTime(1_795_186_800_000, ClockSource.SYSTEM)
    record = recorder().make(Kind.PANIC, 101.2346, made_at)
    told = read(record)
    assert str(record.id) == "BM-7f3a09c1/0012-5be2aa10/alert/1"
    assert (told.kind, told.sequence, told.previous, told.elapsed_ms) == (records.PANIC, 1, None, 1235)
    assert told.clock is not None
    assert (told.clock.utc_ms, told.clock.source, told.clock.uncertainty_ms) == (made_at.unix_ms, "system", None)
    assert (told.fix, told.cancels) == (None, None)
    assert (record.kind, record.made_at) == (Kind.PANIC, made_at)
    assert record.digest == hashlib.sha256(record.data).digest()[:16]


@settings(max_examples=25)
@given(st.lists(st.sampled_from([Kind.PANIC, Kind.ANCHOR, Kind.POSITION]), max_size=12), st.booleans())
def test_each_stream_counts_without_a_gap_and_each_record_names_the_one_before(kinds: list[Kind], known: bool) -> None:
    history = KNOWN if known else NEW
    maker = recorder(history)
    last = {stream: head.digest for stream, head in history.heads.items() if head is not None}
    made = dict.fromkeys(Stream, 0)
    for kind in kinds:
        record = maker.make(kind, 200.0, None)
        told = read(record)
        stream = kind.stream
        made[stream] += 1
        before = last.get(stream)
        assert (told.stream, told.sequence) == (stream, made[stream])
        assert told.previous == (None if before is None else before[:4])
        last[stream] = hashlib.sha256(record.data).digest()


def test_the_first_record_after_a_loss_says_that_the_chain_is_broken() -> None:
    maker = recorder(LOST)
    assert read(maker.make(Kind.PANIC, 100.0, None)).previous == b""
    assert read(maker.make(Kind.ANCHOR, 100.0, None)).previous == b""
    assert read(maker.make(Kind.PANIC, 100.0, None)).previous not in (b"", None)


def test_the_loss_of_one_chain_does_not_break_the_other() -> None:
    maker = recorder(HALF_LOST)
    assert read(maker.make(Kind.PANIC, 100.0, None)).previous == b""
    assert read(maker.make(Kind.ANCHOR, 100.0, None)).previous == bytes(range(16, 20))


def test_streams_without_a_chain_know_nothing_of_a_loss() -> None:
    maker = recorder(LOST)
    assert read(maker.make(Kind.POSITION, 100.0, None, fix=bytes(20))).previous is None
    assert read(maker.make(Kind.HEALTH, 100.0, None, body=[])).previous is None


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        (NEW, ()),
        (LOST, tuple(records.Predecessor(int(stream), None, None, None) for stream in CHAINED)),
        (
            KNOWN,
            (
                records.Predecessor(0, EARLIER.octets, 3, bytes(range(16))),
                records.Predecessor(1, EARLIER.octets, 9, bytes(range(16, 32))),
            ),
        ),
        (
            History({Stream.STATE: Head(EARLIER, 1, bytes(16))}),
            (records.Predecessor(1, EARLIER.octets, 1, bytes(16)),),
        ),
        (
            HALF_LOST,
            (
                records.Predecessor(0, None, None, None),
                records.Predecessor(1, EARLIER.octets, 9, bytes(range(16, 32))),
            ),
        ),
        (
            History({stream: KNOWN.heads[stream] for stream in reversed(CHAINED)}),
            (
                records.Predecessor(0, EARLIER.octets, 3, bytes(range(16))),
                records.Predecessor(1, EARLIER.octets, 9, bytes(range(16, 32))),
            ),
        ),
    ],
    ids=["new", "lost", "known", "without an alert", "half lost", "in any order"],
)
def test_the_opening_leads_from_session_to_session(history: History, expected: tuple[records.Predecessor, ...]) -> None:
    record = recorder(history).opening(100.0, None)
    told = read(record)
    assert (record.id.stream, record.id.sequence, told.kind) == (Stream.STATE, 1, records.OPENING)
    assert told.predecessors == expected
    assert told.store_lost is (None in history.heads.values())


# --- where the chains stand ------------------------------------------------------------------------

_KINDS = st.lists(st.sampled_from([Kind.PANIC, Kind.CANCELLATION, Kind.ANCHOR, Kind.POSITION, Kind.HEALTH]), max_size=8)
_BODIES = {Kind.CANCELLATION: bytes(8), Kind.HEALTH: []}


@settings(max_examples=25)
@given(st.sampled_from([NEW, LOST, KNOWN, HALF_LOST]), _KINDS)
def test_the_history_is_the_last_record_of_each_chain_whatever_session_it_is_of(
    history: History, kinds: list[Kind]
) -> None:
    maker = recorder(history)
    heads = dict(history.heads)
    for kind in kinds:
        record = maker.make(kind, 200.0, None, body=_BODIES.get(kind))
        if kind.stream in CHAINED:
            heads[kind.stream] = Head(record.id.session, record.id.sequence, record.digest)
        assert maker.history == History(heads)


@settings(max_examples=25)
@given(st.sampled_from([NEW, LOST, KNOWN, HALF_LOST]), _KINDS)
def test_the_next_session_goes_on_where_the_history_says(history: History, kinds: list[Kind]) -> None:
    maker = recorder(history)
    last = {stream: head and head.digest for stream, head in history.heads.items()}
    for kind in kinds:
        last[kind.stream] = maker.make(kind, 200.0, None, body=_BODIES.get(kind)).digest
    following = Recorder(DEVICE, LATER, KeySigner(KEY), maker.history, 0.0)
    opening = following.opening(0.0, None)
    named = {each.stream: each.digest for each in read(opening).predecessors}
    assert named == {int(stream): digest for stream, digest in last.items() if stream in CHAINED}
    alert = read(following.make(Kind.PANIC, 0.0, None)).previous
    assert alert == (None if Stream.ALERT not in last else (last[Stream.ALERT] or b"")[:4])


def test_a_history_stays_as_it_was_taken() -> None:
    maker = recorder(KNOWN)
    before = maker.history
    maker.make(Kind.PANIC, 200.0, None)
    assert before == KNOWN
    assert maker.history != before


# --- what will not come ----------------------------------------------------------------------------

_SURPLUS = st.lists(
    st.builds(
        lambda stream, counter, sequence, reason: (stream, SessionId(counter.to_bytes(2) + bytes(4)), sequence, reason),
        st.sampled_from([Stream.POSITION, Stream.PRESENCE, Stream.HEALTH]),
        st.integers(0, 3),
        st.integers(1, 60) | st.integers(1, 2**32 - 1),
        st.sampled_from(Reason),
    ),
    min_size=1,
    max_size=300,
    unique_by=lambda each: each[:3],
)


def dropped(stream: Stream, session: SessionId, sequence: int, reason: Reason) -> Surplus:
    identity = RecordId(DEVICE, session, stream, sequence)
    return Surplus(SignedRecord(identity, Kind.POSITION, b"", bytes(16), None), reason)


def named(gap: SignedRecord) -> dict[tuple[int, bytes, int, int], int]:
    """What the gateway reads in a gap: each number that is named, and how often."""
    body = cbor2.loads(cose.parse(gap.data).payload)[7]
    validate_body("gap-body", cbor2.dumps(body))
    found: dict[tuple[int, bytes, int, int], int] = {}
    for entry in read(gap).gaps:
        for number in chain.from_iterable(range(first, last + 1) for first, last in entry.numbers):
            key = (entry.stream, entry.session, number, int(entry.reason))
            found[key] = found.get(key, 0) + 1
    return found


@settings(max_examples=50)
@given(_SURPLUS)
def test_a_gap_names_exactly_what_is_dropped(surplus: list[tuple[Stream, SessionId, int, Reason]]) -> None:
    one = in_one_gap([dropped(*each) for each in surplus])
    gap = recorder().gap(one, 200.0, None)
    assert (gap.kind, gap.id.stream, read(gap).kind) == (Kind.GAP, Stream.STATE, records.GAP)
    expected = [(int(e.record.id.stream), e.record.id.session.octets, e.record.id.sequence, int(e.reason)) for e in one]
    assert named(gap) == dict.fromkeys(expected, 1)


def test_a_gap_of_one_record_and_of_a_run() -> None:
    run = [dropped(Stream.POSITION, SESSION, number, Reason.SUPERSEDED) for number in (3, 2, 4, 9)]
    old = dropped(Stream.HEALTH, EARLIER, 7, Reason.EXPIRED)
    assert read(recorder().gap([*run, old], 200.0, None)).gaps == (
        records.Gap(2, SESSION.octets, records.Reason.SUPERSEDED, ((2, 4), (9, 9))),
        records.Gap(4, EARLIER.octets, records.Reason.EXPIRED, ((7, 7),)),
    )


@pytest.mark.parametrize("run", [1, 2, 3])
def test_the_largest_gap_is_a_submission_that_the_gateway_takes(run: int) -> None:
    """1,024 octets (docs/protocol.md, section 5), for 128 large numbers in runs of so many, of 16 earlier sessions."""
    surplus = [
        dropped(Stream.POSITION, SessionId(bytes([session]) * 6), 2**32 - 1 - place - place // run, Reason.EXPIRED)
        for session in range(16)
        for place in range(8)
    ]
    assert in_one_gap([*surplus, surplus[0]]) == surplus, "no gap is larger"
    gap = recorder(KNOWN).gap(surplus, 100.0 + 49 * 86_400, UtcTime(1_795_186_800_000, ClockSource.SYSTEM))
    assert len(named(gap)) == 128
    assert len(wire.encode_submission(gap.data, beside=EARLIER)) + 4 <= 1024, "with 4 octets more for its own number"


def test_a_lost_store_and_lasting_faults_are_told() -> None:
    maker = recorder()
    lost = read(maker.make(Kind.STORE_LOST, 100.0, None))
    assert (lost.stream, lost.kind, lost.store_lost) == (records.STATE, records.STORE_LOST, True)
    health = maker.make(Kind.HEALTH, 100.0, None, body=["gnss", "store"])
    assert read(health).faults == ("gnss", "store")
    assert read(maker.make(Kind.HEALTH, 101.0, None, body=[])).faults == ()
    assert (health.id.stream, health.id.sequence) == (Stream.HEALTH, 1)


# --- and else --------------------------------------------------------------------------------------


def test_a_cancellation_names_its_alert() -> None:
    maker = recorder()
    alert = maker.make(Kind.PANIC, 100.0, None)
    cancellation = read(maker.make(Kind.CANCELLATION, 101.0, None, body=alert.digest[:8]))
    assert cancellation.cancels == hashlib.sha256(alert.data).digest()[:8]
    assert (cancellation.stream, cancellation.sequence) == (Stream.ALERT, 2)


class FailingOnce(KeySigner):
    """A secure element that does not answer the first time."""

    failed = False

    def sign(self, data: bytes) -> bytes:
        if not self.failed:
            self.failed = True
            raise OSError("no answer")
        return super().sign(data)


class Forgetful(KeySigner):
    """Signs something else than it is given."""

    def sign(self, data: bytes) -> bytes:
        return super().sign(data[:-1])


def test_a_signer_proves_itself_by_what_it_signs_and_that_is_no_record() -> None:
    maker = recorder()
    maker.prove()
    assert read(maker.make(Kind.PANIC, 100.0, None)).sequence == 1
    with pytest.raises(RemoteError, match="does not verify"):
        Recorder(DEVICE, SESSION, Forgetful(KEY), KNOWN, 100.0).prove()


def test_a_signer_that_fails_leaves_no_gap() -> None:
    maker = Recorder(DEVICE, SESSION, FailingOnce(KEY), KNOWN, 100.0)
    with pytest.raises(OSError, match="no answer"):
        maker.make(Kind.PANIC, 100.0, None)
    told = read(maker.make(Kind.PANIC, 100.0, None))
    assert (told.sequence, told.previous) == (1, bytes(range(4)))


def test_another_device_or_session_in_the_aad_does_not_verify() -> None:
    sign1 = cose.parse(recorder().make(Kind.PANIC, 100.0, None).data)
    for device, session in [(b"\0\0\0\0", SESSION.octets), (DEVICE.octets, EARLIER.octets)]:
        with pytest.raises(cose.NotVerifiedError):
            cose.verify(sign1, records.external_aad(device, session), KEY.public_key())


def test_the_validator_sees_a_record_that_is_not_of_the_cddl() -> None:
    maker = recorder()
    validate_record(maker.make(Kind.PANIC, 100.0, None).data)
    with pytest.raises(ValidationError):
        validate_record(maker.make(Kind.PANIC, 100.0, None, fix=bytes(10)).data)
