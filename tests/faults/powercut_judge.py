"""After a power cut: start the device anew with the real code, and say what is wrong with what it finds.

A store is right when it is as before or as after each call that was under way, and in nothing between. Beside that
exact reading, the promises are asked for one by one, from the octets of the file alone.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import apsw
import cbor2

from bondmate.errors import StoreError
from bondmate.recorder import Recorder
from bondmate.records import (
    ALERT_KINDS,
    CHAINED,
    Duty,
    EarlierAlert,
    History,
    Kind,
    Moment,
    Opened,
    SessionId,
    SignedRecord,
    StoredRecord,
    Stream,
)
from bondmate.session import StartCounter
from bondmate.store.database import DATABASE_FILE
from bondmate.store.outbox import SqliteOutbox
from tests.faults.powercut_device import DEVICE, EVERYTHING, SIGNER
from tests.faults.powercut_model import Add, Begun, Call, Event, Mark, Model, Parts, PersistCounter, Returned, Row, make

Name = tuple[bytes, int, int]
"""Session, stream and sequence."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A row of the file, as it is."""

    name: Name
    kind: int
    data: bytes
    digest: bytes
    receipt: bytes | None


@dataclass(frozen=True, slots=True)
class Found:
    """What a start found, and did first."""

    opened: Opened
    history: History
    clock: Moment | None
    waiting: dict[Stream, int]
    pending: dict[Stream, list[StoredRecord]]
    latest: EarlierAlert | None
    duty: Duty | None
    cursor: int
    exercise: bytes | None
    counter: int
    session: SessionId
    opening: SignedRecord
    rows: list[Kept]
    """Without the opening, in the order of their commits."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the presses that were confirmed before the cut, and all that is wrong."""

    complaints: Sequence[str]
    lost: int
    duplicated: int
    model: Model
    """What the store came back as; when nothing is wrong."""


class Expectation:
    """What must be there at a point of a recording: follow the marks up to it."""

    def __init__(self, before: Model) -> None:
        self._model = before
        self._under_way: list[Call] = []
        self.marks = 0

    @property
    def confirmed(self) -> int:
        """So many presses were confirmed."""
        return sum(row.record.kind in ALERT_KINDS for row in self._model.rows.values())

    def mark(self, mark: Mark) -> None:
        """Take up the next mark."""
        self.marks += 1
        match mark:
            case Begun(call):
                call.begin(self._model)
                self._under_way.append(call)
            case Returned(call):
                self._under_way.remove(call)
                call.take_effect(self._model)

    def judge(self, found: Found | str) -> Verdict:
        """`found` is text when the store did not open."""
        if isinstance(found, str):
            return Verdict([found], self.confirmed, 0, self._model)
        readings = [(list(differences(model, found)), model) for model in self._possible()]
        complaints, model = min(readings, key=lambda reading: len(reading[0]))
        confirmed = [row for digest, row in self._model.rows.items() if not model.may_be_gone(digest)]
        complaints += [*unchained(model, found), *unexplained(confirmed, model, found), *next_session(model, found)]
        return Verdict(complaints, _lost(confirmed, found), _duplicated(model, found), model)

    def _possible(self) -> Iterator[Model]:
        """One model for each choice of the calls under way that took effect."""
        under_way = self._under_way
        for calls in chain.from_iterable(combinations(under_way, count) for count in range(len(under_way) + 1)):
            model = self._model.copy()
            for call in calls:
                call.take_effect(model)
            yield model


