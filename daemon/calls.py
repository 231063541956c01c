"""The alert at the device: raised, called again, taken back, acknowledged, closed, and gone on with after a restart.

What its life may be is core/alert's; this makes its records, and says what the palm feels of it, and only what is true.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable

from bondmate import wire
from bondmate.aging import Aging
from bondmate.core.alert import Alert
from bondmate.core.delivery import Delivery
from bondmate.core.feedback import Pattern
from bondmate.errors import LocalError
from bondmate.keeping import Keeper
from bondmate.palm import Palm
from bondmate.recorder import Recorder
from bondmate.records import (
    ALERT_KINDS,
    OFFICERS_KINDS,
    Duty,
    EarlierAlert,
    Felt,
    How,
    Kind,
    Moment,
    SignedRecord,
    StoredRecord,
    Stream,
    UtcTime,
    unix_ms,
)
from bondmate.tracker import Tracker

log = logging.getLogger(__name__)

KEPT_AS = {Pattern.STORED: Felt.STORED, Pattern.DELIVERED: Felt.DELIVERED, Pattern.ACKNOWLEDGED: Felt.ACKNOWLEDGED}
"""What the outbox keeps of the patterns, so that it is known after a crash what the palm still has to be told."""


class Calls:
    """One alert at a time: the newest call. All methods run in the event loop; times are the loop's."""

    def __init__(
        self,
        recorder: Recorder,
        delivery: Delivery,
        keeper: Keeper,
        tracker: Tracker,
        palm: Palm,
        aging: Aging,
        utc: Callable[[float], UtcTime | None],
        changed: Callable[[], None],
    ) -> None:
        """`changed` is called when an alert begins, ends, or is looked at by the dispatcher."""
        self._recorder = recorder
        self._delivery = delivery
        self._keeper = keeper
        self._tracker = tracker
        self._palm = palm
        self._aging = aging
        self._now = asyncio.get_running_loop().time
        self._utc = utc
        self._changed = changed
        self.alert: Alert | None = None
        """The newest call, open or not."""

    @property
    def open(self) -> Alert | None:
        """The newest call, while it is open."""
        return self.alert if self.alert is not None and self.alert.is_open else None

    # --- the officer, and what the device does for them ----------------------------------------------

    def call(self, kind: Kind, *, exercise: bool) -> Alert:
        """Raise an alert with what is known now, or raise it again; it is stored and sent from here on by itself.

        With an alert open any call is an escalation, which is real; else an officer's call in an exercise is one.
        """
        before = self.open
        if before is not None:
            kind = Kind.ESCALATION  # so whoever ends the newest call ends the alert, and nothing else stays open
        elif exercise and kind in OFFICERS_KINDS:
            kind = Kind.EXERCISE
        now = self._now()
        fix = self._tracker.fix
        record = self._recorder.make(kind, now, self._utc(now), None if fix is None else wire.pack_fix(fix, now))
        log.warning("%s raised: %s", kind.label, record.id, extra={"RECORD": str(record.id)})
        self.alert = Alert(record, now, escalates=None if before is None else before.record.id)
        self._palm.drop_all_but(record.digest)
        if kind is Kind.EXERCISE:
            self._palm.play(Pattern.EXERCISE, record.digest)
        self._keeper.keep(record)
        if before is None:
            self._tracker.open_alert(now)
        self._changed()
        return self.alert

    def cancel(self, how: How) -> Alert:
        """Take the open alert back; the gateway keeps and shows both. LocalError when none is open.

        Whether it was under duress stands in the record alone: here everything goes on as after a true one.
        """
        alert = self.open
        if alert is None:
            raise LocalError("no alert is open: there is nothing to cancel")
        now = self._now()
        named = alert.record.digest[: wire.NAMED_DIGEST_OCTETS] + bytes([how])
        record = self._recorder.make(Kind.CANCELLATION, now, self._utc(now), body=named)
        log.warning("%s cancelled by %s", alert.record.id, record.id)
        alert.cancelled(now, self._aging.moment().utc_ms, how)
        self._keeper.keep(record)
        self._end(under_duress=how is How.DURESS)
        return alert

    # --- the gateway ---------------------------------------------------------------------------------

    def acknowledged(self, digest: bytes, by: str) -> None:
        """A human saw this call."""
        alert = self.alert
        if alert is None or not alert.is_named([digest]):
            return
        if alert.acknowledged(self._now(), self._aging.moment().utc_ms, by):
            log.info("%s acknowledged by %s", alert.record.id, by, extra={"RECORD": str(alert.record.id)})
            self._palm.play(Pattern.ACKNOWLEDGED, digest)
        self._changed()

    def closed(self, digest: bytes, by: str) -> None:
        """The dispatcher says that this call is over. Of an older one that changes nothing: the newest stays open."""
        alert = self.alert
        if alert is None or not alert.is_named([digest]):
            return
        self._tracker.end_duress()
        if alert.closed(self._now(), self._aging.moment().utc_ms):
            log.warning("%s closed by %s", alert.record.id, by, extra={"RECORD": str(alert.record.id)})
            self._palm.play(Pattern.ATTENTION)
            self._end()
        self._changed()

    def refused(self, record: SignedRecord, reason: int | None, text: str) -> None:
        """The gateway signed that it will not take it: not tried again in this session, and kept for the next.

        An alert is refused for one reason alone; whatever else is said of it, it is tried again and again.
        """
        if record.id.stream is Stream.ALERT and reason != wire.REASON_REVOKED:
            return
        news = self._delivery.is_open(record.digest)
        self._delivery.park(record.digest, text)
        if news and self._is_newest(record):
            self._palm.play(Pattern.NO_WAY_OUT, record.digest)
            if self.alert is not None:
                self.alert.no_way_out(math.inf)  # said by now

    async def delivered(self, record: SignedRecord, kept: Awaitable[None]) -> None:
        """A verified receipt names our bytes: when it is kept, tell the officer, if it is of the newest call."""
        log.info("%s delivered", record.id, extra={"RECORD": str(record.id)})
        alert = self.alert
        news = alert is not None and self._is_newest(record) and not alert.is_delivered
        if news and alert is not None:
            alert.delivered(self._now(), self._aging.moment().utc_ms)
            self._changed()
        await kept
        if news and alert is self.alert and alert is not None and alert.is_open:
            self._palm.play(Pattern.DELIVERED, record.digest)

    # --- the store -----------------------------------------------------------------------------------

    def stored(self, record: SignedRecord, moment: Moment) -> None:
        """The commit returned: only now may the officer feel it, once, and only of the newest call."""
        alert = self.alert
        if alert is None or not self._is_newest(record) or alert.is_stored:
            return
        alert.stored(self._now(), moment.utc_ms)
        log.info("%s stored", record.id, extra={"RECORD": str(record.id)})
        if not alert.is_delivered:
            self._palm.play(Pattern.STORED, record.digest)
        self._changed()

    def not_stored(self, record: SignedRecord) -> None:
        """It goes from memory: a restart would forget it, and the officer is told so."""
        if record.kind in ALERT_KINDS:
            self._palm.play(Pattern.NO_WAY_OUT, record.digest)

    def resume(self, earlier: EarlierAlert, shift: Duty | None) -> None:
        """Go on with the alert of an earlier session; what a crash cut short in the palm is given again, to its end."""
        now = self._now()
        self.alert = Alert.restored(earlier, now)
        if not self.alert.is_open:
            in_this_shift = shift is not None and shift.began.lifetime_s <= earlier.alert.stored.lifetime_s
            if earlier.duress and earlier.closed is None and in_this_shift:
                self._tracker.begin_duress()
            return
        self._tracker.resume_alert(earlier, self._age_s(earlier.position or earlier.alert), now)
        kept = earlier.alert
        if earlier.acknowledged is not None and kept.felt < Felt.ACKNOWLEDGED:
            self._palm.play(Pattern.ACKNOWLEDGED, kept.record.digest)
        elif kept.delivered is not None and kept.felt < Felt.DELIVERED:
            self._palm.play(Pattern.DELIVERED, kept.record.digest)
        elif kept.felt < Felt.STORED:
            self._palm.play(Pattern.STORED, kept.record.digest)
        self._changed()

    def step(self, now: float) -> float | None:
        """Tell the officer once that nothing got out for a minute; when there is something to say next."""
        if self.alert is None:
            return None
        if self.alert.no_way_out(now):
            log.warning("%s: nothing got out yet", self.alert.record.id)
            self._palm.play(Pattern.NO_WAY_OUT, self.alert.record.digest)
        return self.alert.no_way_out_due()

    def _is_newest(self, record: SignedRecord) -> bool:
        return self.alert is not None and self.alert.record.digest == record.digest

    def _end(self, *, under_duress: bool = False) -> None:
        self._tracker.close_alert()
        if under_duress:
            self._tracker.begin_duress()
        self._changed()

    def _age_s(self, kept: StoredRecord) -> float:
        """How long ago a record of an earlier session was made; inf where UTC then, or now, is unknown."""
        now = self._now()
        utc_ms, made_ms = unix_ms(self._utc(now)), unix_ms(kept.record.made_at)
        if utc_ms is None or made_ms is None or utc_ms < made_ms:
            return math.inf
        return max((utc_ms - made_ms) / 1000, self._aging.at(now) - kept.stored.lifetime_s)
