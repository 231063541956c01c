"""The other views in a real browser: inbox, check-in, privacy, settings."""

import json
import re

from playwright.sync_api import Page, expect

from tests.console.contract import ALERT, ASSISTANCE, INBOX, MESSAGE, PIN, PRIVACY
from tests.console.desk import Desk, enter, go
from tests.console.test_page import type_pin

ALPHA = "\N{GREEK SMALL LETTER ALPHA}"
"""Two octets on the wire."""


def test_what_is_urgent_and_unread_stands_first_and_opening_reads_it(desk: Desk, page: Page) -> None:
    urgent = ASSISTANCE | {"number": 1}
    desk.become(inbox=[MESSAGE | {"number": 2, "text": "<img src=x onerror=alert(1)>"}, urgent])
    enter(page, desk)
    expect(page.locator(".banner.urgent")).to_contain_text("Colleague in trouble")
    expect(page.locator("#nav .badge")).to_contain_text("2 unread")
    page.get_by_role("link", name="Inbox").click()
    rows = page.locator(".messages li")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("A colleague calls for help")
    expect(rows.first).to_contain_text("420 m")
    expect(rows.last).to_contain_text("<img src=x onerror=alert(1)>")
    rows.first.get_by_role("link").click()
    expect(page.locator(".place .far")).to_have_text("420 m to the north-east")
    assert [call["path"] for call in desk.called(1)] == ["/inbox/1/read"]
    page.get_by_role("link", name="Back").click()
    expect(rows.first).to_contain_text("<img")
    expect(page.locator("#nav .badge")).to_contain_text("1 unread")


def test_a_quick_reply_is_one_touch(desk: Desk, page: Page) -> None:
    desk.become(inbox=INBOX)
    enter(page, desk, "inbox/3")
    page.get_by_role("button", name="On my way").click()
    expect(page.locator(".yours")).to_contain_text("On my way")
    expect(page.locator("#toast")).to_contain_text("The answer is stored")
    assert desk.calls[-1]["body"] == {"text": "On my way"}
    expect(page.get_by_role("textbox")).to_have_count(0)


def test_own_words_outlive_what_comes_meanwhile_and_are_as_long_as_the_wire_takes(desk: Desk, page: Page) -> None:
    desk.become(inbox=INBOX)
    enter(page, desk, "inbox/3")
    words, send = page.get_by_role("textbox", name="Your own words"), page.get_by_role("button", name="Send")
    expect(send).to_be_disabled()
    words.fill(ALPHA * 81)
    expect(page.locator(".room")).to_have_text("Too long: shorten it")
    expect(send).to_be_disabled()
    words.fill(ALPHA * 79)
    expect(page.locator(".room")).to_have_text("Room for 1 letter")
    desk.become(
        inbox=[
            MESSAGE | {"number": 4, "text": "News"},
            ASSISTANCE | {"state": "read", "distance_m": 99.0, "bearing_deg": 181.0},
        ]
    )
    expect(page.locator(".place .far")).to_have_text("99 m to the south")
    expect(words).to_have_value(ALPHA * 79)
    send.click()
    expect(page.locator(".yours")).to_contain_text(ALPHA * 79)
    assert desk.calls[-1]["body"] == {"text": ALPHA * 79}


def test_a_message_that_is_gone_is_told(desk: Desk, page: Page) -> None:
    enter(page, desk, "inbox/7")
    expect(page.locator(".message")).to_have_text("This message is not here any more")
    go(page, "inbox")
    expect(page.locator(".messages")).to_have_text("No messages")


def test_a_check_in_is_begun_with_a_note_extended_and_ended(desk: Desk, page: Page) -> None:
    enter(page, desk, "checkin")
    page.get_by_role("textbox", name="Note").fill("Rua da Palma 12")
    page.get_by_role("button", name="20 minutes").click()
    left = page.get_by_role("timer")
    expect(left).to_have_text(re.compile(r"^(20:00|19:5\d)$"))
    expect(left).to_have_text(re.compile(r"^19:5[0-8]$"))
    expect(page.locator(".running .text")).to_have_text("Rua da Palma 12")
    page.get_by_role("button", name="10 minutes").click()
    expect(left).to_have_text(re.compile(r"^(30:00|29:5\d)$"))
    go(page, "")
    expect(page.locator(".fact").last).to_contain_text(re.compile(r"29:\d\d"))
    go(page, "checkin")
    desk.become(status={"checkin": {"due_at": None, "due_s": 55.0, "note": None, "state": "prealarm"}})
    expect(page.locator(".running .warning")).to_have_text("The time is almost over")
    page.get_by_role("button", name="I am safe").click()
    expect(page.get_by_role("button", name="60 minutes")).to_be_visible()
    assert [call["body"] for call in desk.calls] == [
        {"action": "begin", "seconds": 1200, "note": "Rua da Palma 12"},
        {"action": "extend", "seconds": 600},
        {"action": "end"},
    ]


def test_what_is_collected_is_told_in_the_officers_words_as_it_changes(desk: Desk, page: Page) -> None:
    enter(page, desk, "privacy")
    now = page.locator(".now")
    expect(now).to_contain_text("Roughly where you are")
    expect(now).to_contain_text("Every 5 min")
    expect(now).to_contain_text("A cell of 730 m")
    expect(page.locator(".privacy")).to_contain_text("Not delivered yet: 2 positions, 1 rough position")
    position = {
        "what": "position",
        "text": "t",
        "why": "w",
        "precision_m": None,
        "precision": "p",
        "every_s": 5.0,
        "until": None,
        "until_text": "u",
    }
    desk.become(privacy={"collected": [position]}, status={"alert": ALERT, "state": "alert"})
    expect(now).to_contain_text("Exactly where you are")
    desk.become(privacy={"collected": []}, status={"alert": None, "duty": "off"})
    expect(now).to_contain_text("Nothing. You are off duty")
    page.get_by_text("The device's own words").click()
    expect(page.get_by_text(PRIVACY["if_pressed"])).to_be_visible()


def test_the_language_changes_at_once_and_for_good(desk: Desk, page: Page) -> None:
    enter(page, desk, "settings")
    page.get_by_text("Ελληνικά").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Ρυθμίσεις")
    expect(page.get_by_role("radio", name="Ελληνικά")).to_be_checked()
    expect(page.locator("html")).to_have_attribute("lang", "el")
    assert [call["body"] for call in desk.calls] == [{"language": "el"}]
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("Ρυθμίσεις")


def test_covert_and_duty_ask_for_the_pin(desk: Desk, page: Page) -> None:
    enter(page, desk, "settings")
    covert = page.get_by_role("switch", name="Covert")
    covert.click()
    page.get_by_role("button", name="Close").click()
    expect(covert).not_to_be_checked()
    assert desk.calls == []
    covert.click()
    type_pin(page, PIN)
    expect(covert).to_be_checked()
    page.get_by_role("button", name="End my shift").click()
    type_pin(page, PIN)
    expect(page.get_by_role("button", name="Begin my shift")).to_be_visible()
    assert [call["body"] for call in desk.calls] == [{"covert": True, "pin": PIN}, {"duty": "off", "pin": PIN}]


def test_no_pin_is_kept_by_the_page(desk: Desk, page: Page) -> None:
    enter(page, desk, "settings")
    page.get_by_role("button", name="End my shift").click()
    type_pin(page, PIN)
    expect(page.get_by_role("dialog")).to_have_count(0)
    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.documentElement.outerHTML])")
    assert PIN not in kept
    assert json.loads(kept)[0] == {"language": "en"}
