import asyncio
import socket
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bondmate.api import door
from bondmate.api.door import MAX_CONNECTIONS, REQUEST_EVERY_S
from bondmate.api.views import Views
from bondmate.records import Kind, Stream
from tests.api.served import Served, asked, exchange, served
from tests.eventually import eventually


def connected(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(5)
    client.connect(str(path))
    return client


def test_whoever_comes_when_the_house_is_full_is_told_so_and_gets_in_when_there_is_room(run: Path) -> None:
    async def main() -> None:
        async with served(run) as there:
            guests = [await there.as_client(lambda: connected(there.socket)) for _ in range(MAX_CONNECTIONS)]
            code, answer = await asked(there, "GET", "/status")
            assert (code, answer) == (503, {"error": "too many connections: try again later"})
            assert (await there.as_client(lambda: exchange(there.console, "GET", "/status")))[0] == 200
            for guest in guests:
                guest.close()

            async def gets_in() -> bool:
                return (await asked(there, "GET", "/status"))[0] == 200

            async with asyncio.timeout(5):
                while not await gets_in():
                    pass

    asyncio.run(main())


def test_a_connection_that_brings_no_request_does_not_keep_its_place(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "SWEEP_S", 0.05)

    async def main() -> None:
        async with served(run) as there:
            with connected(there.socket) as silent, connected(there.socket) as slow, connected(there.socket) as good:
                good.sendall(b"GET /duty HTTP/1.1\r\nHost: localhost\r\n\r\n")
                slow.sendall(b"GET /duty HTTP/1.1\r\nHost:")
                assert await there.as_client(lambda: silent.recv(1)) == b""
                slow.settimeout(5)
                assert await there.as_client(lambda: slow.recv(1)) == b""
                good.setblocking(False)
                good.send(b"GET /duty HTTP/1.1\r\nHost: localhost\r\n\r\n")
                await eventually(lambda: octets(good).count(b"HTTP/1.1 200 OK") == 2, "it was served twice")

    asyncio.run(main())


def octets(client: socket.socket) -> bytes:
    """What has come, and stays there."""
    try:
        return client.recv(65_536, socket.MSG_PEEK)
    except BlockingIOError:
        return b""


def test_whoever_asks_without_end_is_served_at_a_bounded_rate(run: Path) -> None:
    async def main() -> None:
        async with served(run) as there:

            def many() -> int:
                with connected(there.socket) as client:
                    client.sendall(b"GET /duty HTTP/1.1\r\nHost: localhost\r\n\r\n" * 90)
                    seen = b""
                    while seen.count(b"HTTP/1.1 200 OK") < 90:
                        seen += client.recv(65_536)
                return 90

            begin = asyncio.get_running_loop().time()
            await there.as_client(many)
            took_s = asyncio.get_running_loop().time() - begin
            assert took_s >= (90 - door.REQUESTS_AT_ONCE - 1) * REQUEST_EVERY_S

    asyncio.run(main())


HAMMER = """
import socket, sys, itertools
path, way = sys.argv[1:]
request = b"GET /status HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n"
print("hammering", flush=True)
for _ in itertools.count():
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            client.connect(path)
            if way == "open":
                continue
            client.sendall(request * (50 if way == "pipeline" else 1))
            while len(client.recv(65536)) == 65536:
                pass
    except OSError:
        pass
"""
WAYS = ["open", "ask", "pipeline"]


def hammering(path: Path, way: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", HAMMER, str(path), way], stdout=subprocess.PIPE, text=True)


async def press_to_stored_s(there: Served) -> float:
    """Raise an alert, and wait until it is stored; how long that took."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    there.device.raise_alert(Kind.PANIC)
    alert = there.device.alert
    assert alert is not None
    await eventually(lambda: alert.is_stored, "the alert to be stored")
    return loop.time() - begin


async def lag_s(there: Served) -> float:
    """How late the event loop is, at the worst of a while: so late an edge of the button would be seen."""
    loop, worst = asyncio.get_running_loop(), 0.0
    for _ in range(100):
        due = loop.time() + 0.002
        await asyncio.sleep(0.002)
        worst = max(worst, loop.time() - due)
    return worst


def test_a_flood_on_the_api_does_not_delay_a_press(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By real processes, more than there are processors."""

    looks: list[float] = []
    look = Views.status_json

    def counted(views: Views, now: float) -> dict[str, Any]:
        looks.append(now)
        return look(views, now)

    monkeypatch.setattr(Views, "status_json", counted)

    async def measured(there: Served) -> dict[str, Any]:
        stored = [await press_to_stored_s(there) for _ in range(15)]
        return {"stored": statistics.median(stored), "lag": statistics.median([await lag_s(there) for _ in range(3)])}

    async def main() -> None:
        async with served(run, stalls=True) as there:
            calm = await measured(there)
            hammers = [hammering(path, way) for way in WAYS for path in (there.socket, there.console)]
            try:
                for hammer in hammers:
                    assert hammer.stdout is not None
                    assert await asyncio.to_thread(hammer.stdout.readline) == "hammering\n"
                flooded = await measured(there)
                assert [hammer.poll() for hammer in hammers] == [None] * len(hammers), "all of them hammer"
            finally:
                for hammer in hammers:
                    hammer.kill()
                    hammer.communicate()
            # they share the processors with us: what is bounded is how much longer, not how long
            assert flooded["stored"] < 10 * calm["stored"] + 0.25
            assert flooded["lag"] < 10 * calm["lag"] + 0.25
            most = 2 * ((looks[-1] - looks[0]) / REQUEST_EVERY_S + door.REQUESTS_AT_ONCE + 1)
            assert 0 < len(looks) <= most, "they got in, and no more of them than may"
            assert there.device.waiting()[Stream.ALERT] == 30, "and none of them is lost"

    asyncio.run(main())
