"""The daemon over real sockets and a network as bad as it gets; an hour of it is over in minutes (world_variant)."""

import math
import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiocoap import Message

from bondmate_sim.process import WaitedError, wait_until
from bondmate_sim.world import Settings, World
from tests.e2e.conftest import calls, ctl
from tests.faults import report
from tests.faults.world import FELT_S, HOLD_S, Hand, newest_alert, press, settle, start_others, vary, verdict

ON_THE_WIRE_S = 2.0
"""The promise: an alert, its cancellation and the next alert are each out within this, whatever hangs."""
SIGNATURE_OCTETS = 64
"""Each submission carries one; what only asks for the mailbox is shorter as a whole."""
IN_A_ROW = 12
"""More than the exchanges that are allowed at once."""


@pytest.mark.timeout(180)
def test_sixty_percent_loss_and_all_else_at_once(tmp_path: Path) -> None:
    weather(tmp_path, presses=5, options=("--jitter-ms", "60", "--partition", "4,1"))


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "options",
    [("--jitter-ms", "60", "--partition", "30,20"), ("--jitter-ms", "1000")],
    ids=["partitions of ten minutes", "delays to 20 s"],
)
def test_all_of_it_for_hundreds_of_presses(tmp_path: Path, options: tuple[str, ...]) -> None:
    """The options are divided by `hurried`'s 20, as all of the daemon's own times of delivery are."""
    weather(tmp_path, presses=300, options=options)


def weather(tmp_path: Path, presses: int, options: tuple[str, ...]) -> None:
    """Press in it, the palm feeling each press before the next; at the end the gateway has each once."""
    seed = random.SystemRandom().randrange(1 << 32)
    bad = ("--loss", "0.6", "--duplicate", "0.2", "--rebind-every", "5", "--seed", str(seed), *options)
    with World(tmp_path / "world", Settings(hold_s=HOLD_S, network=bad)) as world:
        start_others(world)
        vary(world, "hurried")
        world.start_daemon()
        with Hand(world) as hand:
            for _ in range(presses):
                press(world, hand)
            settle(world, 60 + presses)
            found = verdict(world, hand)
        fates = [each.fate for each in world.datagrams()]
        # four standard deviations below what is expected: a handful of presses makes two dozen datagrams
        least = 0.6 * len(fates) - 4 * math.sqrt(0.6 * 0.4 * len(fates))
        assert fates.count("lost") > least, "else the network was not what it should have been"
    report.add(
        "60 % loss, duplicates, reordering, rebinds", presses, found.confirmed, len(found.lost), len(found.duplicated)
    )
    assert found.good, f"seed {seed}: {found}"
    assert found.confirmed == presses


# --- a black hole ----------------------------------------------------------------------------------


@contextmanager
def black_hole(world: World) -> Iterator[None]:
    """The gateway hangs: datagrams go there, and nothing comes back."""
    pid = world.gateway.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def begun(world: World) -> list[int]:
    """When each submission was first on the wire; a retransmission is the same octets again."""
    first_ns: dict[bytes, int] = {}
    for datagram in world.datagrams():
        if datagram.direction == "up" and is_submission(Message.decode(datagram.data)):
            first_ns.setdefault(datagram.data, datagram.t_ns)
    return list(first_ns.values())


def is_submission(message: Message) -> bool:
    """Not a fetch of the mailbox, which with an open alert goes out every five seconds whatever hangs."""
    return message.code.is_request() and len(message.payload) > SIGNATURE_OCTETS


def new_one_after(world: World, count: int, since_ns: int, what: str) -> float:
    """Wait for one submission more than `count`; the seconds from then to its first datagram."""
    wait_until(lambda: len(begun(world)) > count, FELT_S, what)
    return (begun(world)[count] - since_ns) / 1e9


def alert_cancellation_alert(world: World, hand: Hand) -> dict[str, float]:
    """With an alert and its position in the black hole: how long each further one takes to the wire, in seconds."""
    count = len(begun(world))
    press(world, hand)
    wait_until(lambda: len(begun(world)) == count + 2, FELT_S, "the alert and, with the next fix, its position")
    assert [row["state"] for row in ctl(world, "queue") if row["kind"] == "position"] == ["in_flight"]
    took_s = {}
    hand.down()
    took_s["alert"] = new_one_after(world, count + 2, hand.presses[-1].t_ns, "the second alert on the wire")
    hand.up()
    cancelled_ns = time.monotonic_ns()
    assert ctl(world, "alert", "cancel")["state"] == "cancelled"
    took_s["cancellation"] = new_one_after(world, count + 3, cancelled_ns, "its cancellation on the wire")
    hand.down()
    took_s["next alert"] = new_one_after(world, count + 4, hand.presses[-1].t_ns, "the third alert on the wire")
    hand.up()
    return took_s


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Everything but the daemon runs."""
    with World(tmp_path / "world", Settings(hold_s=HOLD_S)) as made:
        start_others(made)
        made.start_receiver()
        yield made


def test_nothing_that_hangs_holds_up_an_alert(world: World) -> None:
    world.start_daemon()
    settle(world)
    with Hand(world) as hand:
        with black_hole(world):
            took_s = alert_cancellation_alert(world, hand)
            assert max(took_s.values()) < ON_THE_WIRE_S, took_s
        settle(world)
        found = verdict(world, hand)
    assert found.good, found
    states = [each["state"] for each in world.at_gateway("alerts")]
    assert states == ["cancelled", "delivered"], "the second call escalated the first"


def test_one_exchange_at_a_time_would_be_seen(world: World) -> None:
    vary(world, "one_exchange")
    world.start_daemon()
    settle(world)
    with Hand(world) as hand, black_hole(world):
        count = len(begun(world))
        for _ in range(2):
            press(world, hand)
        with pytest.raises(WaitedError):
            wait_until(lambda: len(begun(world)) == count + 2, ON_THE_WIRE_S, "the second alert on the wire")


@pytest.mark.timeout(120)
def test_of_twelve_alerts_in_a_black_hole_none_is_dropped(world: World) -> None:
    vary(world, "hurried")
    world.start_daemon()
    settle(world)
    with Hand(world) as hand:
        with black_hole(world):
            before = len(begun(world))
            for _ in range(IN_A_ROW):
                press(world, hand)

            def all_tried() -> bool:
                tried = [row["attempts"] for row in ctl(world, "queue") if row["kind"] in ("panic", "escalation")]
                return len(tried) == IN_A_ROW and min(tried) >= 1

            wait_until(all_tried, 20, "each alert to have been tried")
            assert len(begun(world)) >= before + IN_A_ROW
        settle(world)
        found = verdict(world, hand)
    assert found.good, found
    assert (found.presses, found.confirmed, len(calls(world))) == (IN_A_ROW, IN_A_ROW, IN_A_ROW)
    alert = newest_alert(world)
    assert alert is not None
    assert alert["state"] == "delivered"
