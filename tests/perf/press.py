"""From the end of a hold to what is felt, stored and verified, in real processes, beside the least it could cost."""

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
from bondmate_sim.board_client import Hold
from bondmate_sim.process import wait_until
from bondmate_sim.world import VIBRATION_PIN, Settings, World
from tests.perf.table import Row

HOLD_S = 0.1
QUIET_NS = 1_000_000_000
"""Longer than any pulse or pause of the patterns."""
NOW = Moment(0.0, None)


def measure(rounds: int) -> list[Row]:
    """Vibration and stored over a signature and a commit; the receipt over an OSCORE exchange and two commits."""
    with tempfile.TemporaryDirectory(prefix="bondmate-perf-") as directory:
        base = Path(directory)
        felt_ms, stored_ms, receipt_ms = _presses(base / "world", rounds)
        signed_ms = asyncio.run(_signatures_and_commits(_made(base / "signed"), rounds))
        commit_ms = asyncio.run(_commits(_made(base / "commits"), rounds))
        exchange_ms = asyncio.run(_exchanges(rounds))
    floor_ms = [exchange + 2 * commit for exchange, commit in zip(exchange_ms, commit_ms, strict=True)]
    return [
        Row("press to vibration", felt_ms, "one signature and one commit", signed_ms),
        Row("press to stored", stored_ms, "one signature and one commit", signed_ms),
        Row("press to receipt", receipt_ms, "one OSCORE round trip and two commits", floor_ms),
    ]


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory


def _presses(directory: Path, rounds: int) -> tuple[list[float], list[float], list[float]]:
    """From the end of the hold: when *stored* began to be felt, when it was stored, when the receipt was verified."""
    felt_ms, stored_ms, receipt_ms = [], [], []
    with World(directory, Settings(hold_s=HOLD_S)) as world:
        world.start()
        for _ in range(rounds):
            hold, alert = press_to_receipt(world)
            end_ns = hold.pressed_ns + round(HOLD_S * 1e9)
            felt_ms.append((_motor(world, end_ns)[0] - end_ns) / 1e6)
            stored_ms.append(alert["stored_after_ms"])
            receipt_ms.append(alert["delivered_after_ms"])
            # a pattern that plays is played to its end: the next press would wait for it
            _rest(world, end_ns)
    return felt_ms, stored_ms, receipt_ms


def _motor(world: World, since_ns: int) -> list[int]:
    """When the motor began and ended to run since then, in turns; at least once."""
    return wait_until(lambda: [edge.t_ns for edge in world.edges(VIBRATION_PIN, since_ns)], 10, "a vibration")


def _rest(world: World, since_ns: int) -> None:
    wait_until(lambda: time.monotonic_ns() > _motor(world, since_ns)[-1] + QUIET_NS, 30, "the palm to be at rest")


def press_to_receipt(world: World) -> tuple[Hold, dict[str, Any]]:
    """Press, and wait for the receipt of the alert that this raised, and no other; the alert as the device shows it."""
    before = world.ctl("alert", "show")
    hold = world.press(HOLD_S + 0.05)

    def delivered() -> dict[str, Any] | None:
        alert: dict[str, Any] | None = world.ctl("alert", "show")
        fresh = alert is not None and (before is None or alert["alert_id"] != before["alert_id"])
        return alert if alert is not None and fresh and alert["state"] == "delivered" else None

    return hold, wait_until(delivered, 30, "a receipt")


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
