"""The image, built once, and a board that runs it, with a gateway and a receiver beside it."""

import datetime
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bondmate_image import build, cache, host, recipe
from bondmate_image.host import Tools
from bondmate_image.recipe import Profile, Wanted
from bondmate_sim import walk
from bondmate_sim.settings import Settings
from bondmate_sim.world import World
from tests.booted.machine import Machine, eventually, write_data

CARD_OCTETS = 4 << 30
"""A card larger than the image."""

DAEMON = 900
"""The daemon's user (recipe/root/usr/lib/sysusers.d)."""

READY_S = 300.0

BUTTON = 1
"""The virtual board's (recipe/root/usr/share/bondmate/boards/virt.toml): to ground, with a pull-up."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            # an image takes minutes to build, and a board a minute to boot
            item.add_marker(pytest.mark.timeout(0))
            if not config.getoption("--image"):
                item.add_marker(pytest.mark.skip(reason="boots an image: runs with ./dev image-test"))


@dataclass(frozen=True, slots=True)
class Image:
    """What was built, from what, and by which tools."""

    file: Path
    wanted: Wanted
    tools: Tools


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The release image, as `bondmate-image build` makes it."""
    wanted = Wanted(recipe.version(), Profile.RELEASE, recipe.epoch())
    made = build.image(wanted, tmp_path_factory.mktemp("image"))
    return Image(made, wanted, host.tools(cache.Cache(cache.standard_directory())))


@dataclass(frozen=True, slots=True)
class Bench:
    """A board that has booted, and the gateway at which it is enrolled."""

    machine: Machine
    world: World


@pytest.fixture(scope="session")
def bench(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """An enrolled device that has said READY, in the open, with a gateway that it can reach."""
    folder = tmp_path_factory.mktemp("board")
    card = folder / "card.img"
    subprocess.run(["cp", "--sparse=always", image.file, card], check=True)
    os.truncate(card, CARD_OCTETS)
    world = World(tmp_path_factory.mktemp("world"), Settings())
    world.start_gateway()
    machine = None
    stop = threading.Event()
    try:
        write_data(image.tools, card, folder, _enrolled(world, folder / "tree"))
        machine = Machine(image.tools, folder, card)
        with machine.lines() as lines:
            lines.set(BUTTON, high=True)  # nobody drives it otherwise, and low is pressed
        threading.Thread(target=_receiver, args=(machine, stop), daemon=True).start()
        machine.wait_for_shell()
        eventually(lambda: _is_active(machine), READY_S, "bondmated to say READY")
        yield Bench(machine, world)
    finally:
        stop.set()
        if machine is not None:
            machine.stop()
        world.close()


def _is_active(machine: Machine) -> bool:
    return machine.run("systemctl is-active bondmated") == "active"


def _enrolled(world: World, tree: Path) -> Path:
    """A data partition with the credentials of a device that was enrolled at the world's gateway."""
    world.relay_port = world.gateway_port
    world.enrol()
    kept = tree / "bondmate/credentials"
    kept.mkdir(parents=True)
    text = (world.directory / "credentials/credentials.json").read_text(encoding="utf-8")
    # 10.0.2.2 is the host, seen through QEMU's user network
    (kept / "credentials.json").write_text(text.replace("127.0.0.1", "10.0.2.2"), encoding="utf-8")
    (kept / "credentials.json").chmod(0o600)
    kept.chmod(0o700)
    for path in (kept, kept / "credentials.json"):
        os.chown(path, DAEMON, DAEMON)
    return tree


def _receiver(machine: Machine, stop: threading.Event) -> None:
    """Be a receiver on the second serial port, once a second, until told to stop."""
    route = (walk.parse_point("38.722252,-9.139337"), walk.parse_point("38.723252,-9.139337"))
    with machine.serial() as line:
        begun = time.monotonic()
        while not stop.wait(1.0):
            motion = walk.walk(route, time.monotonic() - begun)
            try:
                line.sendall(walk.speak(motion, datetime.datetime.now(datetime.UTC)))
            except OSError:
                return


@pytest.fixture
def fresh_cache(tmp_path: Path) -> cache.Cache:
    """A cache that has the tools and the packages, and nothing that is made of them."""
    made = tmp_path / "cache"
    made.mkdir()
    for pattern in ("tools-*", "packages-*", "environment-*"):
        for stage in cache.standard_directory().glob(pattern):
            if stage.is_dir():
                (made / stage.name).symlink_to(stage)
    assert shutil.disk_usage(tmp_path).free > 8 << 30, "two images need 8 GB of room"
    return cache.Cache(made)
