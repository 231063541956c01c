import re
import subprocess
import tomllib

import pytest

from bondmate_image import recipe
from bondmate_image.errors import ImageError
from bondmate_image.recipe import Profile, Wanted
from tests.conftest import TOP

RELEASE, BENCH, TOUCH, BENCH_TOUCH = (
    Wanted("1.2.3", profile, 1_700_000_000, touch=touch) for touch in (False, True) for profile in Profile
)


def test_only_a_bench_has_ssh() -> None:
    release, bench = (recipe.packages(wanted) for wanted in (RELEASE, BENCH))
    assert set(bench) - set(release) == {"openssh-server"}
    assert not [name for name in release if "ssh" in name]


def test_only_a_device_with_a_touch_screen_has_a_browser() -> None:
    release, touch = (recipe.packages(wanted) for wanted in (RELEASE, TOUCH))
    assert set(touch) - set(release) == {"cage", "chromium", "fonts-dejavu-core"}
    assert not {"cage", "chromium"} & set(recipe.packages(BENCH))


def test_what_comes_on_top_is_in_the_name_and_laid_last() -> None:
    every = (RELEASE, BENCH, TOUCH, BENCH_TOUCH)
    assert [wanted.name for wanted in every] == [
        "bondmate-1.2.3-release", "bondmate-1.2.3-bench", "bondmate-1.2.3-release-touch", "bondmate-1.2.3-bench-touch",
    ]  # fmt: skip
    assert [[tree.name for tree in recipe.overlays(wanted)] for wanted in every] == [
        ["root"], ["root", "bench"], ["root", "touch"], ["root", "bench", "touch"],
    ]  # fmt: skip


def test_a_comment_is_no_package() -> None:
    names = recipe.packages(BENCH_TOUCH)
    assert {"systemd", "openssh-server", "cage"} <= set(names)
    # Debian Policy, 5.6.7
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", name) for name in names)
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
