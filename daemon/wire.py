"""The bytes of docs/protocol.md and docs/bondmate.cddl: record payloads, submissions, receipts.

Encodes what a device sends and decodes what it receives. Signatures are cose's, keys are credentials'.
"""

import hashlib
import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

import cbor2

from bondmate.cbor import decode
from bondmate.errors import RemoteError
from bondmate.records import DeviceId, Fix, Kind, SessionId, Suspicion, UtcTime

VERSION = 1
DIGEST_OCTETS = 16
PREVIOUS_OCTETS = 4
NAMED_DIGEST_OCTETS = 8
"""How much of an alert's digest a cancellation names."""
UNDER_DURESS = 3
"""What a cancellation says of how it was made, in the octet behind that."""
MAX_RECEIPT_OCTETS = 1024
STORE_LOST = b""
"""The `previous` of a record when the store that held the record before it was lost."""

_TAGGED_SIGN1 = 0xD2
_SIGNATURE_OCTETS = 64
_ACCURACY_UNKNOWN = 255
_UNCERTAINTY_UNKNOWN = 63
_ALTITUDE_UNKNOWN = b"\x80\x00\x00"
_ALTITUDE_LIMIT = 0x7FFFFF
_COARSE_BIT = 6
_TIME_OR_MORE = 255
_MAX_SECONDS = 0xFFFFFFFF
_FRACTION_MS = 4
"""A fraction in 1/256 s is cut by less than this, which the stated uncertainty has to cover."""
_TIME_CODE_UNIT_S = 1 / 1024


def digest(record: bytes) -> bytes:
    """The digest of a record: the first half of SHA-256 over the tagged COSE_Sign1."""
    return hashlib.sha256(record).digest()[:DIGEST_OCTETS]


def record_aad(device: DeviceId, session: SessionId) -> bytes:
    """What a record's signature covers beside its payload (docs/protocol.md, section 3)."""
    return cbor2.dumps(["bondmate record 1", device.octets, session.octets])


def receipt_aad(device: DeviceId) -> bytes:
    """What a receipt's signature covers beside its payload (docs/protocol.md, section 4)."""
    return cbor2.dumps(["bondmate receipt 1", device.octets])


def message_aad(device: DeviceId) -> bytes:
    """What a mailbox message's signature covers beside its payload (docs/protocol.md, section 8)."""
    return cbor2.dumps(["bondmate message 1", device.octets])


def encode_record(
    kind: Kind,
    sequence: int,
    previous: bytes | None,
    elapsed_ms: int,
    clock: UtcTime | None,
    fix: bytes | None,
    body: Any = None,
) -> bytes:
    """The payload of a record; `previous` is the full digest of the record before, STORE_LOST or None."""
    elements: list[Any] = [
        VERSION,
        int(kind),
        sequence,
        None if previous is None else previous[:PREVIOUS_OCTETS],
        elapsed_ms,
        pack_clock(clock),
        fix,
    ]
    if body is not None:
        elements.append(body)
    return cbor2.dumps(elements, canonical=True)


