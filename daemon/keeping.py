"""The way of a record into the store and out of it, and what to do while there is no store.

Commits each record before anybody is told that it is stored; sends it from memory when that fails; brings the store
back; and keeps the queue small: thins, expires, erases. Knows nothing of the palm, and nothing of bearers.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from bondmate.backlog import Backlog
from bondmate.core.delivery import Delivery
from bondmate.core.lifetime import Lifetime
from bondmate.errors import StoreError, StoreTrouble
from bondmate.faults import Faults
from bondmate.ports import Outbox
from bondmate.recorder import Recorder
from bondmate.records import EarlierAlert, Felt, History, Kind, Moment, Opened, SignedRecord, Stream, UtcTime, unix_ms

log = logging.getLogger(__name__)

RETRY_S = 2.0
"""How often a store that failed is opened again, and records that are only in memory are committed."""
UPKEEP_S = 600.0
"""How often the device's age is kept and old records are erased: seldom, to spare the card."""
ADVICE: Mapping[StoreTrouble, str] = {
    StoreTrouble.FULL: "alerts use the reserve, then they are sent from memory; free some space on the card",
    StoreTrouble.READ_ONLY: "alerts are sent from memory; restart the device, replace the card if that does not help",
    StoreTrouble.IO: "alerts are sent from memory; replace the card now",
    StoreTrouble.DAMAGED: "a fresh file takes its place; keep the one that was set aside, and replace the card soon",
    StoreTrouble.HANGING: "alerts are sent from memory; replace the card if it happens again",
    StoreTrouble.OTHER: "alerts are sent from memory; see the log",
}
"""What to do next, for each trouble (docs/reliability.md has the whole table)."""


MAX_OWED = 256
"""Receipts that wait for the store; of what falls out the gateway gives another after a restart."""
RESERVE_RETRY_S = 60.0


@dataclass(frozen=True, slots=True)
class _Owed:
    """A receipt that the store still has to take, and whether it has the record."""

    record: SignedRecord
    receipt: bytes
    stored: bool
    moment: Moment


@dataclass(frozen=True, slots=True)
class Listener:
    """Who is told what becomes of a record."""

    stored: Callable[[SignedRecord, Moment], None]
    """Its commit returned."""
    not_stored: Callable[[SignedRecord], None]
    """It is only in memory, and sent from there. It may still become stored."""
    queued: Callable[[], None]
    """There is something new to send."""


