"""The bytes of docs/protocol.md: read back by the gateway's independent reader, and weighed as they would be sent."""

import contextlib
import datetime as dt
import hashlib
import math
import secrets
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import cbor2
import pytest
from aiocoap import NON, POST, Message
from aiocoap.oscore import COSE_KID, COSE_KID_CONTEXT, verify_start
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st

from bondmate import wire
from bondmate.cose import KeySigner, PrivateKey, protected_header, sign1
from bondmate.credentials import ChannelKeys
from bondmate.errors import RemoteError
from bondmate.records import ClockSource, DeviceId, Fix, Kind, Reason, SessionId, Stream, Suspicion, UtcTime
from bondmate.transport.oscore import SessionContext
from bondmate_sim.gateway import cose as gateway_cose
from bondmate_sim.gateway import elements, records
from tests.gateway.cddl import validate_body, validate_receipt_payload, validate_record_payload

DEVICE = DeviceId(bytes.fromhex("7f3a09c1"))
SESSION = SessionId(bytes.fromhex("00125be2aa10"))
EARLIER = SessionId(bytes.fromhex("0011cafe0011"))
KEY = ec.generate_private_key(ec.SECP256R1())
KID, GATEWAY_ID = bytes.fromhex("a1b2c3d4"), b"\x67"
MASTER_SECRET, MASTER_SALT = secrets.token_bytes(16), secrets.token_bytes(8)
SMS_OCTETS = 140

# --- budget: one SMS ---------------------------------------------------------------------------------

IN_2030 = UtcTime(
    round(dt.datetime(2030, 12, 31, 23, 59, 59, 999_000, dt.UTC).timestamp() * 1000), ClockSource.GNSS, 500
)
FAR_FIX = Fix(taken_s=0.0, lat=-89.9999999, lon=-179.9999999, mode=3, accuracy_m=31.0, suspect=tuple(Suspicion))
ELAPSED_MS = 49 * 86_400_000


def worst_alert(body: bytes | None = None) -> bytes:
    """A signed alert with fix and UTC, after a million alerts and 49 days of running."""
    fix = wire.pack_fix(FAR_FIX, 12.3)
    payload = wire.encode_record(Kind.PANIC, 1_000_000, secrets.token_bytes(16), ELAPSED_MS, IN_2030, fix, body)
    validate_record_payload(payload)
    return sign1(payload, wire.record_aad(DEVICE, SESSION), KeySigner(KEY))


def context(sender: bytes, recipient: bytes) -> SessionContext:
    return SessionContext(ChannelKeys(sender, recipient, MASTER_SECRET, MASTER_SALT), SESSION)


def on_air(submission: bytes, *, sender_number: int, token: bytes) -> bytes:
    """The datagram, as the bearer would send it: a request protected by the device's own OSCORE context."""
    security = context(KID, GATEWAY_ID)
    security.sender_sequence_number = sender_number
    message, _ = security.protect(Message(code=POST, uri_path=["r"], payload=submission))
    message.mtype, message.mid, message.token = NON, 0xFFFF, token
    return bytes(message.encode())


def received(datagram: bytes) -> bytes:
    """The submission in a datagram, by the context of the other side."""
    message = Message.decode(datagram)
    named = verify_start(message)
    assert (named[COSE_KID], named[COSE_KID_CONTEXT]) == (KID, SESSION.octets)
    request, _ = context(GATEWAY_ID, KID).unprotect(message)
    assert (request.code, request.opt.uri_path) == (POST, ("r",))
    return bytes(request.payload)


def read(submission: bytes) -> records.Record:
    """What the gateway makes of a submission, after it verified the signature."""
    arrived = records.submission(submission, SESSION.octets)
    sign1_ = gateway_cose.parse(records.tagged(arrived.form, KEY.public_key()))
    gateway_cose.verify(sign1_, records.external_aad(DEVICE.octets, SESSION.octets), KEY.public_key())
    return records.payload(sign1_.payload)


