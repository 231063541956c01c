"""Bundles: copied whole, registered once, bounded."""

import hashlib
import stat
from pathlib import Path

import pytest

from bondmate_sim.gateway import bundles
from bondmate_sim.gateway.bundles import Bundle, BundleError
from bondmate_sim.gateway.database import Database

CONTENT = bytes(range(256)) * 5000


@pytest.fixture
def data(tmp_path: Path, database: Database) -> Path:
    """Return the data directory of the database."""
    return tmp_path / "data"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "update.raucb"
    made.write_bytes(CONTENT)
    return made


def test_a_bundle_is_copied_and_registered_with_what_devices_compare(
    database: Database, data: Path, file: Path
) -> None:
    made = bundles.add(database, data, file, "1.3.0", 7)
    assert made == Bundle("1.3.0", len(CONTENT), hashlib.sha256(CONTENT).digest(), 7)
    file.unlink()
    assert bundles.path(data, made) == data / "bundles" / "1.3.0.raucb"
    assert bundles.path(data, made).read_bytes() == CONTENT
    assert stat.S_IMODE(bundles.path(data, made).stat().st_mode) == 0o600
    assert stat.S_IMODE((data / "bundles").stat().st_mode) == 0o700
    assert bundles.find(database, "1.3.0") == bundles.present(database, "1.3.0") == made
    assert list(bundles.every(database)) == [made]


def test_the_same_again_is_the_same_and_another_under_its_version_is_refused(
    database: Database, data: Path, file: Path
) -> None:
    made = bundles.add(database, data, file, "1.3.0", 7)
    assert bundles.add(database, data, file, "1.3.0", 8) == made
    file.write_bytes(b"another")
    with pytest.raises(BundleError, match=r"another bundle of 1\.3\.0 is here already"):
        bundles.add(database, data, file, "1.3.0", 9)
    assert bundles.path(data, made).read_bytes() == CONTENT
    assert [each.name for each in (data / "bundles").iterdir()] == ["1.3.0.raucb"]


def test_what_a_crash_left_goes_with_the_next_one(database: Database, data: Path, file: Path) -> None:
    kept = bundles.add(database, data, file, "1.2.0", 6)
    for name in ("1.3.0.raucb", "1.1.0.raucb", ".adding.x"):
        (data / "bundles" / name).write_bytes(b"half")
    made = bundles.add(database, data, file, "1.3.0", 7)
    assert {each.name for each in (data / "bundles").iterdir()} == {kept.name, made.name}
    for each in (kept, made):
        assert bundles.path(data, each).read_bytes() == CONTENT


def test_what_is_no_bundle_is_refused_and_leaves_nothing(
    database: Database, data: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for wrong in (file.parent, file.parent / "none"):
        with pytest.raises(BundleError, match="cannot read the bundle"):
            bundles.add(database, data, wrong, "1.3.0", 7)
    monkeypatch.setattr(bundles, "MAX_OCTETS", len(CONTENT) - 1)
    with pytest.raises(BundleError, match="one has 1 to"):
        bundles.add(database, data, file, "1.3.0", 7)
    file.write_bytes(b"")
    with pytest.raises(BundleError, match="one has 1 to"):
        bundles.add(database, data, file, "1.3.0", 7)
    assert list((data / "bundles").iterdir()) == []
    assert bundles.every(database) == []


def test_only_so_many_are_kept(database: Database, data: Path, file: Path) -> None:
    for number in range(bundles.MAX_BUNDLES):
        bundles.add(database, data, file, f"1.{number}", number)
    with pytest.raises(BundleError, match="16 bundles are here"):
        bundles.add(database, data, file, "2.0", 99)
    assert bundles.add(database, data, file, "1.0", 99).added_ms == 0
    assert len(list((data / "bundles").iterdir())) == bundles.MAX_BUNDLES
    with database.transaction():
        bundles.forget(database, "1.0")
    assert bundles.find(database, "1.0") is None
    with pytest.raises(BundleError, match=r"no bundle of 1\.0 is here"):
        bundles.present(database, "1.0")
    bundles.add(database, data, file, "2.0", 99)


@pytest.mark.parametrize("text", ["1.3.0", "1.3.0~rc1+git.5-2", "a" * 64])
def test_versions(text: str) -> None:
    assert bundles.is_version(text)


@pytest.mark.parametrize("text", ["", "a" * 65, ".hidden", "../up", "a/b", "a b", "a\n", "%2e", "ä", "-v"])
def test_what_is_no_name_of_a_file_is_no_version(text: str) -> None:
    assert not bundles.is_version(text)
