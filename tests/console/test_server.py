"""The console's server over a real socket of the device: what gets through, to whom, and nothing else."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bondmate.console.forward import ALLOWED, MAX_STREAMS
from bondmate.console.gate import TRIES
from tests.console.contract import INBOX
from tests.console.served import Served, served

ALARM = {"kind": "panic"}
WRITES = [(method, path.replace("{number:[0-9]{1,10}}", "3")) for method, path in ALLOWED if method != "GET"]


def in_a_console(directory: Path, use: Any) -> None:
    async def go() -> None:
        async with served(directory) as there:
            await use(there)

    asyncio.run(go())


async def enter(there: Served, token: str) -> tuple[int, dict[str, str]]:
    headers = {"Origin": there.origin, "X-BondMate": "1"}
    async with there.client.post(f"{there.origin}/enter", data=token, headers=headers) as answer:
        return answer.status, dict(answer.headers)


def test_the_token_opens_and_the_cookie_is_for_this_site_and_no_script(tmp_path: Path) -> None:
    async def use(there: Served) -> None:
        status, headers = await enter(there, there.token)
        assert status == 204
        assert headers["Set-Cookie"] == f"{there.cookie}; HttpOnly; Path=/; SameSite=Strict"
        assert (await there.ask("GET", "/api/status"))[0] == 200

    in_a_console(tmp_path, use)


def test_without_the_cookie_nothing_of_the_device_is_told_and_nothing_is_done(tmp_path: Path) -> None:
    async def use(there: Served) -> None:
        for method, path in [("GET", "/api/events"), *((method, f"/api{path}") for method, path in ALLOWED)]:
            asked = path.replace("{number:[0-9]{1,10}}", "3")
            assert (await there.ask(method, asked, ALARM, without=("Cookie",)))[0] == 401, asked
            assert (await there.ask(method, asked, ALARM, Cookie="bondmate-console=0"))[0] == 401, asked
        assert there.device.calls == []

    in_a_console(tmp_path, use)


def test_after_ten_wrong_tokens_only_the_right_one_is_let_in(tmp_path: Path) -> None:
    async def use(there: Served) -> None:
        for wrong in ["", there.token[:-1], there.token + "x", "\N{GREEK SMALL LETTER ALPHA}"] + ["x"] * (TRIES - 4):
            status, headers = await enter(there, wrong)
            assert (status, "Set-Cookie" in headers) == (401, False)
        status, headers = await enter(there, "x")
        assert (status, "Set-Cookie" in headers) == (429, False)
        assert 0 < int(headers["Retry-After"]) <= 60
        status, headers = await enter(there, there.token)
        assert (status, "Set-Cookie" in headers) == (204, True)
        assert (await there.ask("GET", "/api/status"))[0] == 200, "the browser that is in stays in"

    in_a_console(tmp_path, use)


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_another_site_can_do_nothing_with_the_officers_browser(tmp_path: Path, method: str, path: str) -> None:
    async def use(there: Served) -> None:
        there.device.inbox = [dict(message) for message in INBOX]
        path_ = f"/api{path}"
        assert (await there.ask(method, path_, ALARM, Origin="http://evil.example"))[0] == 403
        assert (await there.ask(method, path_, ALARM, Origin="null"))[0] == 403
        assert (await there.ask(method, path_, ALARM, Sec_Fetch_Site="cross-site"))[0] == 403
        assert (await there.ask(method, path_, ALARM, without=("Origin",)))[0] == 403
        assert (await there.ask(method, path_, ALARM, without=("X-BondMate",)))[0] == 403
        assert (await there.ask(method, path_, ALARM, Host="evil.example"))[0] == 421
        assert there.device.calls == []
        assert (await there.ask(method, path_, {"kind": "panic", "text": "a", "action": "end"}))[0] != 401
        assert len(there.device.calls) == 1, "the own page can"

    in_a_console(tmp_path, use)


def test_a_name_that_leads_here_shows_not_even_the_bare_page(tmp_path: Path) -> None:
    async def use(there: Served) -> None:
        assert (await there.ask("GET", "/", Host="evil.example:80"))[0] == 421
        assert (await there.ask("GET", "/", without=("Cookie",), Sec_Fetch_Site="none"))[0] == 200

    in_a_console(tmp_path, use)


def test_nothing_but_what_is_listed_reaches_the_device(tmp_path: Path) -> None:
    async def use(there: Served) -> None:
        for method, path in [
            ("GET", "/api/queue"), ("GET", "/queue"), ("GET", "/api/config"), ("GET", "/status"), ("POST", "/api/test"),
            ("PUT", "/api/alert"), ("POST", "/api/inbox/x/read"), ("POST", "/api/inbox/%D9%A3/read"),
            ("POST", "/api/inbox/1/../../alert"), ("POST", "/api//alert"), ("DELETE", "/api/inbox"),
            ("GET", "/js/../../app.py"), ("GET", "/%2e%2e/app.py"), ("GET", "/index.html"),
        ]:  # fmt: skip
            assert (await there.ask(method, path, ALARM))[0] in {404, 405}, path
        assert there.device.calls == []

    in_a_console(tmp_path, use)


def test_a_call_and_its_answer_are_handed_on_as_they_are(tmp_path: Path) -> None:
    async def use(there: Served) -> None:
        status, alert = await there.ask("POST", "/api/alert", ALARM, Idempotency_Key="a-1")
        assert (status, alert["state"]) == (201, "stored")
        assert there.device.calls == [{"method": "POST", "path": "/alert", "key": "a-1", "body": ALARM}]
        assert (await there.ask("POST", "/api/alert/cancel", {"pin": "1111"}))[1]["tries_left"] == 4
        assert (await there.ask("POST", "/api/alert/cancel", {}))[0] == 403

    in_a_console(tmp_path, use)


@pytest.mark.parametrize("key", ["", "a b", "\N{LATIN SMALL LETTER E WITH ACUTE}", "x" * 65, "a/../b"])
def test_a_key_that_is_none_goes_no_further(tmp_path: Path, key: str) -> None:
    async def use(there: Served) -> None:
        assert (await there.ask("POST", "/api/alert", ALARM, Idempotency_Key=key))[0] == 400
        assert there.device.calls == []

    in_a_console(tmp_path, use)


def test_bodies_are_bounded_and_are_json(tmp_path: Path) -> None:
    async def use(there: Served) -> None:
        assert (await there.ask("POST", "/api/alert", b" " * 4097))[0] == 413
        assert (await there.ask("POST", "/enter", b"x" * 4097))[0] == 413
        assert (await there.ask("POST", "/api/alert", ALARM, Content_Type="text/plain"))[0] == 415
        assert there.device.calls == []
        assert (await there.ask("POST", "/api/alert", b'{"kind": "panic"}'.ljust(4096)))[0] == 201

    in_a_console(tmp_path, use)


def test_an_answer_that_never_ends_is_not_handed_on(tmp_path: Path) -> None:
    async def use(there: Served) -> None:
        there.device.privacy = {"kept": "x" * 2_000_000}
        assert (await there.ask("GET", "/api/privacy"))[0] == 502

    in_a_console(tmp_path, use)


def test_what_the_device_says_is_kept_by_no_cache_and_every_file_of_the_page_is_checked_anew(tmp_path: Path) -> None:
    async def use(there: Served) -> None:
        for path, caching in {"/api/status": "no-store", "/": "no-cache", "/js/app.js": "no-cache"}.items():
            headers = {"Cookie": there.cookie}
            async with there.client.get(f"{there.origin}{path}", headers=headers) as answer:
                assert answer.headers["Cache-Control"] == caching
                assert answer.headers["Referrer-Policy"] == "no-referrer"
                assert "Python" not in answer.headers["Server"]

    in_a_console(tmp_path, use)


def test_without_a_device_every_call_says_so(tmp_path: Path) -> None:
    async def use(there: Served) -> None:
        (tmp_path / "api.sock").unlink()
        for method, path in (("GET", "/api/status"), ("GET", "/api/events"), ("POST", "/api/alert")):
            status, told = await there.ask(method, path, ALARM if method == "POST" else None)
            assert (status, "does not answer" in told["error"]) == (502, True)

    in_a_console(tmp_path, use)


async def stream(there: Served) -> aiohttp.ClientResponse:
    return await there.client.get(f"{there.origin}/api/events", headers={"Cookie": there.cookie})


def test_events_come_at_once_and_with_each_change_and_end_with_the_device(tmp_path: Path) -> None:
    async def use(there: Served) -> None:
        events = await stream(there)
        assert events.content_type == "text/event-stream"
        assert (await events.content.readuntil(b"\n\n")).startswith(b"event: status\ndata: {")
        assert (await events.content.readuntil(b"\n\n")).startswith(b"event: inbox\ndata: [")
        await there.ask("POST", "/api/alert", ALARM)
        assert b'"state": "stored"' in await events.content.readuntil(b"\n\n")
        await there.device.app.shutdown()
        async with asyncio.timeout(5):
            assert b"event: status" not in await events.read(), "it ended"
        events.close()

    in_a_console(tmp_path, use)


def test_streams_are_bounded_and_one_that_ended_makes_room(tmp_path: Path) -> None:
    async def use(there: Served) -> None:
        streams = [await stream(there) for _ in range(MAX_STREAMS)]
        assert [events.status for events in streams] == [200] * MAX_STREAMS
        one_more = await stream(there)
        assert one_more.status == 503
        one_more.close()
        streams[0].close()
        async with asyncio.timeout(10):
            while (again := await stream(there)).status != 200:
                again.close()
                there.device.tell()
        for events in [*streams, again]:
            events.close()

    in_a_console(tmp_path, use)