def test_the_worst_alert_fits_one_sms_with_everything_around_it() -> None:
    submission = wire.encode_submission(worst_alert(), beside=None, compact=True)
    datagram = on_air(submission, sender_number=1_000_000, token=b"\xff\xff")
    assert len(datagram) == 137, "the sum in docs/protocol.md, section 3"
    assert len(datagram) <= SMS_OCTETS
    told = read(received(datagram))
    assert (told.kind, told.sequence, told.elapsed_ms) == (records.PANIC, 1_000_000, ELAPSED_MS)
    assert told.previous is not None
    assert len(told.previous) == 4
    assert told.clock is not None
    assert told.fix is not None


def test_the_worst_alert_of_an_earlier_session_fits_too() -> None:
    submission = wire.encode_submission(worst_alert(), beside=EARLIER, compact=True)
    datagram = on_air(submission, sender_number=255, token=b"")
    assert len(datagram) == SMS_OCTETS
    assert received(datagram)[1:7] == EARLIER.octets


def test_one_more_field_breaks_the_budget() -> None:
    """What the measurement is worth: a field of 9 octets is seen, and so is one octet where none is left."""
    larger = wire.encode_submission(worst_alert(body=bytes(8)), beside=None, compact=True)
    assert len(on_air(larger, sender_number=1_000_000, token=b"\xff\xff")) == 137 + 9 > SMS_OCTETS
    of_before = wire.encode_submission(worst_alert(body=bytes(8)), beside=EARLIER, compact=True)
    assert len(on_air(of_before, sender_number=255, token=b"")) > SMS_OCTETS
    full = wire.encode_submission(worst_alert(), beside=EARLIER, compact=True)
    assert len(on_air(full, sender_number=256, token=b"")) == SMS_OCTETS + 1
    assert len(on_air(full, sender_number=255, token=b"\x01")) == SMS_OCTETS + 1


def test_the_parts_weigh_what_the_specification_says() -> None:
    record = worst_alert()
    compact = wire.encode_submission(record, beside=None, compact=True)
    assert len(compact) == 37 + 64
    assert len(on_air(b"", sender_number=1_000_000, token=b"\xff\xff")) == 24 + 12 - 1, "no marker without a payload"
    assert len(wire.encode_submission(record, beside=EARLIER, compact=True)) == len(compact) + 7


# --- records -----------------------------------------------------------------------------------------


def test_what_is_signed_beside_the_payload_is_of_the_specification() -> None:
    """By hand: an array of text (0x60 + 17 or 18 letters) and byte strings (0x44, 0x46)."""
    assert wire.record_aad(DEVICE, SESSION) == b"\x83\x71bondmate record 1" + bytes.fromhex("447f3a09c1 4600125be2aa10")
    assert wire.receipt_aad(DEVICE) == b"\x82\x72bondmate receipt 1" + bytes.fromhex("447f3a09c1")


def test_a_record_is_encoded_as_by_hand() -> None:
    noon = UtcTime(1_795_176_000_500, ClockSource.SYSTEM)
    payload = wire.encode_record(Kind.CANCELLATION, 2, bytes(range(16)), 1000, noon, None, body=bytes(8))
    # the clock: 0x6b003640 s, half of 256, and 0xc0 for the system with 63 for an unknown uncertainty
    by_hand = "88 01 09 02 4400010203 1903e8 466b00364080ff f6 480000000000000000"
    assert payload == bytes.fromhex(by_hand)
    validate_record_payload(payload)


@pytest.mark.parametrize(("previous", "encoded"), [(None, "f6"), (wire.STORE_LOST, "40"), (bytes(16), "4400000000")])
def test_previous_tells_none_lost_and_known_apart(previous: bytes | None, encoded: str) -> None:
    payload = wire.encode_record(Kind.PANIC, 1, previous, 0, None, None)
    assert payload.hex() == f"87010101{encoded}00f6f6"
    validate_record_payload(payload)


