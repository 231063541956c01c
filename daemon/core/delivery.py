"""Which record goes over which bearer, and when. Pure: `now` is the monotonic clock in seconds.

The core owns the queue, the retries and the deadlines; a bearer only carries what it is given. Nothing leaves the queue
but by a verified receipt: errors slow down, they never end.
"""

import math
import random
from collections import Counter
from dataclasses import dataclass
from enum import Enum
from itertools import count

from bondmate.records import SignedRecord, Stream


class Channel(Enum):
    """What a record may hold up: alerts have exchanges of their own, which nothing routine takes from them."""

    ALERT = "alert"
    ROUTINE = "routine"


CAPACITY = {Channel.ALERT: 4, Channel.ROUTINE: 1}
"""Exchanges under way at once over one bearer. Four, so that a new alert and its cancellation go out at once though
older ones wait for an answer that never comes; and no more, for an outage must not become a flood."""


PRIORITY = {
    Stream.ALERT: 0,
    Stream.POSITION: 1,
    Stream.STATE: 2,
    Stream.HEALTH: 3,
    Stream.PRESENCE: 4,
    Stream.REPORT: 5,
}
"""Lower goes first."""


@dataclass(frozen=True, slots=True)
class DeliveryPolicy:
    """The times of delivery, in seconds."""

    attempt_s: float = 22.0
    """A confirmable exchange gives up after 14 to 21 s (ACK_TIMEOUT 2 s, two retransmissions): never cut one short."""
    backoff_s: float = 1.0
    """After the first failed attempt: most losses are single datagrams."""
    alert_cap_s: float = 8.0
    """No alert waits longer between two tries, jitter aside, for ever."""
    routine_cap_s: float = 30.0
    """The same for everything else; a whole outage costs a handful of datagrams a minute."""
    jitter: float = 0.25
    """Spread of each wait, so that a town of devices does not knock in step after an outage."""
    hung_s: float = 5.0
    """A bearer that does not report within this after the attempt's end is written off for that attempt."""


@dataclass(frozen=True, slots=True)
class Transmit:
    """Do it: send this record over this bearer and report before `deadline_s` (monotonic)."""

    record: SignedRecord
    bearer: str
    deadline_s: float


@dataclass(frozen=True, slots=True)
class _Flight:
    bearer: str
    channel: Channel
    until_s: float


@dataclass(slots=True)
class _Entry:
    record: SignedRecord
    order: int
    stored_at_ms: int | None
    stored: bool
    attempts: int = 0
    last_try_s: float = -math.inf
    next_try_s: float = 0.0
    bearer: str | None = None
    why: str = "not tried yet"

    @property
    def priority(self) -> int:
        return PRIORITY[self.record.id.stream]

    @property
    def channel(self) -> Channel:
        return Channel.ALERT if self.record.id.stream is Stream.ALERT else Channel.ROUTINE


@dataclass(frozen=True, slots=True)
class Waiting:
    """One row of the queue, for people."""

    record: SignedRecord
    priority: int
    in_flight: bool
    stored: bool
    stored_at_ms: int | None
    attempts: int
    next_try_s: float | None
    bearer: str | None
    why: str


