"""The interfaces between the device and what it is plugged into, as typing.Protocols.

Adapters implement them; the device knows nothing else of its adapters.
"""

from typing import Protocol

from bondmate.records import Fix, History, SessionId, SignedRecord, StoredRecord


class Outbox(Protocol):
    """The durable queue. Every method raises StoreError, and returns only when its effect is on the disk."""

    async def open(self) -> bool:
        """Open what is not open. True when this call did: then it may be a fresh file, which has nothing."""

    async def history(self) -> History:
        """Where the chains of earlier sessions ended."""

    async def add(self, record: SignedRecord, stored_at_ms: int | None) -> None:
        """Commit a record; one that is there already is left as it is."""

    async def mark_delivered(self, digest: bytes, receipt: bytes, delivered_at_ms: int | None) -> None:
        """Keep the verified receipt of a record; a second one changes nothing."""

    async def pending(self) -> list[StoredRecord]:
        """Every record without a receipt, oldest first."""

    async def latest_alert(self) -> list[StoredRecord]:
        """The newest alert and, behind it, what followed it in its stream and as positions; empty without an alert."""


class Bearer(Protocol):
    """Moves submissions to the gateway."""

    @property
    def name(self) -> str:
        """The bearer's name: ip, lte or sms."""

    @property
    def session(self) -> SessionId:
        """The session that its channel runs in; records of any other carry theirs beside them."""

    @property
    def why_not(self) -> str | None:
        """Why it does not work now, in words; None while it does, as far as it knows."""

    @property
    def last_success_s(self) -> float | None:
        """Monotonic time of the last authenticated answer."""

    async def send(self, submission: bytes) -> bytes:
        """Send one submission and return the authenticated response's payload. Raises LinkError.

        Several may be under way at once; none holds another up. The caller sets the deadline.
        """


class Locator(Protocol):
    """Knows where the device is."""

    @property
    def fix(self) -> Fix | None:
        """The latest fix, however old, or None before the first."""

    @property
    def fault(self) -> str | None:
        """What is wrong with the receiver, in words; None while it works."""


class Indicator(Protocol):
    """The vibration motor and the LED."""

    def vibrate(self, on: bool) -> None:
        """Drive the motor."""

    def light(self, on: bool) -> None:
        """Drive the LED."""
