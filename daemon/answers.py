"""What the gateway answered to records: its receipts, and what each verdict changes here.

The one place that calls a record delivered, and only one that a verified receipt names by digest.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from bondmate import receipts, wire
from bondmate.calls import Calls
from bondmate.keeping import Keeper
from bondmate.parts import Parts
from bondmate.records import RecordId, SignedRecord


class Answers:
    """All methods run in the event loop."""

    def __init__(
        self,
        parts: Parts,
        calls: Calls,
        keeper: Keeper,
        report: Callable[[str, str | None, str], None],
        settled: Callable[[SignedRecord], None],
        begin: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        """`report` reports a fault: its code, its text, what to do next.

        `settled` is told of each record that nothing more is to be heard of; `begin` begins what takes time.
        """
        self._parts = parts
        self._calls = calls
        self._keeper = keeper
        self._report = report
        self._settled = settled
        self._begin = begin
        self.is_revoked = False
        """The gateway signed in this session that it refuses what this device says."""

    def take(self, data: bytes) -> None:
        """A receipt in either form, from whatever bearer. Only what verifies and matches changes anything.

        Raises RemoteError for a receipt that does not verify.
        """
        receipt = receipts.verify(data, self._parts.recorder.device, self._parts.gateway_keys)
        for entry in receipt.entries:
            record = self._parts.delivery.find(entry.digest)
            if record is None or not _names(entry, record.id):
                continue
            if entry.verdict is wire.Verdict.REFUSED:
                self._refused(record, entry.reason)
                continue
            if entry.verdict is wire.Verdict.HELD_UNREADABLE:
                text = f"{record.id} is held by the gateway, which could not read it"
                self._report("unreadable", text, "the control room was paged; report the device's version to them")
            self._settled(record)
            self._begin(self._calls.delivered(record, self._keeper.delivered(record, receipt.message)))

    def _refused(self, record: SignedRecord, reason: int | None) -> None:
        text = f"{record.id} was refused by the gateway, reason {reason}"
        self._report("refused", text, "ask the control room whether this device was revoked")
        self._calls.refused(record, reason, text)
        if reason == wire.REASON_REVOKED:
            self.is_revoked = True
            self._settled(record)


def _names(entry: wire.ReceiptEntry, identity: RecordId) -> bool:
    """Whether a receipt entry may mean this record: what it names must match, what it leaves out may be anything."""
    return (
        entry.session == identity.session
        and entry.stream in (None, int(identity.stream))
        and entry.sequence in (None, identity.sequence)
    )
