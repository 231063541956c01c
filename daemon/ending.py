"""What may end this run for another one: a wipe, and new keys; and when nothing would be lost by that.

How each is carried out is wiping's and rekeying's.
"""

import asyncio

from bondmate.answers import Answers
from bondmate.buttons import Buttons
from bondmate.core.delivery import Delivery
from bondmate.core.tracking import Tracking
from bondmate.keeping import Keeper
from bondmate.records import SignedRecord, Stream
from bondmate.rekeying import Rekeyer
from bondmate.wiping import Wiper


class Ending:
    """All methods run in the event loop; times are the loop's."""

    def __init__(
        self,
        delivery: Delivery,
        keeper: Keeper,
        buttons: Buttons,
        answers: Answers,
        tracking: Tracking,
        wiper: Wiper,
        rekeyer: Rekeyer,
    ) -> None:
        """`wiper` asks here what is owed, `rekeyer` whether it is idle."""
        self._delivery = delivery
        self._keeper = keeper
        self._buttons = buttons
        self._answers = answers
        self._tracking = tracking
        self._wiper = wiper
        self._rekeyer = rekeyer
        self.over = asyncio.Event()
        """Set when this run has to end, and another one to begin."""

    def settled(self, record: SignedRecord) -> None:
        """A verified receipt names this record, or it was refused, for the device is revoked."""
        self._wiper.answered(record)

    def step_wipe(self, now: float) -> float | None:
        """Do what can be done of a wipe; when to be asked again."""
        due = self._wiper.step(now)
        if self._wiper.marked:
            self.over.set()
        return due

    def step_rekey(self, group: asyncio.TaskGroup, now: float) -> float | None:
        """The same of new keys; what takes time begins in `group`."""
        due = self._rekeyer.step(group, now)
        if self._rekeyer.over:
            self.over.set()
        return due

    def is_idle(self) -> bool:
        """Whether nothing is to be done that cannot wait, and another run would find all that this one has."""
        all_stored = self._keeper.store_state is not None and not self._delivery.unstored()
        return all_stored and not (self._tracking.alert_open or self.owes() or self._wiper.is_ordered)

    def owes(self) -> bool:
        """Whether the gateway has, or may have, anything of a call still to come.

        What it refused to a revoked device it has as an attempt; nobody there closes that device's alerts any more.
        """
        if self._buttons.is_touched or (self._tracking.alert_open and not self._answers.is_revoked):
            return True
        waiting = self._keeper.waiting()[Stream.ALERT] - self._delivery.parked(Stream.ALERT)
        return waiting > 0 or not self._keeper.is_settled