class Keeper:
    """Keeps records. All methods run in the event loop; times are the loop's, which is monotonic."""

    def __init__(
        self,
        outbox: Outbox,
        delivery: Delivery,
        recorder: Recorder,
        faults: Faults,
        utc: Callable[[float], UtcTime | None],
        *,
        deadline_s: float,
        keep_delivered_s: float,
    ) -> None:
        """`utc` tells UTC at a time of the loop; delivered records are erased `keep_delivered_s` later."""
        self._outbox = outbox
        self._delivery = delivery
        self._recorder = recorder
        self._faults = faults
        self._utc = utc
        self._deadline_s = deadline_s
        self._keep_delivered_s = keep_delivered_s
        self._now = asyncio.get_running_loop().time
        self._started_s = self._now()
        self._lifetime = Lifetime(self._started_s)
        self._listener: Listener
        """Set by `run`."""
        self._writes: set[asyncio.Task[None]] = set()
        """Under way; they may fail, and they outlive the group."""
        self._late: set[asyncio.Task[None]] = set()
        """Of these, the ones whose deadline has passed: while there is one, the store hangs."""
        self._group: asyncio.TaskGroup
        self._backlog = Backlog(outbox, delivery)
        self._pause: tuple[float, float] | None = None
        """A pause that the store still has to be told: when it ended (the lifetime until then), and its length."""
        self._owed: dict[bytes, _Owed] = {}
        """Receipts that the store did not take yet, by digest, the oldest first."""
        self._fresh = False
        """A fresh file took the place of a damaged one, and does not know yet what memory has."""
        self._upkeep_due_s = 0.0
        self.earlier: EarlierAlert | None = None
        """The newest alert of earlier sessions, once `resumed` is set."""
        self.resumed = asyncio.Event()

    async def run(self, group: asyncio.TaskGroup, listener: Listener) -> None:
        """Begin in `group`; returns when what earlier sessions left was read, or when that takes too long."""
        self._group, self._listener = group, listener
        group.create_task(self._tend())
        try:
            async with asyncio.timeout(self._deadline_s):
                await self.resumed.wait()
        except TimeoutError:
            log.warning("the outbox does not open in time; going on without what earlier sessions left")

    async def finish(self) -> None:
        """Let what was begun become durable, if that takes no longer than the deadline."""
        if self._writes:
            await asyncio.wait(self._writes, timeout=self._deadline_s)

    def moment(self) -> Moment:
        """Now."""
        now = self._now()
        clock = self._utc(now)
        began_s = self._lifetime.at(self._started_s)
        if clock is not None and (moved_s := self._lifetime.on_utc(clock.unix_ms, now)):
            self._delivery.move(self._recorder.session, moved_s)
            self._pause = began_s, moved_s
        return Moment(self._lifetime.at(now), unix_ms(clock))

    def waiting(self) -> dict[Stream, int]:
        """How many records of each stream have no receipt, in memory or in the store."""
        counts, backlog = self._delivery.counts(), self._backlog.counts()
        return {stream: counts.get(stream, 0) + backlog.get(stream, 0) for stream in Stream}

    def backlog(self) -> Mapping[Stream, int]:
        """How many of them wait in the store alone, until those in memory are delivered."""
        return self._backlog.counts()

    # --- the way of a record -----------------------------------------------------------------------

    def keep(self, record: SignedRecord) -> None:
        """Commit a record that was made just now, within the deadline, and queue it for delivery either way."""
        self._group.create_task(self._keep(record, self._now()))

    async def _keep(self, record: SignedRecord, made_s: float) -> None:
        if self._late:
            self._from_memory(record, made_s)  # behind a write that hangs another would only wait
            return
        moment = self.moment()
        write = self._write(self._outbox.add(record, moment))
        done, _ = await asyncio.wait({write}, timeout=self._deadline_s)
        error = write.exception() if done else StoreError("a commit hangs", StoreTrouble.HANGING)
        if error is None:
            self._submit(record, made_s, moment)
            self._listener.stored(record, moment)
            return
        self._failed(error)
        self._from_memory(record, made_s)
        if not done:
            self._late.add(write)
            write.add_done_callback(lambda late: self._ended_late(record, late))

    def _from_memory(self, record: SignedRecord, made_s: float) -> None:
        """Send it at once; `_tend` goes on trying to commit it."""
        self._submit(record, made_s, None)
        self._listener.not_stored(record)

    def _submit(self, record: SignedRecord, made_s: float, stored: Moment | None) -> None:
        """Queue it. How old the device was when it was made is asked now: that may have become known meanwhile."""
        self._delivery.submit(record, self._now(), stored=stored, born_s=self._lifetime.at(made_s))
        self._listener.queued()

    def _ended_late(self, record: SignedRecord, write: asyncio.Task[None]) -> None:
        """A commit returned after its deadline: the record is stored after all, or `_tend` tries again."""
        self._late.discard(write)
        if not write.cancelled() and write.exception() is None:
            self._became_stored(record)

    def _became_stored(self, record: SignedRecord) -> None:
        moment = self.moment()
        self._delivery.mark_stored(record.digest, moment)
        self._listener.stored(record, moment)

    def delivered(self, record: SignedRecord, receipt: bytes) -> Coroutine[Any, Any, None]:
        """A verified receipt names the record's bytes: take it off the queue, now, and keep the receipt.

        What is returned is to be awaited: it ends when the receipt is durable, or when the store does not take it in
        time: then, after a restart, the record is sent again, which the gateway expects.
        """
        stored = record not in self._delivery.unstored()
        self._delivery.remove(record.digest)
        owed = self._owed[record.digest] = _Owed(record, receipt, stored, self.moment())
        if len(self._owed) > MAX_OWED:
            del self._owed[next(iter(self._owed))]
        return self._keep_receipt(owed)

    async def _keep_receipt(self, owed: _Owed) -> None:
        if self._late:
            return
        settle = self._write(self._settle(owed))
        done, _ = await asyncio.wait({settle}, timeout=self._deadline_s)
        error = settle.exception() if done else StoreError("a commit hangs", StoreTrouble.HANGING)
        if error is not None:
            self._failed(error)

    async def _settle(self, owed: _Owed) -> None:
        if not owed.stored:  # the chain goes on from it, so the store should know it all the same
            await self._outbox.add(owed.record, owed.moment)
        await self._outbox.mark_delivered(owed.record.digest, owed.receipt, owed.moment)
        self._owed.pop(owed.record.digest, None)

    async def felt(self, digest: bytes, felt: Felt) -> None:
        """The palm felt it to its end, so it need not be given again after a restart."""
        try:
            await self._outbox.mark_felt(digest, felt)
        except StoreError as error:
            self._failed(error)

    # --- tending the store ---------------------------------------------------------------------------

    async def _tend(self) -> None:
        """Open the store, again if need be; take up what earlier sessions left; commit what is only in memory."""
        while True:
            try:
                await self._open()
                await self._do_all(
                    self._commit_all, self._settle_all, self._tell_pause, self._load, self._thin, self._maintain
                )
            except StoreError as error:
                self._failed(error)
            else:
                self._faults.report("store", None, "", None)
            await asyncio.sleep(RETRY_S)

    async def _do_all(self, *steps: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """One after the other; a full disk stops none, for the next may be what makes room. Raises StoreError."""
        full: StoreError | None = None
        for step in steps:
            try:
                await step()
            except StoreError as error:
                if error.trouble is not StoreTrouble.FULL:
                    raise
                full = full or error
        if full is not None:
            raise full

    async def _open(self) -> None:
        replaced = await self._outbox.open() is Opened.REPLACED
        if not self.resumed.is_set():
            await self._resume()
        elif replaced:
            self._lose()
        if self._fresh:
            records = self._delivery.unstored()
            await self._outbox.restore(records, self._recorder.history, self.moment())
            self._fresh = False
            for record in records:
                self._became_stored(record)
            await self._backlog.begin(self._now())  # what could be saved from the damaged file, and memory had not

    async def _resume(self) -> None:
        """Take up what earlier sessions left."""
        last = await self._outbox.clock()  # before anything is written, which would change it
        known = await self._outbox.history()
        unknown = {stream: head for stream, head in self._recorder.history.heads.items() if head is None}
        if unknown.keys() - known.heads.keys():
            await self._outbox.restore((), History(unknown), self.moment())
        if moved_s := self._lifetime.adopt(last):
            self._delivery.move(self._recorder.session, moved_s)
        self.earlier = await self._outbox.latest_alert()
        await self._backlog.begin(self._now())
        self._listener.queued()
        self.resumed.set()

    def _lose(self) -> None:
        """A fresh file took the place of a damaged one: it has to be given all that memory has; sign what happened."""
        self._fresh = True
        self._delivery.unstore()
        now = self._now()
        lost = self._recorder.make(Kind.STORE_LOST, now, self._utc(now))
        self._submit(lost, now, None)

    async def _commit_all(self) -> None:
        """Commit what is only in memory, alerts first: they have a reserve where for others the disk is full."""
        full: StoreError | None = None
        for record in sorted(self._delivery.unstored(), key=lambda record: record.id.stream):
            try:
                await self._outbox.add(record, self.moment())
            except StoreError as error:
                if error.trouble is not StoreTrouble.FULL:
                    raise
                full = error
            else:
                self._became_stored(record)
        if full is not None:
            raise full

    async def _settle_all(self) -> None:
        for owed in list(self._owed.values()):
            await self._settle(owed)

    async def _tell_pause(self) -> None:
        if self._pause is not None:
            await self._outbox.shift(self._recorder.session, *self._pause)
            self._pause = None

    async def _load(self) -> None:
        if await self._backlog.load(self._now()):
            self._listener.queued()

    async def _thin(self) -> None:
        """Drop what is not worth its place any more, and sign which numbers that were."""
        now, moment = self._now(), self.moment()
        surplus = self._delivery.surplus(moment.lifetime_s)
        if not surplus:
            return
        gap = self._recorder.gap(surplus, now, self._utc(now))
        log.info("%s names %d records that are not sent any more", gap.id, len(surplus))
        for dropped in surplus:
            self._delivery.remove(dropped.record.digest)
        self._submit(gap, now, None)
        await self._outbox.thin(gap, [dropped.record.digest for dropped in surplus], moment)
        self._became_stored(gap)

    async def _maintain(self) -> None:
        now = self._now()
        if now < self._upkeep_due_s:
            return
        self._upkeep_due_s = now + UPKEEP_S
        try:
            await self._outbox.upkeep(self.moment(), self._keep_delivered_s)
        except StoreError as error:
            if error.trouble is not StoreTrouble.FULL:
                raise
            self._upkeep_due_s = now + RESERVE_RETRY_S
            self._faults.report("reserve", str(error), ADVICE[StoreTrouble.FULL], self.moment().utc_ms)
        else:
            self._faults.report("reserve", None, "", None)

    def _failed(self, error: BaseException) -> None:
        trouble = error.trouble if isinstance(error, StoreError) else StoreTrouble.OTHER
        text = f"the outbox ({trouble.value}): {str(error) or type(error).__name__}"
        moment = self.moment()
        self._faults.report("store", text, ADVICE[trouble], moment.utc_ms)

    def _write(self, write: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A write that nobody's deadline or end cuts short: what was begun may still become durable."""
        task = asyncio.get_running_loop().create_task(write)
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return task
