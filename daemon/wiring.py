"""The rooms of a running device, made and wired: what each is given, and who is told when something changes.

What any of it means is its room's, what comes in from outside device's. Nothing runs yet when this is done.
"""

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any

from bondmate.aging import Aging
from bondmate.answers import Answers
from bondmate.buttons import Buttons
from bondmate.calls import KEPT_AS, Calls
from bondmate.changes import Changes
from bondmate.check_in import CheckInKeeper
from bondmate.checks import Bench
from bondmate.condition import Condition
from bondmate.core.alert import Alert
from bondmate.core.check_in import CheckIn
from bondmate.core.feedback import Felt, Pattern
from bondmate.core.man_down import ManDown
from bondmate.core.shift import Shift
from bondmate.core.tracking import Tracking
from bondmate.dating import Dates
from bondmate.doorbell import MAIL, Doorbell
from bondmate.duty import DutyKeeper
from bondmate.ending import Ending
from bondmate.exercises import ExerciseKeeper
from bondmate.keeping import Keeper
from bondmate.letters import Letter, MailboxListener
from bondmate.mailbox import Mailbox, MailboxParts
from bondmate.observer import Observer
from bondmate.officer_pin import OfficerPin
from bondmate.palm import Palm
from bondmate.parts import Parts
from bondmate.records import Kind, SignedRecord, unix_ms
from bondmate.regime import Regime
from bondmate.rekeying import Rekeyer
from bondmate.resuming import Resumption
from bondmate.selftest import ABOUT as SELF_TEST
from bondmate.selftest import SelfTester, Show
from bondmate.sending import Sender
from bondmate.senses import Senses
from bondmate.settings import SettingsKeeper
from bondmate.small_state import SmallStates
from bondmate.telling import is_outcome
from bondmate.tracker import Tracker
from bondmate.updates import Updates
from bondmate.wiping import Wiper

CORES = ("delivery", "duty", "lamp", "calls", "check-in", "senses", "exercise", "wipe", "rekey")


