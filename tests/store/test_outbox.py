import asyncio
import signal
import struct
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bondmate.errors import StoreError, StoreTrouble
from bondmate.records import (
    ClockSource,
    Duty,
    EarlierAlert,
    Felt,
    Head,
    History,
    Kind,
    Moment,
    Opened,
    SignedRecord,
    StoredRecord,
    Stream,
    UtcTime,
)
from bondmate.store import file as file_module
from bondmate.store import queries as sql
from bondmate.store import rows
from bondmate.store.database import DATABASE_FILE, open_database
from bondmate.store.outbox import SqliteOutbox
from tests.store.disk import power_cut_disk
from tests.store.samples import DEVICE, FIRST, NOON, SECOND, START, added, all_pending, left, raw, record, used

NEVER = 1e12
"""Keep delivered records so long."""


def test_a_record_comes_back_as_it_was_after_a_restart(tmp_path: Path) -> None:
    records = [
        record(Kind.PANIC, 1),
        record(Kind.POSITION, 1, made_at=None),
        record(Kind.ANCHOR, 2, made_at=UtcTime(0, ClockSource.SYSTEM, None)),
        record(Kind.PANIC, 2**32 - 1, data=bytes(range(256)) * 4),
    ]
    added(tmp_path, *records)
    assert left(tmp_path) == records


@given(
    made_at=st.none()
    | st.builds(UtcTime, st.integers(-(2**62), 2**62), st.sampled_from(ClockSource), st.none() | st.integers(0, 2**31)),
    data=st.binary(min_size=1, max_size=1024),
    moment=st.builds(Moment, st.floats(0, 1e12), st.none() | st.integers(-(2**62), 2**62)),
)
@settings(max_examples=40)
def test_any_record_comes_back_as_it_was(
    made_at: UtcTime | None, data: bytes, moment: Moment, tmp_path_factory: pytest.TempPathFactory
) -> None:
    given_record = record(Kind.PANIC, 1, made_at=made_at, data=data)

    async def use(outbox: SqliteOutbox) -> EarlierAlert | None:
        await outbox.add(given_record, moment)
        return await outbox.latest_alert()

    found = used(tmp_path_factory.mktemp("outbox"), use)
    assert found == EarlierAlert(StoredRecord(given_record, 1, moment, None, Felt.NOTHING), False, None)


def test_an_empty_outbox_knows_nothing(tmp_path: Path) -> None:
    async def use(outbox: SqliteOutbox) -> None:
        assert await outbox.history() == History({})
        assert await outbox.clock() is None
        assert await outbox.waiting() == dict.fromkeys(Stream, 0)
        assert await all_pending(outbox) == []
        assert await outbox.latest_alert() is None

    used(tmp_path, use)
    used(tmp_path, use)


def test_opening_what_is_open_changes_nothing(tmp_path: Path) -> None:
    panic = record(Kind.PANIC, 1)

    async def main() -> None:
        outbox = SqliteOutbox(tmp_path, DEVICE)
        assert await outbox.open() is Opened.AS_IT_WAS
        await outbox.add(panic, START)
        connection = outbox._connection
        assert await outbox.open() is Opened.ALREADY
        assert outbox._connection is connection
        assert [stored.record for stored in await all_pending(outbox)] == [panic]
        await outbox.close()

    asyncio.run(main())


def test_places_count_the_commits(tmp_path: Path) -> None:
    records = [record(Kind.POSITION, 9), record(Kind.PANIC, 1), record(Kind.OPENING, 1, SECOND), record(Kind.PANIC, 2)]

    async def at_once(outbox: SqliteOutbox) -> None:
        await asyncio.gather(*(outbox.add(one, START) for one in records))

    used(tmp_path, at_once)
    assert left(tmp_path) == records


def test_a_place_is_never_given_twice(tmp_path: Path) -> None:
    async def use(outbox: SqliteOutbox) -> None:
        await outbox.add(record(Kind.HEALTH, 1), START)
        await outbox.thin(record(Kind.GAP, 1), [record(Kind.HEALTH, 1).digest], START)
        await outbox.mark_delivered(record(Kind.GAP, 1).digest, b"receipt", START)
        await outbox.upkeep(Moment(10.0, None), 1.0)
        await outbox.add(record(Kind.HEALTH, 2), START)
        assert [stored.place for stored in await all_pending(outbox)] == [3]

    used(tmp_path, use)


