"""Takes the pictures in docs/screens from a running world: `python -m tests.console.pictures`.

Nothing is drawn and nothing pretended: the device, the gateway and the dispatcher are those of `./dev up`.
"""

import re
import struct
import sys
import tempfile
import time
import zlib
from itertools import pairwise
from pathlib import Path

from playwright.sync_api import Page, expect

from bondmate.core.feedback import Pattern
from bondmate_sim import palm
from bondmate_sim.palm import PULSES, pulses
from bondmate_sim.pin_file import PIN
from bondmate_sim.process import wait_until
from bondmate_sim.settings import VIBRATION_PIN, Settings
from bondmate_sim.world import World
from tests import pictures
from tests.browser import chromium, screen
from tests.conftest import TOP
from tests.console.desk import go
from tests.console.test_page import type_pin
from tests.console.test_slide import drag

SCREENS = TOP / "docs" / "screens"
MOST_OCTETS = 60_000
ARRIVES_MS = 70_000
"""On duty, without an alert, the mailbox is looked into once a minute, if the wake-up is lost."""
EQUIPPED = Settings(equipped=True)
PRESS_S = 1.2
NAMES = {
    Pattern.STORED: "stored",
    Pattern.DELIVERED: "delivered",
    Pattern.ACKNOWLEDGED: "acknowledged",
    Pattern.NO_WAY_OUT: "not stored",
    Pattern.ATTENTION: "attention",
    Pattern.EXERCISE: "exercise",
}
BY = ("--by", "Rita Faria")


def main() -> None:
    """Take them all anew."""
    SCREENS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as directory, World(Path(directory) / "world", EQUIPPED) as world:
        world.start()
        with chromium() as browser, screen(browser) as page:
            page.goto(world.start_console())
            expect(page.locator("h1")).to_have_text("Ready")
            expect(page.locator(".fact").last).not_to_have_text("Not known yet")
            quiet(world, page)
            alert(world, page)
            in_other_languages(page)
        vibrations(world)


def vibrations(world: World) -> None:
    """What the motor did of each pattern, as the board saw it."""
    assert world.device is not None
    world.at_gateway("exercise", world.device, "--minutes", "2")
    felt(world, "attention", ARRIVES_MS / 1000)
    world.press(PRESS_S)
    felt(world, "exercise", 10)
    world.ctl("alert", "cancel")
    world.at_gateway("exercise", world.device, "off")
    wait_until(lambda: not world.ctl("status")["exercise"], ARRIVES_MS / 1000, "the exercise to end")
    world.network.kill()
    world.press(PRESS_S)
    felt(world, "not stored", 90)
    drawn = pictures.vibrations(
        {pattern: felt(world, name, 10) for pattern, name in NAMES.items()}, "The vibrations, as a motor made them"
    )
    (SCREENS / "vibrations.svg").write_text(drawn, encoding="utf-8")


def felt(world: World, name: str, timeout_s: float) -> list[float]:
    """The first of such a pattern: how long the motor was on, off, on, … in seconds."""

    def look() -> list[float] | None:
        seen = pulses(world.edges(VIBRATION_PIN))
        for one in palm.felt(seen, time.monotonic_ns()):
            if one.pattern == name:
                first = next(number for number, pulse in enumerate(seen) if pulse.start_ns == one.start_ns)
                whole = seen[first : first + PULSES[one.pattern][0]]
                ends = [(pulse.start_ns / 1e9, pulse.start_ns / 1e9 + pulse.length_ms / 1e3) for pulse in whole]
                return [round(until - since, 4) for since, until in pairwise([edge for pair in ends for edge in pair])]
        return None

    return wait_until(look, timeout_s, f"{name} to be felt")


