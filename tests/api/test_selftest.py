"""The self-test over the API: begun by whoever may do everything, shown while it runs, and never the console's."""

import asyncio
from pathlib import Path

from bondmate.core.selftest import CHECKS
from bondmate.records import Kind
from tests.api.served import asked, console, served


def test_one_is_begun_and_shown_as_far_as_it_is(run: Path) -> None:
    async def main() -> None:
        async with served(run) as there:
            assert await asked(there, "GET", "/selftest") == (200, None)
            code, test = await asked(there, "POST", "/selftest")
            assert (code, test["number"], test["state"], test["why"], test["ok"]) == (201, 1, "running", None, None)
            assert [each["check"] for each in test["checks"]] == [check.name for check in CHECKS]
            shown = {each["check"]: each for each in (await asked(there, "GET", "/selftest"))[1]["checks"]}
            assert (shown["button"]["state"], shown["fix"]["state"]) == ("running", "waiting")
            assert shown["button"]["text"] == "waiting for a press: press the button once, briefly"

    asyncio.run(main())


def test_the_same_key_begins_one_and_another_begins_anew(run: Path) -> None:
    async def main() -> None:
        async with served(run) as there:
            first = await asked(there, "POST", "/selftest", b"{}", Idempotency_Key="one")
            assert await asked(there, "POST", "/selftest", b"{}", Idempotency_Key="one") == first
            assert (await asked(there, "GET", "/selftest"))[1]["number"] == 1
            code, test = await asked(there, "POST", "/selftest", b"{}", Idempotency_Key="two")
            assert (code, test["number"]) == (201, 2)

    asyncio.run(main())


def test_while_an_alert_is_open_it_is_refused_and_one_under_way_is_cancelled(run: Path) -> None:
    async def main() -> None:
        async with served(run) as there:
            await asked(there, "POST", "/selftest")
            there.device.raise_alert(Kind.PANIC)
            test = (await asked(there, "GET", "/selftest"))[1]
            assert (test["state"], test["why"], test["ok"]) == ("cancelled", "an alert was raised", False)
            assert await asked(there, "POST", "/selftest") == (
                409,
                {"error": "an alert is open: the self-test waits until it is over"},
            )

    asyncio.run(main())


def test_the_console_may_neither_begin_one_nor_look(run: Path) -> None:
    async def main() -> None:
        async with served(run) as there:
            for method in ("GET", "POST"):
                assert (await console(there, method, "/selftest"))[0] == 403
            assert there.device.selftest.to_json() is None

    asyncio.run(main())
