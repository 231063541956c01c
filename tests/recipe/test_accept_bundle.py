"""Which bundles may replace what runs: RAUC's pre-install handler."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate.updater.slots import REFUSED
from tests.recipe.machine import RECIPE
from tests.recipe.scripts import load

SCRIPT = RECIPE / "root/usr/libexec/bondmate/accept_bundle.py"
IMAGE = {"version": "1.4.0", "screen": "none", "floor": "1.2.0", "store": "4", "store_reader": "3"}
BUNDLE = {
    "version": "1.5.0", "screen": "none", "replaces": "1.3.0", "store": "5", "store_oldest": "3", "store_reader": "4",
}  # fmt: skip
IN_ORDER = (
    # https://semver.org, section 11, and what is around it
    "0.9.9", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11",
    "1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0", "1.10.0", "2.0.0",
)  # fmt: skip


accept = load("accept_bundle")


def code(**changed: str) -> int:
    """What becomes of a bundle; `image_NAME` changes what the image says."""
    bundle = BUNDLE | {name: value for name, value in changed.items() if not name.startswith("image_")}
    image = IMAGE | {name.removeprefix("image_"): v for name, v in changed.items() if name.startswith("image_")}
    found, why = accept.judge(bundle, image)
    assert why
    return int(found)


def test_a_newer_one_replaces_what_runs() -> None:
    assert code() == 0


def test_an_older_one_does_as_well_down_to_the_floor() -> None:
    assert code(version="1.2.0") == 0
    assert code(version="1.2.0-rc.1") == accept.TOO_OLD
    assert code(version="1.1.9") == accept.TOO_OLD


def test_what_needs_a_step_in_between_is_not_installed() -> None:
    assert code(replaces="1.4.0") == 0
    assert code(replaces="1.4.1") == accept.TOO_FAR


def test_a_device_with_a_screen_takes_only_what_shows_something_there() -> None:
    """And one without takes no browser."""
    screens = ("none", "touch")
    found = {(here, new): code(image_screen=here, screen=new) for here in screens for new in screens}
    assert {pair for pair, each in found.items() if each == 0} == {("none", "none"), ("touch", "touch")}
    assert {found["none", "touch"], found["touch", "none"]} == {accept.OTHER_SCREEN}
    assert code(screen="touch", version="0.0.1") == accept.OTHER_SCREEN, "whatever else is wrong with it"
    silent = {name: value for name, value in BUNDLE.items() if name != "screen"}
    assert accept.judge(silent, IMAGE)[0] == accept.UNREADABLE


def test_a_store_that_it_could_not_take_over_is_left_alone() -> None:
    no = accept.OTHER_STORE
    found = [code(image_store=str(store), store_reader="1") for store in range(1, 8)]
    assert found == [no, no, 0, 0, 0, 0, 0], "older ones than it knows"
    assert [code(image_store="7", image_store_reader=str(reader)) for reader in (4, 5, 6, 7)] == [0, 0, no, no], "newer"


def test_what_nobody_could_fall_back_from_is_not_installed() -> None:
    assert [code(store_reader=str(reader)) for reader in (3, 4, 5)] == [0, 0, accept.OTHER_STORE]


@pytest.mark.parametrize("name", ["version", "replaces", "store", "store_oldest", "store_reader"])
@pytest.mark.parametrize("value", [None, "", "x", "1.2", "1.2.3.4", "--"])
def test_what_cannot_be_told_is_not_installed(name: str, value: str | None) -> None:
    bundle = BUNDLE | {} if value is not None else {key: each for key, each in BUNDLE.items() if key != name}
    if value is not None:
        bundle[name] = value
    assert accept.judge(bundle, IMAGE)[0] == accept.UNREADABLE


def test_versions_are_ordered_as_semver_has_it() -> None:
    orders = [accept.order(version) for version in IN_ORDER]
    assert all(one < other for one, other in itertools.pairwise(orders))
    assert accept.order("1.2.3+a") == accept.order("1.2.3+b")


@given(st.sampled_from(IN_ORDER), st.sampled_from(IN_ORDER))
def test_nothing_below_the_floor_is_ever_installed(version: str, floor: str) -> None:
    installed = code(version=version, image_floor=floor) == 0
    assert installed == (IN_ORDER.index(version) >= IN_ORDER.index(floor))


def test_rauc_hands_in_what_the_manifest_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "version").write_text("0.1.0\n")
    (tmp_path / "screen").write_text("none\n")
    (tmp_path / "updates.conf").write_bytes((RECIPE / "root/usr/share/bondmate/updates.conf").read_bytes())
    monkeypatch.setattr(accept, "SHARE", tmp_path)
    for name, value in {**BUNDLE, "replaces": "0.1.0", "store": "9", "store_oldest": "1", "store_reader": "1"}.items():
        monkeypatch.setenv(f"RAUC_META_BONDMATE_{name.upper()}", value)
    assert accept.main() == 0
    monkeypatch.setenv("RAUC_META_BONDMATE_VERSION", "0.0.9")
    assert accept.main() == accept.TOO_OLD
    (tmp_path / "screen").write_text("touch\n")
    assert accept.main() == accept.OTHER_SCREEN


def test_the_updater_has_words_for_each_reason() -> None:
    reasons = {accept.TOO_OLD, accept.TOO_FAR, accept.OTHER_STORE, accept.UNREADABLE, accept.OTHER_SCREEN}
    assert reasons == set(REFUSED)


def test_it_is_a_program_that_refuses_what_says_nothing() -> None:
    """Anything but 0 keeps RAUC from writing, a program that cannot be started too."""
    assert os.access(SCRIPT, os.X_OK)
    done = subprocess.run([sys.executable, "-I", SCRIPT], capture_output=True, text=True, check=False, env={})
    assert done.returncode not in {0, accept.TOO_OLD}