def test_pending_gives_page_after_page_the_newest_first(tmp_path: Path) -> None:
    alerts = [record(Kind.PANIC, number) for number in range(1, 8)]

    async def use(outbox: SqliteOutbox) -> None:
        for alert in alerts:
            await outbox.add(alert, START)
            await outbox.add(record(Kind.POSITION, alert.id.sequence), START)
        await outbox.mark_delivered(alerts[4].digest, b"receipt", START)
        pages, before = [], None
        while page := await outbox.pending(Stream.ALERT, 2, before):
            pages.append([stored.record for stored in page])
            before = page[-1].place
        assert pages == [[alerts[6], alerts[5]], [alerts[3], alerts[2]], [alerts[1], alerts[0]]]

    used(tmp_path, use)


def test_waiting_counts_what_has_no_receipt(tmp_path: Path) -> None:
    async def use(outbox: SqliteOutbox) -> None:
        for kind in (Kind.PANIC, Kind.CANCELLATION, Kind.POSITION, Kind.HEALTH):
            await outbox.add(record(kind, int(kind)), START)
        await outbox.mark_delivered(record(Kind.POSITION, int(Kind.POSITION)).digest, b"receipt", START)
        counted = await outbox.waiting()
        assert counted == dict.fromkeys(Stream, 0) | {Stream.ALERT: 2, Stream.HEALTH: 1}

    used(tmp_path, use)


def test_history_is_the_last_of_each_chained_stream_across_sessions(tmp_path: Path) -> None:
    last = {Stream.ALERT: record(Kind.CANCELLATION, 2), Stream.STATE: record(Kind.OPENING, 1, SECOND)}
    added(
        tmp_path,
        record(Kind.OPENING, 1),
        record(Kind.PANIC, 1),
        record(Kind.ANCHOR, 2),
        record(Kind.POSITION, 1),
        last[Stream.ALERT],
        last[Stream.STATE],
        record(Kind.POSITION, 1, SECOND),
    )
    assert used(tmp_path, SqliteOutbox.history) == History({stream: head_of(one) for stream, one in last.items()})


def head_of(one: SignedRecord) -> Head:
    return Head(one.id.session, one.id.sequence, one.digest)


def test_a_head_never_goes_back(tmp_path: Path) -> None:
    """A commit that came late brings a record from before the head."""
    newest = record(Kind.PANIC, 3)
    added(tmp_path, record(Kind.PANIC, 1), newest, record(Kind.PANIC, 2))
    assert used(tmp_path, SqliteOutbox.history).heads == {Stream.ALERT: head_of(newest)}
    added(tmp_path, record(Kind.PANIC, 1, SECOND))
    assert used(tmp_path, SqliteOutbox.history).heads == {Stream.ALERT: head_of(record(Kind.PANIC, 1, SECOND))}


def test_history_outlives_the_records_themselves(tmp_path: Path) -> None:
    panic = record(Kind.PANIC, 7)
    added(tmp_path, panic)
    raw(tmp_path, "DELETE FROM record")
    assert used(tmp_path, SqliteOutbox.history).heads == {Stream.ALERT: Head(FIRST, 7, panic.digest)}


@pytest.mark.parametrize("change", ["session = x'00'", "session = NULL, sequence = NULL, digest = NULL"])
def test_a_head_that_cannot_be_read_is_a_lost_one_until_the_next_record(change: str, tmp_path: Path) -> None:
    added(tmp_path, record(Kind.PANIC, 1), record(Kind.OPENING, 1))
    raw(tmp_path, f"UPDATE head SET {change} WHERE stream = 0")
    known = {Stream.STATE: head_of(record(Kind.OPENING, 1))}
    assert used(tmp_path, SqliteOutbox.history).heads == known | {Stream.ALERT: None}
    added(tmp_path, record(Kind.PANIC, 2))
    assert used(tmp_path, SqliteOutbox.history).heads == known | {Stream.ALERT: head_of(record(Kind.PANIC, 2))}


