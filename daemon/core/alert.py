"""The life of an alert, as a table; docs/alert.md has it as a picture. Pure: times in s are the monotonic clock's.

What a gateway says of an alert comes in any order and again, before the commit too, and over a restart. So the table
has an answer to everything in every state, and where an alert stands depends on what happened to it and never on the
order. Nothing ends it but the officer and a dispatcher: whether they say so is verified elsewhere.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Any, Self

from bondmate.records import EarlierAlert, How, Kind, RecordId, SignedRecord, unix_ms, utc_text

CANCEL_AFTER_S = 10.0
"""No gesture cancels an alert that is younger: whoever fumbles at the button has not changed his mind yet."""
NO_WAY_OUT_S = 60.0
"""An alert that is not delivered by then is felt as one not to rely on. An SMS takes a quarter of a minute or more."""


class State(StrEnum):
    """Where an alert stands."""

    RAISED = "raised"
    STORED = "stored"
    DELIVERED = "delivered"
    ACKNOWLEDGED = "acknowledged"
    CLOSED = "closed"
    CANCELLED = "cancelled"


class Event(Enum):
    """What happens to an alert."""

    STORED = "its commit returned"
    DELIVERED = "a verified receipt"
    ACKNOWLEDGED = "a dispatcher saw it"
    CLOSED = "a dispatcher closes it"
    CANCELLED = "the officer takes it back"


_TABLE = {
    # in the order of Event: stored, delivered, acknowledged, closed, cancelled
    State.RAISED: (State.STORED, State.DELIVERED, State.ACKNOWLEDGED, State.CLOSED, State.CANCELLED),
    State.STORED: (State.STORED, State.DELIVERED, State.ACKNOWLEDGED, State.CLOSED, State.CANCELLED),
    State.DELIVERED: (State.DELIVERED, State.DELIVERED, State.ACKNOWLEDGED, State.CLOSED, State.CANCELLED),
    State.ACKNOWLEDGED: (State.ACKNOWLEDGED, State.ACKNOWLEDGED, State.ACKNOWLEDGED, State.CLOSED, State.CANCELLED),
    State.CANCELLED: (State.CANCELLED, State.CANCELLED, State.CANCELLED, State.CLOSED, State.CANCELLED),
    State.CLOSED: (State.CLOSED, State.CLOSED, State.CLOSED, State.CLOSED, State.CLOSED),
}
TRANSITIONS: Mapping[State, Mapping[Event, State]] = {
    state: dict(zip(Event, row, strict=True)) for state, row in _TABLE.items()
}
OVER = frozenset({State.CLOSED, State.CANCELLED})
"""In these an alert is not open."""


@dataclass(frozen=True, slots=True)
class When:
    """When something happened: by the monotonic clock, None in an earlier session; in UTC, None where unknown."""

    at_s: float | None
    utc_ms: int | None


@dataclass(slots=True)
class Alert:
    """The newest call of an officer, or of the device for him. `raised_s` is None for one of an earlier session.

    A method that tells of an event returns whether it is news: the first of its kind, while the alert is open.
    """

    record: SignedRecord
    raised_s: float | None = None
    escalates: RecordId | None = None
    """The call before it, if an alert was open already."""
    resumed: bool = False
    """It was open in an earlier session, and goes on in this."""
    state: State = State.RAISED
    acknowledged_by: str | None = None
    how_cancelled: How | None = None
    """Shown to nobody here: whoever forced the officer would look."""
    _happened: dict[Event, When] = field(default_factory=dict)
    _since_s: float | None = None
    """When the officer's waiting began in this session."""
    _warned: bool = False

    def __post_init__(self) -> None:
        self._since_s = self.raised_s

    @classmethod
    def restored(cls, earlier: EarlierAlert, now: float | None = None) -> Self:
        """From what the outbox has of it; it goes on from `now`, where that is given."""
        alert = cls(earlier.alert.record, acknowledged_by=earlier.acknowledged_by)
        known = {Event.STORED: earlier.alert.stored, Event.DELIVERED: earlier.alert.delivered}
        known |= {Event.ACKNOWLEDGED: earlier.acknowledged, Event.CLOSED: earlier.closed}
        for event, moment in known.items():
            if moment is not None:
                alert._happens(event, None, moment.utc_ms)
        if earlier.cancelled:
            alert._happens(Event.CANCELLED, None, None)
        alert.resumed, alert._since_s = alert.is_open, now
        return alert

    # --- what happens to it --------------------------------------------------------------------------

    def stored(self, now: float, utc_ms: int | None) -> bool:
        """Its commit returned."""
        return self._happens(Event.STORED, now, utc_ms)

    def delivered(self, now: float, utc_ms: int | None) -> bool:
        """A verified receipt came."""
        return self._happens(Event.DELIVERED, now, utc_ms)

    def acknowledged(self, now: float, utc_ms: int | None, by: str | None = None) -> bool:
        """A dispatcher of this name saw it. The first counts; told again after a restart, the name is known again."""
        self.acknowledged_by = self.acknowledged_by or by
        return self._happens(Event.ACKNOWLEDGED, now, utc_ms)

    def closed(self, now: float, utc_ms: int | None) -> bool:
        """A dispatcher closed it."""
        return self._happens(Event.CLOSED, now, utc_ms)

    def cancelled(self, now: float, utc_ms: int | None, how: How | None = None) -> bool:
        """The officer takes it back. False where it is not open: then nothing changes."""
        if not self.is_open:
            return False
        self.how_cancelled = how
        return self._happens(Event.CANCELLED, now, utc_ms)

    def is_named(self, digests: Collection[bytes]) -> bool:
        """Whether a message that names these calls is about this one, and not only about one that it escalates.

        What the officer called after the dispatcher looked, the dispatcher has not seen.
        """
        return self.record.digest in digests

    # --- how it stands -------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Neither cancelled nor closed."""
        return self.state not in OVER

    @property
    def is_stored(self) -> bool:
        """Whether its commit returned."""
        return Event.STORED in self._happened

    @property
    def is_delivered(self) -> bool:
        """Whether a verified receipt came."""
        return Event.DELIVERED in self._happened

    @property
    def is_acknowledged(self) -> bool:
        """Whether a dispatcher saw it."""
        return Event.ACKNOWLEDGED in self._happened

    def no_way_out_due(self) -> float | None:
        """When it is to be felt that nothing got through; None when it need not be, or was already."""
        hopes = self.is_open and not self._warned and not (self.is_delivered or self.is_acknowledged)
        return self._since_s + NO_WAY_OUT_S if hopes and self._since_s is not None else None

    def no_way_out(self, now: float) -> bool:
        """Whether that is due; True once."""
        due_s = self.no_way_out_due()
        is_due = due_s is not None and now >= due_s
        self._warned = self._warned or is_due
        return is_due

    def cancellable(self, now: float) -> bool:
        """Whether a gesture may cancel it by now; a PIN may at any time."""
        return self.is_open and self._cancellable_in_s(now) == 0.0

    def to_json(self, now: float) -> dict[str, Any]:
        """As in `bondmatectl alert show --json`; the same whether the officer was forced to cancel it or not."""
        return {
            "alert_id": str(self.record.id),
            "kind": self.record.kind.label,
            "state": str(self.state),
            "raised_at": utc_text(unix_ms(self.record.made_at)),
            "stored_at": self._utc(Event.STORED),
            "delivered_at": self._utc(Event.DELIVERED),
            "acknowledged_at": self._utc(Event.ACKNOWLEDGED),
            "acknowledged_by": self.acknowledged_by,
            "closed_at": self._utc(Event.CLOSED),
            "exercise": self.record.kind is Kind.EXERCISE,
            "escalates": None if self.escalates is None else str(self.escalates),
            "resumed": self.resumed,
            "cancellable_in_s": round(self._cancellable_in_s(now), 3) if self.is_open else None,
            "stored_after_ms": self._after_ms(Event.STORED),
            "delivered_after_ms": self._after_ms(Event.DELIVERED),
        }

    def _happens(self, event: Event, now: float | None, utc_ms: int | None) -> bool:
        news = self.is_open and event not in self._happened
        self._happened.setdefault(event, When(now, utc_ms))
        self.state = TRANSITIONS[self.state][event]
        return news

    def _cancellable_in_s(self, now: float) -> float:
        # the same sum for whoever waits: a difference may be rounded to just above nothing
        since_s = self._since_s
        return 0.0 if since_s is None or now >= since_s + CANCEL_AFTER_S else since_s + CANCEL_AFTER_S - now

    def _utc(self, event: Event) -> str | None:
        when = self._happened.get(event)
        return None if when is None else utc_text(when.utc_ms)

    def _after_ms(self, event: Event) -> float | None:
        when = self._happened.get(event)
        if when is None or when.at_s is None or self.raised_s is None:
            return None
        return round((when.at_s - self.raised_s) * 1000, 3)
