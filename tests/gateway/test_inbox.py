"""What is taken, and what a failed commit leaves, without a wire."""

from collections.abc import Callable, Iterator
from pathlib import Path

import aiocoap
import pytest

from bondmate_sim.gateway import credentials, devices, keys
from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.inbox import Inbox, RefusedError, ReplayedError, Taken, UnstoredError
from tests.gateway.twin import Request, Twin

Take = Callable[[Request], Taken]


@pytest.fixture
def take(database: Database, tmp_path: Path) -> Take:
    inbox = Inbox(database, keys.load_or_create(tmp_path))
    return lambda request: inbox.take(aiocoap.Message.decode(request.raw), "a test")


@pytest.fixture
def device(database: Database, tmp_path: Path) -> Iterator[Twin]:
    made = credentials.generate()
    devices.add(database, [made], now_ms=0)
    file = credentials.write(made, tmp_path, [], keys.load_or_create(tmp_path).public_key())
    with Twin(file, ("127.0.0.1", 9)) as twin:
        yield twin


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
