"""What of the receiver's fixes is recorded, stored and sent: by a device on virtual time, with a real store on disk."""

import asyncio
import logging
import math
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import cbor2
import pytest

from bondmate import wire
from bondmate.core.lamp import Light
from bondmate.core.tracking import MOVED_M, TrackingPolicy
from bondmate.records import ClockSource, How, Kind, SignedRecord, Stream, Suspicion, UtcTime
from bondmate.store.database import DATABASE_FILE
from bondmate.tracker import SHORT_EVERY
from tests.desk import (
    ATTENTION,
    DUTY_MAX_S,
    EARLIER,
    SESSION,
    STORED,
    YOUNG,
    Desk,
    fix_at,
    left_in,
    outbox_on,
    payload,
    recorder,
    running,
    silence,
)
from tests.virtual import run

OFF_S = 1800.0
"""How long the device is without power."""
LAT, LON = 38.7222525, -9.1393375


def on_duty(desk: Desk) -> bool:
    return desk.device.duty.is_on


def awake(desk: Desk) -> bool:
    """The receiver."""
    return desk.place.awake


async def walk(desk: Desk, seconds: int, *, north_m: float = 1.0, lat: float = LAT) -> float:
    """A fix a second, each so far north of the last; returns the last latitude."""
    loop = asyncio.get_running_loop()
    for _ in range(seconds):
        await asyncio.sleep(1)
        lat += north_m / 111_195
        desk.device.on_fix(replace(fix_at(loop.time(), lat), lon=LON, speed_mps=north_m, alt_m=12.0))
    return lat


def where(record: SignedRecord) -> tuple[float, float]:
    """By the layout of docs/protocol.md: i32 latitude and longitude in 1e-7 degrees come first."""
    lat, lon = struct.unpack(">ii", payload(record)[6][:8])
    return lat / 1e7, lon / 1e7


def elapsed_s(record: SignedRecord) -> float:
    elapsed_ms: int = payload(record)[4]
    return elapsed_ms / 1000


# --- off duty ----------------------------------------------------------------------------------------


def test_a_device_begins_off_duty_and_its_receiver_sleeps(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, on_duty=None) as desk:
            assert not on_duty(desk)
            assert desk.place.wakes == []
            await walk(desk, 60)
            assert desk.device.fix is None
            assert {record.kind for record in desk.bearer.made.values()} == {Kind.OPENING}

    run(story())


def test_off_duty_nothing_is_sent_until_a_press_needs_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, on_duty=None) as desk:
            desk.place.fault = "unplugged"
            await asyncio.sleep(3600)
            assert desk.records(Kind.HEALTH), "what is wrong is recorded"
            assert desk.bearer.sent == []
            waits = {row.record.kind: row.why for row in desk.device.parts.delivery.snapshot(0.0)}
            assert waits == dict.fromkeys(waits, "waits for the next shift: off duty only what a press needs is sent")
            await desk.press()
            await asyncio.sleep(5)
            assert len(desk.bearer.sent_of(Kind.PANIC)) == 1
            assert desk.bearer.sent_of(Kind.OPENING), "while the alert is open, everything goes"
            desk.device.cancel_alert(How.TOOL)
            await asyncio.sleep(5)
            sent = len(desk.bearer.sent)
            desk.place.fault = None
            await asyncio.sleep(3600)
            assert len(desk.bearer.sent) == sent
            assert await desk.device.set_duty(True)
            await asyncio.sleep(5)
            assert len(desk.bearer.sent) > sent

    run(story())


def test_a_press_off_duty_goes_at_once_without_a_position_and_the_first_fix_follows(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, on_duty=None) as desk:
            await walk(desk, 10)
            raised_s = await desk.press()
            alert = desk.record(Kind.PANIC)
            assert payload(alert)[6] is None
            assert desk.place.wakes == [(raised_s, True)], "the receiver is woken by the press"
            await asyncio.sleep(25)
            assert desk.state == "delivered", "nothing waits for a fix"
            await walk(desk, 1)
            await asyncio.sleep(1)
            assert len(desk.bearer.sent_of(Kind.POSITION)) == 1
            assert desk.records(Kind.POSITIONS_BEFORE) == [], "off duty there is nothing before"

    run(story())


