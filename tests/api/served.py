"""A device with its API on a real Unix socket: real recorder, outbox, delivery; the world around it obeys the test."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric import ec

from bondmate.api.server import SOCKET_FILE, serve
from bondmate.core.delivery import Delivery, DeliveryPolicy
from bondmate.cose import KeySigner
from bondmate.device import Device, Parts
from bondmate.errors import LinkError
from bondmate.recorder import Recorder
from bondmate.records import DeviceId, Fix, History, SessionId, SignedRecord
from bondmate.store.outbox import SqliteOutbox
from bondmate_sim.gateway import receipts
from tests.eventually import eventually, running

T = TypeVar("T")

DEVICE = DeviceId(bytes.fromhex("7f3a09c1"))
SESSION = SessionId(bytes.fromhex("00125be2aa10"))
KEY_ID = b"\x01"
GATEWAY_KEY = ec.generate_private_key(ec.SECP256R1())
# 2026-11-20T15:00:00.120Z, by `date -u -d 2026-11-20T15:00:00Z +%s`
UTC_MS, UTC_TEXT = 1_795_186_800_120, "2026-11-20T15:00:00.120Z"
ONE_TRY = DeliveryPolicy(backoff_s=600, alert_cap_s=600, routine_cap_s=600)
"""The second attempt comes after the end of any test."""


@dataclass
class Sky:
    """Implements ports.Locator."""

    fix: Fix | None = None
    fault: str | None = None


class Palm:
    """Implements ports.Indicator; nobody feels it."""

    def vibrate(self, on: bool) -> None:
        pass

    def light(self, on: bool) -> None:
        pass


@dataclass
class Air:
    """Implements ports.Bearer: nothing comes through, at once or not before `stalls` is over."""

    name: str = "ip"
    session: SessionId = SESSION
    why_not: str | None = "nothing sent yet"
    last_success_s: float | None = None
    stalls: bool = False
    tried: list[bytes] = field(default_factory=list)

    async def send(self, submission: bytes) -> bytes:
        self.tried.append(submission)
        if self.stalls:
            await asyncio.get_running_loop().create_future()
        raise LinkError("no network in this test")


class Served:
    """What a test has in its hands."""

    def __init__(self, device: Device, sky: Sky, air: Air, socket: Path) -> None:
        self.device = device
        self.sky = sky
        self.air = air
        self.socket = socket
        self.faults = device.parts.faults
        self._client = ThreadPoolExecutor(max_workers=1)

    async def as_client(self, use: Callable[[], T]) -> T:
        """Do what a client in another process would do, beside the running device."""
        return await asyncio.get_running_loop().run_in_executor(self._client, use)

    async def settled(self, count: int) -> None:
        """Wait until so many records wait in the queue, each stored and tried once."""
        delivery = self.device.parts.delivery

        def tried() -> bool:
            rows = delivery.snapshot(asyncio.get_running_loop().time())
            return len(rows) == count and all(row.stored and row.attempts > 0 and not row.in_flight for row in rows)

        await eventually(tried, "every record to be tried")

    def receive(self, record: SignedRecord) -> None:
        """Let the gateway's receipt for a record come."""
        entry = receipts.Entry(
            record.id.session.octets,
            int(record.id.stream),
            record.id.sequence,
            record.digest,
            receipts.Verdict.HELD,
        )
        self.device.take_receipt(receipts.receipt(DEVICE.octets, entry, UTC_MS // 1000, GATEWAY_KEY, KEY_ID))

    def close(self) -> None:
        self._client.shutdown()


@contextlib.asynccontextmanager
async def served(directory: Path, *, utc_ms: int | None = UTC_MS, stalls: bool = False) -> AsyncIterator[Served]:
    """A device that is armed, and its API, for as long as the block lasts; `utc_ms` is what its clock always says."""
    outbox = SqliteOutbox(directory, DEVICE)
    await outbox.open()
    sky, air = Sky(), Air(stalls=stalls)
    device = Device(
        Parts(
            recorder=Recorder(
                DEVICE,
                SESSION,
                KeySigner(ec.generate_private_key(ec.SECP256R1())),
                History({}),
                asyncio.get_running_loop().time(),
            ),
            outbox=outbox,
            bearers=(air,),
            locator=sky,
            indicator=Palm(),
            delivery=Delivery(ONE_TRY, ("ip",), random.Random(1)),
            gateway_keys={KEY_ID: GATEWAY_KEY.public_key()},
            hold_s=1.0,
            store_deadline_s=5.0,
            system_utc_ms=None if utc_ms is None else lambda: utc_ms,
        )
    )
    armed = asyncio.Event()
    made = Served(device, sky, air, directory / SOCKET_FILE)
    try:
        async with running(device.run(armed.set)), running(serve(device, directory)):
            await armed.wait()
            await eventually(made.socket.exists, "the socket")
            await asyncio.sleep(0)
            yield made
    finally:
        made.close()
        await outbox.close()
