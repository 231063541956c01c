import asyncio
import threading
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from bondmate.errors import StoreError, StoreTrouble
from bondmate.store.worker import WAITING_MAX, Worker


def on_a_worker(use: Callable[[Worker], Awaitable[None]]) -> None:
    async def main() -> None:
        worker = Worker()
        try:
            await use(worker)
        finally:
            await worker.close(lambda: None)

    asyncio.run(main())


def test_calls_are_made_one_by_one_in_their_order_in_one_thread() -> None:
    made: list[tuple[int, int]] = []

    async def use(worker: Worker) -> None:
        def call(number: int) -> None:
            made.append((number, threading.get_ident()))

        await asyncio.gather(*(worker.run(partial(call, number)) for number in range(20)))

    on_a_worker(use)
    assert [number for number, _ in made] == list(range(20))
    assert len({thread for _, thread in made} - {threading.get_ident()}) == 1


def test_what_a_call_raises_is_its_callers_and_the_next_one_is_made() -> None:
    async def use(worker: Worker) -> None:
        with pytest.raises(ZeroDivisionError):
            await worker.run(lambda: 1 // 0)
        assert await worker.run(lambda: 7) == 7

    on_a_worker(use)


def test_behind_a_call_that_hangs_no_more_than_a_bound_are_kept_and_all_of_them_are_made() -> None:
    answers = threading.Event()

    async def use(worker: Worker) -> None:
        hanging = threading.Event()

        def hang() -> None:
            hanging.set()
            assert answers.wait(30)

        first = asyncio.ensure_future(worker.run(hang))
        await asyncio.to_thread(hanging.wait)
        others = [asyncio.ensure_future(worker.run(partial(int, number))) for number in range(WAITING_MAX)]
        await asyncio.sleep(0)
        for _ in range(1000):
            with pytest.raises(StoreError, match="the disk does not answer") as caught:
                await worker.run(lambda: None)
            assert caught.value.trouble is StoreTrouble.HANGING
        assert not first.done()
        answers.set()
        assert await asyncio.gather(*others) == list(range(WAITING_MAX))
        assert await worker.run(lambda: 7) == 7

    on_a_worker(use)


def test_calls_that_were_given_up_count_until_the_disk_answers_and_are_not_made() -> None:
    """Else somebody who asks every two seconds, and waits for one, would fill the memory."""
    answers = threading.Event()
    made: list[int] = []

    async def use(worker: Worker) -> None:
        hanging = threading.Event()

        def hang() -> None:
            hanging.set()
            assert answers.wait(30)

        first = asyncio.ensure_future(worker.run(hang))
        await asyncio.to_thread(hanging.wait)
        for number in range(WAITING_MAX):
            given_up = asyncio.ensure_future(worker.run(partial(made.append, number)))
            await asyncio.sleep(0)
            given_up.cancel()
            with pytest.raises(asyncio.CancelledError):
                await given_up
        with pytest.raises(StoreError, match="does not answer"):
            await worker.run(lambda: None)
        answers.set()
        await first

    on_a_worker(use)
    assert made == []


def test_closing_goes_behind_all_that_wait_however_many() -> None:
    made: list[object] = []

    async def main() -> None:
        worker, answers = Worker(), threading.Event()
        hanging = asyncio.ensure_future(worker.run(lambda: answers.wait(30)))
        waiting = [asyncio.ensure_future(worker.run(partial(made.append, "call"))) for _ in range(9)]
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(worker.close(lambda: made.append("last")))
        await asyncio.sleep(0)
        with pytest.raises(StoreError, match="closed"):
            await worker.run(lambda: None)
        answers.set()
        await closing
        assert await hanging
        await asyncio.gather(*waiting)
        await worker.close(lambda: made.append("never"))

    asyncio.run(main())
    assert made == ["call"] * 9 + ["last"]
