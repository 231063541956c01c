"""The outbox against a plain Python model of it, through any sequence of calls and restarts."""

import asyncio
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from bondmate.mail import KeptMessage, MessageState, MessageType
from bondmate.records import (
    CHAINED,
    Duty,
    EarlierAlert,
    Felt,
    Head,
    History,
    Kind,
    Moment,
    Opened,
    SessionId,
    SignedRecord,
    StoredRecord,
    Stream,
)
from bondmate.store import marks, outbox, queries, rows
from bondmate.store.outbox import SqliteOutbox
from tests.store.samples import DEVICE, FIRST, SECOND, record

MEMORY = Path("/dev/shm")
"""Where syncing costs nothing: what it is good for is not the subject here."""

RECORDS = [
    record(kind, number, session)
    for session in (FIRST, SECOND)
    for kind, numbers in (
        (Kind.PANIC, (1, 3, 4)),
        (Kind.CANCELLATION, (2, 5)),
        (Kind.OPENING, (1,)),
        (Kind.GAP, (2, 3)),
        (Kind.POSITION, (1, 2, 4)),
        (Kind.POSITIONS_BEFORE, (3,)),
        (Kind.PRESENCE, (1, 2)),
        (Kind.HEALTH, (1, 2)),
    )
    for number in numbers
]
GAPS = [one for one in RECORDS if one.kind is Kind.GAP]
HEADS = [None, *(Head(one.id.session, one.id.sequence, one.digest) for one in RECORDS[:3])]

some_record = st.sampled_from(RECORDS)
some_records = st.lists(some_record, max_size=12, unique=True)
some_moment = st.builds(Moment, st.integers(0, 60).map(float), st.none() | st.integers(0, 60))


@dataclass
class Row:
    stored: StoredRecord
    receipt: bytes | None = None


