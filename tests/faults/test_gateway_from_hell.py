"""Whatever answers a gateway gives, the device lives, believes none but a verified receipt, and goes on."""

import random
import time
from pathlib import Path

import pytest

from bondmate_sim import palm
from bondmate_sim.process import wait_until
from bondmate_sim.world import Settings, World
from tests.e2e.conftest import ctl
from tests.faults import report
from tests.faults.world import FELT_S, HOLD_S, Hand, press, settle, start_others, vary, verdict
from tests.faults.world_hostile import HostileGateway

SHORT, LONG = 400, 40_000
WAITING = 6
"""Alerts that wait for a receipt meanwhile: each asks again and again."""
GROWTH_KB = 6_000
"""In the last three eighths of the answers. Before that it grows: aiocoap remembers each message for 247 s (RFC 7252,
EXCHANGE_LIFETIME), which is about 20 MB at the pace of `hurried`. 15,000 answers that stayed would be as much again.
"""


@pytest.mark.timeout(180)
def test_a_few_hundred_answers_from_hell(tmp_path: Path) -> None:
    hell(tmp_path, SHORT)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_forty_thousand_answers_from_hell(tmp_path: Path) -> None:
    hell(tmp_path, LONG)


def hell(tmp_path: Path, answers: int) -> None:
    """Alerts are raised before and while it answers; it goes, and the true gateway has them all."""
    seed = random.SystemRandom().randrange(1 << 32)
    with World(tmp_path / "world", Settings(hold_s=HOLD_S)) as world:
        pid = start(world, "hurried")
        with Hand(world) as hand:
            with HostileGateway(world, random.Random(seed)) as hostile:
                for _ in range(WAITING):
                    press(world, hand)
                answered(world, hostile, answers * 5 // 8)
                before_kb = memory_kb(pid)
                answered(world, hostile, answers)
                press(world, hand)
                grown_kb = memory_kb(pid) - before_kb
                assert not believed(world, hand), f"seed {seed}"
                assert world.daemon.pid == pid, f"seed {seed}"
                assert grown_kb < GROWTH_KB, f"seed {seed}"
            world.start_network()
            settle(world)
            found = verdict(world, hand)
    report.add("answers from hell", hostile.answers, found.confirmed, len(found.lost), len(found.duplicated))
    assert found.good, f"seed {seed}: {found}"
    assert found.confirmed == WAITING + 1


@pytest.mark.timeout(120)
def test_a_device_that_believes_forged_receipts_is_caught(tmp_path: Path) -> None:
    with World(tmp_path / "world", Settings(hold_s=HOLD_S)) as world:
        start(world, "hurried", "unverified")
        with Hand(world) as hand, HostileGateway(world, random.Random(1)):
            for _ in range(WAITING):
                press(world, hand)
            assert world.daemon.wait_until(lambda: believed(world, hand), 60, "to believe one of them")


def start(world: World, *variant: str) -> int:
    """The device runs and has had receipts, and nothing stands between it and whoever comes; its process."""
    start_others(world)
    vary(world, *variant)
    world.start_daemon()
    settle(world)
    wait_until(lambda: any(each.direction == "down" for each in world.datagrams()), FELT_S, "an answer at the tap")
    world.network.kill()
    assert world.daemon.pid is not None
    return world.daemon.pid


def answered(world: World, hostile: HostileGateway, number: int) -> None:
    """Until so many answers were given."""
    world.daemon.wait_until(lambda: hostile.answers >= number or not hostile.lives, 60 + number / 10, "to ask so often")
    assert hostile.lives


def believed(world: World, hand: Hand) -> bool:
    """Whether the device took any of its alerts for delivered, or for looked after: it forgot one, or said so."""
    waiting = [row for row in ctl(world, "queue") if row["kind"] in ("panic", "escalation")]
    felt = {each.pattern for each in palm.felt(hand.pulses(), time.monotonic_ns())}
    state = ctl(world, "alert", "show")["state"]
    return (
        len(waiting) < len(hand.presses)
        or not felt.isdisjoint({"delivered", "acknowledged"})
        or state not in ("raised", "stored")
    )


def memory_kb(pid: int) -> int:
    """The resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
