import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from bondmate.api import door, events
from bondmate.api.events import MAX_STREAMS
from bondmate.errors import StoreError
from bondmate.records import Kind
from tests.api.served import Served, console, served
from tests.eventually import eventually

QUICK_S = 20.0
"""For a busy machine; what is asked for is 50 ms."""


class Stream:
    """A reader of events that reads when it is asked to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.head = b""

    async def begin(self, path: str = "/events") -> int:
        self._writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        self.head = await self._reader.readuntil(b"\r\n\r\n")
        return int(self.head.split()[1])

    async def next(self) -> tuple[str, Any]:
        """The next event's name and data; the frames of HTTP around them are left out."""
        lines: dict[str, str] = {}
        while True:
            line = (await self._reader.readuntil(b"\n")).decode().rstrip("\r\n")
            if not line and lines:
                return lines["event"], json.loads(lines["data"])
            name, colon, text = line.partition(": ")
            if colon:
                lines[name] = text

    async def until(self, name: str) -> Any:
        """The data of the next event of this name."""
        async with asyncio.timeout(QUICK_S):
            while True:
                event, data = await self.next()
                if event == name:
                    return data

    def close(self) -> None:
        self._writer.close()


@asynccontextmanager
async def stream(there: Served, path: Path | None = None) -> AsyncIterator[Stream]:
    reader, writer = await asyncio.open_unix_connection(str(path or there.console), limit=2**20)
    made = Stream(reader, writer)
    try:
        yield made
    finally:
        made.close()


def test_the_picture_comes_at_once_and_then_with_each_change(run: Path) -> None:
    async def main() -> None:
        async with served(run) as there, stream(there) as page:
            await there.post()
            assert await page.begin() == 200
            assert b"Content-Type: text/event-stream" in page.head
            first = await page.until("status")
            _, asked = await console(there, "GET", "/status")
            assert first.keys() == asked.keys()
            assert first["alert"] is None
            assert [each["number"] for each in await page.until("inbox")] == [1]
            there.device.raise_alert(Kind.PANIC)
            assert (await page.until("status"))["alert"]["kind"] == "panic"
            await there.post()
            assert [each["number"] for each in await page.until("inbox")] == [2, 1]
            await console(there, "POST", "/inbox/2/read")
            assert (await page.until("inbox"))[0]["state"] == "read"
            await console(there, "POST", "/inbox/2/answer", {"text": "Yes"})
            assert (await page.until("inbox"))[0]["answer"] == "Yes"

    asyncio.run(main())


def test_without_a_change_a_status_comes_all_the_same_and_no_inbox(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.1)
    monkeypatch.setattr(events, "INBOX_S", 0.0)

    async def main() -> None:
        async with served(run) as there, stream(there) as page:
            looks = mock.patch.object(there.outbox, "messages", wraps=there.outbox.messages).start()
            await page.begin()
            names = [(await page.next())[0] for _ in range(5)]
            assert names == ["status", "inbox", "status", "status", "status"]
            assert looks.call_count >= 4, "it was looked at, and had not changed"

    asyncio.run(main())


def test_a_storm_of_changes_is_a_few_events(run: Path) -> None:
    async def main() -> None:
        async with served(run) as there, stream(there) as page:
            await page.begin()
            await page.until("inbox")
            begin = asyncio.get_running_loop().time()
            for _ in range(500):
                there.device.changes.tell()
                await asyncio.sleep(0)
            await there.device.change_settings(covert=False)
            seen = 1
            while (await page.until("status"))["covert"]:
                seen += 1
            took_s = asyncio.get_running_loop().time() - begin
            assert seen <= 2 + took_s / events.GAP_S

    asyncio.run(main())


def test_a_store_that_fails_ends_no_stream(run: Path) -> None:
    async def main() -> None:
        async with served(run) as there, stream(there) as page:
            with mock.patch.object(there.outbox, "messages", side_effect=StoreError("no disk")):
                await page.begin()
                await page.until("status")
            await there.post()
            assert [each["number"] for each in await page.until("inbox")] == [1]

    asyncio.run(main())


def test_a_store_that_hangs_holds_up_no_status(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.2)

    async def hang(*_: object) -> list[object]:
        await asyncio.Event().wait()
        raise AssertionError

    async def main() -> None:
        async with served(run) as there, stream(there) as page:
            with mock.patch.object(there.outbox, "messages", hang):
                await page.begin()
                await page.until("status")
                there.device.raise_alert(Kind.PANIC)
                while (await page.until("status"))["alert"] is None:
                    pass

    asyncio.run(main())


def test_streams_are_bounded_for_each_socket_and_those_that_end_make_room(run: Path) -> None:
    async def main() -> None:
        async with served(run) as there:
            pages = [Stream(*await asyncio.open_unix_connection(str(there.console))) for _ in range(MAX_STREAMS)]
            assert [await page.begin() for page in pages] == [200] * MAX_STREAMS
            code, answer = await console(there, "GET", "/events")
            assert (code, answer) == (503, {"error": "8 streams are open already"})
            async with stream(there, there.socket) as technician:
                assert await technician.begin() == 200, "the other socket has its own"
            pages.pop().close()

            code = 503
            async with asyncio.timeout(QUICK_S):
                while code == 503:
                    async with stream(there) as page:
                        code = await page.begin()
            for page in pages:
                page.close()

    asyncio.run(main())


def test_the_end_of_the_daemon_ends_a_stream(run: Path) -> None:
    async def main() -> float:
        async with served(run) as there:
            reader, writer = await asyncio.open_unix_connection(str(there.console), limit=2**20)
            page = Stream(reader, writer)
            await page.begin()
            await page.until("inbox")
            begin = asyncio.get_running_loop().time()
        await reader.read()  # to its end
        writer.close()
        return asyncio.get_running_loop().time() - begin

    assert asyncio.run(main()) < 5


def test_whoever_does_not_read_gets_no_second_picture_and_is_dropped(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "SWEEP_S", 0.3)

    async def main() -> None:
        async with served(run) as there:
            short = there.device.message_json
            there.device.message_json = lambda letter: short(letter) | {"text": "x" * 4000}  # type: ignore[method-assign]
            await there.post(100)
            # only now: a hundred growing inboxes would fill this reader too, and it would be dropped with reason
            async with stream(there) as page:
                await page.begin()
                await page.until("inbox")
                with socket.socket(socket.AF_UNIX) as deaf:
                    deaf.connect(str(there.socket))
                    deaf.send(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    deaf.setblocking(False)
                    await eventually(lambda: tell(there) and is_cut(deaf), "it to be dropped")
                    kept = rest(deaf)
                assert kept.count(b"event: status") == 1
                assert len(kept) < 100 * 4000
                there.device.raise_alert(Kind.PANIC)
                while (await page.until("status"))["alert"] is None:
                    pass  # whoever reads is served on

    asyncio.run(main())


def tell(there: Served) -> bool:
    there.device.changes.tell()
    return True


def rest(client: socket.socket) -> bytes:
    """What came before the end."""
    came = b""
    try:
        while piece := client.recv(65_536):
            came += piece
    except ConnectionResetError:
        pass
    return came


def is_cut(client: socket.socket) -> bool:
    try:
        client.send(b"\n")
    except (BrokenPipeError, ConnectionResetError):
        return True
    return False
