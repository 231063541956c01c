import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bondmate.api import client
from bondmate.api.client import NotAllowedError, RefusedError, UnreachableError, call
from tests.api.served import served
from tests.rights import as_nobody


def test_what_is_asked_of_a_device_is_answered(run: Path) -> None:
    async def main() -> None:
        async with served(run) as there:
            assert await there.as_client(lambda: call(there.socket, "GET", "/alert")) is None
            raised = await there.as_client(lambda: call(there.socket, "POST", "/alert", {"kind": "panic"}))
            assert there.device.alert is not None
            assert raised["alert_id"] == str(there.device.alert.record.id)

    asyncio.run(main())


def test_a_refusal_comes_in_the_daemon_s_own_words(run: Path) -> None:
    async def main() -> None:
        async with served(run) as there:
            with pytest.raises(RefusedError, match="no alert is open: there is nothing to cancel"):
                await there.as_client(lambda: call(there.socket, "POST", "/alert/cancel"))
            with pytest.raises(RefusedError, match="Not Found"):
                await there.as_client(lambda: call(there.socket, "GET", "/secrets"))

    asyncio.run(main())


def test_nobody_on_the_socket_is_unreachable_with_what_to_do(run: Path) -> None:
    with pytest.raises(
        UnreachableError, match=r"api.sock .*No such file.*is it running\? \(systemctl status bondmated"
    ):
        call(run / "api.sock", "GET", "/status")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(run / "api.sock"))
        with pytest.raises(UnreachableError, match=r"api.sock .*refused"):
            call(run / "api.sock", "GET", "/status")
    with pytest.raises(UnreachableError, match="too long"):
        call(run / ("x" * 200), "GET", "/status")


def test_a_socket_of_somebody_else_is_not_allowed(run: Path) -> None:
    run.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(run / "api.sock"))
        listener.listen()
        (run / "api.sock").chmod(0o000)
        with (
            as_nobody(),
            pytest.raises(NotAllowedError, match=r"is not open to this user: use sudo, or join the group"),
        ):
            call(run / "api.sock", "GET", "/status")


@contextmanager
def answering(path: Path, answer: bytes) -> Iterator[Path]:
    """Somebody who answers the first request with these octets, and hangs up."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield path
        thread.join(5)
        assert not thread.is_alive()


def http(status: str, body: bytes) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (http("200 OK", b"<html>"), RefusedError, "answered something that is not JSON"),
        (http("200 OK", b"\xff\xfe"), RefusedError, "answered something that is not JSON"),
        (http("500 Internal Server Error", b"[]"), RefusedError, "Internal Server Error"),
        (http("409 Conflict", b'{"error": "no alert is open"}'), RefusedError, "^no alert is open$"),
        (b"SSH-2.0-OpenSSH\r\n", UnreachableError, "does not answer"),
        (b"", UnreachableError, "does not answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[", RefusedError, "answered something that is not JSON"),
    ],
)
def test_whoever_answers_something_else_is_an_error_in_words(
    answer: bytes, error: type[Exception], text: str, run: Path
) -> None:
    with answering(run / "api.sock", answer) as path, pytest.raises(error, match=text):
        call(path, "GET", "/status")


def test_a_daemon_that_hangs_is_unreachable_after_a_time(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "TIMEOUT_S", 0.05)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(run / "api.sock"))
        listener.listen()
        with pytest.raises(UnreachableError, match="timed out"):
            call(run / "api.sock", "GET", "/status")
