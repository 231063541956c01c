"""How a shift is kept: on virtual time, in a real store on disk whose writes are slow, or fail.

What a device does with its duty is in test_tracker.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bondmate.aging import Aging
from bondmate.core.delivery import Delivery, DeliveryPolicy
from bondmate.core.shift import WARNING_S, Shift, ShiftEvent
from bondmate.duty import CORRECT_S, FAULT, DutyKeeper
from bondmate.errors import StoreError
from bondmate.faults import Faults
from bondmate.records import ClockSource, Duty, Moment, UtcTime
from bondmate.store.outbox import SqliteOutbox
from tests.desk import DEADLINE_S, DUTY_MAX_S, EARLIER, SESSION, UTC_MS, Disk, outbox_on, recorder
from tests.virtual import run


@dataclass
class Kept:
    """A keeper over a store that obeys the test."""

    duty: DutyKeeper
    outbox: SqliteOutbox
    disk: Disk
    faults: Faults
    state: int | None = 0
    """In how many files before this one the store was; None while nothing can be written."""
    utc_ms: int | None = UTC_MS


@asynccontextmanager
async def kept_in(directory: Path) -> AsyncIterator[Kept]:
    disk = Disk()
    outbox = outbox_on(directory, disk)
    await outbox.open()
    made: Kept

    def utc(_now: float) -> UtcTime | None:
        return None if made.utc_ms is None else UtcTime(made.utc_ms, ClockSource.SYSTEM)

    aging = Aging(outbox, Delivery(DeliveryPolicy(), (), random.Random(1)), recorder(), utc, 0.0)
    faults = Faults()
    duty = DutyKeeper(Shift(DUTY_MAX_S), outbox, aging, faults, SESSION, lambda: made.state, DEADLINE_S)
    made = Kept(duty, outbox, disk, faults)
    try:
        yield made
    finally:
        disk.failure = None
        await outbox.close()


def began(lifetime_s: float) -> Duty:
    """A shift of an earlier session."""
    return Duty(Moment(lifetime_s, UTC_MS), EARLIER)


def test_a_shift_is_kept_with_when_it_began(tmp_path: Path) -> None:
    async def story() -> None:
        async with kept_in(tmp_path) as there:
            await asyncio.sleep(7)
            there.duty.set(True)
            assert await there.duty.keep()
            assert await there.outbox.duty() == Duty(Moment(7.0, UTC_MS), SESSION)
            there.duty.set(False)
            assert await there.duty.keep()
            assert await there.outbox.duty() is None

    run(story())


def test_what_is_said_now_counts_more_than_what_the_store_had(tmp_path: Path) -> None:
    async def story() -> None:
        async with kept_in(tmp_path) as there:
            there.duty.set(False)
            there.duty.adopt(began(0.0))
            assert not there.duty.is_on

    run(story())


def test_a_store_that_hangs_is_not_waited_for_and_gets_it_later(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    async def story() -> None:
        async with kept_in(tmp_path) as there:
            there.disk.takes_s = 2 * DEADLINE_S
            there.duty.set(True)
            before = asyncio.get_running_loop().time()
            assert not await there.duty.keep()
            assert asyncio.get_running_loop().time() - before == DEADLINE_S
            assert "a restart would forget it: the store hangs" in caplog.text
            assert there.duty.is_on
            await there.duty.settle()
            assert await there.outbox.duty() is not None

    run(story())


def test_what_changes_while_it_is_written_is_written_too(tmp_path: Path) -> None:
    async def story() -> None:
        async with kept_in(tmp_path) as there:
            there.disk.takes_s = 0.1
            there.duty.set(True)
            writing = asyncio.ensure_future(there.duty.keep())
            await asyncio.sleep(0.05)
            there.duty.set(False)
            assert not await writing, "the store has the shift that is over"
            await there.duty.settle()
            assert await there.outbox.duty() is None

    run(story())


def test_it_is_written_once_and_again_into_another_file(tmp_path: Path) -> None:
    async def story() -> None:
        async with kept_in(tmp_path) as there:
            there.duty.set(True)
            await there.duty.settle()
            calls = there.disk.calls
            await there.duty.settle()
            assert there.disk.calls == calls
            there.state = None
            await there.duty.settle()
            assert there.disk.calls == calls, "nothing can be written"
            there.state = 1
            await there.duty.settle()
            assert there.disk.calls == calls + 1

    run(story())


def test_a_shift_of_an_earlier_session_goes_into_another_file_as_it_was(tmp_path: Path) -> None:
    async def story() -> None:
        async with kept_in(tmp_path) as there:
            there.duty.adopt(began(0.0))
            there.state = 1
            await there.duty.settle()
            assert await there.outbox.duty() == began(0.0)

    run(story())


def test_a_write_that_fails_is_said_and_raised_to_whoever_settles(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    async def story() -> None:
        async with kept_in(tmp_path) as there:
            there.disk.failure = StoreError("the card is gone")
            there.duty.set(True)
            assert not await there.duty.keep()
            assert "a restart would forget it: the card is gone" in caplog.text
            with pytest.raises(StoreError):
                await there.duty.settle()

    run(story())


def test_how_long_ago_an_earlier_shift_began_may_turn_out_at_any_time(tmp_path: Path) -> None:
    async def story() -> None:
        async with kept_in(tmp_path) as there:
            loop = asyncio.get_running_loop()
            there.duty.adopt(began(0.0))
            due = there.duty.next_due()
            assert due is not None
            assert due <= loop.time() + CORRECT_S
            there.duty.set(True)
            assert there.duty.next_due() == loop.time() + DUTY_MAX_S - WARNING_S, "its own is known exactly"

    run(story())


def test_the_end_of_a_shift_is_kept(tmp_path: Path) -> None:
    async def story() -> None:
        async with kept_in(tmp_path) as there:
            there.duty.set(True)
            await there.duty.settle()
            await asyncio.sleep(DUTY_MAX_S)
            assert there.duty.step() is ShiftEvent.ENDED
            assert not there.duty.is_on
            await there.duty.settle()
            assert await there.outbox.duty() is None

    run(story())


# --- a shift of an earlier session ---------------------------------------------------------------------


def test_until_utc_tells_it_is_not_certain_that_it_lasts(tmp_path: Path) -> None:
    async def story() -> None:
        async with kept_in(tmp_path) as there:
            there.utc_ms = None
            there.duty.adopt(began(0.0))
            assert (there.duty.step(), there.duty.is_on, certain(there)) == (None, True, False)
            there.utc_ms = UTC_MS - 3600_000
            assert (there.duty.step(), there.duty.is_on, certain(there)) == (None, True, False), (
                "a clock that is behind"
            )
            there.utc_ms = UTC_MS + 60_000
            assert (there.duty.step(), there.duty.is_on, certain(there)) == (None, True, True)

    run(story())


def certain(there: Kept) -> bool:
    return there.duty.is_certain


def test_it_ends_when_utc_tells_that_it_is_over_at_whatever_time(tmp_path: Path) -> None:
    """Also where the clock was wrong at first, and a later correction tells: on a board without a battery for it."""

    async def story() -> None:
        async with kept_in(tmp_path) as there:
            there.duty.adopt(began(0.0))
            assert there.duty.step() is None
            await asyncio.sleep(20)
            there.utc_ms = UTC_MS + 3 * 24 * 3600_000
            assert there.duty.step() is ShiftEvent.ENDED
            await there.duty.settle()
            assert await there.outbox.duty() is None

    run(story())


def test_one_of_which_nobody_can_know_when_it_began_ends(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with kept_in(tmp_path) as there:
            there.utc_ms = None
            there.duty.adopt(Duty(Moment(0.0, None), EARLIER))
            assert there.duty.step() is None
            there.utc_ms = UTC_MS
            assert there.duty.step() is ShiftEvent.ENDED
            assert "nobody can know any more when the shift began" in caplog.text

    run(story())


def test_one_that_begins_in_the_future_is_none(tmp_path: Path) -> None:
    """One bit of the disk makes 8,000 years of a minute."""

    async def story() -> None:
        async with kept_in(tmp_path) as there:
            there.duty.adopt(began(2.6e11))
            assert not there.duty.is_on

    run(story())


def test_when_it_began_is_kept_once_utc_tells_that(tmp_path: Path) -> None:
    """So that the next session can know it."""

    async def story() -> None:
        async with kept_in(tmp_path) as there:
            there.utc_ms = None
            there.duty.set(True)
            await there.duty.settle()
            assert await there.outbox.duty() == Duty(Moment(0.0, None), SESSION)
            await asyncio.sleep(30)
            due = there.duty.next_due()
            assert due is not None
            assert due <= asyncio.get_running_loop().time() + CORRECT_S
            there.utc_ms = UTC_MS
            assert there.duty.step() is None
            await there.duty.settle()
            kept = await there.outbox.duty()
            assert kept is not None
            assert kept.began.utc_ms == UTC_MS - 30_000
            assert there.duty.next_due() == asyncio.get_running_loop().time() - 30 + DUTY_MAX_S - WARNING_S

    run(story())


def test_that_it_is_not_stored_is_a_fault_until_it_is(tmp_path: Path) -> None:
    async def story() -> None:
        async with kept_in(tmp_path) as there:
            there.disk.failure = StoreError("the card is gone")
            there.duty.set(False)
            assert not await there.duty.keep()
            [fault] = there.faults.to_json()
            assert (fault["code"], fault["text"]) == (
                FAULT,
                "that duty is off is not stored: a restart would forget it",
            )
            there.disk.failure = None
            await there.duty.settle()
            assert there.faults.codes() == []

    run(story())
