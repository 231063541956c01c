import hashlib
import os
from pathlib import Path

import pytest

from bondmate_image import plan
from bondmate_image.errors import ImageError
from tests.image import cards
from tests.image.cards import BLOCK


def read(path: Path) -> plan.Plan:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return plan.read(path, descriptor)
    finally:
        os.close(descriptor)


def test_with_a_map_only_what_it_names_is_written(tmp_path: Path) -> None:
    path = cards.image(tmp_path / "a.img")
    cards.bmap(path)
    planned = read(path)
    assert planned.octets == 1140 * BLOCK
    assert planned.size == 3000 * BLOCK
    data = path.read_bytes()
    for piece in planned.pieces:
        assert piece.length <= plan.PIECE
        assert piece.offset in {0, plan.HEAD, 1500 * BLOCK} or piece.offset % plan.PIECE == 0
        assert hashlib.sha256(data[piece.offset : piece.offset + piece.length]).digest() == piece.sha256


def test_a_map_with_the_short_name_is_found_too(tmp_path: Path) -> None:
    path = cards.image(tmp_path / "a.img")
    cards.bmap(path).rename(tmp_path / "a.bmap")
    assert read(path).bmap == tmp_path / "a.bmap"


def test_without_a_map_all_is_written(tmp_path: Path) -> None:
    planned = read(cards.image(tmp_path / "a.img"))
    assert planned.bmap is None
    assert planned.octets == 3000 * BLOCK


def test_a_damaged_image_is_named_with_the_place(tmp_path: Path) -> None:
    path = cards.image(tmp_path / "a.img")
    cards.bmap(path)
    with path.open("r+b") as file:
        file.seek(2000 * BLOCK)
        file.write(b"?")
    with pytest.raises(ImageError, match=f"octets {1500 * BLOCK} to {2600 * BLOCK - 1} are not those"):
        read(path)


def test_what_the_map_does_not_name_may_be_anything(tmp_path: Path) -> None:
    path = cards.image(tmp_path / "a.img")
    cards.bmap(path)
    with path.open("r+b") as file:
        file.seek(1000 * BLOCK)
        file.write(b"?")
    assert read(path).octets == 1140 * BLOCK


def test_a_map_of_another_image_is_refused(tmp_path: Path) -> None:
    other = cards.bmap(cards.image(tmp_path / "other.img", blocks=2600))
    path = cards.image(tmp_path / "a.img")
    other.rename(tmp_path / "a.img.bmap")
    with pytest.raises(ImageError, match=r"a\.img\.bmap does not belong to .*a\.img: it belongs to an image of"):
        read(path)


@pytest.mark.parametrize("octets", [0, 511])
def test_what_has_no_whole_sectors_is_no_image(tmp_path: Path, octets: int) -> None:
    (tmp_path / "a.img").write_bytes(bytes(octets))
    with pytest.raises(ImageError, match="is no image of a card"):
        read(tmp_path / "a.img")
