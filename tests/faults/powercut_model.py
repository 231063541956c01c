"""What a store must hold after the calls that were made on it, said without a store: the calls, and a model of a disk
full of records.

Written from ports.Outbox and docs/protocol.md alone. It judges nothing; see powercut_judge.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from bondmate.mail import KeptMessage, MessageState, MessageType
from bondmate.ports import Outbox
from bondmate.records import ALERT_KINDS, CHAINED, Duty, Felt, Head, History, Kind, Moment, SignedRecord, Stream
from bondmate.session import StartCounter
from tests.faults.powercut_disk import Operation


@dataclass(frozen=True, slots=True)
class Row:
    """A record that is kept."""

    record: SignedRecord
    stored: Moment
    receipt: bytes | None = None
    delivered: Moment | None = None
    felt: Felt = Felt.NOTHING


@dataclass(slots=True)
class Model:
    """The state directory as the device may rely on it."""

    rows: dict[bytes, Row] = field(default_factory=dict)
    """By digest, in the order of their commits."""
    heads: dict[Stream, Head | None] = field(default_factory=dict)
    clock: Moment | None = None
    duty: Duty | None = None
    erased_until_s: float = float("-inf")
    """What was delivered before this lifetime may be gone, but for the newest alert while it is open."""
    upkept_until_s: float = float("-inf")
    """The same for positions and presences, but for the last position of the newest alert while it is open."""
    counter: int = 0
    cursor: int = 0
    """Of the mailbox."""
    marks: dict[bytes, Moment] = field(default_factory=dict)
    """Calls that a dispatcher closed, by digest."""
    exercise: bytes | None = None

    def copy(self) -> "Model":
        """Another model, that goes its own way from here."""
        return replace(self, rows=dict(self.rows), heads=dict(self.heads), marks=dict(self.marks))

    @property
    def newest_alert(self) -> Row | None:
        """The alert that was stored last."""
        return next((row for row in reversed(self.rows.values()) if row.record.kind in ALERT_KINDS), None)

    def may_be_gone(self, digest: bytes) -> bool:
        """Whether upkeep may have erased the record."""
        row, newest = self.rows.get(digest), self.newest_alert
        if row is None or row.delivered is None:
            return False
        if newest is not None and not self.closed:
            rows = list(self.rows.values())
            behind = rows[rows.index(newest) :]
            last = next((each for each in reversed(behind) if each.record.kind is Kind.POSITION), None)
            if row in (newest, last):
                return False
        if row.record.id.stream in (Stream.POSITION, Stream.PRESENCE):
            return row.delivered.lifetime_s <= self.upkept_until_s
        return row.delivered.lifetime_s <= self.erased_until_s

    @property
    def closed(self) -> bool:
        """Whether the newest alert was cancelled, or closed."""
        newest = self.newest_alert
        if newest is None or newest.record.digest in self.marks:
            return newest is not None
        rows = list(self.rows.values())
        return any(row.record.kind is Kind.CANCELLATION for row in rows[rows.index(newest) :])

    def put(self, record: SignedRecord, moment: Moment) -> None:
        """Keep a record, unless it is there."""
        if record.digest in self.rows:
            return
        self.rows[record.digest] = Row(record, moment)
        identity = record.id
        if identity.stream in CHAINED:
            head = self.heads.get(identity.stream)
            if head is None or head.session != identity.session or head.sequence < identity.sequence:
                self.heads[identity.stream] = Head(identity.session, identity.sequence, record.digest)

    def tick(self, moment: Moment) -> None:
        """Keep the time: the lifetime only grows, and while UTC is unknown the last known moves on with it."""
        before = self.clock or Moment(0.0, None)
        utc_ms = moment.utc_ms
        if utc_ms is None and before.utc_ms is not None:
            utc_ms = before.utc_ms + int(max(0.0, moment.lifetime_s - before.lifetime_s) * 1000)
        self.clock = Moment(max(before.lifetime_s, moment.lifetime_s), utc_ms)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a call is made on."""

    outbox: Outbox
    counter: StartCounter


class Call(Protocol):
    """One call of the device, whose effect is on the disk when it has returned: all of it, or none before."""

    async def make(self, parts: Parts) -> None:
        """Make it."""

    def begin(self, model: Model) -> None:
        """What may be gone as soon as it began."""

    def take_effect(self, model: Model) -> None:
        """What it comes to."""


class _Whole:
    """A call that is done or not done, and nothing between."""

    def begin(self, model: Model) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Add(_Whole):
    """Commit a record."""

    record: SignedRecord
    moment: Moment

    async def make(self, parts: Parts) -> None:
        await parts.outbox.add(self.record, self.moment)

    def take_effect(self, model: Model) -> None:
        model.put(self.record, self.moment)
        model.tick(self.moment)


