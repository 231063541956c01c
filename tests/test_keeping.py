"""The way of a record into the store and out of it, on virtual time and a real disk that is slow, fails, or is lost."""

import asyncio
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bondmate import aging
from bondmate.aging import UPKEEP_S
from bondmate.core.surplus import RULES
from bondmate.errors import StoreError, StoreTrouble
from bondmate.keeping import ADVICE, HUNG_LASTS_S, RETRY_S
from bondmate.records import Felt, Head, History, How, Kind, Moment, SessionId, SignedRecord, Stream
from bondmate.store.database import DATABASE_FILE
from bondmate.store.outbox import SqliteOutbox
from tests.conftest import TOP
from tests.desk import (
    COULD_NOT_STORE,
    DEADLINE_S,
    DELIVERED,
    EARLIER,
    SESSION,
    STORED,
    UTC_MS,
    Disk,
    fix_at,
    left_in,
    outbox_on,
    payload,
    receipt,
    recorder,
    running,
    silence,
)
from tests.virtual import run

LATER = SessionId(bytes.fromhex("0013bbbbbbbb"))
FULL = StoreError("the disk is full", StoreTrouble.FULL)


def now() -> float:
    return asyncio.get_running_loop().time()


# --- stored -------------------------------------------------------------------------------------


def test_stored_is_felt_only_after_the_commit_returned(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, disk=Disk(takes_s=0.1), answer=silence) as desk:
            await asyncio.sleep(5)
            recognized = await desk.press()
            await asyncio.sleep(0.05)
            assert desk.palm.rises == [], "the commit has not returned"
            assert desk.record(Kind.PANIC).digest not in desk.rows()
            await asyncio.sleep(2)
            assert desk.palm.rises[0] >= recognized + 0.1
            assert desk.palm.pulses == STORED
            assert desk.rows()[desk.record(Kind.PANIC).digest] == (None, Felt.STORED)

    run(story())


@pytest.mark.parametrize("trouble", [trouble for trouble in StoreTrouble if trouble is not StoreTrouble.HANGING])
def test_an_alert_that_cannot_be_stored_is_sent_from_memory_at_once_and_the_officer_is_told(
    trouble: StoreTrouble, tmp_path: Path
) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            desk.disk.failure = StoreError("the card says no", trouble)
            recognized = await desk.press()
            await asyncio.sleep(3)
            [(sent_s, _)] = desk.bearer.sent_of(Kind.PANIC)
            assert sent_s - recognized < 0.01
            assert desk.palm.pulses == COULD_NOT_STORE + DELIVERED, "a verified receipt still makes it delivered"
            assert desk.palm.rises[0] - recognized < 0.01
            assert desk.state == "delivered"
            [fault] = [fault for fault in desk.faults.to_json() if fault["code"] == "store"]
            assert (trouble.value in str(fault["text"]), fault["next"]) == (True, ADVICE[trouble])

    run(story())


