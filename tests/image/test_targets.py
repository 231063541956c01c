import os
import subprocess
from pathlib import Path

import pytest

from bondmate_image import disk, targets
from bondmate_image.errors import ImageError
from tests.image import cards


def test_a_file_and_a_loop_device_are_cards(tmp_path: Path) -> None:
    file, behind = cards.blank(tmp_path / "a", 8192), cards.blank(tmp_path / "b", 8192)
    with cards.loop(behind) as device:
        found = targets.check([file, device], 8192)
    assert [(each.path, each.device, each.size) for each in found] == [(file, False, 8192), (device, True, 8192)]


def test_each_refusal_is_named_and_none_hides_another(tmp_path: Path) -> None:
    good, small = cards.blank(tmp_path / "good", 8192), cards.blank(tmp_path / "small", 4096)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ImageError) as error:
        targets.check([good, small, tmp_path / "none", tmp_path / "pipe", tmp_path], 8192)
    assert str(error.value).splitlines() == [
        "nothing was written:",
        f"  {small} has 4096 octets, and 8192 are needed. Take a larger one",
        f"  {tmp_path}/none: No such file or directory. Name a card ('lsblk' shows them) or a file that is there",
        f"  {tmp_path}/pipe is neither a card nor a file. 'lsblk' shows the cards",
        f"  {tmp_path} is neither a card nor a file. 'lsblk' shows the cards",
    ]


def test_the_same_card_twice_is_seen_through_links(tmp_path: Path) -> None:
    card = cards.blank(tmp_path / "card")
    (tmp_path / "link").symlink_to(card)
    (tmp_path / "hard").hardlink_to(card)
    for other in ("link", "hard"):
        with pytest.raises(ImageError, match=f"{other} is the same as .*card. Name each once"):
            targets.check([card, tmp_path / other], 1)


def test_a_loop_device_is_the_file_behind_it(tmp_path: Path) -> None:
    card = cards.blank(tmp_path / "card")
    with cards.loop(card) as device, pytest.raises(ImageError, match=f"{device} is the same as {card}"):
        targets.check([card, device], 1)


def test_the_image_is_no_card(tmp_path: Path) -> None:
    image = cards.image(tmp_path / "a.img")
    with pytest.raises(ImageError, match="is the same as"):
        targets.check([image], 1, image)


def test_this_computers_own_system_disk_is_refused_by_name(tmp_path: Path) -> None:
    root = Path("/").stat().st_dev
    node = disk.SYS / "dev/block" / f"{os.major(root)}:{os.minor(root)}"
    device = Path("/dev") / node.resolve().name
    if not device.is_block_device():
        pytest.skip("the root file system is on no block device here")
    # in a chroot no mount at / is told, and the disk is refused as a built-in one
    with pytest.raises(ImageError, match=f"{device} (holds this computer's system|is built in)"):
        targets.check([device], 1)


def test_a_mounted_card_is_refused_and_cannot_be_claimed(tmp_path: Path) -> None:
    cards.need("mke2fs", "e2fsprogs")
    card = cards.blank(tmp_path / "card", 4 << 20)
    subprocess.run(["mke2fs", "-q", "-F", card], check=True)
    place = tmp_path / "mounted"
    place.mkdir()
    with cards.loop(card) as device:
        (target,) = targets.check([device], 1)
        if subprocess.run(["mount", device, place], capture_output=True, check=False).returncode != 0:
            pytest.skip("this machine mounts no loop device")
        try:
            with pytest.raises(ImageError, match=rf"{device} is mounted \({device.name} at {place}\). Run 'umount"):
                targets.check([device], 1)
            with pytest.raises(ImageError, match="Device or resource busy"):
                targets.claim(target, os.O_RDWR)
        finally:
            subprocess.run(["umount", place], check=True)
        os.close(targets.claim(target, os.O_RDWR))


def test_a_claimed_card_cannot_be_claimed_again(tmp_path: Path) -> None:
    with cards.loop(cards.blank(tmp_path / "card")) as device:
        (target,) = targets.check([device], 1)
        claimed = targets.claim(target, os.O_RDWR)
        try:
            with pytest.raises(ImageError, match="could not be opened"):
                targets.claim(target, os.O_RDWR)
        finally:
            os.close(claimed)
