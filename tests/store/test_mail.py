"""Messages and small states in the file: what stays, what goes, and what the disk may do to them."""

import asyncio
import random
from pathlib import Path

import pytest

from bondmate.errors import StoreError, StoreTrouble
from bondmate.mail import KeptMessage, MessageState, MessageType
from bondmate.records import Kind, Moment
from bondmate.store import mail
from bondmate.store.mail import MESSAGES_MAX, UNREAD_S
from bondmate.store.outbox import SqliteOutbox
from bondmate.store.reserve import RESERVE_OCTETS
from tests.store.samples import DEVICE, START, raw, record, used
from tests.store.syscalls import quota_on

KEEP_S = 100.0
TAKEN, READ, ANSWERED, WITHOUT_EFFECT, CARRIED_OUT, FAILED = MessageState


def message(number: int, type_: MessageType = MessageType.MESSAGE, **changed: object) -> KeptMessage:
    values = {"data": f"octets of {number}".encode(), "expires_s": None, "taken": START, "state": TAKEN}
    return KeptMessage(number=number, type=type_, **(values | changed))  # type: ignore[arg-type]


async def taken(outbox: SqliteOutbox, *messages: KeptMessage) -> None:
    for one in messages:
        assert await outbox.take_message(one)


def there(directory: Path) -> list[object]:
    return [row[0] for row in raw(directory, "SELECT number FROM message ORDER BY number")]


def test_a_message_comes_back_as_it_was_after_a_restart(tmp_path: Path) -> None:
    urgent = message(1, expires_s=99, taken=Moment(3.5, 1234), felt=False)
    used(tmp_path, lambda outbox: taken(outbox, urgent, message(2), message(3, MessageType.CLOSE)))

    async def use(outbox: SqliteOutbox) -> None:
        assert await outbox.cursor() == 3
        assert await outbox.messages(10, None) == [message(2), urgent]
        assert await outbox.messages(1, None) == [message(2)]
        assert await outbox.message(1) == urgent
        assert await outbox.message(3) is None, "nobody reads it"
        assert await outbox.clock() == Moment(3.5, 1234)

    used(tmp_path, use)


def test_the_same_number_again_changes_nothing(tmp_path: Path) -> None:
    call = record(Kind.PANIC, 1)

    async def use(outbox: SqliteOutbox) -> None:
        await outbox.add(call, START)
        await taken(outbox, message(1), message(2))
        for number in (1, 2):
            false = message(number, data=b"something else")
            assert not await outbox.take_message(false, closes=[call.digest], kept={"exercise": b"x"})
        assert [kept.data for kept in await outbox.messages(9, None)] == [b"octets of 2", b"octets of 1"]
        newest = await outbox.latest_alert()
        assert newest is not None
        assert (newest.closed, await outbox.kept("exercise")) == (None, None)

    used(tmp_path, use)


def test_the_state_of_a_message_only_grows_and_its_answer_stays(tmp_path: Path) -> None:
    async def use(outbox: SqliteOutbox) -> None:
        await taken(outbox, message(1), message(2, MessageType.CLOSE))
        await outbox.mark_message(1, ANSWERED, "On my way", Moment(9.0, None))
        await outbox.mark_message(1, READ, None, Moment(9.0, None))
        await outbox.mark_message(1, ANSWERED, "Another", Moment(9.0, None))
        await outbox.mark_message(2, READ, None, Moment(9.0, None))
        await outbox.mark_message(77, READ, None, Moment(9.0, None))
        assert await outbox.messages(9, None) == [message(1, state=ANSWERED, answer="On my way")]

    used(tmp_path, use)


def test_an_order_waits_until_something_became_of_it_and_what_did_stays(tmp_path: Path) -> None:
    orders = [
        message(1, MessageType.UPDATE),
        message(2, MessageType.UPDATE, expires_s=1000),
        message(3, MessageType.REKEY),
        message(4, MessageType.WIPE),
        message(5, MessageType.WIPE, state=WITHOUT_EFFECT),
        message(6),
    ]

    async def use(outbox: SqliteOutbox) -> None:
        await taken(outbox, *orders)
        await outbox.mark_told(dict.fromkeys(range(1, 7), TAKEN) | {5: WITHOUT_EFFECT})
        assert await outbox.orders(None) == orders[:4]
        assert await outbox.orders(1000.0) == [orders[0], *orders[2:4]]
        await outbox.mark_order(1, WITHOUT_EFFECT, None, START)
        await outbox.mark_order(1, CARRIED_OUT, "too late", START)
        await outbox.mark_order(2, FAILED, "no room", START)
        await outbox.mark_order(2, CARRIED_OUT, "after all", START)
        await outbox.mark_order(3, CARRIED_OUT, "", START)
        await outbox.mark_order(5, CARRIED_OUT, "never begun", START)
        await outbox.mark_order(6, CARRIED_OUT, "no order", START)

    used(tmp_path, use)

    async def again(outbox: SqliteOutbox) -> None:
        assert await outbox.orders(None) == [orders[3]]
        assert [(kept.number, kept.state, kept.answer) for kept in await outbox.untold()] == [
            (1, WITHOUT_EFFECT, None),
            (2, FAILED, "no room"),
            (3, CARRIED_OUT, ""),
        ]
        assert await outbox.messages(9, None) == [message(6)], "nobody reads orders"

    used(tmp_path, again)


