"""Which record goes over which bearer, and when. Pure: `now` is the monotonic clock in seconds.

The core owns the queue, the retries and the deadlines; a bearer only carries one submission at a time for each
channel. Nothing leaves the queue but by a verified receipt: errors slow down, they never end.
"""

import random
from dataclasses import dataclass
from enum import Enum
from itertools import count

from bondmate.records import SignedRecord, Stream


class Channel(Enum):
    """The socket of a bearer: one confirmable exchange at a time in each, so alerts have their own."""

    ALERT = "alert"
    ROUTINE = "routine"


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
    backoff_cap_s: float = 30.0
    """An alert is tried at least this often, for ever; a whole outage costs two datagrams a minute."""
    jitter: float = 0.25
    """Spread of each wait, so that a town of devices does not knock in step after an outage."""
    hung_s: float = 5.0
    """A bearer that does not report within this after the attempt's end is written off for that attempt."""


@dataclass(frozen=True, slots=True)
class Transmit:
    """Do it: send this record over this bearer's channel and report before `deadline_s` (monotonic)."""

    record: SignedRecord
    bearer: str
    channel: Channel
    deadline_s: float


@dataclass(slots=True)
class _Flight:
    bearer: str
    until_s: float


@dataclass(slots=True)
class _Entry:
    record: SignedRecord
    order: int
    stored: bool
    attempts: int = 0
    next_try_s: float = 0.0
    flight: _Flight | None = None
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

    def submit(self, record: SignedRecord, now: float, *, stored: bool) -> None:
        """Queue a record; it is due at once. A record that is already queued stays as it is."""
        self._entries.setdefault(record.digest, _Entry(record, next(self._order), stored, next_try_s=now))

    def find(self, digest: bytes) -> SignedRecord | None:
        """The queued record with that digest."""
        entry = self._entries.get(digest)
        return None if entry is None else entry.record

    def mark_stored(self, digest: bytes) -> None:
        """The record was committed after it was queued."""
        if entry := self._entries.get(digest):
            entry.stored = True

    def remove(self, digest: bytes) -> None:
        """The record has a verified receipt."""
        self._entries.pop(digest, None)

    def failed(self, digest: bytes, bearer: str, why: str, now: float) -> None:
        """The attempt over `bearer` ended without a receipt for this record; `why` is for people."""
        entry = self._entries.get(digest)
        if entry is not None and entry.flight is not None and entry.flight.bearer == bearer:
            self._back_off(entry, why, now)

    def poll(self, now: float) -> list[Transmit]:
        """What to send now, the most urgent first."""
        for entry in self._entries.values():
            if entry.flight is not None and now >= entry.flight.until_s + self._policy.hung_s:
                self._back_off(entry, f"{entry.flight.bearer} did not report in time", now)
        due = sorted(
            (entry for entry in self._entries.values() if entry.flight is None and entry.next_try_s <= now),
            key=lambda entry: (entry.priority, entry.order),
        )
        return [transmit for entry in due if (transmit := self._start(entry, now)) is not None]

    def next_due(self) -> float | None:
        """When `poll` has something to do next, if nothing is reported before."""
        times = [
            entry.flight.until_s + self._policy.hung_s if entry.flight else entry.next_try_s
            for entry in self._entries.values()
            if entry.flight or self._free(entry.channel)
        ]
        return min(times, default=None)

    def snapshot(self, now: float) -> list[Waiting]:
        """The queue in the order in which it will be sent."""
        return [
            Waiting(
                record=entry.record,
                priority=entry.priority,
                in_flight=entry.flight is not None,
                stored=entry.stored,
                attempts=entry.attempts,
                next_try_s=None if entry.flight else max(0.0, entry.next_try_s - now),
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
        entry.flight = _Flight(bearer, until_s)
        entry.attempts += 1
        entry.bearer = bearer
        entry.why = f"waiting for the gateway's answer over {bearer}"
        return Transmit(entry.record, bearer, entry.channel, until_s)

    def _free(self, channel: Channel) -> str | None:
        busy = {entry.flight.bearer for entry in self._entries.values() if entry.flight and entry.channel is channel}
        return next((bearer for bearer in self._bearers if bearer not in busy), None)

    def _back_off(self, entry: _Entry, why: str, now: float) -> None:
        policy = self._policy
        wait_s = min(policy.backoff_s * 2 ** min(entry.attempts - 1, 16), policy.backoff_cap_s)
        entry.flight = None
        entry.next_try_s = now + wait_s * self._rng.uniform(1 - policy.jitter, 1 + policy.jitter)
        entry.why = why
