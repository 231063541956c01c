"""What gets old: the device's own time, and the records that are thinned, expire, or are erased when delivered."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from bondmate.core.delivery import Delivery
from bondmate.core.lifetime import Lifetime
from bondmate.errors import StoreError, StoreTrouble
from bondmate.ports import Outbox
from bondmate.recorder import Recorder
from bondmate.records import Moment, SignedRecord, UtcTime, unix_ms

log = logging.getLogger(__name__)

UPKEEP_S = 600.0
"""How often the device's age is kept and old records are erased: seldom, to spare the card."""
RETRY_S = 60.0
"""How soon that is tried again where it failed."""


class Aging:
    """The lifetime of the device, and what follows from it. Methods that write raise StoreError."""

    def __init__(
        self,
        outbox: Outbox,
        delivery: Delivery,
        recorder: Recorder,
        utc: Callable[[float], UtcTime | None],
        keep_delivered_s: float,
    ) -> None:
        """`utc` tells UTC at a time of the loop; delivered records are erased `keep_delivered_s` later."""
        self._outbox = outbox
        self._delivery = delivery
        self._recorder = recorder
        self._utc = utc
        self._keep_delivered_s = keep_delivered_s
        self._now = asyncio.get_running_loop().time
        self._started_s = self._now()
        self._lifetime = Lifetime(self._started_s)
        self._pause: tuple[float, float, float] | None = None
        """A pause that the store has to be told: between which lifetimes it moves what it has, and by how much."""
        self._thinned: tuple[SignedRecord, Sequence[bytes]] | None = None
        """A gap record that the store still has to take, and what it names."""
        self._upkeep_due_s = 0.0
        self._no_room: str | None = None
        """What was wrong with the room for alerts when it was looked at last."""

    def moment(self) -> Moment:
        """Now."""
        now = self._now()
        clock = self._utc(now)
        since_s, until_s = self.at(self._started_s), self.at(now)
        if clock is not None and (moved_s := self._lifetime.on_utc(clock.unix_ms, now)):
            self._delivery.move(self._recorder.session, moved_s)
            self._pause = since_s, until_s, moved_s
        return Moment(self.at(now), unix_ms(clock))

    def at(self, time_s: float) -> float:
        """The lifetime at a time of the loop, in seconds."""
        return self._lifetime.at(time_s)

    def adopt(self, last: Moment | None) -> None:
        """Go on from the last moment that an earlier session kept."""
        if moved_s := self._lifetime.adopt(last):
            self._delivery.move(self._recorder.session, moved_s)

    async def tell_pause(self) -> None:
        """Correct what was written before UTC told how long the pause before this session had been."""
        if self._pause is not None:
            await self._outbox.shift(self._recorder.session, *self._pause)
            self._pause = None

    def commits(self, record: SignedRecord) -> bool:
        """Whether `thin` is to commit a record, together with what goes for it."""
        return self._thinned is not None and self._thinned[0] is record

    def forget(self) -> None:
        """The store was lost, and what was to be thinned with it."""
        self._thinned = None

    def surplus(self) -> SignedRecord | None:
        """Drop from the queue what is not worth its place any more; the gap record that names it, for `thin`."""
        if self._thinned is not None:
            return None
        now, moment = self._now(), self.moment()
        dropped = self._delivery.surplus(moment.lifetime_s)
        if not dropped:
            return None
        gap = self._recorder.gap(dropped, now, self._utc(now))
        log.info("%s names %d records that are not sent any more", gap.id, len(dropped))
        for each in dropped:
            self._delivery.remove(each.record.digest)
        self._thinned = gap, [each.record.digest for each in dropped]
        return gap

    async def thin(self) -> SignedRecord | None:
        """Commit the gap record, and with it that what it names is gone; the record, when there was one."""
        if self._thinned is None:
            return None
        gap, digests = self._thinned
        await self._outbox.thin(gap, digests, self.moment())
        self._thinned = None
        return gap

    async def maintain(self) -> str | None:
        """Erase what was delivered long ago, and keep room for alerts; what is wrong with the room, in words."""
        now = self._now()
        if now < self._upkeep_due_s:
            return self._no_room
        self._upkeep_due_s, self._no_room = now + UPKEEP_S, None
        try:
            await self._outbox.upkeep(self.moment(), self._keep_delivered_s)
        except StoreError as error:
            self._upkeep_due_s = now + RETRY_S
            if error.trouble is not StoreTrouble.FULL:
                raise
            self._no_room = str(error)
        return self._no_room
