"""The image, built once; a card that was flashed with it and enrolled; and a board that runs it, beside a gateway."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from bondmate_image import build, cache, host, layout, recipe, slot_state
from bondmate_image.enrolment import NAME
from bondmate_image.host import Tools
from bondmate_image.recipe import Profile, Wanted
from bondmate_image.trust import Trust
from bondmate_sim.commands import run
from bondmate_sim.mobile import Mobile
from bondmate_sim.settings import Settings
from bondmate_sim.world import World
from tests.booted import writes
from tests.booted.machine import Machine, Worn, eventually, free_port
from tests.booted.outside import outside
from tests.booted.qemu import ANSWER_S
from tests.booted.writes import Write
from tests.image import signers
from tests.image.signers import Authority

CARD_OCTETS = 4 << 30
"""A card larger than the image; a power of two, as QEMU has it of an SD card."""

READY_S = 600.0

BUTTON = 1
"""The virtual board's (recipe/root/usr/share/bondmate/boards/virt.toml): to ground, with a pull-up."""
VIBRATION = 5

PAGE = 4096
"""So many octets at once are written by a kernel that was told of less; nothing else lies in those pages."""

MAY_BE_WRITTEN = (
    *((offset, offset + PAGE) for offset in slot_state.OFFSETS),
    (layout.DATA.start, CARD_OCTETS),
)
"""Places on the card: the slot state, and the data partition."""

HOST = "10.0.2.2"
"""This computer, as QEMU's user network shows it to the board."""


SHARING = {
    "test_enrolment.py", "test_first_start_cuts.py", "test_image.py", "test_power_cuts.py", "test_watchdogs.py",
}  # fmt: skip
"""Modules that share the card of `enrolled`, and the board of `bench`."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            # an image takes minutes to build, and a board a minute to boot
            item.add_marker(pytest.mark.timeout(0))
            if not config.getoption("--image"):
                item.add_marker(pytest.mark.skip(reason="boots an image: runs with ./dev image-test"))


class OneBoard(LoadScopeScheduling):  # type: ignore[misc]  # untyped
    """One process of pytest-xdist has the board that modules share; each other module goes where there is room.

    Its marker `xdist_group` would say that too, but is without effect with pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return "bench" if Path(module).name in SHARING else module


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneBoard:
    return OneBoard(config, log)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway, and a modem with the operator's network between the two."""
    with surroundings(tmp_path_factory.mktemp("world") / "world") as made:
        yield made


@dataclass(frozen=True, slots=True)
class Image:
    """What was built, from what, and by which tools."""

    file: Path
    wanted: Wanted
    tools: Tools


@pytest.fixture(scope="session")
def force() -> Authority:
    """Who vouches for the signers of updates."""
    return signers.authority()


