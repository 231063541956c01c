import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate_image.bmap import MAX_OCTETS, BmapError, Extent, parse, whole
from tests.image import cards
from tests.image.cards import BLOCK

SIZE = 3000 * BLOCK


@pytest.fixture
def made(tmp_path: Path) -> bytes:
    return cards.bmap(cards.image(tmp_path / "a.img")).read_bytes()


def test_it_names_the_octets_that_matter(made: bytes) -> None:
    first, second = parse(made, SIZE)
    assert (first.offset, first.length) == (0, 40 * BLOCK)
    assert (second.offset, second.length) == (1500 * BLOCK, 1100 * BLOCK)


def test_the_last_block_ends_with_the_image(tmp_path: Path) -> None:
    path = cards.image(tmp_path / "a.img", blocks=2, used=(range(2),))
    path.write_bytes(path.read_bytes()[:-512])
    (extent,) = parse(cards.bmap(path, used=(range(2),)).read_bytes(), 2 * BLOCK - 512)
    assert extent.length == 2 * BLOCK - 512


def test_without_a_map_all_matters() -> None:
    assert whole(512) == (Extent(0, 512, None),)


def test_a_map_that_bmaptool_made_is_read(tmp_path: Path) -> None:
    cards.need("bmaptool", "bmap-tools")
    path = cards.image(tmp_path / "a.img")
    made = tmp_path / "a.img.bmap"
    subprocess.run(["bmaptool", "create", path, "-o", made], check=True, capture_output=True)
    extents = parse(made.read_bytes(), path.stat().st_size)
    assert [(each.offset, each.length) for each in extents] == [(0, 40 * BLOCK), (1500 * BLOCK, 1100 * BLOCK)]


def test_a_single_block_is_one_number(made: bytes, tmp_path: Path) -> None:
    text = made.decode().replace(" 0-39 ", " 0 ").replace(" 1140 ", " 1101 ")
    digest = text.partition("<BmapFileChecksum> ")[2][:64]
    path = cards.seal(tmp_path / "b.bmap", text.replace(digest, "0" * 64))
    assert parse(path.read_bytes(), SIZE)[0].length == BLOCK


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("2.0", "3.0", "of version 3.0"),
        ("sha256", "sha1", "not SHA-256"),
        (f" {SIZE} ", f" {SIZE + BLOCK} ", f"belongs to an image of {SIZE + BLOCK} octets"),
        (" 3000 ", " 2999 ", "numbers of blocks contradict"),
        (" 4096 ", " 0 ", "numbers of blocks contradict"),
        (" 4096 ", " many ", "its BlockSize is no number"),
        (" 1140 ", " 1141 ", "ranges contradict"),
        (" 1500-2599 ", " 1500-3000 ", "ranges contradict"),
        (" 1500-2599 ", " 39-2599 ", "out of order, or beyond"),
        (" 1500-2599 ", " 3000-3001 ", "out of order, or beyond"),
        (" 1500-2599 ", " 2599-1500 ", "out of order, or beyond"),
        (" 1500-2599 ", " 1500- ", "no range of blocks"),
        ('chksum="', 'chksum="x', "no range of blocks"),
        ("<bmap ", '<!DOCTYPE bmap [<!ENTITY a "b">]><bmap ', "document type"),
        ("</bmap>", "", "not XML"),
        ("bmap>", "map>", "not XML"),
    ],
)
def test_a_map_that_contradicts_itself_is_refused(made: bytes, tmp_path: Path, old: str, new: str, why: str) -> None:
    text = made.decode()
    digest = text.partition("<BmapFileChecksum> ")[2][:64]
    text = text.replace(digest, "0" * 64).replace(old, new, 1)
    path = cards.seal(tmp_path / "b.bmap", text)
    with pytest.raises(BmapError, match=why):
        parse(path.read_bytes(), SIZE)


def test_a_map_that_was_changed_is_refused(made: bytes) -> None:
    changed = made.replace(b" 1500-2599 ", b" 1500-2598 ")
    with pytest.raises(BmapError, match="own checksum"):
        parse(changed, SIZE)


def test_a_map_of_another_image_is_refused(made: bytes) -> None:
    with pytest.raises(BmapError, match=f"belongs to an image of {SIZE} octets, and this one has 512"):
        parse(made, 512)


def test_too_large_a_map_is_refused() -> None:
    with pytest.raises(BmapError, match="more than 16 MiB"):
        parse(b" " * (MAX_OCTETS + 1), SIZE)


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: f"<bmap version='2.0'>{text}</bmap>".encode()))
def test_nothing_but_a_map_error_comes_of_any_octets(data: bytes) -> None:
    with pytest.raises(BmapError):
        parse(data, SIZE)
