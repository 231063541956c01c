"""What the documents say of tests, files and patterns: all of it is there."""

import ast
import re
from itertools import pairwise, product
from pathlib import Path

import pytest

from bondmate.core.alert import TRANSITIONS, Event, State
from bondmate.core.feedback import Pattern
from tests import pictures
from tests.conftest import TOP
from tests.pictures import PIXELS_A_SECOND

PAGES = sorted([*TOP.glob("*.md"), *(TOP / "docs").rglob("*.md")])


def names_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(
    ("page", "head"),
    [("privacy.md", "| the device | LED | GDPR | shown by |"), ("officer.md", "| the device | shown by |")],
)
def test_every_behaviour_that_these_pages_promise_has_a_test(page: str, head: str) -> None:
    text = (TOP / "docs" / page).read_text(encoding="utf-8")
    table = text.partition(head)[2].partition("\n\n")[0]
    rows = [row for row in table.splitlines() if row.startswith("| ") and not row.startswith("|---")]
    assert len(rows) > 10
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", row)
        assert named, row
        for file, name in named:
            assert (TOP / file).is_file(), f"{row}: no {file}"
            assert not name or name in names_in(TOP / file), f"{row}: no {name}"


def test_a_test_that_is_not_there_would_be_noticed() -> None:
    assert "test_a_day_off_duty_leaves_no_position_anywhere" in names_in(TOP / "tests" / "test_off_duty.py")
    assert "test_of_another_name" not in names_in(TOP / "tests" / "test_off_duty.py")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_every_file_that_a_page_links_to_is_there(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        assert "://" in link or (page.parent / link).exists(), f"{page.name} links to {link}"


def test_the_picture_of_an_alerts_life_is_the_table() -> None:
    page = (TOP / "docs" / "alert.md").read_text(encoding="utf-8")
    assert page == pictures.page_of_life(page), "draw it anew: python -m tests.pictures"
    drawn = page.partition("```mermaid\n")[2].partition("```")[0]
    steps = set(re.findall(r"^  (\w+) --> (\w+) : (.+)$", drawn, re.MULTILINE))
    for state, event in product(State, Event):
        then = TRANSITIONS[state][event]
        assert ((state, then, event.value) in steps) is (then is not state)
    assert len(steps) == sum(then is not state for state in State for then in TRANSITIONS[state].values())


def test_a_picture_of_another_table_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    page = (TOP / "docs" / "alert.md").read_text(encoding="utf-8")
    closing = {**TRANSITIONS[State.DELIVERED], Event.ACKNOWLEDGED: State.CLOSED}
    monkeypatch.setattr(pictures, "TRANSITIONS", {**TRANSITIONS, State.DELIVERED: closing})
    assert page != pictures.page_of_life(page)


def test_the_picture_of_the_vibrations_is_that_of_the_patterns() -> None:
    picture = (TOP / "docs" / "vibrations.svg").read_text(encoding="utf-8")
    assert picture == pictures.vibrations(), "draw it anew: python -m tests.pictures"
    for pattern in Pattern:
        shown = picture.partition(f'<g id="{pattern.name}">')[2].partition("</g>")[0]
        found = re.findall(r'<rect x="([\d.]+)" y="\d+" width="([\d.]+)"', shown)
        pulses = [(float(x) / PIXELS_A_SECOND, float(width) / PIXELS_A_SECOND) for x, width in found]
        pauses = [after - (x + width) for (x, width), (after, _) in pairwise(pulses)]
        assert [width for _, width in pulses] == pytest.approx(pattern.value[::2])
        assert pauses == pytest.approx(pattern.value[1::2])
