import asyncio
import subprocess
import sys
from collections.abc import Awaitable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bondmate.errors import StoreError, StoreTrouble
from bondmate.records import Duty, History, Kind, Moment, Opened, SignedRecord
from bondmate.store.database import DATABASE_FILE
from bondmate.store.outbox import SqliteOutbox
from bondmate.store.reserve import PIECE_OCTETS, RESERVE_FILE, RESERVE_OCTETS
from tests.store.samples import DEVICE, FIRST, START, added, alert_of_usual_size, all_pending, left, raw, record, used
from tests.store.syscalls import quota_on

LATER = Moment(1e9, 9)
ALERTS = 100
NEVER = 1e12


async def done(call: Awaitable[None]) -> bool:
    """Whether it was; if not, then because the disk is full, and for no other reason."""
    try:
        await call
    except StoreError as error:
        if error.trouble is not StoreTrouble.FULL:
            raise
        return False
    return True


async def committed_alerts(outbox: SqliteOutbox, first: int = 1) -> int:
    """How many of a hundred went in before the disk was full."""
    for number in range(first, first + ALERTS):
        if not await done(outbox.add(alert_of_usual_size(number), START)):
            return number - first
    return ALERTS


@given(room=st.integers(0, 1 << 20) | st.integers(0, 5000), records_before=st.integers(0, 60))
@settings(max_examples=15)
def test_whatever_octet_fills_the_disk_a_hundred_alerts_go_in_and_the_rest_takes_nothing_of_the_reserve(
    room: int, records_before: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("full")
    expected = [record(Kind.POSITION, number) for number in range(records_before)]

    async def use(outbox: SqliteOutbox) -> None:
        await outbox.upkeep(START, NEVER)
        for one in expected:
            await outbox.add(one, START)
        quota.take_all_but(room)
        assert await committed_alerts(outbox) == ALERTS
        expected.extend(alert_of_usual_size(number) for number in range(1, ALERTS + 1))
        quota.take_all_but(0)
        for number, kind in enumerate((Kind.POSITION, Kind.ANCHOR, Kind.HEALTH) * 10, start=1000):
            reserve, clock = (directory / RESERVE_FILE).stat().st_size, await outbox.clock()
            if await done(outbox.add(record(kind, number), LATER)):
                expected.append(record(kind, number))
            else:
                assert await outbox.clock() == clock
            assert (directory / RESERVE_FILE).stat().st_size >= reserve
        assert [stored.record for stored in await all_pending(outbox)] == expected

    with quota_on(directory) as quota:
        used(directory, use)
    assert left(directory) == expected


def test_on_a_full_disk_only_alerts_go_in_until_there_is_room_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reserve = tmp_path / RESERVE_FILE
    position, opening = record(Kind.POSITION, 1), record(Kind.OPENING, 1)
    alerts = [alert_of_usual_size(number) for number in (1, 2, 3, 4)]

    async def use(outbox: SqliteOutbox) -> None:
        await outbox.upkeep(START, NEVER)
        quota.take_all_but(0)
        for one in (position, opening):
            with pytest.raises(StoreError, match=r"outbox.db failed: .*full$") as caught:
                await outbox.add(one, LATER)
            assert caught.value.trouble is StoreTrouble.FULL
        assert reserve.stat().st_size == RESERVE_OCTETS, "it is not for them"
        for one in alerts:
            await outbox.add(one, START)
        spent = RESERVE_OCTETS - reserve.stat().st_size
        assert 2 * PIECE_OCTETS < spent < 10 * PIECE_OCTETS, "given up piece by piece"
        assert [entry.levelname for entry in caplog.records] == ["CRITICAL"] * (spent // PIECE_OCTETS)
        assert f"{(RESERVE_OCTETS - spent) >> 10} KiB are left" in caplog.text
        quota.take_all_but(2 * PIECE_OCTETS)  # enough for a record
        for one in (position, opening):
            with pytest.raises(StoreError, match=r"reserve has .* kept free for alerts") as caught:
                await outbox.add(one, LATER)
            assert caught.value.trouble is StoreTrouble.FULL
        assert [stored.record for stored in await all_pending(outbox)] == alerts
        quota.octets = None
        await outbox.add(opening, START)
        assert reserve.stat().st_size == RESERVE_OCTETS
        await outbox.add(position, START)

    with quota_on(tmp_path) as quota:
        used(tmp_path, use)
    assert left(tmp_path) == [*alerts, opening, position]


def test_on_a_full_disk_a_shift_ends_and_none_begins(tmp_path: Path) -> None:
    """Else a restart would go on with it, and tell where the officer is."""
    duty = Duty(START, FIRST)

    async def use(outbox: SqliteOutbox) -> None:
        await outbox.keep_duty(duty, START)
        await outbox.upkeep(START, NEVER)
        quota.take_all_but(0)
        with pytest.raises(StoreError) as caught:
            await outbox.keep_duty(Duty(LATER, FIRST), LATER)
        assert caught.value.trouble is StoreTrouble.FULL
        assert await outbox.duty() == duty
        await outbox.keep_duty(None, LATER)
        assert await outbox.duty() is None

    with quota_on(tmp_path) as quota:
        used(tmp_path, use)


@pytest.mark.parametrize("room", [0, 5000, 100_000])
def test_without_the_reserve_no_hundred_alerts_go_in(room: int, tmp_path: Path) -> None:
    """The control of the tests above."""

    async def use(outbox: SqliteOutbox) -> None:
        quota.take_all_but(room)
        assert await committed_alerts(outbox) <= room // 20_000

    with quota_on(tmp_path) as quota:
        used(tmp_path, use)


def test_a_restart_on_a_full_disk_loses_nothing_and_goes_on_with_the_reserve(tmp_path: Path) -> None:
    async def first(outbox: SqliteOutbox) -> None:
        await outbox.upkeep(START, NEVER)
        quota.take_all_but(0)
        assert await committed_alerts(outbox) == ALERTS

    async def second(outbox: SqliteOutbox) -> None:
        quota.take_all_but(0)
        with pytest.raises(StoreError, match="kept free for alerts"):
            await outbox.add(record(Kind.OPENING, 1), START)
        assert await committed_alerts(outbox, ALERTS + 1) == ALERTS

    with quota_on(tmp_path) as quota:
        used(tmp_path, first)
        used(tmp_path, second)
    assert left(tmp_path) == [alert_of_usual_size(number) for number in range(1, 2 * ALERTS + 1)]


def test_a_damaged_file_on_a_full_disk_is_replaced_with_the_help_of_the_reserve(tmp_path: Path) -> None:
    async def prepare(outbox: SqliteOutbox) -> None:
        await outbox.upkeep(START, NEVER)

    async def main() -> None:
        outbox = SqliteOutbox(tmp_path, DEVICE)
        assert await outbox.open() is Opened.REPLACED
        await outbox.restore([alert_of_usual_size(1)], History.lost(), START)
        await outbox.close()

    with quota_on(tmp_path) as quota:
        used(tmp_path, prepare)
        (tmp_path / DATABASE_FILE).write_bytes(b"garbage!" * 1000)
        quota.take_all_but(0)
        asyncio.run(main())
    assert left(tmp_path) == [alert_of_usual_size(1)]


def test_receipts_and_thinning_on_a_full_disk_are_done_or_not_done(tmp_path: Path) -> None:
    """They leave the reserve alone: at worst a record is sent again."""
    positions = [record(Kind.POSITION, number) for number in range(300)]
    added(tmp_path, *positions)
    marked: list[SignedRecord] = []

    async def use(outbox: SqliteOutbox) -> None:
        await outbox.upkeep(START, NEVER)
        quota.take_all_but(100_000)
        marked.extend(
            [one for one in positions[:100] if await done(outbox.mark_delivered(one.digest, bytes(200), START))]
        )
        with pytest.raises(StoreError) as caught:
            await outbox.thin(record(Kind.GAP, 1), [one.digest for one in positions[100:]], START)
        assert caught.value.trouble is StoreTrouble.FULL
        assert (tmp_path / RESERVE_FILE).stat().st_size == RESERVE_OCTETS

    with quota_on(tmp_path) as quota:
        used(tmp_path, use)
    assert 0 < len(marked) < 100
    assert left(tmp_path) == [one for one in positions if one not in marked]
    assert raw(tmp_path, "SELECT count(*) FROM record WHERE kind = 19") == [(0,)]


REAL = """
import asyncio, os, sys
from pathlib import Path
from bondmate.errors import StoreError
from bondmate.store.outbox import SqliteOutbox
from bondmate.store.reserve import RESERVE_FILE, RESERVE_OCTETS
from tests.store.samples import DEVICE, START, Kind, alert_of_usual_size, record

directory = Path(sys.argv[1])

def fill():
    filler = os.open(directory / "filler", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        while True:
            os.write(filler, bytes(4096))
    except OSError as error:
        assert os.strerror(error.errno) == "No space left on device", error
    finally:
        os.close(filler)

async def main():
    outbox = SqliteOutbox(directory, DEVICE)
    await outbox.open()
    if sys.argv[2] != "none":
        await outbox.upkeep(START, 1e12)
        assert (directory / RESERVE_FILE).stat().st_blocks * 512 >= RESERVE_OCTETS
    fill()
    count = 0
    try:
        while count < 500:
            await outbox.add(alert_of_usual_size(count), START)
            count += 1
            if sys.argv[2] == "greedy":
                fill()
    except StoreError as error:
        assert error.trouble.value == "full", error
    try:
        fill()
        await outbox.add(record(Kind.OPENING, 1), START)
    except StoreError as error:
        assert error.trouble.value == "full", error
    else:
        raise AssertionError("a record without a claim to the reserve went in")
    assert sum(stored is not None for stored in await outbox.pending(0, 1000)) == count
    print(count)
    await outbox.close()

asyncio.run(main())
"""


def alerts_on_a_real_disk(directory: Path, mode: str) -> int:
    """The same with a real file system of 8 MiB that somebody else fills."""
    mount = 'mount -t tmpfs -o size=8m none "$1" && exec "$2" -c "$3" "$1" "$4"'
    own_mounts = ["unshare", "--user", "--map-root-user", "--mount"]
    try:
        possible = subprocess.run([*own_mounts, "true"], check=False, capture_output=True, timeout=30).returncode == 0
    except FileNotFoundError:
        possible = False
    if not possible:
        pytest.skip("no user namespaces here, so no file system of our own")
    ended = subprocess.run(
        [*own_mounts, "sh", "-c", mount, "sh", str(directory), sys.executable, REAL, mode],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )
    assert ended.returncode == 0, ended.stderr
    return int(ended.stdout)


@pytest.mark.parametrize("mode", ["calm", "greedy"])
def test_on_a_real_full_disk_alerts_go_in_also_while_somebody_takes_all_that_becomes_free(
    mode: str, tmp_path: Path
) -> None:
    assert alerts_on_a_real_disk(tmp_path, mode) == 500


def test_on_a_real_full_disk_no_alert_goes_in_without_the_reserve(tmp_path: Path) -> None:
    """The control of the test above."""
    assert alerts_on_a_real_disk(tmp_path, "none") == 0
