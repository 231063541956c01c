"""The way of a record into the store and out of it, and what to do while there is no store.

Commits each record before anybody is told that it is stored; sends it from memory when that fails; brings the store
back, and gives it what it missed. Knows nothing of the palm, and nothing of bearers.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from bondmate.aging import Aging
from bondmate.backlog import Backlog
from bondmate.core.delivery import Delivery
from bondmate.errors import StoreError, StoreTrouble
from bondmate.faults import Faults
from bondmate.owed import OwedReceipts, each, insert
from bondmate.ports import Outbox
from bondmate.recorder import Recorder
from bondmate.records import Duty, EarlierAlert, Felt, History, Kind, Moment, Opened, SignedRecord, Stream, UtcTime

log = logging.getLogger(__name__)

RETRY_S = 2.0
"""How often a store that failed is opened again, and records that are only in memory are committed."""
DAMAGED_RETRY_S = 300.0
"""The longest wait before the next fresh file, where one after the other is found damaged."""

HUNG_LASTS_S = 120.0
"""So long a commit that came too late is a fault: a card that is too slow each time has to be reported some day."""

ADVICE: Mapping[StoreTrouble, str] = {
    StoreTrouble.FULL: "alerts use the reserve, then they are sent from memory; free some space on the card",
    StoreTrouble.READ_ONLY: "alerts are sent from memory; restart the device, replace the card if that does not help",
    StoreTrouble.IO: "alerts are sent from memory; replace the card now",
    StoreTrouble.DAMAGED: "a fresh file takes its place; keep the one that was set aside, and replace the card soon",
    StoreTrouble.HANGING: "alerts are sent from memory; replace the card if it happens again",
    StoreTrouble.OTHER: "alerts are sent from memory; see the log",
}
"""What to do next, for each trouble (docs/reliability.md has the whole table)."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Who is told what becomes of a record."""

    stored: Callable[[SignedRecord, Moment], None]
    """Its commit returned."""
    not_stored: Callable[[SignedRecord], None]
    """It is only in memory, and sent from there. It may still become stored."""
    queued: Callable[[], None]
    """There is something new to send."""
    salvaged: Callable[[], object]
    """Of a damaged store something was saved: `earlier` may be another alert now."""
    open_alert: Callable[[], SignedRecord | None]
    """The call that is open: a fresh file has to know it, delivered or not."""


