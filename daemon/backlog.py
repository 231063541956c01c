"""What earlier sessions left in the store, and does not fit into memory: loaded as the newer ones are delivered.

100,000 records in memory would be 100 MB. Decides nothing about what is sent when; see core/delivery.
"""

from collections.abc import Callable, Mapping

from bondmate.core.delivery import Delivery
from bondmate.ports import Outbox
from bondmate.records import Stream

WINDOW: Mapping[Stream, int] = {
    Stream.ALERT: 256,
    Stream.STATE: 64,
    Stream.POSITION: 512,
    Stream.HEALTH: 32,
    Stream.PRESENCE: 128,
    Stream.REPORT: 16,
}
"""So many records of each stream are loaded; each has room of its own, so that none keeps another out."""


class Backlog:
    """The records that wait in the store alone."""

    def __init__(self, outbox: Outbox, delivery: Delivery, lifetime_s: Callable[[], float]) -> None:
        """`lifetime_s` tells how old the device is."""
        self._outbox = outbox
        self._delivery = delivery
        self._lifetime_s = lifetime_s
        self._uncounted = False
        """What is in the store has to be looked at from the beginning."""
        self._places: dict[Stream, int | None] = {}
        """The streams of which the store may have more than memory, and the place behind which it begins."""
        self._counts: dict[Stream, int] = {}

    def counts(self) -> Mapping[Stream, int]:
        """How many records of each stream wait in the store alone."""
        return self._counts

    def begin(self) -> None:
        """There is something in the store that memory may not have: the next `load` begins anew."""
        self._uncounted = True

    async def load(self, now: float) -> bool:
        """Load more, the newest first, where memory has less than half of what it may; True if it did. StoreError."""
        if self._uncounted:
            for stream, count in (await self._outbox.waiting()).items():
                self._places[stream], self._counts[stream] = None, count
            self._uncounted = False
        loaded = False
        in_memory = self._delivery.counts()
        for stream, place in list(self._places.items()):
            room = WINDOW[stream] - in_memory.get(stream, 0)
            if room < WINDOW[stream] / 2:
                continue
            page = await self._outbox.pending(stream, room, place)
            for kept in page:  # those of this session are in memory already, and stay as they are
                # none is younger than a press of this moment, whatever a damaged file says
                born_s = min(kept.stored.lifetime_s, self._lifetime_s())
                self._delivery.submit(kept.record, now, stored=kept.stored, born_s=born_s)
            if page:
                self._places[stream] = page[-1].place
                # what this session added since they were counted is in memory already
                self._counts[stream] = max(0, self._counts[stream] - len(page))
                loaded = True
            else:
                del self._places[stream], self._counts[stream]
        return loaded
