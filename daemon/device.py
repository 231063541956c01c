"""The running device: from an edge of the button to a verified receipt, and what the officer feels of it.

Wires the pure cores to the adapters it is given. Which adapters those are is app's choice; what crosses the wire is
wire's and cose's. Nothing on the way of a press waits for anything but the store's deadline.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bondmate import receipts, wire
from bondmate.aging import Aging
from bondmate.alerts import AlertState
from bondmate.core.clock import GnssClock
from bondmate.core.delivery import Delivery
from bondmate.core.feedback import FeedbackPlayer, Pattern
from bondmate.core.gesture import HoldRecognizer
from bondmate.core.lifetime import EARLIEST_UTC_MS
from bondmate.core.shift import Shift, ShiftEvent
from bondmate.core.tracking import Tracking, TrackingPolicy
from bondmate.cose import PublicKey
from bondmate.duty import DutyKeeper
from bondmate.errors import LocalError
from bondmate.faults import Faults
from bondmate.keeping import Keeper, Listener
from bondmate.observer import Observer
from bondmate.ports import Bearer, CellularModem, Indicator, Locator, Outbox
from bondmate.recorder import Recorder
from bondmate.records import (
    ALERT_KINDS,
    ClockSource,
    Felt,
    Fix,
    Kind,
    Moment,
    RecordId,
    SignedRecord,
    StoredRecord,
    Stream,
    UtcTime,
    unix_ms,
)
from bondmate.sending import Sender
from bondmate.tracker import Tracker

log = logging.getLogger(__name__)

KEPT_AS = {Pattern.STORED: Felt.STORED, Pattern.DELIVERED: Felt.DELIVERED}
"""What the outbox keeps of the patterns, so that it is known after a crash what the palm still has to be told."""


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
    tracking: TrackingPolicy
    duty_max_s: float
    store_deadline_s: float
    keep_delivered_s: float
    modem: CellularModem | None = None
    """What carries the bearers lte and sms, where there is one."""
    system_utc_ms: Callable[[], int] | None
    """Reads the system's clock, where that is the source of UTC; None: the GNSS clock is."""
    faults: Faults = field(default_factory=Faults)


