"""The judge of the power cuts finds each promise broken, where somebody breaks it in the files by hand."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from bondmate.records import Kind, SessionId
from bondmate.session import COUNTER_FILE
from bondmate.store.database import DATABASE_FILE
from bondmate.store.outbox import SqliteOutbox
from bondmate.wire import digest
from tests.faults.powercut_device import Life
from tests.faults.powercut_judge import Expectation, Found, Verdict, start
from tests.faults.powercut_model import Begun, Event, Model, Returned

SEED = 176
"""Of a life in which there is all that the tests break."""
PENDING_PANIC = f"kind = {int(Kind.PANIC)} AND receipt IS NULL"
DELIVERED_PANIC = (
    f"position = (SELECT max(position) FROM record WHERE kind = {int(Kind.PANIC)} AND receipt IS NOT NULL)"
)


def lived(directory: Path) -> Expectation:
    marks: list[Event] = []
    asyncio.run(Life(directory, random.Random(SEED), marks, SqliteOutbox).run())
    expected = Expectation(Model())
    for mark in marks:
        assert isinstance(mark, Begun | Returned)
        expected.mark(mark)
    return expected


def verdict(directory: Path, expected: Expectation) -> Verdict:
    return expected.judge(asyncio.run(start(directory, [])))


@contextmanager
def opened(directory: Path) -> Iterator[apsw.Connection]:
    with closing(apsw.Connection(str(directory / DATABASE_FILE))) as connection:
        yield connection


def test_a_life_without_a_power_cut_is_as_it_should_be(memory: Path) -> None:
    """The control of all below."""
    judged = verdict(memory, lived(memory))
    assert (list(judged.complaints), judged.lost, judged.duplicated) == ([], 0, 0)


@pytest.mark.parametrize(
    ("change", "lost", "complaint"),
    [
        (f"DELETE FROM record WHERE {PENDING_PANIC}", True, "is missing"),
        (f"UPDATE record SET receipt = x'00' WHERE {PENDING_PANIC}", False, "is not as it was kept"),
        (f"UPDATE record SET receipt = NULL WHERE {DELIVERED_PANIC}", True, "is not as it was kept"),
        (f"UPDATE record SET receipt = x'00' WHERE {DELIVERED_PANIC}", False, "is not as it was kept"),
        (f"DELETE FROM record WHERE kind = {int(Kind.POSITION)}", False, "is missing, and no gap names it"),
        (f"DELETE FROM record WHERE kind = {int(Kind.OPENING)}", False, "and behind it is"),
        ("UPDATE head SET digest = zeroblob(16)", False, "the chains end at"),
        ("UPDATE clock SET lifetime_s = lifetime_s - 1", False, "the clock is"),
        ("DELETE FROM duty", False, "duty is None"),
        ("UPDATE duty SET began_lifetime_s = began_lifetime_s + 1", False, "duty is "),
        ("UPDATE mailbox SET cursor = cursor - 1", False, "the mailbox is"),
        ("UPDATE small SET value = x'00'", False, "the mailbox is"),
        ("DELETE FROM mark", False, "was closed, or was not"),
        (f"DELETE FROM record WHERE kind = {int(Kind.CANCELLATION)}", False, "was cancelled, or was not"),
        (f"UPDATE record SET felt = 2 - felt WHERE {PENDING_PANIC}", False, "is pending in alert"),
    ],
)
def test_what_was_changed_in_the_file_is_found(change: str, lost: bool, complaint: str, memory: Path) -> None:
    expected = lived(memory)
    with opened(memory) as connection:
        connection.execute(change)
        assert connection.changes()
    judged = verdict(memory, expected)
    assert (judged.lost > 0) is lost
    assert any(complaint in found for found in judged.complaints)


def test_a_second_record_of_one_identity_is_found(memory: Path) -> None:
    expected = lived(memory)
    with opened(memory) as connection:
        place, data = connection.execute(
            f"SELECT position, data FROM record WHERE kind = {int(Kind.HEALTH)}"
        ).fetchone() or (0, b"")
        assert place
        other = bytes(data) + b"\0"
        connection.execute("UPDATE record SET data = ?, digest = ? WHERE position = ?", (other, digest(other), place))
    assert verdict(memory, expected).duplicated == 1


def found_in(directory: Path) -> Found:
    found = asyncio.run(start(directory, []))
    assert isinstance(found, Found)
    return found


def test_a_session_that_was_there_before_is_found(memory: Path) -> None:
    expected, found = lived(memory), found_in(memory)
    judged = expected.judge(replace(found, session=SessionId(found.rows[0].name[0])))
    assert judged.duplicated == 1
    assert any("was there before" in complaint for complaint in judged.complaints)


def test_a_start_counter_that_went_back_is_found(memory: Path) -> None:
    expected = lived(memory)
    (memory / COUNTER_FILE).unlink()
    assert any("the start counter is 0" in complaint for complaint in verdict(memory, expected).complaints)


def test_a_store_that_was_replaced_is_found_and_all_its_presses_are_lost(memory: Path) -> None:
    expected = lived(memory)
    for name in (DATABASE_FILE, f"{DATABASE_FILE}-wal"):
        (memory / name).write_bytes(b"no database" * 1000)
    judged = verdict(memory, expected)
    assert "the store was a damaged file was set aside and a fresh one made" in judged.complaints
    assert judged.lost > 1


def test_a_store_that_does_not_open_loses_all_its_presses(memory: Path) -> None:
    expected = lived(memory)
    with opened(memory) as connection:
        connection.execute("PRAGMA user_version = 99")
        connection.execute("UPDATE format SET oldest_reader = 99")
    judged = verdict(memory, expected)
    assert judged.lost == expected.confirmed > 0
    assert "start the newer daemon" in judged.complaints[0]
