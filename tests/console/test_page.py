"""The officer's page in a real browser: entering, the alert and the PIN, and what it says when nobody answers."""

import re
import time

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import screen
from tests.console.contract import ACKNOWLEDGED, ALERT, FAULTS, PIN
from tests.console.desk import Desk, enter, go, until
from tests.console.test_slide import drag

OPEN = {"alert": ALERT, "state": "alert"}
THIS = {"alert_id": ALERT["alert_id"]}
"""What is taken back: the alert that was shown."""


def type_pin(page: Page, pin: str) -> None:
    """With a finger, on the pad."""
    for digit in pin:
        page.get_by_role("dialog").get_by_role("button", name=digit, exact=True).click()
    page.get_by_role("button", name="Confirm").click()


def test_the_token_leaves_the_address_and_no_script_can_read_what_came_for_it(desk: Desk, page: Page) -> None:
    enter(page, desk)
    token = desk.address.rpartition("#")[2]
    assert token not in page.url
    assert page.evaluate("document.cookie") == ""
    [cookie] = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert token not in cookie["value"]
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("Ready")
    page.go_back()
    assert token not in page.url


def test_a_browser_without_the_token_sees_nothing_and_is_told_so(desk: Desk, page: Page) -> None:
    desk.become(status=OPEN)
    page.goto(desk.address.rpartition("#")[0] + "#" + "x" * 43)
    expect(page.locator(".banner.lost")).to_contain_text("This screen is not let in")
    expect(page.locator(".banner.lost")).to_contain_text("The button does not need it")
    assert "BM-" not in page.content()
    expect(page.get_by_role("slider")).to_have_count(0)


def test_the_kiosks_own_file_leads_in(desk: Desk, page: Page) -> None:
    page.goto((desk.run / "kiosk.html").as_uri())
    expect(page.get_by_role("heading", level=1)).to_have_text("Ready")


def test_how_far_the_alert_is_stands_there_in_words_and_times(desk: Desk, page: Page) -> None:
    enter(page, desk)
    desk.become(status={"alert": ALERT | {"state": "stored", "delivered_at": None}, "state": "alert"})
    expect(page.get_by_role("heading", level=1)).to_have_text("Alert stored")
    steps = page.locator(".steps li")
    expect(steps).to_have_text(
        [re.compile("15:00:01"), re.compile("15:00:01"), re.compile("not yet"), re.compile("not yet")]
    )
    desk.become(status={"alert": ACKNOWLEDGED})
    expect(page.get_by_role("heading", level=1)).to_have_text("Alert acknowledged")
    expect(page.locator(".means")).to_have_text("Rita Faria in the control room has seen it.")
    expect(steps.last).to_contain_text("15:00:09")
    expect(page.locator("#shouted")).to_have_text("Alert acknowledged")
    desk.become(status={"alert": None, "state": "armed"})
    expect(page.get_by_role("heading", level=1)).to_have_text("Ready")
    expect(page.locator(".notes")).to_contain_text("The last alert was over at")


def test_the_pin_takes_an_alert_back_and_a_wrong_one_says_how_many_tries_are_left(desk: Desk, page: Page) -> None:
    desk.become(status=OPEN)
    enter(page, desk)
    page.get_by_role("button", name="Take it back").click()
    type_pin(page, "1111")
    expect(page.get_by_role("dialog").get_by_role("status")).to_have_text("Wrong PIN. 4 tries left")
    expect(page.locator("#pin")).to_have_value("")
    type_pin(page, PIN)
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator("#toast")).to_have_text("The alert is taken back")
    expect(page.get_by_role("heading", level=1)).to_have_text("Ready")
    wrong, right = desk.calls
    assert (wrong["body"], right["body"]) == (THIS | {"pin": "1111"}, THIS | {"pin": PIN})
    assert wrong["key"] != right["key"], "another PIN is another request"


def test_the_pad_can_be_typed_on_closed_and_locked(desk: Desk, page: Page) -> None:
    desk.become(status=OPEN, wrong=4)
    enter(page, desk)
    page.get_by_role("button", name="Take it back").click()
    expect(page.get_by_role("button", name="Confirm")).to_be_disabled()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert desk.calls == []
    page.get_by_role("button", name="Take it back").click()
    page.keyboard.type("12a34")
    page.keyboard.press("Enter")
    told = page.get_by_role("dialog").get_by_role("status")
    expect(told).to_contain_text("Too many wrong PINs. No PIN is looked at for 60 s")
    expect(told).to_have_attribute("aria-live", "off")  # said once, not each second
    expect(page.get_by_role("button", name="5", exact=True)).to_be_disabled()
    expect(page.locator("#pin")).not_to_be_editable()
    assert [call["body"] for call in desk.calls] == [THIS | {"pin": "1234"}]


