"""A device on a desk, on virtual time: the real store on a real disk, and around it parts that obey the test."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec

from bondmate import wire
from bondmate.core.delivery import Delivery, DeliveryPolicy
from bondmate.core.gesture import REARM_S, Gesture
from bondmate.core.routes import Route
from bondmate.core.tracking import TrackingPolicy
from bondmate.cose import KeySigner, sign1
from bondmate.device import Device
from bondmate.faults import Faults
from bondmate.parts import KeyChange, Parts
from bondmate.ports import PartFault, ReceiverState
from bondmate.recorder import Recorder
from bondmate.records import (
    ALERT_KINDS,
    DeviceId,
    Felt,
    Fix,
    History,
    Kind,
    Moment,
    SessionId,
    SignedRecord,
    StoredRecord,
    Stream,
)
from bondmate.store.outbox import SqliteOutbox

T = TypeVar("T")

DEVICE = DeviceId(bytes.fromhex("7f3a09c1"))
SESSION = SessionId(bytes.fromhex("00125be2aa10"))
EARLIER = SessionId(bytes.fromhex("0011aaaaaaaa"))
DEVICE_KEY = KeySigner(ec.generate_private_key(ec.SECP256R1()))
GATEWAY_PRIVATE = ec.generate_private_key(ec.SECP256R1())
GATEWAY_KEY = KeySigner(GATEWAY_PRIVATE)
HOLD_S = 1.0
DUTY_MAX_S = 2 * 3600.0
"""A short shift: even on virtual time a whole one takes seconds."""
DEADLINE_S = 0.5
UTC_MS = 1_900_000_000_000

YOUNG = Moment(10.0, None)
"""The device was ten seconds old, and knew no UTC."""

STORED, DELIVERED, COULD_NOT_STORE, ATTENTION = [0.4], [0.12, 0.12], [0.08] * 5, [0.8, 0.8]
MOST_LETTERS = 4
"""As many as an answer has room for."""
ACKNOWLEDGED, EXERCISE = [0.22] * 3, [1.5]
"""The pulses of the patterns."""


@dataclass
class Disk:
    """Stands where the store's thread does: one call after the other, each as slow as the test says, or failing."""

    takes_s: float = 0.0
    failure: Exception | None = None
    calls: int = 0
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self, call: Callable[[], T]) -> T:
        async with self._turn:
            self.calls += 1
            await asyncio.sleep(self.takes_s)
            if self.failure is not None:
                raise self.failure
            return call()

    async def close(self, last: Callable[[], None]) -> None:
        last()


def outbox_on(directory: Path, disk: Disk | None = None) -> SqliteOutbox:
    """The real store, without its thread: virtual time does not wait for threads."""
    outbox = SqliteOutbox(directory, DEVICE)
    outbox._worker._calls.put(None)
    outbox._worker = disk or Disk()  # type: ignore[assignment]
    return outbox


async def left_in(directory: Path, *records: SignedRecord, moment: Moment = YOUNG, felt: Felt = Felt.STORED) -> None:
    """An earlier session kept these, and ended. Of alerts the palm had felt that."""
    outbox = outbox_on(directory)
    await outbox.open()
    for record in records:
        await outbox.add(record, moment)
        await outbox.mark_felt(record.digest, felt)
    await outbox.close()


def recorder(session: SessionId = SESSION, history: History | None = None, started_s: float = 0.0) -> Recorder:
    return Recorder(DEVICE, session, DEVICE_KEY, history or History({}), started_s)


