import asyncio
import json
from pathlib import Path

import pytest

from tests.api.served import asked, console, served


def test_the_inbox_has_the_newest_first_and_a_hundred_at_most(run: Path) -> None:
    async def main() -> None:
        async with served(run) as there:
            assert await console(there, "GET", "/inbox") == (200, [])
            await there.post(120)
            _, shown = await console(there, "GET", "/inbox")
            assert [each["number"] for each in shown] == list(range(120, 20, -1))
            assert (shown[0]["text"], shown[0]["by"], shown[0]["replies"]) == ("message 120", "Ada", ["Yes", "No"])
            assert (shown[0]["state"], shown[0]["answer"], shown[0]["urgent"]) == ("taken", None, False)
            assert (await console(there, "GET", "/status"))[1]["inbox"] == {"unread": 120}

    asyncio.run(main())


def test_a_message_is_read_and_answered(run: Path) -> None:
    async def main() -> None:
        async with served(run) as there:
            await there.post(3)
            code, read = await console(there, "POST", "/inbox/3/read")
            assert (code, read["state"]) == (200, "read")
            code, answered = await console(there, "POST", "/inbox/3/answer", {"text": "On my way"})
            assert (code, answered["state"], answered["answer"]) == (200, "answered", "On my way")
            code, answer = await console(there, "POST", "/inbox/3/answer", {"text": "No"})
            assert (code, answer["error"]) == (409, "message 3 was answered already: On my way")

    asyncio.run(main())


@pytest.mark.parametrize("number", ["4", "0", "03x", "-1", "9999999999", "99999999999", "%33"])
def test_a_message_that_is_not_there_is_404(number: str, run: Path) -> None:
    async def main() -> None:
        async with served(run) as there:
            for act in ("read", "answer"):
                assert (await asked(there, "POST", f"/inbox/{number}/{act}", b'{"text": "x"}'))[0] == 404

    asyncio.run(main())


@pytest.mark.parametrize("body", [{}, {"text": ""}, {"text": "x" * 161}, {"text": "\ud800"}, {"text": ["x"]}])
def test_an_answer_that_does_not_fit_a_record_is_refused(body: dict[str, object], run: Path) -> None:
    async def main() -> None:
        async with served(run) as there:
            await there.post()
            assert (await console(there, "POST", "/inbox/1/answer", json.dumps(body).encode()))[0] == 400
            assert (await console(there, "GET", "/inbox"))[1][0]["state"] == "taken"

    asyncio.run(main())