def test_everything_stops_again_when_the_alert_is_closed(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, on_duty=None) as desk:
            await desk.press()
            await walk(desk, 30)
            recorded = len(desk.records(Kind.POSITION))
            assert recorded >= 5
            desk.device.cancel_alert(How.TOOL)
            assert not awake(desk)
            assert desk.device.fix is None
            await walk(desk, 3600)
            assert len(desk.records(Kind.POSITION)) == recorded
            assert desk.records(Kind.PRESENCE) == []

    run(story())


# --- on duty -----------------------------------------------------------------------------------------


def test_on_duty_presence_is_recorded_at_its_interval_and_no_position(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            assert awake(desk)
            await walk(desk, 3601)
            await asyncio.sleep(1)
            presences = desk.records(Kind.PRESENCE)
            assert len(presences) == 13, "one at once, and then one each 300 s"
            gaps = [round(elapsed_s(after) - elapsed_s(before)) for before, after in pairwise(presences)]
            assert set(gaps) == {300}
            assert desk.records(Kind.POSITION) == []
            assert len(desk.bearer.sent_of(Kind.PRESENCE)) == 13

    run(story())


def test_a_presence_tells_a_cell_and_nothing_of_where_in_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, tracking=TrackingPolicy(presence_interval_s=30.0)) as desk:
            loop = asyncio.get_running_loop()
            # two places 400 m apart, in one cell of 729 m by hand: 387_222_525 >> 16 == 387_190_000 >> 16
            for lat in (38.7222525, 38.7190000):
                desk.device.on_fix(replace(fix_at(loop.time(), lat), lon=LON, speed_mps=3.0, track_deg=77.0, alt_m=5.0))
                await asyncio.sleep(31)
            one, other = (payload(record)[6] for record in desk.records(Kind.PRESENCE))
            assert one == other
            assert len(one) == 11, "no height, speed or direction"
            assert one[10] >> 6 & 1, "coarse on purpose"
            lat, lon = struct.unpack(">ii", one[:8])
            assert (lat & 0xFFFF, lon & 0xFFFF) == (0x8000, 0x8000), "the middle of the cell"
            assert abs(lat - 387_222_525) <= 0x8000

    run(story())


def test_a_presence_waits_until_utc_is_known(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, utc_ms=None) as desk:
            await walk(desk, 600)
            assert desk.records(Kind.PRESENCE) == []
            desk.device.parts.system_utc_ms = lambda: 1_900_000_000_000
            await walk(desk, 2)
            assert len(desk.records(Kind.PRESENCE)) == 1

    run(story())


def test_off_duty_presences_that_wait_are_dropped_and_a_gap_says_so(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, answer=silence) as desk:
            await walk(desk, 900)
            presences = desk.records(Kind.PRESENCE)
            assert len(presences) == 3
            assert await desk.device.set_duty(False)
            await asyncio.sleep(60)
            left = {row.record.digest for row in await desk.pending(Stream.PRESENCE)}
            assert left == set()
            assert desk.rows().keys().isdisjoint(record.digest for record in presences)
            [gap] = desk.records(Kind.GAP)
            assert payload(gap)[7] == [[int(Stream.PRESENCE), SESSION.octets, 2, [[1, 3]]]]

    run(story())


def test_at_the_end_of_a_shift_what_is_being_sent_is_broken_off(tmp_path: Path) -> None:
    """Not even a retransmission tells then that the device is switched on."""
    broken_off: list[float] = []

    async def hangs(_record: SignedRecord) -> bytes:
        try:
            return await silence(_record)
        except asyncio.CancelledError:
            broken_off.append(asyncio.get_running_loop().time())
            raise

    async def story() -> None:
        async with running(tmp_path) as desk:
            await asyncio.sleep(5)
            desk.bearer.answer = hangs
            await walk(desk, 5)
            assert desk.bearer.sent_of(Kind.PRESENCE)
            assert await desk.device.set_duty(False)
            await asyncio.sleep(0.1)
            assert broken_off == [pytest.approx(asyncio.get_running_loop().time(), abs=0.2)]

    run(story())


