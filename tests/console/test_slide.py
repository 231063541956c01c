"""The slide that calls for help: on purpose it always does, by accident never, and each time once."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import screen
from tests.console.contract import ALERT
from tests.console.desk import Desk, enter, go


def thumb(page: Page) -> tuple[float, float]:
    """Its middle, once it stands still."""
    page.get_by_role("slider").hover()
    box = page.get_by_role("slider").bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def drag(page: Page, to: float) -> None:
    """Take the thumb and move it to x, as a finger does: in many small steps."""
    x, y = thumb(page)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(to, y + 5, steps=12)
    page.mouse.up()


def steps(page: Page, key: str, times: int) -> None:
    page.get_by_role("slider").focus()
    for _ in range(times):
        page.keyboard.press(key)


def held(page: Page, press: Callable[[], None], release: Callable[[], None], percent: int) -> None:
    """Hold until the slide has come so far, and let go."""
    press()
    page.wait_for_function("n => +document.querySelector('[role=slider]').ariaValueNow >= n", arg=percent)
    release()


def hold_pointer(page: Page, percent: int) -> None:
    page.mouse.move(*thumb(page))
    held(page, page.mouse.down, page.mouse.up, percent)


def hold_key(page: Page, key: str, percent: int) -> None:
    page.get_by_role("slider").focus()
    held(page, lambda: page.keyboard.down(key), lambda: page.keyboard.up(key), percent)


@pytest.mark.parametrize(
    "act",
    [
        lambda page: drag(page, 470),
        lambda page: hold_pointer(page, 100),
        lambda page: hold_key(page, " ", 100),
        lambda page: steps(page, "ArrowRight", 5),
        lambda page: page.evaluate("for (let n = 0; n < 5; n++) document.querySelector('[role=slider]').click()"),
    ],
    ids=["drag", "hold", "space", "arrows", "assistive technology"],
)
def test_on_purpose_it_calls_once_and_shows_how_far_it_is(desk: Desk, page: Page, act: Callable[[Page], None]) -> None:
    enter(page, desk)
    act(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Alert stored")
    [call] = desk.calls
    assert (call["path"], call["body"]) == ("/alert", {"kind": "panic"})
    assert len(call["key"]) == 36
    expect(page.get_by_role("slider")).to_have_attribute("aria-valuenow", "0")
    expect(page.get_by_role("slider")).to_have_accessible_name("Slide to call again")


def lean(page: Page, key: str) -> None:
    """Lie on a key: the keyboard repeats it until it is let go."""
    page.get_by_role("slider").focus()
    for _ in range(40):
        page.keyboard.down(key)
    page.keyboard.up(key)


ACCIDENTS: dict[str, Callable[[Page], None]] = {
    "half of the way": lambda page: drag(page, 380),
    "to the other side": lambda page: drag(page, 5),
    "a tap": lambda page: page.mouse.click(*thumb(page)),
    "two taps": lambda page: page.mouse.dblclick(*thumb(page)),
    "a tap at the end": lambda page: page.mouse.click(440, thumb(page)[1]),
    "a short hold": lambda page: hold_pointer(page, 40),
    "a key held for a moment": lambda page: hold_key(page, " ", 40),
    "four arrows": lambda page: steps(page, "ArrowRight", 4),
    "an arrow held down": lambda page: lean(page, "ArrowRight"),
    "a key that jumps": lambda page: steps(page, "End", 9),
    "leafing through": lambda page: steps(page, "Tab", 9),
}


def test_by_accident_it_does_not(desk: Desk, page: Page) -> None:
    enter(page, desk)
    for name, act in ACCIDENTS.items():
        act(page)
        page.get_by_role("slider").blur()
        expect(page.get_by_role("slider"), name).to_have_attribute("aria-valuenow", "0")
        assert desk.calls == [], name
    expect(page.get_by_role("heading", level=1)).to_have_text("Ready")


def test_a_key_that_is_still_down_when_it_has_called_does_not_call_again(desk: Desk, page: Page) -> None:
    enter(page, desk)
    steps(page, "ArrowRight", 4)
    page.keyboard.down("ArrowRight")
    expect(page.locator(".slide-label")).to_have_text("Slide to call again")
    # another press of a keyboard that does not say that it repeats
    page.evaluate(
        """for (let n = 0; n < 9; n++) document.querySelector("[role=slider]").dispatchEvent(
             new KeyboardEvent("keydown", {key: "ArrowRight", bubbles: true}))"""
    )
    expect(page.get_by_role("slider")).to_have_attribute("aria-valuenow", "0")
    page.keyboard.up("ArrowRight")
    assert len(desk.calls) == 1
    steps(page, "ArrowRight", 5)
    assert len(desk.called(2)) == 2, "after it was let go, it counts again"


def test_a_finger_that_comes_from_elsewhere_moves_nothing(desk: Desk, page: Page) -> None:
    enter(page, desk)
    x, y = thumb(page)
    page.mouse.move(x + 100, y)
    page.mouse.down()
    page.mouse.move(470, y, steps=8)
    page.mouse.move(x, y, steps=8)
    page.mouse.move(470, y, steps=8)
    page.mouse.up()
    expect(page.get_by_role("slider")).to_have_attribute("aria-valuenow", "0")
    assert desk.calls == []


def test_a_touch_slides_too_and_scrolls_nothing(desk: Desk, browser: Browser) -> None:
    with screen(browser, has_touch=True) as page:
        enter(page, desk)
        x, y = thumb(page)
        touch = page.context.new_cdp_session(page)
        touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
        for to in range(int(x), 471, 20):
            touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [{"x": to, "y": y}]})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        expect(page.get_by_role("heading", level=1)).to_have_text("Alert stored")
        assert len(desk.calls) == 1


def test_while_an_alert_is_open_it_calls_again(desk: Desk, page: Page) -> None:
    desk.become(status={"alert": ALERT, "state": "alert"})
    enter(page, desk)
    drag(page, 470)
    expect(page.locator(".kind")).to_have_text("Called again")
    assert len(desk.calls) == 1


def test_when_answers_are_lost_it_asks_again_and_still_calls_once(desk: Desk, page: Page) -> None:
    enter(page, desk)
    desk.become(fail=[502, 504])
    drag(page, 470)
    calls = desk.called(3)
    assert len({call["key"] for call in calls}) == 1
    expect(page.locator(".kind")).to_have_text("Emergency")
    expect(page.locator(".slide-label")).to_have_text("Slide to call again")
    assert len(desk.calls) == 3


def test_while_a_call_is_under_way_another_view_and_back_is_the_same_call(desk: Desk, page: Page) -> None:
    enter(page, desk)
    with desk.hung():
        drag(page, 470)
        expect(page.locator(".slide-label")).to_have_text("Raising the alert …")
        go(page, "inbox")
        go(page, "")
        expect(page.locator(".slide-label")).to_have_text("Raising the alert …")
        expect(page.get_by_role("slider")).to_have_attribute("aria-disabled", "true")
        drag(page, 470)
        steps(page, "ArrowRight", 5)
    expect(page.locator(".kind")).to_have_text("Emergency")
    expect(page.locator(".slide-label")).to_have_text("Slide to call again")
    assert len({call["key"] for call in desk.calls}) == 1


def test_two_intents_are_two_keys(desk: Desk, page: Page) -> None:
    enter(page, desk)
    drag(page, 470)
    expect(page.locator(".slide-label")).to_have_text("Slide to call again")
    drag(page, 470)
    first, second = desk.called(2)
    assert first["key"] != second["key"]
