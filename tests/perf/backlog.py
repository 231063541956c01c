"""Presses while 100,000 records of earlier sessions wait, beside presses on an empty store, in real processes."""

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bondmate import credentials
from bondmate.recorder import Recorder
from bondmate.records import History, Kind, Moment, SessionId
from bondmate.store.outbox import SqliteOutbox
from bondmate_sim.world import Settings, World
from tests.perf.press import HOLD_S, press_to_receipt
from tests.perf.table import Row

RECORDS = 100_000
AT_ONCE = 5_000
EARLIER = SessionId(bytes.fromhex("0001aaaaaaaa"))


@dataclass(frozen=True, slots=True)
class _Samples:
    armed_ms: list[float]
    stored_ms: list[float]
    receipt_ms: list[float]


def measure(rounds: int) -> list[Row]:
    """Start to armed, press to stored and press to receipt over the same with nothing queued."""
    with tempfile.TemporaryDirectory(prefix="bondmate-perf-") as directory:
        empty = _presses(Path(directory) / "empty", rounds, records=0)
        full = _presses(Path(directory) / "full", rounds, records=RECORDS)
    name = f"{RECORDS:,} queued: "
    return [
        Row(f"{name}armed", full.armed_ms, "an empty store", empty.armed_ms),
        Row(f"{name}stored", full.stored_ms, "an empty store", empty.stored_ms),
        Row(f"{name}receipt", full.receipt_ms, "an empty store", empty.receipt_ms),
    ]


def _presses(directory: Path, rounds: int, *, records: int) -> _Samples:
    armed_ms, stored_ms, receipt_ms = [], [], []
    with World(directory, Settings(hold_s=HOLD_S)) as world:
        world.start_gateway()
        world.start_network()
        world.enrol()
        asyncio.run(_fill(world, records))
        world.start_board()
        world.start_receiver()
        for _ in range(3):
            armed_ms.append(world.start_daemon() * 1000)
            world.daemon.stop()
        world.start_daemon()
        for _ in range(rounds):
            _, alert = press_to_receipt(world)
            stored_ms.append(alert["stored_after_ms"])
            receipt_ms.append(alert["delivered_after_ms"])
    return _Samples(armed_ms, stored_ms, receipt_ms)


async def _fill(world: World, count: int) -> None:
    """What a session without a network left: alerts, signed by the device's own key."""
    known = credentials.load(world.directory / "credentials")
    recorder = Recorder(known.device, EARLIER, known.signer, History({}), 0.0)
    outbox = SqliteOutbox(world.directory / "state", known.device)
    await outbox.open()
    for _ in range(0, count, AT_ONCE):
        records = [recorder.make(Kind.PANIC, 1.0, None) for _ in range(AT_ONCE)]
        await outbox.restore(records, recorder.history, Moment(1.0, None))
    await outbox.close()
