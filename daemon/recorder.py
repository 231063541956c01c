"""Makes records: numbers them, chains them, signs them. Everything it knows of a session lives in memory.

It stores and sends nothing: a record is safe to make whether or not the disk works, for a session is never reused.
"""

from collections.abc import Sequence
from typing import Any

import cbor2

from bondmate import wire
from bondmate.cose import PublicKey, Signer, sign1, verify1
from bondmate.records import (
    CHAINED,
    DeviceId,
    Head,
    History,
    Kind,
    Reason,
    RecordId,
    SessionId,
    SignedRecord,
    Stream,
    Surplus,
    UtcTime,
)


class Recorder:
    """The only place where records come into being, in the order of their sequence numbers."""

    def __init__(
        self, device: DeviceId, session: SessionId, signer: Signer, history: History, started_s: float
    ) -> None:
        """`started_s` is the monotonic clock's reading when the session began."""
        self.device = device
        self.session = session
        self._signer = signer
        self._heads = dict(history.heads)
        """The last record of each chained stream, as History has it, with this session's."""
        self._started_s = started_s
        self._aad = wire.record_aad(device, session)
        self._sequence = dict.fromkeys(Stream, 0)
        self._previous: dict[Stream, bytes | None] = dict.fromkeys(Stream)
        for stream, head in self._heads.items():
            self._previous[stream] = wire.STORE_LOST if head is None else head.digest

    @property
    def history(self) -> History:
        """Where the chains stand now."""
        return History(dict(self._heads))

    @property
    def public_key(self) -> PublicKey:
        """What the device's records verify with."""
        return self._signer.public_key

    def prove(self) -> None:
        """Sign something that is no record, and verify it. Raises RemoteError, and whatever a broken signer raises."""
        aad = cbor2.dumps(["bondmate self-test 1", self.device.octets, self.session.octets])
        verify1(sign1(b"", aad, self._signer), aad, {b"": self._signer.public_key})

    def make(
        self, kind: Kind, now: float, clock: UtcTime | None, fix: bytes | None = None, body: Any = None
    ) -> SignedRecord:
        """The next record of the kind's stream, signed; `now` is the monotonic clock, `fix` is packed."""
        stream = kind.stream
        sequence = self._sequence[stream] + 1
        payload = wire.encode_record(
            kind,
            sequence,
            self._previous[stream],
            round((now - self._started_s) * 1000),
            clock,
            fix,
            body,
        )
        data = sign1(payload, self._aad, self._signer)
        digest = wire.digest(data)
        # only now: a signer that fails leaves no gap
        self._sequence[stream], self._previous[stream] = sequence, digest
        if stream in CHAINED:
            self._heads[stream] = Head(self.session, sequence, digest)
        identity = RecordId(self.device, self.session, stream, sequence)
        return SignedRecord(identity, kind, data, digest, clock)

    def opening(self, now: float, clock: UtcTime | None) -> SignedRecord:
        """The first record of the session's state stream: where each chained stream goes on from."""
        entries: list[list[Any]] = [
            [int(stream), None] if head is None else [int(stream), head.session.octets, head.sequence, head.digest]
            for stream, head in sorted(self._heads.items())
        ]
        return self.make(Kind.OPENING, now, clock, body=entries)

    def gap(self, surplus: Sequence[Surplus], now: float, clock: UtcTime | None) -> SignedRecord:
        """A record that names what will not be sent: at most 128 records, of at most 16 sessions and streams."""
        named: dict[tuple[Stream, SessionId, Reason], list[int]] = {}
        for dropped in surplus:
            identity = dropped.record.id
            named.setdefault((identity.stream, identity.session, dropped.reason), []).append(identity.sequence)
        body = [
            [int(stream), session.octets, int(reason), wire.ranges(numbers)]
            for (stream, session, reason), numbers in named.items()
        ]
        return self.make(Kind.GAP, now, clock, body=body)
