"""The units as systemd reads them: no word of complaint, and how much each may do."""

import json
from collections.abc import Iterator

import pytest

from tests.recipe.machine import MAKING_S, RECIPE, Root

EXPOSURE = {
    "bondmated.service": 1.3,
    "bondmate-updater.service": 1.1,
    "bondmate-console.service": 0.9,
    "bondmate-wifi.service": 0.5,
    "bondmate-board.service": 0.2,
    "bondmate-enrolment.service": 0.2,
    "bondmate-erase.service": 0.5,
    "bondmate-grow.service": 1.2,
    "bondmate-screen.service": 1.0,
    "bondmate-kiosk.service": 1.2,
}
"""What `systemd-analyze security` may find, at most; docs/hardening.md has the same table."""
TREES = ("root", "touch")
OWN = sorted(
    path.name for tree in TREES for path in (RECIPE / tree).glob("usr/lib/systemd/system/bondmate*.*") if path.is_file()
)

pytestmark = pytest.mark.timeout(MAKING_S + 100)


@pytest.fixture(scope="module")
def root() -> Iterator[Root]:
    with Root("touch") as made:
        # an image has them; whether they are there is all that is asked here
        for program in ("usr/bin/rauc", "usr/bin/cage", "usr/lib/chromium/chromium"):
            place = made.upper / program
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to("/usr/bin/true")
        yield made


def test_every_service_of_ours_has_a_bound() -> None:
    assert {name for name in OWN if name.endswith(".service")} == set(EXPOSURE)


@pytest.mark.parametrize("unit", OWN)
def test_systemd_has_nothing_to_say_of_it(root: Root, unit: str) -> None:
    done = root.run("systemd-analyze", "verify", unit)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_it_would_say_something_of_a_key_that_it_does_not_know(root: Root) -> None:
    """It ends with 0 all the same: that is why any word counts."""
    unit = root.upper / "usr/lib/systemd/system/bondmate-typo.service"
    unit.write_text("[Service]\nExecStart=/bin/true\nProtectSystme=strict\n")
    done = root.run("systemd-analyze", "verify", unit.name)
    unit.unlink()
    assert done.returncode == 0
    assert "ProtectSystme" in done.stderr


@pytest.mark.parametrize("unit", EXPOSURE)
def test_it_may_do_no_more_than_it_needs(root: Root, unit: str) -> None:
    done = root.run("systemd-analyze", "security", "--offline=true", "--json=short", "--no-pager", unit)
    assert done.returncode == 0, done.stderr
    shown = root.run("systemd-analyze", "security", "--offline=true", "--no-pager", unit)
    overall = float(shown.stdout.rpartition("exposure level for ")[2].split()[1])
    assert overall <= EXPOSURE[unit], [row for row in json.loads(done.stdout) if row["set"] is False]
