"""The running device: from an edge of the button to a verified receipt, and what the officer feels of it.

Wires the pure cores to the adapters it is given. Which adapters those are is app's choice; what crosses the wire is
wire's and cose's. Nothing on the way of a press waits for anything but the store's deadline.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from bondmate import receipts, wire
from bondmate.alerts import AlertState
from bondmate.core.clock import GnssClock
from bondmate.core.delivery import Delivery, Transmit
from bondmate.core.feedback import FeedbackPlayer, Pattern
from bondmate.core.gesture import HoldRecognizer
from bondmate.cose import PublicKey
from bondmate.errors import LinkError, LocalError, RemoteError, StoreError
from bondmate.faults import Faults
from bondmate.ports import Bearer, Indicator, Locator, Outbox
from bondmate.recorder import Recorder
from bondmate.records import ALERT_KINDS, ClockSource, Fix, Kind, RecordId, SignedRecord, UtcTime, unix_ms

log = logging.getLogger(__name__)

STORE_RETRY_S = 2.0
"""How often a store that failed is opened again, and records that are only in memory are committed."""
OBSERVE_S = 1.0
"""How often faults of adapters are looked at: people look less often."""
RESTART_S = 1.0
"""The first wait before a part that failed is started again."""
RESTART_CAP_S = 30.0


@dataclass(slots=True, kw_only=True)
class Parts:
    """What a device is made of."""

    recorder: Recorder
    outbox: Outbox
    bearers: tuple[Bearer, ...]
    locator: Locator
    indicator: Indicator
    delivery: Delivery
    gateway_keys: dict[bytes, PublicKey]
    hold_s: float
    store_deadline_s: float
    system_utc_ms: Callable[[], int] | None
    """Reads the system's clock, where that is the source of UTC; None: the GNSS clock is."""
    faults: Faults = field(default_factory=Faults)


