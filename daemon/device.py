"""The running device: from an edge of the button to a verified receipt, and what the officer feels of it.

Wires the pure cores to the adapters it is given. Which adapters those are is app's choice; what crosses the wire is
wire's and cose's. Nothing on the way of a press waits for anything but the store's deadline.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from bondmate import receipts, wire
from bondmate.aging import Aging
from bondmate.buttons import Buttons
from bondmate.calls import KEPT_AS, Calls
from bondmate.changes import Changes
from bondmate.check_in import CheckInKeeper
from bondmate.checks import Bench
from bondmate.core.alert import Alert
from bondmate.core.check_in import CheckIn
from bondmate.core.clock import GnssClock
from bondmate.core.feedback import Felt, Pattern
from bondmate.core.lamp import Light
from bondmate.core.lifetime import EARLIEST_UTC_MS
from bondmate.core.man_down import ManDown
from bondmate.core.shift import Shift, ShiftEvent
from bondmate.core.tracking import Tracking
from bondmate.core.updating import Situation
from bondmate.doorbell import MAIL, Doorbell
from bondmate.duty import DutyKeeper
from bondmate.errors import StoreError
from bondmate.exercises import ExerciseKeeper
from bondmate.keeping import Keeper, Listener
from bondmate.letters import Letter, MailboxListener
from bondmate.mailbox import Mailbox, MailboxParts
from bondmate.observer import Observer
from bondmate.officer_pin import OfficerPin
from bondmate.palm import Palm
from bondmate.parts import Parts
from bondmate.records import (
    ClockSource,
    Fix,
    How,
    Kind,
    RecordId,
    SignedRecord,
    Stream,
    UtcTime,
    unix_ms,
)
from bondmate.rekeying import Rekeyer
from bondmate.selftest import ABOUT as SELF_TEST
from bondmate.selftest import SelfTester, Show
from bondmate.sending import Sender
from bondmate.senses import Senses
from bondmate.settings import Settings, SettingsKeeper
from bondmate.small_state import SmallStates
from bondmate.supervision import drive, supervise
from bondmate.telling import is_outcome
from bondmate.tracker import Tracker
from bondmate.updates import Updates
from bondmate.wiping import Wiper

log = logging.getLogger(__name__)

RETRY_S = 2.0
"""How soon the store is asked again for what an earlier session kept, where it failed."""
DEGRADING = ("store", "reserve", "configuration", "button-stuck")
"""Faults that touch the way of an alert: with one of them the device is not to be relied on."""
CORES = ("delivery", "duty", "lamp", "calls", "check-in", "senses", "exercise", "wipe", "rekey")


class Device:
    """One running device. All methods run in the event loop; times are the loop's, which is monotonic."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._now = asyncio.get_running_loop().time
        self.changes = Changes()
        """Of what is shown of the device."""
        self._wake = {core: asyncio.Event() for core in CORES}
        self._group: asyncio.TaskGroup
        """Set in run: whatever fails in it ends the process, which systemd starts again."""
        self._anchored = False
        self._armed = False
        self._lies = False
        self._waited = False
        """What an earlier session kept is known, or takes too long: until then it may be that nothing is to be lit."""
        self.started_s = self._now()
        self._gnss_clock = GnssClock()
        self._palm = Palm(parts.indicator, self._felt)
        self._doorbell = Doorbell(self._palm, parts.outbox)
        self._aging = Aging(parts.outbox, parts.delivery, parts.recorder, self.utc, parts.keep_delivered_s)
        self._keeper = Keeper(
            parts.outbox, parts.delivery, parts.recorder, parts.faults, self._aging, self.utc, parts.store_deadline_s
        )
        self._states = SmallStates(parts.outbox, self._aging, lambda: self._keeper.store_state)
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
        self._calls = Calls(
            parts.recorder,
            parts.delivery,
            self._keeper,
            self._tracker,
            self._palm,
            self._aging,
            self.utc,
            self._obey,
        )
        self._buttons = Buttons(
            parts.hold_s,
            parts.gestures,
            parts.cancel_gesture,
            self._calls,
            self.raise_alert,
            self._attention,
            partial(self._palm.play, Pattern.STORED),
        )
        self._exercise = ExerciseKeeper(self._states, self._aging, self._exercise_changed)
        self.check_in = CheckInKeeper(
            CheckIn(parts.countdown_s),
            self._states,
            self._aging,
            self._record,
            self._attention,
            lambda: self.raise_alert(Kind.CHECK_IN_MISSED),
            self._obey,
        )
        self.senses = Senses(
            ManDown(parts.man_down_s, parts.countdown_s),
            parts.faults,
            self.raise_alert,
            self._attention,
            lambda: self._tracker.last_words(self._now()),
            self.utc,
            self._obey,
        )
        self._settings = SettingsKeeper(self._states, parts.indicator, parts.store_deadline_s, self._obey)
        self.officer_pin = OfficerPin(parts.pin_file, self._states, self._aging, parts.store_deadline_s)
        self.mailbox = Mailbox(
            MailboxParts(
                outbox=parts.outbox,
                device=parts.recorder.device,
                gateway_keys=parts.gateway_keys,
                bearers=parts.bearers,
                faults=parts.faults,
                moment=self._aging.moment,
                record=self._record,
                deadline_s=parts.store_deadline_s,
            ),
            MailboxListener(
                acknowledged=self._calls.acknowledged,
                closed=self._calls.closed,
                exercise_version=lambda: self._exercise.version,
                exercise_state=self._exercise.state_of,
                exercise=self._exercise.take,
                arrived=self._arrived,
                ordered=self._obey,
            ),
            self.changes.tell,
        )
        self.selftest = SelfTester(
            self._bench,
            self._palm,
            self._tracker.test,
            lambda: self.alert_open,
            self._record,
            self._obey,
        )
        self.updates = Updates(self.mailbox.orders, self._situation)
        self.over = asyncio.Event()
        """Set when this run has to end, and another one to begin."""
        self._revoked = False
        """The gateway signed in this session that it refuses what this device says."""
        self._wiper = Wiper(
            self.mailbox.orders, self._owes, self._record, parts.mark_wiping, parts.faults, self._attention
        )
        self._rekeyer = Rekeyer(
            parts.key_change, self.mailbox.orders, self._is_idle, lambda: self._utc_s() if self._duty.is_on else None
        )
        self._observer = Observer(
            [part for part in (parts.locator, parts.modem, parts.battery, parts.indicator) if part is not None],
            parts.bearers,
            parts.faults,
            parts.delivery.has_work,
            self.utc,
            self._record,
            self._obey,
        )
        self._sender = Sender(parts.bearers, parts.delivery, self.take_receipt, self._wake["delivery"].set)

    # --- to be looked at -----------------------------------------------------------------------------

    @property
    def fix(self) -> Fix | None:
        """Where the device is, as far as it may be known now."""
        return self._tracker.fix

    @property
    def duty(self) -> DutyKeeper:
        """The officer's duty, to be looked at."""
        return self._duty

    @property
    def alert(self) -> Alert | None:
        """The newest alert, open or not."""
        return self._calls.alert

    @property
    def alert_open(self) -> bool:
        """Whether an alert is open."""
        return self._tracker.tracking.alert_open

    @property
    def exercise_active(self) -> bool:
        """Whether what the officer calls is an exercise now."""
        return self._exercise.is_active

    @property
    def settings(self) -> Settings:
        """What the officer chose."""
        return self._settings.current

    async def change_settings(self, *, language: str | None = None, covert: bool | None = None) -> bool:
        """Choose what is given; whether the store has it. LocalError for a language that there is not."""
        return await self._settings.change(language=language, covert=covert)

    def battery_json(self) -> dict[str, Any] | None:
        """How full the battery is; None where that is not known."""
        return self.senses.battery_json()

    def countdown_json(self, now: float) -> dict[str, Any] | None:
        """To an alert that the device raises by itself; None while there is none."""
        return self.senses.countdown_json(now) or self.check_in.countdown_json(now)

    def message_json(self, letter: Letter) -> dict[str, Any]:
        """A message as in the inbox, with how far away its place is now."""
        return letter.to_json(self.fix)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is known that touches the way of an alert."""
        return not any(code in self._parts.faults for code in DEGRADING)

    @property
    def unwell(self) -> str | None:
        """Why it is not as a new software has to make it (docs/updates.md); None: it is, as far as is known."""
        if not self._waited:
            return "what an earlier session left is not known yet"
        faults = self._parts.faults.to_json()
        return next((fault["text"] for fault in faults if fault["code"] in ("store", "configuration")), None)

    @property
    def is_urgent(self) -> bool:
        """An alert is open, or a call has no receipt: nothing that can wait begins."""
        return self.alert_open or self.waiting()[Stream.ALERT] > 0

    @property
    def has_reached_gateway(self) -> bool:
        """Whether the gateway answered in this session, over whatever bearer."""
        return any(bearer.last_success_s is not None for bearer in self._parts.bearers)

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

    # --- its life --------------------------------------------------------------------------------------

    async def run(self, armed: Callable[[], None]) -> None:
        """Be armed, call `armed`, and drive the cores until cancelled."""
        listener = Listener(
            self._calls.stored,
            self._calls.not_stored,
            self._wake["delivery"].set,
            lambda: self._group.create_task(self._resume()),
            lambda: None if self._calls.open is None else self._calls.open.record,
        )
        steps: dict[str, Callable[[float], float | None]] = {
            "delivery": self._step_delivery,
            "duty": self._step_duty,
            "lamp": self._tracker.step,
            "calls": self._calls.step,
            "check-in": self.check_in.step,
            "senses": self.senses.step,
            "exercise": self._exercise.step,
            "wipe": self._step_wipe,
            "rekey": self._step_rekey,
        }
        try:
            async with asyncio.TaskGroup() as self._group:
                opening = self._open_chain()
                self._obey()
                await self._keeper.run(self._group, listener, self._settle)
                self._keeper.keep(opening)
                self._group.create_task(self._resume())
                states = self._group.create_task(self._resume_states())
                self._group.create_task(drive(self._palm.wake, self._palm.step))
                self._group.create_task(drive(self._buttons.wake, self._step_buttons))
                self._group.create_task(drive(self.selftest.wake, self.selftest.step))
                for core, step in steps.items():
                    self._group.create_task(drive(self._wake[core], step))
                self._group.create_task(self._observer.run())
                self._group.create_task(self._run_mailbox(states))
                self._armed = True
                self.selftest.armed()
                self._obey()
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
        self._obey()
        earlier = self._keeper.earlier
        if earlier is None or self._calls.alert is not None:
            return
        self._calls.resume(earlier, self._keeper.duty if self._duty.is_on else None)
        self._obey()

    async def _resume_states(self) -> None:
        """Take up the small states of an earlier session, however often the store fails."""
        await self._keeper.resumed.wait()
        for resume in (
            self.officer_pin.resume,
            self._settings.resume,
            self._exercise.resume,
            self._resume_orders,
            lambda: self.check_in.resume(self._keeper.earlier),
        ):
            while True:
                try:
                    await resume()
                    break
                except StoreError as error:
                    log.warning("what an earlier session kept cannot be read: %s", error)
                    await asyncio.sleep(RETRY_S)
                except Exception:
                    # whatever the disk made of it: the button works without
                    log.exception("what an earlier session kept makes no sense")
                    break
        self._obey()

    async def _resume_orders(self) -> None:
        """Raises StoreError."""
        await self.mailbox.orders.resume()
        if self.updates.wanted is not None:
            # a new software has to show that it reaches the gateway, and off duty nothing else would
            self.mailbox.wake()

    async def _run_mailbox(self, states: asyncio.Task[None]) -> None:
        """Behind what an earlier session kept, so that no order is older than what is known; but not for ever."""
        await asyncio.wait({states}, timeout=self._parts.store_deadline_s)
        self._waited = True
        self._obey()
        await supervise("mailbox-fetching", self.mailbox.run, self._parts.faults)

    async def _settle(self) -> None:
        """Write what the store does not have yet. Raises StoreError."""
        try:
            await self._duty.settle()
        finally:
            await self._states.settle()

    def _open_chain(self) -> SignedRecord:
        """The first record of the session, before any other can come."""
        now = self._now()
        clock = self.utc(now)
        self._anchored = clock is not None
        return self._parts.recorder.opening(now, clock)

    def _situation(self) -> Situation:
        """As far as updates are concerned."""
        battery = self.senses.reading
        return Situation(
            known=self._waited,
            alert_open=self.alert_open,
            undelivered=self.waiting()[Stream.ALERT],
            in_use=self._duty.is_on or self.check_in.is_running,
            charging=battery.charging,
            percent=battery.percent,
        )

    def utc(self, now: float) -> UtcTime | None:
        """UTC at `now`, and how sure that is; None while it is unknown."""
        if self._parts.system_utc_ms is None:
            return self._gnss_clock.utc(now)
        utc_ms = self._parts.system_utc_ms()
        # a board without a battery for its clock begins in 1970
        return None if utc_ms < EARLIEST_UTC_MS else UtcTime(utc_ms, ClockSource.SYSTEM)

    # --- what comes in ---------------------------------------------------------------------------

    def on_edge(self, button: int, down: bool, at: float, from_start: bool = False) -> None:
        """An edge of a button, counted from 0; `from_start`: it was down already when its pin was wired."""
        self._buttons.on_edge(button, down, at, from_start)
        if button == 0:
            self.selftest.on_edge(down, at, from_start=from_start)

    def on_fix(self, fix: Fix) -> None:
        """A new fix of the receiver. One that comes when none may be known is not looked at."""
        if not self._tracker.wants_receiver:
            return
        self.selftest.on_fix(fix)
        borne_out = self._gnss_clock.on_fix(fix)
        now = self._now()
        if borne_out and self._parts.time_keeper is not None and (utc := self._gnss_clock.utc(now)) is not None:
            self._parts.time_keeper.tell(utc.unix_ms)
        clock = self.utc(now)
        if clock is not None and not self._anchored:
            self._anchored = True
            self._keeper.keep(self._parts.recorder.make(Kind.ANCHOR, now, clock))
            self._obey()  # UTC may have told how long the device was without power
        # UTC may just have told that the shift ended while the device was without power
        self._step_duty(now)
        self._tracker.on_fix(fix, now, dated=clock is not None and self._duty.is_certain)

    def on_case(self, shut: bool, _at: float) -> None:
        """The case was shut, or opened."""
        self.senses.on_case(shut, calls=self._duty.is_on and not self.alert_open)

    def on_lying(self, lying: bool, _at: float) -> None:
        """The device lies as nobody carries it, or is upright again."""
        self._lies = lying
        self._obey()

    def raise_alert(self, kind: Kind) -> Alert:
        """Raise an alert, or raise it again; it is stored and sent from here on by itself."""
        return self._calls.call(kind, exercise=self._exercise.is_active)

    def cancel_alert(self, how: How) -> Alert:
        """Take the open alert back; the gateway keeps and shows both. LocalError when none is open."""
        return self._calls.cancel(how)

    async def set_duty(self, on: bool) -> bool:
        """Begin a shift (anew), or end it; whether the store has it. It takes effect at once, stored or not.

        At its beginning the officer feels whether the device is to be relied on.
        """
        self._duty.set(on)
        self._obey()
        stored = await self._duty.keep()
        if on:
            self._palm.play(Pattern.STORED if stored and self.is_whole else Pattern.NO_WAY_OUT)
        return stored

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
                self._calls.refused(record, entry.reason, text)
                if entry.reason == wire.REASON_REVOKED:
                    self._revoked = True
                    self._wiper.answered(record)
                    self._wake["wipe"].set()
                continue
            if entry.verdict is wire.Verdict.HELD_UNREADABLE:
                text = f"{record.id} is held by the gateway, which could not read it"
                self._report("unreadable", text, "the control room was paged; report the device's version to them")
            self._wiper.answered(record)
            self._wake["wipe"].set()
            self._group.create_task(self._calls.delivered(record, self._keeper.delivered(record, receipt.message)))

    def wake_up(self) -> None:
        """The gateway wishes to be asked: what waits is tried now, over whatever works, and the mailbox fetched."""
        log.info("woken by the gateway")
        self.mailbox.wake()
        self.reachable(*(bearer.name for bearer in self._parts.bearers))

    def reachable(self, *bearers: str) -> None:
        """These may work again: what waits is tried now."""
        for bearer in bearers:
            self._parts.delivery.reachable(bearer, self._now())
        self._wake["delivery"].set()

    def _arrived(self, letter: Letter) -> None:
        self._doorbell.ring(letter, on_duty=self._duty.is_on)
        self.changes.tell()

    # --- driving the cores ---------------------------------------------------------------------------

    def _step_buttons(self, now: float) -> float | None:
        due = self._buttons.step(now)
        text = "a button has been down for a minute: it cannot be pressed" if self._buttons.is_stuck(now) else None
        self._report("button-stuck", text, "free it; if that does not help, hand the device in")
        return due

    def _felt(self, felt: Felt) -> None:
        """A pattern was felt to its end."""
        if felt.about == SELF_TEST:
            self.selftest.felt()
        elif felt.about == MAIL:
            self._group.create_task(self._doorbell.felt())
        elif felt.about and (kept := KEPT_AS.get(felt.pattern)) is not None:
            self._group.create_task(self._keeper.felt(felt.about, kept))

    def _step_duty(self, _now: float) -> float | None:
        match self._duty.step():
            case ShiftEvent.ENDING:
                self._attention()
            case ShiftEvent.ENDED:
                self._attention()
                self._obey()
            case None:
                pass
        return self._duty.next_due()

    def _step_wipe(self, now: float) -> float | None:
        due = self._wiper.step(now)
        if self._wiper.marked:
            self.over.set()
        return due

    def _step_rekey(self, now: float) -> float | None:
        due = self._rekeyer.step(self._group, now)
        if self._rekeyer.over:
            self.over.set()
        return due

    def _is_idle(self) -> bool:
        """Whether nothing is to be done that cannot wait, and another run would find all that this one has."""
        all_stored = self._keeper.store_state is not None and not self._parts.delivery.unstored()
        return all_stored and not (self.alert_open or self._owes() or self._wiper.is_ordered)

    def _utc_s(self) -> float | None:
        utc = self.utc(self._now())
        return None if utc is None else utc.unix_ms / 1000

    def _owes(self) -> bool:
        """Whether the gateway has, or may have, anything of a call still to come.

        What it refused to a revoked device it has as an attempt; nobody there closes that device's alerts any more.
        """
        if self._buttons.is_touched or (self.alert_open and not self._revoked):
            return True
        waiting = self.waiting()[Stream.ALERT] - self._parts.delivery.parked(Stream.ALERT)
        return waiting > 0 or not self._keeper.is_settled

    def _exercise_changed(self) -> None:
        self._attention()
        self._obey()

    def _attention(self) -> None:
        self._palm.play(Pattern.ATTENTION)
        self.changes.tell()

    def _step_delivery(self, now: float) -> float | None:
        return self._sender.step(self._group, now)

    def _obey(self) -> None:
        """Duty, an alert or a check-in began, changed or ended: who has to know of it."""
        now, on_duty, alert = self._now(), self._duty.is_on, self._calls.alert
        if on_duty != self._tracker.tracking.on_duty:
            self._tracker.set_duty(on_duty)
        alert_open = self._tracker.tracking.alert_open
        if alert_open:
            self.selftest.alert_opened()
        self._parts.delivery.regime(on_duty=on_duty, alert_open=alert_open)
        # off duty a device that lies is one that was put down
        carried = on_duty or alert_open or self.check_in.is_running
        self.senses.on_lying(self._lies and carried, now)
        self._tracker.show(self._light(), now)
        self.mailbox.regime(
            on_duty=on_duty, alert_open=alert_open, acknowledged=alert is not None and alert.is_acknowledged
        )
        for core in self._wake.values():
            core.set()
        self.changes.tell()

    def _light(self) -> Light:
        alert = self._calls.alert
        if not self._armed or not self._waited:
            return Light.OFF
        if self._tracker.tracking.alert_open:
            return Light.ACKNOWLEDGED if alert is not None and alert.is_acknowledged else Light.PRECISE
        if self.selftest.light is not None:
            return self.selftest.light
        if not self.is_whole:
            return Light.NOT_ARMED
        return Light.EXERCISE if self._exercise.is_active else Light.ARMED

    def _bench(self, show_led: Show, vibrate: Show) -> Bench:
        return Bench(
            parts=self._parts,
            utc=self.utc,
            gnss_clock=self._gnss_clock,
            moment=self._aging.moment,
            store_state=lambda: self._keeper.store_state,
            battery=self.battery_json,
            ask=self.mailbox.ask,
            show_led=show_led,
            vibrate=vibrate,
            sentences=sum(self._parts.locator.state().sentences.values()),
        )

    def _record(self, kind: Kind, fix: bytes | None = None, body: Any = None) -> SignedRecord:
        now = self._now()
        record = self._parts.recorder.make(kind, now, self.utc(now), fix, body)
        if kind is Kind.MESSAGE_STATE and is_outcome(body):
            self._parts.delivery.urge(record.digest)
        self._keeper.keep(record)
        return record

    def _report(self, code: str, text: str | None, next_step: str) -> None:
        self._parts.faults.report(code, text, next_step, unix_ms(self.utc(self._now())))


def _names(entry: wire.ReceiptEntry, identity: RecordId) -> bool:
    """Whether a receipt entry may mean this record: what it names must match, what it leaves out may be anything."""
    return (
        entry.session == identity.session
        and entry.stream in (None, int(identity.stream))
        and entry.sequence in (None, identity.sequence)
    )