async def start(directory: Path, events: list[Event]) -> Found | str:
    """Start the device as the daemon does, make its first record, and end; text when the store does not open."""
    counter = StartCounter(directory)
    counter.load()
    loaded = counter.value
    session = counter.draw()
    outbox = SqliteOutbox(directory, DEVICE)
    parts = Parts(outbox, counter)
    try:
        opened = await outbox.open()
        history = await outbox.history()
        pending = {stream: await outbox.pending(stream, EVERYTHING) for stream in Stream}
        waiting, latest, clock = await outbox.waiting(), await outbox.latest_alert(), await outbox.clock()
        duty, cursor, exercise = await outbox.duty(), await outbox.cursor(), await outbox.kept("exercise")
        opening = Recorder(DEVICE, session, SIGNER, history, 0.0).opening(0.0, None)
        await make(Add(opening, clock or Moment(0.0, None)), parts, events)
        await make(PersistCounter(counter.value), parts, events)
    except StoreError as error:
        return f"the store failed: {error}"
    finally:
        await outbox.close()
    rows = read_rows(directory)
    if [row.digest for row in rows[-1:]] != [opening.digest]:
        return "the first record of the next session is not the last in the file"
    mailbox = cursor, exercise
    return Found(
        opened, history, clock, dict(waiting), pending, latest, duty, *mailbox, loaded, session, opening, rows[:-1]
    )


def read_rows(directory: Path) -> list[Kept]:
    """The records in the file, past all code of the store."""
    with closing(apsw.Connection(str(directory / DATABASE_FILE), vfs="unix")) as connection:
        return [
            Kept((row[0], row[1], row[2]), *row[3:])
            for row in connection.execute(
                "SELECT session, stream, sequence, kind, data, digest, receipt FROM record ORDER BY position"
            )
        ]


def differences(model: Model, found: Found) -> Iterator[str]:
    """Where the two are not the same."""
    if found.opened is not Opened.AS_IT_WAS:
        yield f"the store was {found.opened.value}"
    rows = {row.digest: row for row in found.rows}
    for digest, row in model.rows.items():
        if digest not in rows:
            if not model.may_be_gone(digest):
                yield f"{row.record.id} is missing"
        elif _as_kept(row) != rows[digest]:
            yield f"{row.record.id} is not as it was kept"
    for kept in found.rows:
        if kept.digest not in model.rows:
            yield f"{kept.name} was never kept, or let go"
    if dict(found.history.heads) != model.heads:
        yield f"the chains end at {found.history.heads}, not at {model.heads}"
    for what, is_now, was in (
        ("the clock", found.clock, model.clock),
        ("duty", found.duty, model.duty),
        ("the mailbox", (found.cursor, found.exercise), (model.cursor, model.exercise)),
        ("the start counter", found.counter, model.counter),
    ):
        if is_now != was:
            yield f"{what} is {is_now}, not {was}"
    yield from _other_pending(model, found)
    if model.newest_alert is None or model.newest_alert.record.digest in rows:
        yield from _other_alert(model, found.latest)


def _other_pending(model: Model, found: Found) -> Iterator[str]:
    for stream in Stream:
        kept = [row for row in model.rows.values() if row.record.id.stream is stream and row.receipt is None]
        told = [(entry.record, entry.stored, entry.felt) for entry in reversed(found.pending[stream])]
        if told != [(row.record, row.stored, row.felt) for row in kept]:
            yield f"what is pending in {stream.label} is not what was kept without a receipt"
        if found.waiting.get(stream, 0) != len(kept):
            yield f"{found.waiting.get(stream, 0)} records wait in {stream.label}, not {len(kept)}"


def _other_alert(model: Model, latest: EarlierAlert | None) -> Iterator[str]:
    row = model.newest_alert
    if row is None or latest is None:
        if (row is None) != (latest is None):
            yield "the newest alert is there where none was, or is not there"
        return
    if (latest.alert.record, latest.alert.delivered, latest.alert.felt) != (row.record, row.delivered, row.felt):
        yield f"the newest alert is {latest.alert}, not {row}"
    rows = list(model.rows.values())
    behind = rows[rows.index(row) :]
    if latest.cancelled != any(later.record.kind is Kind.CANCELLATION for later in behind):
        yield "the newest alert was cancelled, or was not"
    if latest.closed != model.marks.get(row.record.digest):
        yield "the newest alert was closed, or was not"
    positions = [later for later in behind if later.record.kind is Kind.POSITION]
    told = None if latest.position is None else latest.position.record
    left = [later.record for later in positions if not model.may_be_gone(later.record.digest)]
    if told not in [later.record for later in positions] + [None] * (not left) or (left and told != left[-1]):
        yield "the last position of the newest alert is another one"