def test_the_digest_is_the_first_half_of_sha_256() -> None:
    assert wire.digest(b"abc").hex() == "ba7816bf8f01cfea414140de5dae2223", "FIPS 180-2, appendix B.1"


# --- numbers of a gap --------------------------------------------------------------------------------

_NUMBERS = st.sets(st.integers(1, 40) | st.integers(2**32 - 4, 2**32 - 1), min_size=1)


def ends(told: list[int | list[int]]) -> list[tuple[int, int]]:
    """Each number and range by its first and last."""
    return [(each, each) if isinstance(each, int) else (each[0], each[1]) for each in told]


def judge_ranges(ranges: Callable[[Iterable[int]], list[int | list[int]]], numbers: list[int]) -> None:
    """Whether numbers are told as a gap has to tell them (docs/protocol.md, section 3), in no more than it takes."""
    told = ranges(numbers)
    assert sorted(numbers) == [number for first, last in ends(told) for number in range(first, last + 1)]
    assert all(isinstance(each, int) or each[0] < each[1] for each in told), "a range has more than one number"
    apart = [after[0] - before[1] for before, after in pairwise(ends(told))]
    assert all(distance > 1 for distance in apart), "ascending, without overlap, each run as long as it can be"


@given(_NUMBERS.flatmap(lambda numbers: st.permutations(sorted(numbers))))
def test_the_numbers_of_a_gap_are_told_as_the_runs_that_they_are(numbers: list[int]) -> None:
    judge_ranges(wire.ranges, numbers)
    body = [[int(Stream.POSITION), SESSION.octets, int(Reason.EXPIRED), wire.ranges(numbers)]]
    validate_body("gap-body", cbor2.dumps(body))
    [entry] = records.payload(wire.encode_record(Kind.GAP, 1, None, 0, None, None, body)).gaps
    assert list(entry.numbers) == ends(wire.ranges(numbers))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda numbers: [*numbers],
        lambda numbers: [*sorted(numbers)],
        lambda numbers: [[number, number] for number in sorted(numbers)],
        lambda numbers: [[min(numbers), max(numbers)]],
        lambda numbers: wire.ranges(numbers)[1:],
        lambda numbers: wire.ranges(numbers)[::-1],
    ],
    ids=["as they come", "without ranges", "of one number each", "too much", "too little", "descending"],
)
def test_numbers_that_are_told_otherwise_are_seen(wrong: Callable[[Iterable[int]], list[int | list[int]]]) -> None:
    """What the property above is worth."""
    judge_ranges(wire.ranges, [5, 3, 4, 9])
    assert wire.ranges([5, 3, 4, 9]) == [[3, 5], 9]
    with pytest.raises(AssertionError):
        judge_ranges(wrong, [5, 3, 4, 9])


def test_no_numbers_are_no_ranges() -> None:
    assert wire.ranges([]) == []


# --- packed elements ---------------------------------------------------------------------------------


@given(
    st.integers(0, 0xFFFFFFFF * 1000 + 999),
    st.sampled_from(ClockSource),
    st.one_of(st.none(), st.integers(0, 10**12)),
)
def test_a_clock_is_read_back_within_the_uncertainty_that_it_states(
    unix_ms: int, source: ClockSource, uncertainty_ms: int | None
) -> None:
    packed = wire.pack_clock(UtcTime(unix_ms, source, uncertainty_ms))
    assert packed is not None
    told = elements.clock(packed)
    assert told.source == source.label
    assert -4 <= told.utc_ms - unix_ms <= 0, "1/256 s are 3.9 ms"
    if uncertainty_ms is None:
        assert told.uncertainty_ms is None
    else:
        assert told.uncertainty_ms is not None
        assert uncertainty_ms + unix_ms - told.utc_ms <= told.uncertainty_ms <= 2 * (uncertainty_ms + 4)


def test_an_uncertainty_larger_than_can_be_told_is_the_largest() -> None:
    packed = wire.pack_clock(UtcTime(0, ClockSource.GNSS, 2**70))
    assert packed is not None
    assert elements.clock(packed).uncertainty_ms == 2**62


