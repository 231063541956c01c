"""SIGKILL at random instants, to the daemon and to the gateway: no confirmed press is lost, and none arrives twice."""

import os
import random
import signal
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from operator import itemgetter
from pathlib import Path

import pytest

from bondmate_sim.errors import SimulatorError
from bondmate_sim.process import wait_until
from bondmate_sim.world import Settings, World
from tests.faults import report
from tests.faults.world import HOLD_S, Hand, be_known, newest_alert, press, settle, start_others, vary, verdict
from tests.faults.world_judge import Verdict

SHORT_PRESSES = 60
LONG_PRESSES = 1000
"""In each of two worlds."""
START_S = 0.3
"""A start takes about 0.2 s until the button works."""
ANSWER_S = 20.0


class Storm:
    """Presses, and kills at random instants of the life of daemon and gateway."""

    def __init__(self, world: World, hand: Hand, rng: random.Random) -> None:
        self.kills = 0
        self.deaths_ns: list[int] = []
        self.said: set[str] = set()
        self._world = world
        self._hand = hand
        self._rng = rng

    def round(self) -> None:
        """Arm the daemon if need be, and press once; each press is settled by the palm, the device or a kill."""
        self._arm()
        self._hand.down()
        rng, kill = self._rng, self._kill_daemon
        acts: list[tuple[float, Callable[[], None]]] = []
        if self._world.gateway.pid is None:
            if rng.random() < 0.7:
                self._world.launch_gateway()
        elif rng.random() < 0.3:
            acts.append((rng.uniform(0, 0.3), self._kill_gateway))
        match rng.choices(("commit", "exchange", "anywhere", "closing", "never"), (25, 15, 30, 10, 20))[0]:
            case "commit":
                acts.append((HOLD_S + rng.uniform(0, 0.02), kill))
            case "exchange":
                acts.append((HOLD_S + rng.uniform(0.01, 0.1), kill))
            case "anywhere":
                acts.append((rng.uniform(0, 0.8), kill))
            case "closing":
                asked_s = HOLD_S + rng.uniform(0, 0.2)
                acts += [(asked_s, self._ask_to_end), (asked_s + rng.uniform(0, 0.1), kill)]
            case _:
                in_time(acts)
                self._settle_press()
                self._hand.up()
                return
        in_time([*acts, (rng.uniform(1.2 * HOLD_S, 4 * HOLD_S), self._hand.up)])

    def end(self) -> None:
        """Everything is up, and everything arrives."""
        self._kill_daemon()
        if self._world.gateway.pid is None:
            self._world.launch_gateway()
        self._world.wait_for_gateway()
        self._world.start_daemon()
        settle(self._world)

    def _arm(self) -> None:
        world = self._world
        if world.daemon.pid is not None:
            return
        if self._rng.random() < 0.15:
            world.daemon.start()
            in_time([(self._rng.uniform(0, START_S), self._kill_daemon)])
        world.arm_daemon()
        if self._rng.random() < 0.3:
            world.wait_for_api()
            # what a crash cut short is felt first, and the device says of which alert
            if (alert := newest_alert(world)) is not None:
                self.said.add(alert["alert_id"])
            wait_until(self._hand.is_calm, ANSWER_S, "the palm to be left alone")

    def _settle_press(self) -> None:
        number, before = len(self._hand.presses) - 1, len(self.said)
        self._world.wait_for_api()

        def confirmed_both_ways() -> bool:
            alert = newest_alert(self._world)
            if alert is not None and alert["state"] in ("stored", "delivered"):
                self.said.add(alert["alert_id"])
            return len(self.said) > before and number in self._hand.confirmed()

        self._world.daemon.wait_until(confirmed_both_ways, ANSWER_S, "to confirm a press")

    def _ask_to_end(self) -> None:
        if (pid := self._world.daemon.pid) is not None:
            self.deaths_ns.append(time.monotonic_ns())
            os.kill(pid, signal.SIGTERM)

    def _kill_daemon(self) -> None:
        if self._world.daemon.pid is not None:
            self.deaths_ns.append(time.monotonic_ns())
            self._world.daemon.kill()
            self.kills += 1

    def _kill_gateway(self) -> None:
        if self._world.gateway.pid is not None:
            self._world.gateway.kill()
            self.kills += 1


