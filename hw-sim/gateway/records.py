"""Submissions and record payloads: octets to values (docs/protocol.md, sections 2, 3 and 5).

It reads what a record says. It checks no signature and keeps nothing.
"""

from dataclasses import dataclass

from bondmate_sim.gateway import cbor, cose, elements

VERSION = 1
STREAMS = ("alert", "state", "position", "presence", "health", "report")
ALERT, STATE, POSITIONS = 0, 1, 2
CHAINED = (ALERT, STATE)

PANIC, CANCELLATION, OPENING, ANCHOR, POSITION = 1, 9, 16, 17, 32
_KIND_NAMES = {
    PANIC: "panic",
    CANCELLATION: "cancellation",
    OPENING: "opening",
    ANCHOR: "anchor",
    POSITION: "position",
}

SESSION_OCTETS = 6
_SESSION_HEAD = 0x46
_MAX_SEQUENCE = 2**32 - 1
_ELEMENTS = 7
_MAX_OPENING_ENTRIES = 16


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


@dataclass(frozen=True, slots=True)
class Record:
    """The payload of a record. `cancels` and `predecessors` are the bodies of a cancellation and of an opening."""

    kind: int
    sequence: int
    previous: bytes | None
    elapsed_ms: int
    clock: elements.Clock | None
    fix: elements.Fix | None
    cancels: bytes | None
    predecessors: tuple[Predecessor, ...]

    @property
    def stream(self) -> int:
        """The stream's number, 0 to 15."""
        return self.kind >> 4


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
        sequence = cbor.uint(parts[2], 1, _MAX_SEQUENCE)
    except cbor.MalformedError as error:
        raise UnreadableError(f"malformed record: {error}") from error
    stream = kind >> 4
    if stream >= len(STREAMS):
        raise UnreadableError(f"stream {stream} is not known here", stream, sequence)
    try:
        return Record(
            kind=kind,
            sequence=sequence,
            previous=_previous(parts[3]),
            elapsed_ms=cbor.uint(parts[4], 0, 2**64 - 1),
            clock=None if parts[5] == cbor.NULL else elements.clock(cbor.octets(parts[5])),
            fix=None if parts[6] == cbor.NULL else elements.fix(cbor.octets(parts[6])),
            cancels=_cancels(parts[_ELEMENTS:]) if kind == CANCELLATION else None,
            predecessors=_predecessors(parts[_ELEMENTS:]) if kind == OPENING else (),
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
    if not body:
        raise cbor.MalformedError("the opening has no body")
    entries = cbor.items(body[0])
    if len(entries) > _MAX_OPENING_ENTRIES:
        raise cbor.MalformedError(f"the opening has {len(entries)} entries, more than {_MAX_OPENING_ENTRIES}")
    return tuple(_predecessor(cbor.items(entry)) for entry in entries)


def _predecessor(entry: list[bytes]) -> Predecessor:
    match entry:
        case [stream, cbor.NULL]:
            return Predecessor(cbor.uint(stream, 0, 15), None, None, None)
        case [stream, session, sequence, digest]:
            named = Predecessor(
                cbor.uint(stream, 0, 15),
                cbor.octets(session),
                cbor.uint(sequence, 1, _MAX_SEQUENCE),
                cbor.octets(digest),
            )
            if (len(named.session or b""), len(named.digest or b"")) != (SESSION_OCTETS, 16):
                raise cbor.MalformedError("an opening entry names a session of 6 octets and a digest of 16")
            return named
        case _:
            raise cbor.MalformedError(f"an opening entry has 2 or 4 elements, not {len(entry)}")
