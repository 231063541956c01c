"""A new technician's day, by docs/technician.md alone: its commands in its order, from a build to a fall-back.

What is typed, what is answered and how long it took go to the terminal: the document's own words come from there.
One device goes through all of it. Runs with ./dev image-test --long.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bondmate_image import cache, host, progress, recipe
from bondmate_image.bundle import Signer
from bondmate_image.recipe import Profile, Wanted
from bondmate_image.trust import Trust
from bondmate_sim.world import World
from tests.booted import bundles
from tests.booted.conftest import (
    BUTTON,
    CARD_OCTETS,
    HOST,
    READY_S,
    Bench,
    Image,
    begin_shift,
    release,
    started,
    surroundings,
)
from tests.booted.machine import Machine, eventually
from tests.booted.qemu import ANSWER_S

pytestmark = pytest.mark.long

FIRST, NEXT, BROKEN = "0.1.0", "0.2.0", "0.3.0"
TAP_S = 0.3
CARRIED_OUT_S = 3600.0

_AUTHORITY = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout authority.key -out authority.pem"
    ' -days 7300 -subj "/CN=BondMate updates" -addext "basicConstraints=critical,CA:TRUE"'
    ' -addext "keyUsage=critical,keyCertSign" 2>/dev/null'
)
_SIGNER = (
    "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=Signer -keyout signer.key"
    " -out signer.csr 2>/dev/null; openssl x509 -req -in signer.csr -CA authority.pem -CAkey authority.key -days 365"
    " -out signer.pem 2>/dev/null"
)
_OPTIONS = "--force-key force.pem --update-keyring authority.pem"


@dataclass
class Day:
    """Where he sits: a folder of his own, the force's gateway, and, once a card is in it, a board."""

    folder: Path
    world: World
    terminal: pytest.CaptureFixture[str] | None = None
    bench: Bench | None = None
    on_since: float = 0.0
    """When he switched the board on, by the monotonic clock."""

    def types(self, command: str) -> str:
        """What a command of his prints, in his folder, as a shell runs it."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        begun = time.monotonic()
        done = subprocess.run(
            ["sh", "-ec", command],
            cwd=self.folder,
            env={**os.environ, "PATH": path, "BONDMATE_GATEWAY_DATA": str(self.world.gateway_data)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        self.tell(command, done.stdout, time.monotonic() - begun)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def tell(self, what: str, answer: str, took_s: float) -> None:
        """Show it to whoever runs the test."""
        assert self.terminal is not None
        with self.terminal.disabled():
            progress.say(f"\n# {what}\n{answer.rstrip()}\n[{took_s:.1f} s]")

    def board(self) -> Bench:
        """The board, on which he has switched on."""
        assert self.bench is not None
        return self.bench

    def tap(self) -> None:
        """One short press."""
        with self.board().machine.lines() as lines:
            lines.set(BUTTON, high=False)
            time.sleep(TAP_S)  # how long a thumb stays
            lines.set(BUTTON, high=True)

    def rollout(self, number: int) -> dict[str, Any]:
        """How the gateway has it of the one device."""
        release(self.board().machine)  # else an alert is open after a restart, and nothing is done in one
        rollouts = {each["rollout"]: each for each in self.world.at_gateway("rollout", "status")}
        device: dict[str, Any] = rollouts[number]["devices"][0]
        return device

    def has_ended(self, number: int) -> str:
        """Wait until the device has said what came of a rollout, and tell it."""
        begun = time.monotonic()
        eventually(
            lambda: self.rollout(number)["state"] in {"done", "failed"}, CARRIED_OUT_S, "what came of the update"
        )  # fmt: skip
        self.tell("(the rollout's end)", "", time.monotonic() - begun)
        return self.types("bondmate-gateway rollout status")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    """A desk with a gateway that serves updates, and a mobile network around it."""
    folder = tmp_path_factory.mktemp("technician")
    with surroundings(folder / "world", bundles=True) as world:
        (folder / "bench").mkdir()
        yield Day(folder / "bench", world)


@pytest.fixture
def day(place: Day, capfd: pytest.CaptureFixture[str]) -> Day:
    """His place, with a terminal to show what he does."""
    place.terminal = capfd
    return place


@pytest.fixture(scope="module")
def board(place: Day) -> Iterator[Machine]:
    """His card, in a board that was switched on."""
    tools = host.tools(cache.Cache(cache.standard_directory()))
    wanted = Wanted(FIRST, Profile.RELEASE, recipe.epoch())
    card = place.folder / "card.img"
    place.on_since = time.monotonic()
    with started(Image(place.folder / f"release/{wanted.name}.img", wanted, tools), card, place.world) as machine:
        place.bench = Bench(machine, place.world)
        yield machine


def test_he_builds_an_image(day: Day) -> None:
    day.types("bondmate-gateway force-key > force.pem")
    day.types(_AUTHORITY)
    said = day.types(f"bondmate-image build {_OPTIONS} --version {FIRST} -o release")
    assert said.endswith(f"release/bondmate-{FIRST}-release.img\n")
    assert "BELIEVES NO" not in said


def test_he_flashes_a_card(day: Day) -> None:
    day.types(f"truncate -s {CARD_OCTETS} card.img")
    assert "done: " in day.types(f"bondmate-image flash release/bondmate-{FIRST}-release.img card.img")


def test_he_enrols_it(day: Day) -> None:
    day.types(
        "bondmate-image enrol --gateway $BONDMATE_GATEWAY_DATA"
        f" --address coap://{HOST}:{day.world.gateway_port} --labels labels.pdf card.img"
    )
    assert (day.folder / "labels.pdf").read_bytes().startswith(b"%PDF")


def test_he_switches_it_on(day: Day, board: Machine) -> None:
    eventually(
        lambda: [each["state"] for each in day.world.at_gateway("devices")] == ["enrolled"],
        READY_S, "the device to be enrolled",
    )  # fmt: skip
    day.tell("(from power to a device that the gateway knows)", "", time.monotonic() - day.on_since)
    begin_shift(board)
    eventually(lambda: day.board().ctl("status")["fix"], READY_S, "a fix")
    assert "active" in day.types("bondmate-gateway devices")


def test_its_self_test_is_green(day: Day, board: Machine) -> None:
    begun = time.monotonic()
    board.run("(bondmatectl selftest; echo ended $?) > /tmp/selftest 2>&1 & true")
    eventually(lambda: "press the button once" in board.run("cat /tmp/selftest"), ANSWER_S, "the test to ask for it")
    day.tap()
    eventually(lambda: "ended" in board.run("cat /tmp/selftest"), ANSWER_S, "its end")
    said = board.run("cat /tmp/selftest")
    day.tell("bondmatectl selftest", said, time.monotonic() - begun)
    assert said.endswith("ended 0")
    assert "FAILED" not in said
    eventually(lambda: day.world.at_gateway("devices")[0]["accepted"], ANSWER_S, "the acceptance to be at the gateway")
    assert "accepted" in day.types("bondmate-gateway devices").lower()


def test_a_press_comes_to_the_gateway_and_back(day: Day, board: Machine) -> None:
    begun = time.monotonic()
    day.board().press()
    alert = day.board().delivered()
    day.tell("(from the press to the receipt as bondmatectl shows it)", "", time.monotonic() - begun)
    day.tell("bondmatectl alert show", board.run("bondmatectl alert show"), 0)
    assert str(alert["alert_id"]) in day.types("bondmate-gateway alerts")
    day.board().close()


def test_an_update_is_installed_and_kept(day: Day, board: Machine) -> None:
    day.types(_SIGNER)
    day.types(f"bondmate-image bundle --version {NEXT} --cert signer.pem --key signer.key {_OPTIONS} -o out")
    day.types(f"bondmate-gateway bundle add out/bondmate-{NEXT}-release.raucb --version {NEXT}")
    day.types(f"bondmate-gateway rollout start {NEXT} --at-once --by Ann")
    assert "1 done" in day.has_ended(1)
    version = board.run("cat /usr/share/bondmate/version")
    day.tell("cat /usr/share/bondmate/version", version, 0)
    assert version == NEXT


def test_one_that_does_not_start_is_fallen_back_from(day: Day, board: Machine) -> None:
    trust = Trust((day.folder / "force.pem").read_bytes(), (day.folder / "authority.pem").read_bytes())
    wanted = Wanted(BROKEN, Profile.RELEASE, recipe.epoch(), trust)
    tools = host.tools(cache.Cache(cache.standard_directory()))
    slot = bundles.broken(tools, wanted, bundles.KERNEL, day.folder)
    made = bundles.pack(tools, wanted, Signer(day.folder / "signer.pem", day.folder / "signer.key"), day.folder, slot)
    made.rename(day.folder / "out/broken.raucb")
    # the update's restart took the button down for a moment, and nothing is updated in an open alert
    day.board().close()
    day.types(f"bondmate-gateway bundle add out/broken.raucb --version {BROKEN}")
    day.types(f"bondmate-gateway rollout start {BROKEN} --at-once --by Ann")
    assert f"{NEXT} runs: {BROKEN} did not prove good" in day.has_ended(2)
    assert board.run("cat /usr/share/bondmate/version") == NEXT
    # and the device is what it was: a press is delivered
    day.board().press()
    assert day.board().delivered()["alert_id"] == day.world.at_gateway("alerts")[-1]["alert_id"]
