"""When the mailbox is fetched on virtual time, and over what."""

import asyncio
from pathlib import Path

import pytest

from bondmate.errors import LinkError
from bondmate.mailbox import FETCH_S
from tests.mailbox_desk import Desk, on_desk, running
from tests.virtual import run


def times(made: Desk) -> list[float]:
    first = made.line.asked[0][0]
    return [round(at - first, 1) for at, _ in made.line.asked]


def test_it_is_asked_as_often_as_news_is_needed_and_woken_at_once(tmp_path: Path) -> None:
    async def work(made: Desk) -> None:
        async with running(made):
            await asyncio.sleep(1)
            await asyncio.sleep(60.5)
            assert times(made) == [0, 60]
            made.mailbox.regime(on_duty=True, alert_open=True, acknowledged=False)
            await asyncio.sleep(11)
            assert times(made) == [0, 60, 66.5, 71.5]
            made.mailbox.regime(on_duty=True, alert_open=True, acknowledged=True)
            await asyncio.sleep(16)
            assert times(made)[4:] == [86.5]
            made.mailbox.wake()
            await asyncio.sleep(0.1)
            assert times(made)[5:] == [88.5]

    on_desk(work, tmp_path)


def test_what_answered_last_is_asked_first_and_the_others_when_it_fails(tmp_path: Path) -> None:
    async def silence(_: int) -> bytes:
        await asyncio.Event().wait()
        raise AssertionError

    async def broken(_: int) -> bytes:
        raise LinkError("no network")

    async def work(made: Desk) -> None:
        ip, lte, sms = made.lines
        await made.fetch()
        assert (len(ip.asked), len(lte.asked)) == (1, 0)
        lte.last_success_s = 5.0
        await made.fetch()
        assert (len(ip.asked), len(lte.asked)) == (1, 1)
        ip.last_success_s, lte.answer = 4.0, broken
        await made.fetch()
        assert (len(ip.asked), len(lte.asked)) == (2, 2)
        lte.answer = silence
        began = asyncio.get_running_loop().time()
        await made.fetch()
        assert ip.asked[-1][0] - began == pytest.approx(FETCH_S)
        lte.why_not = "no answer in time"
        await made.fetch()
        assert (len(ip.asked), len(lte.asked)) == (4, 3)
        assert sms.asked == [], "no mailbox travels there"

    async def main() -> None:
        made = Desk(tmp_path, lines=("ip", "lte", "sms"))
        made.lines[2].is_scarce = True
        made.mailbox._bearers = [line for line in made.lines if not line.is_scarce]
        await made.begin()
        await work(made)
        await made.end()

    run(main())


def test_without_a_network_the_waits_double(tmp_path: Path) -> None:
    async def broken(_: int) -> bytes:
        raise LinkError("no network")

    async def work(made: Desk) -> None:
        made.line.answer = broken
        made.mailbox.regime(on_duty=True, alert_open=False, acknowledged=False)
        async with running(made):
            await asyncio.sleep(200)
        assert times(made) == [0, 5, 15, 35, 75, 135, 195]
        assert "mailbox" not in made.faults, "weather is no fault"

    on_desk(work, tmp_path)
