"""An enrolled device whose signed records are taken into a database, without a wire."""

from typing import Any

import cbor2

from bondmate_sim.gateway import credentials, devices, intake, records
from bondmate_sim.gateway.database import Database
from tests.gateway import twin

FIRST, SECOND, THIRD = bytes.fromhex("000100000001"), bytes.fromhex("000200000002"), bytes.fromhex("000300000003")
WRAPPED = bytes.fromhex("ffff00000009")


class Device:
    """An enrolled device whose records are taken one by one, a second apart."""

    def __init__(self, database: Database, *groups: str) -> None:
        self.database = database
        self.made = credentials.generate()
        self.name = records.device_text(self.made.device)
        self.now_ms = 1_795_186_800_120
        self.step_ms = 1000
        """How long after the last record each is taken."""
        self.sequences: dict[tuple[bytes, int], int] = {}
        self._signed: dict[tuple[bytes, bytes], bytes] = {}
        self.outcome: intake.Outcome | None = None
        """What became of the last record."""
        devices.add(database, [self.made], now_ms=self.now_ms, groups=groups)

    def send(
        self,
        kind: int,
        elapsed_ms: int,
        *,
        session: bytes = FIRST,
        sequence: int | None = None,
        fix: bytes | None = None,
        clock: bytes | None = None,
        body: Any = None,
        previous: bytes | None = None,
    ) -> bytes:
        place = session, kind >> 4
        self.sequences[place] = sequence or self.sequences.get(place, 0) + 1
        tagged = self.signed(
            *(kind, elapsed_ms),
            session=session,
            sequence=self.sequences[place],
            fix=fix,
            clock=clock,
            body=body,
            previous=previous,
        )
        bearer = devices.bearer(self.database, self.made.kids["ip"])
        assert bearer is not None
        self.now_ms += self.step_ms
        with self.database.transaction():
            self.outcome = intake.take(self.database, bearer, session, tagged, self.now_ms)
        assert self.outcome is not None
        return tagged

    def signed(
        self,
        kind: int,
        elapsed_ms: int,
        *,
        sequence: int,
        session: bytes = FIRST,
        fix: bytes | None = None,
        clock: bytes | None = None,
        body: Any = None,
        previous: bytes | None = None,
    ) -> bytes:
        """Return a record, always with the same signature for the same content."""
        elements = [1, kind, sequence, previous, elapsed_ms, clock, fix, *([] if body is None else [body])]
        payload, aad = cbor2.dumps(elements), ["bondmate record 1", self.made.device, session]
        made = self._signed.get((payload, session))
        return self._signed.setdefault((payload, session), made or twin.sign(payload, aad, self.made.signing_key))

    def follow(self, before: bytes, kind: int, elapsed_ms: int, **options: Any) -> bytes:
        """Send the record behind another of its stream."""
        return self.send(kind, elapsed_ms, previous=twin.digest(before)[:4], **options)

    def cancel(
        self, alert: bytes, elapsed_ms: int, *, session: bytes = FIRST, how: int | None = None, **options: Any
    ) -> bytes:
        body = twin.digest(alert)[:8] + (b"" if how is None else bytes([how]))
        return self.send(records.CANCELLATION, elapsed_ms, session=session, body=body, **options)


def fix_at(lat: int, *, long: bool = False, age: int = 0, flags: int = 1) -> bytes:
    short = lat.to_bytes(4, "big", signed=True) + bytes(4) + bytes([14, age, flags])
    return short + bytes.fromhex("00007b 0028 46d3 09 0b") if long else short