def pack_clock(clock: UtcTime | None) -> bytes | None:
    """Six octets: u32 seconds, u8 1/256 s, u8 source and uncertainty as a power of two in milliseconds.

    None for an unknown time, and for one that 32 bits of seconds cannot tell: a clock so wrong must not stop an alert.
    """
    if clock is None or not 0 <= clock.unix_ms // 1000 <= _MAX_SECONDS:
        return None
    seconds, milliseconds = divmod(clock.unix_ms, 1000)
    if clock.uncertainty_ms is None:
        exponent = _UNCERTAINTY_UNKNOWN
    else:
        exponent = min((clock.uncertainty_ms + _FRACTION_MS - 1).bit_length(), _UNCERTAINTY_UNKNOWN - 1)
    return struct.pack(">IBB", seconds, milliseconds * 256 // 1000, clock.source << 6 | exponent)


def pack_fix(fix: Fix, now: float, *, coarse: bool = False) -> bytes:
    """Eleven octets: position, accuracy, age at `now` (monotonic seconds), flags. `coarse`: it is so on purpose."""
    flags = int(fix.mode >= 3) | coarse << _COARSE_BIT
    for suspicion in fix.suspect:
        flags |= 1 << suspicion.value
    return struct.pack(
        ">iiBBB",
        round(fix.lat * 1e7),
        round(fix.lon * 1e7),
        accuracy_code(fix.accuracy_m),
        time_code(fix.age_s(now)),
        flags,
    )


def pack_long_fix(fix: Fix, now: float) -> bytes:
    """Twenty octets, for a position: the fix, then altitude, speed, track, HDOP and satellites."""
    altitude = _ALTITUDE_UNKNOWN
    if fix.alt_m is not None:
        tenths = round(max(-_ALTITUDE_LIMIT, min(fix.alt_m * 10, _ALTITUDE_LIMIT)))
        altitude = tenths.to_bytes(3, signed=True)
    return pack_fix(fix, now) + struct.pack(
        ">3sHHBB",
        altitude,
        _up_to(0xFFFE, fix.speed_mps, 100),
        0xFFFF if fix.track_deg is None else round(fix.track_deg % 360 * 100) % 36000,
        _up_to(0xFE, fix.hdop, 10),
        _up_to(0xFE, fix.satellites, 1),
    )


def _up_to(limit: int, value: float | None, factor: int) -> int:
    """`value` times `factor`, at most `limit`; the number behind `limit` where it is unknown or negative."""
    return limit + 1 if value is None or value < 0 else round(min(value * factor, limit))


def accuracy_code(accuracy_m: float | None) -> int:
    """The uncertainty code of 3GPP TS 23.032, section 6.1: 10·(1.1^K - 1) metres, rounded up; 255 unknown."""
    if accuracy_m is None or accuracy_m < 0:
        return _ACCURACY_UNKNOWN
    # the logarithm of a code's very own value comes out a little above the code
    return math.ceil(min(math.log(accuracy_m / 10 + 1, 1.1) - 1e-9, 127))


def time_code(seconds: float) -> int:
    """The time code of RFC 5497, section 5, with C = 1/1024 s, rounded up; 0 zero, 255 this or more."""
    units = seconds / _TIME_CODE_UNIT_S
    if units <= 0:
        return 0
    if units == math.inf:
        return _TIME_OR_MORE
    exponent = max(0, math.floor(math.log2(units)))
    mantissa = math.ceil((units / (1 << exponent) - 1) * 8)
    # below one unit the mantissa would be negative; code 0 is zero, so the smallest is 1
    return min(max(1, 8 * exponent + mantissa), _TIME_OR_MORE)


def unpack_fix(octets: bytes, now: float) -> Fix:
    """The fix in either of its packed forms; at `now` it was as old as it says. ValueError for other octets."""
    if len(octets) not in (11, 20):
        raise ValueError(f"a packed fix has 11 or 20 octets, not {len(octets)}")
    lat, lon, accuracy, age, flags = struct.unpack(">iiBBB", octets[:11])
    fix = Fix(
        taken_s=now - _age_s(age),
        lat=lat / 1e7,
        lon=lon / 1e7,
        mode=3 if flags & 1 else 2,
        accuracy_m=None if accuracy == _ACCURACY_UNKNOWN else 10 * (1.1**accuracy - 1),
        suspect=tuple(each for each in Suspicion if flags >> each.value & 1),
    )
    if len(octets) == 11:
        return fix
    altitude, speed, track, hdop, satellites = struct.unpack(">3sHHBB", octets[11:])
    return replace(
        fix,
        alt_m=None if altitude == _ALTITUDE_UNKNOWN else int.from_bytes(altitude, signed=True) / 10,
        speed_mps=None if speed == 0xFFFF else speed / 100,
        track_deg=None if track == 0xFFFF else track / 100,
        hdop=None if hdop == 0xFF else hdop / 10,
        satellites=None if satellites == 0xFF else satellites,
    )


def _age_s(code: int) -> float:
    if code == _TIME_OR_MORE:
        return math.inf
    return (1 + code % 8 / 8) * 2 ** (code // 8) * _TIME_CODE_UNIT_S if code else 0.0


def fix_of(record: bytes) -> bytes | None:
    """The packed fix of a record of our own (tagged COSE_Sign1); None without one. ValueError for what is no record."""
    octets = _payload(record)[6]
    if not isinstance(octets, bytes | None):
        raise ValueError("a record whose fix is no octets")  # noqa: TRY004 - from outside: the disk
    return octets


def is_under_duress(cancellation: bytes) -> bool:
    """Whether a cancellation of our own says so. ValueError for what is no record."""
    body = _payload(cancellation)[7:8]
    how = body[0][NAMED_DIGEST_OCTETS:] if body and isinstance(body[0], bytes) else b""
    return how == bytes([UNDER_DURESS])


def _payload(record: bytes) -> list[Any]:
    """The elements of a record of our own. ValueError for what is no record."""
    try:
        elements = cbor2.loads(cbor2.loads(record).value[2])
    except (cbor2.CBORDecodeError, AttributeError, LookupError, TypeError) as error:
        raise ValueError(f"not a record: {error}") from error
    if not isinstance(elements, list) or len(elements) < 7:
        raise ValueError("not a record: no record-payload (docs/bondmate.cddl)")
    return elements


def ranges(numbers: Iterable[int]) -> list[int | list[int]]:
    """Sequence numbers as a gap record names them: ascending, and runs as [first, last]."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return [first if first == last else [first, last] for first, last in runs]


def encode_submission(record: bytes, *, beside: SessionId | None, compact: bool = False) -> bytes:
    """What is posted to /r: the session where it is not the channel's, then the record in either form."""
    return (b"" if beside is None else cbor2.dumps(beside.octets)) + (_compact(record) if compact else record)


def _compact(record: bytes) -> bytes:
    """A tagged COSE_Sign1 as its payload and the octets of its signature."""
    _, _, payload, signature = cbor2.loads(record).value
    return bytes(payload + signature)


def expand(data: bytes, protected: bytes) -> bytes:
    """The tagged COSE_Sign1 of either form; `protected` is what the compact form implies.

    Raises RemoteError for anything that is neither.
    """
    if data[:1] == bytes([_TAGGED_SIGN1]):
        return data
    if len(data) <= _SIGNATURE_OCTETS or not 0x80 <= data[0] <= 0x9B:
        raise RemoteError("neither a tagged COSE_Sign1 nor the compact form")
    payload, signature = data[:-_SIGNATURE_OCTETS], data[-_SIGNATURE_OCTETS:]
    return cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload, signature]))


