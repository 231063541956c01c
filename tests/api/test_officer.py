import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from bondmate.records import Kind
from tests.api.served import Served, asked, console, served, set_pin


def test_a_check_in_is_begun_extended_and_ended(run: Path) -> None:
    async def main() -> None:
        async with served(run) as there:
            assert await console(there, "GET", "/checkin") == (200, {"checkin": None})
            code, answer = await console(
                there, "POST", "/checkin", {"action": "begin", "seconds": 1200, "note": "cellar, No. 7"}
            )
            begun = answer["checkin"]
            assert (code, begun["note"], begun["state"]) == (200, "cellar, No. 7", "running")
            assert begun["due_at"].startswith("2026-11-20T15:20:0")
            assert 1190 < begun["due_s"] <= 1200
            assert (await console(there, "GET", "/status"))[1]["checkin"]["note"] == "cellar, No. 7"
            code, answer = await console(there, "POST", "/checkin", {"action": "extend", "seconds": 600})
            assert code == 200
            assert 1790 < answer["checkin"]["due_s"] <= 1800
            assert await console(there, "POST", "/checkin", {"action": "end"}) == (
                200,
                {"checkin": None, "stored": True},
            )
            for body in ({"action": "end"}, {"action": "extend", "seconds": 1}):
                code, answer = await console(there, "POST", "/checkin", body)
                assert code == 409
                assert answer["error"].startswith("no check-in is under way")

    asyncio.run(main())


def check_in(there: Served) -> tuple[str, str]:
    shown = there.device.check_in.to_json(asyncio.get_running_loop().time())
    assert shown is not None
    return shown["note"], shown["state"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"action": "dance"},
        {"action": "begin"},
        {"action": "begin", "seconds": 0},
        {"action": "begin", "seconds": 86_401},
        {"action": "begin", "seconds": 1.5},
        {"action": "begin", "seconds": "60"},
        {"action": "begin", "seconds": True},
        {"action": "begin", "seconds": None},
        {"action": "begin", "seconds": 60, "note": "x" * 121},
        {"action": "begin", "seconds": 60, "note": "ä" * 61},
        {"action": "begin", "seconds": 60, "note": 1},
        {"action": "begin", "seconds": 60, "note": "\ud800"},
        {"action": "extend"},
    ],
)
def test_a_check_in_that_says_nothing_clear_is_refused(body: dict[str, Any], run: Path) -> None:
    async def main() -> None:
        async with served(run) as there:
            there.device.check_in.begin(60)
            before = check_in(there)
            code, answer = await console(there, "POST", "/checkin", json.dumps(body).encode())
            assert code == 400
            assert answer["error"]
            assert check_in(there) == before

    asyncio.run(main())


@pytest.mark.parametrize("constant", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"9" * 4000])
def test_what_json_does_not_know_as_a_number_is_refused(constant: bytes, run: Path) -> None:
    async def main() -> None:
        async with served(run) as there:
            code, _ = await console(there, "POST", "/checkin", b'{"action": "begin", "seconds": ' + constant + b"}")
            assert code == 400

    asyncio.run(main())


def test_settings_are_shown_and_chosen_one_by_one(run: Path) -> None:
    async def main() -> None:
        async with served(run) as there:
            languages = ["en", "pt", "el"]
            shown: dict[str, Any] = {"language": None, "covert": True, "languages": languages}
            assert await asked(there, "GET", "/settings") == (200, shown)
            shown["language"] = "pt"
            assert await asked(there, "PUT", "/settings", b'{"language": "pt"}') == (200, shown)
            shown["covert"] = False
            assert await asked(there, "PUT", "/settings", b'{"covert": false}') == (200, shown)
            assert (await asked(there, "GET", "/status"))[1]["covert"] is False
            for body in (
                b'{"language": "xx"}',
                b'{"language": null}',
                b'{"covert": 1}',
                b'{"covert": null}',
                b"{}",
                None,
            ):
                assert (await asked(there, "PUT", "/settings", body))[0] == 400
            assert await asked(there, "GET", "/settings") == (200, shown)

    asyncio.run(main())