def test_restore_puts_the_heads_as_given_and_only_the_records_that_are_not_there(tmp_path: Path) -> None:
    kept, fresh = record(Kind.PANIC, 1), record(Kind.PANIC, 2)
    head = Head(SECOND, 9, bytes(16))

    async def use(outbox: SqliteOutbox) -> None:
        await outbox.add(kept, Moment(1.0, None))
        await outbox.add(record(Kind.OPENING, 1), START)
        await outbox.mark_delivered(kept.digest, b"receipt", Moment(2.0, None))
        await outbox.restore([kept, fresh], History({Stream.ALERT: head}), Moment(3.0, 30))
        known = History({Stream.ALERT: head, Stream.STATE: head_of(record(Kind.OPENING, 1))})
        assert await outbox.history() == known
        alerts = await outbox.pending(Stream.ALERT, 9)
        assert [(stored.record, stored.stored) for stored in alerts] == [(fresh, Moment(3.0, 30))]
        await outbox.restore([], History.lost(), START)
        assert await outbox.history() == known, "that one is lost never hides one that is there"
        assert await outbox.clock() == Moment(3.0, 30)

    used(tmp_path, use)


def test_restore_makes_known_that_a_head_was_lost_where_there_is_none(tmp_path: Path) -> None:
    async def use(outbox: SqliteOutbox) -> None:
        await outbox.restore([], History({Stream.ALERT: None}), START)
        assert await outbox.history() == History({Stream.ALERT: None})

    used(tmp_path, use)


def test_a_pause_that_became_known_late_moves_the_session_and_the_receipts_between_two_moments(tmp_path: Path) -> None:
    """What was committed since it is known has the right time already."""
    old, young, latest = (record(Kind.POSITION, number) for number in (1, 2, 3))
    other = record(Kind.POSITION, 1, SECOND)
    alerts = [record(Kind.PANIC, number) for number in (1, 2, 3)]

    async def use(outbox: SqliteOutbox) -> None:
        await outbox.add(old, Moment(10.0, 1))
        await outbox.add(young, Moment(20.0, 2))
        await outbox.add(latest, Moment(1021.0, 2))
        await outbox.add(other, Moment(19.0, 2))
        for alert, delivered_s in zip(alerts, (10.0, 20.0, 1021.0), strict=True):
            await outbox.add(alert, Moment(5.0, 3))
            await outbox.mark_delivered(alert.digest, b"receipt", Moment(delivered_s, 4))
        await outbox.shift(FIRST, 10.0, 20.0, 1000.0)
        moments = {stored.record: stored.stored for stored in await all_pending(outbox)}
        assert moments == {
            old: Moment(10.0, 1),
            young: Moment(1020.0, 2),
            latest: Moment(1021.0, 2),
            other: Moment(19.0, 2),
        }

    used(tmp_path, use)
    assert raw(tmp_path, "SELECT stored_lifetime_s, delivered_lifetime_s FROM record WHERE stream = 0") == [
        (5.0, 10.0),
        (5.0, 1020.0),
        (5.0, 1021.0),
    ]


def test_restore_is_done_or_not_done(tmp_path: Path) -> None:
    added(tmp_path, record(Kind.PANIC, 1))

    async def use(outbox: SqliteOutbox) -> None:
        other = record(Kind.PANIC, 1, data=b"other octets")
        with pytest.raises(StoreError, match="UNIQUE"):
            await outbox.restore([record(Kind.PANIC, 2), other], History.lost(), Moment(9.0, 9))
        assert [stored.record for stored in await all_pending(outbox)] == [record(Kind.PANIC, 1)]
        assert (await outbox.history()).heads == {Stream.ALERT: head_of(record(Kind.PANIC, 1))}
        assert await outbox.clock() == START

    used(tmp_path, use)


def test_a_receipt_ends_the_waiting_of_its_record_alone(tmp_path: Path) -> None:
    first, second = record(Kind.PANIC, 1), record(Kind.PANIC, 2)
    added(tmp_path, first, second)

    async def use(outbox: SqliteOutbox) -> None:
        await outbox.mark_delivered(first.digest, b"receipt", Moment(7.0, 1234))
        await outbox.mark_delivered(b"unknown digest16", b"of nobody", Moment(8.0, 1))

    used(tmp_path, use)
    assert left(tmp_path) == [second]
    assert raw(tmp_path, "SELECT sequence, receipt, delivered_lifetime_s, delivered_at_ms FROM record") == [
        (1, b"receipt", 7.0, 1234),
        (2, None, None, None),
    ]


