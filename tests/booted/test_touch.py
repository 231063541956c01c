"""The image for a touch screen, on a board that has one: the page is shown, follows a finger, and costs no press.

Runs with ./dev image-test --long.
"""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from bondmate_image import build, cli
from bondmate_image.trust import Trust
from bondmate_sim.world import World
from tests.booted.conftest import Bench, Image, begin_shift, empty_card, enrol, force_key, started, surroundings
from tests.booted.machine import SCREEN, eventually
from tests.booted.test_image import OPEN_SOCKETS

pytestmark = pytest.mark.long

SHOWN_S = 3600.0
"""A browser without a compiler, on a processor that is emulated."""

UNITS = ("bondmate-screen", "bondmate-kiosk", "bondmate-console")
"""The compositor, the browser in it, and who serves the page."""

BLACK = bytes(3)
HEAD = 70
"""Rows of the page's title, and of how the device is, at its right."""
INBOX = (SCREEN[0] * 3 // 10, SCREEN[1] - 30)
"""The second of five places in the bar below."""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway of its own: at the other one, each rollout would wait for this device too."""
    with surroundings(tmp_path_factory.mktemp("world") / "world") as made:
        yield made


@pytest.fixture(scope="module")
def touch(image: Image, own: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A device with a touch screen that was flashed, enrolled and started, and whose page is open."""
    folder = tmp_path_factory.mktemp("touch")
    wanted = replace(image.wanted, touch=True, trust=Trust(force_key(own)))
    made = Image(build.image(wanted, folder / "out"), wanted, image.tools)
    card = empty_card(folder)
    # twice as much as the other image, and no command may take that long here
    assert cli.main(["flash", str(made.file), str(card)]) == 0
    enrol(card, own)
    with started(made, card, own, screen=True) as machine:
        bench = Bench(machine, own)
        begin_shift(machine)
        try:
            eventually(lambda: _streams(bench), SHOWN_S, "the page to be open")
        except AssertionError as error:
            error.add_note(machine.run(f"systemctl status --no-pager --lines=40 {' '.join(UNITS)}"))
            raise
        yield bench


def _streams(bench: Bench) -> int:
    """How many connections the browser has with the page's server, in the network that the two have alone."""
    pid = bench.machine.run("systemctl show -P MainPID bondmate-console")
    return len(bench.machine.run(f"nsenter -t {pid} -n ss -Htn state established sport = :8480").splitlines())


def _shown(bench: Bench) -> bytes:
    """What is on the screen, as soon as that is a picture."""

    def look() -> bytes | None:
        shot = bench.machine.screenshot()
        pixels = {shot[at : at + 3] for at in range(0, len(shot), 3)}
        return shot if len(pixels) > 50 else None

    return eventually(look, SHOWN_S, "the page to be drawn")


def test_the_page_fills_the_screen(touch: Bench) -> None:
    """It reaches down to the bar, and its ground, which is not black, is at the edges; nothing hangs over them."""
    width, height = SCREEN
    shot = _shown(touch)
    rows = [shot[row * width * 3 : (row + 1) * width * 3] for row in range(height)]
    assert rows[-1] != BLACK * width
    assert all(row[:3] != BLACK and row[-3:] != BLACK for row in rows)
    ground = rows[0][:3]
    assert {row[:3] for row in rows[:HEAD]} == {row[-3:] for row in rows[:HEAD]} == {ground}


def test_a_finger_turns_to_another_view(touch: Bench) -> None:
    before = _shown(touch)
    touch.machine.tap(*INBOX)
    bar = SCREEN[0] * 3 * (SCREEN[1] - 60)
    eventually(lambda: touch.machine.screenshot()[bar:] != before[bar:], SHOWN_S, "another place in the bar")


def test_it_runs_as_nobody_and_reaches_nobody(touch: Bench) -> None:
    run = touch.machine.run
    for unit in UNITS:
        assert run(f"systemctl show -P User {unit}") == unit
        assert run(f"systemctl show -P SubState {unit}") == "running"
    lines = [line.split() for line in run("ss -Hltunp").splitlines()]
    open_to_others = {(words[0], words[6].split('"')[1]) for words in lines}
    assert open_to_others <= OPEN_SOCKETS, "not even on the board's own loopback"
    browser = run("systemctl show -P MainPID bondmate-kiosk")
    links = run(f"nsenter -t {browser} -n ip -brief -color=never link").splitlines()
    assert [line.split()[0] for line in links] == ["lo"]
    assert run("systemctl --failed --plain --no-legend --no-pager") == ""


def test_for_want_of_memory_the_browser_goes_first(touch: Bench) -> None:
    score = {
        unit: int(touch.machine.run(f"cat /proc/$(systemctl show -P MainPID {unit})/oom_score_adj"))
        for unit in ("bondmated", *UNITS)
    }
    assert max(score, key=lambda unit: score[unit]) == "bondmate-kiosk"
    assert min(score, key=lambda unit: score[unit]) == "bondmated"


def test_a_press_is_stored_and_shown_while_the_browser_runs(touch: Bench) -> None:
    before = _shown(touch)
    touch.press()
    assert touch.alert() is not None
    eventually(lambda: touch.machine.screenshot() != before, SHOWN_S, "the page to show it")


def test_a_browser_that_dies_comes_back_and_the_page_with_it(touch: Bench) -> None:
    pid = touch.machine.run("systemctl show -P MainPID bondmate-kiosk")
    touch.machine.run(f"kill -9 {pid}")
    eventually(
        lambda: touch.machine.run("systemctl show -P MainPID bondmate-kiosk") not in {pid, "0"} and _streams(touch),
        SHOWN_S, "the page to be open again",
    )  # fmt: skip
    assert len(_shown(touch)) == SCREEN[0] * SCREEN[1] * 3
    assert touch.alert() is not None
