"""No power cut takes a press that was confirmed; and each way to lose one is found by the same judge."""

import asyncio
import multiprocessing
import random
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from bondmate import durable, session
from bondmate.errors import StoreError, StoreTrouble
from bondmate.records import Felt, Head, History, Moment, Opened, SignedRecord, Stream
from bondmate.store import database
from bondmate.store.database import DATABASE_FILE
from bondmate.store.outbox import SqliteOutbox
from tests.faults import report
from tests.faults.powercut import Outcome, cut_power, lay_out
from tests.faults.powercut_device import DEVICE, EVERYTHING, Life
from tests.faults.powercut_disk import Disk, Fate
from tests.faults.powercut_judge import Found, start
from tests.faults.powercut_model import Begun, Returned
from tests.faults.powercut_recording import recording

FAULT = "power cut"


def lives(seeds: Sequence[int], states: int) -> Outcome:
    outcome = Outcome()
    # its own processes, and not copies of this one, which has threads
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as processes:
        for one in processes.map(cut_power, seeds, [states] * len(seeds)):
            outcome += one
    return outcome


def check(outcome: Outcome, states: int) -> None:
    report.add(FAULT, outcome.states, outcome.presses, outcome.lost, outcome.duplicated)
    assert outcome.complaints == []
    assert (outcome.lost, outcome.duplicated) == (0, 0)
    assert outcome.states >= states
    assert outcome.distinct > 0.8 * outcome.states
    assert outcome.presses > 0


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_power_cut_takes_nothing_that_was_confirmed(seed: int) -> None:
    check(cut_power(seed, 2_600), 2_500)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_no_power_cut_of_many_takes_anything_that_was_confirmed() -> None:
    check(lives(range(100, 125), 8_100), 200_000)


def test_a_power_cut_while_a_damaged_store_is_set_aside_hides_nothing(memory: Path) -> None:
    """However far that came, the next start finds both files as they were, and knows that the chains are broken."""
    asyncio.run(Life(memory, random.Random(1), [], SqliteOutbox).run())
    files = {path.name: path.read_bytes() for path in memory.iterdir()}
    for name in (DATABASE_FILE, f"{DATABASE_FILE}-wal"):
        files[name] = b"garbage!" * 4 + files[name][32:]
    lay_out(files, memory)
    with recording(memory) as recorded:
        first = asyncio.run(start(memory, recorded.events))
    assert isinstance(first, Found)
    assert first.opened is Opened.REPLACED

    rng, disk, returned, states = random.Random(1), Disk(files), False, 0
    opened = {Stream.ALERT: None, Stream.STATE: Head(first.session, 1, first.opening.digest)}
    for event in recorded.events:
        if isinstance(event, Begun | Returned):
            returned |= isinstance(event, Returned)
            continue
        disk.do(event)
        for names, contents in [(Fate.KEPT, Fate.KEPT), (Fate.LOST, Fate.KEPT), (Fate.SOME, Fate.TORN)]:
            left = disk.after_cut(names, contents, rng)
            lay_out(left, memory)
            found = asyncio.run(start(memory, []))
            assert isinstance(found, Found), found
            assert found.history == History(opened) or (not returned and found.history == History.lost())
            there = {path.read_bytes() for path in memory.iterdir()}
            assert {files[DATABASE_FILE], files[f"{DATABASE_FILE}-wal"]} <= there
            states += 1
    assert states > 100


async def taken_up(directory: Path) -> dict[bytes, Felt]:
    """As the daemon goes on from a file whose damage is found when it is read; what waits then, and what was felt."""
    outbox = SqliteOutbox(directory, DEVICE)
    await outbox.open()
    try:
        await outbox.history()
    except StoreError as error:
        if error.trouble is not StoreTrouble.DAMAGED:
            raise
        await outbox.open()
    await outbox.salvage()
    waiting = {kept.record.digest: kept.felt for stream in Stream for kept in await outbox.pending(stream, EVERYTHING)}
    await outbox.close()
    return waiting