def test_while_a_commit_hangs_alerts_are_sent_from_memory_and_it_makes_them_stored_when_it_returns(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        async with running(tmp_path, answer=silence) as desk:
            desk.disk.takes_s = 60.0
            first = await desk.press()
            await asyncio.sleep(5)
            second = await desk.press()
            await asyncio.sleep(5)
            times = [sent_s for sent_s, _ in desk.bearer.sent_calls()]
            assert times[0] - first == pytest.approx(DEADLINE_S), "no sooner: a card's spikes are no failure"
            assert times[1] - second < 0.01, "what hangs is not waited for again"
            assert desk.palm.pulses == COULD_NOT_STORE * 2
            assert "hanging" in str(desk.faults.to_json())
            assert desk.state == "raised"
            desk.disk.takes_s = 0.0
            await asyncio.sleep(120)
            assert desk.state == "stored"
            assert {record.digest for record in desk.calls()} <= desk.rows().keys()
            assert desk.palm.pulses == COULD_NOT_STORE * 2 + STORED + COULD_NOT_STORE, "of the newest"
            assert "store" not in desk.faults

    run(story())


def test_what_could_not_be_stored_is_stored_as_soon_as_that_is_possible(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, answer=silence) as desk:
            desk.disk.failure = FULL
            await desk.press()
            await asyncio.sleep(5)
            assert (desk.state, "store" in desk.faults) == ("raised", True)
            desk.disk.failure = None
            await asyncio.sleep(RETRY_S + 1)
            assert (desk.state, "store" in desk.faults) == ("stored", False)
            assert desk.record(Kind.PANIC).digest in desk.rows()
            assert desk.device.parts.delivery.unstored() == []
            assert desk.palm.pulses == COULD_NOT_STORE + STORED

    run(story())


def test_a_restart_knows_nothing_of_what_was_only_in_memory_and_the_chain_shows_no_hole(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, answer=silence) as desk:
            desk.disk.failure = FULL
            await desk.press()
            await asyncio.sleep(1)
            assert desk.palm.pulses == COULD_NOT_STORE, "the officer was told"
        outbox = outbox_on(tmp_path)
        await outbox.open()
        history = await outbox.history()
        await outbox.close()
        async with running(tmp_path, session=LATER, history=history) as desk:
            await asyncio.sleep(60)
            assert desk.state is None
            assert desk.bearer.sent_of(Kind.PANIC) == []

    run(story())


def test_alerts_are_committed_though_others_before_them_cannot_be(tmp_path: Path) -> None:
    """On a full disk an alert has its reserve; a position that has none must not stand in its way."""

    async def story() -> None:
        async with running(tmp_path, answer=silence) as desk:
            add = desk.outbox.add

            async def full_for_positions(record: SignedRecord, moment: Moment) -> None:
                if record.kind is Kind.POSITION:
                    raise FULL
                await add(record, moment)

            desk.outbox.add = full_for_positions  # type: ignore[method-assign]
            await desk.press()
            desk.device.on_fix(fix_at(now()))
            desk.disk.failure = FULL
            await desk.press()
            await asyncio.sleep(1)
            desk.disk.failure = None
            await asyncio.sleep(RETRY_S + 1)
            assert [record.kind for record in desk.device.parts.delivery.unstored()] == [Kind.POSITION]
            assert {record.digest for record in desk.records(Kind.PANIC)} <= desk.rows().keys()
            assert "store" in desk.faults

    run(story())


def test_alerts_are_committed_in_their_order_so_that_a_restart_knows_the_newest(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, answer=silence) as desk:
            desk.disk.failure = StoreError("the card says no", StoreTrouble.IO)
            await desk.press()
            await asyncio.sleep(0.1)
            desk.disk.failure = None
            desk.device.cancel_alert(How.TOOL)
            await asyncio.sleep(1)
            left = tuple(desk.bearer.made.values())
        async with running(tmp_path, session=LATER, earlier=left, answer=silence) as desk:
            desk.device.on_fix(fix_at(now()))
            await asyncio.sleep(5)
            assert desk.state == "cancelled"
            assert desk.records(Kind.POSITION) == []

    run(story())


def test_a_card_that_is_always_too_slow_stays_reported(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, answer=silence) as desk:
            desk.disk.takes_s = DEADLINE_S + 0.3
            await desk.press()
            await asyncio.sleep(60)
            assert "hanging" in str(desk.faults.to_json())
            assert "hanging" in str(desk.faults.to_json())
            await asyncio.sleep(60)
            desk.disk.takes_s = 0.0
            await asyncio.sleep(HUNG_LASTS_S + RETRY_S)
            assert "store" not in desk.faults
            assert ["store"] in [payload(record)[7] for record in desk.records(Kind.HEALTH)]

    run(story())


# --- delivered ----------------------------------------------------------------------------------


def test_an_alert_delivered_before_it_could_be_stored_is_stored_with_its_receipt_when_the_store_is_back(
    tmp_path: Path,
) -> None:
    """Else the next session would go on from an older head than the gateway has."""

    async def story() -> None:
        async with running(tmp_path) as desk:
            desk.disk.failure = FULL
            await desk.press()
            await asyncio.sleep(5)
            assert desk.palm.pulses == COULD_NOT_STORE + DELIVERED
            desk.disk.failure = None
            await asyncio.sleep(RETRY_S + 1)
            kept, _ = desk.rows()[desk.record(Kind.PANIC).digest]
            assert kept is not None
            head = (await desk.outbox.history()).heads[Stream.ALERT]
            assert head == Head(SESSION, 1, desk.record(Kind.PANIC).digest)

    run(story())


def test_a_receipt_that_cannot_be_kept_in_time_is_felt_all_the_same_and_kept_later(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, answer=silence) as desk:
            await desk.press()
            await asyncio.sleep(1)
            desk.disk.takes_s = 30.0
            record = desk.record(Kind.PANIC)
            given_s = now()
            desk.device.take_receipt(receipt(record))
            assert desk.device.parts.delivery.find(record.digest) is None, "off the queue at once"
            await asyncio.sleep(3)
            assert desk.palm.pulses == STORED + DELIVERED
            assert desk.palm.rises[1] - given_s == pytest.approx(DEADLINE_S)
            desk.disk.takes_s = 0.0
            await asyncio.sleep(60)
            assert desk.rows()[record.digest][0] is not None

    run(story())


def test_what_was_felt_before_the_record_could_be_stored_is_not_felt_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            desk.disk.failure = FULL
            await desk.press()
            await asyncio.sleep(5)
            assert desk.palm.pulses == COULD_NOT_STORE + DELIVERED
            desk.disk.failure = None
            await asyncio.sleep(RETRY_S + 1)
            assert desk.rows()[desk.record(Kind.PANIC).digest][1] == Felt.DELIVERED

    run(story())


def test_receipts_are_kept_one_by_one(tmp_path: Path) -> None:
    """A position that the full disk does not take must not keep an alert's receipt from being kept."""

    async def story() -> None:
        async with running(tmp_path) as desk:
            mark = desk.outbox.mark_delivered
            positions: set[bytes] = set()

            async def full_for_positions(digest: bytes, message: bytes, moment: Moment) -> None:
                if digest in positions:
                    raise FULL
                await mark(digest, message, moment)

            desk.outbox.mark_delivered = full_for_positions  # type: ignore[method-assign,assignment]
            desk.bearer.answer = silence
            await desk.press()
            desk.device.on_fix(fix_at(now()))
            await asyncio.sleep(2)
            positions |= {record.digest for record in desk.records(Kind.POSITION)}
            desk.disk.failure = FULL
            for record in (desk.record(Kind.POSITION), desk.record(Kind.PANIC)):
                desk.device.take_receipt(receipt(record))
            await asyncio.sleep(1)
            desk.disk.failure = None
            await asyncio.sleep(RETRY_S + 1)
            assert desk.rows()[desk.record(Kind.PANIC).digest][0] is not None
            assert desk.rows()[desk.record(Kind.POSITION).digest][0] is None

    run(story())


# --- feedback after a crash ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("felt", "delivered", "expected"),
    [
        (Felt.NOTHING, False, STORED),
        (Felt.STORED, False, []),
        (Felt.NOTHING, True, DELIVERED),
        (Felt.STORED, True, DELIVERED),
        (Felt.DELIVERED, True, []),
    ],
)
def test_what_a_crash_cut_short_is_felt_after_the_restart(
    felt: Felt, delivered: bool, expected: list[float], tmp_path: Path
) -> None:
    async def story() -> None:
        left = recorder(EARLIER).make(Kind.PANIC, 1.0, None)
        await left_in(tmp_path, left, felt=felt)
        if delivered:
            outbox = outbox_on(tmp_path)
            await outbox.open()
            await outbox.mark_delivered(left.digest, receipt(left), Moment(11.0, None))
            await outbox.close()
        async with running(tmp_path, earlier=(left,), answer=silence, on_duty=None, forget=False) as desk:
            await asyncio.sleep(3)
            assert desk.palm.pulses == expected
            assert desk.state == ("delivered" if delivered else "stored")
            told = Felt.DELIVERED if delivered else Felt.STORED
            assert desk.rows()[left.digest][1] == told, "so the next restart says nothing"

    run(story())


