"""A board with a TPM: what it stores cannot be read without it. Runs with ./dev image-test --long."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bondmate_image import layout, progress
from bondmate_sim.world import World
from tests.booted import writes
from tests.booted.conftest import CARD_OCTETS, READY_S, Enrolled, Image, armed, first_start, started
from tests.booted.machine import Machine, eventually

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(shutil.which("swtpm") is None, reason="needs Debian's swtpm"),
]

LUKS2 = b"LUKS\xba\xbe\x00\x02"
OPENED = "/dev/mapper/bondmate-data"
PIECE = 1 << 22
RESTARTED_S = 3600.0
"""The device waits for ten minutes of them."""
HEADER = 4 << 20
"""Octets, as open-data makes it."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A card that was first started in a board with a TPM, and what that TPM keeps."""

    first: Enrolled
    folder: Path
    tpm: Path

    def copy(self) -> Path:
        """Its card, to be started again."""
        made = self.folder / "again" / "card.img"
        made.parent.mkdir(exist_ok=True)
        writes.copy(self.first.card, made)
        return made


@pytest.fixture(scope="module")
def sealed(image: Image, world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    folder = tmp_path_factory.mktemp("sealed")
    yield Sealed(first_start(image, world, folder, folder / "tpm"), folder, folder / "tpm")
    shutil.rmtree(folder)


def data(card: Path) -> Iterator[bytes]:
    """The data partition's octets, each piece with the end of the one before."""
    with card.open("rb") as file:
        file.seek(layout.DATA.start)
        end = b""
        while piece := file.read(PIECE):
            yield end + piece
            end = piece[-64:]


def test_the_first_start_becomes_a_device_of_the_gateway(sealed: Sealed) -> None:
    assert sealed.first.at_gateway == "enrolled"
    assert sealed.first.failed == ""
    assert not sealed.first.has


def test_without_the_tpm_the_card_tells_nothing(sealed: Sealed, enrolled: Enrolled) -> None:
    """Its header is LUKS2's, and nowhere is the name of the device, which a card without encryption has."""
    assert next(data(sealed.first.card)).startswith(LUKS2)
    assert not any(sealed.first.device.encode() in piece for piece in data(sealed.first.card))
    assert any(enrolled.device.encode() in piece for piece in data(enrolled.card))
    assert not next(data(enrolled.card)).startswith(LUKS2)


def test_a_later_start_opens_it(sealed: Sealed, image: Image, world: World, capfd: pytest.CaptureFixture[str]) -> None:
    with started(image, sealed.copy(), world, tpm_state=sealed.tpm) as machine:
        eventually(lambda: armed(machine), READY_S, "the device to be armed")
        assert machine.run("findmnt -n -o SOURCE /data") == OPENED
        # it fills the card, and what is not the daemon's works there too
        assert int(machine.run("stat -f -c %b /data")) * 4096 > 0.9 * (CARD_OCTETS - layout.DATA.start)
        eventually(lambda: "BOOT_A_LEFT=3" in machine.run("fw_printenv"), READY_S, "the slot to be marked good")
        assert machine.run("systemctl --failed --plain --no-legend --no-pager") == ""
        shown = machine.run(
            "systemctl show bondmate-open -p ExecMainStartTimestampMonotonic,ExecMainExitTimestampMonotonic"
        )
        begun, done = sorted(int(line.partition("=")[2]) for line in shown.split())
    with capfd.disabled():
        progress.say(f"the data partition was opened in {(done - begun) / 1e6:.1f} s")


@pytest.mark.parametrize("board", ["another", "none"])
def test_in_a_board_without_that_tpm_it_is_not_armed_and_not_erased(
    sealed: Sealed, image: Image, world: World, board: str
) -> None:
    card = sealed.copy()
    before = digest(card)
    with started(image, card, world, tpm_state=sealed.folder / "other" if board == "another" else None) as machine:
        eventually(lambda: '"not_armed"' in machine.run("bondmatectl status --json"), READY_S, "the device to say so")
        assert "is not mounted" in machine.run("bondmatectl status --json")
        # which goes on asking the TPM for longer than the button waits
        eventually(
            lambda: "put the card back" in machine.run("journalctl -b -u bondmate-open --no-pager").lower(),
            READY_S, "what to do next to be told",
        )  # fmt: skip
        if board == "none":
            # nobody can tell it what else to try
            eventually(lambda: starts(machine) > 1, RESTARTED_S, "the device to start anew by itself")
    assert digest(card) == before
    if board == "none":
        return
    with started(image, card, world, tpm_state=sealed.tpm) as machine:
        eventually(lambda: armed(machine), READY_S, "the device to be armed in its own board")


def starts(machine: Machine) -> int:
    return machine.console.read_text(errors="replace").count("slots: booting")


def digest(card: Path) -> str:
    found = hashlib.sha256()
    for piece in data(card):
        found.update(piece)
    return found.hexdigest()


@pytest.mark.parametrize("behind", ["the file system", "the keys", "the header"])
def test_a_power_cut_at_the_first_start_is_gone_on_from(
    sealed: Sealed, image: Image, world: World, tmp_path: Path, behind: str
) -> None:
    """As flashed, or whole: either way there is an encrypted /data at the next start."""
    begin = layout.DATA.start
    written = sealed.first.writes
    (last,) = [number for number, each in enumerate(written) if each.octets and each.at == begin][:1]
    inside = [number for number, each in enumerate(written[:last]) if each.octets and each.at >= begin + HEADER]
    number = {"the file system": inside[len(inside) // 2], "the keys": last, "the header": last + 1}[behind]
    card = tmp_path / "card.img"
    writes.copy(image.file, card)
    os.truncate(card, CARD_OCTETS)
    writes.replay(sealed.folder / "writes", number, card)
    assert next(data(card)).startswith(LUKS2) == (behind == "the header")
    with started(image, card, world, tpm_state=sealed.tpm) as machine:
        eventually(lambda: source(machine) == OPENED, READY_S, "/data to be mounted")
        assert "bondmate-open" not in machine.run("systemctl --failed --plain --no-legend --no-pager")
    card.unlink()


def source(machine: Machine) -> str:
    return machine.run("findmnt -n -o SOURCE /data")
