"""What a dispatcher said of a call: an alert that is over never comes back open, and an open one is never erased."""

import asyncio
from contextlib import closing
from pathlib import Path

import apsw
import cbor2
import pytest

from bondmate.mail import KeptMessage, MessageState, MessageType
from bondmate.records import EarlierAlert, Kind, Moment, Opened, SignedRecord
from bondmate.store import marks
from bondmate.store.database import APPLICATION_ID, DATABASE_FILE, open_database
from bondmate.store.outbox import SqliteOutbox
from bondmate.store.schema import MIGRATIONS
from bondmate.wire import digest
from tests.store.samples import DEVICE, FIRST, SECOND, START, added, raw, record, used

KEEP_S = 100.0
LATE = Moment(1e6, None)
CALL, ESCALATION = record(Kind.PANIC, 1), record(Kind.ESCALATION, 2)
SAID = Moment(4.0, 77)


async def said(outbox: SqliteOutbox, number: int, *, seen: SignedRecord | None = None, over: bytes = b"") -> None:
    message = KeptMessage(number, MessageType.CLOSE, b"octets", None, SAID, MessageState.TAKEN)
    acknowledges = [] if seen is None else [seen.digest]
    assert await outbox.take_message(message, acknowledges=acknowledges, closes=[over] if over else [], by="M. Costa")


async def newest(outbox: SqliteOutbox) -> EarlierAlert:
    found = await outbox.latest_alert()
    assert found is not None
    return found


async def delivered(outbox: SqliteOutbox, *records: SignedRecord) -> None:
    for one in records:
        await outbox.add(one, START)
        await outbox.mark_delivered(one.digest, b"receipt", START)


def test_acknowledged_and_closed_are_known_after_a_restart(tmp_path: Path) -> None:
    async def use(outbox: SqliteOutbox) -> None:
        await outbox.add(CALL, START)
        before = await newest(outbox)
        assert (before.acknowledged, before.closed, before.acknowledged_by, before.closed_by) == (None,) * 4
        await said(outbox, 1, seen=CALL)
        assert (await newest(outbox)).closed is None
        await said(outbox, 2, over=CALL.digest)

    used(tmp_path, use)
    after = used(tmp_path, newest)
    assert (after.acknowledged, after.acknowledged_by) == (SAID, "M. Costa")
    assert (after.closed, after.closed_by, after.cancelled) == (SAID, "M. Costa", False)


def test_the_first_who_said_it_stays(tmp_path: Path) -> None:
    async def use(outbox: SqliteOutbox) -> None:
        await outbox.add(CALL, START)
        await said(outbox, 1, over=CALL.digest)
        later = KeptMessage(2, MessageType.CLOSE, b"octets", None, LATE, MessageState.TAKEN)
        await outbox.take_message(later, closes=[CALL.digest], by="another")
        found = await newest(outbox)
        assert (found.closed, found.closed_by) == (SAID, "M. Costa")

    used(tmp_path, use)


def test_closed_is_only_the_call_that_was_named(tmp_path: Path) -> None:
    """What the officer called after the dispatcher looked stays open."""

    async def use(outbox: SqliteOutbox) -> None:
        await delivered(outbox, CALL, ESCALATION)
        await said(outbox, 1, over=CALL.digest)
        await said(outbox, 2, over=bytes(16))
        assert (await newest(outbox)).closed is None
        await outbox.upkeep(LATE, KEEP_S)
        assert (await newest(outbox)).alert.record == ESCALATION, "an open one is not erased"
        await said(outbox, 3, over=ESCALATION.digest)
        await outbox.upkeep(LATE, KEEP_S)
        assert await outbox.latest_alert() is None, "closed, it goes in its time"

    used(tmp_path, use)
    assert raw(tmp_path, "SELECT count(*) FROM record") == raw(tmp_path, "SELECT count(*) FROM mark") == [(0,)]


def test_positions_of_a_closed_alert_go_at_once_and_the_alert_in_its_time(tmp_path: Path) -> None:
    async def use(outbox: SqliteOutbox) -> None:
        await delivered(outbox, CALL, record(Kind.POSITION, 1))
        await outbox.upkeep(Moment(1.0, None), KEEP_S)
        assert (await newest(outbox)).position is not None
        await said(outbox, 1, over=CALL.digest)
        await outbox.upkeep(Moment(KEEP_S - 1, None), KEEP_S)
        found = await newest(outbox)
        assert (found.position, found.closed) == (None, SAID)

    used(tmp_path, use)


def test_what_closed_an_alert_stays_as_long_as_it(tmp_path: Path) -> None:
    """It has no receipt, so it may come out of the file at any time."""

    async def use(outbox: SqliteOutbox) -> None:
        await outbox.add(CALL, START)
        await said(outbox, 1, over=CALL.digest)
        await outbox.upkeep(LATE, KEEP_S)
        assert (await newest(outbox)).closed == SAID

    used(tmp_path, use)


def test_a_closed_alert_stays_while_an_older_one_waits_which_must_not_pass_for_the_newest(tmp_path: Path) -> None:
    async def use(outbox: SqliteOutbox) -> None:
        await outbox.add(CALL, START)
        await delivered(outbox, ESCALATION)
        await said(outbox, 1, over=ESCALATION.digest)
        await outbox.upkeep(LATE, KEEP_S)
        found = await newest(outbox)
        assert (found.alert.record, found.closed) == (ESCALATION, SAID)

    used(tmp_path, use)


def test_a_call_that_is_committed_only_later_is_closed_then(tmp_path: Path) -> None:
    """It was sent from memory, while the store failed."""

    async def use(outbox: SqliteOutbox) -> None:
        await said(outbox, 1, over=CALL.digest)
        await outbox.upkeep(Moment(KEEP_S, None), KEEP_S)
        await outbox.add(CALL, START)
        assert (await newest(outbox)).closed == SAID

    used(tmp_path, use)