def test_the_first_receipt_stays(tmp_path: Path) -> None:
    panic = record(Kind.PANIC, 1)
    added(tmp_path, panic)

    async def use(outbox: SqliteOutbox) -> None:
        await outbox.mark_delivered(panic.digest, b"first", Moment(1.0, None))
        await outbox.mark_delivered(panic.digest, b"second", Moment(2.0, 99))
        newest = await outbox.latest_alert()
        assert newest is not None
        assert newest.alert.delivered == Moment(1.0, None), "delivered at a time that nobody knows"

    used(tmp_path, use)
    assert raw(tmp_path, "SELECT receipt FROM record") == [(b"first",)]


def test_what_was_felt_stays_felt(tmp_path: Path) -> None:
    first, second = record(Kind.PANIC, 1), record(Kind.PANIC, 2)
    added(tmp_path, first, second)

    async def use(outbox: SqliteOutbox) -> None:
        for felt in (Felt.STORED, Felt.DELIVERED, Felt.STORED):
            await outbox.mark_felt(first.digest, felt)

    used(tmp_path, use)
    assert [stored.felt for stored in used(tmp_path, all_pending)] == [Felt.DELIVERED, Felt.NOTHING]


def test_thinning_forgets_what_the_gap_names_and_nothing_else(tmp_path: Path) -> None:
    dropped, delivered, kept = (record(Kind.POSITION, number) for number in (1, 2, 3))
    gap = record(Kind.GAP, 1)

    async def use(outbox: SqliteOutbox) -> None:
        for one in (dropped, delivered, kept):
            await outbox.add(one, START)
        await outbox.mark_delivered(delivered.digest, b"receipt", START)
        for _ in range(2):  # a commit that came back too late is tried again
            await outbox.thin(gap, [dropped.digest, delivered.digest], Moment(5.0, 50))
        assert [stored.record for stored in await all_pending(outbox)] == [kept, gap]
        assert (await outbox.history()).heads == {Stream.STATE: head_of(gap)}
        assert await outbox.clock() == Moment(5.0, 50)

    used(tmp_path, use)
    assert raw(tmp_path, "SELECT sequence, receipt FROM record WHERE stream = 2") == [(2, b"receipt"), (3, None)]


def test_thinning_never_forgets_an_alert_whoever_names_it(tmp_path: Path) -> None:
    chained = [record(Kind.PANIC, 1), record(Kind.CANCELLATION, 2), record(Kind.OPENING, 1)]
    added(tmp_path, *chained)

    async def use(outbox: SqliteOutbox) -> None:
        await outbox.thin(record(Kind.GAP, 2), [one.digest for one in chained], START)

    used(tmp_path, use)
    assert left(tmp_path) == [*chained, record(Kind.GAP, 2)]


def test_thinning_is_done_or_not_done(tmp_path: Path) -> None:
    added(tmp_path, record(Kind.POSITION, 1), record(Kind.GAP, 1))

    async def use(outbox: SqliteOutbox) -> None:
        with pytest.raises(StoreError, match="UNIQUE"):
            await outbox.thin(record(Kind.GAP, 1, data=b"another"), [record(Kind.POSITION, 1).digest], START)

    used(tmp_path, use)
    assert left(tmp_path) == [record(Kind.POSITION, 1), record(Kind.GAP, 1)]


def test_the_clock_is_the_moment_of_the_last_write_and_its_lifetime_never_goes_back(tmp_path: Path) -> None:
    panic, position = record(Kind.PANIC, 1), record(Kind.POSITION, 1)

    async def use(outbox: SqliteOutbox) -> None:
        await outbox.add(panic, Moment(1.0, 10))
        assert await outbox.clock() == Moment(1.0, 10)
        await outbox.mark_delivered(panic.digest, b"receipt", Moment(2.0, None))
        assert await outbox.clock() == Moment(2.0, 1010), "an unknown UTC goes on from the last that was known"
        await outbox.add(position, Moment(1.5, 5))
        assert await outbox.clock() == Moment(2.0, 5), "UTC may be set back"
        await outbox.thin(record(Kind.GAP, 1), [position.digest], Moment(3.0, 30))
        assert await outbox.clock() == Moment(3.0, 30)
        await outbox.restore([], History({}), Moment(4.0, 40))
        assert await outbox.clock() == Moment(4.0, 40)
        await outbox.upkeep(Moment(5.0, 50), NEVER)
        assert await outbox.clock() == Moment(5.0, 50)
        await outbox.mark_felt(panic.digest, Felt.STORED)
        with pytest.raises(StoreError):
            await outbox.add(record(Kind.PANIC, 1, data=b"other octets"), Moment(6.0, 60))
        assert await outbox.clock() == Moment(5.0, 50), "what failed says nothing"

    used(tmp_path, use)
    assert used(tmp_path, SqliteOutbox.clock) == Moment(5.0, 50)


