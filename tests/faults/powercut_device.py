"""A device's life in some sessions, as fast as the disk allows: the real counter, recorder and store, no button and
no network. What it does next is chance; when it did it is marked in the recording.
"""

import asyncio
import random
from pathlib import Path

import apsw
import cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bondmate import wire
from bondmate.cose import KeySigner, sign1
from bondmate.recorder import Recorder
from bondmate.records import (
    ALERT_KINDS,
    ClockSource,
    DeviceId,
    Duty,
    Felt,
    Fix,
    Kind,
    Moment,
    Reason,
    SignedRecord,
    Stream,
    Surplus,
    UtcTime,
)
from bondmate.session import StartCounter
from bondmate.store.outbox import SqliteOutbox
from tests.faults.powercut_model import (
    Add,
    Call,
    Deliver,
    Event,
    Feel,
    KeepDuty,
    Parts,
    PersistCounter,
    Restore,
    TakeMessage,
    Thin,
    Upkeep,
    make,
)

DEVICE = DeviceId(bytes.fromhex("7f3a09c1"))
SIGNER = KeySigner(Ed25519PrivateKey.from_private_bytes(bytes(32)))
GATEWAY = KeySigner(Ed25519PrivateKey.from_private_bytes(bytes([1] * 32)))
KEEP_DELIVERED_S = 3600.0
NOON_MS = 1_795_176_000_000
SESSIONS, STEPS = 5, 10
EVERYTHING = 10_000


