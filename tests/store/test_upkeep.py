import asyncio
import random
from pathlib import Path

import pytest

from bondmate.errors import StoreError, StoreTrouble
from bondmate.records import History, Kind, Moment, SignedRecord
from bondmate.store import database
from bondmate.store.database import DATABASE_FILE
from bondmate.store.outbox import SqliteOutbox
from bondmate.store.queries import ERASED_AT_ONCE
from bondmate.store.reserve import RESERVE_FILE, RESERVE_OCTETS
from tests.store.samples import SECOND, START, all_pending, raw, record, used
from tests.store.syscalls import quota_on

KEEP_S = 100.0


async def delivered(outbox: SqliteOutbox, when: Moment, *records: SignedRecord) -> None:
    for one in records:
        await outbox.add(one, START)
        await outbox.mark_delivered(one.digest, b"receipt", when)


def there(directory: Path) -> list[object]:
    return [row[0] for row in raw(directory, "SELECT digest FROM record ORDER BY position")]


def digests(*records: SignedRecord) -> list[object]:
    return [one.digest for one in records]


def test_what_was_delivered_longer_ago_is_erased_and_nothing_else(tmp_path: Path) -> None:
    old, new, waiting = (record(Kind.HEALTH, number) for number in (1, 2, 3))

    async def use(outbox: SqliteOutbox) -> None:
        await delivered(outbox, Moment(10.0, 10**15), old)
        await delivered(outbox, Moment(10.5, 0), new)
        await outbox.add(waiting, START)
        await outbox.upkeep(Moment(110.5, None), KEEP_S)

    used(tmp_path, use)
    assert there(tmp_path) == digests(new, waiting), "by the device's age, whatever UTC said"


def test_the_newest_alert_stays_while_it_is_open_with_its_last_position(tmp_path: Path) -> None:
    erased = [
        record(Kind.PANIC, 1),
        record(Kind.POSITION, 1),
        record(Kind.CANCELLATION, 2),
        record(Kind.OPENING, 1),
    ]
    kept = [record(Kind.PANIC, 1, SECOND), record(Kind.POSITION, 9, SECOND)]
    track = [record(Kind.POSITION, number, SECOND) for number in range(1, 9)]

    async def use(outbox: SqliteOutbox) -> None:
        await delivered(outbox, START, *erased, kept[0], *track, kept[1], record(Kind.ANCHOR, 2, SECOND))
        before = await outbox.latest_alert()
        history = await outbox.history()
        await outbox.upkeep(Moment(1e6, None), KEEP_S)
        assert await outbox.latest_alert() == before
        assert before is not None
        assert before.position is not None
        assert (before.alert.record, before.cancelled, before.position.record) == (kept[0], False, kept[1])
        assert await outbox.history() == history, "the chains go on from what was erased"

    used(tmp_path, use)
    assert there(tmp_path) == digests(*kept)


def test_an_alert_that_is_closed_goes_in_its_time_and_its_positions_at_once(tmp_path: Path) -> None:
    alert = [record(Kind.PANIC, 1), record(Kind.CANCELLATION, 2)]

    async def use(outbox: SqliteOutbox) -> None:
        await delivered(outbox, START, *alert, record(Kind.POSITIONS_BEFORE, 1), record(Kind.POSITION, 2))
        await outbox.upkeep(Moment(KEEP_S - 1, None), KEEP_S)

    used(tmp_path, use)
    assert there(tmp_path) == digests(*alert)
    used(tmp_path, lambda outbox: outbox.upkeep(Moment(KEEP_S + 1, None), KEEP_S))
    assert there(tmp_path) == []


def test_a_closed_alert_stays_while_an_older_one_waits_which_must_not_pass_for_the_newest(tmp_path: Path) -> None:
    older, alert = record(Kind.PANIC, 1), [record(Kind.PANIC, 2), record(Kind.CANCELLATION, 3)]

    async def use(outbox: SqliteOutbox) -> None:
        await outbox.add(older, START)
        await delivered(outbox, START, *alert)
        await outbox.upkeep(Moment(1e6, None), KEEP_S)
        newest = await outbox.latest_alert()
        assert newest is not None
        assert newest.cancelled
        await outbox.mark_delivered(older.digest, b"receipt", START)
        await outbox.upkeep(Moment(1e6, None), KEEP_S)

    used(tmp_path, use)
    assert there(tmp_path) == []


