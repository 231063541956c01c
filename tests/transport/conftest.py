"""A bearer with real keys, gateways written by hand at the other end of a socket, and an ear for what aiocoap logs."""

import asyncio
import contextlib
import json
import logging
import secrets
import shutil
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from aiocoap import CHANGED, POST, Message
from aiocoap.message import Direction
from aiocoap.numbers.types import ACK, CON, RST

from bondmate import credentials
from bondmate.credentials import Address, Credentials
from bondmate.records import SessionId
from bondmate.transport.coap import CoapBearer
from bondmate.transport.udp import Udp
from tests.gateway.conftest import Gateway, gateway
from tests.gateway.twin import Context

__all__ = ["gateway"]
T = TypeVar("T")
WAIT_S = 20.0
SUBMISSION = bytes(range(100, 200))


class Device:
    """An enrolled device, and the octets from which an independent hand derives the same keys."""

    def __init__(self, file: Path, folder: Path) -> None:
        shutil.copy(file, folder / "credentials.json")
        self.file = file
        self.known: Credentials = credentials.load(folder)
        self.keys = self.known.bearers["ip"]

    def bearer(
        self, *addresses: tuple[str, int], counter: int = 1, renew: Callable[[], SessionId] | None = None
    ) -> CoapBearer:
        places = tuple(Address(*address) for address in addresses)
        return CoapBearer("ip", self.keys, session(counter), Udp(places).open, renew or self._never)

    def gateway_side(self, of: SessionId) -> Context:
        """The gateway's end of a session, by another derivation than the daemon's."""
        secret = bytes.fromhex(json.loads(self.file.read_text())["channel_secret"])
        return Context(secret, self.known.device.octets, "ip", self.keys.gateway_id, self.keys.kid, of.octets)

    def _never(self) -> SessionId:
        raise AssertionError("nobody refused us")


def session(counter: int = 1) -> SessionId:
    return SessionId(counter.to_bytes(2) + secrets.token_bytes(4))


class Peer:
    """A UDP socket where a test says what is answered."""

    def __init__(self, family: socket.AddressFamily = socket.AF_INET) -> None:
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind(("::1" if family is socket.AF_INET6 else "127.0.0.1", 0))
        self.socket.setblocking(False)
        self.address: tuple[str, int] = self.socket.getsockname()[:2]
        self.seen: list[bytes] = []

    async def take(self) -> tuple[bytes, Any]:
        """The next datagram and whence it came."""
        async with asyncio.timeout(WAIT_S):
            raw, whence = await asyncio.get_running_loop().sock_recvfrom(self.socket, 2048)
        self.seen.append(raw)
        return raw, whence

    def serve(self, answer: Callable[[Message], list[bytes]]) -> asyncio.Task[None]:
        """Answer each datagram with what `answer` makes of it, until cancelled."""

        async def run() -> None:
            loop = asyncio.get_running_loop()
            while True:
                raw, whence = await loop.sock_recvfrom(self.socket, 2048)
                self.seen.append(raw)
                for each in answer(Message.decode(raw)):
                    self.socket.sendto(each, whence)

        return asyncio.get_running_loop().create_task(run())


@contextlib.asynccontextmanager
async def peer(answer: Callable[[Message], list[bytes]] | None = None) -> AsyncIterator[Peer]:
    made = Peer()
    task = None if answer is None else made.serve(answer)
    try:
        yield made
    finally:
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        made.socket.close()


def answer_to(request: Message, code: Any, payload: bytes = b"", kind: Any = ACK, **options: Any) -> bytes:
    """A plain answer, piggybacked on the acknowledgement unless `kind` says otherwise."""
    message = Message(code=code, payload=payload, _mtype=kind, _token=request.token, **options)
    message.mid = request.mid if kind in (ACK, RST) else secrets.randbelow(1 << 16)
    return bytes(message.encode())


def protected_to(request: Message, context: Context, code: Any = CHANGED, payload: bytes = b"") -> bytes:
    """A protected answer to a protected request."""
    with contextlib.suppress(AttributeError):
        request.direction = Direction.INCOMING
    _, identifiers = context.unprotect(request)
    outer, _ = context.protect(Message(code=code, payload=payload), identifiers)
    outer.mtype, outer.mid, outer.token = ACK, request.mid, request.token
    return bytes(outer.encode())


def push(context: Context, payload: bytes, path: tuple[str, ...] = ("c",), kind: Any = CON) -> bytes:
    """A protected request of the gateway's own."""
    outer, _ = context.protect(Message(code=POST, uri_path=path, payload=payload))
    outer.mtype, outer.mid, outer.token = kind, secrets.randbelow(1 << 16), secrets.token_bytes(2)
    return bytes(outer.encode())


def run(part: Coroutine[Any, Any, T]) -> T:
    """Run a part in a loop of its own; whatever goes wrong where nobody waits for it fails the test."""
    lost: list[dict[str, Any]] = []

    async def watched() -> T:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: lost.append(context))
        result = await part
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            await asyncio.wait(left, timeout=WAIT_S)
        return result

    result = asyncio.run(watched())
    assert lost == []
    return result


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No test of the transport may leave an error or a traceback in the log."""
    with caplog.at_level(logging.INFO):
        yield
    loud = [each for each in caplog.get_records("call") if each.levelno >= logging.ERROR or each.exc_info]
    assert [each.getMessage() for each in loud] == []


@pytest.fixture(scope="session")
def device(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Device:
    """One device that the gateway knows; each test is a session of its own."""
    return Device(gateway.enrol(), tmp_path_factory.mktemp("credentials"))