class Delivery:
    """The queue of records that have no verified receipt yet."""

    def __init__(self, policy: DeliveryPolicy, bearers: tuple[str, ...], rng: random.Random) -> None:
        """`bearers` in order of preference."""
        self._policy = policy
        self._bearers = bearers
        self._rng = rng
        self._order = count()
        self._entries: dict[bytes, _Entry] = {}
        """By digest: what a receipt names."""
        self._flights: dict[bytes, _Flight] = {}
        """By digest, until the bearer reports: a receipt may come another way before that."""

    def submit(self, record: SignedRecord, now: float, *, stored: bool, stored_at_ms: int | None = None) -> None:
        """Queue a record; it is due at once. A record that is already queued stays as it is.

        `stored_at_ms` is UTC when its commit returned, if that was known.
        """
        entry = _Entry(record, next(self._order), stored_at_ms, stored, next_try_s=now)
        self._entries.setdefault(record.digest, entry)

    def find(self, digest: bytes) -> SignedRecord | None:
        """The queued record with that digest."""
        entry = self._entries.get(digest)
        return None if entry is None else entry.record

    def mark_stored(self, digest: bytes, stored_at_ms: int | None) -> None:
        """The record was committed after it was queued."""
        if entry := self._entries.get(digest):
            entry.stored, entry.stored_at_ms = True, stored_at_ms

    def unstored(self) -> list[SignedRecord]:
        """The records that are only in memory, oldest first."""
        return [entry.record for entry in self._entries.values() if not entry.stored]

    def unstore(self) -> None:
        """The store was opened anew and may be a fresh one: nothing counts as stored until it is committed again."""
        for entry in self._entries.values():
            entry.stored = False

    def remove(self, digest: bytes) -> None:
        """The record has a verified receipt. A bearer that still carries it stays busy until it reports."""
        self._entries.pop(digest, None)

    def failed(self, digest: bytes, bearer: str, why: str, now: float) -> None:
        """The attempt over `bearer` ended; a record that is still queued waits for the next. `why` is for people."""
        flight = self._flights.get(digest)
        if flight is not None and flight.bearer == bearer:
            self._land(digest, why, now)

    def reachable(self, now: float) -> None:
        """A way to the gateway works again, or a new one is open: whatever waits for its next try is due now."""
        for entry in self._grounded():
            entry.next_try_s = min(entry.next_try_s, now)

    def poll(self, now: float) -> list[Transmit]:
        """What to send now.

        The most urgent first; of these what was never tried, the newest first, for somebody may have pressed just
        now; then what was tried longest ago, so that no record keeps another from its turn.
        """
        for digest, flight in list(self._flights.items()):
            if now >= flight.until_s + self._policy.hung_s:
                self._land(digest, f"{flight.bearer} did not report in time", now)
        due = [entry for entry in self._grounded() if entry.next_try_s <= now]
        due.sort(key=lambda entry: (entry.priority, entry.last_try_s, -entry.order))
        return [transmit for entry in due if (transmit := self._start(entry, now)) is not None]

    def next_due(self) -> float | None:
        """When `poll` has something to do next, if nothing is reported before."""
        times = [entry.next_try_s for entry in self._grounded() if self._free(entry.channel)]
        times += [flight.until_s + self._policy.hung_s for flight in self._flights.values()]
        return min(times, default=None)

    def snapshot(self, now: float) -> list[Waiting]:
        """The queue, the most urgent first."""
        return [
            Waiting(
                record=entry.record,
                priority=entry.priority,
                in_flight=entry.record.digest in self._flights,
                stored=entry.stored,
                stored_at_ms=entry.stored_at_ms,
                attempts=entry.attempts,
                next_try_s=None if entry.record.digest in self._flights else max(0.0, entry.next_try_s - now),
                bearer=entry.bearer,
                why=entry.why,
            )
            for entry in sorted(self._entries.values(), key=lambda entry: (entry.priority, entry.order))
        ]

    def _start(self, entry: _Entry, now: float) -> Transmit | None:
        bearer = self._free(entry.channel)
        if bearer is None:
            return None
        until_s = now + self._policy.attempt_s
        self._flights[entry.record.digest] = _Flight(bearer, entry.channel, until_s)
        entry.attempts += 1
        entry.last_try_s = now
        entry.bearer = bearer
        entry.why = f"waiting for the gateway's answer over {bearer}"
        return Transmit(entry.record, bearer, until_s)

    def _free(self, channel: Channel) -> str | None:
        busy = Counter(flight.bearer for flight in self._flights.values() if flight.channel is channel)
        return next((bearer for bearer in self._bearers if busy[bearer] < CAPACITY[channel]), None)

    def _grounded(self) -> list[_Entry]:
        return [entry for digest, entry in self._entries.items() if digest not in self._flights]

    def _land(self, digest: bytes, why: str, now: float) -> None:
        del self._flights[digest]
        entry = self._entries.get(digest)
        if entry is None:
            return
        policy = self._policy
        cap_s = policy.alert_cap_s if entry.channel is Channel.ALERT else policy.routine_cap_s
        wait_s = min(policy.backoff_s * 2 ** min(entry.attempts - 1, 16), cap_s)
        entry.next_try_s = now + wait_s * self._rng.uniform(1 - policy.jitter, 1 + policy.jitter)
        entry.why = why
