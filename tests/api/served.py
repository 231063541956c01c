"""A device with its API on a real Unix socket: real recorder, outbox, delivery; the world around it obeys the test."""

import asyncio
import contextlib
import http.client
import json
import random
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec

from bondmate import observer, officer_pin
from bondmate.api.authority import CONSOLE_USER
from bondmate.api.server import CONSOLE_SOCKET_FILE, SOCKET_FILE, serve
from bondmate.config import Configuration
from bondmate.core.alert import Alert
from bondmate.core.delivery import Delivery, DeliveryPolicy, Waiting
from bondmate.core.routes import over_ip
from bondmate.core.tracking import TrackingPolicy
from bondmate.cose import KeySigner
from bondmate.device import Device
from bondmate.errors import LinkError
from bondmate.faults import Faults
from bondmate.parts import Parts
from bondmate.ports import PartFault
from bondmate.recorder import Recorder
from bondmate.records import DeviceId, History, How, Moment, SessionId, SignedRecord
from bondmate.store.outbox import SqliteOutbox
from bondmate_sim.gateway import receipts
from tests.desk import MOST_LETTERS, Place, letter
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


class Palm:
    """Implements ports.Indicator; nobody feels it."""

    covert = True

    def vibrate(self, on: bool) -> None:
        pass

    def light(self, on: bool, *, tested: bool = False) -> None:
        pass

    def faults(self) -> tuple[PartFault, ...]:
        return ()


@dataclass
class Air:
    """Implements ports.Bearer: nothing comes through, at once or not before `stalls` is over."""

    name: str = "ip"
    session: SessionId = SESSION
    is_scarce: bool = False
    why_not: str | None = "nothing sent yet"
    last_success_s: float | None = None
    stalls: bool = False
    tried: list[bytes] = field(default_factory=list)
    mail: list[bytes] = field(default_factory=list)
    """What the gateway has for the device; with it, the mailbox alone comes through."""

    async def send(self, submission: bytes) -> bytes:
        self.tried.append(submission)
        if self.stalls:
            await asyncio.get_running_loop().create_future()
        raise LinkError("no network in this test")

    async def fetch(self, cursor: int) -> bytes:
        if not self.mail:
            raise LinkError("no network in this test")
        return cbor2.dumps(self.mail[cursor : cursor + MOST_LETTERS])