@pytest.mark.parametrize("waits", [0, 1])
def test_what_closed_an_alert_is_not_erased_before_it(waits: int, tmp_path: Path) -> None:
    """Else a restart would take the alert for open, and the device would be tracked again."""
    alert, end = record(Kind.PANIC, 1), record(Kind.CANCELLATION, 2)

    async def use(outbox: SqliteOutbox) -> None:
        await outbox.add(alert, START)
        await delivered(outbox, Moment(1.0, None), end)
        if not waits:
            await outbox.mark_delivered(alert.digest, b"receipt", Moment(500.0, None))
        await outbox.upkeep(Moment(550.0, None), KEEP_S)
        newest = await outbox.latest_alert()
        assert newest is not None
        assert newest.cancelled
        await outbox.mark_delivered(alert.digest, b"receipt", Moment(600.0, None))
        await outbox.upkeep(Moment(701.0, None), KEEP_S)

    used(tmp_path, use)
    assert there(tmp_path) == []


def test_presences_that_were_delivered_go_at_once_and_others_stay(tmp_path: Path) -> None:
    waiting = record(Kind.PRESENCE, 2)

    async def use(outbox: SqliteOutbox) -> None:
        await delivered(outbox, START, record(Kind.PRESENCE, 1), record(Kind.HEALTH, 1))
        await outbox.add(waiting, START)
        await outbox.upkeep(Moment(1.0, None), KEEP_S)

    used(tmp_path, use)
    assert there(tmp_path) == digests(record(Kind.HEALTH, 1), waiting)


def test_a_position_from_before_the_newest_alert_does_not_stay_for_it(tmp_path: Path) -> None:
    async def use(outbox: SqliteOutbox) -> None:
        await delivered(outbox, START, record(Kind.POSITION, 1), record(Kind.PANIC, 1))
        await outbox.upkeep(Moment(1e6, None), KEEP_S)

    used(tmp_path, use)
    assert there(tmp_path) == digests(record(Kind.PANIC, 1))


def test_without_any_alert_everything_that_was_delivered_goes(tmp_path: Path) -> None:
    async def use(outbox: SqliteOutbox) -> None:
        await delivered(outbox, START, *(record(kind, 1) for kind in (Kind.OPENING, Kind.CANCELLATION, Kind.POSITION)))
        await outbox.upkeep(Moment(1e6, None), KEEP_S)
        assert await outbox.latest_alert() is None

    used(tmp_path, use)
    assert there(tmp_path) == []


def all_octets(directory: Path) -> bytes:
    """Also of an outbox that is open: what somebody reads who takes the card out."""
    return b"".join(path.read_bytes() for path in directory.iterdir())


def in_the_files(directory: Path, text: bytes) -> bool:
    return text in all_octets(directory)