def test_the_latest_alert_knows_of_the_cancellation_and_the_position_behind_it(tmp_path: Path) -> None:
    old, new = record(Kind.PANIC, 1), record(Kind.PANIC, 1, SECOND)

    def alert() -> tuple[SignedRecord, bool, SignedRecord | None] | None:
        found = used(tmp_path, SqliteOutbox.latest_alert)
        if found is None:
            return None
        return found.alert.record, found.cancelled, None if found.position is None else found.position.record

    added(tmp_path, record(Kind.POSITION, 1))
    assert alert() is None
    added(tmp_path, record(Kind.OPENING, 1), old)
    assert alert() == (old, False, None), "a position from before says nothing of it"
    added(tmp_path, record(Kind.POSITIONS_BEFORE, 2))
    assert alert() == (old, False, None), "nor do those that are told from before"
    added(tmp_path, record(Kind.POSITION, 3), record(Kind.POSITION, 4), record(Kind.ANCHOR, 2))
    assert alert() == (old, False, record(Kind.POSITION, 4))
    added(tmp_path, record(Kind.CANCELLATION, 2))
    assert alert() == (old, True, record(Kind.POSITION, 4))
    added(tmp_path, new, record(Kind.OPENING, 1, SECOND))
    assert alert() == (new, False, None)
    added(tmp_path, record(Kind.CANCELLATION, 2, SECOND))
    assert alert() == (new, True, None)


def test_a_shift_is_kept_until_another_or_none_takes_its_place(tmp_path: Path) -> None:
    first, second = Duty(Moment(5.0, 50), FIRST), Duty(Moment(7.0, None), SECOND)
    assert used(tmp_path, SqliteOutbox.duty) is None
    for duty in (first, second, None, first):
        used(tmp_path, lambda outbox, duty=duty: outbox.keep_duty(duty, Moment(9.0, 90)))  # type: ignore[misc]
        assert used(tmp_path, SqliteOutbox.duty) == duty


@pytest.mark.parametrize(
    "change", ["began_lifetime_s = 9e999", "began_lifetime_s = -1.0", "session = x'00'", "session = NULL", "nan"]
)
def test_a_shift_that_the_disk_has_changed_counts_as_none(change: str, tmp_path: Path) -> None:
    used(tmp_path, lambda outbox: outbox.keep_duty(Duty(Moment(1.9, 50), FIRST), Moment(9.0, 90)))
    with closing(apsw.Connection(str(tmp_path / DATABASE_FILE))) as connection:
        if change == "nan":
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        else:
            connection.execute(
                "PRAGMA ignore_check_constraints = 1; PRAGMA writable_schema = 1;"
                " UPDATE sqlite_schema SET sql = replace(sql, ' NOT NULL', '') WHERE name = 'duty';"
                " PRAGMA writable_schema = reset"
            )
            connection.execute(f"UPDATE duty SET {change}")
    if change == "nan":  # the exponent of 1.9 has one bit less than that of no number
        file = tmp_path / DATABASE_FILE
        octets = file.read_bytes()
        assert octets.count(struct.pack(">d", 1.9)) == 1
        file.write_bytes(octets.replace(struct.pack(">d", 1.9), bytes([0x7F]) + struct.pack(">d", 1.9)[1:]))
    assert used(tmp_path, SqliteOutbox.duty) is None


def test_a_record_that_is_there_already_is_left_as_it_is(tmp_path: Path) -> None:
    """After a commit that came back too late, it is tried again."""
    panic, cancellation = record(Kind.PANIC, 1), record(Kind.CANCELLATION, 2)
    stored, marked = Moment(1.0, 42), Moment(3.0, 44)

    async def use(outbox: SqliteOutbox) -> None:
        await outbox.add(panic, stored)
        await outbox.add(cancellation, Moment(2.0, 43))
        await outbox.mark_delivered(panic.digest, b"receipt", marked)
        await outbox.mark_felt(panic.digest, Felt.DELIVERED)
        await outbox.add(panic, Moment(9.0, 99))
        assert await all_pending(outbox) == [StoredRecord(cancellation, 2, Moment(2.0, 43), None, Felt.NOTHING)]
        found = await outbox.latest_alert()
        assert found == EarlierAlert(StoredRecord(panic, 1, stored, marked, Felt.DELIVERED), True, None)
        assert (await outbox.history()).heads[Stream.ALERT] == head_of(cancellation), "what came behind stays the head"

    used(tmp_path, use)


