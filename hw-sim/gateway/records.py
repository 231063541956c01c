"""Submissions and record payloads: octets to values (docs/protocol.md, sections 2, 3 and 5).

It reads what a record says. It checks no signature and keeps nothing.
"""

import enum
import itertools
from dataclasses import dataclass

from bondmate_sim.gateway import cbor, cose, elements
from bondmate_sim.gateway.ranges import Range

VERSION = 1
STREAMS = ("alert", "state", "position", "presence", "health", "report")
ALERT, STATE, POSITIONS, PRESENCE_STREAM, HEALTH_STREAM = 0, 1, 2, 3, 4
CHAINED = (ALERT, STATE)

PANIC, CANCELLATION, OPENING, ANCHOR, STORE_LOST, GAP = 1, 9, 16, 17, 18, 19
POSITION, POSITIONS_BEFORE, PRESENCE, HEALTH = 32, 33, 48, 64
_KIND_NAMES = {
    PANIC: "panic",
    CANCELLATION: "cancellation",
    OPENING: "opening",
    ANCHOR: "anchor",
    STORE_LOST: "store-lost",
    GAP: "gap",
    POSITION: "position",
    POSITIONS_BEFORE: "positions-before",
    PRESENCE: "presence",
    HEALTH: "health",
}

SESSION_OCTETS = 6
_SESSION_HEAD = 0x46
MAX_SEQUENCE = 2**32 - 1
_ELEMENTS = 7
_MAX_STREAM = 15
_MAX_ENTRIES = 16
_MAX_GAP_NUMBERS = 128
_MAX_FAULT_OCTETS = 32
_MAX_BEFORE = 2


@dataclass(frozen=True, slots=True)
class Submission:
    """One record on its way in: the session it belongs to, and the record in one of its two forms."""

    session: bytes
    form: bytes


@dataclass(frozen=True, slots=True)
class Predecessor:
    """What an opening says of one stream: the last record before this session; all None when the store was lost."""

    stream: int
    session: bytes | None
    sequence: int | None
    digest: bytes | None


class Reason(enum.IntEnum):
    """Why a numbered record will not come."""

    SUPERSEDED = 1
    EXPIRED = 2


@dataclass(frozen=True, slots=True)
class Gap:
    """One entry of a gap: numbers of a stream that will not come, as ranges (first, last), ascending and apart."""

    stream: int
    session: bytes
    reason: Reason
    numbers: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """The payload of a record.

    `cancels`, `predecessors`, `gaps`, `before` and `faults` are the bodies of a cancellation, an opening, a gap, of the
    positions before an alert (the newest first) and of a health record; None and empty in all other kinds.
    """

    kind: int
    sequence: int
    previous: bytes | None
    elapsed_ms: int
    clock: elements.Clock | None
    fix: elements.Fix | None
    cancels: bytes | None
    predecessors: tuple[Predecessor, ...]
    gaps: tuple[Gap, ...]
    before: tuple[elements.Fix, ...]
    faults: tuple[str, ...]

    @property
    def stream(self) -> int:
        """The stream's number, 0 to 15."""
        return self.kind >> 4

    @property
    def store_lost(self) -> bool:
        """Whether it says that the device lost its store, before this session or in it."""
        return self.kind == STORE_LOST or any(each.session is None for each in self.predecessors)


