import asyncio
import logging
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate import session
from bondmate.durable import replace_file
from bondmate.records import SessionId
from bondmate.session import AHEAD, COUNTER_FILE, Chores, StartCounter
from tests.eventually import eventually


def draw(directory: Path, ahead: int = 1) -> SessionId:
    """What one start of the daemon does."""
    counter = StartCounter(directory)
    counter.load()
    drawn = counter.draw(ahead)
    counter.persist()
    return drawn


def kept(directory: Path) -> str:
    return (directory / COUNTER_FILE).read_text()


def test_the_counter_moves_on_by_one_from_one(tmp_path: Path) -> None:
    assert [draw(tmp_path).counter for _ in range(3)] == [1, 2, 3]
    assert kept(tmp_path) == "3\n"
    assert stat.S_IMODE((tmp_path / COUNTER_FILE).stat().st_mode) == 0o600


def test_the_file_is_written_behind_the_draw_and_not_by_it(tmp_path: Path) -> None:
    """A start must not wait for the disk."""
    counter = StartCounter(tmp_path)
    counter.load()
    assert counter.value == 0
    assert counter.draw().counter == 1
    assert not (tmp_path / COUNTER_FILE).exists()
    counter.persist()
    assert kept(tmp_path) == "1\n"


def test_one_run_draws_on_from_memory(tmp_path: Path) -> None:
    (tmp_path / COUNTER_FILE).write_text("10\n")
    counter = StartCounter(tmp_path)
    counter.load()
    assert counter.draw().counter == 11
    (tmp_path / COUNTER_FILE).unlink()
    assert counter.draw(AHEAD).counter == counter.value == 11 + AHEAD
    counter.persist()
    assert kept(tmp_path) == f"{11 + AHEAD}\n"


def test_the_first_session_is_known_by_a_directory_in_which_nothing_is(tmp_path: Path) -> None:
    def is_first(directory: Path) -> bool:
        counter = StartCounter(directory)
        counter.load()
        return counter.is_first

    assert is_first(tmp_path)
    (tmp_path / "outbox.db").touch()
    assert not is_first(tmp_path), "the counter alone was lost"
    (tmp_path / COUNTER_FILE).write_text("10\n")
    assert not is_first(tmp_path)
    assert not is_first(tmp_path / "not mounted")
    assert not StartCounter(tmp_path).is_first, "nobody knows before it was loaded"


def test_a_counter_that_could_not_be_loaded_in_time_begins_at_one(tmp_path: Path) -> None:
    (tmp_path / COUNTER_FILE).write_text("10\n")
    assert StartCounter(tmp_path).draw().counter == 1


def test_it_moves_ahead_when_asked_to(tmp_path: Path) -> None:
    draw(tmp_path)
    assert draw(tmp_path, AHEAD).counter == 1 + AHEAD
    assert draw(tmp_path).counter == 2 + AHEAD


def test_ahead_is_further_than_a_gateway_looks_back_and_not_so_far_that_it_looks_behind() -> None:
    """docs/protocol.md, section 2: 16 behind is refused; RFC 1982: from half of the space on, ahead is behind."""
    assert 16 < AHEAD < 2**15


def test_the_counter_wraps_around_in_its_16_bits(tmp_path: Path) -> None:
    (tmp_path / COUNTER_FILE).write_text("65534\n")
    assert [draw(tmp_path).counter for _ in range(3)] == [65535, 0, 1]


def test_two_sessions_of_one_counter_are_two(tmp_path: Path) -> None:
    """A restored card: the random bits alone make the id unique."""
    drawn = set()
    for _ in range(50):
        (tmp_path / COUNTER_FILE).write_text("7\n")
        drawn.add(draw(tmp_path))
    assert {one.counter for one in drawn} == {8}
    assert len(drawn) == 50
    assert {len(one.octets) for one in drawn} == {6}


@given(content=st.binary(max_size=40) | st.integers().map(lambda number: str(number).encode()))
def test_whatever_is_in_the_file_a_session_is_drawn(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("state")
    (directory / COUNTER_FILE).write_bytes(content)
    drawn = draw(directory)
    assert 0 <= drawn.counter < 2**16
    assert kept(directory) == f"{drawn.counter}\n"


@pytest.mark.parametrize(
    "content", [b"", b"twelve", b"\xff\xfe", b"9" * 5000, b"1.5"], ids=["empty", "word", "no text", "long", "fraction"]
)
def test_a_counter_that_cannot_be_read_counts_as_none(
    content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / COUNTER_FILE).write_bytes(content)
    assert draw(tmp_path).counter == 1
    assert "not read" in caplog.text
    assert kept(tmp_path) == "1\n", "and is readable again"


def test_the_first_start_is_no_reason_for_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        draw(tmp_path)
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.INFO, "no start counter yet: counting from 0")
    ]