@pytest.mark.parametrize("secure", [True, False])
def test_of_what_was_erased_nothing_is_left_in_the_files(
    secure: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other way round it is the control: without secure_delete its octets stay where they were."""
    monkeypatch.setitem(database.SETTINGS, "secure_delete", int(secure))
    monkeypatch.setattr("bondmate.store.outbox.REWRITTEN_OCTETS", 0)
    secret = record(Kind.POSITION, 1, data=b"where the officer was that night")

    async def use(outbox: SqliteOutbox) -> None:
        await delivered(outbox, START, record(Kind.POSITION, 2), secret, record(Kind.POSITION, 3))
        assert in_the_files(tmp_path, secret.data)
        await outbox.upkeep(Moment(1e6, None), KEEP_S)
        assert in_the_files(tmp_path, secret.data) is not secure

    used(tmp_path, use)
    assert in_the_files(tmp_path, secret.data) is not secure


@pytest.mark.parametrize("rewritten", [True, False])
def test_of_rows_that_were_moved_no_copy_is_left(
    rewritten: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Receipts make rows grow, and SQLite moves them. The other way round it is the control."""
    if not rewritten:
        monkeypatch.setattr("bondmate.store.outbox.REWRITTEN_OCTETS", 0)
    rng = random.Random(6)
    secrets = [record(Kind.POSITION, one, data=rng.randbytes(rng.randrange(150, 180))) for one in range(1, 301)]
    gone = [one for one in reversed(secrets) if rng.random() < 0.7]

    async def use(outbox: SqliteOutbox) -> None:
        for one in secrets:
            await outbox.add(one, START)
            if rng.random() < 0.2:
                health = record(Kind.HEALTH, one.id.sequence, data=rng.randbytes(rng.randrange(100, 200)))
                await outbox.add(health, START)
        for number, one in enumerate(gone):
            await outbox.mark_delivered(one.digest, rng.randbytes(190), START)
            if number % 37 == 36:
                await outbox.upkeep(Moment(1.0, None), KEEP_S)
        await outbox.upkeep(Moment(2.0, None), KEEP_S)

    used(tmp_path, use)
    octets = all_octets(tmp_path)
    left_over = sum(any(one.data[at : at + 32] in octets for at in range(0, 150, 32)) for one in gone)
    assert (left_over == 0) is rewritten
    assert not set(there(tmp_path)) & set(digests(*gone))


def test_what_was_thinned_is_swept_too(tmp_path: Path) -> None:
    """A shift ends, and what it left undelivered goes: nothing is erased for it afterwards."""
    rng = random.Random(1)
    secrets = [record(Kind.PRESENCE, number, data=rng.randbytes(170)) for number in range(1, 301)]

    async def use(outbox: SqliteOutbox) -> None:
        await outbox.upkeep(START, KEEP_S)
        for one in secrets:
            await outbox.add(one, START)
        await outbox.thin(record(Kind.GAP, 2), [one.digest for one in secrets], START)
        await outbox.upkeep(START, KEEP_S)

    used(tmp_path, use)
    octets = all_octets(tmp_path)
    assert not [one for one in secrets if one.data[:16] in octets]


@pytest.mark.parametrize("kind", [Kind.POSITION, Kind.PRESENCE])
def test_a_position_that_the_disk_has_changed_can_never_be_sent_and_goes(kind: Kind, tmp_path: Path) -> None:
    changed, waiting = record(kind, 1), record(kind, 2)

    async def use(outbox: SqliteOutbox) -> None:
        for one in (changed, waiting, record(Kind.HEALTH, 3)):
            await outbox.add(one, START)
        assert outbox._connection is not None
        outbox._connection.execute("UPDATE record SET data = x'0102' WHERE sequence IN (1, 3)")
        await outbox.upkeep(START, KEEP_S)

    used(tmp_path, use)
    assert there(tmp_path) == digests(waiting, record(Kind.HEALTH, 3))


def test_the_log_is_cut_to_nothing_and_the_reserve_made(tmp_path: Path) -> None:
    async def use(outbox: SqliteOutbox) -> None:
        await outbox.add(record(Kind.PANIC, 1), START)
        assert (tmp_path / f"{DATABASE_FILE}-wal").stat().st_size > 0
        assert not (tmp_path / RESERVE_FILE).exists(), "opening has other things to do"
        await outbox.upkeep(START, KEEP_S)
        assert (tmp_path / f"{DATABASE_FILE}-wal").stat().st_size == 0
        assert (tmp_path / RESERVE_FILE).stat().st_size == RESERVE_OCTETS

    used(tmp_path, use)


def test_an_alert_goes_between_its_steps(tmp_path: Path) -> None:
    """It waits for the erasing of so many records, not of all."""
    batches = 8
    history = [record(Kind.POSITION, number) for number in range(batches * ERASED_AT_ONCE)]

    async def use(outbox: SqliteOutbox) -> None:
        connection = outbox._connection
        assert connection is not None
        await outbox.restore(history, History({}), START)
        connection.execute("UPDATE record SET receipt = x'00', delivered_lifetime_s = 0")
        upkeep = asyncio.ensure_future(outbox.upkeep(Moment(1e6, None), KEEP_S))
        left = []
        for number in range(1, 4):
            await outbox.add(record(Kind.PANIC, number), START)
            left.append(connection.execute("SELECT count(*) FROM record WHERE stream = 2").get)
        assert not upkeep.done()
        await upkeep
        # each alert was behind one more step at most, and the first one was behind the first step at most
        assert left[0] >= len(history) - ERASED_AT_ONCE * 2
        assert left[0] - left[2] <= ERASED_AT_ONCE * 3

    used(tmp_path, use)
    assert there(tmp_path) == digests(*(record(Kind.PANIC, number) for number in range(1, 4)))


def test_without_room_for_the_reserve_all_else_is_done_and_it_says_how_much_is_free(tmp_path: Path) -> None:
    async def use(outbox: SqliteOutbox) -> None:
        await delivered(outbox, START, record(Kind.POSITION, 1))
        quota.take_all_but(RESERVE_OCTETS // 2)
        with pytest.raises(StoreError, match=r"KiB of the 2048 KiB .* and the disk has \d+ KiB left$") as caught:
            await outbox.upkeep(Moment(1e6, None), KEEP_S)
        assert caught.value.trouble is StoreTrouble.FULL
        assert await all_pending(outbox) == []
        assert (tmp_path / f"{DATABASE_FILE}-wal").stat().st_size == 0
        quota.octets = None
        await outbox.upkeep(Moment(1e6, None), KEEP_S)

    with quota_on(tmp_path) as quota:
        used(tmp_path, use)
    assert there(tmp_path) == []
    assert (tmp_path / RESERVE_FILE).stat().st_size == RESERVE_OCTETS
