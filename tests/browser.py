"""A real browser: Debian's Chromium, driven by Playwright; each test gets a fresh profile of a 480 x 800 screen."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, ViewportSize, sync_playwright

SCREEN: ViewportSize = {"width": 480, "height": 800}
WAIT_MS = 10_000
_NETWORK = "Failed to load resource"
"""Chromium tells each refusal and each lost connection; tests bring those about."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, for as long as the block lasts. Skips the test where there is none.

    While it lasts, no other event loop can run in this thread: Playwright's runs in it.
    """
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no chromium on this machine; as root, ./dev test installs it")
    # the sandbox needs another user than root
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


@contextmanager
def screen(browser: Browser, **settings: Any) -> Iterator[Page]:
    """A page in a fresh profile. At the end: no script failed, and nothing was refused by the page's own policy."""
    context = browser.new_context(
        **({"viewport": SCREEN, "locale": "en-GB", "timezone_id": "Europe/Lisbon"} | settings)
    )
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    troubles: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and _NETWORK not in message.text:
            troubles.append(message.text)

    page.on("console", heard)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    try:
        yield page
    finally:
        context.close()
    assert troubles == []
