import os
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bondmate_image import boot, targets
from bondmate_image.boot import Boot
from bondmate_image.errors import ImageError
from bondmate_image.writing import drop_cached
from tests.image import cards
from tests.image.cards import BOOT_OFFSET


@pytest.fixture
def card(tmp_path: Path) -> Path:
    return cards.bootable(tmp_path / "card")


@pytest.fixture
def opened(card: Path) -> Iterator[Boot]:
    (target,) = targets.check([card], 1)
    with boot.opened(target) as found:
        yield found


def refusal(card: Path) -> str:
    (target,) = targets.check([card], 1)
    with pytest.raises(ImageError) as error, boot.opened(target):
        pass
    return str(error.value)


def test_a_file_is_put_there_and_read_back(opened: Boot, card: Path) -> None:
    assert opened.read() is None
    opened.write(b"first")
    assert opened.read() == b"first"
    opened.write(b"second" * 1000)
    assert opened.read() == b"second" * 1000
    names = subprocess.run(
        ["mdir", "-b", "-i", f"{card}@@{BOOT_OFFSET}", "::"], capture_output=True, text=True, check=True
    )
    assert names.stdout == "::/bondmate-enrol.cose\n"


def test_a_loop_device_is_written_while_it_is_claimed(card: Path) -> None:
    with cards.loop(card) as device:
        (target,) = targets.check([device], 1)
        with boot.opened(target) as found:
            found.write(b"file")
            with pytest.raises(ImageError, match="could not be opened"):
                targets.claim(target, os.O_RDWR)
    read = subprocess.run(
        ["mtype", "-i", f"{card}@@{BOOT_OFFSET}", "::bondmate-enrol.cose"], capture_output=True, check=True
    )
    assert read.stdout == b"file"


def test_a_file_in_capitals_is_the_same_file(opened: Boot, card: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"file")
    subprocess.run(["mcopy", "-i", f"{card}@@{BOOT_OFFSET}", tmp_path / "file", "::BONDMATE-ENROL.COSE"], check=True)
    assert opened.read() == b"file"


def test_another_label_is_another_card(tmp_path: Path) -> None:
    assert refusal(cards.bootable(tmp_path / "other", "DATA")) == (
        "has the label DATA on its first partition, and not BONDMATE. Flash it first with 'bondmate-image flash'"
    )


def test_a_card_without_partitions_is_refused(tmp_path: Path) -> None:
    assert "has no partition table" in refusal(cards.blank(tmp_path / "card"))
    assert "has no partition table" in refusal(cards.blank(tmp_path / "short", 100))


@pytest.mark.parametrize(("kind", "start"), [(0x83, 2048), (0xEE, 1), (0, 0), (0x0C, 0)])
def test_a_first_partition_that_is_not_fat_is_refused(card: Path, kind: int, start: int) -> None:
    with card.open("r+b") as file:
        file.seek(446)
        file.write(struct.pack("<4xB3xI", kind, start))
    assert "has no FAT file system as its first partition" in refusal(card)


def test_a_damaged_file_system_is_refused_with_what_mtools_says(card: Path) -> None:
    with card.open("r+b") as file:
        file.seek(BOOT_OFFSET)
        file.write(bytes(512))
    assert "could not be used; mlabel says: init" in refusal(card)


def test_a_partition_beyond_the_card_is_refused(card: Path) -> None:
    with card.open("r+b") as file:
        file.seek(446)
        file.write(struct.pack("<4xB3xI", 0x0C, 0xFFFFFFFF))
    assert "could not be used; mlabel says" in refusal(card)


def test_a_full_file_system_is_named(opened: Boot, card: Path, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(33 << 20))
    subprocess.run(["mcopy", "-i", f"{card}@@{BOOT_OFFSET}", tmp_path / "large", "::large"], check=True)
    room = (34 << 20) // 512
    subprocess.run(["mcopy", "-i", f"{card}@@{BOOT_OFFSET}", "-", "::rest"], input=bytes(room * 512), check=False)
    with pytest.raises(ImageError, match="does not keep what is written, or is full"):
        opened.write(b"file" * 1000)


def test_a_file_that_is_larger_than_any_is_not_read(opened: Boot, card: Path, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(1 << 20))
    subprocess.run(["mcopy", "-i", f"{card}@@{BOOT_OFFSET}", tmp_path / "large", "::bondmate-enrol.cose"], check=True)
    with pytest.raises(ImageError, match="more on its boot partition than is believed"):
        opened.read()


def test_a_card_that_does_not_keep_the_file_is_refused(opened: Boot, monkeypatch: pytest.MonkeyPatch) -> None:
    def forgets(descriptor: int) -> None:
        drop_cached(descriptor)
        for at in range(BOOT_OFFSET, BOOT_OFFSET + (4 << 20), 1 << 20):
            data = os.pread(descriptor, 1 << 20, at)
            if (place := data.find(b"needle")) >= 0:
                os.pwrite(descriptor, b"noodle", at + place)

    monkeypatch.setattr("bondmate_image.boot.drop_cached", forgets)
    with pytest.raises(ImageError, match="does not keep what is written"):
        opened.write(b"needle")


def test_without_mtools_it_says_so(card: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert refusal(card) == "needs mlabel to be looked into. Install mtools"