@pytest.mark.parametrize("unix_ms", [-1, -(10**12), 2**32 * 1000, 253_402_300_800_000])
def test_a_time_that_32_bits_cannot_tell_is_unknown_and_stops_no_alert(unix_ms: int) -> None:
    wrong = UtcTime(unix_ms, ClockSource.SYSTEM)
    assert wire.pack_clock(wrong) is None
    assert wire.encode_record(Kind.PANIC, 1, None, 0, wrong, None) == wire.encode_record(
        Kind.PANIC, 1, None, 0, None, None
    )


_FINITE = st.floats(allow_nan=False, allow_infinity=False)
_FIXES = st.builds(
    Fix,
    taken_s=st.floats(0, 1e6),
    lat=st.floats(-90, 90),
    lon=st.floats(-180, 180),
    mode=st.integers(2, 3),
    alt_m=st.none() | st.floats(-500, 20_000),
    speed_mps=st.none() | st.floats(0, 600),
    track_deg=st.none() | st.floats(0, 360),
    hdop=st.none() | st.floats(0, 25),
    accuracy_m=st.none() | st.floats(0, 1_000_000),
    satellites=st.none() | st.integers(0, 200),
    suspect=st.lists(st.sampled_from(Suspicion), unique=True).map(
        lambda reasons: tuple(sorted(reasons, key=lambda reason: reason.value))
    ),
)


def near(told: float | None, value: float | None, step: float) -> bool:
    """Whether a value was told to half its step, or both are unknown."""
    return told is value is None or (told is not None and value is not None and abs(told - value) <= step / 2 + 1e-9)


@given(_FIXES, st.floats(0, 5e6))
def test_a_fix_is_read_back_within_its_steps_and_never_better_than_it_was(fix: Fix, age_s: float) -> None:
    now = fix.taken_s + age_s
    short, long = elements.fix(wire.pack_fix(fix, now)), elements.fix(wire.pack_long_fix(fix, now))
    for told in (short, long):
        assert near(told.lat, fix.lat, 1e-7)
        assert near(told.lon, fix.lon, 1e-7)
        assert told.three_dimensional == (fix.mode == 3)
        assert told.suspect == tuple(reason.label for reason in fix.suspect)
        assert told.coarse is False
        age = now - fix.taken_s
        assert told.age_open or age <= told.age_s <= age * 1.125 + 2 / 1024
        if fix.accuracy_m is None:
            assert told.accuracy_m is None
        else:
            assert told.accuracy_m is not None
            assert fix.accuracy_m <= told.accuracy_m * (1 + 1e-6) + 1e-6
            assert told.accuracy_m <= fix.accuracy_m * 1.1 + 1.001
    assert (short.alt_m, short.speed_mps, short.track_deg, short.hdop, short.satellites) == (None,) * 5
    assert near(long.alt_m, fix.alt_m, 0.1)
    assert near(long.speed_mps, fix.speed_mps, 0.01)
    assert near(long.hdop, fix.hdop, 0.1)
    assert long.satellites == fix.satellites
    if fix.track_deg is not None and long.track_deg is not None:
        turned = abs(long.track_deg - fix.track_deg)
        assert min(turned, 360 - turned) <= 0.005 + 1e-9
    assert (long.track_deg is None) == (fix.track_deg is None)


@given(_FIXES, st.floats(0, 5e6))
def test_the_device_reads_its_own_fixes_as_the_gateway_does(fix: Fix, age_s: float) -> None:
    """After a restart: as old as it was told to be, and no better."""
    now = fix.taken_s + age_s
    for packed in (wire.pack_fix(fix, now), wire.pack_long_fix(fix, now)):
        told, ours = elements.fix(packed), wire.unpack_fix(packed, now)
        assert (ours.lat, ours.lon, ours.mode == 3) == (told.lat, told.lon, told.three_dimensional)
        assert ours.accuracy_m == told.accuracy_m
        assert tuple(reason.label for reason in ours.suspect) == told.suspect
        assert now - ours.taken_s == (math.inf if told.age_open else pytest.approx(told.age_s, abs=1e-6))
        assert (ours.alt_m, ours.speed_mps, ours.track_deg) == (told.alt_m, told.speed_mps, told.track_deg)
        assert (ours.hdop, ours.satellites) == (told.hdop, told.satellites)