def test_the_console_changes_duty_and_settings_with_the_pin(run: Path) -> None:
    async def main() -> None:
        set_pin(run, "1234", "4321")
        async with served(run) as there:
            code, answer = await console(there, "POST", "/duty", {"duty": "off", "pin": "1234"})
            assert (code, answer["duty"]) == (200, "off")
            code, answer = await console(there, "PUT", "/settings", {"covert": False, "pin": "1234"})
            assert (code, answer["covert"]) == (200, False)

    asyncio.run(main())


def test_what_is_malformed_costs_no_try(run: Path) -> None:
    async def main() -> None:
        set_pin(run, "1234", None)
        async with served(run) as there:
            for path, body in (("/duty", {"duty": "maybe"}), ("/settings", {"covert": "no"})):
                method = "POST" if path == "/duty" else "PUT"
                assert (await console(there, method, path, body | {"pin": "0000"}))[0] == 400
            code, answer = await console(there, "POST", "/alert/cancel", {"pin": "0000"})
            assert (code, answer) == (409, {"error": "no alert is open: there is nothing to cancel"})
            assert await there.outbox.kept("lockout") is None

    asyncio.run(main())


def test_ten_wrong_pins_are_refused_and_the_right_one_then_too(run: Path) -> None:
    async def main() -> None:
        set_pin(run, "1234", "4321")
        async with served(run) as there:
            await console(there, "POST", "/alert")
            refused = [await console(there, "POST", "/alert/cancel", {"pin": f"000{n}"}) for n in range(10)]
            assert {code for code, _ in refused} == {403}
            assert [answer["tries_left"] for _, answer in refused] == [4, 3, 2, 1, *[0] * 6]
            for pin in ("1234", "4321"):
                code, answer = await console(there, "POST", "/alert/cancel", {"pin": pin})
                assert (code, answer["error"]) == (403, "no PIN is looked at for 60 s")
                assert 59 < answer["locked_s"] <= 60
            assert there.hows == []
            there.later(60)
            assert (await console(there, "POST", "/alert/cancel", {"pin": "1234"}))[0] == 200

    asyncio.run(main())


def test_without_a_pin_nothing_is_cancelled_by_one(run: Path) -> None:
    async def main() -> None:
        async with served(run) as there:
            await console(there, "POST", "/alert")
            code, answer = await console(there, "POST", "/alert/cancel", {"pin": "1234"})
            assert code == 403
            assert answer["error"].startswith("no PIN is set")

    asyncio.run(main())


def test_a_call_that_came_while_the_pin_was_looked_at_is_not_swallowed(run: Path) -> None:
    async def main() -> None:
        set_pin(run, "1234", None)
        async with served(run) as there:
            await console(there, "POST", "/alert")
            look = there.device.officer_pin.check

            async def slow(pin: str) -> Any:
                answer = await look(pin)
                there.device.raise_alert(Kind.PANIC)
                return answer

            there.device.officer_pin.check = slow  # type: ignore[method-assign]
            code, answer = await console(there, "POST", "/alert/cancel", {"pin": "1234"})
            assert code == 409
            assert "called again meanwhile" in answer["error"]
            assert there.hows == []

    asyncio.run(main())


def test_a_pin_takes_back_the_alert_that_was_shown_and_no_newer_one(run: Path) -> None:
    async def main() -> None:
        set_pin(run, "1234", None)
        async with served(run) as there:
            _, shown = await console(there, "POST", "/alert")
            _, newer = await console(there, "POST", "/alert")
            body = {"pin": "1234", "alert_id": shown["alert_id"]}
            code, answer = await console(there, "POST", "/alert/cancel", body)
            assert (code, answer["error"][:23]) == (409, "there is a newer alert ")
            assert there.hows == []
            body["alert_id"] = newer["alert_id"]
            assert (await console(there, "POST", "/alert/cancel", body))[0] == 200
            assert (await console(there, "POST", "/alert/cancel", body | {"alert_id": 7}))[0] in (400, 409)

    asyncio.run(main())
