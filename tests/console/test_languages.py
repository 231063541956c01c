"""What the page says: the same in every language, nothing left out, and nothing said that is not there."""

import json
import re
from pathlib import Path

import pytest

from bondmate.records import ALERT_KINDS
from tests.conftest import TOP

STATIC = TOP / "daemon" / "console" / "static"
LANGUAGES = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (STATIC / "lang").glob("*.json")}
SCRIPTS = {path: path.read_text(encoding="utf-8") for path in sorted((STATIC / "js").rglob("*.js"))}
ENGLISH = LANGUAGES["en"]
SAME = re.compile(r"BondMate|\{?\w*\}? ?(km|m|min|h|s)|[\d\W]*")
"""A text that may be the same in two languages by chance: a name, a unit."""


def holes(text: str) -> list[str]:
    return sorted(re.findall(r"\{(\w+)\}", text))


def test_there_are_three_languages() -> None:
    assert sorted(LANGUAGES) == ["el", "en", "pt"]


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_every_text_is_there_and_says_something_with_the_same_holes(language: str) -> None:
    words = LANGUAGES[language]
    assert list(words) == list(ENGLISH), "the same keys in the same order"
    for key, text in words.items():
        assert text.strip() == text != "", key
        assert holes(text) == holes(ENGLISH[key]), key


@pytest.mark.parametrize("language", ["el", "pt"])
def test_hardly_a_text_was_left_in_english(language: str) -> None:
    left = [key for key, text in LANGUAGES[language].items() if text == ENGLISH[key] and not SAME.fullmatch(text)]
    assert left == []


def test_greek_is_written_in_greek_letters() -> None:
    letters = "".join(re.sub(r"\{\w+\}|BondMate|PIN|SIM", "", text) for text in LANGUAGES["el"].values())
    assert re.findall(r"[A-Za-z]+", letters) == []


def used(script: str) -> set[str]:
    """The keys that a script asks for in full."""
    return set(re.findall(r"""\b(?:t|has|count)\(\s*"([\w.-]+)\"""", script))


def begun(script: str) -> set[str]:
    """The beginnings of those that it puts together."""
    return set(re.findall(r"""`([a-z]+(?:\.[a-z]+)*\.)\$\{""", script))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_what_a_script_says_is_in_the_words(path: Path) -> None:
    for key in used(SCRIPTS[path]):
        assert key in ENGLISH or f"{key}.other" in ENGLISH, key
    for beginning in begun(SCRIPTS[path]):
        assert any(key.startswith(beginning) for key in ENGLISH), beginning


def test_no_text_is_there_that_nobody_says() -> None:
    said = "\n".join(SCRIPTS.values())
    keys = set(re.findall(r"""["'`]([a-z][\w.-]*)["'`]""", said))
    for key in ENGLISH:
        stem = re.sub(r"\.(one|other)$", "", key)
        assert stem in keys or any(stem.startswith(beginning) for beginning in begun(said)), key


def test_every_kind_of_call_has_a_name() -> None:
    assert {f"kind.{kind.label}" for kind in ALERT_KINDS} <= set(ENGLISH)


def test_a_number_has_both_its_forms() -> None:
    stems = {key.rpartition(".")[0] for key in ENGLISH if key.endswith((".one", ".other"))}
    assert "inbox.room" in stems
    for stem in stems:
        assert {f"{stem}.one", f"{stem}.other"} <= set(ENGLISH)


def test_no_script_or_page_knows_another_host_or_runs_what_stands_in_markup() -> None:
    for path in [*SCRIPTS, STATIC / "index.html", STATIC / "style.css"]:
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "://" not in text, path
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function| on\w+=| style=", text
        ), path