class Wiring:
    """Of one device. All methods run in the event loop; times are the loop's."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._now = asyncio.get_running_loop().time
        self.changes = Changes()
        """Of what is shown of the device."""
        self.wake = {core: asyncio.Event() for core in CORES}
        """For each core that is driven: set when something happened to it."""
        self.group: asyncio.TaskGroup
        """Set by whoever runs it: in it begins what takes time."""
        self.dates = Dates(parts)
        self.utc = self.dates.utc
        self.palm = Palm(parts.indicator, self._felt)
        self.doorbell = Doorbell(self.palm, parts.outbox)
        self.aging = Aging(parts.outbox, parts.delivery, parts.recorder, self.utc, parts.keep_delivered_s)
        self.keeper = Keeper(
            parts.outbox, parts.delivery, parts.recorder, parts.faults, self.aging, self.utc, parts.store_deadline_s
        )
        self.states = SmallStates(parts.outbox, self.aging, lambda: self.keeper.store_state)
        self.duty = DutyKeeper(
            Shift(parts.duty_max_s),
            parts.outbox,
            self.aging,
            parts.faults,
            parts.recorder.session,
            lambda: self.keeper.store_state,
            parts.store_deadline_s,
        )
        self.tracker = Tracker(Tracking(parts.tracking), parts.locator, parts.indicator, self.record)
        self.calls = Calls(
            parts.recorder,
            parts.delivery,
            self.keeper,
            self.tracker,
            self.palm,
            self.aging,
            self.utc,
            self.obey,
        )
        self.buttons = Buttons(
            parts.hold_s,
            parts.gestures,
            parts.cancel_gesture,
            self.calls,
            self.raise_alert,
            self.attention,
            partial(self.palm.play, Pattern.STORED),
        )
        self.exercise = ExerciseKeeper(self.states, self.aging, self._exercise_changed)
        self.check_in = CheckInKeeper(
            CheckIn(parts.countdown_s),
            self.states,
            self.aging,
            self.record,
            self.attention,
            lambda: self.raise_alert(Kind.CHECK_IN_MISSED),
            self.obey,
        )
        self.senses = Senses(
            ManDown(parts.man_down_s, parts.countdown_s),
            parts.faults,
            self.raise_alert,
            self.attention,
            lambda: self.tracker.last_words(self._now()),
            self.utc,
            self.obey,
        )
        self.settings = SettingsKeeper(self.states, parts.indicator, parts.store_deadline_s, self.obey)
        self.officer_pin = OfficerPin(parts.pin_file, self.states, self.aging, parts.store_deadline_s)
        self.mailbox = Mailbox(
            MailboxParts(
                outbox=parts.outbox,
                device=parts.recorder.device,
                gateway_keys=parts.gateway_keys,
                bearers=parts.bearers,
                faults=parts.faults,
                moment=self.aging.moment,
                record=self.record,
                deadline_s=parts.store_deadline_s,
            ),
            MailboxListener(
                acknowledged=self.calls.acknowledged,
                closed=self.calls.closed,
                exercise_version=lambda: self.exercise.version,
                exercise_state=self.exercise.state_of,
                exercise=self.exercise.take,
                arrived=self._arrived,
                ordered=self.obey,
            ),
            self.changes.tell,
        )
        self.selftest = SelfTester(
            self._bench,
            self.palm,
            self.tracker.test,
            lambda: self.tracker.tracking.alert_open,
            self.record,
            self.obey,
        )
        self.resumption = Resumption(
            self.keeper,
            self.duty,
            self.calls,
            (
                self.officer_pin.resume,
                self.settings.resume,
                self.exercise.resume,
                self._resume_orders,
                lambda: self.check_in.resume(self.keeper.earlier),
            ),
            self.obey,
        )
        self.condition = Condition(
            parts=parts,
            keeper=self.keeper,
            duty=self.duty,
            tracking=self.tracker.tracking,
            check_in=self.check_in,
            senses=self.senses,
            resumption=self.resumption,
        )
        self.updates = Updates(self.mailbox.orders, self.condition.situation)
        self.answers = Answers(
            parts,
            self.calls,
            self.keeper,
            self.report,
            self._settled,
            self._begin,
        )
        orders = self.mailbox.orders
        self.ending = Ending(
            parts.delivery,
            self.keeper,
            self.buttons,
            self.answers,
            self.tracker.tracking,
            Wiper(orders, self._owes, self.record, parts.mark_wiping, parts.faults, self.attention),
            Rekeyer(parts.key_change, orders, self._is_idle, self._utc_s_on_duty),
        )
        self.regime = Regime(
            duty=self.duty,
            calls=self.calls,
            check_in=self.check_in,
            exercise=self.exercise,
            condition=self.condition,
            delivery=parts.delivery,
            mailbox=self.mailbox,
            selftest=self.selftest,
            senses=self.senses,
            tracker=self.tracker,
            changed=self._woken,
        )
        self.observer = Observer(
            [part for part in (parts.locator, parts.modem, parts.battery, parts.indicator) if part is not None],
            parts.bearers,
            parts.faults,
            parts.delivery.has_work,
            self.utc,
            self.record,
            self.obey,
        )
        self.sender = Sender(parts.bearers, parts.delivery, self.answers.take, self.wake["delivery"].set)

    # --- what rooms ask of one another -----------------------------------------------------------------

    def raise_alert(self, kind: Kind) -> Alert:
        """Raise an alert, or raise it again; it is stored and sent from here on by itself."""
        return self.calls.call(kind, exercise=self.exercise.is_active)

    def obey(self) -> None:
        """Duty, an alert or a check-in began, changed or ended: who has to know of it is told."""
        self.regime.follow(self._now())

    def attention(self) -> None:
        """Something changed that the officer should look at."""
        self.palm.play(Pattern.ATTENTION)
        self.changes.tell()

    def record(self, kind: Kind, fix: bytes | None = None, body: Any = None) -> SignedRecord:
        """Make a record of what is known now, and keep it. `fix` is packed."""
        now = self._now()
        record = self._parts.recorder.make(kind, now, self.utc(now), fix, body)
        if kind is Kind.MESSAGE_STATE and is_outcome(body):
            self._parts.delivery.urge(record.digest)
        self.keeper.keep(record)
        return record

    def report(self, code: str, text: str | None, next_step: str) -> None:
        """Report a fault with what to do next; None: it is over."""
        self._parts.faults.report(code, text, next_step, unix_ms(self.utc(self._now())))

    # --- who is told of what -----------------------------------------------------------------------------

    def _woken(self) -> None:
        for core in self.wake.values():
            core.set()
        self.changes.tell()

    def _felt(self, felt: Felt) -> None:
        """A pattern was felt to its end."""
        if felt.about == SELF_TEST:
            self.selftest.felt()
        elif felt.about == MAIL:
            self.group.create_task(self.doorbell.felt())
        elif felt.about and (kept := KEPT_AS.get(felt.pattern)) is not None:
            self.group.create_task(self.keeper.felt(felt.about, kept))

    def _arrived(self, letter: Letter) -> None:
        self.doorbell.ring(letter, on_duty=self.duty.is_on)
        self.changes.tell()

    def _exercise_changed(self) -> None:
        self.attention()
        self.obey()

    def _settled(self, record: SignedRecord) -> None:
        self.ending.settled(record)
        self.wake["wipe"].set()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self.group.create_task(work)

    async def _resume_orders(self) -> None:
        """Raises StoreError."""
        await self.mailbox.orders.resume()
        if self.updates.wanted is not None:
            # a new software has to show that it reaches the gateway, and off duty nothing else would
            self.mailbox.wake()

    def _owes(self) -> bool:
        return self.ending.owes()

    def _is_idle(self) -> bool:
        return self.ending.is_idle()

    def _utc_s_on_duty(self) -> float | None:
        utc = self.utc(self._now()) if self.duty.is_on else None
        return None if utc is None else utc.unix_ms / 1000

    def _bench(self, show_led: Show, vibrate: Show) -> Bench:
        return Bench(
            parts=self._parts,
            utc=self.utc,
            gnss_clock=self.dates.gnss_clock,
            moment=self.aging.moment,
            store_state=lambda: self.keeper.store_state,
            battery=self.senses.battery_json,
            ask=self.mailbox.ask,
            show_led=show_led,
            vibrate=vibrate,
            sentences=sum(self._parts.locator.state().sentences.values()),
        )
