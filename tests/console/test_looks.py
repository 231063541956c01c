"""How every view looks in every language: nothing that axe finds, nothing cut off, nothing too small for a thumb."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page, ViewportSize

from tests.browser import SCREEN, screen
from tests.console.desk import Desk, enter, go
from tests.console.scenes import SCENES

LANGUAGES = ("en", "pt", "el")
AXE = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}}
THUMB_PX = 48
SMALL_SCREEN: ViewportSize = {"width": 320, "height": 640}
"""WCAG 2.2, 1.4.10: nothing has to be scrolled in two directions there."""


@pytest.fixture(scope="module")
def looking(browser: Browser, shared_desk: Desk) -> Iterator[Page]:
    """One page for all of them. It has no policy, for axe is a script from elsewhere; it shows the same."""
    shared_desk.fresh()
    with screen(browser, bypass_csp=True) as page:
        enter(page, shared_desk)
        page.evaluate(AXE_SCRIPT)
        yield page


def show(page: Page, desk: Desk, language: str, scene: str) -> None:
    """Let this be on the screen."""
    view, changes = SCENES[scene]
    desk.fresh()
    desk.become(settings={"language": language}, **changes)
    # as after a reload, with axe still there
    page.evaluate(
        "detail => dispatchEvent(new CustomEvent('settings', { detail }))",
        {"language": language, "languages": LANGUAGES},
    )
    page.wait_for_function("language => document.documentElement.lang === language", arg=language)
    go(page, "settings" if view == "" else "")
    go(page, view)
    wanted = json.dumps(changes.get("status", {}).get("alert", None) is not None)
    page.wait_for_function(
        f"() => {wanted} === (document.querySelector('.steps:not([hidden]), .pill[data-state=alert]') !== null)"
    )
    page.wait_for_function("() => !document.querySelector('.privacy') || document.querySelector('.now')")


def troubles(page: Page) -> list[str]:
    """What axe finds, in words."""
    found: dict[str, Any] = page.evaluate("options => axe.run(document, options)", AXE)
    assert len(found["passes"]) > 15, "it did look"
    return [
        f"{one['id']}: {node['html']} {node['failureSummary']}" for one in found["violations"] for node in one["nodes"]
    ]


CUT_OFF = """() => [...document.querySelectorAll("body *")].filter((node) => {
  if (!node.checkVisibility() || node.closest(".unseen, .row-text, .banner.urgent, svg, textarea")) return false;
  const box = node.getBoundingClientRect();
  const speaks = [...node.childNodes].some((child) => child.nodeType === Node.TEXT_NODE);
  const bursts = speaks && node.scrollWidth > Math.max(node.clientWidth, box.width) + 1;
  return box.left < 0 || box.right > innerWidth || bursts;
}).map((node) => node.outerHTML.slice(0, 120))"""
"""What reaches over an edge of the screen, and words that reach out of what holds them."""

TOUCHED = "a, button, input, textarea, summary, [role=slider]"
TOO_SMALL = """([touched, least]) => [...document.querySelectorAll(touched)].filter((node) => {
  if (!node.checkVisibility()) return false;
  const box = (node.closest("label") ?? node).getBoundingClientRect();
  return box.width < least || box.height < least;
}).map((node) => node.outerHTML.slice(0, 120))"""


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("scene", SCENES)
def test_every_view_is_for_everybody(looking: Page, shared_desk: Desk, language: str, scene: str) -> None:
    show(looking, shared_desk, language, scene)
    assert troubles(looking) == []
    assert looking.evaluate(CUT_OFF) == []
    assert looking.evaluate(TOO_SMALL, [TOUCHED, THUMB_PX]) == []
    looking.set_viewport_size(SMALL_SCREEN)
    try:
        assert looking.evaluate(CUT_OFF) == []
    finally:
        looking.set_viewport_size(SCREEN)


@pytest.mark.parametrize("language", LANGUAGES)
def test_so_is_the_pad_for_the_pin(looking: Page, shared_desk: Desk, language: str) -> None:
    show(looking, shared_desk, language, "home, alert")
    looking.locator(".state .button").click()
    assert looking.locator("dialog").is_visible()
    try:
        assert troubles(looking) == []
        assert looking.evaluate(CUT_OFF) == []
        assert looking.evaluate(TOO_SMALL, [TOUCHED, THUMB_PX]) == []
    finally:
        looking.keyboard.press("Escape")


def test_what_is_wrong_would_be_seen(looking: Page, shared_desk: Desk) -> None:
    show(looking, shared_desk, "en", "settings")
    looking.evaluate(
        """() => document.querySelector(".card").insertAdjacentHTML("beforeend",
             `<button id="bad" style="width: 20px; height: 900px; position: relative; left: 470px"></button>`)"""
    )
    try:
        assert any(trouble.startswith("button-name") for trouble in troubles(looking))
        assert any('id="bad"' in node for node in looking.evaluate(CUT_OFF))
        assert any('id="bad"' in node for node in looking.evaluate(TOO_SMALL, [TOUCHED, THUMB_PX]))
    finally:
        looking.evaluate("document.getElementById('bad').remove()")