def test_another_record_under_the_same_identity_is_refused(tmp_path: Path) -> None:
    panic = record(Kind.PANIC, 1)

    async def use(outbox: SqliteOutbox) -> None:
        await outbox.add(panic, START)
        with pytest.raises(StoreError, match=r"outbox.db failed: .*UNIQUE") as caught:
            await outbox.add(record(Kind.PANIC, 1, data=b"other octets"), START)
        assert caught.value.trouble is StoreTrouble.OTHER
        assert [stored.record for stored in await all_pending(outbox)] == [panic]
        assert (await outbox.history()).heads == {Stream.ALERT: head_of(panic)}, "nothing half done"
        await outbox.add(record(Kind.PANIC, 3), START)

    used(tmp_path, use)
    assert len(left(tmp_path)) == 2


def test_the_same_sequence_in_another_session_or_stream_is_another_record(tmp_path: Path) -> None:
    records = [record(Kind.PANIC, 1), record(Kind.PANIC, 1, SECOND), record(Kind.OPENING, 1), record(Kind.POSITION, 1)]
    added(tmp_path, *records)
    assert left(tmp_path) == records


async def every_call(outbox: SqliteOutbox) -> list[object]:
    return [
        *await asyncio.gather(
            outbox.history(),
            outbox.clock(),
            outbox.add(record(Kind.PANIC, 1), START),
            outbox.restore([], History({}), START),
            outbox.salvage(),
            outbox.shift(FIRST, 0.0, 1.0, 1.0),
            outbox.mark_delivered(bytes(16), b"", START),
            outbox.mark_felt(bytes(16), Felt.STORED),
            outbox.thin(record(Kind.GAP, 1), [], START),
            outbox.waiting(),
            outbox.pending(Stream.ALERT, 1),
            outbox.latest_alert(),
            outbox.upkeep(START, NEVER),
            return_exceptions=True,
        )
    ]


def test_an_outbox_that_is_not_open_says_so_in_every_call(tmp_path: Path) -> None:
    async def main() -> None:
        outbox = SqliteOutbox(tmp_path / "nowhere", DEVICE)
        with pytest.raises(StoreError, match="cannot be opened"):
            await outbox.open()
        assert {str(error) for error in await every_call(outbox)} == {"the outbox is not open"}
        await outbox.close()
        answers = await every_call(outbox)
        assert {str(error) for error in answers} == {"the outbox is closed"}
        assert {type(error) for error in answers} == {StoreError}
        await outbox.close()

    asyncio.run(main())


def test_a_call_before_the_end_of_a_slow_opening_waits_for_it(tmp_path: Path) -> None:
    async def main() -> None:
        outbox = SqliteOutbox(tmp_path, DEVICE)
        _, history = await asyncio.gather(outbox.open(), outbox.history())
        assert history == History({})
        await outbox.close()

    asyncio.run(main())


def test_an_opening_that_failed_can_be_tried_again(tmp_path: Path) -> None:
    place = tmp_path / "later"

    async def main() -> None:
        outbox = SqliteOutbox(place, DEVICE)
        with pytest.raises(StoreError, match="cannot be opened"):
            await outbox.open()
        place.mkdir()
        assert await outbox.open() is Opened.AS_IT_WAS
        assert await all_pending(outbox) == []
        await outbox.close()

    asyncio.run(main())