def test_marks_on_what_never_came_go_some_day(tmp_path: Path) -> None:
    async def use(outbox: SqliteOutbox) -> None:
        await said(outbox, 1, over=CALL.digest)
        await outbox.upkeep(Moment(SAID.lifetime_s + KEEP_S + 1, None), KEEP_S)

    used(tmp_path, use)
    assert raw(tmp_path, "SELECT count(*) FROM mark") == [(0,)]


def test_an_alert_that_the_disk_has_changed_is_closed_by_the_digest_that_it_has_now(tmp_path: Path) -> None:
    added(tmp_path, CALL)
    raw(tmp_path, "UPDATE record SET data = x'010203'")

    async def use(outbox: SqliteOutbox) -> None:
        assert (await newest(outbox)).alert.record.digest == digest(b"\1\2\3")
        await said(outbox, 1, over=digest(b"\1\2\3"))

    used(tmp_path, use)
    assert used(tmp_path, newest).closed == SAID


@pytest.mark.parametrize(
    ("body", "duress"),
    [
        (b"12345678", False),
        (b"12345678\0", False),
        (b"12345678\1", False),
        (b"12345678\3", True),
        (b"1", False),
        (3, False),
    ],
)
def test_a_cancellation_under_duress_is_known_after_a_restart(body: object, duress: bool, tmp_path: Path) -> None:
    payload = cbor2.dumps([1, int(Kind.CANCELLATION), 2, b"", 0, None, None, body])
    end = record(Kind.CANCELLATION, 2, data=cbor2.dumps(cbor2.CBORTag(18, [b"", {}, payload, bytes(64)])))
    added(tmp_path, CALL, end)
    found = used(tmp_path, newest)
    assert (found.cancelled, found.duress) == (True, duress)


def test_a_cancellation_of_an_earlier_alert_or_that_nobody_can_read_is_none_under_duress(tmp_path: Path) -> None:
    added(tmp_path, record(Kind.CANCELLATION, 9, SECOND), CALL, record(Kind.CANCELLATION, 2))
    assert used(tmp_path, newest).duress is False


# --- files of other days -----------------------------------------------------------------------------


def test_a_file_of_the_version_before_has_no_marks_and_gets_them(tmp_path: Path) -> None:
    with closing(apsw.Connection(str(tmp_path / DATABASE_FILE))) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(
            f"PRAGMA application_id = {APPLICATION_ID}; {''.join(MIGRATIONS[:3])} PRAGMA user_version = 3"
        )

    async def use(outbox: SqliteOutbox) -> None:
        await outbox.add(CALL, START)
        await said(outbox, 1, seen=CALL)
        found = await newest(outbox)
        assert (found.acknowledged, found.closed, await outbox.cursor()) == (SAID, None, 1)

    used(tmp_path, use)


def damage(directory: Path, table: str) -> None:
    [[page]] = raw(directory, f"SELECT rootpage FROM sqlite_schema WHERE name = '{table}'")
    assert isinstance(page, int)
    with (directory / DATABASE_FILE).open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)


@pytest.mark.parametrize("taken_up", [True, False])
def test_a_closed_alert_of_a_damaged_file_is_not_open_in_the_fresh_one(
    taken_up: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its receipt was lost, so it is taken up again. Without what closed it, it would be open: the control."""

    async def before(outbox: SqliteOutbox) -> None:
        await outbox.add(CALL, START)
        await said(outbox, 1, over=CALL.digest)

    used(tmp_path, before)
    damage(tmp_path, "head")
    if not taken_up:
        monkeypatch.setattr("bondmate.store.database.take_up", lambda *_: None)

    async def main() -> None:
        outbox = SqliteOutbox(tmp_path, DEVICE)
        await outbox.open()
        await asyncio.gather(outbox.history(), return_exceptions=True)
        assert await outbox.open() is Opened.REPLACED
        await outbox.upkeep(LATE, KEEP_S)
        assert await outbox.salvage() == 1
        found = await newest(outbox)
        assert (found.alert.record, found.closed) == (CALL, SAID if taken_up else None)
        assert (await outbox.cursor(), await outbox.messages(9, None)) == (0, []), "the gateway has them yet"
        await outbox.close()

    asyncio.run(main())


def test_of_marks_that_the_disk_has_changed_only_what_makes_sense_is_taken_up(tmp_path: Path) -> None:
    connection, _ = open_database(tmp_path)
    with closing(connection):
        marks.take_up(
            connection,
            [
                (None, 1, 1.0, None, b"x"),
                (b"short", 1, 1.0, None, b"x"),
                (bytes(16), 7, 1.0, None, b"x"),
                (bytes(16), None, 1.0, None, b"x"),
                (CALL.digest, 2, None, None, None),
                (CALL.digest, 1, float("inf"), 5, b"\xff"),
            ],
        )
        found = connection.execute("SELECT * FROM mark ORDER BY what").fetchall()
    assert found == [(CALL.digest, 1, 0.0, 5, "\ufffd"), (CALL.digest, 2, 0.0, None, "")]


def test_marks_grow_older_with_what_the_device_learns_of_a_pause(tmp_path: Path) -> None:
    async def use(outbox: SqliteOutbox) -> None:
        await outbox.add(CALL, START)
        await said(outbox, 1, over=CALL.digest)
        await outbox.shift(FIRST, 3.0, 5.0, 60.0)
        assert (await newest(outbox)).closed == Moment(64.0, 77)

    used(tmp_path, use)
