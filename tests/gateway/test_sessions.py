import apsw
import pytest

from bondmate_sim.gateway import credentials, devices, sessions
from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.sessions import Window

SEEN = Window(0, 1)


def session(counter: int, random: int = 0) -> bytes:
    return counter.to_bytes(2, "big") + random.to_bytes(4, "big")


@pytest.fixture
def kid(database: Database) -> bytes:
    made = credentials.generate()
    devices.add(database, [made], now_ms=0)
    return made.kids["ip"]


def save(database: Database, kid: bytes, each: bytes, window: Window = SEEN) -> list[bytes]:
    with database.transaction():
        return sessions.save(database, kid, each, window, 32, now_ms=0)


def steps_of_saving(database: Database, kid: bytes, each: bytes) -> int:
    steps: list[int] = []
    database._connection.trace_v2(
        apsw.SQLITE_TRACE_PROFILE, lambda event: steps.append(event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"])
    )
    save(database, kid, each)
    database._connection.trace_v2(0, None)
    return sum(steps)


def highest(database: Database, kid: bytes) -> int | None:
    found = devices.bearer(database, kid)
    assert found is not None
    return found.highest_counter


@pytest.mark.parametrize(
    ("value", "highest", "behind"),
    [(5, 5, 0), (4, 5, 1), (6, 5, -1), (0xFFFF, 0, 1), (0, 0xFFFF, -1), (0x8000, 0, 0x8000), (0x7FFF, 0, -0x7FFF)],
)
def test_serial_arithmetic(value: int, highest: int, behind: int) -> None:
    assert sessions.behind(value, highest) == behind


@pytest.mark.parametrize(
    ("counter", "highest", "may"),
    [
        (100, None, True),
        (100, 100, True),
        (84, 100, True),
        (83, 100, False),
        (101, 100, True),
        (0xFFF0, 0, True),
        (0xFFEF, 0, False),
        (3, 0xFFFF, True),
        (100 + 0x8000, 100, False),
    ],
)
def test_a_session_may_begin_up_to_16_behind(counter: int, highest: int | None, may: bool) -> None:
    assert sessions.may_begin(session(counter), highest) == may


def test_the_devices_own_order_is_by_counter_across_the_wrap_and_then_by_arrival() -> None:
    arrived = {session(1): 1, session(0xFFFF): 5, session(2, 7): 9, session(2, 8): 3, session(0): 4}
    assert sessions.in_order(arrived) == [session(0xFFFF), session(0), session(1), session(2, 8), session(2, 7)]


def test_windows_and_reserves_are_kept(database: Database, kid: bytes) -> None:
    window = Window(7, 2**64 - 1)
    save(database, kid, session(1), window)
    assert sessions.find(database, kid, session(1)) == sessions.Session(True, window, 32)
    assert sessions.find(database, kid, session(2)) is None


def test_the_highest_counter_only_grows_also_across_the_wrap(database: Database, kid: bytes) -> None:
    seen = []
    for counter in (0xFFFE, 0xFFFD, 2, 0xFFFF):
        save(database, kid, session(counter))
        seen.append(highest(database, kid))
    assert seen == [0xFFFE, 0xFFFE, 2, 2]


def test_the_seventeenth_session_closes_the_one_that_was_silent_longest_and_for_ever(
    database: Database, kid: bytes
) -> None:
    # One counter for all: a device whose card cannot be written.
    for number in range(16):
        assert save(database, kid, session(5, number)) == []
    save(database, kid, session(5, 0))
    assert save(database, kid, session(5, 16)) == [session(5, 1)]
    closed = sessions.find(database, kid, session(5, 1))
    assert closed is not None
    assert not closed.open
    still = sessions.find(database, kid, session(5, 0))
    assert still is not None
    assert still.open


def test_a_session_costs_the_same_however_many_were_closed(database: Database, kid: bytes) -> None:
    # A kid's sessions are never deleted, and a device begins one at each start.
    steps = [steps_of_saving(database, kid, session(number)) for number in range(200)]
    assert 0 < steps[-1] < 2 * steps[20]