def test_an_alert_that_was_over_meanwhile_is_said_in_the_devices_words(desk: Desk, page: Page) -> None:
    desk.become(status=OPEN)
    enter(page, desk)
    page.get_by_role("button", name="Take it back").click()
    desk.become(status={"alert": None, "state": "armed"})
    type_pin(page, PIN)
    expect(page.locator("#toast")).to_contain_text("no alert is open")


def test_a_pin_for_one_alert_does_not_take_back_a_newer_one(desk: Desk, page: Page) -> None:
    desk.become(status=OPEN)
    enter(page, desk)
    page.get_by_role("button", name="Take it back").click()
    newer = ALERT | {"alert_id": ALERT["alert_id"].replace("/1", "/2"), "kind": "escalation", "state": "stored"}
    desk.become(status={"alert": newer | {"escalates": ALERT["alert_id"]}})
    expect(page.locator(".kind")).to_have_text("Called again")
    type_pin(page, PIN)
    expect(page.locator("#toast")).to_have_text("Not taken back: there was a new call meanwhile. Look at it first.")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("heading", level=1)).to_have_text("Alert stored")
    [call] = desk.calls
    assert call["body"] == THIS | {"pin": PIN}
    page.get_by_role("button", name="Take it back").click()
    type_pin(page, PIN)
    expect(page.locator("#toast")).to_have_text("The alert is taken back")


def test_how_the_device_is_stands_there(desk: Desk, page: Page) -> None:
    enter(page, desk)
    values = page.locator(".fact:not([hidden]) .value")
    expect(values).to_have_text(["On duty", re.compile(r"^IP, \d s ago$"), "87 %", re.compile(r"^\d s old, ± 4 m$")])
    nothing = [{"name": "ip", "up": False, "last_success_s": 9.0, "why_not": "no network"}]
    desk.become(status={"duty": "off", "bearers": nothing, "battery": None, "fix": None, "faults": FAULTS})
    expect(values).to_have_text(["Off duty", "None: alerts wait", "Unknown", "Not recorded off duty"])
    expect(page.locator(".faults li")).to_have_text(
        ["The satellite receiver does not work as it should", "Something does not work"]
    )
    page.get_by_text("For the technician").click()
    expect(page.locator(".faults details")).to_contain_text("of-tomorrow: something new; read the manual")


@pytest.mark.parametrize(
    ("state", "code", "means"),
    [
        ("degraded", "store", "Not wholly ready: there is a fault"),
        ("degraded", "button-stuck", "The button is stuck: slide below, or use the radio."),
        ("not_armed", "store", "Not ready"),
    ],
)
def test_a_device_with_a_fault_sends_to_the_radio(desk: Desk, page: Page, state: str, code: str, means: str) -> None:
    enter(page, desk)
    desk.become(status={"state": state, "faults": [{"code": code, "since": None, "text": "text", "next": "next"}]})
    expect(page.get_by_role("heading", level=1)).to_have_text("Use the radio. Tell a technician.")
    expect(page.locator(".means")).to_have_text(means)
    drag(page, 470)
    expect(page.get_by_role("heading", level=1)).to_have_text("Alert stored")


def test_covert_an_alert_looks_like_anything_else(desk: Desk, page: Page) -> None:
    enter(page, desk)
    desk.become(status=OPEN)
    card = page.locator(".card.state")
    expect(page.get_by_role("heading", level=1)).to_have_text("Alert delivered")
    assert is_red(page), "the colour that must not be there is one that this test sees"
    desk.become(status={"covert": True})
    expect(page.locator("html")).to_have_attribute("data-covert", "yes")
    expect(card).to_be_visible()
    assert not is_red(page)


def is_red(page: Page) -> bool:
    """Whether anything on the screen has a red ground."""
    found: bool = page.evaluate(
        """() => [...document.querySelectorAll("*")].some((node) => {
             const [red, green, blue, alpha] = getComputedStyle(node).backgroundColor.match(/[\\d.]+/g).map(Number);
             return alpha !== 0 && red > 100 && red > 2 * Math.max(green, blue);
           })"""
    )
    return found