def test_a_pattern_that_was_cut_short_does_not_count_as_felt(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, answer=silence) as desk:
            await desk.press()
            await asyncio.sleep(0.2)
            assert len(desk.palm.rises) == 1
            left = desk.record(Kind.PANIC)
        async with running(
            tmp_path, session=LATER, earlier=(left,), answer=silence, on_duty=None, forget=False
        ) as desk:
            await asyncio.sleep(3)
            assert desk.palm.pulses == STORED

    run(story())


def test_of_a_cancelled_alert_nothing_more_is_felt_after_a_restart(tmp_path: Path) -> None:
    async def story() -> None:
        session = recorder(EARLIER)
        left = (session.make(Kind.PANIC, 1.0, None), session.make(Kind.CANCELLATION, 2.0, None, body=bytes(8)))
        await left_in(tmp_path, *left, felt=Felt.NOTHING)
        async with running(tmp_path, earlier=left, answer=silence) as desk:
            await asyncio.sleep(3)
            assert (desk.palm.pulses, desk.state) == ([], "cancelled")

    run(story())


# --- resuming -----------------------------------------------------------------------------------


def test_what_an_earlier_session_left_is_sent_with_its_session_beside_it(tmp_path: Path) -> None:
    async def story() -> None:
        earlier = recorder(EARLIER).make(Kind.PANIC, 1.0, None)
        await left_in(tmp_path, earlier)
        history = History({Stream.ALERT: Head(EARLIER, 1, earlier.digest)})
        async with running(tmp_path, earlier=(earlier,), history=history, on_duty=None, forget=False) as desk:
            await asyncio.sleep(2)
            [(_, submission)] = desk.bearer.sent_of(Kind.PANIC)
            assert submission == b"\x46" + EARLIER.octets + earlier.data
            assert desk.state == "delivered"
            assert desk.palm.pulses == DELIVERED
            assert payload(desk.record(Kind.OPENING))[7] == [[0, EARLIER.octets, 1, earlier.digest]]
            await desk.press()
            assert payload(desk.record(Kind.ESCALATION))[3] == earlier.digest[:4], "the chain runs on across sessions"

    run(story())