class Life:
    """One device, from its first start on."""

    def __init__(
        self, directory: Path, rng: random.Random, events: list[Event], outbox_type: type[SqliteOutbox]
    ) -> None:
        self._directory = directory
        self._rng = rng
        self._events = events
        self._outbox_type = outbox_type
        self._lifetime_s = 0.0
        self._utc_offset_ms: int | None = None
        """Of this session; None while UTC is unknown."""
        self._waiting: dict[bytes, SignedRecord] = {}
        self._delivered: list[SignedRecord] = []
        self._alert: SignedRecord | None = None
        self._messages = 0
        """The number of the last message."""
        self._parts: Parts
        self._recorder: Recorder

    async def run(self) -> None:
        """Live."""
        for _ in range(SESSIONS):
            await self._start()
            for _ in range(STEPS):
                await self._step()
            await self._end()

    async def _start(self) -> None:
        rng = self._rng
        counter = StartCounter(self._directory)
        counter.load()
        session = counter.draw()
        outbox = self._outbox_type(self._directory, DEVICE)
        self._parts = Parts(outbox, counter)
        # the daemon does it in a thread of its own: before or after what comes next
        early = rng.random() < 0.5
        if early:
            await self._make(PersistCounter(counter.value))
        await outbox.open()
        self._recorder = Recorder(DEVICE, session, SIGNER, await outbox.history(), 0.0)
        self._waiting = {
            kept.record.digest: kept.record for stream in Stream for kept in await outbox.pending(stream, EVERYTHING)
        }
        self._delivered.clear()
        # a device without a fix, one with, and one whose UTC is years off
        self._utc_offset_ms = rng.choice([None, 0, -300_000_000_000])
        await self._make(Add(self._keep(self._recorder.opening(0.0, self._utc())), self._moment()))
        if not early:
            await self._make(PersistCounter(counter.value))

    async def _end(self) -> None:
        outbox = self._parts.outbox
        assert isinstance(outbox, SqliteOutbox)
        if self._rng.random() < 0.7:
            # as a killed process leaves it
            await outbox._read(lambda connection: connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1))
        await outbox.close()

    async def _step(self) -> None:
        self._lifetime_s += self._rng.expovariate(1 / 600) + self._rng.choice([0.0] * 9 + [200_000.0])
        likely = {
            self._press: 6,
            self._press_amid_others: 3,
            self._cancel: 2,
            self._move: 3,
            self._ail: 2,
            self._deliver: 6,
            self._thin: 3,
            self._upkeep: 1,
            self._restore: 1,
            self._change_shift: 1,
            self._hear_of_a_dispatcher: 2,
            self._again: 1,
        }
        [step] = self._rng.choices(list(likely), list(likely.values()))
        await step()

    # --- what a device does --------------------------------------------------------------------------

    async def _press(self) -> None:
        self._alert = await self._add(Kind.PANIC)
        if self._rng.random() < 0.7:
            await self._make(Feel(self._alert.digest, Felt.STORED))
        if self._rng.random() < 0.5:
            await self._add(Kind.POSITION)

    async def _cancel(self) -> None:
        if self._alert is not None:
            await self._add(Kind.CANCELLATION, self._alert.digest[: wire.NAMED_DIGEST_OCTETS])

    async def _move(self) -> None:
        for _ in range(self._rng.randint(2, 4)):
            await self._add(Kind.POSITION)

    async def _ail(self) -> None:
        await self._add(Kind.HEALTH, self._rng.choice([[], ["gnss"], ["gnss", "bearer-ip"]]))

    async def _deliver(self) -> None:
        for digest in self._rng.sample(list(self._waiting), min(3, len(self._waiting))):
            record = self._waiting.pop(digest)
            self._delivered.append(record)
            await self._make(self._delivery(record))
            if record.kind in ALERT_KINDS:
                await self._make(Feel(digest, Felt.DELIVERED))

    async def _thin(self) -> None:
        streams = (Stream.POSITION, Stream.PRESENCE, Stream.HEALTH)
        lower = [record for record in self._waiting.values() if record.id.stream in streams]
        dropped = self._rng.sample(lower, len(lower) // 2)
        if not dropped:
            return
        gap = self._recorder.gap(
            [Surplus(record, self._rng.choice(list(Reason))) for record in dropped], self._lifetime_s, self._utc()
        )
        await self._make(Thin(gap, [record.digest for record in dropped], self._moment()))
        for record in dropped:
            del self._waiting[record.digest]
        self._keep(gap)

    async def _upkeep(self) -> None:
        await self._make(Upkeep(self._moment(), KEEP_DELIVERED_S))

    async def _press_amid_others(self) -> None:
        """What the event loop asks of the store at once."""
        others: list[Call] = [Upkeep(self._moment(), KEEP_DELIVERED_S)]
        if self._waiting:
            record = self._waiting.pop(self._rng.choice(list(self._waiting)))
            self._delivered.append(record)
            others = [self._delivery(record)]
        self._alert = self._keep(self._recorder.make(Kind.PANIC, self._lifetime_s, self._utc()))
        calls = [*others, Add(self._alert, self._moment())]
        self._rng.shuffle(calls)
        await asyncio.gather(*(self._make(call) for call in calls))

    async def _change_shift(self) -> None:
        on = self._rng.random() < 0.5
        moment = self._moment()
        await self._make(KeepDuty(Duty(moment, self._recorder.session) if on else None, moment))
        if on:
            await self._add(Kind.PRESENCE)

    async def _hear_of_a_dispatcher(self) -> None:
        """A message, or the same one again, closes the newest call, or one that never was."""
        digest = self._rng.randbytes(16) if self._alert is None or self._rng.random() < 0.3 else self._alert.digest
        self._messages += self._rng.random() < 0.8
        if self._messages:
            await self._make(TakeMessage(self._messages, [digest], self._rng.randbytes(3), self._moment()))

    async def _restore(self) -> None:
        """The store could not take them when they were made."""
        kinds = [Kind.PANIC, Kind.HEALTH, Kind.CANCELLATION, Kind.ANCHOR, Kind.STORE_LOST]
        records = [self._keep(self._made(kind)) for kind in self._rng.choices(kinds, k=3)]
        await self._make(Restore(records, self._recorder.history.heads, self._moment()))

    async def _again(self) -> None:
        """A commit that came back too late is tried again; a receipt comes twice."""
        if self._waiting:
            await self._make(Add(self._waiting[self._rng.choice(list(self._waiting))], self._moment()))
        if self._delivered:
            await self._make(self._delivery(self._rng.choice(self._delivered)))

    # --- with what -----------------------------------------------------------------------------------

    async def _add(self, kind: Kind, body: object = None) -> SignedRecord:
        record = self._made(kind, body)
        await self._make(Add(record, self._moment()))
        return self._keep(record)

    def _made(self, kind: Kind, body: object = None) -> SignedRecord:
        fix = None
        if kind in (Kind.POSITION, Kind.PRESENCE):
            here = Fix(taken_s=self._lifetime_s, lat=self._rng.uniform(47, 48), lon=8.5, mode=3)
            fix = wire.pack_long_fix(here, self._lifetime_s)
        return self._recorder.make(kind, self._lifetime_s, self._utc(), fix, body)

    def _keep(self, record: SignedRecord) -> SignedRecord:
        self._waiting[record.digest] = record
        return record

    def _delivery(self, record: SignedRecord) -> Deliver:
        identity = record.id
        entry = [identity.session.octets, int(identity.stream), identity.sequence, record.digest, 0]
        payload = cbor2.dumps([1, self._rng.getrandbits(32), [entry]])
        return Deliver(record.digest, sign1(payload, wire.receipt_aad(DEVICE), GATEWAY), self._moment())

    def _moment(self) -> Moment:
        utc = self._utc()
        return Moment(self._lifetime_s, None if utc is None else utc.unix_ms)

    def _utc(self) -> UtcTime | None:
        if self._utc_offset_ms is None:
            return None
        return UtcTime(NOON_MS + self._utc_offset_ms + round(self._lifetime_s * 1000), ClockSource.GNSS, 12)

    async def _make(self, call: Call) -> None:
        await make(call, self._parts, self._events)
