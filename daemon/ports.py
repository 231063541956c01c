"""The interfaces between the device and what it is plugged into, as typing.Protocols.

Adapters implement them; the device knows nothing else of its adapters.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from bondmate.records import (
    EarlierAlert,
    Felt,
    Fix,
    History,
    Moment,
    Opened,
    SessionId,
    SignedRecord,
    StoredRecord,
    Stream,
)


class Outbox(Protocol):
    """The durable queue. Every method raises StoreError, and returns only when its effect is on the disk.

    While it is not open, every other call raises StoreError. Every write also keeps its moment as the clock's.
    """

    async def open(self) -> Opened:
        """Open what is not open. A damaged file is set aside, never deleted."""

    async def salvage(self) -> int:
        """Take up what can still be read of a damaged file's undelivered records; how many.

        Nothing to do nearly always. What an error cuts short goes on with the next call; where some were taken up
        before it, their number is returned, and the next call meets the error.
        """

    async def history(self) -> History:
        """Where the chains ended."""

    async def clock(self) -> Moment | None:
        """The moment of the last write: how old the device was, and the last known UTC. None in a fresh file."""

    async def add(self, record: SignedRecord, moment: Moment) -> None:
        """Commit a record; one that is there already is left as it is. Alerts may use the reserve of a full disk."""

    async def restore(self, records: Sequence[SignedRecord], history: History, moment: Moment) -> None:
        """Commit what a fresh file has to know, at once: records that are not there, and where the chains stand.

        A head that is given as lost never hides one that is there.
        """

    async def shift(self, session: SessionId, since_s: float, until_s: float, by_s: float) -> None:
        """Records of a session, and receipts, are so much later than they say.

        Where they are later than `since_s` and not later than `until_s`, both before the move: the device learnt only
        then how long the pause before the session had been.
        """

    async def mark_delivered(self, digest: bytes, receipt: bytes, moment: Moment) -> None:
        """Keep the verified receipt of a record; a second one changes nothing."""

    async def mark_felt(self, digest: bytes, felt: Felt) -> None:
        """Keep what the palm felt of an alert."""

    async def thin(self, gap: SignedRecord, digests: Sequence[bytes], moment: Moment) -> None:
        """Commit a gap record and, with it, forget the records without a receipt that it names."""

    async def waiting(self) -> Mapping[Stream, int]:
        """How many records of each stream have no receipt."""

    async def pending(self, stream: Stream, limit: int, before: int | None = None) -> list[StoredRecord]:
        """Records of a stream without a receipt, the newest first; `before` is the last place of the page before."""

    async def latest_alert(self) -> EarlierAlert | None:
        """The newest alert; None without one."""

    async def upkeep(self, moment: Moment, keep_delivered_s: float) -> None:
        """Erase what was delivered longer ago than that (but the newest alert), and fill the reserve again."""


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
