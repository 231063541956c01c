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

    def __init__(self, database: Database) -> None:
        self.database = database
        self.made = credentials.generate()
        self.name = records.device_text(self.made.device)
        self.now_ms = 1_795_186_800_120
        self.sequences: dict[tuple[bytes, int], int] = {}
        devices.add(database, [self.made], now_ms=self.now_ms)

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
        elements = [1, kind, self.sequences[place], previous, elapsed_ms, clock, fix, *([] if body is None else [body])]
        aad = ["bondmate record 1", self.made.device, session]
        tagged = twin.sign(cbor2.dumps(elements), aad, self.made.signing_key)
        bearer = devices.bearer(self.database, self.made.kids["ip"])
        assert bearer is not None
        self.now_ms += 1000
        with self.database.transaction():
            assert intake.take(self.database, bearer, session, tagged, self.now_ms)
        return tagged

    def cancel(self, alert: bytes, elapsed_ms: int, *, session: bytes = FIRST) -> bytes:
        return self.send(records.CANCELLATION, elapsed_ms, session=session, body=twin.digest(alert)[:8])


def fix_at(lat: int, *, long: bool = False, age: int = 0, flags: int = 1) -> bytes:
    short = lat.to_bytes(4, "big", signed=True) + bytes(4) + bytes([14, age, flags])
    return short + bytes.fromhex("00007b 0028 46d3 09 0b") if long else short
