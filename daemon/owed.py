"""Verified receipts on their way into the store: each is kept with its record, as soon as the store takes it."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from bondmate.errors import StoreError, StoreTrouble
from bondmate.ports import Outbox
from bondmate.records import Felt, History, Moment, SessionId, SignedRecord

T = TypeVar("T")

MAX_OWED = 256
"""Receipts that wait for the store. Of what falls out, the gateway gives another after a restart, if the store has the
record; if it has not, nobody asks again."""


@dataclass(slots=True)
class _Owed:
    record: SignedRecord
    receipt: bytes
    stored: bool
    moment: Moment
    felt: Felt = Felt.NOTHING


class OwedReceipts:
    """The receipts that the store still has to take, the oldest first."""

    def __init__(self, outbox: Outbox, session: SessionId) -> None:
        self._outbox = outbox
        self._session = session
        self._owed: dict[bytes, _Owed] = {}

    def add(self, record: SignedRecord, receipt: bytes, moment: Moment, *, stored: bool) -> None:
        """A receipt came for a record; `stored`: whether the store has the record already."""
        self._owed[record.digest] = _Owed(record, receipt, stored, moment)
        if len(self._owed) > MAX_OWED:
            del self._owed[next(iter(self._owed))]

    def felt(self, digest: bytes, felt: Felt) -> None:
        """What the palm felt of a record, which is kept with its receipt if that has still to be kept."""
        if owed := self._owed.get(digest):
            owed.felt = felt

    async def settle(self, digest: bytes) -> None:
        """Keep one of them, if it is still owed. Raises StoreError."""
        owed = self._owed.get(digest)
        if owed is None:
            return
        if not owed.stored:  # the chain goes on from it, so the store should know it all the same
            await insert(self._outbox, owed.record, owed.moment, self._session)
        await self._outbox.mark_delivered(digest, owed.receipt, owed.moment)
        if owed.felt is not Felt.NOTHING:
            await self._outbox.mark_felt(digest, owed.felt)
        self._owed.pop(digest, None)

    async def settle_all(self) -> None:
        """Keep all of them; a full disk for one is no reason to leave the others. Raises StoreError."""
        await each(self.settle, list(self._owed))


async def each(write: Callable[[T], Awaitable[None]], items: Iterable[T]) -> None:
    """Write one after the other; a full disk for one stops none of the others. Raises StoreError in the end."""
    full: StoreError | None = None
    for item in items:
        try:
            await write(item)
        except StoreError as error:
            if error.trouble is not StoreTrouble.FULL:
                raise
            full = error
    if full is not None:
        raise full


async def insert(outbox: Outbox, record: SignedRecord, moment: Moment, session: SessionId) -> None:
    """Commit a record that may be of an earlier session: then no chain goes on from it any more. Raises StoreError."""
    if record.id.session == session:
        await outbox.add(record, moment)
    else:
        await outbox.restore([record], History({}), moment)
