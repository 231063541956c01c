"""From the end of a hold to stored and to a verified receipt, in real processes, beside the least it could cost."""

import asyncio
import socket
import tempfile
import time
from pathlib import Path
from typing import Any

from aiocoap import CHANGED, POST, Message, resource
from cryptography.hazmat.primitives.asymmetric import ec

from bondmate.cose import KeySigner
from bondmate.credentials import ChannelKeys
from bondmate.recorder import Recorder
from bondmate.records import DeviceId, History, Kind, Moment, SessionId
from bondmate.store.outbox import SqliteOutbox
from bondmate.transport.carrier import Endpoint
from bondmate.transport.oscore import SessionContext
from bondmate_sim.process import wait_until
from bondmate_sim.world import Settings, World
from tests.perf.table import Row

HOLD_S = 0.1
NOW = Moment(0.0, None)


def measure(rounds: int) -> list[Row]:
    """press to stored over one signature and one commit; press to receipt over one OSCORE exchange and two commits."""
    with tempfile.TemporaryDirectory(prefix="bondmate-perf-") as directory:
        base = Path(directory)
        stored_ms, receipt_ms = _presses(base / "world", rounds)
        signed_ms = asyncio.run(_signatures_and_commits(_made(base / "signed"), rounds))
        commit_ms = asyncio.run(_commits(_made(base / "commits"), rounds))
        exchange_ms = asyncio.run(_exchanges(rounds))
    floor_ms = [exchange + 2 * commit for exchange, commit in zip(exchange_ms, commit_ms, strict=True)]
    return [
        Row("press to stored", stored_ms, "one signature and one commit", signed_ms),
        Row("press to receipt", receipt_ms, "one OSCORE round trip and two commits", floor_ms),
    ]


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory


def _presses(directory: Path, rounds: int) -> tuple[list[float], list[float]]:
    stored_ms, receipt_ms = [], []
    with World(directory, Settings(hold_s=HOLD_S)) as world:
        world.start()
        for _ in range(rounds):
            alert = press_to_receipt(world)
            stored_ms.append(alert["stored_after_ms"])
            receipt_ms.append(alert["delivered_after_ms"])
    return stored_ms, receipt_ms


def press_to_receipt(world: World) -> dict[str, Any]:
    """Press, and wait for the receipt of the alert that this raised, and no other; the alert as the device shows it."""
    before = world.ctl("alert", "show")
    world.press(HOLD_S + 0.05)

    def delivered() -> dict[str, Any] | None:
        alert: dict[str, Any] | None = world.ctl("alert", "show")
        fresh = alert is not None and (before is None or alert["alert_id"] != before["alert_id"])
        return alert if alert is not None and fresh and alert["state"] == "delivered" else None

    return wait_until(delivered, 30, "a receipt")


def _recorder() -> Recorder:
    key = KeySigner(ec.generate_private_key(ec.SECP256R1()))
    return Recorder(DeviceId(bytes(4)), SessionId(bytes(6)), key, History({}), 0.0)


async def _signatures_and_commits(directory: Path, rounds: int) -> list[float]:
    recorder = _recorder()
    outbox = await _outbox(directory)
    samples = []
    for _ in range(rounds):
        start = time.perf_counter()
        await outbox.add(recorder.make(Kind.PANIC, 1.0, None), NOW)
        samples.append((time.perf_counter() - start) * 1000)
    await outbox.close()
    return samples


async def _commits(directory: Path, rounds: int) -> list[float]:
    recorder = _recorder()
    records = [recorder.make(Kind.PANIC, 1.0, None) for _ in range(rounds)]
    outbox = await _outbox(directory)
    samples = []
    for record in records:
        start = time.perf_counter()
        await outbox.add(record, NOW)
        samples.append((time.perf_counter() - start) * 1000)
    await outbox.close()
    return samples


async def _outbox(directory: Path) -> SqliteOutbox:
    outbox = SqliteOutbox(directory, DeviceId(bytes(4)))
    await outbox.open()
    return outbox


class _Echo(resource.Resource):  # type: ignore[misc]  # untyped
    async def render_post(self, _request: Message) -> Message:
        return Message(code=CHANGED, payload=bytes(100))


def _endpoint(security: SessionContext, site: resource.Site, sock: socket.socket) -> Endpoint:
    def transmit(datagram: bytes) -> None:
        sock.send(datagram)

    return Endpoint(security, site, transmit)


async def _exchanges(rounds: int) -> list[float]:
    """Round trips of an alert's size between two bare aiocoap contexts over two UDP sockets of this process."""
    session = SessionId(bytes(6))
    device = SessionContext(ChannelKeys(b"kid1", b"g", bytes(16), bytes(8)), session)
    gateway = SessionContext(ChannelKeys(b"g", b"kid1", bytes(16), bytes(8)), session)
    loop = asyncio.get_running_loop()
    site = resource.Site()
    site.add_resource(["r"], _Echo())
    near, far = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    for one in (near, far):
        one.bind(("127.0.0.1", 0))
        one.setblocking(False)
    near.connect(far.getsockname())
    far.connect(near.getsockname())
    client, server = _endpoint(device, resource.Site(), near), _endpoint(gateway, site, far)
    loop.add_reader(near, lambda: client.carrier.received(near.recv(2048)))
    loop.add_reader(far, lambda: server.carrier.received(far.recv(2048)))
    samples = []
    for _ in range(rounds):
        request = Message(code=POST, uri_path=["r"], payload=bytes(101))
        request.remote = client.gateway
        start = time.perf_counter()
        await client.context.request(request, handle_blockwise=False).response
        samples.append((time.perf_counter() - start) * 1000)
    for one, endpoint in ((near, client), (far, server)):
        loop.remove_reader(one)
        await endpoint.context.shutdown()
        one.close()
    return samples