def test_a_store_that_hangs_at_the_start_does_not_keep_the_device_from_being_armed(tmp_path: Path) -> None:
    async def story() -> None:
        earlier = recorder(EARLIER).make(Kind.PANIC, 1.0, None)
        await left_in(tmp_path, earlier)
        begun_s = now()
        async with running(tmp_path, earlier=(earlier,), disk=Disk(takes_s=20.0)) as desk:
            assert now() - begun_s <= DEADLINE_S + 1.5, "the desk itself waits for 1.5 s"
            assert "opening it hangs" in str(desk.faults.to_json())
            await desk.press()
            await asyncio.sleep(1)
            assert len(desk.bearer.sent_of(Kind.PANIC)) == 1
            desk.disk.takes_s = 0.0
            await asyncio.sleep(60)
            assert earlier.data in {data[-len(earlier.data) :] for _, data in desk.bearer.sent_of(Kind.PANIC)}
            assert desk.state == "delivered"
            assert desk.device.alert is not None
            assert desk.device.alert.record is desk.record(Kind.PANIC), "the newest, not what was found later"
            assert "store" not in desk.faults

    run(story())


def test_an_earlier_alert_that_is_delivered_while_the_rest_is_still_read_is_felt(tmp_path: Path) -> None:
    async def story() -> None:
        left = recorder(EARLIER).make(Kind.PANIC, 1.0, None)
        await left_in(tmp_path, left)
        async with running(tmp_path, earlier=(left,), disk=Disk(takes_s=5.0)) as desk:
            await asyncio.sleep(200)
            desk.disk.takes_s = 0.0
            await asyncio.sleep(60)
            assert (desk.state, desk.palm.pulses) == ("delivered", DELIVERED)

    run(story())


