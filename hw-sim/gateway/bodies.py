"""What the bodies of records say: octets to values, by kind (docs/protocol.md, section 3).

Each reader takes a body as it stands in the record: the octets of its elements, of which the first is the body and the
others come from a later version. All of them raise cbor.MalformedError. It does not know what a record is.
"""

import enum
import itertools
from dataclasses import dataclass

from bondmate_sim.gateway import cbor, elements
from bondmate_sim.gateway.ranges import Range

SESSION_OCTETS = 6
MAX_SEQUENCE = 2**32 - 1
CANCELLED_OCTETS = 8
"""So much of a call's digest stands in a cancellation."""

_CHAINED = {0: "alert", 1: "state"}
_MAX_STREAM = 15
_MAX_ENTRIES = 16
_MAX_GAP_NUMBERS = 128
_MAX_FAULT_OCTETS = 32
_MAX_BEFORE = 2
_MAX_CHECK_IN_S = 86_400
_MAX_NOTE_OCTETS = 120
_MAX_STATE_TEXT_OCTETS = 160
_MAX_SOFTWARE_OCTETS = 64
_MAX_CHECKS, _MAX_CHECK_OCTETS, _MAX_FOUND_OCTETS = 32, 24, 64


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


class How(enum.IntEnum):
    """By what an alert was taken back."""

    TOOL = 0
    PIN = 1
    GESTURE = 2
    DURESS = 3


@dataclass(frozen=True, slots=True)
class Cancellation:
    """The first 8 octets of the digest of the newest call that is taken back, and how; None when that is not told."""

    call: bytes
    how: How | None


class Action(enum.IntEnum):
    """What became of the officer's check-in."""

    BEGIN = 1
    EXTEND = 2
    END = 3


@dataclass(frozen=True, slots=True)
class CheckInBody:
    """A check-in: in how many seconds from the record's time it is due, and what the officer noted, or None."""

    action: Action
    seconds: int
    note: str | None


class State(enum.IntEnum):
    """What became of a mailbox message at the device."""

    TAKEN = 1
    READ = 2
    ANSWERED = 3
    WITHOUT_EFFECT = 4
    CARRIED_OUT = 5
    FAILED = 6


_LEAST_TEXT = {State.ANSWERED: 1, State.CARRIED_OUT: 0, State.FAILED: 0}
"""The states that have a text, and how many octets of it at least."""


@dataclass(frozen=True, slots=True)
class MessageState:
    """The state of one message by its number; `text` is the answer, or what came of carrying it out."""

    number: int
    state: State
    text: str | None


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that a device tested of itself: `ok` is None where it has nothing of the kind."""

    name: str
    ok: bool | None
    found: str | None


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What a device found that tested itself in whole, and the software that did."""

    software: str
    checks: tuple[Check, ...]


def cancellation(body: list[bytes]) -> Cancellation:
    """Read the body of a cancellation, with or without how."""
    if not body:
        raise cbor.MalformedError("the cancellation names no alert")
    value = cbor.octets(body[0])
    if len(value) not in (CANCELLED_OCTETS, CANCELLED_OCTETS + 1):
        raise cbor.MalformedError(f"a cancellation names 8 octets of a digest and how, not {len(value)} octets")
    if len(value) == CANCELLED_OCTETS:
        return Cancellation(value, None)
    if value[-1] not in set(How):
        raise cbor.MalformedError(f"a cancellation in way {value[-1]}, which is not defined")
    return Cancellation(value[:-1], How(value[-1]))


def check_in(body: list[bytes]) -> CheckInBody:
    """Read the body of a check-in."""
    parts = _entries(body, "check-in")
    if len(parts) not in (2, 3):
        raise cbor.MalformedError(f"a check-in has 2 or 3 elements, not {len(parts)}")
    return CheckInBody(
        Action(cbor.uint(parts[0], min(Action), max(Action))),
        cbor.uint(parts[1], 0, _MAX_CHECK_IN_S),
        _text(parts[2], "a note", _MAX_NOTE_OCTETS) if len(parts) == 3 else None,
    )