def receipt(
    record: SignedRecord,
    *,
    key: KeySigner = GATEWAY_KEY,
    digest: bytes | None = None,
    sequence: int | None = None,
    verdict: list[int] | None = None,
) -> bytes:
    entry: list[Any] = [
        record.id.session.octets,
        int(record.id.stream),
        sequence or record.id.sequence,
        digest or record.digest,
        *(verdict or [0]),
    ]
    return sign1(cbor2.dumps([1, UTC_MS // 1000, [entry]]), wire.receipt_aad(DEVICE), key)


def letter(
    number: int,
    type_: int,
    body: list[Any],
    *,
    key: KeySigner = GATEWAY_KEY,
    device: DeviceId = DEVICE,
    expires_s: int | None = None,
    urgency: int = 0,
    time_s: int = UTC_MS // 1000,
) -> bytes:
    """A mailbox message, signed by the gateway (docs/protocol.md, section 8)."""
    content = [1, number, type_, time_s, expires_s, urgency, "Ada", body]
    return sign1(cbor2.dumps(content), cbor2.dumps(["bondmate message 1", device.octets]), key)


def payload(record: SignedRecord) -> list[Any]:
    """What a record says."""
    elements: list[Any] = cbor2.loads(cbor2.loads(record.data).value[2])
    return elements


def fix_at(taken_s: float, lat: float = 38.7) -> Fix:
    return Fix(taken_s=taken_s, lat=lat, lon=-9.1, mode=3, hdop=0.9, satellites=9)


Answer = Callable[[SignedRecord], Awaitable[bytes | None]]


class Bearer:
    """Answers as the test says; by default with a true receipt."""

    session = SESSION
    is_scarce = False
    why_not: str | None = None
    last_success_s: float | None = None

    def __init__(self, made: dict[bytes, SignedRecord], name: str = "ip") -> None:
        self.name = name
        self.sent: list[tuple[float, bytes]] = []
        self.made = made
        self.answer: Answer = self.hold
        self.mail: list[bytes] = []
        """What the gateway has for the device."""

    async def hold(self, record: SignedRecord) -> bytes:
        return receipt(record)

    async def send(self, submission: bytes) -> bytes | None:
        self.sent.append((asyncio.get_running_loop().time(), submission))
        record = next(record for data, record in self.made.items() if submission.endswith(data))
        return await self.answer(record)

    async def fetch(self, cursor: int) -> bytes:
        """What the mailbox has behind that number, if the messages in it were numbered as they should be."""
        return cbor2.dumps(self.mail[cursor : cursor + MOST_LETTERS])

    def sent_calls(self) -> list[tuple[float, bytes]]:
        return sorted(each for kind in ALERT_KINDS for each in self.sent_of(kind))

    def sent_of(self, kind: Kind) -> list[tuple[float, bytes]]:
        return [one for one in self.sent if any(one[1].endswith(d) for d, r in self.made.items() if r.kind is kind)]


async def silence(_record: SignedRecord) -> bytes:
    await asyncio.Event().wait()
    raise AssertionError


class Palm:
    """What the motor did: rises and falls with their times."""

    def __init__(self) -> None:
        self.rises: list[float] = []
        self.pulses: list[float] = []
        self._on = False
        self._rose = 0.0
        self.light_rises: list[float] = []
        self.lit_openly: list[float] = []
        """Those that anybody could see."""
        self._lit = False
        self.covert = True
        self.broken: tuple[PartFault, ...] = ()

    def forget(self) -> None:
        self.rises.clear()
        self.pulses.clear()

    def vibrate(self, on: bool) -> None:
        now = asyncio.get_running_loop().time()
        if on and not self._on:
            self._rose = now
            self.rises.append(now)
        if not on and self._on:
            self.pulses.append(round(now - self._rose, 3))
        self._on = on

    def faults(self) -> tuple[PartFault, ...]:
        return self.broken

    def light(self, on: bool, *, tested: bool = False) -> None:
        if on and not self._lit:
            self.light_rises.append(asyncio.get_running_loop().time())
            if tested or not self.covert:
                self.lit_openly.append(self.light_rises[-1])
        self._lit = on


@dataclass
class Place:
    """Implements ports.Locator: the test gives the device its fixes."""

    fault: str | None = None
    wakes: list[tuple[float, bool]] = field(default_factory=list)
    """When it was woken, and put to sleep."""

    @property
    def awake(self) -> bool:
        return bool(self.wakes) and self.wakes[-1][1]

    def wake(self, on: bool) -> None:
        if on != self.awake:
            self.wakes.append((asyncio.get_running_loop().time(), on))

    def faults(self) -> tuple[PartFault, ...]:
        return () if self.fault is None else (PartFault("gnss-silent", self.fault, "check the cable"),)

    def state(self) -> ReceiverState:
        return receiver_state(self.awake)


def receiver_state(awake: bool) -> ReceiverState:
    """Of a receiver that was not heard."""
    return ReceiverState(
        awake=awake,
        port="/dev/gnss",
        speed_baud=None,
        identity=None,
        antenna=None,
        why_not=(),
        satellites=(),
        sentences={},
        rejected={},
        octets=0,
        noise_octets=0,
    )


@dataclass
class Desk:
    """A device and everything around it, running."""

    device: Device
    directory: Path
    disk: Disk
    outbox: SqliteOutbox
    bearers: tuple[Bearer, ...]
    palm: Palm
    place: Place
    faults: Faults

    @property
    def bearer(self) -> Bearer:
        return self.bearers[0]

    @property
    def state(self) -> str | None:
        """Of the newest alert."""
        return None if self.device.alert is None else self.device.alert.state

    async def press(self) -> float:
        """Hold the button, a millisecond longer than needed; returns when the hold was recognised."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(2 * REARM_S)  # a finger is no contact bounce
        down_s = loop.time()
        self.device.on_edge(0, True, down_s)
        await asyncio.sleep(HOLD_S + 0.001)
        self.device.on_edge(0, False, loop.time())
        alert = self.device.alert
        assert alert is not None
        assert alert.raised_s is not None
        assert alert.raised_s > down_s, "it was not recognised"
        return alert.raised_s

    def record(self, kind: Kind) -> SignedRecord:
        """The newest that was made of a kind."""
        return self.records(kind)[-1]

    def calls(self) -> list[SignedRecord]:
        """All that the officer called, or the device for them, the newest last."""
        return [record for record in self.bearer.made.values() if record.kind in ALERT_KINDS]

    def records(self, kind: Kind) -> list[SignedRecord]:
        return [record for record in self.bearer.made.values() if record.kind is kind]

    def rows(self) -> dict[bytes, tuple[bytes | None, int]]:
        """What the file has: the receipt and what was felt, by digest."""
        assert self.outbox._connection is not None
        found: Any = self.outbox._connection.execute("SELECT digest, receipt, felt FROM record").fetchall()
        return {digest: (receipt, felt) for digest, receipt, felt in found}

    async def pending(self, stream: Stream) -> list[StoredRecord]:
        return await self.outbox.pending(stream, 10_000)


@asynccontextmanager
async def running(
    directory: Path,
    *,
    utc_ms: Callable[[], int] | None = lambda: UTC_MS,
    disk: Disk | None = None,
    earlier: tuple[SignedRecord, ...] = (),
    history: History | None = None,
    answer: Answer | None = None,
    bearers: tuple[str, ...] = ("ip",),
    routes: Sequence[Route] = (),
    session: SessionId = SESSION,
    keep_delivered_s: float = 72 * 3600.0,
    built: Callable[[SqliteOutbox], None] = lambda _: None,
    on_duty: bool | None = True,
    tracking: TrackingPolicy = TrackingPolicy(),  # noqa: B008 - it is frozen
    cancel_gesture: Gesture | None = None,
    gestures: tuple[Mapping[Gesture, Kind], ...] = ({Gesture.HOLD: Kind.PANIC},),
    covert: bool = True,
    forget: bool = True,
    mark_wiping: Callable[[], None] = lambda: None,
    key_change: KeyChange | None = None,
) -> AsyncIterator[Desk]:
    """A device that runs, soon after it was armed. Killed at the end, and not asked.

    `routes` say what each bearer is used for, in place of `bearers`, which are used for everything.
    What the palm was told until then is forgotten, unless `forget` is false.
    `earlier` are records that it has in `directory` from earlier sessions; `built` gets the store before its use. With
    `on_duty` None nobody says anything of duty.
    """
    loop = asyncio.get_running_loop()
    palm, place, faults, disk = Palm(), Place(), Faults(), disk or Disk()
    palm.covert = covert
    outbox = outbox_on(directory, disk)
    built(outbox)
    made: dict[bytes, SignedRecord] = {record.data: record for record in earlier}
    ways = routes or [Route(bearer) for bearer in bearers]
    lines = tuple(Bearer(made, way.name) for way in ways)
    for line in lines:
        line.session = session
        line.answer = answer or line.hold
    maker = recorder(session, history, loop.time())
    make = maker.make

    def watched(*arguments: Any, **named: Any) -> SignedRecord:
        record = make(*arguments, **named)
        made[record.data] = record
        return record

    maker.make = watched  # type: ignore[method-assign]
    device = Device(
        Parts(
            recorder=maker,
            outbox=outbox,
            bearers=lines,
            locator=place,
            indicator=palm,
            delivery=Delivery(DeliveryPolicy(), ways, random.Random(1)),
            gateway_keys={b"\1": GATEWAY_PRIVATE.public_key()},
            hold_s=HOLD_S,
            tracking=tracking,
            duty_max_s=DUTY_MAX_S,
            store_deadline_s=DEADLINE_S,
            keep_delivered_s=keep_delivered_s,
            system_utc_ms=utc_ms,
            mark_wiping=mark_wiping,
            key_change=key_change,
            faults=faults,
            cancel_gesture=cancel_gesture,
            gestures=gestures,
        )
    )
    armed = asyncio.Event()
    task = asyncio.ensure_future(device.run(armed.set))
    await armed.wait()
    duty = None if on_duty is None else asyncio.ensure_future(device.set_duty(on_duty))
    await asyncio.sleep(0.5 if on_duty is None else 1.5)  # at the beginning of a shift the palm is told something
    if forget:
        palm.forget()
    try:
        yield Desk(device, directory, disk, outbox, lines, palm, place, faults)
    finally:
        for each in (task, duty):
            if each is not None:
                each.cancel()
        [ended] = await asyncio.gather(task, return_exceptions=True)
        disk.takes_s, disk.failure = 0.0, None
        await outbox.close()
    if isinstance(ended, ExceptionGroup):
        raise ended