def test_a_power_cut_while_a_damaged_store_is_taken_up_skips_no_record(memory: Path) -> None:
    asyncio.run(Life(memory, random.Random(1), [], SqliteOutbox).run())
    expected = asyncio.run(taken_up(memory))
    with closing(apsw.Connection(str(memory / DATABASE_FILE))) as connection:
        # and of alerts all, delivered or not: one that is open must not be forgotten
        alerts = connection.execute("SELECT digest, felt FROM record WHERE stream = ?", (int(Stream.ALERT),))
        expected |= {digest: Felt(felt) for digest, felt in alerts}
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        page = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'head'").get
    files = {path.name: path.read_bytes() for path in memory.iterdir()}
    octets = files[DATABASE_FILE]
    files[DATABASE_FILE] = octets[: (page - 1) * 4096] + b"\xff" * 4096 + octets[page * 4096 :]
    lay_out(files, memory)
    with recording(memory) as recorded:
        assert asyncio.run(taken_up(memory)) == expected
    assert len(expected) > 10

    rng, disk, states = random.Random(1), Disk(files), 0
    for event in recorded.events:
        assert not isinstance(event, Begun | Returned)
        disk.do(event)
        for names, contents in [(Fate.KEPT, Fate.KEPT), (Fate.LOST, Fate.KEPT), (Fate.SOME, Fate.TORN)]:
            lay_out(disk.after_cut(names, contents, rng), memory)
            assert asyncio.run(taken_up(memory)) == expected
            states += 1
    assert states > 100


# --- the controls: what must be found ---------------------------------------------------------------


def lost_with(outbox_type: type[SqliteOutbox] = SqliteOutbox, *, without_directories: bool = False) -> Outcome:
    return cut_power(
        1,
        2_500,
        outbox_type=outbox_type,
        without_directories=without_directories,
        enough=lambda outcome: outcome.lost > 0,
    )


def complaints_with(outbox_type: type[SqliteOutbox] = SqliteOutbox) -> str:
    outcome = cut_power(2, 2_500, outbox_type=outbox_type, enough=lambda outcome: bool(outcome.complaints))
    return "\n".join(outcome.complaints)


def test_control_a_commit_that_is_not_synced_loses_presses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(database.SETTINGS, "synchronous", 1)
    assert lost_with().lost


def test_control_a_directory_that_is_never_synced_loses_presses() -> None:
    assert lost_with(without_directories=True).lost


class Hasty(SqliteOutbox):
    """Says that it is stored, and then stores it."""

    _later: asyncio.Task[None]

    async def add(self, record: SignedRecord, moment: Moment) -> None:
        self._later = asyncio.create_task(super().add(record, moment))
        await asyncio.sleep(0)

    async def close(self) -> None:
        await self._later
        await super().close()


def test_control_a_confirmation_before_the_commit_loses_presses() -> None:
    assert lost_with(Hasty).lost


class Forgetful(SqliteOutbox):
    """One transaction a session, which nobody commits."""

    async def open(self) -> Opened:
        opened = await super().open()
        assert self._connection is not None
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.authorizer = lambda action, *_: (
            apsw.SQLITE_IGNORE if action == apsw.SQLITE_TRANSACTION else apsw.SQLITE_OK
        )
        return opened

    async def upkeep(self, moment: Moment, keep_delivered_s: float) -> None:
        """It would notice."""


def test_control_a_commit_that_is_left_out_loses_presses() -> None:
    assert lost_with(Forgetful).lost


class Careless(SqliteOutbox):
    """Lets go of records first, and says so in a second transaction."""

    async def thin(self, gap: SignedRecord, digests: Sequence[bytes], moment: Moment) -> None:
        delete = "DELETE FROM record WHERE digest = ?"
        await self._write(lambda connection: connection.executemany(delete, [(digest,) for digest in digests]))
        await super().thin(gap, digests, moment)


def test_control_records_that_go_before_their_gap_record_are_missed() -> None:
    assert "is missing, and no gap names it" in complaints_with(Careless)


def test_control_a_start_counter_whose_new_name_is_not_synced_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable, "sync_directory", lambda directory: None)
    assert "the start counter is 0, not 1" in complaints_with()


def test_control_a_start_counter_that_is_renamed_before_it_is_synced_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def replace_file(path: Path, data: bytes) -> None:
        part = path.with_name(path.name + ".part")
        part.write_bytes(data)
        part.replace(path)
        durable.sync_directory(path.parent)

    monkeypatch.setattr(session, "replace_file", replace_file)
    assert "the start counter is 0, not 1" in complaints_with()
