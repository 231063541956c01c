"""What is taken, and what a failed commit leaves, without a wire."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import aiocoap
import pytest

from bondmate_sim.gateway import credentials, devices, keys, messages, sent
from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.desk import Desk
from bondmate_sim.gateway.inbox import Inbox, RefusedError, ReplayedError, Taken, UnstoredError
from tests.gateway import twin
from tests.gateway.twin import Request, Twin, digest

Take = Callable[[Request], Taken]


@pytest.fixture
def take(database: Database, tmp_path: Path) -> Take:
    inbox = Inbox(database, keys.load_or_create(tmp_path), keys.load_or_create(tmp_path, keys.Purpose.DH))
    return lambda request: inbox.take(aiocoap.Message.decode(request.raw), "a test")


@pytest.fixture
def device(database: Database, tmp_path: Path) -> Iterator[Twin]:
    made = credentials.generate()
    devices.add(database, [made], now_ms=0)
    file = credentials.write(made, tmp_path, [], keys.load_or_create(tmp_path).public_key())
    with Twin(file, ("127.0.0.1", 9)) as made_twin:
        yield made_twin


def failing_commits(database: Database, *, failing: bool) -> list[bool]:
    commits: list[bool] = []

    def hook() -> bool:
        commits.append(failing)
        return failing

    database._connection.set_commit_hook(hook)
    return commits


def stored(database: Database) -> object:
    return database.rows("SELECT window_bits FROM session"), database.rows("SELECT digest FROM record")


def test_a_submission_is_taken_with_its_receipt(take: Take, device: Twin) -> None:
    taken = take(device.protect(device.record()))
    assert (taken.reply.code, taken.channel.bearer.name) == (aiocoap.CHANGED, "ip")
    assert taken.outcome is not None
    assert device.entry(taken.reply.payload)[4] == 0


def test_what_is_no_submission_has_no_outcome(take: Take, device: Twin) -> None:
    taken = take(device.protect(b"", ("x",)))
    assert (taken.reply.code, taken.outcome) == (aiocoap.NOT_FOUND, None)


def test_window_and_record_are_committed_together_or_not_at_all(take: Take, device: Twin, database: Database) -> None:
    commits = failing_commits(database, failing=False)
    take(device.protect(device.record(sequence=1)))
    before = stored(database)
    assert commits == [False]
    commits = failing_commits(database, failing=True)
    with pytest.raises(UnstoredError):
        take(device.protect(device.record(sequence=2)))
    assert commits == [True]
    assert stored(database) == before


@pytest.mark.parametrize("known", [True, False])
def test_what_could_not_be_stored_can_come_again_as_the_same_octets(
    take: Take, device: Twin, database: Database, known: bool
) -> None:
    if known:
        take(device.protect(device.record(sequence=1)))
    request = device.protect(device.record(sequence=2))
    failing_commits(database, failing=True)
    with pytest.raises(UnstoredError):
        take(request)
    failing_commits(database, failing=False)
    assert take(request).reply.code == aiocoap.CHANGED
    with pytest.raises(ReplayedError):
        take(request)


def test_a_replay_is_told_from_what_does_not_verify(take: Take, device: Twin) -> None:
    request = device.protect(device.record())
    altered = Request(request.raw[:-1] + bytes([request.raw[-1] ^ 1]), None)
    with pytest.raises(RefusedError) as refused:
        take(altered)
    assert not isinstance(refused.value, ReplayedError)
    take(request)
    with pytest.raises(ReplayedError):
        take(request)


# --- The mailbox ---------------------------------------------------------------------------------


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Desk:
    return Desk(database, keys.load_or_create(tmp_path), "Ann", 1_795_186_800_120)


def test_a_mailbox_is_answered_and_the_cursor_remembered(take: Take, device: Twin, desk: Desk) -> None:
    for text in ("one", "two"):
        desk.message(device.device, text, [], urgent=False)
    taken = take(device.ask_for_messages(0))
    assert (taken.reply.code, taken.outcome) == (aiocoap.CONTENT, None)
    assert [(each[1], each[7][0]) for each in device.mail(taken.reply.payload)] == [(1, "one"), (2, "two")]
    assert take(device.ask_for_messages(2)).reply.payload == b"\x80"
    assert messages.fetched(desk.database, device.device) == 2


@pytest.mark.parametrize(
    "query",
    [(), ("",), ("0", "0"), ("-1",), ("+1",), ("1.0",), ("01",), ("1 ",), ("\uff11",), ("cursor=1",), ("4294967296",)],
)
def test_another_query_is_a_bad_request_and_changes_nothing(
    take: Take, device: Twin, desk: Desk, query: tuple[str, ...]
) -> None:
    desk.message(device.device, "one", [], urgent=False)
    taken = take(device.protect(b"", ("m",), aiocoap.GET, query=query))
    assert (taken.reply.code, taken.reply.payload) == (aiocoap.BAD_REQUEST, b"")
    assert desk.database.rows("SELECT * FROM mailbox") == []


def test_a_device_gets_its_own_messages_alone(take: Take, device: Twin, desk: Desk, database: Database) -> None:
    other = credentials.generate()
    devices.add(database, [other], now_ms=0)
    desk.message(other.device, "not for this one", [], urgent=False)
    assert take(device.ask_for_messages(0)).reply.payload == b"\x80"


def test_whoever_holds_a_revoked_device_reads_nothing(take: Take, device: Twin, desk: Desk) -> None:
    desk.message(device.device, "secret", [], urgent=False)
    devices.revoke(desk.database, device.device, 1)
    assert take(device.ask_for_messages(0)).reply.payload == b"\x80"


def test_a_restored_database_is_told_and_nothing_of_it_lost(
    take: Take, device: Twin, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.message(device.device, "one", [], urgent=False)
    (message,) = device.mail(take(device.ask_for_messages(5)).reply.payload)
    assert (message[1], message[7][0]) == (6, "one")
    assert f"{device.name} has 5 messages more than were ever sent from here" in caplog.text


def test_states_come_back_as_records(take: Take, device: Twin, desk: Desk) -> None:
    desk.message(device.device, "come in", ["yes"], urgent=False)
    take(device.ask_for_messages(0))
    take(device.protect(device.record(20, body=[[1, 1], [1, 3, "yes"]])))
    (message,) = sent.sent(desk.database, device.device)
    assert (message["state"], message["answer"]) == ("answered", "yes")


# --- What the log says ---------------------------------------------------------------------------


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    found = [(each.levelname, each.getMessage()) for each in caplog.records]
    caplog.clear()
    return found


def test_calls_are_said_aloud_and_ordered_exercises_are_not(
    take: Take, device: Twin, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "bondmate.gateway")
    place = f"{device.name}/{device.session_text}/alert"
    take(device.protect(call := device.record()))
    assert said(caplog) == [("WARNING", f"CALL panic {place}/1 over ip: held")]
    take(device.protect(call))
    assert said(caplog) == [("INFO", f"panic {place}/1 over ip: again, already held")]
    take(device.protect(device.record(twin.CANCELLATION, 2, digest(call)[:4], body=digest(call)[:8] + b"\3")))
    level, line = said(caplog)[1]
    assert (level, line[:19]) == ("WARNING", f"DURESS: {place}"[:19])
    take(device.protect(device.record(7, 3, bytes(4))))
    level, line = said(caplog)[0]
    assert (level, line) == ("WARNING", f"CALL, marked as exercise though none was ordered: {place}/3 over ip: held")


def test_an_exercise_that_was_ordered_is_said_quietly(
    take: Take, device: Twin, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "bondmate.gateway")
    Desk(desk.database, desk.key, "Ann", int(time.time() * 1000)).exercise(device.device, 600)
    take(device.protect(exercise := device.record(7, clock=None)))
    assert said(caplog) == [("INFO", f"exercise {device.name}/{device.session_text}/alert/1 over ip: held")]
    take(device.protect(device.record(8, 2, digest(exercise)[:4], clock=None)))
    assert said(caplog)[0][1].startswith("CALL escalation")


def test_colleagues_who_are_near_are_asked_with_the_same_commit(
    take: Take, device: Twin, desk: Desk, database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "bondmate.gateway")
    made = credentials.generate()
    devices.add(database, [made], now_ms=0)
    for each in (made.device, device.device):
        devices.group(database, each, ["north"])
    file = credentials.write(made, tmp_path, [], keys.load_or_create(tmp_path).public_key())
    with Twin(file, ("127.0.0.1", 9)) as colleague:
        take(colleague.protect(colleague.record(48, clock=None)))
        failing_commits(database, failing=True)
        call = device.record(clock=None)
        with pytest.raises(UnstoredError):
            take(device.protect(call))
        assert database.rows("SELECT * FROM message") == []
        failing_commits(database, failing=False)
        take(device.protect(call))
        (message,) = colleague.mail(take(colleague.ask_for_messages(0)).reply.payload)
    assert (message[2], message[5], message[6], message[7][3]) == (3, 1, "control room", 1)
    assert f"asked {colleague.name}, which is near, to help" in caplog.text


# --- Reaching out --------------------------------------------------------------------------------


def test_a_device_that_was_never_heard_cannot_be_reached(database: Database, device: Twin, tmp_path: Path) -> None:
    assert (
        Inbox(database, keys.load_or_create(tmp_path), keys.load_or_create(tmp_path, keys.Purpose.DH)).reach(
            device.device, "sms"
        )
        is None
    )


def test_reaching_out_spends_no_number_twice_and_changes_no_last_seen(
    database: Database, device: Twin, tmp_path: Path
) -> None:
    inbox = Inbox(database, keys.load_or_create(tmp_path), keys.load_or_create(tmp_path, keys.Purpose.DH))
    inbox.take(aiocoap.Message.decode(device.protect(device.record()).raw), "a test")
    seen = database.rows("SELECT max(seen_ms) FROM session")
    numbers = []
    for _ in range(2):
        # Each time as after a restart.
        channel = Inbox(database, keys.load_or_create(tmp_path), keys.load_or_create(tmp_path, keys.Purpose.DH)).reach(
            device.device, "sms"
        )
        assert channel is not None
        assert channel.session == device.session
        numbers += [channel.new_sequence_number() for _ in range(3)]
    assert len(set(numbers)) == 6
    assert database.rows("SELECT max(seen_ms) FROM session") == seen


def test_the_newest_session_by_its_counter_is_the_present_one(database: Database, device: Twin, tmp_path: Path) -> None:
    inbox = Inbox(database, keys.load_or_create(tmp_path), keys.load_or_create(tmp_path, keys.Purpose.DH))
    with Twin(device.file, ("127.0.0.1", 9), counter=9) as newest:
        for each in (newest, device):
            inbox.take(aiocoap.Message.decode(each.protect(each.record()).raw), "a test")
        channel = inbox.reach(device.device, "lte")
        assert channel is not None
        assert (channel.session, channel.bearer.name) == (newest.session, "lte")
