"""Makes records: numbers them, chains them, signs them. Everything it knows of a session lives in memory.

It stores and sends nothing: a record is safe to make whether or not the disk works, for a session is never reused.
"""

from typing import Any

from bondmate import wire
from bondmate.cose import Signer, sign1
from bondmate.records import CHAINED, DeviceId, History, Kind, RecordId, SessionId, SignedRecord, Stream, UtcTime


class Recorder:
    """The only place where records come into being, in the order of their sequence numbers."""

    def __init__(
        self, device: DeviceId, session: SessionId, signer: Signer, history: History, started_s: float
    ) -> None:
        """`started_s` is the monotonic clock's reading when the session began."""
        self.device = device
        self.session = session
        self._signer = signer
        self._history = history
        self._started_s = started_s
        self._aad = wire.record_aad(device, session)
        self._sequence = dict.fromkeys(Stream, 0)
        self._previous: dict[Stream, bytes | None] = {
            stream: wire.STORE_LOST if history.lost and stream in CHAINED else None for stream in Stream
        }
        self._previous.update({stream: head.digest for stream, head in history.heads.items()})

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
        identity = RecordId(self.device, self.session, stream, sequence)
        return SignedRecord(identity, kind, data, digest, clock)

    def opening(self, now: float, clock: UtcTime | None) -> SignedRecord:
        """The first record of the session's state stream: where each chained stream goes on from."""
        entries: list[list[Any]] = []
        for stream in CHAINED:
            if self._history.lost:
                entries.append([int(stream), None])
            elif head := self._history.heads.get(stream):
                entries.append([int(stream), head.session.octets, head.sequence, head.digest])
        return self.make(Kind.OPENING, now, clock, body=entries)