@pytest.fixture(scope="session")
def image(
    world: World, force: Authority, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Image:
    """The release image, as `bondmate-image build` makes it, for the force of that gateway."""
    trust = Trust(force_key(world), force.pem)
    wanted = Wanted(recipe.version(), Profile.RELEASE, recipe.epoch(), trust)
    capture = request.config.pluginmanager.getplugin("capturemanager")
    # the first time it takes minutes, and says which stage it is at
    with capture.global_and_fixture_disabled():
        made = build.image(wanted, tmp_path_factory.mktemp("image"))
    return Image(made, wanted, host.tools(cache.Cache(cache.standard_directory())))


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A card whose device was enrolled at its first start, and what was seen of that. The board is off again."""

    card: Path
    before: Path
    """The card as it was flashed and enrolled."""
    device: str
    had: bool
    """Whether the enrolment file was on the card before."""
    has: bool
    """Whether it is there now."""
    status: dict[str, Any]
    at_gateway: str
    failed: str
    journal: str
    log: Path
    writes: list[Write]
    armed: int
    """So many of them were kept when it was seen to be armed."""


@pytest.fixture(scope="session")
def enrolled(image: Image, world: World, tmp_path_factory: pytest.TempPathFactory) -> Enrolled:
    """Flash and enrol a card by the technician's own commands, start a board with it once, and cut its power."""
    return first_start(image, world, tmp_path_factory.mktemp("first"))


def first_start(image: Image, world: World, folder: Path, tpm_state: Path | None = None) -> Enrolled:
    """The same, on a board with the TPM that keeps its state there."""
    card = empty_card(folder)
    run("bondmate-image", "flash", image.file, card)
    device = enrol(card, world)
    had = has_file(image.tools, card)
    before = folder / "before.img"
    writes.copy(card, before)
    with started(image, card, world, logged=True, tpm_state=tpm_state) as machine:
        log = machine.folder / "writes"
        wait_until_ready(machine)
        status = eventually(lambda: armed(machine), READY_S, "the device to be armed")
        since = writes.count(log)
        eventually(
            lambda: machine.run("systemctl is-active bondmate-erase") in {"active", "failed"},
            ANSWER_S, "the card's file to be erased",
        )  # fmt: skip
        machine.run("sync")
        (row,) = [row for row in world.at_gateway("devices") if row["device"] == device]
        failed = machine.run("systemctl --failed --plain --no-legend --no-pager")
        journal = machine.run("journalctl -b --no-pager -o short-monotonic")
    has = has_file(image.tools, card)
    return Enrolled(card, before, device, had, has, status, row["state"], failed, journal, log, writes.read(log), since)


@dataclass(frozen=True, slots=True)
class Bench:
    """A board that has booted, the gateway at which it is enrolled."""

    machine: Machine
    world: World

    def ctl(self, *words: str) -> Any:
        """`bondmatectl … --json` on the device, parsed."""
        return json.loads(self.machine.run(f"bondmatectl {' '.join(words)} --json"))

    def alert(self) -> dict[str, Any] | None:
        """The device's newest alert while it is open."""
        shown: dict[str, Any] | None = self.ctl("status")["alert"]
        return shown

    def press(self) -> None:
        """Hold the button until it was felt."""
        known = self.alert()
        with self.machine.lines() as lines:
            lines.set(BUTTON, high=False)
            eventually(lambda: self.alert() != known, ANSWER_S, "the press to be felt")
            lines.set(BUTTON, high=True)

    def delivered(self) -> dict[str, Any]:
        """The open alert, as soon as its receipt was verified."""

        def look() -> dict[str, Any] | None:
            now = self.alert()
            return now if now is not None and now["state"] in {"delivered", "acknowledged"} else None

        return eventually(look, ANSWER_S, "a verified receipt")

    def close(self) -> None:
        """The dispatcher ends what is open, by the newest call of it, and the device hears of it."""
        alert = self.alert() or _OVER
        if alert["state"] not in _ENDED:
            self.world.at_gateway("close", str(alert["alert_id"]))
        eventually(lambda: (self.alert() or _OVER)["state"] in _ENDED, ANSWER_S, "no alert to be open")


_ENDED = {"closed", "cancelled"}
_OVER = {"state": "closed"}


@pytest.fixture(scope="session")
def bench(image: Image, enrolled: Enrolled, world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """An enrolled device that was started again and has said READY, on duty in the open, with a modem.

    Every write since the card of `enrolled` is in the machine's log.
    """
    folder = tmp_path_factory.mktemp("bench")
    card = folder / "card.img"
    writes.copy(enrolled.card, card)
    with started(image, card, world, logged=True) as machine:
        wait_until_ready(machine)
        begin_shift(machine)
        yield Bench(machine, world)


@contextlib.contextmanager
def started(
    image: Image,
    card: Path,
    world: World,
    *,
    logged: bool = False,
    worn: Worn | None = None,
    screen: bool = False,
    tpm_state: Path | None = None,
) -> Iterator[Machine]:
    """Start a board with a card, with receiver and modem; at the end its power is cut."""
    machine = Machine(image.tools, card.parent, card, logged=logged, worn=worn, screen=screen, tpm_state=tpm_state)
    try:
        release(machine)
        with outside(machine, world.mobile.modem_link):
            machine.wait_for_shell()
            yield machine
    except BaseException as error:
        with contextlib.suppress(OSError, AssertionError):
            error.add_note(machine.run("journalctl -b --no-pager -o short-monotonic | tail -n 200"))
        raise
    finally:
        machine.stop()


def release(machine: Machine) -> None:
    """Take the finger off the button: at a start, or a restart, nobody drives the chip's inputs, and low is pressed."""
    with machine.lines() as lines:
        lines.set(BUTTON, high=True)


def wait_until_ready(machine: Machine) -> None:
    """Until bondmated has said READY."""
    eventually(lambda: machine.run("systemctl is-active bondmated") == "active", READY_S, "bondmated to say READY")


def begin_shift(machine: Machine) -> None:
    """Go on duty, as soon as that can be said: the button comes before the API."""
    eventually(lambda: machine.run("bondmatectl duty on >/dev/null && echo on") == "on", READY_S, "the shift to begin")


def empty_card(folder: Path) -> Path:
    """A card on which there is nothing yet."""
    card = folder / "card.img"
    card.touch()
    os.truncate(card, CARD_OCTETS)
    return card


def enrol(card: Path, world: World) -> str:
    """Put a file of the world's gateway onto a flashed card, by the technician's command; returns whose it is."""
    address = f"coap://{HOST}:{world.gateway_port}"
    said = run("bondmate-image", "enrol", "--gateway", world.gateway_data, "--address", address, card)
    return said.split()[1]


@contextlib.contextmanager
def surroundings(folder: Path, *, bundles: bool = False) -> Iterator[World]:
    """A gateway, which may serve bundles too, and a modem with the operator's network between the two."""
    with World(folder, Settings(mobile=Mobile(bearer="lte"))) as made:
        if bundles:
            serve_bundles(made)
        made.start_gateway()
        made.mobile.start_relay(made.gateway_port)
        made.mobile.start_modem()
        yield made


def force_key(world: World) -> bytes:
    """What an image has to be given for enrolment files of this world's gateway."""
    pem: str = world.at_gateway("force-key")["public_key_pem"]
    return pem.encode()


def serve_bundles(world: World) -> None:
    """Have the gateway serve bundles too, from its next start on."""
    port = free_port()
    world.gateway_options = ("--bundles", f"127.0.0.1:{port}", "--bundles-url", f"http://{HOST}:{port}")


def has_file(tools: Tools, card: Path) -> bool:
    """Whether an enrolment file is on a card's boot partition."""
    partition = f"/folder/{card.name}@@{layout.BOOT.start}"
    return f"::/{NAME}" in tools.run(card.parent, "mdir", "-b", "-i", partition, "::").lower().splitlines()


def armed(machine: Machine) -> dict[str, Any] | None:
    """How an armed device is; None while it is not."""
    try:
        status: dict[str, Any] = json.loads(machine.run("bondmatectl status --json"))
    except ValueError:  # its API is not there yet, or closed for a moment while it becomes armed
        return None
    return status if status["state"] in {"armed", "degraded"} else None


@pytest.fixture(scope="module")
def serving(world: World) -> Iterator[World]:
    """The gateway, which serves bundles too."""
    world.gateway.stop()
    serve_bundles(world)
    world.start_gateway()
    yield world
    world.gateway_options = ()


@pytest.fixture
def fresh_cache(tmp_path: Path) -> cache.Cache:
    """A cache that has the tools and the packages, and nothing that is made of them."""
    made = tmp_path / "cache"
    made.mkdir()
    for pattern in ("tools-*", "packages-*"):
        for stage in cache.standard_directory().glob(pattern):
            if stage.is_dir():
                (made / stage.name).symlink_to(stage)
    assert shutil.disk_usage(tmp_path).free > 8 << 30, "two images need 8 GB of room"
    return cache.Cache(made)
