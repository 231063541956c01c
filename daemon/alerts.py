"""The alert that is open, as the device knows it: from raised to delivered, or cancelled."""

from dataclasses import dataclass
from typing import Any, Self

from bondmate.records import EarlierAlert, SignedRecord, unix_ms, utc_text


@dataclass(slots=True)
class AlertState:
    """One alert. Times in seconds are monotonic, None after a restart; in milliseconds UTC, None if unknown."""

    record: SignedRecord
    raised_s: float | None = None
    stored_s: float | None = None
    stored_at_ms: int | None = None
    is_stored: bool = False
    delivered_s: float | None = None
    delivered_at_ms: int | None = None
    is_delivered: bool = False
    cancelled: bool = False

    @classmethod
    def restored(cls, earlier: EarlierAlert) -> Self:
        """From what the outbox has of it."""
        kept = earlier.alert
        return cls(
            kept.record,
            stored_at_ms=kept.stored.utc_ms,
            is_stored=True,
            delivered_at_ms=None if kept.delivered is None else kept.delivered.utc_ms,
            is_delivered=kept.delivered is not None,
            cancelled=earlier.cancelled,
        )

    def stored(self, now: float, utc_ms: int | None) -> None:
        """Its commit returned."""
        self.is_stored, self.stored_s, self.stored_at_ms = True, now, utc_ms

    def delivered(self, now: float, utc_ms: int | None) -> None:
        """A verified receipt came."""
        self.is_delivered, self.delivered_s, self.delivered_at_ms = True, now, utc_ms

    @property
    def state(self) -> str:
        """raised, stored, delivered or cancelled."""
        if self.cancelled:
            return "cancelled"
        if self.is_delivered:
            return "delivered"
        return "stored" if self.is_stored else "raised"

    def to_json(self) -> dict[str, Any]:
        """As in `bondmatectl alert show --json`."""
        return {
            "alert_id": str(self.record.id),
            "kind": self.record.kind.label,
            "state": self.state,
            "raised_at": utc_text(unix_ms(self.record.made_at)),
            "stored_at": utc_text(self.stored_at_ms),
            "delivered_at": utc_text(self.delivered_at_ms),
            "acknowledged_at": None,
            "closed_at": None,
            "exercise": False,
            "stored_after_ms": _milliseconds(self.raised_s, self.stored_s),
            "delivered_after_ms": _milliseconds(self.raised_s, self.delivered_s),
        }


def _milliseconds(since_s: float | None, until_s: float | None) -> float | None:
    return None if since_s is None or until_s is None else round((until_s - since_s) * 1000, 3)