def test_an_exercise_is_marked_in_every_view(desk: Desk, page: Page) -> None:
    desk.become(status={"exercise": True})
    enter(page, desk)
    expect(page.locator(".banner.exercise")).to_be_visible()
    go(page, "settings")
    expect(page.locator(".banner.exercise")).to_contain_text("A second call during an alert is real")


def test_a_countdown_runs_and_says_how_to_stop_it(desk: Desk, page: Page) -> None:
    enter(page, desk)
    desk.become(status={"countdown": {"kind": "man-down", "in_s": 25.0}})
    banner = page.locator(".banner.countdown")
    expect(banner).to_contain_text("It stops when the device is carried again")
    expect(banner).to_contain_text(re.compile("An alert goes out in 2[0-4] s"))


def test_when_the_device_is_gone_the_page_says_so_and_comes_back_by_itself(desk: Desk, page: Page) -> None:
    enter(page, desk)
    desk.device.kill()
    try:
        banner = page.locator(".banner.lost")
        expect(banner).to_contain_text("No connection to the device")
        expect(banner).to_contain_text("Use the button; if you feel nothing, use the radio.")
        expect(banner).to_contain_text(re.compile(r"Last heard at \d\d:\d\d:\d\d"))
    finally:
        desk.start_device()
    expect(banner).to_be_hidden()
    desk.become(status=OPEN)
    expect(page.get_by_role("heading", level=1)).to_have_text("Alert delivered")


def test_a_call_that_nobody_answers_is_said_loudly(desk: Desk, browser: Browser) -> None:
    with screen(browser) as page:
        page.clock.install()
        enter(page, desk)
        desk.device.kill()
        try:
            drag(page, 470)
            expect(page.locator(".slide-label")).to_have_text("Raising the alert …")

            def failed() -> bool:
                page.clock.run_for(1000)
                return page.locator("#toast.bad", has_text="NO ANSWER").is_visible()

            until(failed, "the page to give up")
            expect(page.locator("#toast")).to_contain_text("NO ANSWER: do not rely on it. Use the button")
        finally:
            desk.start_device()


def test_a_call_that_a_hung_device_does_not_answer_is_said_soon_and_given_up_in_time(desk: Desk, page: Page) -> None:
    enter(page, desk)
    toast = page.locator("#toast.bad")
    with desk.hung():
        drag(page, 470)
        began = time.monotonic()
        expect(toast).to_contain_text("Not answered yet: use the button and the radio", timeout=7000)
        assert time.monotonic() - began > 4
        expect(page.locator(".slide-label")).to_have_text("Raising the alert …")
        expect(toast).to_contain_text("NO ANSWER: do not rely on it", timeout=13_000)
        assert time.monotonic() - began < 17


def test_a_call_that_is_answered_late_takes_its_warning_back(desk: Desk, page: Page) -> None:
    enter(page, desk)
    with desk.hung():
        drag(page, 470)
        expect(page.locator("#toast.bad")).to_contain_text("Not answered yet", timeout=7000)
    expect(page.get_by_role("heading", level=1)).to_have_text("Alert stored")
    expect(page.locator("#toast")).to_be_hidden()
    assert len({call["key"] for call in desk.calls}) == 1


def test_a_console_that_is_killed_during_an_alert_comes_back_to_the_same_browser(desk: Desk, page: Page) -> None:
    enter(page, desk)
    drag(page, 470)
    expect(page.get_by_role("heading", level=1)).to_have_text("Alert stored")
    desk.console.kill()
    expect(page.locator(".banner.lost")).to_be_visible()
    desk.start_console()
    expect(page.locator(".banner.lost")).to_be_hidden()
    desk.become(status={"alert": ACKNOWLEDGED})
    expect(page.get_by_role("heading", level=1)).to_have_text("Alert acknowledged")
    assert len(desk.calls) == 1, "nothing was done anew"


def test_before_the_officer_chose_a_language_the_browsers_counts(desk: Desk, browser: Browser) -> None:
    desk.become(settings={"language": None})
    with screen(browser, locale="pt-PT") as page:
        enter(page, desk)
        expect(page.get_by_role("heading", level=1)).to_have_text("Pronto")
        desk.become(settings={"language": "el"})
        page.reload()
        expect(page.get_by_role("heading", level=1)).to_have_text("Σε ετοιμότητα")
        expect(page.locator("html")).to_have_attribute("lang", "el")