@dataclass(frozen=True, slots=True)
class Deliver(_Whole):
    """Keep a receipt."""

    digest: bytes
    receipt: bytes
    moment: Moment

    async def make(self, parts: Parts) -> None:
        await parts.outbox.mark_delivered(self.digest, self.receipt, self.moment)

    def take_effect(self, model: Model) -> None:
        row = model.rows[self.digest]
        if row.receipt is None:
            model.rows[self.digest] = replace(row, receipt=self.receipt, delivered=self.moment)
        model.tick(self.moment)


@dataclass(frozen=True, slots=True)
class Feel(_Whole):
    """Keep what the palm felt."""

    digest: bytes
    felt: Felt

    async def make(self, parts: Parts) -> None:
        await parts.outbox.mark_felt(self.digest, self.felt)

    def take_effect(self, model: Model) -> None:
        model.rows[self.digest] = replace(model.rows[self.digest], felt=self.felt)


@dataclass(frozen=True, slots=True)
class Thin(_Whole):
    """Let go of records, and say so in another."""

    gap: SignedRecord
    digests: Sequence[bytes]
    moment: Moment

    async def make(self, parts: Parts) -> None:
        await parts.outbox.thin(self.gap, self.digests, self.moment)

    def take_effect(self, model: Model) -> None:
        for digest in self.digests:
            if model.rows[digest].receipt is None:
                del model.rows[digest]
        model.put(self.gap, self.moment)
        model.tick(self.moment)


@dataclass(frozen=True, slots=True)
class Restore(_Whole):
    """Commit at once what was only in memory, and where the chains stand."""

    records: Sequence[SignedRecord]
    heads: Mapping[Stream, Head | None]
    moment: Moment

    async def make(self, parts: Parts) -> None:
        await parts.outbox.restore(self.records, History(self.heads), self.moment)

    def take_effect(self, model: Model) -> None:
        for record in self.records:
            model.put(record, self.moment)
        model.heads = dict(self.heads)
        model.tick(self.moment)


@dataclass(frozen=True, slots=True)
class Upkeep:
    """Erase what was delivered long ago; in as many steps as it likes."""

    moment: Moment
    keep_delivered_s: float

    async def make(self, parts: Parts) -> None:
        await parts.outbox.upkeep(self.moment, self.keep_delivered_s)

    def begin(self, model: Model) -> None:
        model.erased_until_s = max(model.erased_until_s, self.moment.lifetime_s - self.keep_delivered_s)
        model.upkept_until_s = max(model.upkept_until_s, self.moment.lifetime_s)

    def take_effect(self, model: Model) -> None:
        model.tick(self.moment)


@dataclass(frozen=True, slots=True)
class KeepDuty(_Whole):
    """Begin a shift, or end it."""

    duty: Duty | None
    moment: Moment

    async def make(self, parts: Parts) -> None:
        await parts.outbox.keep_duty(self.duty, self.moment)

    def take_effect(self, model: Model) -> None:
        model.duty = self.duty
        model.tick(self.moment)


@dataclass(frozen=True, slots=True)
class TakeMessage(_Whole):
    """Take a message that closes calls, and what an exercise comes to with it."""

    number: int
    closes: Sequence[bytes]
    exercise: bytes
    moment: Moment

    async def make(self, parts: Parts) -> None:
        message = KeptMessage(self.number, MessageType.CLOSE, b"octets", None, self.moment, MessageState.TAKEN)
        await parts.outbox.take_message(message, closes=self.closes, by="a name", kept={"exercise": self.exercise})

    def take_effect(self, model: Model) -> None:
        model.tick(self.moment)
        if self.number <= model.cursor:
            return
        model.cursor, model.exercise = self.number, self.exercise
        for digest in self.closes:
            model.marks.setdefault(digest, self.moment)


@dataclass(frozen=True, slots=True)
class PersistCounter(_Whole):
    """Keep the start counter."""

    value: int

    async def make(self, parts: Parts) -> None:
        parts.counter.persist()

    def take_effect(self, model: Model) -> None:
        model.counter = self.value


@dataclass(frozen=True, slots=True)
class Begun:
    """A mark in a recording: the call was made."""

    call: Call


@dataclass(frozen=True, slots=True)
class Returned:
    """A mark in a recording: the call returned, and whoever made it relies on it."""

    call: Call


Mark = Begun | Returned
Event = Operation | Mark
"""What a recording is made of."""


async def make(call: Call, parts: Parts, events: list[Event]) -> None:
    """Make a call, between its two marks."""
    events.append(Begun(call))
    await call.make(parts)
    events.append(Returned(call))
