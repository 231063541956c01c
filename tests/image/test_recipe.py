import subprocess
import tomllib

import pytest

from bondmate_image import recipe
from bondmate_image.errors import ImageError
from bondmate_image.recipe import Profile
from tests.conftest import TOP


def test_only_a_bench_has_ssh() -> None:
    release, bench = (recipe.packages(profile) for profile in (Profile.RELEASE, Profile.BENCH))
    assert set(bench) - set(release) == {"openssh-server"}
    assert not [name for name in release if "ssh" in name]


def test_a_comment_is_no_package() -> None:
    for profile in Profile:
        assert all(name.replace("-", "").replace("+", "").isalnum() for name in recipe.packages(profile))
    assert "mmc_block" in recipe.initramfs_modules()


def test_the_repository_is_found_and_says_its_version() -> None:
    assert recipe.repository() == TOP
    assert recipe.version() == tomllib.loads((TOP / "pyproject.toml").read_text())["project"]["version"]


def test_the_time_is_given_or_that_of_the_last_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert recipe.epoch() == 1_700_000_000
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(ImageError, match="'yesterday' is no time"):
        recipe.epoch()
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    committed = subprocess.run(
        ["git", "-C", TOP, "log", "-1", "--format=%ct"], capture_output=True, text=True, check=False
    )
    if committed.returncode:
        pytest.skip("no git clone")
    assert recipe.epoch() == int(committed.stdout)