class UnreadableError(ValueError):
    """A record is not understood; stream and sequence stand beside the reason as far as they could be read."""

    def __init__(self, why: str, stream: int | None = None, sequence: int | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.stream = stream
        self.sequence = sequence


def submission(data: bytes, channel_session: bytes) -> Submission:
    """Split a submission into its session, `channel_session` if it names none, and the record."""
    end = 1 + SESSION_OCTETS
    if data[:1] == bytes([_SESSION_HEAD]) and len(data) >= end:
        return Submission(data[1:end], data[end:])
    return Submission(channel_session, data)


def tagged(form: bytes, key: cose.VerifyingKey) -> bytes:
    """Return a record as tagged COSE_Sign1: rebuilt if it travelled in the compact form, else as it came."""
    compact = 0x80 <= form[0] <= 0x9B
    if not compact or len(form) <= cose.SIGNATURE_OCTETS:
        return form
    return cose.rebuild(form[: -cose.SIGNATURE_OCTETS], form[-cose.SIGNATURE_OCTETS :], key)


def payload(data: bytes) -> Record:
    """Read a record's payload. Raises UnreadableError."""
    try:
        parts = _elements(data)
        kind = cbor.uint(parts[1], 0, 255)
        sequence = cbor.uint(parts[2], 1, MAX_SEQUENCE)
    except cbor.MalformedError as error:
        raise UnreadableError(f"malformed record: {error}") from error
    stream = kind >> 4
    if stream >= len(STREAMS):
        raise UnreadableError(f"stream {stream} is not known here", stream, sequence)
    body = parts[_ELEMENTS:]
    try:
        return Record(
            kind=kind,
            sequence=sequence,
            previous=_previous(parts[3]),
            elapsed_ms=cbor.uint(parts[4], 0, 2**64 - 1),
            clock=None if parts[5] == cbor.NULL else elements.clock(cbor.octets(parts[5])),
            fix=None if parts[6] == cbor.NULL else elements.fix(cbor.octets(parts[6])),
            cancels=_cancels(body) if kind == CANCELLATION else None,
            predecessors=_predecessors(body) if kind == OPENING else (),
            gaps=_gaps(body) if kind == GAP else (),
            before=_before(body) if kind == POSITIONS_BEFORE else (),
            faults=_faults(body) if kind == HEALTH else (),
        )
    except cbor.MalformedError as error:
        raise UnreadableError(f"malformed record: {error}", stream, sequence) from error


def kind_name(kind: int) -> str:
    """Return the kind's word, or its number when it has none here."""
    return _KIND_NAMES.get(kind, str(kind))


def device_text(device: bytes) -> str:
    """Return a device id of 4 octets as text, `BM-7f3a09c1`."""
    return f"BM-{device.hex()}"


def session_text(session: bytes) -> str:
    """Return a session id of 6 octets as text, `0012-5be2aa10`."""
    return f"{session[:2].hex()}-{session[2:].hex()}"


def record_text(device: bytes, session: bytes, stream: int, sequence: int) -> str:
    """Return a record's identity as text, `BM-7f3a09c1/0012-5be2aa10/alert/1`."""
    name = STREAMS[stream] if stream < len(STREAMS) else str(stream)
    return f"{device_text(device)}/{session_text(session)}/{name}/{sequence}"


def external_aad(device: bytes, session: bytes) -> bytes:
    """Return what a record's signature covers beside its payload."""
    return cose.external_aad("bondmate record 1", device, session)


def _elements(data: bytes) -> list[bytes]:
    parts = cbor.items(data)
    if not parts:
        raise cbor.MalformedError("it is empty")
    version = cbor.uint(parts[0], 0, 2**64 - 1)
    if version != VERSION:
        raise UnreadableError(f"version {version} is not known here")
    if len(parts) < _ELEMENTS:
        raise cbor.MalformedError(f"a record has at least {_ELEMENTS} elements, not {len(parts)}")
    return parts


def _previous(item: bytes) -> bytes | None:
    if item == cbor.NULL:
        return None
    value = cbor.octets(item)
    if len(value) not in (0, 4):
        raise cbor.MalformedError(f"the previous digest has 0 or 4 octets, not {len(value)}")
    return value


def _cancels(body: list[bytes]) -> bytes:
    if not body:
        raise cbor.MalformedError("the cancellation names no alert")
    value = cbor.octets(body[0])
    if len(value) != 8:
        raise cbor.MalformedError(f"a cancellation names 8 octets of a digest, not {len(value)}")
    return value


def _predecessors(body: list[bytes]) -> tuple[Predecessor, ...]:
    return tuple(_predecessor(cbor.items(entry)) for entry in _entries(body, "opening"))


def _predecessor(entry: list[bytes]) -> Predecessor:
    match entry:
        case [stream, cbor.NULL]:
            return Predecessor(cbor.uint(stream, 0, _MAX_STREAM), None, None, None)
        case [stream, session, sequence, digest]:
            named = Predecessor(
                cbor.uint(stream, 0, _MAX_STREAM),
                _session(session),
                cbor.uint(sequence, 1, MAX_SEQUENCE),
                cbor.octets(digest),
            )
            if len(named.digest or b"") != 16:
                raise cbor.MalformedError("an opening entry names a digest of 16 octets")
            return named
        case _:
            raise cbor.MalformedError(f"an opening entry has 2 or 4 elements, not {len(entry)}")


def _gaps(body: list[bytes]) -> tuple[Gap, ...]:
    gaps = tuple(_gap(cbor.items(entry)) for entry in _entries(body, "gap"))
    if not gaps:
        raise cbor.MalformedError("the gap has no entry")
    count = sum(len(each.numbers) for each in gaps)
    if count > _MAX_GAP_NUMBERS:
        raise cbor.MalformedError(f"the gap has {count} numbers and ranges, more than {_MAX_GAP_NUMBERS}")
    return gaps


def _gap(entry: list[bytes]) -> Gap:
    if len(entry) != 4:
        raise cbor.MalformedError(f"a gap entry has 4 elements, not {len(entry)}")
    stream = cbor.uint(entry[0], 0, _MAX_STREAM)
    if stream in CHAINED:
        raise cbor.MalformedError(f"a gap in the stream {STREAMS[stream]}, which has none")
    reason = Reason(cbor.uint(entry[2], min(Reason), max(Reason)))
    numbers = tuple(_range(item) for item in cbor.items(entry[3]))
    if not numbers:
        raise cbor.MalformedError("a gap entry names no number")
    if any(after[0] <= before[1] for before, after in itertools.pairwise(numbers)):
        raise cbor.MalformedError("the numbers of a gap entry do not ascend, or overlap")
    return Gap(stream, _session(entry[1]), reason, numbers)


def _range(item: bytes) -> Range:
    if not cbor.is_array(item):
        number = cbor.uint(item, 1, MAX_SEQUENCE)
        return number, number
    ends = cbor.items(item)
    if len(ends) != 2:
        raise cbor.MalformedError(f"a range has 2 ends, not {len(ends)}")
    first = cbor.uint(ends[0], 1, MAX_SEQUENCE - 1)
    return first, cbor.uint(ends[1], first + 1, MAX_SEQUENCE)


def _before(body: list[bytes]) -> tuple[elements.Fix, ...]:
    before = tuple(elements.fix(cbor.octets(item)) for item in _entries(body, "record of positions before"))
    if not 1 <= len(before) <= _MAX_BEFORE:
        raise cbor.MalformedError(f"a record has 1 or {_MAX_BEFORE} positions from before, not {len(before)}")
    return before


def _faults(body: list[bytes]) -> tuple[str, ...]:
    return tuple(_fault(item) for item in _entries(body, "health record"))


def _fault(item: bytes) -> str:
    code = cbor.text(item)
    if not 1 <= len(code.encode()) <= _MAX_FAULT_OCTETS:
        raise cbor.MalformedError(f"a fault's code has 1 to {_MAX_FAULT_OCTETS} octets, not {len(code.encode())}")
    return code


def _entries(body: list[bytes], what: str) -> list[bytes]:
    if not body:
        raise cbor.MalformedError(f"the {what} has no body")
    entries = cbor.items(body[0])
    if len(entries) > _MAX_ENTRIES:
        raise cbor.MalformedError(f"the {what} has {len(entries)} entries, more than {_MAX_ENTRIES}")
    return entries


def _session(item: bytes) -> bytes:
    session = cbor.octets(item)
    if len(session) != SESSION_OCTETS:
        raise cbor.MalformedError(f"a session has {SESSION_OCTETS} octets, not {len(session)}")
    return session