def message_states(body: list[bytes]) -> tuple[MessageState, ...]:
    """Read the body of a message-state."""
    states = tuple(_message_state(cbor.items(entry)) for entry in _entries(body, "message-state"))
    if not states:
        raise cbor.MalformedError("the message-state has no entry")
    return states


def _message_state(entry: list[bytes]) -> MessageState:
    if len(entry) not in (2, 3):
        raise cbor.MalformedError(f"a message's state has 2 or 3 elements, not {len(entry)}")
    number = cbor.uint(entry[0], 1, MAX_SEQUENCE)
    state = State(cbor.uint(entry[1], min(State), max(State)))
    least = _LEAST_TEXT.get(state)
    if (least is None) != (len(entry) == 2):
        raise cbor.MalformedError("a text stands beside the states answered, carried out and failed, and no other")
    text = None if least is None else _text(entry[2], "the text of a state", _MAX_STATE_TEXT_OCTETS, least)
    return MessageState(number, state, text)


def acceptance(body: list[bytes]) -> Acceptance:
    """Read the body of an acceptance."""
    parts = cbor.items(body[0]) if body else []
    if len(parts) != 2:
        raise cbor.MalformedError("the body of an acceptance is the software and the checks")
    checks = tuple(_check(cbor.items(entry)) for entry in cbor.items(parts[1]))
    if not 1 <= len(checks) <= _MAX_CHECKS:
        raise cbor.MalformedError(f"an acceptance has 1 to {_MAX_CHECKS} checks, not {len(checks)}")
    return Acceptance(_text(parts[0], "the software", _MAX_SOFTWARE_OCTETS), checks)


def _check(entry: list[bytes]) -> Check:
    if len(entry) not in (2, 3):
        raise cbor.MalformedError(f"a check has 2 or 3 elements, not {len(entry)}")
    return Check(
        _text(entry[0], "a check's name", _MAX_CHECK_OCTETS),
        None if entry[1] == cbor.NULL else cbor.boolean(entry[1]),
        _text(entry[2], "what a check found", _MAX_FOUND_OCTETS, 0) if len(entry) == 3 else None,
    )


def predecessors(body: list[bytes]) -> tuple[Predecessor, ...]:
    """Read the body of an opening."""
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


def gaps(body: list[bytes]) -> tuple[Gap, ...]:
    """Read the body of a gap."""
    found = tuple(_gap(cbor.items(entry)) for entry in _entries(body, "gap"))
    if not found:
        raise cbor.MalformedError("the gap has no entry")
    count = sum(len(each.numbers) for each in found)
    if count > _MAX_GAP_NUMBERS:
        raise cbor.MalformedError(f"the gap has {count} numbers and ranges, more than {_MAX_GAP_NUMBERS}")
    return found


def _gap(entry: list[bytes]) -> Gap:
    if len(entry) != 4:
        raise cbor.MalformedError(f"a gap entry has 4 elements, not {len(entry)}")
    stream = cbor.uint(entry[0], 0, _MAX_STREAM)
    if stream in _CHAINED:
        raise cbor.MalformedError(f"a gap in the stream {_CHAINED[stream]}, which has none")
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


def before(body: list[bytes]) -> tuple[elements.Fix, ...]:
    """Read the body of positions before an alert."""
    found = tuple(elements.fix(cbor.octets(item)) for item in _entries(body, "record of positions before"))
    if not 1 <= len(found) <= _MAX_BEFORE:
        raise cbor.MalformedError(f"a record has 1 or {_MAX_BEFORE} positions from before, not {len(found)}")
    return found


def faults(body: list[bytes]) -> tuple[str, ...]:
    """Read the body of a health record."""
    return tuple(_fault(item) for item in _entries(body, "health record"))


def _fault(item: bytes) -> str:
    return _text(item, "a fault's code", _MAX_FAULT_OCTETS)


def _text(item: bytes, what: str, most: int, least: int = 1) -> str:
    value = cbor.text(item)
    if not least <= len(value.encode()) <= most:
        raise cbor.MalformedError(f"{what} has {least} to {most} octets, not {len(value.encode())}")
    return value


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