def in_time(acts: list[tuple[float, Callable[[], None]]]) -> None:
    """Do each thing at its instant, in seconds from now."""
    start_s = time.monotonic()
    for at_s, act in sorted(acts, key=itemgetter(0)):
        time.sleep(max(0.0, start_s + at_s - time.monotonic()))
        act()


def storm(directory: Path, seed: int, presses: int) -> tuple[Verdict, int]:
    """A world in which everything is killed again and again; the verdict at its end, and the number of kills."""
    with World(directory, Settings(hold_s=HOLD_S)) as world:
        start_others(world)
        with Hand(world) as hand:
            be_known(world, hand)
            storm = Storm(world, hand, random.Random(seed))
            for _ in range(presses):
                storm.round()
            storm.end()
            return verdict(world, hand, storm.deaths_ns, storm.said), storm.kills


def storm_apart(directory: Path, seed: int, presses: int) -> tuple[Verdict, int]:
    """The same in a process of its own, from which an error that names a log could not come back."""
    try:
        return storm(directory, seed, presses)
    except SimulatorError as error:
        raise RuntimeError(f"seed {seed}: {error}") from None


def check(found: Verdict, seed: int) -> None:
    assert found.good, f"seed {seed}: {found}"
    assert found.confirmed > found.presses / 5, (
        f"seed {seed}: hardly a press was confirmed, so this shows nothing: {found}"
    )


@pytest.mark.timeout(180)
def test_nothing_confirmed_is_lost_and_nothing_comes_twice(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    found, kills = storm(tmp_path / "world", seed, SHORT_PRESSES)
    report.add("SIGKILL", kills, found.confirmed, len(found.lost), len(found.duplicated))
    check(found, seed)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_two_thousand_times(tmp_path: Path) -> None:
    seeds = [random.SystemRandom().randrange(1 << 32) for _ in range(2)]
    with ProcessPoolExecutor(len(seeds), get_context("spawn")) as pool:
        worlds = [pool.submit(storm_apart, tmp_path / f"{seed}", seed, LONG_PRESSES) for seed in seeds]
        for seed, world in zip(seeds, worlds, strict=True):
            found, kills = world.result()
            report.add("SIGKILL", kills, found.confirmed, len(found.lost), len(found.duplicated))
            check(found, seed)


# --- the judge is not blind ------------------------------------------------------------------------


@pytest.mark.timeout(120)
def test_a_daemon_that_confirms_before_its_commit_is_caught(tmp_path: Path) -> None:
    with World(tmp_path / "world", Settings(hold_s=HOLD_S)) as world:
        start_others(world)
        world.gateway.kill()
        vary(world, "commit_behind")
        world.arm_daemon()
        with Hand(world) as hand:
            press(world, hand)
            world.daemon.kill()
            world.start_gateway()
            world.start_daemon()
            settle(world)
            found = verdict(world, hand)
    assert len(found.lost) == 1
    assert found.lost[0].startswith("press 0 ")


@pytest.mark.timeout(120)
def test_a_daemon_that_draws_a_session_again_is_caught(tmp_path: Path) -> None:
    with World(tmp_path / "world", Settings(hold_s=HOLD_S)) as world:
        start_others(world)
        vary(world, "same_session")
        with Hand(world) as hand:
            for _ in range(2):
                world.start_daemon()
                press(world, hand)
                settle(world)
                world.daemon.kill()
                (world.directory / "state" / "outbox.db").unlink()
            found = verdict(world, hand)
    assert any("fork" in each for each in found.duplicated)
    assert any("nonce" in each for each in found.wrong)
