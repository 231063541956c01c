"""Records as they come into being, read back by the gateway's own reader, which is written from the specification."""

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from bondmate.cose import KeySigner
from bondmate.recorder import Recorder
from bondmate.records import (
    CHAINED,
    ClockSource,
    DeviceId,
    Head,
    History,
    Kind,
    SessionId,
    SignedRecord,
    Stream,
    UtcTime,
)
from bondmate_sim.gateway import cose, records
from tests.gateway.cddl import ValidationError, validate_record

DEVICE = DeviceId(bytes.fromhex("7f3a09c1"))
SESSION = SessionId(bytes.fromhex("00125be2aa10"))
EARLIER = SessionId(bytes.fromhex("0011cafe0011"))
KEY = ec.generate_private_key(ec.SECP256R1())
NEW = History({})
LOST = History({}, lost=True)
KNOWN = History({
    Stream.ALERT: Head(EARLIER, 3, bytes(range(16))),
    Stream.STATE: Head(EARLIER, 9, bytes(range(16, 32))),
})  # fmt: skip


def recorder(history: History = NEW) -> Recorder:
    return Recorder(DEVICE, SESSION, KeySigner(KEY), history, 100.0)


def read(record: SignedRecord) -> records.Record:
    """The gateway's reading of a record, whose signature it has verified."""
    validate_record(record.data)
    sign1 = cose.parse(record.data)
    cose.verify(sign1, records.external_aad(DEVICE.octets, SESSION.octets), KEY.public_key())
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
    last = {stream: head.digest for stream, head in history.heads.items()}
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
    ],
)
def test_the_opening_leads_from_session_to_session(history: History, expected: tuple[records.Predecessor, ...]) -> None:
    record = recorder(history).opening(100.0, None)
    told = read(record)
    assert (record.id.stream, record.id.sequence, told.kind) == (Stream.STATE, 1, records.OPENING)
    assert told.predecessors == expected


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