def quiet(world: World, page: Page) -> None:
    """On duty, and nothing is the matter."""
    assert world.device is not None
    take(page, "home")
    text = "Missing child, seven years old, red jacket. Last seen near the park."
    world.at_gateway("message", world.device, "The square is closed from 16:00 on. Go round by the school.", *BY)
    world.at_gateway("message", world.device, text, "--urgent", "--reply", "On my way", "--reply", "I cannot come", *BY)
    expect(page.locator("#nav .badge")).to_contain_text("2 unread", timeout=ARRIVES_MS)
    go(page, "inbox")
    take(page, "inbox")
    page.locator(".messages").get_by_text(text).click()
    expect(page.get_by_role("button", name="On my way")).to_be_visible()
    take(page, "message")
    page.get_by_role("button", name="On my way").click()
    expect(page.locator(".yours")).to_be_visible()

    go(page, "checkin")
    page.get_by_role("textbox").fill("Rua da Palma 12, third floor")
    take(page, "checkin")
    page.get_by_role("button", name="20 minutes").click()
    expect(page.get_by_role("timer")).to_have_text(re.compile(r"^19:"))
    take(page, "checkin-running")
    page.get_by_role("button", name="I am safe").click()
    expect(page.get_by_role("button", name="60 minutes")).to_be_visible()

    go(page, "privacy")
    expect(page.locator(".now")).to_contain_text("Roughly where you are")
    take(page, "privacy")
    go(page, "settings")
    take(page, "settings")


def alert(world: World, page: Page) -> None:
    """From the slide to its end."""
    go(page, "")
    drag(page, 470)
    expect(page.locator("h1")).to_have_text("Alert delivered", timeout=ARRIVES_MS)
    take(page, "delivered")
    [raised] = world.at_gateway("alerts")
    world.at_gateway("ack", raised["alert_id"], *BY)
    expect(page.locator("h1")).to_have_text("Alert acknowledged", timeout=ARRIVES_MS)
    take(page, "acknowledged")
    covert(page, "true")
    take(page, "covert")
    covert(page, "false")
    page.get_by_role("button", name="Take it back").click()
    page.keyboard.type("12")
    take(page, "pin")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Take it back").click()
    type_pin(page, PIN)
    expect(page.locator("h1")).to_have_text("Ready")


def covert(page: Page, wanted: str) -> None:
    """Set it, and go home."""
    go(page, "settings")
    page.get_by_role("switch").click()
    type_pin(page, PIN)
    expect(page.get_by_role("switch")).to_have_attribute("aria-checked", wanted)
    go(page, "")


def in_other_languages(page: Page) -> None:
    """Home, in the two others."""
    for language, name in (("pt", "Português"), ("el", "Ελληνικά")):
        go(page, "settings")
        page.get_by_text(name).click()
        page.wait_for_function(
            "language => document.querySelector('dialog[open]') || document.documentElement.lang === language",
            arg=language,
        )
        if page.get_by_role("dialog").is_visible():
            type_pin(page, PIN)
        expect(page.locator("html")).to_have_attribute("lang", language)
        go(page, "")
        take(page, f"home-{language}")


def take(page: Page, name: str) -> None:
    """One picture, without what passes."""
    page.evaluate("document.getElementById('toast').hidden = true; document.activeElement?.blur()")
    octets = smaller(page.screenshot(animations="disabled", caret="hide"))
    if len(octets) > MOST_OCTETS:
        sys.exit(f"{name} has {len(octets)} octets, more than {MOST_OCTETS}")
    (SCREENS / f"{name}.png").write_bytes(octets)


def smaller(png: bytes) -> bytes:
    """The same picture by a third smaller: browsers filter for photographs (PNG, third edition, section 9)."""
    chunks, at = [], 8
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        chunks.append((kind, png[at + 8 : at + 8 + length]))
        at += 12 + length
    header = next(content for kind, content in chunks if kind == b"IHDR")
    width, height, _, color = struct.unpack_from(">IIBB", header)
    step = {2: 3, 6: 4}[color]
    lines = zlib.decompress(b"".join(content for kind, content in chunks if kind == b"IDAT"))
    plain, above = bytearray(), bytearray(width * step)
    for row in range(height):
        begin = row * (width * step + 1)
        line = bytearray(lines[begin + 1 : begin + 1 + width * step])
        for i in range(len(line)):
            left, up, corner = (line[i - step], above[i], above[i - step]) if i >= step else (0, above[i], 0)
            line[i] = (line[i] + _predicted(lines[begin], left, up, corner)) & 0xFF
        plain += b"\0" + line
        above = line
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(plain), 9)), (b"IEND", b""))
    return png[:8] + b"".join(_chunk(*part) for part in parts)


def _predicted(method: int, left: int, up: int, corner: int) -> int:
    if method == 4:
        return min((left, up, corner), key=lambda one: abs(left + up - corner - one))
    return (0, left, up, (left + up) // 2)[method]


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


if __name__ == "__main__":
    main()