def test_presences_and_positions_are_erased_soon_after_their_receipt(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            await walk(desk, 301)
            await desk.press()
            await walk(desk, 20)
            await asyncio.sleep(700)
            kept = {kind: [record for record in desk.records(kind) if record.digest in desk.rows()] for kind in Kind}
            assert kept[Kind.PRESENCE] == []
            assert kept[Kind.POSITION] == [desk.record(Kind.POSITION)], "the last of an open alert stays"
            assert kept[Kind.PANIC] == [desk.record(Kind.PANIC)]
            desk.device.cancel_alert(How.TOOL)
            await asyncio.sleep(700)
            assert desk.record(Kind.POSITION).digest not in desk.rows()

    run(story())


def test_a_closed_alert_is_erased_in_the_end_with_the_position_that_it_has(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, keep_delivered_s=3600.0) as desk:
            await walk(desk, 3)
            await desk.press()
            await asyncio.sleep(5)
            await asyncio.sleep(2 * 3600)
            assert desk.record(Kind.PANIC).digest in desk.rows(), "it is open"
            desk.device.cancel_alert(How.TOOL)
            await asyncio.sleep(2 * 3600)
            assert desk.record(Kind.PANIC).digest not in desk.rows()

    run(story())


# --- an alert ----------------------------------------------------------------------------------------


def test_while_an_alert_is_open_positions_follow_at_their_interval(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, tracking=TrackingPolicy(alert_interval_s=7.0)) as desk:
            await walk(desk, 5)
            await desk.press()
            lat = await walk(desk, 71)
            await asyncio.sleep(1)
            positions = desk.records(Kind.POSITION)
            assert len(positions) == 11
            gaps = {round(elapsed_s(after) - elapsed_s(before)) for before, after in pairwise(positions)}
            assert gaps == {7}
            assert where(positions[-1]) == pytest.approx((lat, LON), abs=1e-7), "as precise as it is known"
            assert desk.records(Kind.PRESENCE) == desk.records(Kind.PRESENCE)[:1], "presence rests meanwhile"
            assert len(desk.bearer.sent_of(Kind.POSITION)) == 11

    run(story())


def test_a_large_movement_is_told_at_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            await walk(desk, 1)
            await desk.press()
            await walk(desk, 20, north_m=MOVED_M / 2 + 1)
            times = [elapsed_s(record) for record in desk.records(Kind.POSITION)]
            assert {round(after - before) for before, after in pairwise(times)} == {2}

    run(story())


def test_the_last_two_positions_before_a_press_follow_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            await walk(desk, 60)
            await desk.press()
            alert, before = desk.record(Kind.PANIC), desk.record(Kind.POSITIONS_BEFORE)
            assert before.id.sequence == 1, "it is the first record of the position stream, right behind the alert"
            told = payload(before)
            assert told[6] is None
            fixes = [wire.unpack_fix(octets, 0.0) for octets in told[7]]
            assert len(fixes) == 2
            ages = [payload_age_s(alert), *(-fix.taken_s for fix in fixes)]
            apart = [after - before for before, after in pairwise(ages)]
            assert all(4.5 <= each <= 11 for each in apart), ages
            here = wire.unpack_fix(payload(alert)[6], 0.0).lat
            assert here > fixes[0].lat > fixes[1].lat, "the officer went north"
            await asyncio.sleep(3)
            assert desk.bearer.sent_of(Kind.POSITIONS_BEFORE)
            assert desk.state == "delivered"

    run(story())


def payload_age_s(record: SignedRecord) -> float:
    return -wire.unpack_fix(payload(record)[6], 0.0).taken_s


def test_a_suspect_fix_is_sent_as_such(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            loop = asyncio.get_running_loop()
            await desk.press()
            desk.device.on_fix(replace(fix_at(loop.time()), suspect=(Suspicion.JUMP, Suspicion.EQUAL_SIGNAL)))
            await asyncio.sleep(1)
            flags = payload(desk.record(Kind.POSITION))[6][10]
            assert flags == 1 | 1 << 1 | 1 << 4

    run(story())


def test_the_led_flashes_while_positions_are_precise_and_covert_that_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            desk.palm.covert = False
            desk.palm.light_rises.clear()
            await asyncio.sleep(10)
            assert desk.palm.light_rises == []
            await desk.press()
            await asyncio.sleep(10 * sum(Light.PRECISE.value) - 0.1)
            assert len(desk.palm.light_rises) in (9, 10)
            desk.device.cancel_alert(How.TOOL)
            await asyncio.sleep(1)
            desk.palm.light_rises.clear()
            await asyncio.sleep(10)
            assert desk.palm.light_rises == []
            assert not [record for record in caplog.records if "covert" in record.message]
            desk.palm.covert = True
            await desk.press()
            await desk.device.set_duty(True)
            assert len([record for record in caplog.records if "covert" in record.message]) == 1

    caplog.set_level(logging.INFO)
    run(story())


# --- a shift ends by itself ---------------------------------------------------------------------------


def test_a_shift_ends_by_itself_and_that_is_felt_before(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            await asyncio.sleep(DUTY_MAX_S - 900 - 5)
            assert desk.palm.pulses == []
            await asyncio.sleep(10)
            assert desk.palm.pulses == ATTENTION
            await asyncio.sleep(880)
            assert on_duty(desk)
            await asyncio.sleep(20)
            assert not on_duty(desk)
            assert not awake(desk)
            assert desk.palm.pulses == ATTENTION * 2, "and when it ended"

    run(story())


def test_a_shift_that_is_begun_anew_lasts_its_whole_time(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            await asyncio.sleep(DUTY_MAX_S - 600)
            assert await desk.device.set_duty(True)
            await asyncio.sleep(DUTY_MAX_S - 60)
            assert on_duty(desk)
            await asyncio.sleep(120)
            assert not on_duty(desk)
            assert desk.palm.pulses == ATTENTION + STORED + ATTENTION * 2

    run(story())


def test_a_shift_that_ends_during_an_alert_leaves_the_alert_as_it_is(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            await asyncio.sleep(DUTY_MAX_S - 10)
            await desk.press()
            await walk(desk, 60)
            assert not on_duty(desk)
            assert awake(desk)
            assert len(desk.records(Kind.POSITION)) >= 10
            desk.device.cancel_alert(How.TOOL)
            assert not awake(desk)

    run(story())


# --- restarts ----------------------------------------------------------------------------------------


@asynccontextmanager
async def restarted(directory: Path, **more: Any) -> AsyncIterator[Desk]:
    """The device's next session: nobody says anything of duty."""
    async with running(directory, on_duty=None, **more) as desk:
        yield desk


@pytest.mark.parametrize("on", [True, False])
def test_duty_outlives_a_restart(on: bool, tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            await asyncio.sleep(60)
            if not on:
                assert await desk.device.set_duty(False)
        async with restarted(tmp_path, session=EARLIER) as desk:
            assert on_duty(desk) is on
            assert awake(desk) is on

    run(story())


def test_a_shift_counts_on_through_a_restart(tmp_path: Path) -> None:
    async def story() -> None:
        loop, off_s = asyncio.get_running_loop(), [0.0]

        def utc_ms() -> int:
            return 1_900_000_000_000 + round((loop.time() + off_s[0]) * 1000)

        async with running(tmp_path, utc_ms=utc_ms) as desk:
            await asyncio.sleep(DUTY_MAX_S / 2)
            await desk.press()
            await asyncio.sleep(5)
            desk.device.cancel_alert(How.TOOL)
            await asyncio.sleep(2)
        off_s[0] = OFF_S
        async with restarted(tmp_path, utc_ms=utc_ms, session=EARLIER) as desk:
            assert on_duty(desk)
            await asyncio.sleep(DUTY_MAX_S / 2 - OFF_S - 120)
            assert on_duty(desk)
            await asyncio.sleep(240)
            assert not on_duty(desk)

    run(story())


def test_a_shift_that_ended_while_there_was_no_power_ends_as_soon_as_utc_tells(tmp_path: Path) -> None:
    """And until then nothing of where the officer is was recorded."""

    async def story() -> None:
        async with running(tmp_path) as desk:
            await asyncio.sleep(60)
        monday_ms = 1_900_000_000_000 + 60 * 3600 * 1000
        async with restarted(tmp_path, utc_ms=None, session=EARLIER) as desk:
            assert on_duty(desk), "without UTC nobody knows how long the device was off"
            await walk(desk, 100)
            desk.device.parts.system_utc_ms = lambda: monday_ms
            await walk(desk, 20)
            assert not on_duty(desk)
            assert not awake(desk)
            assert desk.records(Kind.PRESENCE) == []

    run(story())


def test_without_what_the_store_had_a_device_is_off_duty(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            await asyncio.sleep(60)
        (tmp_path / DATABASE_FILE).rename(tmp_path / "elsewhere")
        async with restarted(tmp_path, session=EARLIER) as desk:
            assert not on_duty(desk)

    run(story())


def test_duty_that_cannot_be_stored_takes_effect_and_is_stored_when_that_works(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, on_duty=None) as desk:
            desk.disk.failure = OSError("no card")
            assert not await desk.device.set_duty(True)
            assert awake(desk)
            desk.disk.failure = None
            await asyncio.sleep(5)
            kept = await desk.outbox.duty()
            assert kept is not None
            assert kept.session == SESSION

    run(story())


def test_an_open_alert_is_tracked_again_after_a_restart(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, on_duty=None) as desk:
            await desk.press()
            lat = await walk(desk, 12)
            await asyncio.sleep(1)
        async with restarted(tmp_path, session=EARLIER, earlier=tuple(desk.bearer.made.values())) as desk:
            assert awake(desk), "off duty, but the alert is open"
            last = desk.device.fix
            assert last is not None
            assert last.lat == pytest.approx(lat, abs=3 / 111_195)
            await walk(desk, 12)
            assert len(desk.records(Kind.POSITION)) >= 4

    run(story())


@pytest.mark.parametrize(
    ("then_known", "utc_ms"),
    [
        (True, 1_900_000_000_000 + 3600_000),
        (True, None),
        (False, 1_900_000_000_000 + 3600_000),
        (True, 1_900_000_000_000 - 3600_000),
    ],
    ids=["an hour later", "UTC unknown", "UTC unknown then", "a clock that is behind"],
)
def test_the_position_that_is_known_again_after_a_restart_says_how_old_it_is(
    then_known: bool, utc_ms: int | None, tmp_path: Path
) -> None:
    async def story() -> None:
        session = recorder(EARLIER)
        fix = wire.pack_long_fix(fix_at(8.0, lat=1.0), 10.0)
        clock_then = UtcTime(1_900_000_000_000, ClockSource.SYSTEM)
        alert = session.make(Kind.PANIC, 1.0, clock_then)
        position = session.make(Kind.POSITION, 10.0, clock_then if then_known else None, fix)
        await left_in(tmp_path, alert, position, moment=replace(YOUNG, utc_ms=1_900_000_000_000))
        clock = None if utc_ms is None else lambda: utc_ms
        async with restarted(tmp_path, earlier=(alert, position), utc_ms=clock) as desk:
            known = desk.device.fix
            assert known is not None
            assert known.lat == 1.0
            age_s = known.age_s(asyncio.get_running_loop().time())
            is_told = then_known and utc_ms is not None and utc_ms > 1_900_000_000_000
            if not is_told:
                assert age_s == math.inf
                assert known.to_json(0.0)["age_s"] is None
            else:
                assert age_s == pytest.approx(3600 + 2, rel=0.13), "an hour without power, and what it was before"
            await desk.press()
            age_code = payload(desk.calls()[-1])[6][9]
            assert (age_code == 255) is not is_told

    run(story())


def test_a_position_that_the_disk_has_changed_is_not_believed(tmp_path: Path) -> None:
    async def story() -> None:
        session = recorder(EARLIER)
        alert = session.make(Kind.PANIC, 1.0, None)
        broken = replace(session.make(Kind.POSITION, 2.0, None), data=cbor2.dumps(1))
        broken = replace(broken, digest=wire.digest(broken.data))
        await left_in(tmp_path, alert, broken)
        async with restarted(tmp_path, earlier=(alert, broken), answer=silence) as desk:
            assert desk.device.fix is None
            assert awake(desk)

    run(story())


def test_the_last_position_of_a_closed_alert_is_not_known_again(tmp_path: Path) -> None:
    async def story() -> None:
        session = recorder(EARLIER)
        fix = wire.pack_long_fix(fix_at(8.0), 10.0)
        alert = session.make(Kind.PANIC, 1.0, None, fix[:11])
        cancel = session.make(Kind.CANCELLATION, 11.0, None, body=alert.digest[:8])
        position = session.make(Kind.POSITION, 10.0, None, fix)
        await left_in(tmp_path, alert, position, cancel)
        async with restarted(tmp_path, earlier=(alert, position, cancel)) as desk:
            assert desk.device.fix is None
            assert not awake(desk)
            assert desk.palm.pulses in ([], STORED)

    run(story())


def test_a_fix_in_memory_is_forgotten_at_the_end_of_a_shift(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            await walk(desk, 20)
            known = [desk.device.fix]
            assert await desk.device.set_duty(False)
            known.append(desk.device.fix)
            assert [fix is None for fix in known] == [False, True]
            assert await desk.device.set_duty(True)
            await desk.press()
            assert payload(desk.record(Kind.PANIC))[6] is None
            assert desk.records(Kind.POSITIONS_BEFORE) == []

    run(story())


def test_an_open_alert_that_is_saved_from_a_damaged_store_is_tracked_and_can_be_closed(tmp_path: Path) -> None:
    alert = recorder(EARLIER).make(Kind.PANIC, 1.0, None)

    async def story() -> None:
        await left_in(tmp_path, alert)
        outbox = outbox_on(tmp_path)
        await outbox.open()
        outbox._give_up(outbox._connection)  # type: ignore[arg-type]  # as when SQLite meets a damaged page
        await outbox.close()
        async with restarted(tmp_path, earlier=(alert,)) as desk:
            await walk(desk, 20)
            assert awake(desk)
            assert desk.records(Kind.POSITION)
            desk.device.cancel_alert(How.TOOL)
            assert not awake(desk)

    run(story())


def test_an_alert_from_memory_that_was_closed_is_not_open_after_a_restart(tmp_path: Path) -> None:
    """It is committed when the store works again, behind its cancellation."""

    async def story() -> None:
        async with running(tmp_path, on_duty=None) as desk:
            desk.disk.failure = OSError("no card")
            await desk.press()
            await asyncio.sleep(0.3)
            assert desk.state == "delivered"
            desk.disk.failure = None
            desk.device.cancel_alert(How.TOOL)
            await asyncio.sleep(60)
        async with restarted(tmp_path, session=EARLIER, earlier=tuple(desk.bearer.made.values())) as desk:
            await walk(desk, 20)
            assert desk.state == "cancelled"
            assert not awake(desk)
            assert desk.records(Kind.POSITION) == []

    run(story())


@pytest.mark.parametrize("utc_ms", [0, 1_700_000_000_000])
def test_a_clock_that_was_never_set_tells_no_date(utc_ms: int, tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, utc_ms=lambda: utc_ms) as desk:
            await walk(desk, 20)
            assert payload(desk.record(Kind.OPENING))[5] is None
            assert desk.records(Kind.PRESENCE) == []

    run(story())


def test_some_positions_are_short_enough_for_an_sms_however_many_there_were(tmp_path: Path) -> None:
    """From number 256 on a long one has 141 octets with all that is around it (docs/protocol.md, section 6)."""

    async def story() -> None:
        async with running(tmp_path) as desk:
            loop = asyncio.get_running_loop()
            await desk.press()
            for _ in range(300):
                await asyncio.sleep(5)
                desk.device.on_fix(fix_at(loop.time()))
            await asyncio.sleep(1)
            made = desk.records(Kind.POSITION)
            assert len(made) >= 299
            fits = [31 + 1 + len(wire.encode_submission(each.data, beside=None, compact=True)) <= 140 for each in made]
            assert all(fits[:255])
            late = fits[255:]
            assert not all(late), "else all could be long"
            assert all(any(late[place : place + SHORT_EVERY]) for place in range(len(late) - SHORT_EVERY))

    run(story())