def test_a_counter_that_cannot_be_written_stops_no_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    draw(tmp_path)
    (tmp_path / f"{COUNTER_FILE}.part").mkdir()
    assert [draw(tmp_path).counter for _ in range(2)] == [2, 2]
    assert "start counter not written" in caplog.text
    assert draw(tmp_path / "nowhere").counter == 1


def test_a_directory_in_the_place_of_the_counter_stops_no_start(tmp_path: Path) -> None:
    (tmp_path / COUNTER_FILE).mkdir()
    assert draw(tmp_path).counter == 1


def test_a_counter_that_is_read_late_moves_on_and_never_back(tmp_path: Path) -> None:
    for held, expected in ((10, 1 + AHEAD), (60_000, 60_000)):
        (tmp_path / COUNTER_FILE).write_text(f"{held}\n")
        counter = StartCounter(tmp_path)
        counter.draw()
        counter.draw(AHEAD)
        counter.load()
        assert counter.value == expected


# --- Chores on a disk that hangs -------------------------------------------------------------------


@contextmanager
def hung(path: Path) -> Iterator[None]:
    """A path at which every open hangs, as on a dead card, until the block ends."""
    os.mkfifo(path)
    try:
        yield
    finally:
        end = os.open(path, os.O_RDWR | os.O_NONBLOCK)  # both ends: whoever waits for the other one has it
        path.unlink()
        os.close(end)


def chores_of_this_process() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "chores"]


def test_chores_are_done_in_their_order_and_a_failed_one_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    done: list[int] = []

    async def use() -> None:
        chores = Chores()
        for number in range(5):
            chores.begin(partial(done.append, number))
        chores.begin(lambda: done.append(1 // 0))
        chores.begin(partial(done.append, 5))
        await chores.close()
        assert done == [0, 1, 2, 3, 4, 5]
        await eventually(lambda: not chores_of_this_process(), "the thread to end")

    asyncio.run(use())
    [said] = caplog.records
    assert said.getMessage() == "a chore on the disk failed"


def test_behind_a_chore_that_hangs_each_other_waits_once_and_the_last_value_is_written() -> None:
    answers, hangs = threading.Event(), threading.Event()
    value, written, others = 0, [], []

    def hang() -> None:
        hangs.set()
        assert answers.wait(30)

    def write() -> None:
        written.append(value)

    def writer(number: int) -> None:
        others.append(number)

    async def use() -> None:
        nonlocal value
        chores = Chores()
        chores.begin(hang)
        await eventually(hangs.is_set, "the chore to hang")
        for value in range(1, 1001):
            chores.begin(write)
            chores.begin(partial(writer, value))  # each another chore: none of these may be left out
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(chores.settled(), 0.01)
        assert (written, others, len(chores_of_this_process())) == ([], [], 1)
        answers.set()
        await chores.settled()
        assert (written, len(others)) == ([1000], 1000)
        value = 7
        chores.begin(write)
        await chores.close()
        assert written == [1000, 7], "one that was done may come again"

    asyncio.run(use())


def test_a_dead_card_holds_up_neither_the_draw_nor_the_executor_nor_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / COUNTER_FILE).write_text("10\n")
    card = tmp_path / "card"

    def replace_on_the_card(path: Path, data: bytes) -> None:
        card.open("wb").close()
        replace_file(path, data)

    monkeypatch.setattr(session, "replace_file", replace_on_the_card)

    async def use() -> None:
        chores, counter = Chores(), StartCounter(tmp_path)
        chores.begin(counter.load)
        await chores.settled()
        for _ in range(50):
            counter.draw(AHEAD)
            chores.begin(counter.persist)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(chores.close(), 0.01)
        assert await asyncio.wait_for(asyncio.to_thread(int, "7"), 10) == 7
        assert len(chores_of_this_process()) == 1

    with hung(card):
        asyncio.run(use())  # which waits for every thread of the executor
        [thread] = chores_of_this_process()
        assert thread.is_alive()
        assert kept(tmp_path) == "10\n"
    thread.join(10)
    assert not thread.is_alive(), "a loop that has ended is no error to it"
