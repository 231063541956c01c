import asyncio
import socket
from pathlib import Path

import pytest

from bondmate.api import requests
from tests.api.served import asked, served


def test_a_body_that_does_not_come_is_given_up(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "BODY_S", 0.05)

    async def main() -> None:
        async with served(run) as there:
            reader, writer = await asyncio.open_unix_connection(str(there.socket))
            writer.write(b"POST /alert HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{")
            async with asyncio.timeout(5):
                head = await reader.readuntil(b"\r\n\r\n")
            writer.close()
            assert head.startswith(b"HTTP/1.1 408 ")
            assert there.device.alert is None

    asyncio.run(main())


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /" + b"x" * 3000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /status HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 3000 + b"\r\n\r\n",
        b"GET /status HTTP/1.1\r\n" + b"X: y\r\n" * 100 + b"\r\n",
        b"\x00\x01\x02\x03\r\n\r\n",
    ],
    ids=["a long line", "a long header", "many headers", "no HTTP"],
)
def test_what_is_too_long_or_no_http_is_refused(request_: bytes, run: Path) -> None:
    async def main() -> None:
        async with served(run) as there:

            def send() -> bytes:
                with socket.socket(socket.AF_UNIX) as client:
                    client.settimeout(5)
                    client.connect(str(there.socket))
                    client.sendall(request_)
                    return client.recv(65_536)

            assert (await there.as_client(send)).startswith(b"HTTP/1.0 400 ")
            assert (await asked(there, "GET", "/status"))[0] == 200

    asyncio.run(main())
