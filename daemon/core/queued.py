"""What delivery remembers of each record in its queue, and of each exchange under way. Decides nothing."""

from dataclasses import dataclass, field

from bondmate.core.places import Channel
from bondmate.records import Moment, SignedRecord, Stream


@dataclass(frozen=True, slots=True)
class Transmit:
    """Do it: send this record over this bearer and report before `deadline_s` (monotonic).

    `number` tells one attempt from all others.
    """

    record: SignedRecord
    bearer: str
    deadline_s: float
    number: int


@dataclass(slots=True, eq=False)
class Queued:
    """A record that has no verified receipt yet. Times are monotonic seconds, but for `born_s`."""

    record: SignedRecord
    born_s: float
    """The device's lifetime when it was made."""
    stored: Moment | None
    since_s: float
    """When it was submitted."""
    due_s: float
    """When the next attempt may start; infinite while nothing but a report can tell."""
    waits_since_s: float
    """When it was submitted, or tried last."""
    fresh: bool
    """Whether it is an alert that was never tried, and was the youngest when it was queued."""
    racing: bool = False
    """Whether `due_s` is the start of another bearer beside those that carry it; else it is a retry."""
    parked: bool = False
    """Whether it is only kept, and not sent again."""
    attempts: int = 0
    failures: int = 0
    bearer: str | None = None
    why: str = "not tried yet"
    carriers: set[str] = field(default_factory=set)
    """The bearers that carry it now, without the exchanges that were written off."""
    failed_s: dict[str, float] = field(default_factory=dict)
    """When each bearer failed it last."""
    taken: dict[str, int] = field(default_factory=dict)
    """How often each network took it, on routes without answers."""
    not_before_s: dict[str, float] = field(default_factory=dict)
    """When it may go over such a route again."""

    @property
    def channel(self) -> Channel:
        return Channel.ALERT if self.record.id.stream is Stream.ALERT else Channel.ROUTINE


@dataclass(slots=True, eq=False)
class Flight:
    """An exchange that the bearer did not report yet, whether its record is still queued or not."""

    order: Transmit
    of: Queued
    started_s: float
    written_off: bool = False
    """Whether it holds no place any more, and its record was sent again or may be."""
