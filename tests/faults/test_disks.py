"""Whole lives of a device on a disk that fails in each way, on virtual time and the real store.

Presses, faults that come and go, networks that come and go, kills and restarts, in an order drawn by a seed: nothing
that was confirmed is lost.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bondmate.armed_run import history_of
from bondmate.calls import Calls
from bondmate.core.feedback import Pattern
from bondmate.device import Device
from bondmate.errors import LinkError, StoreError, StoreTrouble
from bondmate.records import ALERT_KINDS, RecordId, SessionId, SignedRecord
from tests.desk import DEADLINE_S, Desk, Disk, outbox_on, receipt, running
from tests.faults import report
from tests.virtual import run

SESSIONS = 4
STEPS = 12


@dataclass
class Truth:
    """What the finger did, what the palm was told, and what the gateway holds."""

    presses: int = 0
    confirmed: dict[bytes, SignedRecord] = field(default_factory=dict)
    told_delivered: set[bytes] = field(default_factory=set)
    held: dict[bytes, SignedRecord] = field(default_factory=dict)
    made: list[SignedRecord] = field(default_factory=list)

    @property
    def lost(self) -> int:
        return len(self.confirmed.keys() - self.held.keys())

    @property
    def duplicated(self) -> int:
        """Identities that two records have."""
        identities: dict[RecordId, bytes] = {}
        return sum(identities.setdefault(record.id, digest) != digest for digest, record in self.held.items())


Trouble = Callable[[Desk], None]


def failing(trouble: StoreTrouble) -> Trouble:
    def begin(desk: Desk) -> None:
        desk.disk.failure = StoreError("the disk says no", trouble)

    return begin


def hanging(desk: Desk) -> None:
    desk.disk.takes_s = 45.0


def slow(desk: Desk) -> None:
    desk.disk.takes_s = DEADLINE_S * 0.9


def damaged(desk: Desk) -> None:
    """As when SQLite finds its pages at odds with one another."""
    if desk.outbox._connection is not None:
        desk.outbox._give_up(desk.outbox._connection)


TROUBLES: dict[str, Trouble] = {
    "disk full": failing(StoreTrouble.FULL),
    "disk read-only": failing(StoreTrouble.READ_ONLY),
    "disk EIO": failing(StoreTrouble.IO),
    "disk hangs": hanging,
    "disk slow": slow,
    "corrupt pages found in use": damaged,
}


def healed(desk: Desk) -> None:
    desk.disk.failure, desk.disk.takes_s = None, 0.0


async def life(directory: Path, trouble: Trouble, rng: random.Random) -> Truth:
    truth = Truth()
    up = [True]

    async def answer(record: SignedRecord) -> bytes:
        if not up[0] or rng.random() < 0.3:
            raise LinkError("no route")
        truth.held[record.digest] = record
        if rng.random() < 0.3:
            raise LinkError("the answer was lost")
        return receipt(record)

    for number in range(1, SESSIONS + 1):
        last = number == SESSIONS
        up[0] = last or rng.random() < 0.5
        disk = Disk(takes_s=60.0 if not last and rng.random() < 0.2 else 0.0)
        session = SessionId(number.to_bytes(2) + rng.randbytes(4))
        outbox = outbox_on(directory, disk)
        history = await history_of(outbox, session, DEADLINE_S, is_first=number == 1)
        await asyncio.sleep(200)  # a call that hangs ends before another has the file
        await outbox.close()
        async with running(
            directory, disk=disk, session=session, history=history, answer=answer, earlier=tuple(truth.made)
        ) as desk:
            _listen(desk.device, truth)
            for _ in range(STEPS):
                await _step(desk, truth, trouble, up, rng)
            if last:
                up[0] = True
                healed(desk)
                await asyncio.sleep(3600)
                assert sum(desk.device.waiting().values()) == 0
                assert "store" not in desk.faults
            elif trouble is damaged:
                # a card that forgets and loses its power before the next one has it all: that nobody can mend
                healed(desk)
                await asyncio.sleep(10)
            truth.made = list(desk.bearer.made.values())
            # the power goes: what is under way or comes later has no effect
            desk.disk.failure = StoreError("no power")
    return truth


async def _step(desk: Desk, truth: Truth, trouble: Trouble, up: list[bool], rng: random.Random) -> None:
    match rng.randrange(6):
        case 0 | 1:
            truth.presses += 1
            await desk.press()
        case 2:
            trouble(desk)
        case 3:
            healed(desk)
        case 4:
            up[0] = not up[0]
        case _:
            if truth.held:  # a receipt that comes by itself, or again
                desk.device.take_receipt(receipt(rng.choice(list(truth.held.values()))))
    await asyncio.sleep(rng.choice([0.0, 0.01, 0.3, 1.0, 5.0, 70.0]))


def _listen(device: Device, truth: Truth) -> None:
    """What the palm is told counts from the moment at which it is told."""
    palm = device._rooms.palm
    play = palm.play

    def heard(pattern: Pattern, about: bytes = b"") -> None:
        if pattern is Pattern.STORED and about:
            assert device.alert is not None
            truth.confirmed[about] = device.alert.record
        if pattern is Pattern.DELIVERED:
            truth.told_delivered.add(about)
        play(pattern, about)

    palm.play = heard  # type: ignore[method-assign]


def judge(fault: str, cases: list[Truth]) -> None:
    presses = sum(len(truth.confirmed) for truth in cases)
    lost, duplicated = sum(truth.lost for truth in cases), sum(truth.duplicated for truth in cases)
    report.add(fault, len(cases), presses, lost, duplicated)
    assert (lost, duplicated) == (0, 0)
    for truth in cases:
        assert truth.told_delivered <= truth.held.keys(), "told delivered, and it was not"
        alerts = [record for record in truth.held.values() if record.kind in ALERT_KINDS]
        assert len(alerts) <= truth.presses, "an alert that nobody raised"
    assert presses > 0


def lives(trouble: Trouble, seeds: range, tmp_path: Path) -> list[Truth]:
    cases = []
    for seed in seeds:
        directory = tmp_path / str(seed)
        directory.mkdir()
        cases.append(run(life(directory, trouble, random.Random(seed))))
    return cases


@pytest.mark.parametrize("fault", TROUBLES)
def test_nothing_confirmed_is_lost(fault: str, tmp_path: Path) -> None:
    judge(fault, lives(TROUBLES[fault], range(8), tmp_path))


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("fault", TROUBLES)
def test_nothing_confirmed_is_lost_in_many_lives(fault: str, tmp_path: Path) -> None:
    judge(fault, lives(TROUBLES[fault], range(100, 400), tmp_path))


def test_control_a_device_that_confirms_what_is_only_in_memory_loses_presses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the judge is worth."""

    def not_stored(self: Calls, record: SignedRecord) -> None:
        if record.kind in ALERT_KINDS:
            self._palm.play(Pattern.STORED, record.digest)

    monkeypatch.setattr(Calls, "not_stored", not_stored)
    cases = lives(TROUBLES["disk EIO"], range(8), tmp_path)
    assert sum(truth.lost for truth in cases) > 0