class Device:
    """One running device. All methods run in the event loop; times are the loop's, which is monotonic."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._now = asyncio.get_running_loop().time
        self._aging = Aging(parts.outbox, parts.delivery, parts.recorder, self.utc, parts.keep_delivered_s)
        self._keeper = Keeper(
            parts.outbox, parts.delivery, parts.recorder, parts.faults, self._aging, self.utc, parts.store_deadline_s
        )
        self._gesture = HoldRecognizer(parts.hold_s)
        self._feedback = FeedbackPlayer()
        self._gnss_clock = GnssClock()
        self._duty = DutyKeeper(
            Shift(parts.duty_max_s),
            parts.outbox,
            self._aging,
            parts.faults,
            parts.recorder.session,
            lambda: self._keeper.store_state,
            parts.store_deadline_s,
        )
        self._tracker = Tracker(Tracking(parts.tracking), parts.locator, parts.indicator, self._record)
        self._observer = Observer(
            (parts.locator,) if parts.modem is None else (parts.locator, parts.modem),
            parts.bearers,
            parts.faults,
            parts.delivery.has_work,
            self.utc,
            self._record,
        )
        self._wake = {core: asyncio.Event() for core in ("gesture", "feedback", "delivery", "duty", "lamp")}
        self._sender = Sender(parts.bearers, parts.delivery, self.take_receipt, self._wake["delivery"].set)
        self._group: asyncio.TaskGroup
        """Set in run: whatever fails in it ends the process, which systemd starts again."""
        self._anchored = False
        self.started_s = self._now()
        self.alert: AlertState | None = None

    @property
    def fix(self) -> Fix | None:
        """Where the device is, as far as it may be known now."""
        return self._tracker.fix

    @property
    def duty(self) -> DutyKeeper:
        """The officer's duty, to be looked at."""
        return self._duty

    @property
    def alert_open(self) -> bool:
        """Whether an alert is open."""
        return self._tracker.tracking.alert_open

    def waiting(self) -> dict[Stream, int]:
        """How many records of each stream have no receipt."""
        return self._keeper.waiting()

    def backlog(self) -> Mapping[Stream, int]:
        """How many of them wait in the store alone, until those in memory are delivered."""
        return self._keeper.backlog()

    @property
    def parts(self) -> Parts:
        """What the device is made of, to be looked at."""
        return self._parts

    async def run(self, armed: Callable[[], None]) -> None:
        """Be armed, call `armed`, and drive the cores until cancelled."""
        listener = Listener(
            self._stored,
            self._not_stored,
            self._wake["delivery"].set,
            lambda: self._group.create_task(self._resume()),
        )
        try:
            async with asyncio.TaskGroup() as self._group:
                opening = self._open_chain()
                self._obey_duty()
                await self._keeper.run(self._group, listener, self._duty.settle)
                self._keeper.keep(opening)
                self._group.create_task(self._resume())
                self._group.create_task(self._drive("gesture", self._step_gesture))
                self._group.create_task(self._drive("feedback", self._step_feedback))
                self._group.create_task(self._drive("delivery", self._step_delivery))
                self._group.create_task(self._drive("duty", self._step_duty))
                self._group.create_task(self._drive("lamp", self._tracker.step))
                self._group.create_task(self._observer.run())
                self._tracker.armed(self._now())
                self._wake["lamp"].set()
                log.info("armed: session %s of %s", self._parts.recorder.session, self._parts.recorder.device)
                armed()
        finally:
            self._parts.indicator.vibrate(False)
            self._parts.indicator.light(False)
            await self._keeper.finish()

    async def _resume(self) -> None:
        """Go on with the shift and the alert of an earlier session, unless there is something newer already.

        Again when records of a damaged store were saved: an alert may be among them.
        """
        await self._keeper.resumed.wait()
        self._duty.adopt(self._keeper.duty)
        self._obey_duty()
        earlier = self._keeper.earlier
        if earlier is None or self.alert is not None:
            return
        self.alert = AlertState.restored(earlier)
        if earlier.cancelled:
            return
        self._tracker.resume_alert(earlier, self._age_s(earlier.position or earlier.alert), self._now())
        self._obey_duty()
        # what the crash cut short is given again, to its end
        if earlier.alert.delivered is not None and earlier.alert.felt < Felt.DELIVERED:
            self._play(Pattern.DELIVERED, earlier.alert.record)
        elif earlier.alert.felt < Felt.STORED:
            self._play(Pattern.STORED, earlier.alert.record)

    def _open_chain(self) -> SignedRecord:
        """The first record of the session, before any other can come."""
        now = self._now()
        clock = self.utc(now)
        self._anchored = clock is not None
        return self._parts.recorder.opening(now, clock)

    def utc(self, now: float) -> UtcTime | None:
        """UTC at `now`, and how sure that is; None while it is unknown."""
        if self._parts.system_utc_ms is None:
            return self._gnss_clock.utc(now)
        utc_ms = self._parts.system_utc_ms()
        # a board without a battery for its clock begins in 1970
        return None if utc_ms < EARLIEST_UTC_MS else UtcTime(utc_ms, ClockSource.SYSTEM)

    # --- what comes in ---------------------------------------------------------------------------

    def on_edge(self, down: bool, at: float) -> None:
        """An edge of the button."""
        if self._gesture.edge(down, at):
            self.raise_alert(Kind.PANIC)
        self._wake["gesture"].set()

    def on_fix(self, fix: Fix) -> None:
        """A new fix of the receiver. One that comes when none may be known is not looked at."""
        if not self._tracker.tracking.wants_receiver:
            return
        self._gnss_clock.on_fix(fix)
        now = self._now()
        clock = self.utc(now)
        if clock is not None and not self._anchored:
            self._anchored = True
            self._keeper.keep(self._parts.recorder.make(Kind.ANCHOR, now, clock))
        # UTC may just have told that the shift ended while the device was without power
        self._step_duty(now)
        self._tracker.on_fix(fix, now, dated=clock is not None and self._duty.is_certain)

    def raise_alert(self, kind: Kind) -> AlertState:
        """Raise an alert with what is known now; it is stored and sent from here on by itself."""
        now = self._now()
        fix = self._tracker.fix
        record = self._parts.recorder.make(kind, now, self.utc(now), None if fix is None else wire.pack_fix(fix, now))
        log.warning("%s raised: %s", kind.label, record.id, extra={"RECORD": str(record.id)})
        self.alert = AlertState(record, now)
        self._feedback.drop_all_but(record.digest)
        self._keeper.keep(record)
        self._tracker.open_alert(now)
        self._obey_duty()
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
        self._keeper.keep(record)
        self._tracker.close_alert(now)
        self._obey_duty()
        return self.alert

    async def set_duty(self, on: bool) -> bool:
        """Begin a shift (anew), or end it; whether the store has it. It takes effect at once, stored or not."""
        self._duty.set(on)
        self._obey_duty()
        return await self._duty.keep()

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
                self._refused(record, entry.reason)
                continue
            if entry.verdict is wire.Verdict.HELD_UNREADABLE:
                text = f"{record.id} is held by the gateway, which could not read it"
                self._report("unreadable", text, "the control room was paged; report the device's version to them")
            self._group.create_task(self._delivered(record, self._keeper.delivered(record, receipt.message)))

    def wake_up(self) -> None:
        """The gateway wishes to be asked: what waits is tried now, over whatever works."""
        log.info("woken by the gateway")
        self.reachable(*(bearer.name for bearer in self._parts.bearers))

    def reachable(self, *bearers: str) -> None:
        """These may work again: what waits is tried now."""
        for bearer in bearers:
            self._parts.delivery.reachable(bearer, self._now())
        self._wake["delivery"].set()

    # --- what became of a record -------------------------------------------------------------------

    def _stored(self, record: SignedRecord, moment: Moment) -> None:
        """The commit returned: only now may the officer feel it, once, and only of the alert that was raised last."""
        alert = self.alert
        if alert is None or alert.record.digest != record.digest or alert.is_stored:
            return
        alert.stored(self._now(), moment.utc_ms)
        log.info("%s stored", record.id, extra={"RECORD": str(record.id)})
        if not alert.is_delivered:
            self._play(Pattern.STORED, record)

    def _not_stored(self, record: SignedRecord) -> None:
        """It goes from memory: a restart would forget it, and the officer is told so."""
        if record.kind in ALERT_KINDS:
            self._play(Pattern.NO_WAY_OUT, record)

    def _refused(self, record: SignedRecord, reason: int | None) -> None:
        """The gateway signed that it will not take it: not tried again in this session, and kept for the next.

        An alert is refused for one reason alone; whatever else is said of it, it is tried again and again.
        """
        text = f"{record.id} was refused by the gateway, reason {reason}"
        self._report("refused", text, "ask the control room whether this device was revoked")
        if record.id.stream is Stream.ALERT and reason != wire.REASON_REVOKED:
            return
        news = self._parts.delivery.is_open(record.digest)
        self._parts.delivery.park(record.digest, text)
        if news and self.alert is not None and self.alert.record.digest == record.digest:
            self._play(Pattern.NO_WAY_OUT, record)

    async def _delivered(self, record: SignedRecord, kept: Awaitable[None]) -> None:
        """A verified receipt names our bytes: when it is kept, tell the officer, if it is of the alert raised last."""
        log.info("%s delivered", record.id, extra={"RECORD": str(record.id)})
        alert = self.alert
        news = alert is not None and alert.record.digest == record.digest and not alert.is_delivered
        if news and alert is not None:
            alert.delivered(self._now(), self._aging.moment().utc_ms)
        await kept
        if news and alert is self.alert and alert is not None and not alert.cancelled:
            self._play(Pattern.DELIVERED, record)

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
        for felt in self._feedback.take_felt():
            if (kept := KEPT_AS.get(felt.pattern)) is not None:
                self._group.create_task(self._keeper.felt(felt.about, kept))
        return self._feedback.next_due(now)

    def _step_duty(self, _now: float) -> float | None:
        match self._duty.step():
            case ShiftEvent.ENDING:
                self._attention()
            case ShiftEvent.ENDED:
                self._attention()
                self._obey_duty()
            case None:
                pass
        return self._duty.next_due()

    def _attention(self) -> None:
        self._feedback.play(Pattern.ATTENTION, b"")
        self._wake["feedback"].set()

    def _step_delivery(self, now: float) -> float | None:
        return self._sender.step(self._group, now)

    def _obey_duty(self) -> None:
        """Duty or an alert began or ended: who has to know of it."""
        now, on_duty = self._now(), self._duty.is_on
        if on_duty != self._tracker.tracking.on_duty:
            self._tracker.set_duty(on_duty, now)
        self._parts.delivery.regime(on_duty=on_duty, alert_open=self._tracker.tracking.alert_open)
        for core in ("duty", "delivery", "lamp"):
            self._wake[core].set()

    def _age_s(self, kept: StoredRecord) -> float:
        """How long ago a record of an earlier session was made; inf where UTC then, or now, is unknown."""
        now = self._now()
        utc_ms, made_ms = unix_ms(self.utc(now)), unix_ms(kept.record.made_at)
        if utc_ms is None or made_ms is None or utc_ms < made_ms:
            return math.inf
        return max((utc_ms - made_ms) / 1000, self._aging.at(now) - kept.stored.lifetime_s)

    def _record(self, kind: Kind, fix: bytes | None = None, body: Any = None) -> None:
        now = self._now()
        self._keeper.keep(self._parts.recorder.make(kind, now, self.utc(now), fix, body))

    def _play(self, pattern: Pattern, about: SignedRecord) -> None:
        self._feedback.play(pattern, about.digest)
        self._wake["feedback"].set()

    def _report(self, code: str, text: str | None, next_step: str) -> None:
        self._parts.faults.report(code, text, next_step, unix_ms(self.utc(self._now())))


def _names(entry: wire.ReceiptEntry, identity: RecordId) -> bool:
    """Whether a receipt entry may mean this record: what it names must match, what it leaves out may be anything."""
    return (
        entry.session == identity.session
        and entry.stream in (None, int(identity.stream))
        and entry.sequence in (None, identity.sequence)
    )
