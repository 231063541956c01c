"""The browser and the desk, one of each for a module; a page for each test."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.browser import chromium, screen
from tests.console.desk import Desk


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def shared_desk() -> Iterator[Desk]:
    made = Desk()
    yield made
    made.close()


@pytest.fixture
def desk(shared_desk: Desk) -> Desk:
    """A device as it is when nothing happens, and its console."""
    shared_desk.fresh()
    return shared_desk


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with screen(browser) as opened:
        yield opened