class Device:
    """One running device. All methods run in the event loop; times are the loop's, which is monotonic."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._now = asyncio.get_running_loop().time
        self._bearers = {bearer.name: bearer for bearer in parts.bearers}
        self._gesture = HoldRecognizer(parts.hold_s)
        self._feedback = FeedbackPlayer()
        self._gnss_clock = GnssClock()
        self._wake = {core: asyncio.Event() for core in ("gesture", "feedback", "delivery")}
        self._group: asyncio.TaskGroup
        """Set in run: whatever fails in it ends the process, which systemd starts again."""
        self._commits: set[asyncio.Task[None]] = set()
        """Writes under way; they may fail, and they outlive the group."""
        self._anchored = False
        self._position_wanted_since: float | None = None
        """When the open alert was raised, until a fix newer than that has been recorded behind it."""
        self.started_s = self._now()
        self.alert: AlertState | None = None

    @property
    def parts(self) -> Parts:
        """What the device is made of, to be looked at."""
        return self._parts

    async def run(self, armed: Callable[[], None]) -> None:
        """Be armed, call `armed`, and drive the cores until cancelled."""
        try:
            async with asyncio.TaskGroup() as self._group:
                resumed = asyncio.Event()
                self._group.create_task(self._tend_store(resumed))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._parts.store_deadline_s):
                        await resumed.wait()
                self._open_chain()
                self._group.create_task(self._drive("gesture", self._step_gesture))
                self._group.create_task(self._drive("feedback", self._step_feedback))
                self._group.create_task(self._drive("delivery", self._step_delivery))
                self._group.create_task(self._observe())
                self._parts.indicator.light(True)
                log.info("armed: session %s of %s", self._parts.recorder.session, self._parts.recorder.device)
                armed()
        finally:
            self._parts.indicator.vibrate(False)
            self._parts.indicator.light(False)
            if self._commits:
                await asyncio.wait(self._commits, timeout=self._parts.store_deadline_s)

    async def _tend_store(self, resumed: asyncio.Event) -> None:
        """Open the store, again if need be; take up what earlier sessions left; commit what is only in memory."""
        outbox = self._parts.outbox
        while True:
            try:
                if await outbox.open():
                    self._parts.delivery.unstore()
                if not resumed.is_set():
                    await self._resume()
                    resumed.set()
                for record in self._parts.delivery.unstored():
                    await outbox.add(record, self._utc_ms())
                    self._stored(record)
            except StoreError as error:
                self._store_failed(error)
            else:
                self._report("store", None, "")
            await asyncio.sleep(STORE_RETRY_S)

    async def _resume(self) -> None:
        """Take up what earlier sessions left: send it, and know their alert again. Raises StoreError."""
        pending = await self._parts.outbox.pending()
        earlier = AlertState.restored(await self._parts.outbox.latest_alert())
        for kept in pending:
            self._parts.delivery.submit(kept.record, self._now(), stored=True, stored_at_ms=kept.stored_at_ms)
        self._wake["delivery"].set()
        if self.alert is None:
            self.alert = earlier
            if earlier is not None and not earlier.cancelled and not earlier.located:
                self._position_wanted_since = self.started_s

    def _open_chain(self) -> None:
        """The first record of the session."""
        now = self._now()
        clock = self.utc(now)
        self._anchored = clock is not None
        self._keep(self._parts.recorder.opening(now, clock))

    def utc(self, now: float) -> UtcTime | None:
        """UTC at `now`, and how sure that is; None while it is unknown."""
        if self._parts.system_utc_ms is not None:
            return UtcTime(self._parts.system_utc_ms(), ClockSource.SYSTEM)
        return self._gnss_clock.utc(now)

    # --- what comes in ---------------------------------------------------------------------------

    def on_edge(self, down: bool, at: float) -> None:
        """An edge of the button."""
        if self._gesture.edge(down, at):
            self.raise_alert(Kind.PANIC)
        self._wake["gesture"].set()

    def on_fix(self, fix: Fix) -> None:
        """A new fix of the receiver."""
        self._gnss_clock.on_fix(fix)
        now = self._now()
        clock = self.utc(now)
        if clock is not None and not self._anchored:
            self._anchored = True
            self._keep(self._parts.recorder.make(Kind.ANCHOR, now, clock))
        if self._position_wanted_since is not None and fix.taken_s >= self._position_wanted_since:
            self._position_wanted_since = None
            self._keep(self._parts.recorder.make(Kind.POSITION, now, clock, wire.pack_long_fix(fix, now)))

    def raise_alert(self, kind: Kind) -> AlertState:
        """Raise an alert with what is known now; it is stored and sent from here on by itself."""
        now = self._now()
        fix = self._parts.locator.fix
        record = self._parts.recorder.make(kind, now, self.utc(now), None if fix is None else wire.pack_fix(fix, now))
        log.warning("%s raised: %s", kind.label, record.id, extra={"RECORD": str(record.id)})
        self.alert = AlertState(record, now)
        self._position_wanted_since = now
        self._keep(record)
        return self.alert

    def cancel_alert(self) -> AlertState:
        """Take the open alert back; the gateway keeps and shows both. LocalError when none is open."""
        if self.alert is None or self.alert.cancelled:
            raise LocalError("no alert is open: there is nothing to cancel")
        now = self._now()
        named = self.alert.record.digest[: wire.NAMED_DIGEST_OCTETS]
        record = self._parts.recorder.make(Kind.CANCELLATION, now, self.utc(now), body=named)
        log.warning("%s cancelled by %s", self.alert.record.id, record.id)
        self.alert.cancelled = True
        self._position_wanted_since = None
        self._keep(record)
        return self.alert

    def take_receipt(self, data: bytes) -> None:
        """A receipt in either form, from whatever bearer. Only what verifies and matches changes anything.

        Raises RemoteError for a receipt that does not verify.
        """
        receipt = receipts.verify(data, self._parts.recorder.device, self._parts.gateway_keys)
        for entry in receipt.entries:
            record = self._parts.delivery.find(entry.digest)
            if record is None or not _names(entry, record.id):
                continue
            if entry.verdict is wire.Verdict.REFUSED:
                text = f"{record.id} was refused by the gateway, reason {entry.reason}"
                self._report("refused", text, "ask the control room whether this device was revoked")
                self._parts.delivery.remove(record.digest)
                if record.kind in ALERT_KINDS:
                    self._play(Pattern.NO_WAY_OUT)
                continue
            if entry.verdict is wire.Verdict.HELD_UNREADABLE:
                text = f"{record.id} is held by the gateway, which could not read it"
                self._report("unreadable", text, "the control room was paged; report the device's version to them")
            stored = record not in self._parts.delivery.unstored()
            self._parts.delivery.remove(record.digest)
            self._group.create_task(self._delivered(record, receipt.message, stored=stored))

    # --- the way of a record -----------------------------------------------------------------------

    def _keep(self, record: SignedRecord) -> None:
        """Commit a record, within the store's deadline, and queue it for delivery either way."""
        self._group.create_task(self._store(record))

    async def _store(self, record: SignedRecord) -> None:
        commit = self._commit(self._parts.outbox.add(record, self._utc_ms()))
        done, _ = await asyncio.wait({commit}, timeout=self._parts.store_deadline_s)
        error = commit.exception() if done else TimeoutError("the commit hangs")
        if error is None:
            self._stored(record)
            self._parts.delivery.submit(record, self._now(), stored=True, stored_at_ms=self._utc_ms())
        else:
            # from memory, at once; _tend_store goes on trying to commit it
            self._parts.delivery.submit(record, self._now(), stored=False)
            self._store_failed(error)
            if record.kind in ALERT_KINDS:
                self._play(Pattern.NO_WAY_OUT)
            if not done:
                commit.add_done_callback(lambda late: self._ended_late(record, late))
        self._wake["delivery"].set()

    def _ended_late(self, record: SignedRecord, commit: asyncio.Task[None]) -> None:
        """A commit returned after its deadline; the officer was told that the alert was not stored."""
        if not commit.cancelled() and commit.exception() is None:
            self._stored(record)

    def _stored(self, record: SignedRecord) -> None:
        """The commit returned: only now may the officer feel it, once, and only of the alert that was raised last."""
        stored_ms = self._utc_ms()
        self._parts.delivery.mark_stored(record.digest, stored_ms)
        alert = self.alert
        if alert is None or alert.record is not record or alert.is_stored:
            return
        alert.stored(self._now(), stored_ms)
        log.info("%s stored", record.id, extra={"RECORD": str(record.id)})
        if not alert.is_delivered:
            self._play(Pattern.STORED)

    async def _delivered(self, record: SignedRecord, receipt: bytes, *, stored: bool) -> None:
        """A verified receipt names our bytes: keep it, then tell the officer, if it is of the alert raised last."""
        delivered_ms = self._utc_ms()
        log.info("%s delivered", record.id, extra={"RECORD": str(record.id)})
        felt = self.alert is not None and self.alert.record.digest == record.digest and not self.alert.is_delivered
        if felt and self.alert is not None:
            self.alert.delivered(self._now(), delivered_ms)
        try:
            async with asyncio.timeout(self._parts.store_deadline_s):
                if not stored:  # the chain goes on from it, so the store should know it all the same
                    await asyncio.shield(self._commit(self._parts.outbox.add(record, None)))
                await asyncio.shield(
                    self._commit(self._parts.outbox.mark_delivered(record.digest, receipt, delivered_ms))
                )
        except (StoreError, TimeoutError) as error:
            # the record will be sent again after a restart, which the gateway expects
            self._store_failed(error)
        if felt:
            self._play(Pattern.DELIVERED)

    async def _transmit(self, order: Transmit) -> None:
        record, bearer = order.record, self._bearers[order.bearer]
        session, was_down = bearer.session, bearer.why_not is not None
        beside = None if record.id.session == session else record.id.session
        try:
            async with asyncio.timeout_at(order.deadline_s):
                answer = await bearer.send(wire.encode_submission(record.data, beside=beside))
            self.take_receipt(answer)
            why = "the gateway's receipt did not name this record"
        except TimeoutError:
            why = f"no authenticated answer over {order.bearer}"
        except (LinkError, RemoteError) as error:
            why = f"{order.bearer}: {error}"
        except Exception as error:
            # a bearer is supervised here: whatever it trips over, the others and the button go on
            log.exception("the bearer %s failed", order.bearer)
            why = f"{order.bearer} failed: {error}"
        if self._parts.delivery.find(record.digest) is not None:
            log.info("%s not delivered yet: %s", record.id, why, extra={"RECORD": str(record.id)})
        now = self._now()
        self._parts.delivery.failed(record.digest, order.bearer, why, now)
        if bearer.session != session or (was_down and bearer.why_not is None):
            self._parts.delivery.reachable(now)
        self._wake["delivery"].set()

    # --- driving the cores ---------------------------------------------------------------------------

    async def _drive(self, core: str, step: Callable[[float], float | None]) -> None:
        """Let a core act now, when it is due and whenever something happened to it."""
        wake = self._wake[core]
        while True:
            wake.clear()
            due = step(self._now())
            try:
                async with asyncio.timeout_at(due):
                    await wake.wait()
            except TimeoutError:
                continue

    def _step_gesture(self, now: float) -> float | None:
        if self._gesture.poll(now):
            self.raise_alert(Kind.PANIC)
        return self._gesture.next_due()

    def _step_feedback(self, now: float) -> float | None:
        self._parts.indicator.vibrate(self._feedback.level(now))
        return self._feedback.next_due(now)

    def _step_delivery(self, now: float) -> float | None:
        for order in self._parts.delivery.poll(now):
            self._group.create_task(self._transmit(order))
        return self._parts.delivery.next_due()

    async def _observe(self) -> None:
        while True:
            receiver = "check the receiver's cable, and gnss.port and gnss.speed_baud in the configuration"
            self._report("gnss", self._parts.locator.fault, receiver)
            waiting = bool(self._parts.delivery.snapshot(self._now()))
            for bearer in self._parts.bearers:
                why = f"nothing can be delivered over {bearer.name}: {bearer.why_not}" if bearer.why_not else None
                self._report(f"bearer-{bearer.name}", why if waiting else None, "it is tried again and again by itself")
            await asyncio.sleep(OBSERVE_S)

    def _play(self, pattern: Pattern) -> None:
        self._feedback.play(pattern, self._now())
        self._wake["feedback"].set()

    def _store_failed(self, error: BaseException) -> None:
        self._report("store", str(error) or type(error).__name__, "alerts are sent from memory; replace the card soon")

    def _report(self, code: str, text: str | None, next_step: str) -> None:
        self._parts.faults.report(code, text, next_step, self._utc_ms())

    def _utc_ms(self) -> int | None:
        return unix_ms(self.utc(self._now()))

    def _commit(self, write: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A write that nobody's deadline or end cuts short: what was begun may still become durable."""
        task = asyncio.get_running_loop().create_task(write)
        self._commits.add(task)
        task.add_done_callback(self._commits.discard)
        return task


async def supervise(name: str, run: Callable[[], Awaitable[None]], faults: Faults) -> None:
    """Run a part for ever: when it fails it is reported and started again, alone."""
    wait_s = RESTART_S
    while True:
        try:
            await run()
        except Exception as error:
            log.exception("%s failed; starting it again in %.0f s", name, wait_s)
            faults.report(name, f"{name} failed: {error}", "it is started again by itself; see the log", None)
        await asyncio.sleep(wait_s)
        wait_s = min(wait_s * 2, RESTART_CAP_S)
        faults.report(name, None, "", None)


def _names(entry: wire.ReceiptEntry, identity: RecordId) -> bool:
    """Whether a receipt entry may mean this record: what it names must match, what it leaves out may be anything."""
    return (
        entry.session == identity.session
        and entry.stream in (None, int(identity.stream))
        and entry.sequence in (None, identity.sequence)
    )