def test_a_fix_of_unknown_age_stays_so() -> None:
    unknown = wire.unpack_fix(wire.pack_fix(Fix(taken_s=-math.inf, lat=1, lon=2, mode=2), 5.0), 5.0)
    assert unknown.taken_s == -math.inf
    assert elements.fix(wire.pack_fix(unknown, 9.0)).age_open


@given(st.binary(max_size=30))
def test_octets_of_another_length_are_no_fix(octets: bytes) -> None:
    if len(octets) in (11, 20):
        wire.unpack_fix(octets, 0.0)
    else:
        with pytest.raises(ValueError, match="11 or 20 octets"):
            wire.unpack_fix(octets, 0.0)


@pytest.mark.parametrize("coarse", [True, False])
def test_a_presence_says_that_it_is_coarse_on_purpose(coarse: bool) -> None:
    assert elements.fix(wire.pack_fix(FAR_FIX, 0.0, coarse=coarse)).coarse is coarse


def test_the_fix_of_our_own_record_is_found_in_it() -> None:
    packed = wire.pack_long_fix(FAR_FIX, 12.3)
    signer, aad = KeySigner(KEY), wire.record_aad(DEVICE, SESSION)
    record = sign1(wire.encode_record(Kind.POSITION, 1, None, 0, None, packed), aad, signer)
    assert wire.fix_of(record) == packed
    without = sign1(wire.encode_record(Kind.POSITION, 1, None, 0, None, None), aad, signer)
    assert wire.fix_of(without) is None


def test_no_flipped_bit_of_a_record_gets_more_than_an_error_out_of_it() -> None:
    """An array may become a map or a tag: whatever the disk makes of a record, it must not end the process."""
    record = bytearray(worst_alert())
    for place in range(len(record)):
        for bit in range(8):
            record[place] ^= 1 << bit
            with contextlib.suppress(ValueError):
                wire.fix_of(bytes(record))
            record[place] ^= 1 << bit