def test_an_order_that_nobody_carried_out_yet_outlives_all_but_its_expiry_and_that_too_once_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail, "MESSAGES_MAX", 3)

    async def use(outbox: SqliteOutbox) -> None:
        await taken(outbox, message(1, MessageType.WIPE), message(2, MessageType.UPDATE, expires_s=1000))
        await taken(outbox, *map(message, range(3, 7)))
        assert there_now(outbox) == [1, 2, 6]
        late = UNREAD_S * 20
        await outbox.upkeep(Moment(late, 999_000), KEEP_S)
        assert there_now(outbox) == [1, 2]
        assert [kept.number for kept in await outbox.orders(1000.0)] == [1]
        await outbox.mark_begun(2)
        await outbox.upkeep(Moment(late, 1_000_000), KEEP_S)
        assert [kept.number for kept in await outbox.orders(1000.0)] == [1, 2], "it is being carried out"
        await outbox.mark_order(2, FAILED, "no room", Moment(late, None))
        await outbox.mark_begun(2)
        await outbox.upkeep(Moment(late, 1_000_000), KEEP_S)
        assert there_now(outbox) == [1]
        await outbox.mark_order(1, CARRIED_OUT, "", Moment(late, None))
        await outbox.upkeep(Moment(late, None), KEEP_S)
        assert there_now(outbox) == []

    used(tmp_path, use)


def test_what_was_told_is_not_told_again_and_a_new_state_is(tmp_path: Path) -> None:
    async def use(outbox: SqliteOutbox) -> None:
        await taken(outbox, message(1), message(2, MessageType.CLOSE), message(3, state=WITHOUT_EFFECT))
        assert [kept.number for kept in await outbox.untold()] == [1, 2, 3]
        await outbox.mark_told({1: TAKEN, 2: TAKEN, 3: WITHOUT_EFFECT})
        assert await outbox.untold() == []
        await outbox.mark_message(1, ANSWERED, "yes", START)
        await outbox.mark_told({1: TAKEN})
        assert await outbox.untold() == [message(1, state=ANSWERED, answer="yes")]

    used(tmp_path, use)


def test_read_messages_go_as_delivered_records_do_and_others_after_a_month_or_when_they_expire(tmp_path: Path) -> None:
    async def use(outbox: SqliteOutbox) -> None:
        await taken(
            outbox,
            message(1),
            message(2),
            message(3, MessageType.ACKNOWLEDGE),
            message(4, state=WITHOUT_EFFECT),
            message(5, expires_s=1000),
            message(6, taken=Moment(50.0, None), state=TAKEN),
        )
        for number in (2, 6):
            await outbox.mark_message(number, READ, None, START)
        await outbox.upkeep(Moment(KEEP_S, None), KEEP_S)
        assert there_now(outbox) == [1, 2, 3, 4, 5, 6]
        await outbox.upkeep(Moment(KEEP_S + 1, None), KEEP_S)
        assert there_now(outbox) == [1, 5, 6]
        await outbox.upkeep(Moment(KEEP_S + 1, 999_000), KEEP_S)
        assert there_now(outbox) == [1, 5, 6]
        await outbox.upkeep(Moment(KEEP_S + 1, 1_000_000), KEEP_S)
        assert there_now(outbox) == [1, 6]
        await outbox.upkeep(Moment(UNREAD_S, None), KEEP_S)
        assert there_now(outbox) == [1]
        await outbox.upkeep(Moment(UNREAD_S + 1, None), KEEP_S)
        assert there_now(outbox) == []
        assert await outbox.cursor() == 6, "nothing comes twice for that"

    used(tmp_path, use)


def there_now(outbox: SqliteOutbox) -> list[int]:
    assert outbox._connection is not None
    return [row[0] for row in outbox._connection.execute("SELECT number FROM message ORDER BY number")]


