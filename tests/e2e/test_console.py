"""The officer's page on the real device: from a slide to the gateway, from button and dispatcher to the page."""

import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from bondmate_sim.pin_file import PIN
from bondmate_sim.process import wait_until
from bondmate_sim.world import World
from tests.browser import chromium, screen
from tests.console.test_page import type_pin
from tests.console.test_slide import drag
from tests.e2e.conftest import alerts, ctl, press, wait_for_alerts

SHOWN_MS = 200
HEADLINE = "document.querySelector('h1').textContent"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Browser, world: World) -> Iterator[Page]:
    """What the officer of this world sees."""
    with screen(browser) as opened:
        opened.goto(world.start_console())
        expect(opened.get_by_role("heading", level=1)).to_have_text("Ready")
        yield opened


def test_an_alert_raised_on_the_page_reaches_the_gateway_and_the_dispatcher_is_seen(world: World, page: Page) -> None:
    drag(page, 470)
    [alert] = wait_for_alerts(world, 1)
    assert alert["kind"] == "panic"
    headline = page.get_by_role("heading", level=1)
    expect(headline).to_have_text("Alert delivered", timeout=25_000)
    world.at_gateway("ack", str(alert["alert_id"]), "--by", "Rita Faria")
    expect(headline).to_have_text("Alert acknowledged", timeout=15_000)
    expect(page.locator(".means")).to_have_text("Rita Faria in the control room has seen it.")
    world.at_gateway("close", str(alert["alert_id"]), "--by", "Rita Faria")
    expect(headline).to_have_text("Ready", timeout=25_000)


def test_one_raised_by_the_button_shows_at_once(world: World, page: Page) -> None:
    # the page notes when its headline has changed, by the clock of this machine
    page.evaluate(
        f"""() => {{
          window.shownAt = null;
          new MutationObserver(() => {{
            if (window.shownAt === null && {HEADLINE}.startsWith("Alert"))
              requestAnimationFrame(() => {{ window.shownAt = performance.timeOrigin + performance.now(); }});
          }}).observe(document.body, {{ subtree: true, childList: true, characterData: true }});
        }}"""
    )
    held = world.press(0.4)
    page.wait_for_function("window.shownAt !== null")
    shown_ms = page.evaluate("window.shownAt")
    recognised_ns = held.pressed_ns + world.settings.hold_s * 1e9
    raised_ms = time.time() * 1000 - (time.monotonic_ns() - recognised_ns) / 1e6
    took_ms = shown_ms - raised_ms
    assert 0 < took_ms < SHOWN_MS, f"{took_ms:.0f} ms after the end of the hold"


def test_a_message_comes_is_read_and_answered_and_the_dispatcher_sees_both(world: World, page: Page) -> None:
    assert world.device is not None
    world.at_gateway(
        "message", world.device, "Go round by the school.", "--reply", "Understood", "--urgent", "--by", "Rita Faria"
    )
    expect(page.locator(".banner.urgent")).to_contain_text("Go round by the school.", timeout=70_000)
    page.locator(".banner.urgent").click()
    expect(page.locator(".meta")).to_contain_text("From Rita Faria")
    page.get_by_role("button", name="Understood").click()
    expect(page.locator(".yours")).to_contain_text("Understood")
    assert [message["state"] for message in ctl(world, "inbox")] == ["answered"]

    def answered() -> bool:
        return any("Understood" in str(message) for message in world.at_gateway("messages"))

    wait_until(answered, 25, "the dispatcher to see the answer")


def test_the_pin_takes_an_alert_back(world: World, page: Page) -> None:
    press(world)
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("^Alert "))
    page.get_by_role("button", name="Take it back").click()
    type_pin(page, "9999")
    expect(page.locator(".pin-told")).to_contain_text("Wrong PIN")
    type_pin(page, PIN)
    expect(page.get_by_role("heading", level=1)).to_have_text("Ready")
    wait_until(lambda: [one for one in alerts(world) if one["state"] == "cancelled"], 25, "the dispatcher to see it")


def test_a_console_killed_during_an_alert_comes_back_and_the_alert_never_notices(world: World, page: Page) -> None:
    press(world)
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("^Alert "))
    before = ctl(world, "alert", "show")
    world.console.kill()
    expect(page.locator(".banner.lost")).to_be_visible()
    [alert] = wait_for_alerts(world, 1)
    world.start_console()
    expect(page.locator(".banner.lost")).to_be_hidden()
    expect(page.get_by_role("heading", level=1)).to_have_text("Alert delivered", timeout=25_000)
    assert ctl(world, "alert", "show")["alert_id"] == before["alert_id"] == alert["alert_id"]
    assert len(alerts(world)) == 1


def test_a_daemon_killed_during_an_alert_is_missed_and_the_alert_is_there_again(world: World, page: Page) -> None:
    press(world)
    expect(page.get_by_role("heading", level=1)).to_have_text("Alert delivered", timeout=25_000)
    world.daemon.kill()
    expect(page.locator(".banner.lost")).to_contain_text("if you feel nothing, use the radio")
    world.start_daemon()
    expect(page.locator(".banner.lost")).to_be_hidden()
    expect(page.locator(".notes")).to_contain_text("Went on after a restart")


def test_a_check_in_begun_and_ended_on_the_page_is_the_devices(world: World, page: Page) -> None:
    page.get_by_role("link", name="Check-in").click()
    page.get_by_role("textbox", name="Note").fill("Rua da Palma 12")
    page.get_by_role("button", name="10 minutes").click()
    expect(page.get_by_role("timer")).to_have_text(re.compile(r"^(10:00|9:5\d)$"))
    assert ctl(world, "checkin", "show")["checkin"]["note"] == "Rua da Palma 12"
    page.get_by_role("button", name="I am safe").click()
    expect(page.get_by_role("button", name="60 minutes")).to_be_visible()
    assert ctl(world, "checkin", "show")["checkin"] is None