class Keeper:
    """Keeps records. All methods run in the event loop; times are the loop's, which is monotonic."""

    def __init__(
        self,
        outbox: Outbox,
        delivery: Delivery,
        recorder: Recorder,
        faults: Faults,
        aging: Aging,
        utc: Callable[[float], UtcTime | None],
        deadline_s: float,
    ) -> None:
        """`utc` tells UTC at a time of the loop. A commit that takes longer than `deadline_s` is not waited for."""
        self._outbox = outbox
        self._delivery = delivery
        self._recorder = recorder
        self._faults = faults
        self._aging = aging
        self._utc = utc
        self._deadline_s = deadline_s
        self._now = asyncio.get_running_loop().time
        self._listener: Listener
        """Set by `run`."""
        self._group: asyncio.TaskGroup
        """Set by `run`."""
        self._also: Callable[[], Coroutine[Any, Any, None]]
        """Set by `run`."""
        self._writes: set[asyncio.Task[None]] = set()
        """Under way; they may fail, and they outlive the group."""
        self._late: set[asyncio.Task[None]] = set()
        """Of these, the ones whose deadline has passed: while there is one, the store hangs."""
        self._hung_s = -math.inf
        """When a commit missed its deadline last."""
        self._backlog = Backlog(outbox, delivery, lambda: aging.at(self._now()))
        self._owed = OwedReceipts(outbox, recorder.session)
        self._known = False
        """The store told how old the device is: before that nothing may be written, for it would change the answer."""
        self._fresh = False
        """A fresh file took the place of a damaged one, and does not know yet what memory has."""
        self._losses = 0
        """How often that happened in this session: what was committed before went into another file."""
        self._keeping = 0
        """Records that were made and are neither in the store nor in the queue yet."""
        self._settled = False
        """The store was tended from end to end since it failed last."""
        self.earlier: EarlierAlert | None = None
        """The newest alert of earlier sessions, once `resumed` is set."""
        self.duty: Duty | None = None
        """The shift that they left, once `resumed` is set."""
        self.resumed = asyncio.Event()

    async def run(
        self, group: asyncio.TaskGroup, listener: Listener, also: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        """Begin in `group`; returns when what earlier sessions left was read, or when that takes too long.

        `also` is done whenever the store is tended; it raises StoreError.
        """
        self._group, self._listener, self._also = group, listener, also
        group.create_task(self._tend())
        try:
            async with asyncio.timeout(self._deadline_s):
                await self.resumed.wait()
        except TimeoutError:
            log.warning("the outbox does not open in time; going on without what earlier sessions left")
            if "store" not in self._faults:
                self._failed(StoreError("opening it hangs", StoreTrouble.HANGING))

    async def finish(self) -> None:
        """Let what was begun become durable, if that takes no longer than the deadline."""
        if self._writes:
            await asyncio.wait(self._writes, timeout=self._deadline_s)

    @property
    def store_state(self) -> int | None:
        """In how many files before this one the store was in this session; None while nothing can be written."""
        return self._losses if self._takes_writes else None

    @property
    def is_settled(self) -> bool:
        """Whether `waiting` counts all: what earlier sessions left, what damaged files hold, what was made just now."""
        return self._settled and not self._keeping

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
        self._keeping += 1
        self._group.create_task(self._keep(record, self._now())).add_done_callback(self._kept)

    def _kept(self, _task: asyncio.Task[None]) -> None:
        self._keeping -= 1

    async def _keep(self, record: SignedRecord, made_s: float) -> None:
        if not self._takes_writes:
            self._from_memory(record, made_s)
            return
        moment, losses = self._aging.moment(), self._losses
        write = self._write(self._add(record, moment))
        error = await self._in_time(write)
        if not write.done():
            self._hung_s = self._now()
        if error is not None or losses != self._losses:
            self._from_memory(record, made_s)
        else:
            self._submit(record, made_s, moment)
            self._listener.stored(record, moment)
        if not write.done():
            self._late.add(write)
            write.add_done_callback(lambda late: self._ended_late(record, late, losses))

    async def _add(self, record: SignedRecord, moment: Moment) -> None:
        """Alerts in their order: after a restart the last that was committed is the newest."""
        if record.id.stream is Stream.ALERT:
            try:
                await self._commit_all(Stream.ALERT)
            except StoreError as error:
                self._failed(error)
        await self._outbox.add(record, moment)

    def _from_memory(self, record: SignedRecord, made_s: float) -> None:
        """Send it at once; `_tend` goes on trying to commit it."""
        self._submit(record, made_s, None)
        self._listener.not_stored(record)

    def _submit(self, record: SignedRecord, made_s: float, stored: Moment | None) -> None:
        """Queue it. How old the device was when it was made is asked now: that may have become known meanwhile."""
        self._delivery.submit(record, self._now(), stored=stored, born_s=self._aging.at(made_s))
        self._listener.queued()

    def _ended_late(self, record: SignedRecord, write: asyncio.Task[None], losses: int) -> None:
        """A commit returned after its deadline: the record is stored after all, or `_tend` tries again."""
        self._late.discard(write)
        if not write.cancelled() and write.exception() is None and losses == self._losses:
            self._became_stored(record)

    def _became_stored(self, record: SignedRecord) -> None:
        moment = self._aging.moment()
        self._delivery.mark_stored(record.digest, moment)
        self._listener.stored(record, moment)

    def delivered(self, record: SignedRecord, receipt: bytes) -> Coroutine[Any, Any, None]:
        """A verified receipt names the record's bytes: take it off the queue, now, and keep the receipt.

        What is returned is to be awaited: it ends when the receipt is durable, or when the store does not take it in
        time: then, after a restart, the record is sent again, which the gateway expects.
        """
        stored = record not in self._delivery.unstored()
        self._delivery.remove(record.digest)
        self._owed.add(record, receipt, self._aging.moment(), stored=stored)
        return self._keep_receipt(record.digest)

    async def _keep_receipt(self, digest: bytes) -> None:
        if self._takes_writes:
            await self._in_time(self._write(self._owed.settle(digest)))

    async def felt(self, digest: bytes, felt: Felt) -> None:
        """The palm felt it to its end, so it need not be given again after a restart."""
        self._owed.felt(digest, felt)
        try:
            await self._outbox.mark_felt(digest, felt)
        except StoreError as error:
            self._failed(error)

    # --- tending the store ---------------------------------------------------------------------------

    async def _tend(self) -> None:
        """Open the store, again if need be; take up what earlier sessions left; commit what is only in memory."""
        while True:
            wait_s = RETRY_S
            try:
                await self._open()
                await self._do_all(
                    self._load,
                    self._commit_all,
                    self._also,
                    self._salvage,
                    self._owed.settle_all,
                    self._aging.tell_pause,
                    self._thin,
                    self._maintain,
                )
            except StoreError as error:
                self._settled = False
                self._failed(error)
                if error.trouble is StoreTrouble.DAMAGED:
                    wait_s = min(RETRY_S * 2**self._losses, DAMAGED_RETRY_S)
            else:
                self._settled = True
                if self._now() - self._hung_s > HUNG_LASTS_S:
                    self._faults.report("store", None, "", None)
            await asyncio.sleep(wait_s)

    async def _do_all(self, *steps: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """One after the other; what fails stops none of the others, unless the store is gone. Raises StoreError."""
        failure: StoreError | None = None
        for step in steps:
            try:
                await step()
            except StoreError as error:
                if error.trouble in {StoreTrouble.DAMAGED, StoreTrouble.HANGING}:
                    raise
                failure = failure or error
        if failure is not None:
            raise failure

    async def _open(self) -> None:
        if await self._outbox.open() is Opened.REPLACED:
            self._lose()
        if not self.resumed.is_set():
            await self._resume()
        if self._fresh:
            records = self._delivery.unstored()
            opened = self._listener.open_alert()
            also = [] if opened is None or opened in records else [opened]
            await self._outbox.restore([*records, *also], self._recorder.history, self._aging.moment())
            self._fresh = False
            for record in records:
                self._became_stored(record)

    async def _resume(self) -> None:
        """Take up what earlier sessions left."""
        last = await self._outbox.clock()  # before anything is written, which would change it
        if None in self._recorder.history.heads.values():
            await self._outbox.restore((), History.lost(), self._aging.moment())  # hides none that the file knows
        self._aging.adopt(last)
        self._known = True
        self.earlier, self.duty = await self._outbox.latest_alert(), await self._outbox.duty()
        self._backlog.begin()
        self.resumed.set()

    def _lose(self) -> None:
        """A fresh file took the place of a damaged one: it has to be given all that memory has; sign what happened."""
        self._losses += 1
        self._delivery.unstore()
        self._aging.forget()
        if not self._fresh:
            self._fresh = True
            now = self._now()
            self._submit(self._recorder.make(Kind.STORE_LOST, now, self._utc(now)), now, None)

    async def _commit_all(self, *streams: Stream) -> None:
        """Commit what is only in memory, alerts first: they have a reserve where for others the disk is full."""

        async def commit(record: SignedRecord) -> None:
            await insert(self._outbox, record, self._aging.moment(), self._recorder.session)
            self._became_stored(record)

        await each(
            commit,
            [
                record
                for record in sorted(self._delivery.unstored(), key=lambda record: record.id.stream)
                if not self._aging.commits(record) and (not streams or record.id.stream in streams)
            ],
        )

    async def _salvage(self) -> None:
        if await self._outbox.salvage():
            self._backlog.begin()
            self.earlier = await self._outbox.latest_alert()
            self._listener.salvaged()
            await self._load()  # in this round: until then it is not counted, and the queue looks empty

    async def _load(self) -> None:
        if await self._backlog.load(self._now()):
            self._listener.queued()

    async def _thin(self) -> None:
        """Drop what is not worth its place any more, and sign which numbers that were."""
        if (gap := self._aging.surplus()) is not None:
            self._submit(gap, self._now(), None)
        if (stored := await self._aging.thin()) is not None:
            self._became_stored(stored)

    async def _maintain(self) -> None:
        no_room = await self._aging.maintain()
        self._faults.report("reserve", no_room, ADVICE[StoreTrouble.FULL], self._aging.moment().utc_ms)

    def _failed(self, error: BaseException) -> None:
        trouble = error.trouble if isinstance(error, StoreError) else StoreTrouble.OTHER
        text = f"the outbox ({trouble.value}): {str(error) or type(error).__name__}"
        self._faults.report("store", text, ADVICE[trouble], self._aging.moment().utc_ms)

    @property
    def _takes_writes(self) -> bool:
        """Behind a write that hangs another would only wait, and before the store knows its place none may come."""
        return self._known and not self._fresh and not self._late

    async def _in_time(self, write: asyncio.Task[None]) -> BaseException | None:
        """Wait for a write until its deadline; what went wrong, which is reported. It goes on if it is not done."""
        done, _ = await asyncio.wait({write}, timeout=self._deadline_s)
        error = write.exception() if done else StoreError("a commit hangs", StoreTrouble.HANGING)
        if error is not None:
            self._failed(error)
        return error

    def _write(self, write: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A write that nobody's deadline or end cuts short: what was begun may still become durable."""
        task = asyncio.get_running_loop().create_task(write)
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return task