@given(st.binary(max_size=60) | st.recursive(st.none() | st.integers() | st.binary(), st.lists).map(cbor2.dumps))
def test_what_the_disk_has_changed_is_no_record(octets: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - what else there is to say of it, cbor2 says
        wire.fix_of(octets)


@given(
    st.builds(
        Fix,
        taken_s=_FINITE,
        lat=st.floats(-90, 90),
        lon=st.floats(-180, 180),
        mode=st.integers(),
        alt_m=_FINITE,
        speed_mps=_FINITE,
        track_deg=_FINITE,
        hdop=_FINITE,
        accuracy_m=_FINITE,
        satellites=st.integers(),
    )
)
def test_no_number_of_a_receiver_however_absurd_stops_a_record(fix: Fix) -> None:
    told = elements.fix(wire.pack_long_fix(fix, fix.taken_s))
    assert (told.speed_mps is None) == (fix.speed_mps is not None and fix.speed_mps < 0)
    assert (told.hdop is None) == (fix.hdop is not None and fix.hdop < 0)
    assert (told.accuracy_m is None) == (fix.accuracy_m is not None and fix.accuracy_m < 0)
    assert len(wire.pack_fix(fix, fix.taken_s)) == 11


def test_a_fix_at_the_ends_of_its_ranges() -> None:
    extreme = Fix(
        taken_s=0, lat=90, lon=-180, mode=2, alt_m=1e9, speed_mps=1e9, track_deg=359.999, hdop=99.9, accuracy_m=1e9,
        satellites=255,
    )  # fmt: skip
    told = elements.fix(wire.pack_long_fix(extreme, 1e9))
    assert (told.lat, told.lon) == (90, -180)
    assert (told.alt_m, told.speed_mps, told.track_deg) == (838_860.7, 655.34, 0.0)
    assert (told.hdop, told.satellites) == (25.4, 254), "254 is 'or more'"
    assert told.age_open
    assert told.accuracy_m == pytest.approx(1_800_000, rel=0.01), "K = 127 is 1800 km (3GPP TS 23.032)"
    deep = elements.fix(wire.pack_long_fix(Fix(taken_s=0, lat=0, lon=0, mode=3, alt_m=-1e9), 0))
    assert deep.alt_m == -838_860.7


@pytest.mark.parametrize(
    ("code", "metres"), [(0, 0), (1, 1.0), (2, 2.1), (20, 57.3), (40, 443), (100, 138e3), (120, 927e3)]
)
def test_the_accuracy_code_is_that_of_3gpp(code: int, metres: float) -> None:
    """TS 23.032, section 6.2, the table of examples for the same formula."""
    assert 10 * (1.1**code - 1) == pytest.approx(metres, rel=0.01)
    assert wire.accuracy_code(10 * (1.1**code - 1)) == code


def test_every_accuracy_code_is_hit_and_rounded_up() -> None:
    for code in range(127):
        exact = 10 * (1.1**code - 1)
        assert wire.accuracy_code(exact) == code
        assert wire.accuracy_code(exact + 0.01) == code + 1
    assert wire.accuracy_code(None) == 255
    assert wire.accuracy_code(-1) == 255
    assert wire.accuracy_code(1e300) == 127


def test_every_time_code_is_hit_and_rounded_up() -> None:
    """RFC 5497, section 5: code 8b + a is (1 + a/8) 2^b C."""
    for code in range(1, 256):
        exact = (1 + code % 8 / 8) * 2 ** (code // 8) / 1024
        assert wire.time_code(exact) == code
        assert wire.time_code(exact * (1 + 1e-9)) == min(code + 1, 255)
    assert wire.time_code(0) == 0
    assert wire.time_code(-5) == 0
    assert wire.time_code(1e-9) == 1, "0 is zero and nothing else"
    assert wire.time_code(1e300) == 255


def test_a_code_that_is_rounded_to_the_nearest_would_flatter() -> None:
    flattering = [
        metres for metres in range(1, 1000) if 10 * (1.1 ** round(math.log(metres / 10 + 1, 1.1)) - 1) < metres
    ]
    assert flattering
    assert all(10 * (1.1 ** wire.accuracy_code(metres) - 1) >= metres - 1e-6 for metres in flattering)


# --- submissions -------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [KEY, ed25519.Ed25519PrivateKey.generate()])
@pytest.mark.parametrize("beside", [None, EARLIER])
@pytest.mark.parametrize("compact", [False, True])
def test_a_submission_arrives_as_the_identical_record(key: PrivateKey, beside: SessionId | None, compact: bool) -> None:
    payload = wire.encode_record(Kind.PANIC, 7, bytes(16), 1234, None, None)
    record = sign1(payload, wire.record_aad(DEVICE, SESSION), KeySigner(key))
    submission = wire.encode_submission(record, beside=beside, compact=compact)
    arrived = records.submission(submission, SESSION.octets)
    assert arrived.session == (EARLIER if beside else SESSION).octets
    assert (arrived.form == record) is not compact
    assert records.tagged(arrived.form, key.public_key()) == record
    assert wire.expand(arrived.form, protected_header(KeySigner(key).algorithm)) == record


@pytest.mark.parametrize(
    "data", [b"", b"\x87", b"\x87" + bytes(63), b"\x7f" + bytes(99), b"\x9c" + bytes(99), b"\xd3" * 99]
)
def test_what_has_neither_form_is_refused(data: bytes) -> None:
    with pytest.raises(RemoteError, match="neither"):
        wire.expand(data, protected_header(-7))


# --- receipts ----------------------------------------------------------------------------------------

DIGEST = hashlib.sha256(b"record").digest()[:16]
HELD: list[Any] = [SESSION.octets, 0, 1, DIGEST, 0]


def receipt(*entries: Any, version: Any = 1, time_s: Any = 1_795_186_800) -> bytes:
    return cbor2.dumps([version, time_s, list(entries)], canonical=True)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (HELD, wire.ReceiptEntry(SESSION, 0, 1, DIGEST, wire.Verdict.HELD)),
        (
            [SESSION.octets, None, None, DIGEST, 1],
            wire.ReceiptEntry(SESSION, None, None, DIGEST, wire.Verdict.HELD_UNREADABLE),
        ),
        (
            [SESSION.octets, 5, 2**32 - 1, DIGEST, 2, 1],
            wire.ReceiptEntry(SESSION, 5, 2**32 - 1, DIGEST, wire.Verdict.REFUSED, 1),
        ),
    ],
)
def test_a_receipt_says_of_each_record_what_became_of_it(entry: list[Any], expected: wire.ReceiptEntry) -> None:
    payload = receipt(entry)
    validate_receipt_payload(payload)
    assert wire.decode_receipt(payload) == (expected,)


