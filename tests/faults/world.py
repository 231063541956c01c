"""What the fault tests share that run real processes: a hand on the board, other daemons, and the end of a story."""

import math
import sqlite3
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from bondmate_sim import palm
from bondmate_sim.board_client import BoardClient
from bondmate_sim.commands import CommandError
from bondmate_sim.lines import Edge
from bondmate_sim.process import wait_until
from bondmate_sim.world import BUTTON_PIN, VIBRATION_PIN, World
from tests.e2e.conftest import calls, ctl, nonces
from tests.faults.world_judge import QUIET_NS, Press, Verdict, confirmed, judge, unix_ms

HOLD_S = 0.05
"""The shortest hold that the configuration allows."""
REST_S = 0.3
"""No finger is faster, and of a short release a busy machine can make one that passes for a bounce."""
FELT_S = 20.0
SETTLED_S = 60.0


class Hand:
    """A finger on the button and a palm on the motor, for as long as the block lasts."""

    def __init__(self, world: World) -> None:
        self.presses: list[Press] = []
        self._board = BoardClient(world.board_socket)
        self._edges: list[Edge] = []
        self._let_go_s = -math.inf
        for pin in (BUTTON_PIN, VIBRATION_PIN):
            self._board.request("watch", pin=pin)
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def __enter__(self) -> "Hand":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._board.close()
        self._watcher.join()

    def down(self) -> None:
        """Press, and stay; the daemon must be there, or nothing pulls the line up."""
        time.sleep(max(0.0, self._let_go_s + REST_S - time.monotonic()))
        asked_ns = time.monotonic_ns()
        self._board.request("drive", pin=BUTTON_PIN, level=0)
        self._note_press(asked_ns)

    def up(self) -> None:
        """Let go."""
        self._board.request("drive", pin=BUTTON_PIN, level=None)
        self._let_go_s = time.monotonic()

    def pulses(self, since_ns: int = 0) -> tuple[palm.Pulse, ...]:
        """The pulses that have ended, of those that began since then."""
        return palm.pulses(self._edges_of(VIBRATION_PIN, since_ns))

    def is_calm(self) -> bool:
        """Whether the motor has been still for as long as no pattern is."""
        edges = self._edges_of(VIBRATION_PIN, 0)
        return not edges or (edges[-1].level == 0 and time.monotonic_ns() - edges[-1].t_ns > QUIET_NS)

    def confirmed(self, deaths_ns: Sequence[int] = ()) -> set[int]:
        """The presses, by number, of which the palm felt so far that they are stored."""
        return confirmed(self.presses, self.pulses(), deaths_ns, HOLD_S)

    def _note_press(self, asked_ns: int) -> None:
        """On a busy machine the edge is a good while after we asked for it, and it is the edge that counts."""

        def edge() -> Edge | None:
            return next((edge for edge in self._edges_of(BUTTON_PIN, asked_ns) if edge.level == 0), None)

        seen = wait_until(edge, FELT_S, "the button's edge")
        self.presses.append(Press(seen.t_ns, unix_ms(seen.utc)))

    def _edges_of(self, pin: int, since_ns: int) -> list[Edge]:
        return [edge for edge in list(self._edges) if edge.pin == pin and edge.t_ns >= since_ns]

    def _watch(self) -> None:
        for edge in self._board.edges():
            self._edges.append(edge)


def start_others(world: World) -> None:
    """Everything but the receiver and the daemon."""
    world.start_gateway()
    world.start_network()
    world.enrol()
    world.start_board()


def vary(world: World, *names: str) -> None:
    """From its next start on, the daemon is one of world_variant.py."""
    script = Path(__file__).with_name("world_variant.py")
    world.daemon.command = [sys.executable, str(script), "+".join(names), "--config", str(world.config_file)]


def press(world: World, hand: Hand) -> None:
    """Press until it is felt as stored, and let go."""
    hand.down()
    newest = len(hand.presses) - 1
    world.daemon.wait_until(lambda: newest in hand.confirmed(), FELT_S, "to confirm the press")
    hand.up()


def be_known(world: World, hand: Hand) -> None:
    """Start the daemon and press once: the gateway has the beginning of every chain, before anything is broken."""
    world.start_daemon()
    press(world, hand)
    settle(world)


def newest_alert(world: World) -> dict[str, Any] | None:
    """The device's newest alert; None also while the device does not answer."""
    try:
        shown: dict[str, Any] | None = ctl(world, "alert", "show")
    except CommandError as error:
        if "does not answer" not in str(error):
            raise
        return None
    return shown


def settle(world: World, timeout_s: float = SETTLED_S) -> None:
    """With everything up: until the device has nothing more to send. On duty, for off duty routine records wait."""
    if ctl(world, "duty")["duty"] == "off":
        ctl(world, "duty", "on")
    wait_until(lambda: not any(ctl(world, "status")["queue"].values()), timeout_s, "the device to have sent all")


def verdict(world: World, hand: Hand, deaths_ns: Sequence[int] = (), said: Iterable[str] = ()) -> Verdict:
    """The judge's word on the whole world, when it has settled; `deaths_ns` is when the daemon was killed."""
    found = judge(hand.presses, hand.confirmed(deaths_ns), calls(world), said)
    found.wrong += [f"nonce {nonce}, twice" for nonce, ciphertexts in nonces(world).items() if len(ciphertexts) > 1]
    found.wrong += [f"record {identity}: chain {chain}" for identity, chain in broken_links(world)]
    [device] = world.at_gateway("devices")
    found.duplicated += [f"{identity} has forks" for identity in device["forks"]]
    found.wrong += [f"{device['device']} misses {missing}" for missing in device["missing"]]
    return found


def broken_links(world: World) -> list[tuple[str, str]]:
    """Records of any stream whose chain is not whole at the gateway."""
    with closing(sqlite3.connect(f"file:{world.gateway_data}/gateway.db?mode=ro", uri=True)) as database:
        rows = database.execute("SELECT hex(session), stream, sequence, chain FROM record WHERE chain <> 'whole'")
        return [(f"{session}/{stream}/{sequence}", chain) for session, stream, sequence, chain in rows]