def _as_kept(row: Row) -> Kept:
    record, identity = row.record, row.record.id
    name = (identity.session.octets, int(identity.stream), identity.sequence)
    return Kept(name, int(record.kind), record.data, record.digest, row.receipt)


def unchained(model: Model, found: Found) -> Iterator[str]:
    """Records of a chained stream whose predecessor is not the one that they were signed to follow."""
    before: dict[int, bytes | None] = dict.fromkeys(map(int, CHAINED))
    gone = {digest[:4] for digest in model.rows if model.may_be_gone(digest)}
    for row in found.rows:
        stream = row.name[1]
        if stream in before:
            previous = _payload(row.data)[3]
            if previous != before[stream] and previous not in gone:
                yield f"{row.name} follows {previous!r}, and behind it is {before[stream]!r}"
            before[stream] = row.digest[:4]


def unexplained(confirmed: Iterable[Row], model: Model, found: Found) -> Iterator[str]:
    """Confirmed records that are missing, though no gap record names them."""
    names = {row.name for row in found.rows}
    told = {row.digest: row.data for row in found.rows}
    told |= {digest: row.record.data for digest, row in model.rows.items() if model.may_be_gone(digest)}
    named = {name for data in told.values() for name in _named(data)}
    for row in confirmed:
        if _as_kept(row).name not in names | named:
            yield f"{row.record.id} is missing, and no gap names it"


def _lost(confirmed: Iterable[Row], found: Found) -> int:
    """Confirmed presses that are not there, and those that are there without the receipt that was kept."""
    rows = {row.digest: row for row in found.rows}
    presses = [row for row in confirmed if row.record.kind in ALERT_KINDS]
    return sum(
        kept is None or kept.data != press.record.data or (press.receipt is not None and kept.receipt is None)
        for press in presses
        for kept in [rows.get(press.record.digest)]
    )


def _named(gap: bytes) -> Iterator[Name]:
    payload = _payload(gap)
    if payload[1] != Kind.GAP:
        return
    for stream, session, _reason, numbers in payload[7]:
        for number in numbers:
            first, last = (number, number) if isinstance(number, int) else number
            yield from ((session, stream, sequence) for sequence in range(first, last + 1))


def next_session(model: Model, found: Found) -> Iterator[str]:
    """What is wrong with the session that began after the cut."""
    if any(found.session == row.record.id.session for row in model.rows.values()):
        yield f"session {found.session} was there before"
    payload = _payload(found.opening.data)
    ends = [
        [int(stream), None] if head is None else [int(stream), head.session.octets, head.sequence, head.digest]
        for stream, head in sorted(model.heads.items())
    ]
    if payload[7] != ends:
        yield f"the opening goes on from {payload[7]}, not from {ends}"
    state = model.heads.get(Stream.STATE)
    if payload[3] != (None if state is None else state.digest[:4]):
        yield "the opening does not follow the last record of its stream"


def _duplicated(model: Model, found: Found) -> int:
    """Identities that two records have: in the file, or one there and one that was made before."""
    made = {_as_kept(row).name: row.record.digest for row in model.rows.values()}
    names = [row.name for row in found.rows]
    forked = sum(made.get(row.name, row.digest) != row.digest for row in found.rows)
    return len(names) - len(set(names)) + forked + any(name[0] == found.session.octets for name in made)


def _payload(data: bytes) -> Any:
    return cbor2.loads(cbor2.loads(data).value[2])