def test_a_receipt_names_one_to_sixteen_records() -> None:
    assert len(wire.decode_receipt(receipt(*[HELD] * 16))) == 16
    for number in (0, 17):
        with pytest.raises(RemoteError, match="receipt-payload"):
            wire.decode_receipt(receipt(*[HELD] * number))


def test_elements_of_a_later_version_are_ignored() -> None:
    assert wire.decode_receipt(cbor2.dumps([1, 0, [HELD], "later", {1: 2}])) == wire.decode_receipt(receipt(HELD))
    [entry] = wire.decode_receipt(receipt([*HELD, "no reason", 99]))
    assert entry.reason is None


def test_another_version_is_named() -> None:
    with pytest.raises(RemoteError, match="version 2: this device reads version 1"):
        wire.decode_receipt(receipt(HELD, version=2))


@pytest.mark.parametrize(
    "payload",
    [
        b"\x80",
        b"\xa0",
        b"\xf6",
        cbor2.dumps([1]),
        receipt(HELD, time_s="now"),
        cbor2.dumps([1, 0, {}]),
        cbor2.dumps([1, 0, HELD]),
        receipt("entry"),
        receipt(HELD[:4]),
        receipt([bytes(5), *HELD[1:]]),
        receipt([None, *HELD[1:]]),
        receipt([*HELD[:1], "alert", *HELD[2:]]),
        receipt([*HELD[:2], "1", *HELD[3:]]),
        receipt([*HELD[:3], bytes(15), 0]),
        receipt([*HELD[:4], 3]),
        receipt([*HELD[:4], None]),
        receipt(HELD, version="1"),
    ],
)
def test_what_is_no_receipt_is_refused(payload: bytes) -> None:
    with pytest.raises(RemoteError, match=r"receipt-payload|receipt-entry"):
        wire.decode_receipt(payload)


@pytest.mark.parametrize(
    ("payload", "complaint"),
    [
        (b"", "not CBOR"),
        (receipt(HELD)[:-1], "not CBOR"),
        (receipt(HELD) + b"\x00", "behind the end"),
        (bytes.fromhex("c4821b0de0b6b3a764000001"), "not CBOR"),
        (b"\x81" * 500 + b"\x00", "not CBOR"),
        (receipt(HELD, *[[bytes(6), 0, 1, bytes(16), 0]] * 40), "1024 are allowed"),
    ],
)
def test_broken_and_oversized_cbor_is_refused(payload: bytes, complaint: str) -> None:
    with pytest.raises(RemoteError, match=complaint):
        wire.decode_receipt(payload)


@given(st.binary(max_size=120))
def test_arbitrary_octets_are_refused(payload: bytes) -> None:
    with pytest.raises(RemoteError):
        wire.decode_receipt(payload)
