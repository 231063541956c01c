"""Submissions and record payloads: octets to values (docs/protocol.md, sections 2, 3 and 5).

It reads what a record says. It checks no signature and keeps nothing.
"""

from dataclasses import dataclass

from bondmate_sim.gateway import bodies, cbor, cose, elements

VERSION = 1
STREAMS = ("alert", "state", "position", "presence", "health", "report")
ALERT, STATE, POSITIONS, PRESENCE_STREAM, HEALTH_STREAM, REPORT = range(6)
CHAINED = (ALERT, STATE)

PANIC, ASSISTANCE, MEDICAL, CHECK_IN_MISSED, MAN_DOWN, TAMPER, EXERCISE, ESCALATION = range(1, 9)
CANCELLATION, CHECK_IN = 9, 10
OPENING, ANCHOR, STORE_LOST, GAP, MESSAGE_STATE = range(16, 21)
POSITION, POSITIONS_BEFORE, PRESENCE, HEALTH, ACCEPTANCE = 32, 33, 48, 64, 80
_KIND_NAMES = {
    PANIC: "panic",
    ASSISTANCE: "assistance",
    MEDICAL: "medical",
    CHECK_IN_MISSED: "check-in-missed",
    MAN_DOWN: "man-down",
    TAMPER: "tamper",
    EXERCISE: "exercise",
    ESCALATION: "escalation",
    CANCELLATION: "cancellation",
    CHECK_IN: "check-in",
    OPENING: "opening",
    ANCHOR: "anchor",
    STORE_LOST: "store-lost",
    GAP: "gap",
    MESSAGE_STATE: "message-state",
    POSITION: "position",
    POSITIONS_BEFORE: "positions-before",
    PRESENCE: "presence",
    HEALTH: "health",
    ACCEPTANCE: "acceptance",
}
NO_CALLS = (CANCELLATION, CHECK_IN)
"""Kinds of the stream alert that are no call. One that is not known here is: somebody has to look at it."""

SESSION_OCTETS = bodies.SESSION_OCTETS
MAX_SEQUENCE = bodies.MAX_SEQUENCE
_SESSION_HEAD = 0x46
_ELEMENTS = 7

Predecessor = bodies.Predecessor
Reason = bodies.Reason
Gap = bodies.Gap


@dataclass(frozen=True, slots=True)
class Submission:
    """One record on its way in: the session it belongs to, and the record in one of its two forms."""

    session: bytes
    form: bytes


@dataclass(frozen=True, slots=True)
class Record:
    """The payload of a record.

    `cancellation`, `check_in`, `predecessors`, `gaps`, `states`, `before`, `faults` and `acceptance` are the bodies of
    a cancellation, a check-in, an opening, a gap, a message-state, of the positions before an alert (the newest first),
    of a health record and of an acceptance; None and empty in all other kinds.
    """

    kind: int
    sequence: int
    previous: bytes | None
    elapsed_ms: int
    clock: elements.Clock | None
    fix: elements.Fix | None
    cancellation: bodies.Cancellation | None
    check_in: bodies.CheckInBody | None
    predecessors: tuple[Predecessor, ...]
    gaps: tuple[Gap, ...]
    states: tuple[bodies.MessageState, ...]
    before: tuple[elements.Fix, ...]
    faults: tuple[str, ...]
    acceptance: bodies.Acceptance | None

    @property
    def stream(self) -> int:
        """The stream's number, 0 to 15."""
        return self.kind >> 4

    @property
    def is_call(self) -> bool:
        """Whether it is an alert that a human has to see: kinds 1 to 8, and what this stream may have in the future."""
        return self.stream == ALERT and self.kind not in NO_CALLS

    @property
    def cancels(self) -> bytes | None:
        """The first 8 octets of the digest of the call that it takes back, if it is a cancellation."""
        return None if self.cancellation is None else self.cancellation.call

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
            cancellation=bodies.cancellation(body) if kind == CANCELLATION else None,
            check_in=bodies.check_in(body) if kind == CHECK_IN else None,
            predecessors=bodies.predecessors(body) if kind == OPENING else (),
            gaps=bodies.gaps(body) if kind == GAP else (),
            states=bodies.message_states(body) if kind == MESSAGE_STATE else (),
            before=bodies.before(body) if kind == POSITIONS_BEFORE else (),
            faults=bodies.faults(body) if kind == HEALTH else (),
            acceptance=bodies.acceptance(body) if kind == ACCEPTANCE else None,
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