def test_nothing_is_numbered_before_the_opening(tmp_path: Path) -> None:
    """What it says of the chains is where earlier sessions ended, however slow the store is."""

    async def story() -> None:
        history = History({Stream.STATE: Head(EARLIER, 7, bytes(16))})
        async with running(tmp_path, history=history, disk=Disk(takes_s=20.0)) as desk:
            opening = desk.record(Kind.OPENING)
            assert opening.id.sequence == 1
            assert payload(opening)[7] == [[1, EARLIER.octets, 7, bytes(16)]]
            assert next(iter(desk.bearer.made.values())) is opening

    run(story())


# --- a damaged file -----------------------------------------------------------------------------


def names_in(directory: Path) -> set[str]:
    return {file.name for file in directory.iterdir()}


def test_a_file_found_damaged_in_use_is_replaced_and_gets_all_that_memory_has_and_the_loss_is_signed(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            await desk.press()
            await asyncio.sleep(3)
            delivered = desk.record(Kind.PANIC)
            desk.bearer.answer = silence
            await desk.press()
            await asyncio.sleep(3)
            waiting = desk.record(Kind.ESCALATION)
            give_up = desk.outbox._give_up
            assert desk.outbox._connection is not None
            give_up(desk.outbox._connection)  # as when SQLite finds its pages at odds with one another
            await desk.press()
            await asyncio.sleep(RETRY_S + 2)
            assert f"{DATABASE_FILE}.damaged-1" in names_in(tmp_path)
            assert desk.state == "stored"
            assert waiting.digest in desk.rows()
            assert delivered.digest in desk.rows(), "of the alerts all that can be read"
            lost = desk.record(Kind.STORE_LOST)
            assert payload(lost)[3] == desk.records(Kind.OPENING)[0].digest[:4], "in the chain"
            assert lost.digest in desk.rows()
            heads = (await desk.outbox.history()).heads
            assert heads[Stream.ALERT] == Head(SESSION, 3, desk.calls()[-1].digest)
            assert heads[Stream.STATE] == Head(SESSION, 2, lost.digest)
            assert "store" not in desk.faults

    run(story())


def test_where_the_chains_stand_survives_though_all_was_delivered_before_the_file_was_damaged(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            await desk.press()
            await asyncio.sleep(3)
            assert sum(desk.device.waiting().values()) == 0
            assert desk.outbox._connection is not None
            desk.outbox._give_up(desk.outbox._connection)
            await asyncio.sleep(RETRY_S + 2)
            heads = (await desk.outbox.history()).heads
            assert heads[Stream.ALERT] == Head(SESSION, 1, desk.record(Kind.PANIC).digest)

    run(story())


def test_an_alert_that_is_saved_from_a_damaged_file_is_sent_at_once_and_until_then_counted(tmp_path: Path) -> None:
    """Else the queue looks empty while it waits, and whoever switches the device off then loses time with it."""
    alert = recorder(EARLIER).make(Kind.PANIC, 1.0, None)

    async def story() -> None:
        await left_in(tmp_path, alert)
        outbox = outbox_on(tmp_path)
        await outbox.open()
        assert outbox._connection is not None
        outbox._give_up(outbox._connection)
        await outbox.close()
        started = now()
        async with running(tmp_path, earlier=(alert,), answer=silence) as desk:
            assert now() - started < RETRY_S, "the store was tended once"
            [(sent_s, _)] = desk.bearer.sent_of(Kind.PANIC)
            assert sent_s - started < RETRY_S
            assert desk.device.waiting()[Stream.ALERT] == 1

    run(story())


def test_damage_that_is_found_while_resuming_is_signed_as_a_loss(tmp_path: Path) -> None:
    async def story() -> None:
        session = recorder(EARLIER)
        left = session.make(Kind.PANIC, 1.0, None)
        await left_in(tmp_path, left)
        disk = Disk()
        fails = [True]

        async def run_once_damaged(call: Callable[[], object]) -> object:
            if fails and desk_outbox and desk_outbox[0]._connection is not None:
                fails.clear()
                connection = desk_outbox[0]._connection
                raise StoreError(f"damaged: {desk_outbox[0]._give_up(connection)}", StoreTrouble.DAMAGED)
            return call()

        desk_outbox: list[SqliteOutbox] = []
        disk.run = run_once_damaged  # type: ignore[method-assign,assignment]
        async with running(
            tmp_path, disk=disk, history=session.history, earlier=(left,), answer=silence, built=desk_outbox.append
        ) as desk:
            await asyncio.sleep(10)
            assert desk.records(Kind.STORE_LOST)
            heads = (await desk.outbox.history()).heads
            assert heads[Stream.ALERT] == Head(EARLIER, 1, left.digest), "memory knows where the chain stands"

    run(story())


def test_a_card_that_damages_every_file_is_not_filled_with_them(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, answer=silence) as desk:
            commit = desk.outbox.restore

            async def damaging(*arguments: object) -> None:
                assert desk.outbox._connection is not None
                desk.outbox._give_up(desk.outbox._connection)
                raise StoreError("damaged again", StoreTrouble.DAMAGED)

            desk.outbox.restore = damaging  # type: ignore[method-assign,assignment]
            assert desk.outbox._connection is not None
            desk.outbox._give_up(desk.outbox._connection)
            await asyncio.sleep(3600)
            assert len(desk.records(Kind.STORE_LOST)) == 1
            assert len([name for name in names_in(tmp_path) if "damaged" in name and "wal" not in name]) < 30
            desk.outbox.restore = commit  # type: ignore[method-assign]
            await asyncio.sleep(700)
            assert desk.record(Kind.STORE_LOST).digest in desk.rows()

    run(story())


def test_a_store_that_was_lost_between_two_sessions_stays_known_as_lost_until_the_chain_goes_on(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, history=History.lost()) as desk:
            assert payload(desk.record(Kind.OPENING))[7] == [[0, None], [1, None]]
            await asyncio.sleep(1)
            heads = (await desk.outbox.history()).heads
            assert heads == {Stream.ALERT: None, Stream.STATE: Head(SESSION, 1, desk.record(Kind.OPENING).digest)}
            await desk.press()
            await asyncio.sleep(1)
            assert payload(desk.record(Kind.PANIC))[3] == b""
            assert (await desk.outbox.history()).heads[Stream.ALERT] == Head(SESSION, 1, desk.record(Kind.PANIC).digest)

    run(story())


# --- thinning, expiry, retention ----------------------------------------------------------------


def test_positions_beyond_their_bound_go_and_a_gap_names_them_in_the_same_commit(tmp_path: Path) -> None:
    async def story() -> None:
        bound = RULES[Stream.POSITION].bound
        async with running(tmp_path, answer=silence) as desk:
            maker = desk.device.parts.recorder
            for _ in range(bound + 40):
                desk.device._rooms.keeper.keep(maker.make(Kind.POSITION, now(), None))
                await asyncio.sleep(1)
            await asyncio.sleep(RETRY_S + 1)
            made = {record.id.sequence: record for record in desk.records(Kind.POSITION)}
            kept = {row.record.id.sequence for row in await desk.pending(Stream.POSITION)}
            gaps = [payload(record)[7] for record in desk.records(Kind.GAP)]
            named: set[int] = set()
            for body in gaps:
                for stream, session, reason, numbers in body:
                    assert (stream, session, reason) == (int(Stream.POSITION), SESSION.octets, 1)
                    named |= expanded(numbers)
            assert len(kept) <= bound
            assert kept | named == made.keys()
            assert kept & named == set()
            assert {1, bound + 40} <= kept
            assert {record.digest for record in desk.records(Kind.GAP)} <= desk.rows().keys()
            assert desk.device.waiting()[Stream.POSITION] == len(kept)

    run(story())


def expanded(numbers: list[int | list[int]]) -> set[int]:
    found: set[int] = set()
    for number in numbers:
        found |= {number} if isinstance(number, int) else set(range(number[0], number[1] + 1))
    return found


def test_a_gap_that_could_not_be_committed_is_committed_later_together_with_what_it_names(tmp_path: Path) -> None:
    async def story() -> None:
        bound = RULES[Stream.POSITION].bound
        async with running(tmp_path, answer=silence) as desk:
            maker = desk.device.parts.recorder
            thin, failures = desk.outbox.thin, [FULL, FULL]

            async def failing(*arguments: Any) -> None:
                if failures:
                    raise failures.pop()
                await thin(*arguments)

            desk.outbox.thin = failing  # type: ignore[method-assign,assignment]
            for _ in range(bound + 1):
                desk.device._rooms.keeper.keep(maker.make(Kind.POSITION, now(), None))
                await asyncio.sleep(0.01)
            await asyncio.sleep(RETRY_S)
            [gap] = desk.records(Kind.GAP)
            assert gap.digest not in desk.rows(), "not without what it names"
            await asyncio.sleep(3 * RETRY_S)
            assert gap.digest in desk.rows()
            [[_, _, _, numbers]] = payload(gap)[7]
            kept = {row.record.id.sequence for row in await desk.pending(Stream.POSITION)}
            assert kept.isdisjoint(expanded(numbers))
            assert failures == []

    run(story())


def test_faults_that_last_are_reported_and_an_old_report_expires_while_alerts_never_do(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, utc_ms=None, answer=silence) as desk:
            desk.place.fault = "the receiver is unplugged"
            await desk.press()
            await asyncio.sleep(65)
            assert "gnss-silent" in payload(desk.record(Kind.HEALTH))[7]
            day_s = RULES[Stream.HEALTH].expires_s
            await asyncio.sleep(1.25 * day_s + 120)
            expired = {number for record in desk.records(Kind.GAP) for entry in payload(record)[7] if entry[2] == 2
                       for number in expanded(entry[3])}  # fmt: skip
            assert 1 in expired
            waiting = desk.device.waiting()
            assert (waiting[Stream.HEALTH], waiting[Stream.ALERT]) == (0, 1)

    run(story())


@pytest.mark.parametrize("jump_ms", [-(10**12), 10**12])
def test_a_clock_that_jumps_by_decades_expires_and_erases_nothing(jump_ms: int, tmp_path: Path) -> None:
    async def story() -> None:
        utc = [UTC_MS]
        async with running(tmp_path, utc_ms=lambda: utc[0]) as desk:
            desk.place.fault = "the receiver is unplugged"
            await desk.press()
            await asyncio.sleep(30)
            await desk.press()
            await asyncio.sleep(30)
            desk.bearer.answer = silence
            await asyncio.sleep(30)
            before = desk.rows().keys()
            assert desk.records(Kind.HEALTH)
            utc[0] += jump_ms
            await asyncio.sleep(3600)
            assert before <= desk.rows().keys()
            assert desk.records(Kind.GAP) == []

    run(story())


def test_what_was_delivered_long_ago_is_erased_but_for_the_newest_alert(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, utc_ms=None, keep_delivered_s=3600.0) as desk:
            await desk.press()
            await asyncio.sleep(5)
            old = desk.record(Kind.PANIC)
            await desk.press()
            await asyncio.sleep(3000)
            assert old.digest in desk.rows()
            await asyncio.sleep(2000)
            assert old.digest not in desk.rows()
            assert desk.record(Kind.ESCALATION).digest in desk.rows()
            assert old.data not in (tmp_path / DATABASE_FILE).read_bytes(), "overwritten"
            assert desk.state == "delivered"

    run(story())


def test_what_was_kept_through_a_long_pause_is_as_old_as_utc_says(tmp_path: Path) -> None:
    async def story() -> None:
        session = recorder(EARLIER)
        left = session.make(Kind.HEALTH, 1.0, None, body=["gnss"])
        day_ms = 24 * 3600 * 1000
        await left_in(tmp_path, left, moment=Moment(10.0, UTC_MS - 2 * day_ms))
        async with running(tmp_path, earlier=(left,), answer=silence) as desk:
            await asyncio.sleep(2 * RETRY_S)
            assert desk.device.waiting()[Stream.HEALTH] == 0
            [[stream, of, reason, numbers]] = payload(desk.record(Kind.GAP))[7]
            assert (stream, of, reason, numbers) == (int(Stream.HEALTH), EARLIER.octets, 2, [1])

    run(story())


def test_a_pause_that_utc_tells_late_makes_nothing_of_this_session_older(tmp_path: Path) -> None:
    """Neither what is in memory nor what is in the file, where the next session finds it."""

    async def story() -> None:
        session = recorder(EARLIER)
        old = session.make(Kind.HEALTH, 1.0, None, body=["gnss"])
        day_ms = 24 * 3600 * 1000
        await left_in(tmp_path, old, moment=Moment(10.0, UTC_MS - 400 * day_ms))
        utc = [0]  # 1970: the clock was not set yet
        async with running(tmp_path, utc_ms=lambda: utc[0], earlier=(old,), answer=silence) as desk:
            desk.place.fault = "the receiver is unplugged"
            await asyncio.sleep(100)
            assert desk.device.waiting()[Stream.HEALTH] == 2
            utc[0] = UTC_MS
            await asyncio.sleep(100)
            assert desk.device.waiting()[Stream.HEALTH] == 1
            fresh = desk.record(Kind.HEALTH)
            gap = desk.record(Kind.GAP)
            [[stream, of, reason, numbers]] = payload(gap)[7]
            assert (stream, of, reason, numbers) == (int(Stream.HEALTH), EARLIER.octets, 2, [1])
            [kept] = await desk.pending(Stream.HEALTH)
            assert kept.stored.lifetime_s > 399 * 24 * 3600
        left = (fresh, gap)
        async with running(tmp_path, session=LATER, earlier=left, answer=silence) as desk:
            await asyncio.sleep(100)
            assert fresh.digest in {row.record.digest for row in await desk.pending(Stream.HEALTH)}
            assert desk.records(Kind.GAP) == [gap]

    run(story())


# --- the page -----------------------------------------------------------------------------------


def test_the_page_on_reliability_has_every_trouble_and_every_rule() -> None:
    page = (TOP / "docs" / "reliability.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE)
    assert rows == [trouble.value for trouble in StoreTrouble]
    assert ADVICE.keys() == set(StoreTrouble)
    for stream, rule in RULES.items():
        [row] = re.findall(rf"^\| {stream.label}[^|]*\| (\d+) \|.*\| ([^|]*) \|$", page, re.MULTILINE)
        hours = rule.expires_s / 3600
        expires = "never" if hours == math.inf else f"after {hours:.0f} h, at the latest after {hours * 1.25:.0f} h"
        if rule.of_a_shift:
            expires += "; at the end of the shift all that were not delivered"
        assert row == (str(rule.bound), expires)


def test_an_upkeep_that_failed_is_tried_again_soon(tmp_path: Path) -> None:
    """And not only ten minutes later: positions wait to be erased."""

    async def story() -> None:
        async with running(tmp_path) as desk:
            tried: list[float] = []

            async def fails(*_: object) -> None:
                tried.append(now())
                raise StoreError("no")

            desk.outbox.upkeep = fails  # type: ignore[method-assign,assignment]
            await asyncio.sleep(UPKEEP_S + 2.5 * aging.RETRY_S)
            assert [round(later - tried[0]) for later in tried] == [0, 60, 120]

    run(story())
