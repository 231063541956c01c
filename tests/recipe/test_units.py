"""The units as systemd reads them: no word of complaint, and how much each may do."""

import json
from collections.abc import Iterator

import pytest

from tests.recipe.machine import MAKING_S, RECIPE, Root

EXPOSURE = {
    "root": {
        "bondmated.service": 1.3,
        "bondmate-updater.service": 1.1,
        "bondmate-console.service": 0.9,
        "bondmate-wifi.service": 0.5,
        "bondmate-board.service": 0.2,
        "bondmate-data.service": 1.2,
        "bondmate-enrolment.service": 0.2,
        "bondmate-erase.service": 0.5,
        "bondmate-grow.service": 1.2,
        "bondmate-open.service": 1.2,
    },
    "touch": {
        "bondmate-console.service": 0.5,
        "bondmate-screen.service": 1.0,
        "bondmate-kiosk.service": 1.2,
    },
}
"""What `systemd-analyze security` may find, at most; docs/hardening.md has the same table."""
BOUNDS = [(tree, unit, bound) for tree, bounds in EXPOSURE.items() for unit, bound in bounds.items()]
OWN = sorted(
    (tree, path.name)
    for tree in EXPOSURE
    for path in (RECIPE / tree).glob("usr/lib/systemd/system/bondmate*.*")
    if path.is_file()
)

pytestmark = pytest.mark.timeout(MAKING_S + 100)


@pytest.fixture(scope="module")
def roots() -> Iterator[dict[str, Root]]:
    """What every device has; and that with what a touch screen adds."""
    with Root() as root, Root("touch") as touch:
        for made in (root, touch):
            # an image has them; whether they are there is all that is asked here
            for program in ("usr/bin/rauc", "usr/bin/cage", "usr/lib/chromium/chromium"):
                place = made.upper / program
                place.parent.mkdir(parents=True, exist_ok=True)
                place.symlink_to("/usr/bin/true")
        yield {"root": root, "touch": touch}


def test_every_service_of_ours_has_a_bound() -> None:
    assert {(tree, name) for tree, name in OWN if name.endswith(".service")} <= {case[:2] for case in BOUNDS}


@pytest.mark.parametrize(("tree", "unit"), OWN)
def test_systemd_has_nothing_to_say_of_it(roots: dict[str, Root], tree: str, unit: str) -> None:
    done = roots[tree].run("systemd-analyze", "verify", unit)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_it_would_say_something_of_a_key_that_it_does_not_know(roots: dict[str, Root]) -> None:
    """It ends with 0 all the same: that is why any word counts."""
    root = roots["root"]
    unit = root.upper / "usr/lib/systemd/system/bondmate-typo.service"
    unit.write_text("[Service]\nExecStart=/bin/true\nProtectSystme=strict\n")
    done = root.run("systemd-analyze", "verify", unit.name)
    unit.unlink()
    assert done.returncode == 0
    assert "ProtectSystme" in done.stderr


@pytest.mark.parametrize(("tree", "unit", "bound"), BOUNDS)
def test_it_may_do_no_more_than_it_needs(roots: dict[str, Root], tree: str, unit: str, bound: float) -> None:
    root = roots[tree]
    done = root.run("systemd-analyze", "security", "--offline=true", "--json=short", "--no-pager", unit)
    assert done.returncode == 0, done.stderr
    shown = root.run("systemd-analyze", "security", "--offline=true", "--no-pager", unit)
    overall = float(shown.stdout.rpartition("exposure level for ")[2].split()[1])
    assert overall <= bound, [row for row in json.loads(done.stdout) if row["set"] is False]


def test_only_a_device_with_a_touch_screen_starts_page_and_browser(roots: dict[str, Root]) -> None:
    units = ("bondmate-console.service", "bondmate-screen.service", "bondmate-kiosk.service")
    enabled = {
        tree: [root.run("systemctl", "is-enabled", unit).stdout.strip() for unit in units]
        for tree, root in roots.items()
    }
    assert enabled == {"root": ["disabled", "not-found", "not-found"], "touch": ["enabled"] * 3}