class Model:
    """What ports.Outbox says, in a list."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.heads: dict[Stream, Head | None] = {}
        self.clock: Moment | None = None
        self.duty: Duty | None = None
        self.places = 0
        self.marks: dict[tuple[bytes, bool], tuple[Moment, str]] = {}
        """By digest, and whether it closes."""
        self.cursor = 0

    def wrote(self, moment: Moment) -> None:
        before = self.clock or moment
        lifetime_s, utc_ms = max(before.lifetime_s, moment.lifetime_s), moment.utc_ms
        if utc_ms is None and before.utc_ms is not None:
            utc_ms = before.utc_ms + int(lifetime_s - before.lifetime_s) * 1000
        self.clock = Moment(lifetime_s, utc_ms)

    def insert(self, one: SignedRecord, moment: Moment, *, is_head: bool) -> None:
        self.places += 1  # one that is there already uses one up
        if any(row.stored.record == one for row in self.rows):
            return
        self.rows.append(Row(StoredRecord(one, self.places, moment, None, Felt.NOTHING)))
        head = self.heads.get(one.id.stream)
        newer = head is None or head.session != one.id.session or head.sequence < one.id.sequence
        if is_head and one.id.stream in CHAINED and newer:
            self.heads[one.id.stream] = Head(one.id.session, one.id.sequence, one.digest)

    @property
    def newest_alert(self) -> StoredRecord | None:
        """Of the session whose alert came last, the one with the highest number."""
        alerts = [row.stored for row in self.rows if row.stored.record.kind is Kind.PANIC]
        last = max(alerts, key=lambda stored: stored.place, default=None)
        if last is None:
            return None
        same = [each for each in alerts if each.record.id.session == last.record.id.session]
        return max(same, key=lambda stored: stored.record.id.sequence)

    def is_behind(self, newest: StoredRecord, other: StoredRecord) -> bool:
        """In the stream of alerts."""
        if other.record.id.session == newest.record.id.session:
            return other.record.id.sequence > newest.record.id.sequence
        return other.place > newest.place

    def positions_behind(self, newest: StoredRecord) -> list[StoredRecord]:
        found = [row.stored for row in self.rows if row.stored.record.kind is Kind.POSITION]
        return sorted((each for each in found if each.place > newest.place), key=lambda each: each.place)

    def is_over(self, newest: StoredRecord) -> bool:
        return self.is_cancelled(newest) or (newest.record.digest, True) in self.marks

    def is_cancelled(self, newest: StoredRecord) -> bool:
        ends = [row.stored for row in self.rows if row.stored.record.kind is Kind.CANCELLATION]
        return any(self.is_behind(newest, end) for end in ends)

    def pending(self) -> list[StoredRecord]:
        return [row.stored for row in self.rows if row.receipt is None]

    def erase_marks(self, older_s: float) -> None:
        """Behind records: those on what is not there."""
        there = {row.stored.record.digest for row in self.rows}
        self.marks = {
            named: mark for named, mark in self.marks.items() if named[0] in there or mark[0].lifetime_s >= older_s
        }

    def erase(self, older_s: float) -> None:
        newest = self.newest_alert
        closed = newest is not None and self.is_over(newest)
        last_position = self.positions_behind(newest)[-1:] if newest is not None and not closed else []
        alerts = [row.stored for row in self.rows if row.stored.record.id.stream is Stream.ALERT]
        # an older one must not pass for the newest, and it must not pass for open without what closed it
        protected = not closed or any(
            each.delivered is None
            or each.delivered.lifetime_s >= older_s
            or not (each == newest or self.is_behind(newest, each))
            for each in alerts
            if newest is not None
        )

        def stays(row: Row) -> bool:
            stored = row.stored
            if stored.delivered is None or stored in last_position:
                return True
            if stored.record.id.stream in (Stream.POSITION, Stream.PRESENCE):
                return False
            if stored.delivered.lifetime_s >= older_s:
                return True
            return (
                protected
                and newest is not None
                and stored.record.id.stream is Stream.ALERT
                and (stored == newest or self.is_behind(newest, stored))
            )

        before = len(self.rows)
        self.rows = [row for row in self.rows if stays(row)]
        if len(self.rows) < before:
            self.erase(older_s)


class Comparison(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory(prefix="bms-", dir=MEMORY if MEMORY.is_dir() else None)
        self.loop = asyncio.new_event_loop()
        self.model = Model()

    def do(self, call: Any) -> Any:
        return self.loop.run_until_complete(call)

    @initialize()
    def start(self) -> None:
        self.outbox = SqliteOutbox(Path(self.directory.name), DEVICE)
        assert self.do(self.outbox.open()) is Opened.AS_IT_WAS

    @rule()
    def restart(self) -> None:
        self.do(self.outbox.close())
        self.start()

    @rule(one=some_record, moment=some_moment)
    def add(self, one: SignedRecord, moment: Moment) -> None:
        self.do(self.outbox.add(one, moment))
        self.model.insert(one, moment, is_head=True)
        self.model.wrote(moment)

    @rule(
        records=some_records,
        heads=st.dictionaries(st.sampled_from(CHAINED), st.sampled_from(HEADS)),
        moment=some_moment,
    )
    def restore(self, records: list[SignedRecord], heads: dict[Stream, Head | None], moment: Moment) -> None:
        self.do(self.outbox.restore(records, History(heads), moment))
        for one in records:
            self.model.insert(one, moment, is_head=False)
        for stream, head in heads.items():
            if head is not None or stream not in self.model.heads:
                self.model.heads[stream] = head
        self.model.wrote(moment)

    @rule(
        session=st.sampled_from([FIRST, SECOND]),
        since_s=st.integers(0, 60),
        length_s=st.integers(0, 60),
        by_s=st.integers(1, 20),
    )
    def shift(self, session: SessionId, since_s: int, length_s: int, by_s: int) -> None:
        until_s = since_s + length_s

        def shifted(moment: Moment) -> Moment:
            return replace(
                moment, lifetime_s=moment.lifetime_s + (by_s if since_s < moment.lifetime_s <= until_s else 0)
            )

        self.do(self.outbox.shift(session, float(since_s), float(until_s), float(by_s)))
        for row in self.model.rows:
            stored = row.stored
            kept = shifted(stored.stored) if stored.record.id.session == session else stored.stored
            row.stored = replace(stored, stored=kept, delivered=stored.delivered and shifted(stored.delivered))
        duty = self.model.duty
        if duty is not None and duty.session == session:
            self.model.duty = replace(duty, began=shifted(duty.began))
        self.model.marks = {named: (shifted(when), by) for named, (when, by) in self.model.marks.items()}

    @rule(duty=st.none() | st.builds(Duty, some_moment, st.sampled_from([FIRST, SECOND])), moment=some_moment)
    def keep_duty(self, duty: Duty | None, moment: Moment) -> None:
        self.do(self.outbox.keep_duty(duty, moment))
        self.model.duty = duty
        self.model.wrote(moment)

    @rule(acknowledges=st.lists(some_record, max_size=2), closes=st.lists(some_record, max_size=2), moment=some_moment)
    def dispatcher_marks(self, acknowledges: list[SignedRecord], closes: list[SignedRecord], moment: Moment) -> None:
        """Also calls that are not there (yet)."""
        self.model.cursor += 1
        by = f"operator {self.model.cursor}"
        message = KeptMessage(self.model.cursor, MessageType.CLOSE, b"octets", None, moment, MessageState.TAKEN)
        named = {False: [one.digest for one in acknowledges], True: [one.digest for one in closes]}
        assert self.do(self.outbox.take_message(message, acknowledges=named[False], closes=named[True], by=by))
        for closing, digests in named.items():
            for digest in digests:
                self.model.marks.setdefault((digest, closing), (moment, by))
        self.model.wrote(moment)

    @rule(records=some_records, receipt=st.binary(min_size=1, max_size=3), moment=some_moment)
    def mark_delivered(self, records: list[SignedRecord], receipt: bytes, moment: Moment) -> None:
        for one in records:
            self.do(self.outbox.mark_delivered(one.digest, receipt, moment))
            self.model.wrote(moment)
        for row in self.model.rows:
            if row.stored.record in records and row.receipt is None:
                row.receipt, row.stored = receipt, replace(row.stored, delivered=moment)

    @rule(one=some_record, felt=st.sampled_from(Felt))
    def mark_felt(self, one: SignedRecord, felt: Felt) -> None:
        self.do(self.outbox.mark_felt(one.digest, felt))
        for row in self.model.rows:
            if row.stored.record == one:
                row.stored = replace(row.stored, felt=max(row.stored.felt, felt))

    @rule(gap=st.sampled_from(GAPS), records=some_records, moment=some_moment)
    def thin(self, gap: SignedRecord, records: list[SignedRecord], moment: Moment) -> None:
        self.do(self.outbox.thin(gap, [one.digest for one in records], moment))
        self.model.insert(gap, moment, is_head=True)
        self.model.rows = [
            row
            for row in self.model.rows
            if row.receipt is not None or row.stored.record not in records or row.stored.record.id.stream in CHAINED
        ]
        self.model.wrote(moment)

    @rule(moment=some_moment, keep_s=st.integers(0, 30))
    def upkeep(self, moment: Moment, keep_s: int) -> None:
        self.do(self.outbox.upkeep(moment, float(keep_s)))
        self.model.erase(moment.lifetime_s - keep_s)
        self.model.erase_marks(moment.lifetime_s - keep_s)
        self.model.wrote(moment)

    @rule(stream=st.sampled_from(Stream), limit=st.integers(1, 3), before=st.none() | st.integers(1, 30))
    def a_page(self, stream: Stream, limit: int, before: int | None) -> None:
        matching = [
            stored
            for stored in self.model.pending()
            if stored.record.id.stream is stream and (before is None or stored.place < before)
        ]
        newest_first = sorted(matching, key=lambda stored: -stored.place)
        assert self.do(self.outbox.pending(stream, limit, before)) == newest_first[:limit]

    @invariant()
    def the_same_is_known(self) -> None:
        assert self.do(self.outbox.history()) == History(self.model.heads)
        assert self.do(self.outbox.clock()) == self.model.clock
        assert self.do(self.outbox.duty()) == self.model.duty
        counts = dict.fromkeys(Stream, 0)
        for stored in self.model.pending():
            counts[stored.record.id.stream] += 1
        assert self.do(self.outbox.waiting()) == counts
        newest = self.model.newest_alert
        expected = newest and self.earlier(newest)
        assert self.do(self.outbox.latest_alert()) == expected
        connection = self.outbox._connection
        assert connection is not None
        kept = {(row.stored.place, row.stored.record.digest, row.receipt) for row in self.model.rows}
        assert set(connection.execute("SELECT position, digest, receipt FROM record")) == kept

    def earlier(self, newest: StoredRecord) -> EarlierAlert:
        seen, closed = (self.model.marks.get((newest.record.digest, closing)) for closing in (False, True))
        return EarlierAlert(
            newest,
            cancelled=self.model.is_cancelled(newest),
            position=next(iter(reversed(self.model.positions_behind(newest))), None),
            acknowledged=seen and seen[0],
            closed=closed and closed[0],
            acknowledged_by=seen and seen[1],
            closed_by=closed and closed[1],
        )

    def teardown(self) -> None:
        self.do(self.outbox.close())
        self.loop.close()
        self.directory.cleanup()


SHORT = settings(max_examples=80, stateful_step_count=25)
LONG = settings(max_examples=2000, stateful_step_count=25)


def test_the_outbox_is_its_model() -> None:
    run_state_machine_as_test(Comparison, settings=SHORT)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_outbox_is_its_model_for_long() -> None:
    run_state_machine_as_test(Comparison, settings=LONG)


def head_goes_back(connection: apsw.Connection, one: SignedRecord) -> None:
    if one.id.stream in CHAINED:
        values = (int(one.id.stream), one.id.session.octets, one.id.sequence, one.digest)
        connection.execute("INSERT OR REPLACE INTO head VALUES (?, ?, ?, ?)", values)


def nothing_is_closed(connection: apsw.Connection, what: marks.Mark, position: int) -> Any:
    return None if what is marks.Mark.CLOSED else marks.find(connection, what, position)


def clock_goes_back(connection: apsw.Connection, moment: Moment) -> None:
    connection.execute("INSERT OR REPLACE INTO clock VALUES (0, ?, ?)", (moment.lifetime_s, moment.utc_ms))


@pytest.mark.parametrize(
    ("place", "name", "mutant"),
    [
        (rows, "advance_head", head_goes_back),
        (rows, "keep_clock", clock_goes_back),
        (rows, "CHAINED_STREAMS", "0, 1, 2"),
        (rows, "CHAINED_STREAMS", "1"),
        (queries, "ERASABLE", "SELECT position FROM record WHERE delivered_lifetime_s < ?4 OR ?1 + ?2 + ?3 + ?5 < 0"),
        (queries, "ERASABLE_POSITIONS", "SELECT position FROM record WHERE ?1 < 0"),
        (queries, "NEEDED_YET", "SELECT ?1 + ?2 + ?3 + ?4 < 0"),
        (queries, "CANCELLED", "SELECT ?1 + ?2 + ?3 < 0"),
        (outbox, "find", nothing_is_closed),
    ],
)
def test_the_model_catches_an_outbox_that_does_something_else(
    place: object, name: str, mutant: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, name, mutant)
    found = settings(
        SHORT, max_examples=6000, database=None, derandomize=True, report_multiple_bugs=False, phases=[Phase.generate]
    )
    with pytest.raises((AssertionError, KeyError)):
        run_state_machine_as_test(Comparison, settings=found)
