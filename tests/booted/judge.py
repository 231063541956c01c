"""What a card holds after its power was cut: whether what was promised of it is there."""

import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from bondmate_image import layout, slot_state
from bondmate_image.host import Tools
from bondmate_image.layout import Partition
from tests.booted import writes

SLOTS = {"A": layout.SLOT_A, "B": layout.SLOT_B}


def files(tools: Tools, card: Path) -> Path:
    """Return a copy of what the daemon has on the card; AssertionError if the file system cannot be put in order.

    That is done first, by what a start runs before it mounts it; the card itself stays as it is.
    """
    folder = card.parent
    data = folder / "data.ext4"
    # a file that is cut off and filled anew is written to the disk at once
    data.unlink(missing_ok=True)
    writes.copy(card, data, layout.DATA.start)
    found = folder / "bondmate"
    shutil.rmtree(found, ignore_errors=True)
    # at once, for it is done at each of hundreds of cuts; the second finds what the first left
    all_of_it = "e2fsck -y $0; [ $? -le 1 ] && e2fsck -fn $0 && debugfs -R 'rdump /bondmate /folder' $0"
    done = subprocess.run(
        tools.command(folder, ["sh", "-c", all_of_it, f"/folder/{data.name}"]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return found


def alerts(tools: Tools, card: Path, device: str) -> set[str]:
    """Return the alerts in the store; AssertionError if that is not whole, or the device has lost its credentials."""
    found = files(tools, card)
    assert device in (found / "credentials/credentials.json").read_text(encoding="utf-8")
    with closing(sqlite3.connect(found / "state/outbox.db")) as store:
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = store.execute("SELECT session, sequence FROM record WHERE stream = 0").fetchall()
    return {f"{session.hex()}/{sequence}" for session, sequence in rows}


def boot(tools: Tools, card: Path) -> dict[str, bytes]:
    """Return the files of the boot partition, up to the first that cannot be read.

    Whoever starts from there only reads, and nobody puts that file system in order: so it is the files that count, and
    not what fsck.fat would say of one that is half removed, or of the mark that it was mounted.
    """
    folder = card.parent / "boot"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    copy = ["mcopy", "-s", "-i", f"/folder/{card.name}@@{layout.BOOT.start}", "::", f"/folder/{folder.name}"]
    # it ends at one that it cannot read; the enrolment file, which came last, may be half removed
    subprocess.run(tools.command(card.parent, copy), capture_output=True, check=False)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def table(card: Path) -> list[tuple[int, int, int]]:
    """Return the partitions in the form of `layout.read_table`; AssertionError if the card is not found by its name."""
    with card.open("rb") as file:
        signature, found = layout.read_table(file.read(512))
    assert signature == layout.DISK_ID
    return found


def as_stored(alert_id: str) -> str:
    """Return the name by which `alerts` knows an alert: BM-7f3a09c1/0012-5be2aa10/alert/1 is 00125be2aa10/1."""
    _, session, _, sequence = alert_id.split("/")
    return f"{session.replace('-', '')}/{sequence}"


def copies(card: Path) -> list[bytes]:
    """Return the two copies of the slot state."""
    with card.open("rb") as file:
        return [(file.seek(offset), file.read(slot_state.OCTETS))[1] for offset in slot_state.OFFSETS]


def to_be_tried(card: Path) -> list[str]:
    """Return the slots that U-Boot starts from here, one after the other; AssertionError if no state is valid."""
    state = slot_state.newest(copies(card))
    assert state is not None, "neither copy of the slot state is valid"
    return [slot for slot in state["BOOT_ORDER"].split() if int(state[f"BOOT_{slot}_LEFT"])]


def holds(card: Path, partition: Partition, file_system: Path) -> bool:
    """Whether a partition begins with these octets."""
    with card.open("rb") as there, file_system.open("rb") as wanted:
        there.seek(partition.start)
        while octets := wanted.read(1 << 22):
            if there.read(len(octets)) != octets:
                return False
    return True