@pytest.mark.parametrize("change", ["kind = 15", "stream = 14", "made_at_source = 9", "felt = 7"])
def test_a_record_of_a_newer_daemon_stays_and_holds_nothing_up(
    change: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """After a fall-back to the older slot: its outbox may have kinds that this daemon has never heard of."""
    strange, known = record(Kind.PANIC, 2), record(Kind.PANIC, 1, SECOND)
    added(tmp_path, known, strange)
    raw(tmp_path, f"UPDATE record SET {change} WHERE sequence = 2")

    async def use(outbox: SqliteOutbox) -> None:
        [page] = await outbox.pending(Stream.ALERT, 1)
        assert page.record == known, "it counts for nothing in a page"

    used(tmp_path, use)
    assert ("a record stays in the outbox" in caplog.text) == (change != "stream = 14")
    assert raw(tmp_path, "SELECT count(*) FROM record") == [(2,)]


@pytest.mark.parametrize(
    ("statement", "values", "index"),
    [
        (sql.PENDING, (0, sql.LAST_PLACE), "record_pending"),
        (sql.WAITING, (), "record_pending"),
        (sql.NEWEST_ALERT, (), "record_stream"),
        (sql.NEWEST_POSITION, (1,), "record_stream"),
        (sql.CANCELLED, (1, b"", 1), "record_stream"),
        (sql.LAST_CANCELLATION, (1, b"", 1), "record_stream"),
        (sql.ERASABLE, (1, b"", 1, 1.0, 1), "record_delivered"),
        (sql.ERASABLE_POSITIONS, (1,), "record_stream"),
        (sql.NEEDED_YET, (1, b"", 1, 1.0), "record_stream"),
        (f"SELECT {rows.COLUMNS} FROM record WHERE digest = ?", (b"",), "record_digest"),
    ],
)
def test_nothing_is_scanned_or_sorted_however_much_waits(
    statement: str, values: tuple[object, ...], index: str, tmp_path: Path
) -> None:
    connection, _ = open_database(tmp_path)
    with closing(connection):
        plan = [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
    used_index = [step for step in plan if index in step]
    assert used_index, plan
    assert not [step for step in plan if "TEMP B-TREE" in step], plan
    # counting is one walk over the index
    allowed = "SCAN record USING INDEX record_pending" if statement == sql.WAITING else "SCAN CONSTANT ROW"
    assert not [step for step in plan if step.startswith("SCAN record") and step != allowed], plan


def test_the_plan_of_a_query_without_an_index_shows_a_scan_and_a_sort(tmp_path: Path) -> None:
    """The control of the test above."""
    connection, _ = open_database(tmp_path)
    with closing(connection):
        plan = [str(row[3]) for row in connection.execute("EXPLAIN QUERY PLAN SELECT kind FROM record ORDER BY kind")]
    assert plan == ["SCAN record", "USE TEMP B-TREE FOR ORDER BY"]


def test_whatever_a_call_raises_is_an_error_of_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody has thought of must not end the process either."""

    def surprise(*_: object) -> None:
        raise LookupError("nobody thought of this")

    async def use(outbox: SqliteOutbox) -> None:
        monkeypatch.setattr(rows, "keep_clock", surprise)
        monkeypatch.setattr(outbox._reserve, "fill", surprise)
        monkeypatch.setattr(file_module, "open_database", surprise)
        outbox._changed = surprise  # type: ignore[assignment]
        results = await every_call(outbox)
        await outbox.close()
        again = SqliteOutbox(tmp_path, DEVICE)
        results.append(*await asyncio.gather(again.open(), return_exceptions=True))
        await again.close()
        errors = [result for result in results if isinstance(result, BaseException)]
        assert len(errors) >= 6
        assert {type(error) for error in errors} == {StoreError}
        assert all("failed: " in str(error) and error.__cause__ is not None for error in errors)

    used(tmp_path, use)


def test_a_failed_write_that_cannot_be_rolled_back_gives_the_connection_up_and_opening_brings_it_back(
    tmp_path: Path,
) -> None:
    kept, failed = record(Kind.PANIC, 1), record(Kind.PANIC, 2)

    def stubborn(event: int, first: str | None, *_: object) -> int:
        """Denies the commit and then the way back, as a disk does that answers nothing any more."""
        ends = event == apsw.SQLITE_TRANSACTION and first in {"COMMIT", "ROLLBACK"}
        return apsw.SQLITE_DENY if ends else apsw.SQLITE_OK

    async def use(outbox: SqliteOutbox) -> None:
        await outbox.add(kept, START)
        connection = outbox._connection
        assert connection is not None
        connection.authorizer = stubborn
        with pytest.raises(StoreError, match="not authorized"):
            await outbox.add(failed, START)
        with pytest.raises(StoreError, match="not open"):
            await outbox.add(failed, START)
        assert await outbox.open() is Opened.AS_IT_WAS
        assert [stored.record for stored in await all_pending(outbox)] == [kept]
        await outbox.add(failed, START)

    used(tmp_path, use)
    assert left(tmp_path) == [kept, failed]


def test_add_returns_after_the_disk_has_it(tmp_path: Path) -> None:
    """What the officer then feels is true: the power may go at that moment."""
    live, synced = tmp_path / "live", tmp_path / "synced"
    live.mkdir()
    panic = record(Kind.PANIC, 1)
    at_the_cut: list[dict[str, bytes]] = []

    async def use(outbox: SqliteOutbox) -> None:
        for step in (outbox.add(panic, START), outbox.mark_delivered(panic.digest, b"receipt", Moment(1.0, 5))):
            await step
            at_the_cut.append({path.name: path.read_bytes() for path in synced.iterdir()})

    with power_cut_disk(synced):
        used(live, use)
    assert len(at_the_cut) == 2
    for number, files in enumerate(at_the_cut):
        place = tmp_path / f"cut{number}"
        place.mkdir()
        for name, octets in files.items():
            (place / name).write_bytes(octets)
        found = used(place, SqliteOutbox.latest_alert)
        assert found is not None
        assert found.alert.record == panic
        assert found.alert.delivered == (Moment(1.0, 5) if number == 1 else None)


KILLED = """
import asyncio, os, sys
from pathlib import Path
from bondmate.store.outbox import SqliteOutbox
from tests.store.samples import DEVICE, START, record, Kind

async def main():
    outbox = SqliteOutbox(Path(sys.argv[1]), DEVICE)
    await outbox.open()
    await outbox.add(record(Kind.PANIC, 1), START)
    connection = outbox._connection
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE record SET receipt = x'00'")
    connection.execute("DELETE FROM head")
    print("stored", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def test_a_killed_daemon_keeps_what_was_committed_and_nothing_else(tmp_path: Path) -> None:
    """The open transaction behind it is the control: the kill came before its commit, and it is gone."""
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "stored\n"
        process.kill()
        assert process.wait(10) == -signal.SIGKILL
    panic = record(Kind.PANIC, 1)
    assert used(tmp_path, all_pending) == [StoredRecord(panic, 1, START, None, Felt.NOTHING)]
    assert used(tmp_path, SqliteOutbox.history).heads == {Stream.ALERT: head_of(panic)}


def test_a_slow_disk_does_not_hold_up_the_event_loop(tmp_path: Path) -> None:
    async def use(outbox: SqliteOutbox) -> None:
        loop = asyncio.get_running_loop()
        turns = 0

        def hang() -> None:
            # in the store's thread, until the loop has turned a thousand times
            asyncio.run_coroutine_threadsafe(turned.wait(), loop).result(10)

        turned = asyncio.Event()
        hanging = asyncio.ensure_future(outbox._worker.run(hang))
        write = asyncio.ensure_future(outbox.add(record(Kind.PANIC, 1, made_at=NOON), START))
        while turns < 1000:
            await asyncio.sleep(0)
            turns += 1
        assert not write.done()
        turned.set()
        await hanging
        await write

    used(tmp_path, use)
    assert left(tmp_path) == [record(Kind.PANIC, 1)]


def test_what_closed_an_alert_closes_it_wherever_it_was_committed(tmp_path: Path) -> None:
    """An alert that was sent from memory while the store failed is committed behind its cancellation."""
    alert, cancellation = record(Kind.PANIC, 1), record(Kind.CANCELLATION, 2)

    async def use(outbox: SqliteOutbox) -> tuple[EarlierAlert | None, EarlierAlert | None]:
        await outbox.add(cancellation, START)
        await outbox.add(alert, START)
        closed = await outbox.latest_alert()
        for one in (alert, cancellation):
            await outbox.mark_delivered(one.digest, b"receipt", START)
        await outbox.upkeep(Moment(5.0, None), NEVER)
        await outbox.upkeep(Moment(1e6, None), 1.0)
        return closed, await outbox.latest_alert()

    closed, erased = used(tmp_path, use)
    assert closed is not None
    assert (closed.alert.record, closed.cancelled) == (alert, True)
    assert erased is None, "and both were erased"


def test_of_one_session_the_alert_with_the_highest_number_is_the_newest(tmp_path: Path) -> None:
    first, second = record(Kind.PANIC, 1), record(Kind.PANIC, 2)
    added(tmp_path, second, first)
    newest = used(tmp_path, SqliteOutbox.latest_alert)
    assert newest is not None
    assert newest.alert.record == second