class Verdict(IntEnum):
    """What the gateway says of one record (docs/protocol.md, section 4)."""

    HELD = 0
    HELD_UNREADABLE = 1
    REFUSED = 2


REASON_REVOKED = 1
"""Of a refusal: the device was revoked. For an alert there is no other."""


@dataclass(frozen=True, slots=True)
class ReceiptEntry:
    """One record in a receipt; stream and sequence are None where the gateway could not read them."""

    session: SessionId
    stream: int | None
    sequence: int | None
    digest: bytes
    verdict: Verdict
    reason: int | None = None


def decode_receipt(payload: bytes) -> tuple[ReceiptEntry, ...]:
    """The entries of a receipt's (verified) payload; RemoteError says what is wrong with it."""
    match _loads(payload):
        case [1, int(), [_, *_] as entries, *_] if len(entries) <= 16:
            return tuple(_receipt_entry(entry) for entry in entries)
        case [int(version), *_] if version != VERSION:
            raise RemoteError(f"a receipt of version {version}: this device reads version {VERSION}")
        case _:
            raise RemoteError("a receipt whose payload is not receipt-payload (docs/bondmate.cddl)")


def _receipt_entry(entry: Any) -> ReceiptEntry:
    match entry:
        case [
            bytes(session),
            None | int() as stream,
            None | int() as sequence,
            bytes(digest_),
            0 | 1 | 2 as verdict,
            *rest,
        ] if len(session) == 6 and len(digest_) == DIGEST_OCTETS:
            reason = rest[0] if rest and isinstance(rest[0], int) else None
            return ReceiptEntry(SessionId(session), stream, sequence, digest_, Verdict(verdict), reason)
        case _:
            raise RemoteError("a receipt entry that is not receipt-entry (docs/bondmate.cddl)")


def _loads(data: bytes) -> Any:
    if len(data) > MAX_RECEIPT_OCTETS:
        raise RemoteError(f"{len(data)} octets where at most {MAX_RECEIPT_OCTETS} are allowed")
    return decode(data)