def test_of_too_many_those_go_first_that_nobody_has_to_read_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MESSAGES_MAX == 500
    monkeypatch.setattr(mail, "MESSAGES_MAX", 5)

    async def use(outbox: SqliteOutbox) -> None:
        await taken(outbox, message(1), message(2), message(3, MessageType.CLOSE), message(4), message(5))
        await outbox.mark_message(2, READ, None, START)
        await taken(outbox, message(6))
        assert there_now(outbox) == [1, 3, 4, 5, 6]
        await taken(outbox, message(7), message(8, MessageType.CLOSE))
        assert there_now(outbox) == [4, 5, 6, 7, 8]
        await taken(outbox, message(9))
        assert there_now(outbox) == [4, 5, 6, 7, 9]

    used(tmp_path, use)


def test_of_messages_that_were_erased_nothing_is_left_in_the_files(tmp_path: Path) -> None:
    rng = random.Random(3)
    secrets = [message(number, data=rng.randbytes(300)) for number in range(1, 60)]

    async def use(outbox: SqliteOutbox) -> None:
        await outbox.upkeep(START, KEEP_S)
        await taken(outbox, *secrets)
        await outbox.upkeep(Moment(UNREAD_S + 1, None), KEEP_S)

    used(tmp_path, use)
    octets = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert [one.number for one in secrets if one.data[:16] in octets] == []
    assert there(tmp_path) == []


@pytest.mark.parametrize(
    "change", ["data = x'00'", "state = 9", "answer = CAST(x'ff' AS TEXT)", "digest = zeroblob(16)"]
)
def test_a_message_that_the_disk_has_changed_is_not_shown(
    change: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def use(outbox: SqliteOutbox) -> None:
        await taken(outbox, message(1), message(2))
        assert outbox._connection is not None
        outbox._connection.execute(f"UPDATE message SET {change} WHERE number = 1")
        assert await outbox.messages(9, None) == [message(2)]
        assert await outbox.message(1) is None

    used(tmp_path, use)
    assert "message 1 is not shown, for the disk has changed it" in caplog.text


def test_small_states_are_kept_under_their_names(tmp_path: Path) -> None:
    async def use(outbox: SqliteOutbox) -> None:
        assert await outbox.kept("lockout") is None
        await outbox.keep("lockout", b"one", START)
        await outbox.keep("lockout", b"two", START)
        await outbox.keep("settings", b"", START)
        await outbox.keep("check-in", b"x", START)
        await outbox.keep("check-in", None, Moment(7.0, None))
        await outbox.take_message(message(1), kept={"exercise": b"3", "settings": None})
        assert await outbox.clock() == Moment(7.0, None)

    async def look(outbox: SqliteOutbox) -> list[bytes | None]:
        return [await outbox.kept(name) for name in ("lockout", "settings", "check-in", "exercise")]

    used(tmp_path, use)
    assert used(tmp_path, look) == [b"two", None, None, b"3"]


def test_on_a_full_disk_what_ends_something_is_kept_all_the_same(tmp_path: Path) -> None:
    call = record(Kind.PANIC, 1)

    async def use(outbox: SqliteOutbox) -> None:
        await outbox.upkeep(START, KEEP_S)
        await outbox.add(call, START)
        await outbox.keep("check-in", b"x", START)
        quota.take_all_but(0)
        for write in (outbox.take_message(message(1, data=bytes(9000))), outbox.keep("settings", bytes(9000), START)):
            with pytest.raises(StoreError) as caught:
                await write
            assert caught.value.trouble is StoreTrouble.FULL
        assert await outbox.cursor() == 0
        assert await outbox.take_message(message(1, MessageType.CLOSE), closes=[call.digest], by="M. Costa")
        await outbox.keep("check-in", None, START)
        newest = await outbox.latest_alert()
        assert newest is not None
        assert (newest.closed, newest.closed_by) == (START, "M. Costa")
        assert (tmp_path / "reserve").stat().st_size < RESERVE_OCTETS
        quota.octets = None

    with quota_on(tmp_path) as quota:
        used(tmp_path, use)
    assert used(tmp_path, lambda outbox: outbox.kept("check-in")) is None


def test_every_call_says_that_the_outbox_is_not_open(tmp_path: Path) -> None:
    async def main() -> None:
        outbox = SqliteOutbox(tmp_path, DEVICE)
        answers = await asyncio.gather(
            outbox.cursor(),
            outbox.take_message(message(1)),
            outbox.messages(1, None),
            outbox.message(1),
            outbox.unread(None),
            outbox.unfelt(None),
            outbox.mark_message(1, READ, None, START),
            outbox.mark_message_felt(1),
            outbox.untold(),
            outbox.mark_told({1: READ}),
            outbox.keep("name", b"", START),
            outbox.kept("name"),
            return_exceptions=True,
        )
        assert {(type(answer), str(answer)) for answer in answers} == {(StoreError, "the outbox is not open")}
        await outbox.close()

    asyncio.run(main())
