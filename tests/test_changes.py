import asyncio

from bondmate.changes import Changes


async def waiter(changes: Changes, count: int) -> asyncio.Task[int]:
    task = asyncio.get_running_loop().create_task(changes.after(count))
    await asyncio.sleep(0)
    return task


def test_whoever_waits_is_told_and_nobody_is_told_twice_of_the_same() -> None:
    async def run() -> None:
        changes = Changes()
        first, second = await waiter(changes, 0), await waiter(changes, 0)
        changes.tell()
        assert (await first, await second) == (1, 1)
        third = await waiter(changes, 1)
        assert not third.done()
        changes.tell()
        assert await third == 2

    asyncio.run(run())


def test_what_happened_before_is_not_waited_for() -> None:
    async def run() -> None:
        changes = Changes()
        changes.tell()
        changes.tell()
        assert await changes.after(0) == 2

    asyncio.run(run())