class Served:
    """What a test has in its hands."""

    def __init__(self, device: Device, outbox: SqliteOutbox, sky: Place, air: Air, socket: Path) -> None:
        self.device = device
        self.outbox = outbox
        self.sky = sky
        self.air = air
        self.socket = socket
        self.console = socket.with_name(CONSOLE_SOCKET_FILE)
        self.hows: list[How] = []
        """By which right alerts were cancelled."""
        self._client = ThreadPoolExecutor(max_workers=1)
        cancel = device.cancel_alert

        def noted(how: How) -> Alert:
            alert = cancel(how)
            self.hows.append(how)
            return alert

        device.cancel_alert = noted  # type: ignore[method-assign]

    async def as_client(self, use: Callable[[], T]) -> T:
        """Do what a client in another process would do, beside the running device."""
        return await asyncio.get_running_loop().run_in_executor(self._client, use)

    async def post(self, count: int = 1) -> None:
        """Let so many messages come; they are numbered from 1."""
        for _ in range(count):
            await self.send(1, [f"message {len(self.air.mail) + 1}", ["Yes", "No"]], at_once=False)
        await self._arrive()
        await eventually(lambda: self.device.mailbox.unread >= count, "the messages to be counted")

    async def send(self, type_: int, body: list[Any], *, at_once: bool = True, **content: Any) -> None:
        """Let one message come (docs/protocol.md, section 8)."""
        number = len(self.air.mail) + 1
        self.air.mail.append(letter(number, type_, body, key=KeySigner(GATEWAY_KEY), **content))
        if at_once:
            await self._arrive()

    async def _arrive(self) -> None:
        self.device.wake_up()
        while await self.outbox.cursor() < len(self.air.mail):  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.01)

    def later(self, seconds: float) -> None:
        """Let this time pass for the PIN."""
        ages = self.device.officer_pin._ages
        moment = ages.moment()
        self.device.officer_pin._ages = mock.Mock(moment=lambda: Moment(moment.lifetime_s + seconds, moment.utc_ms))

    async def tried(self, count: int) -> list[Waiting]:
        """Wait until so many records wait in the queue, each tried once."""
        delivery = self.device.parts.delivery

        def rows() -> list[Waiting]:
            return delivery.snapshot(asyncio.get_running_loop().time())

        def are_tried() -> bool:
            return len(rows()) == count and all(row.attempts > 0 and not row.in_flight for row in rows())

        await eventually(are_tried, "every record to be tried")
        return rows()

    async def settled(self, count: int) -> None:
        """Wait until so many records wait in the queue, each tried once; each of them is stored."""
        assert all(row.stored for row in await self.tried(count))

    def fail(self, code: str, text: str, next_step: str, since_ms: int | None) -> None:
        """Let this be the fault that is shown, whatever the device has to say of its parts."""
        self.device.parts.faults = Faults()
        self.device.parts.faults.report(code, text, next_step, since_ms)

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
async def served(
    directory: Path,
    *,
    utc_ms: int | None = UTC_MS,
    stalls: bool = False,
    left: Sequence[SignedRecord] = (),
    on_duty: bool = True,
    console_user: str = CONSOLE_USER,
    configuration: Configuration | None = None,
) -> AsyncIterator[Served]:
    """A device that is armed, and its API, for as long as the block lasts.

    `utc_ms` is what its clock always says; `left` is what an earlier session left in the outbox. It looks at its parts
    once, at the beginning, so that no fault comes or goes by itself.
    """
    outbox = SqliteOutbox(directory, DEVICE)
    await outbox.open()
    for record in left:
        await outbox.add(record, Moment(0.0, utc_ms))
    sky, air = Place(), Air(stalls=stalls)
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
            delivery=Delivery(ONE_TRY, [over_ip()], random.Random(1)),
            gateway_keys={KEY_ID: GATEWAY_KEY.public_key()},
            hold_s=1.0,
            tracking=TrackingPolicy(),
            duty_max_s=14 * 3600,
            store_deadline_s=5.0,
            keep_delivered_s=72 * 3600,
            pin_file=directory / officer_pin.PIN_FILE,
            system_utc_ms=None if utc_ms is None else lambda: utc_ms,
            mark_wiping=lambda: None,
        )
    )
    armed = asyncio.Event()
    made = Served(device, outbox, sky, air, directory / SOCKET_FILE)
    try:
        with mock.patch.object(observer, "OBSERVE_S", 3600.0):
            async with (
                running(device.run(armed.set)),
                running(serve(device, directory, configuration, console_user)),
            ):
                await armed.wait()
                if on_duty:
                    await device.set_duty(True)
                await eventually(made.socket.exists, "the socket")
                await eventually(lambda: sum(device.waiting().values()) > len(left), "the opening to be queued")
                yield made
    finally:
        made.close()
        await outbox.close()


class Connection(http.client.HTTPConnection):
    """The standard library's client on a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=5)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(str(self._path))


def raw(
    path: Path, method: str, resource: str, body: Any = None, **headers: str
) -> tuple[int, list[tuple[str, str]], bytes]:
    """The status, the headers and the octets of one answer."""
    connection = Connection(path)
    try:
        connection.request(method, resource, body, {name.replace("_", "-"): text for name, text in headers.items()})
        response = connection.getresponse()
        assert response.headers.get_content_type() == "application/json"
        return response.status, response.getheaders(), response.read()
    finally:
        connection.close()


def exchange(path: Path, method: str, resource: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    """The status and the JSON of one answer."""
    status, _, octets = raw(path, method, resource, body, **headers)
    return status, json.loads(octets)


async def asked(there: Served, method: str, resource: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    return await there.as_client(lambda: exchange(there.socket, method, resource, body, **headers))


async def console(there: Served, method: str, resource: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    """As the officer's page asks; a body that is no octets is sent as JSON."""
    octets = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    return await there.as_client(lambda: exchange(there.console, method, resource, octets, **headers))


def set_pin(directory: Path, pin: str, duress: str | None) -> None:
    """As a technician does; by a hash that costs nothing."""
    with mock.patch.object(officer_pin, "ITERATIONS", 1):
        (directory / officer_pin.PIN_FILE).write_bytes(officer_pin.document(pin, duress))
