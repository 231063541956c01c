"""The running device: from an edge of the button to a verified receipt, and what the officer feels of it.

Wires the pure cores to the adapters it is given. Which adapters those are is app's choice; what crosses the wire is
wire's and cose's. Nothing on the way of a press waits for anything but the store's deadline.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from bondmate import receipts, wire
from bondmate.aging import Aging
from bondmate.alerts import AlertState
from bondmate.core.clock import GnssClock
from bondmate.core.delivery import Delivery
from bondmate.core.feedback import FeedbackPlayer, Pattern
from bondmate.core.gesture import HoldRecognizer
from bondmate.core.health import HealthWatch
from bondmate.cose import PublicKey
from bondmate.errors import LocalError
from bondmate.faults import Faults
from bondmate.keeping import Keeper, Listener
from bondmate.ports import Bearer, Indicator, Locator, Outbox
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
    Stream,
    UtcTime,
    unix_ms,
)
from bondmate.sending import Sender

log = logging.getLogger(__name__)

OBSERVE_S = 1.0
"""How often faults of adapters are looked at: people look less often."""
RESTART_S = 1.0
"""The first wait before a part that failed is started again."""
RESTART_CAP_S = 30.0
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
    store_deadline_s: float
    keep_delivered_s: float
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
        self._health = HealthWatch()
        self._wake = {core: asyncio.Event() for core in ("gesture", "feedback", "delivery")}
        self._sender = Sender(parts.bearers, parts.delivery, self.take_receipt, self._wake["delivery"].set)
        self._group: asyncio.TaskGroup
        """Set in run: whatever fails in it ends the process, which systemd starts again."""
        self._anchored = False
        self._position_wanted_since: float | None = None
        """When the open alert was raised, until a fix newer than that has been recorded behind it."""
        self.started_s = self._now()
        self.alert: AlertState | None = None

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
        listener = Listener(self._stored, self._not_stored, self._wake["delivery"].set)
        try:
            async with asyncio.TaskGroup() as self._group:
                opening = self._open_chain()
                await self._keeper.run(self._group, listener)
                self._keeper.keep(opening)
                self._group.create_task(self._resume())
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
            await self._keeper.finish()

    async def _resume(self) -> None:
        """Know the alert of an earlier session again, unless there was a new one meanwhile."""
        await self._keeper.resumed.wait()
        earlier = self._keeper.earlier
        if earlier is None or self.alert is not None:
            return
        self.alert = AlertState.restored(earlier)
        if earlier.cancelled:
            return
        if not earlier.located:
            self._position_wanted_since = self.started_s
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
            self._keeper.keep(self._parts.recorder.make(Kind.ANCHOR, now, clock))
        if self._position_wanted_since is not None and fix.taken_s >= self._position_wanted_since:
            self._position_wanted_since = None
            self._keeper.keep(self._parts.recorder.make(Kind.POSITION, now, clock, wire.pack_long_fix(fix, now)))

    def raise_alert(self, kind: Kind) -> AlertState:
        """Raise an alert with what is known now; it is stored and sent from here on by itself."""
        now = self._now()
        fix = self._parts.locator.fix
        record = self._parts.recorder.make(kind, now, self.utc(now), None if fix is None else wire.pack_fix(fix, now))
        log.warning("%s raised: %s", kind.label, record.id, extra={"RECORD": str(record.id)})
        self.alert = AlertState(record, now)
        self._feedback.drop_all_but(record.digest)
        self._position_wanted_since = now
        self._keeper.keep(record)
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
        self._keeper.keep(record)
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
                self._refused(record, entry.reason)
                continue
            if entry.verdict is wire.Verdict.HELD_UNREADABLE:
                text = f"{record.id} is held by the gateway, which could not read it"
                self._report("unreadable", text, "the control room was paged; report the device's version to them")
            self._group.create_task(self._delivered(record, self._keeper.delivered(record, receipt.message)))

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

    def _step_delivery(self, now: float) -> float | None:
        return self._sender.step(self._group, now)

    async def _observe(self) -> None:
        while True:
            receiver = "check the receiver's cable, and gnss.port and gnss.speed_baud in the configuration"
            self._report("gnss", self._parts.locator.fault, receiver)
            waiting = any(self.waiting().values())
            for bearer in self._parts.bearers:
                why = f"nothing can be delivered over {bearer.name}: {bearer.why_not}" if bearer.why_not else None
                self._report(f"bearer-{bearer.name}", why if waiting else None, "it is tried again and again by itself")
            now = self._now()
            if (lasting := self._health.step(self._parts.faults.codes(), now)) is not None:
                self._keeper.keep(self._parts.recorder.make(Kind.HEALTH, now, self.utc(now), body=list(lasting)))
            await asyncio.sleep(OBSERVE_S)

    def _play(self, pattern: Pattern, about: SignedRecord) -> None:
        self._feedback.play(pattern, about.digest)
        self._wake["feedback"].set()

    def _report(self, code: str, text: str | None, next_step: str) -> None:
        self._parts.faults.report(code, text, next_step, unix_ms(self.utc(self._now())))


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
